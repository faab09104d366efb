//! Messages: what is received, owned, and what can be given to `send`.

use crate::text::Text;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Whether a message's payload is text or bytes (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// A whole message, owned; cheap to clone, its payload is reference-counted.
///
/// ```
/// use ws13::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.as_bytes(), b"hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// Whether the payload is text or bytes.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
        }
    }

    /// The payload's bytes, whatever its kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text, where the message is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The payload's bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! message_from {
    ($variant:ident: $($source:ty),*) => {
        $(impl From<$source> for Message {
            fn from(payload: $source) -> Self {
                Message::$variant(payload.into())
            }
        })*
    };
}

message_from!(Text: &str, String, Text);
message_from!(Binary: Bytes, Vec<u8>);

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Message::Binary(Bytes::copy_from_slice(payload))
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(payload: &[u8; N]) -> Self {
        Message::from(payload.as_slice())
    }
}

/// A message on its way out: anything that `send` takes, borrowed where that saves a copy.
///
/// `&str`, `String` and [`Text`] become text; `&[u8]`, `Vec<u8>` and [`Bytes`] become binary; a [`Message`] and a
/// lent [`MessageRef`](crate::MessageRef) stay what they are.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: Payload<'a>,
}

/// Where an outgoing payload is.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    /// Has to be copied.
    Slice(&'a [u8]),
    /// Can be queued as it is.
    Shared(Bytes),
    /// Stands in the inbox, and can be taken out of it without a copy.
    Lent(crate::connection::MessageRef<'a>),
}

impl Payload<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Slice(slice) => slice,
            Payload::Shared(bytes) => bytes,
            Payload::Lent(message) => message.as_bytes(),
        }
    }
}

macro_rules! outgoing_from {
    ($($source:ty => $kind:ident, |$value:ident| $payload:expr;)*) => {
        $(impl<'a> From<$source> for Outgoing<'a> {
            #[inline]
            fn from($value: $source) -> Self {
                Outgoing { kind: Kind::$kind, payload: $payload }
            }
        })*
    };
}

outgoing_from! {
    &'a str => Text, |text| Payload::Slice(text.as_bytes());
    &'a String => Text, |text| Payload::Slice(text.as_bytes());
    String => Text, |text| Payload::Shared(Bytes::from(text.into_bytes()));
    Text => Text, |text| Payload::Shared(text.into_bytes());
    &'a [u8] => Binary, |bytes| Payload::Slice(bytes);
    &'a Vec<u8> => Binary, |bytes| Payload::Slice(bytes);
    Vec<u8> => Binary, |bytes| Payload::Shared(Bytes::from(bytes));
    Bytes => Binary, |bytes| Payload::Shared(bytes);
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Outgoing::from(bytes.as_slice())
    }
}

impl From<Message> for Outgoing<'_> {
    fn from(message: Message) -> Self {
        Outgoing { kind: message.kind(), payload: Payload::Shared(message.into_bytes()) }
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            // A large payload is shared; the bookkeeping costs less than its copy.
            message if message.len() >= crate::connection::SHARE_FROM => Outgoing::from(message.clone()),
            message => Outgoing { kind: message.kind(), payload: Payload::Slice(message.as_bytes()) },
        }
    }
}

impl<'a> From<crate::connection::MessageRef<'a>> for Outgoing<'a> {
    #[inline]
    fn from(message: crate::connection::MessageRef<'a>) -> Self {
        Outgoing { kind: message.kind(), payload: Payload::Lent(message) }
    }
}

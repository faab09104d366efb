//! Messages on their way out: what can be given to `send`.

use super::event::MessageRef;
use super::inbox::SHARE_FROM;
use super::prepared::Prepared;
use crate::frame::{OpCode, Rsv};
use crate::message::{Kind, Message};
use crate::text::Text;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A message on its way out: anything that `send` takes, borrowed where that saves a copy.
///
/// `&str`, `String` and [`Text`] become text; `&[u8]`, `Vec<u8>` and [`Bytes`] become binary; a [`Message`] and a
/// lent [`MessageRef`](crate::MessageRef) stay what they are; so does a [`Prepared`](crate::Prepared) one.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(super) kind: Kind,
    pub(super) payload: Payload<'a>,
    #[cfg(feature = "deflate")]
    pub(super) compress: bool,
}

impl<'a> Outgoing<'a> {
    #[inline]
    fn new(kind: Kind, payload: Payload<'a>) -> Self {
        Outgoing {
            kind,
            payload,
            #[cfg(feature = "deflate")]
            compress: true,
        }
    }

    /// A message, or with an opcode above 10 a control frame, of an extension that was agreed on: with reserved bits and
    /// opcodes that it [claims](crate::extension::Claims). The payload is sent as it is.
    ///
    /// Sending it fails with [`Misuse::NotAgreed`](crate::Misuse::NotAgreed) where nothing claims that.
    ///
    /// ```
    /// use ws13::Outgoing;
    /// use ws13::frame::{OpCode, Rsv};
    /// let message = Outgoing::extended(OpCode::Binary, Rsv::RSV2, b"payload");
    /// # let _ = message;
    /// ```
    pub fn extended(opcode: OpCode, rsv: Rsv, payload: &'a [u8]) -> Self {
        Outgoing::new(Kind::Binary, Payload::Special(Special::Extended(opcode, rsv, payload)))
    }

    /// Sends this message as it is, where others are compressed: for what is compressed already, or for a secret that
    /// must not be compressed together with what somebody else chose (CRIME).
    ///
    /// ```
    /// use ws13::Outgoing;
    /// let message = Outgoing::from("secret").uncompressed();
    /// # let _ = message;
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }
}

/// Where an outgoing payload is.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    /// Has to be copied.
    Slice(&'a [u8]),
    /// Can be queued as it is.
    Shared(Bytes),
    /// Stands in the inbox, and can be taken out of it without a copy.
    Lent(MessageRef<'a>),
    /// What is no ordinary message; one variant, so that ordinary ones are told from it at once.
    Special(Special<'a>),
}

/// Outgoing payloads that come rarely, or are sent to many at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Special<'a> {
    /// Framed already.
    Prepared(&'a Prepared),
    /// An extension's.
    Extended(OpCode, Rsv, &'a [u8]),
}

impl Special<'_> {
    #[cold]
    #[inline(never)]
    fn as_slice(&self) -> &[u8] {
        match self {
            Special::Prepared(prepared) => prepared.as_bytes(),
            Special::Extended(_, _, bytes) => bytes,
        }
    }

    /// The payload as counted bytes.
    pub(super) fn to_bytes(self) -> Bytes {
        match self {
            Special::Prepared(prepared) => prepared.bytes(),
            Special::Extended(_, _, bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

impl Payload<'_> {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Slice(slice) => slice,
            Payload::Shared(bytes) => bytes,
            Payload::Lent(message) => message.as_bytes(),
            Payload::Special(special) => special.as_slice(),
        }
    }
}

macro_rules! outgoing_from {
    ($($source:ty => $kind:ident, |$value:ident| $payload:expr;)*) => {
        $(impl<'a> From<$source> for Outgoing<'a> {
            #[inline]
            fn from($value: $source) -> Self {
                Outgoing::new(Kind::$kind, $payload)
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
    #[inline]
    fn from(message: Message) -> Self {
        Outgoing::new(message.kind(), Payload::Shared(message.into_bytes()))
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            // A large payload is shared; the bookkeeping costs less than its copy.
            message if message.len() >= SHARE_FROM => Outgoing::from(message.clone()),
            message => Outgoing::new(message.kind(), Payload::Slice(message.as_bytes())),
        }
    }
}

impl<'a> From<&'a Prepared> for Outgoing<'a> {
    fn from(prepared: &'a Prepared) -> Self {
        Outgoing::new(prepared.kind(), Payload::Special(Special::Prepared(prepared)))
    }
}

impl<'a> From<MessageRef<'a>> for Outgoing<'a> {
    #[inline]
    fn from(message: MessageRef<'a>) -> Self {
        Outgoing::new(message.kind(), Payload::Lent(message))
    }
}

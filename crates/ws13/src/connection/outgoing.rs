//! Messages on their way out: what can be given to `send`.

use super::event::MessageRef;
use super::inbox::SHARE_FROM;
use crate::message::{Kind, Message};
use crate::text::Text;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A message on its way out: anything that `send` takes, borrowed where that saves a copy.
///
/// `&str`, `String` and [`Text`] become text; `&[u8]`, `Vec<u8>` and [`Bytes`] become binary; a [`Message`] and a
/// lent [`MessageRef`](crate::MessageRef) stay what they are.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub(super) kind: Kind,
    pub(super) payload: Payload<'a>,
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
}

impl Payload<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
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
            message if message.len() >= SHARE_FROM => Outgoing::from(message.clone()),
            message => Outgoing { kind: message.kind(), payload: Payload::Slice(message.as_bytes()) },
        }
    }
}

impl<'a> From<MessageRef<'a>> for Outgoing<'a> {
    #[inline]
    fn from(message: MessageRef<'a>) -> Self {
        Outgoing { kind: message.kind(), payload: Payload::Lent(message) }
    }
}

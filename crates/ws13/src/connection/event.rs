//! What a connection tells: messages, parts of messages, pings and pongs, and its one end.

use super::inbox::{Inbox, Place, SHARE_FROM};
use crate::close::{CloseFrame, meaning};
use crate::error::{Fault, Lost};
use crate::frame::{OpCode, Rsv};
use crate::message::{Kind, Message};
use crate::text::Text;
use crate::trusted;
use alloc::boxed::Box;
use bytes::{Bytes, BytesMut};
use core::fmt;

/// Something that happened on a connection; payloads are borrowed from the inbox.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole message.
    Message(MessageRef<'a>),
    /// A part of a message, where messages are received in parts.
    Part(PartRef<'a>),
    /// A Ping; the Pong is already on its way.
    Ping(&'a [u8]),
    /// A Pong, asked for or not.
    Pong(&'a [u8]),
    /// A message or control frame of an extension of the user's own, where one was agreed on.
    Extended(ExtendedRef<'a>),
    /// The end of the connection: the last event, and exactly one.
    Closed(Box<Closed>),
}

/// A whole message, lent until the next event is asked for.
pub struct MessageRef<'a> {
    kind: Kind,
    place: Place,
    inbox: &'a mut Inbox,
}

impl<'a> MessageRef<'a> {
    pub(super) fn new(kind: Kind, place: Place, inbox: &'a mut Inbox) -> Self {
        MessageRef { kind, place, inbox }
    }

    /// Whether the payload is text or bytes.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload's bytes, whatever its kind.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.inbox.at(self.place)
    }

    /// The text, where the message is text.
    pub fn as_text(&self) -> Option<&str> {
        (self.kind == Kind::Text).then(|| trusted::validated(self.as_bytes()))
    }

    /// The payload for keeps: a large one by reference count, a small one by copy.
    #[inline(always)]
    pub fn into_bytes(self) -> Bytes {
        match self.as_bytes() {
            payload if payload.len() < SHARE_FROM => Bytes::copy_from_slice(payload),
            _ => self.inbox.share(self.place),
        }
    }

    /// The payload with a header before it, without a copy; itself, where it does not stand so that this can be had.
    pub(super) fn into_frame(self, header: &[u8]) -> Result<BytesMut, Self> {
        self.inbox.share_as_frame(self.place, header).ok_or(self)
    }

    /// The message for keeps.
    #[inline(always)]
    pub fn into_message(self) -> Message {
        let kind = self.kind;
        let bytes = self.into_bytes();
        match kind {
            Kind::Text => Message::Text(Text::from_validated(bytes)),
            Kind::Binary => Message::Binary(bytes),
        }
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef").field("kind", &self.kind).field("len", &self.as_bytes().len()).finish()
    }
}

/// A part of a message, lent until the next event is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PartRef<'a> {
    /// Whether the message is text or bytes. A part of a text may end in the middle of a character.
    pub kind: Kind,
    /// The part's bytes; may be empty when it is the last.
    pub bytes: &'a [u8],
    /// Whether the message begins with this part.
    pub first: bool,
    /// Whether the message ends with this part.
    pub last: bool,
}

/// What came for an extension: a whole message, or a control frame (an opcode above 10); lent until the next event is
/// asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedRef<'a> {
    /// The opcode: a claimed one, or that of text or binary with claimed bits.
    pub opcode: OpCode,
    /// The reserved bits of its first frame.
    pub rsv: Rsv,
    /// The payload, unmasked and joined. It is not checked to be UTF-8, whatever the opcode: that is for what the
    /// extension makes of it.
    pub bytes: &'a [u8],
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    cause: CloseCause,
    received: Option<CloseFrame>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// Both sides sent a Close frame: a clean end, whatever the code (RFC 6455 section 7.1.4).
    Handshake,
    /// The peer did what it must not, and was told so with a Close frame.
    Fault(Fault),
    /// The connection was lost without a closing handshake.
    Lost(Lost),
}

impl Closed {
    pub(super) fn new(cause: CloseCause, received: Option<CloseFrame>) -> Self {
        Closed { cause, received }
    }

    /// Why it ended.
    pub fn cause(&self) -> CloseCause {
        self.cause
    }

    /// Whether the closing handshake was completed.
    pub fn is_clean(&self) -> bool {
        self.cause == CloseCause::Handshake
    }

    /// The close code as RFC 6455 section 7.1.5 has it: the one received; 1005 when the peer's Close frame had
    /// none; 1006 when no Close frame came.
    pub fn code(&self) -> u16 {
        match (&self.received, self.cause) {
            (Some(frame), _) => frame.code().get(),
            (None, CloseCause::Handshake) => 1005,
            (None, _) => 1006,
        }
    }

    /// The reason that the peer gave, or nothing.
    pub fn reason(&self) -> &str {
        self.received.as_ref().map_or("", CloseFrame::reason)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cause, &self.received) {
            (CloseCause::Fault(fault), _) => write!(f, "{fault}; it was told so with {}", fault.close_code()),
            (CloseCause::Lost(lost), _) => write!(f, "1006 ({}): {lost}", meaning(1006)),
            (CloseCause::Handshake, Some(frame)) => frame.fmt(f),
            (CloseCause::Handshake, None) => write!(f, "1005 ({})", meaning(1005)),
        }
    }
}

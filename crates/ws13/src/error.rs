//! What can go wrong, sorted by who is at fault: the peer, a limit, the caller, the network.

use crate::close::{CloseCode, CloseError};
use crate::frame::{HeaderError, OpCode, Rsv};
use core::fmt;

/// Why this endpoint failed the connection (RFC 6455 section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer went over a limit.
    Limit(LimitHit),
}

impl Fault {
    /// The code of the Close frame that this fault is answered with.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Fault::Violation(
                Violation::Utf8 | Violation::Compression | Violation::Close(CloseError::Reason),
            ) => CloseCode::INVALID_PAYLOAD,
            Fault::Violation(_) => CloseCode::PROTOCOL_ERROR,
            Fault::Limit(LimitHit::Message { .. } | LimitHit::Frame { .. }) => CloseCode::MESSAGE_TOO_BIG,
            Fault::Limit(_) => CloseCode::POLICY_VIOLATION,
        }
    }
}

/// How the peer broke RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A header that is never legal (section 5.2, 5.5).
    Header(HeaderError),
    /// A reserved opcode that no extension claims (section 5.2).
    ReservedOpcode(u8),
    /// A reserved bit that no extension claims (section 5.2).
    ReservedBits,
    /// A client's frame without a mask (section 5.1: "a server MUST close the connection").
    Unmasked,
    /// A server's frame with a mask (section 5.1: "a client MUST close a connection").
    Masked,
    /// A continuation frame with nothing to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message inside an unfinished one (section 5.4).
    ExpectedContinuation,
    /// A text message that is not UTF-8 (section 8.1).
    Utf8,
    /// A compressed message that cannot be inflated (RFC 7692 section 7.2.2).
    Compression,
    /// A Close frame that is not allowed (section 5.5.1, 7.4).
    Close(CloseError),
}

/// Which limit the peer went over; lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitHit {
    /// [`Limits::max_message`](crate::Limits::max_message).
    Message {
        /// The limit.
        max: usize,
    },
    /// [`Limits::max_frame`](crate::Limits::max_frame).
    Frame {
        /// The limit.
        max: usize,
    },
    /// [`Limits::max_fragments`](crate::Limits::max_fragments).
    Fragments {
        /// The limit.
        max: usize,
    },
    /// The final blocks of a compressed message.
    FinalBlocks {
        /// The limit.
        max: usize,
    },
    /// [`Limits::max_control_frames`](crate::Limits::max_control_frames).
    ControlFrames {
        /// The limit.
        max: u32,
    },
}

/// What the caller asked for and cannot have; nothing was sent, and the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A message or control frame after the Close frame (section 5.5.1: "MUST NOT send any more data frames").
    Closed,
    /// A close code that must not be on the wire.
    CloseCode(u16),
    /// A close reason of more than 123 bytes.
    CloseReason {
        /// Its length, in bytes.
        len: usize,
    },
    /// A Ping or Pong of more than 125 bytes.
    ControlPayload {
        /// Its length, in bytes.
        len: usize,
    },
    /// A frame of an extension that was not agreed on: a reserved opcode or bits that none claims.
    NotAgreed {
        /// Its opcode.
        opcode: OpCode,
        /// Its reserved bits.
        rsv: Rsv,
    },
    /// A message while another one is being written in parts.
    MessageUnfinished,
    /// A part of a message that was not begun, or is finished.
    NoMessageBegun,
    /// A text that is written in parts is not UTF-8 with this part, or would end in the middle of a character (section
    /// 8.1).
    Utf8,
    /// The outgoing queue is full.
    QueueFull,
}

/// How a connection was lost without a closing handshake; 1006 in the RFC's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// The peer ended the stream without a Close frame.
    Eof,
    /// Nothing arrived within the pong timeout after a Ping.
    PongTimeout,
    /// The closing handshake took longer than the close timeout.
    CloseTimeout,
    /// The peer took nothing for the stall timeout.
    Stalled,
    /// Reading or writing failed; the driver has the error itself.
    Transport,
    /// This side dropped the connection, without a closing handshake.
    Aborted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Fault::Limit(limit) => write!(f, "the peer went over a limit: {limit}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Header(error) => error.fmt(f),
            Violation::ReservedOpcode(opcode) => write!(f, "the opcode {opcode} is reserved"),
            Violation::ReservedBits => f.write_str("a reserved bit is set that no extension claims"),
            Violation::Unmasked => f.write_str("a client's frame is not masked"),
            Violation::Masked => f.write_str("a server's frame is masked"),
            Violation::UnexpectedContinuation => f.write_str("a continuation frame continues nothing"),
            Violation::ExpectedContinuation => f.write_str("a new message begins inside an unfinished one"),
            Violation::Utf8 => f.write_str("a text message is not valid UTF-8"),
            Violation::Compression => f.write_str("a compressed message is broken or cut off"),
            Violation::Close(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitHit::Message { max } => write!(f, "a message has more than {max} bytes"),
            LimitHit::Frame { max } => write!(f, "a frame has more than {max} bytes"),
            LimitHit::Fragments { max } => write!(f, "a message has more than {max} fragments"),
            LimitHit::FinalBlocks { max } => {
                write!(f, "a compressed message has more than {max} final blocks")
            }
            LimitHit::ControlFrames { max } => write!(f, "more than {max} control frames came in 10 s"),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Closed => f.write_str("the connection is closed for sending: a Close frame was sent"),
            Misuse::CloseCode(code) => {
                write!(
                    f,
                    "the close code {code} must not be sent; use 1000 to 1003, 1007 to 1014 or 3000 to 4999"
                )
            }
            Misuse::CloseReason { len } => write!(f, "a close reason has {len} bytes; 123 are the most"),
            Misuse::ControlPayload { len } => {
                write!(f, "a control frame's payload has {len} bytes; 125 are the most")
            }
            Misuse::NotAgreed { opcode, rsv } => write!(
                f,
                "no extension was agreed on for the opcode {} with the reserved bits {:#04x}",
                opcode.bits(),
                rsv.bits()
            ),
            Misuse::MessageUnfinished => f.write_str("a message is being written in parts; finish it first"),
            Misuse::NoMessageBegun => f.write_str("no message is being written in parts"),
            Misuse::Utf8 => {
                f.write_str("with this part the text is not valid UTF-8; send bytes as a binary message")
            }
            Misuse::QueueFull => {
                f.write_str("the outgoing queue is full; wait until the peer has taken some of it")
            }
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Eof => "the peer ended the stream without a Close frame",
            Lost::PongTimeout => "nothing arrived within the pong timeout after a Ping",
            Lost::CloseTimeout => "the closing handshake took longer than the close timeout",
            Lost::Stalled => "the peer took nothing of what we wrote for the stall timeout",
            Lost::Transport => "reading or writing failed",
            Lost::Aborted => "this side dropped the connection",
        })
    }
}

impl core::error::Error for Fault {}
impl core::error::Error for Violation {}
impl core::error::Error for LimitHit {}
impl core::error::Error for Misuse {}
impl core::error::Error for Lost {}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Fault::Violation(violation)
    }
}

impl From<LimitHit> for Fault {
    fn from(limit: LimitHit) -> Self {
        Fault::Limit(limit)
    }
}

impl From<HeaderError> for Fault {
    fn from(error: HeaderError) -> Self {
        Fault::Violation(Violation::Header(error))
    }
}

impl From<CloseError> for Fault {
    fn from(error: CloseError) -> Self {
        Fault::Violation(Violation::Close(error))
    }
}

/// What an operation on a socket ends with, when it does not succeed.
#[cfg(feature = "std")]
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer did what it must not, and was told so; the connection is closed.
    Fault(Fault),
    /// The connection was lost without a closing handshake.
    Lost(Lost),
    /// Reading or writing failed.
    Io(std::io::Error),
    /// The caller asked for what cannot be; the connection goes on.
    Misuse(Misuse),
    /// A message is no JSON of the type asked for, or a value cannot be written as JSON; the connection goes on.
    #[cfg(feature = "json")]
    Json(serde_json::Error),
}

#[cfg(feature = "std")]
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Fault(fault) => fault.fmt(f),
            Error::Lost(lost) => write!(f, "the connection was lost: {lost}"),
            Error::Io(error) => write!(f, "the connection was lost: {error}"),
            Error::Misuse(misuse) => misuse.fmt(f),
            #[cfg(feature = "json")]
            Error::Json(error) => write!(f, "JSON: {error}"),
        }
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            #[cfg(feature = "json")]
            Error::Json(error) => Some(error),
            Error::Fault(_) | Error::Lost(_) | Error::Misuse(_) => None,
        }
    }
}

#[cfg(feature = "std")]
impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Error::Misuse(misuse)
    }
}

#[cfg(feature = "json")]
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::Json(error)
    }
}

//! Close codes and reasons (RFC 6455 section 7.4): what may be sent, what may be received, what is only reported.
//!
//! ```
//! use ws13::close::{CloseCode, CloseFrame};
//!
//! let frame = CloseFrame::new(CloseCode::GOING_AWAY, "restart")?;
//! assert_eq!(frame.code().get(), 1001);
//! assert!(CloseCode::new(1006).is_err()); // "MUST NOT be set as a status code in a Close control frame"
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Misuse;
use crate::frame::MAX_CONTROL_PAYLOAD;
use crate::text::Text;
use core::fmt;

/// The longest close reason, in bytes: what a control frame holds after the code.
pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// A close code that may stand in a Close frame: 1000 to 1003, 1007 to 1014, and 3000 to 4999.
///
/// 1004, 1005, 1006 and 1015 are never on the wire; where a connection ended with one of them,
/// [`Closed::code`](crate::Closed::code) reports it as a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: this endpoint does not take this type of data.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1007: the data do not fit the message's type, such as text that is no UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: a message is against this endpoint's policy.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: a message is too big.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: the client expected an extension that the server did not agree to.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: the server met something unexpected.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1014: a gateway got a bad answer from upstream.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);

    /// The code `code`.
    ///
    /// # Errors
    /// [`Misuse::CloseCode`] for a number that must not stand in a Close frame (RFC 6455 section 7.4).
    pub const fn new(code: u16) -> Result<CloseCode, Misuse> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(CloseCode(code)),
            _ => Err(Misuse::CloseCode(code)),
        }
    }

    /// The code as a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    /// The number and its meaning, such as `1001 (going away)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, meaning(self.0))
    }
}

/// What a close code means, in a few words; knows those that are only reported, too.
pub const fn meaning(code: u16) -> &'static str {
    match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1004 => "reserved",
        1005 => "no status received",
        1006 => "abnormal closure",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension missing",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        1015 => "TLS handshake failed",
        3000..=3999 => "registered by a library or application",
        4000..=4999 => "private use",
        _ => "not defined",
    }
}

/// The code and reason of a Close frame (RFC 6455 section 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: Text,
}

impl CloseFrame {
    /// A Close frame's content.
    ///
    /// # Errors
    /// [`Misuse::CloseReason`] for a reason of more than 123 bytes.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Result<CloseFrame, Misuse> {
        let reason = reason.into();
        if reason.len() > MAX_REASON {
            return Err(Misuse::CloseReason { len: reason.len() });
        }
        Ok(CloseFrame { code, reason })
    }

    /// The code.
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason: empty, or some words for a person who looks into it, 123 bytes at most.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Reads the payload of a Close frame; an empty one has neither code nor reason.
    ///
    /// # Errors
    /// See [`CloseError`].
    pub fn decode(payload: &[u8]) -> Result<Option<CloseFrame>, CloseError> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(CloseError::OneByte),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode::new(code).map_err(|_| CloseError::Code(code))?;
        let reason = core::str::from_utf8(reason).map_err(|_| CloseError::Reason)?;
        Ok(Some(CloseFrame { code, reason: Text::from(reason) }))
    }

    /// The payload of the Close frame.
    pub(crate) fn encode(&self) -> EncodedClose {
        let mut bytes = [0; MAX_CONTROL_PAYLOAD];
        let len = 2 + self.reason.len();
        bytes[..2].copy_from_slice(&self.code.0.to_be_bytes());
        bytes[2..len].copy_from_slice(self.reason.as_bytes());
        EncodedClose { bytes, len }
    }
}

impl From<CloseCode> for CloseFrame {
    /// The code, without a reason.
    fn from(code: CloseCode) -> Self {
        CloseFrame { code, reason: Text::default() }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.code),
            reason => write!(f, "{}: {reason}", self.code),
        }
    }
}

/// A Close frame's payload, on the stack.
pub(crate) struct EncodedClose {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: usize,
}

impl core::ops::Deref for EncodedClose {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A Close frame that the RFC does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseError {
    /// A payload of one byte: half a code (section 5.5.1).
    OneByte,
    /// A code that must not be on the wire (section 7.4).
    Code(u16),
    /// A reason that is not valid UTF-8 (section 5.5.1).
    Reason,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseError::OneByte => f.write_str("a Close frame has one byte, which is half a close code"),
            CloseError::Code(code) => write!(f, "a Close frame has the code {code}, which must not be sent"),
            CloseError::Reason => f.write_str("a close reason is not valid UTF-8"),
        }
    }
}

impl core::error::Error for CloseError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 7.4 and the registry: what may be on the wire.
    fn allowed(code: u16) -> bool {
        (1000..=1003).contains(&code) || (1007..=1014).contains(&code) || (3000..=4999).contains(&code)
    }

    #[test]
    fn every_code_both_ways() {
        for code in 0..=u16::MAX {
            let sent = CloseCode::new(code);
            let received = CloseFrame::decode(&code.to_be_bytes());
            if allowed(code) {
                assert_eq!(sent.unwrap().get(), code);
                assert_eq!(received.unwrap().unwrap().code().get(), code);
            } else {
                assert_eq!(sent, Err(Misuse::CloseCode(code)));
                assert_eq!(received, Err(CloseError::Code(code)));
            }
        }
    }

    #[test]
    fn reasons_up_to_123_bytes() {
        let longest = "r".repeat(MAX_REASON);
        let frame = CloseFrame::new(CloseCode::NORMAL, longest.as_str()).unwrap();
        assert_eq!(frame.encode().len(), 125);
        assert_eq!(CloseFrame::decode(&frame.encode()), Ok(Some(frame)));
        let too_long = CloseFrame::new(CloseCode::NORMAL, "r".repeat(MAX_REASON + 1));
        assert_eq!(too_long, Err(Misuse::CloseReason { len: 124 }));
    }

    #[test]
    fn empty_one_byte_and_no_utf8() {
        assert_eq!(CloseFrame::decode(&[]), Ok(None));
        assert_eq!(CloseFrame::decode(&[3]), Err(CloseError::OneByte));
        assert_eq!(CloseFrame::decode(&[0x03, 0xe8, 0xff]), Err(CloseError::Reason));
    }
}

//! A bare frame, right or wrong.

use crate::frame::{Header, HeaderError, MaskKey, OpCode, Rsv};
use crate::mask;
use std::fmt;

/// A frame as it stands on the wire (RFC 6455 section 5.2), also one that may not be sent.
///
/// ```
/// use ws13::test::Frame;
/// assert_eq!(Frame::text("hi").unmasked().encode(), b"\x81\x02hi");
/// assert_eq!(Frame::close(1000, "").masked([0; 4]).encode(), b"\x88\x82\0\0\0\0\x03\xe8");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN: the last frame of its message.
    pub fin: bool,
    /// RSV1 to RSV3.
    pub rsv: Rsv,
    /// What the payload is.
    pub opcode: OpCode,
    /// Whether, and with which key, the frame is masked; unset, a [`Script`](super::Script) does as its role has it.
    pub mask: Mask,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// How a frame is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// As the role of its sender has it.
    ByRole,
    /// With this key.
    Key(MaskKey),
    /// Not.
    None,
}

impl Frame {
    /// A whole frame of any kind.
    pub fn new(opcode: OpCode, payload: impl AsRef<[u8]>) -> Frame {
        Frame { fin: true, rsv: Rsv::NONE, opcode, mask: Mask::ByRole, payload: payload.as_ref().to_vec() }
    }

    /// A text; it need not be UTF-8.
    pub fn text(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(OpCode::Text, payload)
    }

    /// Bytes.
    pub fn binary(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(OpCode::Binary, payload)
    }

    /// A later frame of a message.
    pub fn continuation(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(OpCode::Continuation, payload)
    }

    /// A Ping.
    pub fn ping(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(OpCode::Ping, payload)
    }

    /// A Pong.
    pub fn pong(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(OpCode::Pong, payload)
    }

    /// A Close with a code, which may be one that may not be sent.
    pub fn close(code: u16, reason: &str) -> Frame {
        Frame::new(OpCode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// With or without FIN.
    #[must_use]
    pub fn fin(self, fin: bool) -> Frame {
        Frame { fin, ..self }
    }

    /// With these reserved bits.
    #[must_use]
    pub fn rsv(self, rsv: Rsv) -> Frame {
        Frame { rsv, ..self }
    }

    /// Masked with this key, whoever sends it.
    #[must_use]
    pub fn masked(self, key: MaskKey) -> Frame {
        Frame { mask: Mask::Key(key), ..self }
    }

    /// Not masked, whoever sends it.
    #[must_use]
    pub fn unmasked(self) -> Frame {
        Frame { mask: Mask::None, ..self }
    }

    /// The bytes; masked only where it is said.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mask = match self.mask {
            Mask::Key(key) => Some(key),
            Mask::None | Mask::ByRole => None,
        };
        let payload_len = self.payload.len() as u64;
        let header = Header { fin: self.fin, rsv: self.rsv, opcode: self.opcode, mask, payload_len };
        let mut bytes = header.encode().to_vec();
        match mask {
            Some(key) => mask::extend(&mut bytes, key, 0, &self.payload),
            None => bytes.extend_from_slice(&self.payload),
        }
        bytes
    }

    /// The frame at the start of these bytes, and its length; `None` while it is not complete; an error for what is no
    /// frame.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, HeaderError> {
        let Some((header, len)) = Header::decode(bytes)? else { return Ok(None) };
        let Some(payload) = usize::try_from(header.payload_len)
            .ok()
            .and_then(|payload| len.checked_add(payload))
            .and_then(|end| bytes.get(len..end))
        else {
            return Ok(None);
        };
        let mut payload = payload.to_vec();
        let mask = header.mask.map_or(Mask::None, Mask::Key);
        if let Some(key) = header.mask {
            mask::apply(key, 0, &mut payload);
        }
        let end = len + payload.len();
        Ok(Some((Frame { fin: header.fin, rsv: header.rsv, opcode: header.opcode, mask, payload }, end)))
    }
}

/// As a person would say it: `Text "hi"`, `Close 1000 "bye"`, `Binary 70000 bytes, 00 01 02 …`.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.opcode)?;
        match (self.opcode, self.payload.first_chunk::<2>(), std::str::from_utf8(&self.payload)) {
            (OpCode::Close, Some(code), _) => write!(
                f,
                " {} {:?}",
                u16::from_be_bytes(*code),
                String::from_utf8_lossy(self.payload.get(2..).unwrap_or_default())
            )?,
            (OpCode::Binary | OpCode::Continuation, _, _) | (_, _, Err(_)) => shown(&self.payload, f)?,
            (_, _, Ok(text)) if text.len() > 100 => shown(&self.payload, f)?,
            (_, _, Ok(text)) => write!(f, " {text:?}")?,
        }
        if !self.fin {
            f.write_str(", more to come")?;
        }
        if self.rsv != Rsv::NONE {
            write!(f, ", reserved bits {:#04x}", self.rsv.bits())?;
        }
        Ok(())
    }
}

fn shown(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, " {} bytes,", bytes.len())?;
    for byte in bytes.iter().take(16) {
        write!(f, " {byte:02x}")?;
    }
    f.write_str(if bytes.len() > 16 { " …" } else { "" })
}

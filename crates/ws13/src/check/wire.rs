//! Frames as raw bytes, right or wrong: what a case says is what goes out, and nothing is corrected.

use super::Role;

/// A frame to send.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    first: u8,
    payload: Vec<u8>,
    /// What the header says, where it is not the payload's length.
    announced: Option<u64>,
    form: Option<Form>,
    mask: Mask,
}

/// How a length is written, where it is not in its shortest form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bits16,
    Bits64,
}

#[derive(Clone, Copy, Debug)]
enum Mask {
    /// As our side has to: a client masks, a server does not.
    AsDue,
    /// The other way round.
    Wrong,
    Key([u8; 4]),
}

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const RSV2: u8 = 0x20;
pub(super) const RSV3: u8 = 0x10;

impl Frame {
    pub(super) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        let payload = payload.as_ref().to_vec();
        Frame { first: FIN | opcode, payload, announced: None, form: None, mask: Mask::AsDue }
    }

    pub(super) fn text(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(TEXT, payload)
    }

    pub(super) fn binary(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(BINARY, payload)
    }

    pub(super) fn continuation(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(CONTINUATION, payload)
    }

    pub(super) fn ping(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(PING, payload)
    }

    pub(super) fn pong(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(PONG, payload)
    }

    pub(super) fn close(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(CLOSE, payload)
    }

    pub(super) fn close_with(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        Frame::close([&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// Without FIN.
    pub(super) fn more(mut self) -> Frame {
        self.first &= !FIN;
        self
    }

    pub(super) fn reserved(mut self, bits: u8) -> Frame {
        self.first |= bits;
        self
    }

    /// The header says this length, whatever follows.
    pub(super) fn announcing(mut self, len: u64) -> Frame {
        self.announced = Some(len);
        self
    }

    pub(super) fn in_form(mut self, form: Form) -> Frame {
        self.form = Some(form);
        self
    }

    pub(super) fn keyed(mut self, key: [u8; 4]) -> Frame {
        self.mask = Mask::Key(key);
        self
    }

    /// Not masked where it must be, masked where it must not be.
    pub(super) fn wrongly_masked(mut self) -> Frame {
        self.mask = Mask::Wrong;
        self
    }

    pub(super) fn is_close(&self) -> bool {
        self.first & 0x0f == CLOSE
    }

    /// The bytes for a peer in this role.
    pub(super) fn encode(&self, peer: Role) -> Vec<u8> {
        let key = match (self.mask, peer) {
            (Mask::Key(key), _) => Some(key),
            (Mask::AsDue, Role::Server) | (Mask::Wrong, Role::Client) => Some(KEY),
            (Mask::AsDue, Role::Client) | (Mask::Wrong, Role::Server) => None,
        };
        let len = self.announced.unwrap_or(self.payload.len() as u64);
        let masked = if key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.form {
            None if len < 126 => bytes.push(masked | len as u8),
            Some(Form::Bits16) | None if len <= 0xffff => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&len.to_be_bytes());
            }
        }
        bytes.extend(key.iter().flatten());
        let start = bytes.len();
        bytes.extend_from_slice(&self.payload);
        if let Some(key) = key {
            xor(&mut bytes[start..], key);
        }
        bytes
    }
}

/// Every case can be repeated byte for byte, so the key is not random.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame that came from the peer.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) first: u8,
    pub(super) key: Option<[u8; 4]>,
    /// Whether the length was in its shortest form.
    pub(super) minimal: bool,
    pub(super) payload: Vec<u8>,
}

impl Heard {
    pub(super) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    pub(super) fn fin(&self) -> bool {
        self.first & FIN != 0
    }

    /// Takes a frame from the front of `input`; `Ok(None)` when it is not complete.
    ///
    /// # Errors
    /// A length that nothing here would send.
    pub(super) fn take(input: &mut Vec<u8>) -> Result<Option<Heard>, u64> {
        let &[first, second, ..] = input.as_slice() else { return Ok(None) };
        let short = u64::from(second & 0x7f);
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(extended) = input.get(2..2 + wide) else { return Ok(None) };
        let extended = extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        let (len, minimal) = match wide {
            0 => (short, true),
            2 => (extended, extended > 125),
            _ => (extended, extended > 0xffff),
        };
        if len > LONGEST {
            return Err(len);
        }
        let key_at = 2 + wide;
        let masked = second & 0x80 != 0;
        let start = key_at + if masked { 4 } else { 0 };
        let end = start + len as usize;
        if input.len() < end {
            return Ok(None);
        }
        let key = masked.then(|| [input[key_at], input[key_at + 1], input[key_at + 2], input[key_at + 3]]);
        let mut payload = input[start..end].to_vec();
        input.drain(..end);
        if let Some(key) = key {
            xor(&mut payload, key);
        }
        Ok(Some(Heard { first, key, minimal, payload }))
    }
}

/// No case makes a peer send more in one frame.
const LONGEST: u64 = 1 << 28;

fn xor(payload: &mut [u8], key: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_5_7_examples() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(Frame::text("Hello").encode(Role::Server), hello);
        assert_eq!(Frame::text("Hello").encode(Role::Client), b"\x81\x05Hello");
        let heard = Heard::take(&mut hello.to_vec()).unwrap().unwrap();
        assert_eq!((heard.opcode(), heard.fin(), heard.payload.as_slice()), (TEXT, true, &b"Hello"[..]));
        assert!(Heard::take(&mut hello[..10].to_vec()).unwrap().is_none());
    }

    #[test]
    fn wrong_frames_stay_wrong() {
        assert_eq!(Frame::text("a").in_form(Form::Bits16).encode(Role::Client), b"\x81\x7e\0\x01a");
        assert_eq!(Frame::text("a").in_form(Form::Bits64).encode(Role::Client).len(), 11);
        assert_eq!(Frame::binary([]).announcing(u64::MAX).encode(Role::Client)[..3], [0x82, 127, 0xff]);
        assert_eq!(
            Frame::ping("a").more().reserved(RSV3).wrongly_masked().encode(Role::Server),
            b"\x19\x01a"
        );
        let long = Heard::take(&mut Frame::text("a").in_form(Form::Bits64).encode(Role::Server));
        assert!(!long.unwrap().unwrap().minimal);
    }
}

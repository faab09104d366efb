//! The frame header of RFC 6455 section 5.2, decoded and encoded; pure, and without allocation.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| payload len |  extended payload length      |
//! |I|S|S|S|  (4)  |A|     (7)     |  16 bits when len is 126,     |
//! |N|V|V|V|       |S|             |  64 bits when it is 127       |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |  masking key, 32 bits, when MASK is set       | payload …     |
//! +-----------------------------------------------+---------------+
//! ```
//!
//! ```
//! use ws13::frame::{Header, OpCode};
//!
//! // "Hello" from a client, masked (RFC 6455 section 5.7).
//! let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let (header, header_len) = Header::decode(&bytes)?.expect("the header is complete");
//! assert_eq!((header.fin, header.opcode, header.payload_len), (true, OpCode::Text, 5));
//! assert_eq!(header.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
//!
//! let mut payload = bytes[header_len..].to_vec();
//! ws13::mask::apply(header.mask.unwrap(), 0, &mut payload);
//! assert_eq!(payload, b"Hello");
//! # Ok::<(), ws13::frame::HeaderError>(())
//! ```

use core::fmt;

/// The largest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// A masking key (RFC 6455 section 5.3), as it stands on the wire.
pub type MaskKey = [u8; 4];

/// A decoded frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// FIN: this is the last frame of its message.
    pub fin: bool,
    /// RSV1 to RSV3, which belong to extensions.
    pub rsv: Rsv,
    /// What the payload is.
    pub opcode: OpCode,
    /// The masking key, when the frame is masked: always from a client, never from a server.
    pub mask: Option<MaskKey>,
    /// Bytes of payload after the header; below 2^63.
    pub payload_len: u64,
}

impl Header {
    /// The longest header, in bytes: 2, 8 of extended length, 4 of masking key.
    pub const MAX_LEN: usize = 14;

    /// Reads a header from the start of `bytes`; gives it with its length in bytes, or `None` when more bytes
    /// are needed.
    ///
    /// # Errors
    /// What no role and no extension could make legal (RFC 6455 section 5.2 and 5.5) is an error as soon as the
    /// bytes show it, also in a header that is not complete yet.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let opcode = OpCode::from_bits(first);
        let fin = first & 0x80 != 0;
        let short_len = second & 0x7f;
        if opcode.is_control() {
            check_control(fin, short_len)?;
        }
        let Some((payload_len, rest)) = decode_length(short_len, rest)? else { return Ok(None) };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            (Some(*key), rest)
        };
        let header = Header { fin, rsv: Rsv::from_bits(first), opcode, mask, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// The header as bytes, with the shortest length that holds `payload_len` (a MUST of section 5.2).
    ///
    /// The most significant bit of `payload_len` has no place on the wire and is left out.
    #[inline]
    pub fn encode(&self) -> EncodedHeader {
        let mut bytes = [0; Header::MAX_LEN];
        bytes[0] = (u8::from(self.fin) << 7) | self.rsv.bits() | self.opcode.bits();
        let masked = u8::from(self.mask.is_some()) << 7;
        let mut len = 2;
        if self.payload_len < 126 {
            bytes[1] = masked | self.payload_len as u8;
        } else if let Ok(short) = u16::try_from(self.payload_len) {
            bytes[1] = masked | 126;
            bytes[2..4].copy_from_slice(&short.to_be_bytes());
            len = 4;
        } else {
            bytes[1] = masked | 127;
            bytes[2..10].copy_from_slice(&(self.payload_len & !MSB).to_be_bytes());
            len = 10;
        }
        if let Some(key) = self.mask {
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        EncodedHeader { bytes, len: len as u8 }
    }
}

/// A header's bytes, on the stack.
#[derive(Clone, Copy)]
pub struct EncodedHeader {
    bytes: [u8; Header::MAX_LEN],
    len: u8,
}

impl core::ops::Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for EncodedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The sixteen opcodes of RFC 6455 section 5.2; those named `Reserved…` belong to extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum OpCode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Reserved3 = 3,
    Reserved4 = 4,
    Reserved5 = 5,
    Reserved6 = 6,
    Reserved7 = 7,
    Close = 8,
    Ping = 9,
    Pong = 10,
    Reserved11 = 11,
    Reserved12 = 12,
    Reserved13 = 13,
    Reserved14 = 14,
    Reserved15 = 15,
}

impl OpCode {
    /// Reads the low four bits of a frame's first byte.
    #[inline]
    pub const fn from_bits(first_byte: u8) -> OpCode {
        OPCODES[(first_byte & 0x0f) as usize]
    }

    /// The opcode as a number, 0 to 15.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether this is a control frame's opcode: 8 to 15 (RFC 6455 section 5.5).
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x08 != 0
    }

    /// Whether the RFC leaves this opcode to the future: 3 to 7 and 11 to 15.
    #[inline]
    pub const fn is_reserved(self) -> bool {
        !matches!(
            self,
            OpCode::Continuation
                | OpCode::Text
                | OpCode::Binary
                | OpCode::Close
                | OpCode::Ping
                | OpCode::Pong
        )
    }
}

/// The three reserved bits of a header, each of which an extension may claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    /// None of the bits.
    pub const NONE: Rsv = Rsv(0);
    /// RSV1; permessage-deflate marks a compressed message with it (RFC 7692).
    pub const RSV1: Rsv = Rsv(0x40);
    /// RSV2.
    pub const RSV2: Rsv = Rsv(0x20);
    /// RSV3.
    pub const RSV3: Rsv = Rsv(0x10);

    /// Reads the bits from a frame's first byte.
    #[inline]
    pub const fn from_bits(first_byte: u8) -> Rsv {
        Rsv(first_byte & 0x70)
    }

    /// The bits where they stand in a frame's first byte.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Rsv) -> Rsv {
        Rsv(self.0 | other.0)
    }

    /// Whether every bit of `other` is set here.
    #[inline]
    pub const fn contains(self, other: Rsv) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A header that no role and no extension could make legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// A control frame without FIN (section 5.5: "MUST NOT be fragmented").
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A length that fits a shorter form (section 5.2: "the minimal number of bytes MUST be used").
    LengthNotMinimal,
    /// A 64-bit length of 2^63 or more (section 5.2: "the most significant bit MUST be 0").
    LengthTooLarge,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::FragmentedControl => "a control frame is fragmented",
            HeaderError::LongControl => "a control frame has more than 125 bytes of payload",
            HeaderError::LengthNotMinimal => "a payload length is not in its shortest form",
            HeaderError::LengthTooLarge => "a payload length has its most significant bit set",
        })
    }
}

impl core::error::Error for HeaderError {}

const MSB: u64 = 1 << 63;

const OPCODES: [OpCode; 16] = [
    OpCode::Continuation,
    OpCode::Text,
    OpCode::Binary,
    OpCode::Reserved3,
    OpCode::Reserved4,
    OpCode::Reserved5,
    OpCode::Reserved6,
    OpCode::Reserved7,
    OpCode::Close,
    OpCode::Ping,
    OpCode::Pong,
    OpCode::Reserved11,
    OpCode::Reserved12,
    OpCode::Reserved13,
    OpCode::Reserved14,
    OpCode::Reserved15,
];

fn check_control(fin: bool, short_len: u8) -> Result<(), HeaderError> {
    if !fin {
        return Err(HeaderError::FragmentedControl);
    }
    if usize::from(short_len) > MAX_CONTROL_PAYLOAD {
        return Err(HeaderError::LongControl);
    }
    Ok(())
}

/// The payload length and what follows it; `None` when it is not complete.
#[inline]
fn decode_length(short_len: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, HeaderError> {
    match short_len {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            match u16::from_be_bytes(*bytes) {
                0..126 => Err(HeaderError::LengthNotMinimal),
                len => Ok(Some((len.into(), rest))),
            }
        }
        127 => {
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(HeaderError::LengthTooLarge);
            }
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            match u64::from_be_bytes(*bytes) {
                0..0x1_0000 => Err(HeaderError::LengthNotMinimal),
                len => Ok(Some((len, rest))),
            }
        }
        len => Ok(Some((len.into(), rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(payload_len: u64, mask: Option<MaskKey>) -> Header {
        Header { fin: true, rsv: Rsv::NONE, opcode: OpCode::Binary, mask, payload_len }
    }

    #[test]
    fn every_length_round_trips_in_its_shortest_form() {
        let lengths = [
            (0, 2),
            (1, 2),
            (125, 2),
            (126, 4),
            (127, 4),
            (65_535, 4),
            (65_536, 10),
            (u64::from(u32::MAX), 10),
            (MSB - 1, 10),
        ];
        for (len, bytes) in lengths {
            for mask in [None, Some([1, 2, 3, 4])] {
                let encoded = header(len, mask).encode();
                let expected_len = bytes + if mask.is_some() { 4 } else { 0 };
                assert_eq!(encoded.len(), expected_len);
                assert_eq!(Header::decode(&encoded), Ok(Some((header(len, mask), expected_len))));
                for cut in 0..encoded.len() {
                    assert_eq!(Header::decode(&encoded[..cut]), Ok(None), "length {len} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn every_first_byte_round_trips() {
        for first in 0..=255u8 {
            let bytes = [first, 5];
            match Header::decode(&bytes) {
                Ok(Some((header, 2))) => assert_eq!(header.encode()[0], first),
                Err(HeaderError::FragmentedControl) => assert_eq!(first & 0x88, 0x08),
                other => panic!("{first:#x} gave {other:?}"),
            }
        }
    }

    #[test]
    fn the_minimal_number_of_bytes_must_be_used() {
        let not_minimal: [&[u8]; 3] = [
            &[0x82, 126, 0, 125],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 125],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ];
        for bytes in not_minimal {
            assert_eq!(Header::decode(bytes), Err(HeaderError::LengthNotMinimal));
        }
    }

    #[test]
    fn the_most_significant_bit_must_be_0_and_is_seen_at_its_first_byte() {
        assert_eq!(Header::decode(&[0x82, 0xff, 0x80]), Err(HeaderError::LengthTooLarge));
    }

    #[test]
    fn control_frames_must_not_be_fragmented_and_hold_125_bytes_at_most() {
        assert_eq!(Header::decode(&[0x09, 0x00]), Err(HeaderError::FragmentedControl));
        assert_eq!(Header::decode(&[0x89, 126]), Err(HeaderError::LongControl));
        assert_eq!(Header::decode(&[0x89, 0xff]), Err(HeaderError::LongControl));
        assert!(matches!(Header::decode(&[0x89, 125]), Ok(Some(_))));
    }
}

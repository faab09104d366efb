//! Deflate streams written block by block (RFC 1951), so that a case has exactly the bits it wants.

/// A stream under way; ends as a message of permessage-deflate does (RFC 7692 7.2.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Stream {
    pub(super) fn new() -> Stream {
        Stream::default()
    }

    /// A message as one block of fixed Huffman codes without any repetition.
    pub(super) fn message(text: impl AsRef<[u8]>) -> Vec<u8> {
        Stream::new().begin(false).literals(text).end().finish()
    }

    /// Begins a block of fixed codes.
    pub(super) fn begin(self, last: bool) -> Stream {
        self.put(u32::from(last) | 1 << 1, 3)
    }

    pub(super) fn literals(mut self, bytes: impl AsRef<[u8]>) -> Stream {
        for byte in bytes.as_ref() {
            self = self.symbol(u32::from(*byte));
        }
        self
    }

    /// Repeats `len` bytes (3 to 258) from `distance` (1 to 32,768) back.
    pub(super) fn copy(self, len: u32, distance: u32) -> Stream {
        let (symbol, extra, value) = match len {
            258 => (285, 0, 0),
            3..=10 => (254 + len, 0, 0),
            _ => scale(len - 3, 4, 257),
        };
        let stream = self.symbol(symbol).put(value, extra);
        let (symbol, extra, value) =
            if distance <= 4 { (distance - 1, 0, 0) } else { scale(distance - 1, 2, 0) };
        stream.code(symbol, 5).put(value, extra)
    }

    /// Ends a block of fixed codes.
    pub(super) fn end(self) -> Stream {
        self.symbol(256)
    }

    /// A block without compression.
    pub(super) fn stored(self, last: bool, bytes: &[u8]) -> Stream {
        let mut stream = self.put(u32::from(last), 3).align();
        let len = bytes.len() as u16;
        stream.bytes.extend_from_slice(&len.to_le_bytes());
        stream.bytes.extend_from_slice(&(!len).to_le_bytes());
        stream.bytes.extend_from_slice(bytes);
        stream
    }

    /// The message's payload: an empty stored block, without the four bytes that its end always has.
    pub(super) fn finish(self) -> Vec<u8> {
        self.put(0, 3).align().bytes
    }

    /// The bytes so far, filled up to a whole one, without an end.
    pub(super) fn cut(self) -> Vec<u8> {
        self.align().bytes
    }

    /// Bits, the lowest first.
    pub(super) fn put(mut self, value: u32, count: u32) -> Stream {
        self.bits |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
        self
    }

    /// A Huffman code: the highest bit first.
    fn code(self, code: u32, count: u32) -> Stream {
        self.put(code.reverse_bits() >> (32 - count), count)
    }

    fn symbol(self, symbol: u32) -> Stream {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    fn align(self) -> Stream {
        let fill = (8 - self.count % 8) % 8;
        self.put(0, fill)
    }
}

/// The symbol, the number of extra bits and their value for a length or distance on deflate's scale, where `steps`
/// symbols share a number of extra bits.
fn scale(value: u32, steps: u32, first: u32) -> (u32, u32, u32) {
    let extra = value.ilog2() - steps.ilog2();
    let symbol = steps * (extra + 1) + (value >> extra) - steps;
    (first + symbol, extra, value & ((1 << extra) - 1))
}

/// A message that inflates to `len` zeros, from about a 160th of it.
pub(super) fn bomb(len: usize) -> Vec<u8> {
    let mut stream = Stream::new().begin(false).literals([0]);
    for _ in 0..len / 258 {
        stream = stream.copy(258, 1);
    }
    stream.end().finish()
}

#[cfg(test)]
mod tests {
    use super::super::puff::Puff;
    use super::*;

    fn inflated(payload: &[u8]) -> Vec<u8> {
        Puff::new(1 << 15).message(&[payload, &[0, 0, 0xff, 0xff]].concat()).unwrap()
    }

    #[test]
    fn rfc_7692_7_2_3_1_example() {
        assert_eq!(Stream::message("Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }

    #[test]
    fn what_is_written_inflates() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(inflated(&Stream::message(&all)), all);
        assert_eq!(inflated(&Stream::new().stored(false, b"plain").finish()), b"plain");
        assert_eq!(inflated(&bomb(2_580)).len(), 2_581);
    }

    #[test]
    fn every_length_and_distance_has_its_code() {
        let past: Vec<u8> = (0..32_768u32).map(|n| ((n * n) >> 7) as u8 ^ n as u8).collect();
        for (len, distance) in
            (3..=258).step_by(5).map(|len| (len, len)).chain((1..=32_768).step_by(911).map(|d| (5, d)))
        {
            let stream = Stream::new().stored(false, &past).begin(false).copy(len, distance).end();
            let out = inflated(&stream.finish());
            let (back, len) = (distance as usize, len as usize);
            let wanted: Vec<u8> = (0..len).map(|i| out[out.len() - len - back + i]).collect();
            assert_eq!((out.len(), &out[out.len() - len..]), (32_768 + len, &wanted[..]), "{len} {distance}");
        }
    }
}

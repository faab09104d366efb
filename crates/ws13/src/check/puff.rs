//! A slow, obvious inflater (RFC 1951) that looks at every distance: it must stay within a window, and within what was
//! put out before.

/// Inflates messages; what came out of those before is its history.
pub(crate) struct Puff {
    reach: usize,
    history: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    CutOff,
    Block,
    Code,
    Distance,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, Wrong> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Wrong::CutOff)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.div_ceil(8) * 8;
    }
}

/// A canonical Huffman code: the lengths of its symbols.
struct Code(Vec<u8>);

impl Code {
    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Wrong> {
        // The first code of each length, counted up as RFC 1951, 3.2.2 does.
        let (mut code, mut first) = (0, 0);
        for len in 1..=15u8 {
            code |= bits.take(1)?;
            let of_len = self.0.iter().filter(|other| **other == len).count();
            if code < first + of_len {
                let nth = code - first;
                let symbols = self.0.iter().enumerate().filter(|(_, other)| **other == len);
                return symbols.map(|(symbol, _)| symbol).nth(nth).ok_or(Wrong::Code);
            }
            first = (first + of_len) << 1;
            code <<= 1;
        }
        Err(Wrong::Code)
    }
}

impl Puff {
    pub(crate) fn new(reach: usize) -> Puff {
        Puff { reach, history: Vec::new() }
    }

    pub(crate) fn forget(&mut self) {
        self.history.clear();
    }

    /// A message with its tail.
    pub(crate) fn message(&mut self, input: &[u8]) -> Result<Vec<u8>, Wrong> {
        let start = self.history.len();
        let mut bits = Bits { bytes: input, at: 0 };
        while bits.at < 8 * input.len() {
            let is_final = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => self.stored(&mut bits)?,
                1 => {
                    let lengths = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
                    self.coded(&mut bits, &Code(lengths), &Code(vec![5; 30]))?;
                }
                2 => {
                    let (literals, distances) = dynamic(&mut bits)?;
                    self.coded(&mut bits, &literals, &distances)?;
                }
                _ => return Err(Wrong::Block),
            }
            if is_final {
                bits.align();
            }
        }
        let message = self.history[start..].to_vec();
        self.history.drain(..self.history.len().saturating_sub(self.reach));
        Ok(message)
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Wrong> {
        bits.align();
        let (len, not) = (bits.take(16)?, bits.take(16)?);
        if len ^ not != 0xffff {
            return Err(Wrong::Block);
        }
        for _ in 0..len {
            let byte = bits.take(8)? as u8;
            self.history.push(byte);
        }
        Ok(())
    }

    fn coded(&mut self, bits: &mut Bits<'_>, literals: &Code, distances: &Code) -> Result<(), Wrong> {
        loop {
            let symbol = literals.symbol(bits)?;
            match symbol {
                0..=255 => self.history.push(symbol as u8),
                256 => return Ok(()),
                _ => {
                    let len = length(symbol, bits)?;
                    let distance = distance(distances.symbol(bits)?, bits)?;
                    if distance > self.history.len() || distance > self.reach {
                        return Err(Wrong::Distance);
                    }
                    for _ in 0..len {
                        self.history.push(self.history[self.history.len() - distance]);
                    }
                }
            }
        }
    }
}

fn length(symbol: usize, bits: &mut Bits<'_>) -> Result<usize, Wrong> {
    Ok(match symbol {
        257..=264 => symbol - 254,
        265..=284 => {
            let extra = (symbol - 261) / 4;
            ((4 + (symbol - 265) % 4) << extra) + 3 + bits.take(extra)?
        }
        285 => 258,
        _ => return Err(Wrong::Code),
    })
}

fn distance(symbol: usize, bits: &mut Bits<'_>) -> Result<usize, Wrong> {
    Ok(match symbol {
        0..=3 => symbol + 1,
        4..=29 => {
            let extra = symbol / 2 - 1;
            ((2 + symbol % 2) << extra) + 1 + bits.take(extra)?
        }
        _ => return Err(Wrong::Code),
    })
}

fn dynamic(bits: &mut Bits<'_>) -> Result<(Code, Code), Wrong> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut of_lengths = vec![0; 19];
    for place in &ORDER[..codes] {
        of_lengths[*place] = bits.take(3)? as u8;
    }
    let of_lengths = Code(of_lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match of_lengths.symbol(bits)? {
            length @ 0..=15 => (length as u8, 1),
            16 => (*lengths.last().ok_or(Wrong::Code)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    let distances = lengths.split_off(literals);
    Ok((Code(lengths), Code(distances)))
}

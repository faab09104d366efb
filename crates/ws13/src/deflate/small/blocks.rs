//! One block for a message: stored, with fixed or with dynamic codes, whichever is the smallest (RFC 1951 section 3.2.3).

use super::bits::Bits;
use super::huffman::{self, Code, codes};
use super::token::{DISTANCES, END, LITERALS, Symbol, Token, distance_symbol, length_symbol};
use std::vec::Vec;

/// Dynamic codes that are not worth a try: their own description takes some 40 bytes, so that a block of fewer bytes than
/// this with fixed codes hardly ever gets smaller.
const TOO_SMALL: u32 = 8 * 72;

/// BTYPE, behind a BFINAL of 0 (section 3.2.3).
const STORED: u32 = 0b00 << 1;
pub(super) const FIXED: u32 = 0b01 << 1;
const DYNAMIC: u32 = 0b10 << 1;

/// Appends a message that is these tokens. What is missing of the flush behind it are "4 octets (that are 0x00 0x00 0xff
/// 0xff)" (RFC 7692 section 7.2.1): the three bits of an empty stored block are there, and are zero.
pub(super) fn write(tokens: &[Token], message: &[u8], dynamic: bool, out: &mut Vec<u8>) {
    let fixed = fixed_bits(tokens);
    let stored = 8 * (message.len() as u32 + 5);
    let mut bits = Bits::new(out);
    let dynamic = if dynamic && fixed > TOO_SMALL { Dynamic::of(tokens) } else { None };
    match dynamic {
        Some(dynamic) if dynamic.bits < fixed.min(stored) => {
            bits.put(DYNAMIC, 3);
            dynamic.describe(&mut bits);
            put_tokens(tokens, &codes(&dynamic.literals), &codes(&dynamic.distances), &mut bits);
        }
        _ => match u16::try_from(message.len()) {
            Ok(len) if stored < fixed => put_stored(message, len, &mut bits),
            _ => {
                bits.put(FIXED, 3);
                put_tokens(tokens, &FIXED_LITERALS, &FIXED_DISTANCES, &mut bits);
            }
        },
    }
    bits.put(STORED, 3);
    bits.align();
}

/// The lengths of the fixed codes (section 3.2.6).
const fn fixed_lengths() -> [u8; 288] {
    let mut lengths = [8; 288];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
}

const FIXED_LITERALS: [Code; 288] = codes(&fixed_lengths());
/// "Distance codes 0-31 are represented by (fixed-length) 5-bit codes".
static FIXED_DISTANCES: [Code; 32] = codes(&[5; 32]);

/// Appends a literal with its fixed code.
#[inline(always)]
pub(super) fn put_fixed_literal(byte: u8, bits: &mut Bits<'_>) {
    let code = FIXED_LITERALS[usize::from(byte)];
    bits.put(code.bits.into(), code.len.into());
}

/// Appends a reference with the fixed codes.
#[inline(always)]
pub(super) fn put_fixed_reference(len: usize, distance: usize, bits: &mut Bits<'_>) {
    let (length, count) = FIXED_LENGTHS[(len - 3) & 0xff];
    let distance = distance_symbol((distance - 1) as u16);
    let code = FIXED_DISTANCES[usize::from(distance.symbol & 31)];
    let behind = u32::from(code.bits) | u32::from(distance.extra) << code.len;
    let count = u32::from(count);
    bits.put(
        u32::from(length) | behind << count,
        count + u32::from(code.len) + u32::from(distance.extra_bits),
    );
}

/// Appends the end of a block with fixed codes, and of the message.
pub(super) fn end_fixed(mut bits: Bits<'_>) {
    put_symbol(Symbol { symbol: END as u16, extra: 0, extra_bits: 0 }, &FIXED_LITERALS, &mut bits);
    bits.put(STORED, 3);
    bits.align();
}

/// The bytes of a message as a stored block, with the bits behind it.
pub(super) fn stored_len(message: &[u8]) -> usize {
    message.len() + 6
}

/// Appends a message as a stored block, and its end.
pub(super) fn write_stored(message: &[u8], out: &mut Vec<u8>) {
    let mut bits = Bits::new(out);
    // No message is longer than fits into two bytes.
    put_stored(message, message.len() as u16, &mut bits);
    bits.put(STORED, 3);
    bits.align();
}

/// "LEN is the number of data bytes in the block. NLEN is the one's complement of LEN." (section 3.2.4)
fn put_stored(message: &[u8], len: u16, bits: &mut Bits<'_>) {
    bits.put(STORED, 3);
    bits.bytes(&len.to_le_bytes());
    bits.bytes(&(!len).to_le_bytes());
    bits.bytes(message);
}

/// The fixed codes of all lengths less three, with what stands behind them, and how many bits that is.
static FIXED_LENGTHS: [(u16, u8); 256] = {
    let mut all = [(0, 0); 256];
    let mut more = 0;
    while more < 256 {
        let Symbol { symbol, extra, extra_bits } = length_symbol(more as u16);
        let code = FIXED_LITERALS[symbol as usize];
        all[more] = (code.bits | extra << code.len, code.len + extra_bits);
        more += 1;
    }
    all
};

/// What the tokens and their end take with the fixed codes.
fn fixed_bits(tokens: &[Token]) -> u32 {
    let bits = |token: &Token| token.fixed_bits();
    3 + 7 + tokens.iter().map(bits).sum::<u32>()
}

fn put_tokens(tokens: &[Token], literals: &[Code], distances: &[Code], bits: &mut Bits<'_>) {
    for token in tokens {
        let (symbol, distance) = token.symbols();
        put_symbol(symbol, literals, bits);
        if let Some(distance) = distance {
            put_symbol(distance, distances, bits);
        }
    }
    put_symbol(Symbol { symbol: END as u16, extra: 0, extra_bits: 0 }, literals, bits);
}

#[inline(always)]
fn put_symbol(symbol: Symbol, codes: &[Code], bits: &mut Bits<'_>) {
    let code = codes[usize::from(symbol.symbol)];
    let extra = u32::from(symbol.extra) << code.len;
    bits.put(u32::from(code.bits) | extra, u32::from(code.len) + u32::from(symbol.extra_bits));
}

/// Codes for one block (section 3.2.7).
struct Dynamic {
    literals: [u8; LITERALS],
    distances: [u8; DISTANCES],
    /// How many of each are described.
    literals_used: usize,
    distances_used: usize,
    /// The lengths above, as they are written.
    steps: [Step; LITERALS + DISTANCES],
    steps_used: usize,
    /// The lengths of the codes for the steps.
    alphabet: [u8; ALPHABET],
    alphabet_used: usize,
    /// What the block takes with them.
    bits: u32,
}

/// "The alphabet for code lengths".
const ALPHABET: usize = 19;

/// "(HCLEN + 4) x 3 bits: code lengths for the code length alphabet given just above, in the order".
const ORDER: [usize; ALPHABET] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A symbol of that alphabet, and what stands behind it.
#[derive(Clone, Copy)]
struct Step {
    symbol: u8,
    extra: u8,
}

impl Step {
    fn extra_bits(self) -> u8 {
        match self.symbol {
            16 => 2,
            17 => 3,
            18 => 7,
            _ => 0,
        }
    }
}

impl Dynamic {
    /// The codes that are the best for these tokens.
    fn of(tokens: &[Token]) -> Option<Dynamic> {
        // More of them than are counted in 16 bits are of no small message.
        u16::try_from(tokens.len() + 1).ok()?;
        let (mut literals, mut distances) = ([0_u16; LITERALS], [0_u16; DISTANCES]);
        let mut bits = 0;
        literals[END] = 1;
        for token in tokens {
            let (symbol, distance) = token.symbols();
            literals[usize::from(symbol.symbol)] += 1;
            bits += u32::from(symbol.extra_bits);
            if let Some(distance) = distance {
                distances[usize::from(distance.symbol)] += 1;
                bits += u32::from(distance.extra_bits);
            }
        }
        let mut codes = Dynamic {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            literals_used: 0,
            distances_used: 0,
            steps: [Step { symbol: 0, extra: 0 }; LITERALS + DISTANCES],
            steps_used: 0,
            alphabet: [0; ALPHABET],
            alphabet_used: 0,
            bits: 0,
        };
        huffman::lengths(&literals, huffman::LONGEST, &mut codes.literals);
        huffman::lengths(&distances, huffman::LONGEST, &mut codes.distances);
        codes.bits = bits + taken(&literals, &codes.literals) + taken(&distances, &codes.distances);
        codes.bits += codes.plan();
        Some(codes)
    }

    /// Plans the description; gives the bits that it takes, with the block's header.
    fn plan(&mut self) -> u32 {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|len| *len > 0).map_or(least, |at| least.max(at + 1))
        };
        // "HLIT, # of Literal/Length codes - 257", "HDIST, # of Distance codes - 1".
        (self.literals_used, self.distances_used) = (used(&self.literals, 257), used(&self.distances, 1));
        let mut lengths = [0; LITERALS + DISTANCES];
        let (literals, distances) = lengths.split_at_mut(self.literals_used);
        literals.copy_from_slice(&self.literals[..self.literals_used]);
        distances[..self.distances_used].copy_from_slice(&self.distances[..self.distances_used]);
        self.plan_steps(&lengths[..self.literals_used + self.distances_used]);
        let steps = &self.steps[..self.steps_used];
        let mut counts = [0_u16; ALPHABET];
        let mut bits = 0;
        for step in steps {
            counts[usize::from(step.symbol)] += 1;
            bits += u32::from(step.extra_bits());
        }
        huffman::lengths(&counts, 7, &mut self.alphabet);
        self.alphabet_used =
            ORDER.iter().rposition(|symbol| self.alphabet[*symbol] > 0).map_or(4, |at| 4.max(at + 1));
        3 + 5 + 5 + 4 + 3 * self.alphabet_used as u32 + bits + taken(&counts, &self.alphabet)
    }

    /// "16: Copy the previous code length 3 - 6 times", "17: Repeat a code length of 0 for 3 - 10 times", "18: Repeat a code
    /// length of 0 for 11 - 138 times".
    fn plan_steps(&mut self, lengths: &[u8]) {
        let mut rest = lengths;
        let mut before = None;
        while let Some(&len) = rest.first() {
            let run = rest.iter().take_while(|next| **next == len).count();
            let (symbol, extra, run) = match run {
                11.. if len == 0 => (18, run.min(138) - 11, run.min(138)),
                3.. if len == 0 => (17, run - 3, run),
                3.. if before == Some(len) => (16, run.min(6) - 3, run.min(6)),
                _ => (len, 0, 1),
            };
            self.steps[self.steps_used] = Step { symbol, extra: extra as u8 };
            self.steps_used += 1;
            before = Some(len);
            rest = &rest[run..];
        }
    }

    /// The header behind BTYPE.
    fn describe(&self, bits: &mut Bits<'_>) {
        bits.put(self.literals_used as u32 - 257, 5);
        bits.put(self.distances_used as u32 - 1, 5);
        bits.put(self.alphabet_used as u32 - 4, 4);
        for symbol in &ORDER[..self.alphabet_used] {
            bits.put(self.alphabet[*symbol].into(), 3);
        }
        let codes = codes(&self.alphabet);
        for step in &self.steps[..self.steps_used] {
            let symbol = Symbol {
                symbol: step.symbol.into(),
                extra: step.extra.into(),
                extra_bits: step.extra_bits(),
            };
            put_symbol(symbol, &codes, bits);
        }
    }
}

/// The bits of symbols of these frequencies.
fn taken(frequencies: &[u16], lengths: &[u8]) -> u32 {
    frequencies.iter().zip(lengths).map(|(frequency, len)| u32::from(*frequency) * u32::from(*len)).sum()
}

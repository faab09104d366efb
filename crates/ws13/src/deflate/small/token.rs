//! Literals and references, and the symbols that stand for them (RFC 1951 section 3.2.5).

/// Bytes of the shortest and the longest reference.
pub(super) const SHORTEST: usize = 3;
pub(super) const LONGEST: usize = 258;

/// Symbols for literals, the block's end and lengths; for distances.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;

/// "256 indicates end-of-block."
pub(super) const END: usize = 256;

/// A literal, or a reference to a length at a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// 0 for a literal.
    distance: u16,
    /// The literal, or the length less three.
    value: u8,
}

/// A symbol, and the bits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) symbol: u16,
    pub(super) extra: u16,
    pub(super) extra_bits: u8,
}

impl Token {
    pub(super) fn literal(byte: u8) -> Token {
        Token { distance: 0, value: byte }
    }

    /// 3 to 258 bytes, from 1 to 32,768 bytes before.
    pub(super) fn reference(len: usize, distance: usize) -> Token {
        debug_assert!((SHORTEST..=LONGEST).contains(&len) && (1..=1 << 15).contains(&distance));
        Token { distance: distance as u16, value: (len - SHORTEST) as u8 }
    }

    pub(super) fn is_literal(self) -> bool {
        self.distance == 0
    }

    /// What it takes with the fixed codes (section 3.2.6): literals have 8 or 9 bits, lengths 7 or 8, distances 5.
    #[inline(always)]
    pub(super) fn fixed_bits(self) -> u32 {
        if self.is_literal() {
            return 8 + u32::from(self.value >= 144);
        }
        let length =
            7 + u32::from(LENGTHS[usize::from(self.value)].extra_bits) + u32::from(self.value >= 112);
        length + 5 + ((self.distance - 1) | 3).ilog2() - 1
    }

    /// The literal's or length's symbol, and the distance's.
    #[inline(always)]
    pub(super) fn symbols(self) -> (Symbol, Option<Symbol>) {
        match self.distance {
            0 => (Symbol { symbol: self.value.into(), extra: 0, extra_bits: 0 }, None),
            distance => (LENGTHS[usize::from(self.value)], Some(distance_symbol(distance - 1))),
        }
    }
}

/// The symbols of all lengths.
static LENGTHS: [Symbol; 256] = {
    let mut all = [Symbol { symbol: 0, extra: 0, extra_bits: 0 }; 256];
    let mut more = 0;
    while more < 256 {
        all[more] = length_symbol(more as u16);
        more += 1;
    }
    all
};

/// For a length of `more` bytes over three: four symbols for each power of two, and one for 258.
pub(super) const fn length_symbol(more: u16) -> Symbol {
    match more {
        0..4 => Symbol { symbol: 257 + more, extra: 0, extra_bits: 0 },
        255 => Symbol { symbol: 285, extra: 0, extra_bits: 0 },
        _ => {
            let extra_bits = more.ilog2() - 2;
            let symbol = 257 + 4 * (extra_bits as u16 + 1) + (more >> extra_bits & 3);
            Symbol { symbol, extra: more & ((1 << extra_bits) - 1), extra_bits: extra_bits as u8 }
        }
    }
}

/// For a distance of `more` bytes over one: two symbols for each power of two.
#[inline(always)]
pub(super) fn distance_symbol(more: u16) -> Symbol {
    if more < 4 {
        return Symbol { symbol: more, extra: 0, extra_bits: 0 };
    }
    let extra_bits = more.ilog2() - 1;
    let symbol = 2 * (extra_bits as u16 + 1) + (more >> extra_bits & 1);
    Symbol { symbol, extra: more & ((1 << extra_bits) - 1), extra_bits: extra_bits as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1951_3_2_5_the_tables() {
        // The first length and distance of each symbol, and the bits behind it, as they are printed there.
        let lengths = [
            (257, 0, 3),
            (264, 0, 10),
            (265, 1, 11),
            (268, 1, 17),
            (269, 2, 19),
            (272, 2, 31),
            (273, 3, 35),
            (276, 3, 59),
            (277, 4, 67),
            (280, 4, 115),
            (281, 5, 131),
            (284, 5, 227),
            (285, 0, 258),
        ];
        for (symbol, extra_bits, len) in lengths {
            let found = Token::reference(len, 1).symbols().0;
            assert_eq!(found, Symbol { symbol, extra: 0, extra_bits });
        }
        let distances = [
            (0, 0, 1),
            (3, 0, 4),
            (4, 1, 5),
            (5, 1, 7),
            (10, 4, 33),
            (17, 7, 385),
            (20, 9, 1025),
            (23, 10, 3073),
            (28, 13, 16385),
            (29, 13, 24577),
        ];
        for (symbol, extra_bits, distance) in distances {
            let found = Token::reference(3, distance).symbols().1;
            assert_eq!(found, Some(Symbol { symbol, extra: 0, extra_bits }));
        }
        let last = Token::reference(257, 32768).symbols();
        assert_eq!(last.0, Symbol { symbol: 284, extra: 30, extra_bits: 5 });
        assert_eq!(last.1, Some(Symbol { symbol: 29, extra: 8191, extra_bits: 13 }));
    }

    #[test]
    fn each_length_and_distance_goes_on_where_the_one_before_ended() {
        let follows = |before: Symbol, next: Symbol| {
            let same = next.symbol == before.symbol && next.extra == before.extra + 1;
            let new = next.symbol == before.symbol + 1 && next.extra == 0;
            same || (new && before.extra + 1 == 1 << before.extra_bits)
        };
        for len in SHORTEST..LONGEST - 1 {
            assert!(follows(Token::reference(len, 1).symbols().0, Token::reference(len + 1, 1).symbols().0));
        }
        for distance in 1..1 << 15 {
            let symbol = |distance| Token::reference(3, distance).symbols().1.unwrap();
            assert!(follows(symbol(distance), symbol(distance + 1)), "{distance}");
        }
    }
}

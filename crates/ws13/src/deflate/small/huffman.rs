//! Huffman codes: lengths from frequencies, and codes from lengths (RFC 1951 section 3.2.2).

/// A code, ready to be written: its first bit is the lowest ("packed starting with the most-significant bit of the code",
/// section 3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) len: u8,
}

/// Symbols of the largest alphabet.
const MOST: usize = 288;

/// Bits of the longest code.
pub(super) const LONGEST: usize = 15;

/// The codes of these lengths: "All codes of a given bit length have lexicographically consecutive values, in the same order
/// as the symbols they represent. Shorter codes lexicographically precede longer codes" (section 3.2.2). Of an alphabet
/// of less than `N` symbols the others have length 0, and no code.
pub(super) const fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut next = [0_u16; LONGEST + 2];
    let mut at = 0;
    while at < N {
        next[lengths[at] as usize + 1] += 1;
        at += 1;
    }
    // The first code of each length, from how many there are of the lengths before it.
    next[1] = 0;
    let mut len = 1;
    while len < LONGEST {
        next[len + 1] = (next[len] + next[len + 1]) << 1;
        len += 1;
    }
    let mut codes = [Code { bits: 0, len: 0 }; N];
    let mut at = 0;
    while at < N {
        let len = lengths[at];
        if len > 0 {
            let code = next[len as usize];
            codes[at] = Code { bits: code.reverse_bits() >> (16 - len), len };
            next[len as usize] = code + 1;
        }
        at += 1;
    }
    codes
}

/// The lengths of codes that make symbols of these frequencies shortest, up to `limit` bits each; 0 for what does not occur.
/// At least two symbols get a code, so that the code is complete: no decoder takes offence.
pub(super) fn lengths(frequencies: &[u16], limit: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    // The frequency above, the symbol below: one number to sort by.
    let mut used = [0_u32; MOST];
    let mut count = 0;
    for (symbol, &frequency) in (0_u32..).zip(frequencies) {
        if frequency > 0 {
            used[count] = u32::from(frequency) << 16 | symbol;
            count += 1;
        }
    }
    for symbol in 0..2 {
        if count < 2 && frequencies[symbol as usize] == 0 {
            used[count] = 1 << 16 | symbol;
            count += 1;
        }
    }
    let used = &mut used[..count];
    used.sort_unstable();
    let mut of_each = leaves_of_each_depth(used, limit);
    // The rarest have the longest.
    let mut len = limit;
    for symbol in used.iter().map(|used| *used & 0xffff) {
        while of_each[len] == 0 {
            len -= 1;
        }
        of_each[len] -= 1;
        lengths[symbol as usize] = len as u8;
    }
}

/// How many leaves Huffman's tree has at each depth, once it is not deeper than `limit`.
fn leaves_of_each_depth(sorted: &[u32], limit: usize) -> [u16; LONGEST + 1] {
    let mut depths = [0_u16; MOST];
    let depths = &mut depths[..sorted.len()];
    tree(sorted, depths);
    let mut of_each = [0_u16; LONGEST + 1];
    for depth in depths {
        of_each[usize::from(*depth).min(limit)] += 1;
    }
    // In units of the deepest leaf: those that were moved up take more room than there is.
    let mut taken: u32 = (1..=limit).map(|depth| u32::from(of_each[depth]) << (limit - depth)).sum();
    while taken > 1 << limit {
        // One of the deepest takes the place beside a leaf that moves down by one: the two need what the one had.
        let Some(above) = (1..limit).rev().find(|depth| of_each[*depth] > 0) else { break };
        of_each[limit] -= 1;
        of_each[above] -= 1;
        of_each[above + 1] += 2;
        taken -= 1;
    }
    of_each
}

/// The depth of each leaf in Huffman's tree, from weights that rise. Two queues, of leaves and of nodes in the order in
/// which they were made, are always sorted: the two least weights stand at their fronts.
fn tree(sorted: &[u32], depths: &mut [u16]) {
    let n = sorted.len();
    let mut weights = [0_u32; MOST];
    let mut parents = [0_u16; 2 * MOST];
    let (mut leaf, mut node) = (0, 0);
    for made in 0..n.saturating_sub(1) {
        let mut weight = 0;
        for _ in 0..2 {
            let leaf_weight = sorted.get(leaf).map_or(u32::MAX, |used| used >> 16);
            let is_leaf = node >= made || leaf_weight <= weights[node];
            if is_leaf {
                weight += leaf_weight;
                parents[leaf] = made as u16;
                leaf += 1;
            } else {
                weight += weights[node];
                parents[n + node] = made as u16;
                node += 1;
            }
        }
        weights[made] = weight;
    }
    // The node that was made last is the root.
    let mut node_depths = [0_u16; MOST];
    for node in (0..n.saturating_sub(2)).rev() {
        node_depths[node] = node_depths[usize::from(parents[n + node])] + 1;
    }
    for (depth, parent) in depths.iter_mut().zip(parents) {
        *depth = node_depths[usize::from(parent)] + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn lengths_of(frequencies: &[u16], limit: usize) -> Vec<u8> {
        let mut out = std::vec![0; frequencies.len()];
        lengths(frequencies, limit, &mut out);
        out
    }

    /// Every symbol that occurs has a code, and every sequence of bits is one of codes.
    fn is_complete(frequencies: &[u16], lengths: &[u8], limit: usize) -> bool {
        let taken: u32 =
            lengths.iter().filter(|len| **len > 0).map(|len| 1 << (limit - usize::from(*len))).sum();
        let all = frequencies.iter().zip(lengths).all(|(frequency, len)| *frequency == 0 || *len > 0);
        all && taken == 1 << limit && lengths.iter().all(|len| usize::from(*len) <= limit)
    }

    #[test]
    fn rfc_1951_3_2_2_the_example() {
        // "Consider the alphabet ABCDEFGH, with bit lengths (3, 3, 3, 3, 3, 2, 4, 4)."
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        for (code, expected) in codes.iter().zip(expected) {
            assert_eq!(code.bits.reverse_bits() >> (16 - code.len), expected);
        }
    }

    #[test]
    fn rfc_1951_3_2_7_no_code_is_longer_than_15_or_7_bits() {
        // Fibonacci's numbers make the deepest tree there is.
        let mut fibonacci = std::vec![1_u16, 1];
        while let Some(next) = fibonacci[fibonacci.len() - 1].checked_add(fibonacci[fibonacci.len() - 2]) {
            fibonacci.push(next);
        }
        for (limit, symbols) in [(15, 24), (7, 19), (7, 9), (15, 17), (15, 16), (7, 8), (7, 3)] {
            for rotated in 0..symbols {
                let mut frequencies = fibonacci[..symbols].to_vec();
                frequencies.rotate_left(rotated);
                let lengths = lengths_of(&frequencies, limit);
                assert!(is_complete(&frequencies, &lengths, limit), "{limit} {symbols} {lengths:?}");
            }
        }
        assert_eq!(lengths_of(&fibonacci[..17], 15).iter().max(), Some(&15));
        assert_eq!(lengths_of(&fibonacci[..19], 7).iter().max(), Some(&7));
    }

    #[test]
    fn at_least_two_symbols_have_a_code() {
        for frequencies in [[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]] {
            let lengths = lengths_of(&frequencies, 15);
            assert_eq!(lengths.iter().filter(|len| **len == 1).count(), 2, "{lengths:?}");
            assert!(is_complete(&frequencies, &lengths, 15));
        }
    }

    proptest! {
        #[test]
        fn every_code_is_complete_and_within_its_limit(
            frequencies in vec(prop_oneof![Just(0_u16), 1..20_u16, any::<u16>()], 2..288),
        ) {
            prop_assert!(is_complete(&frequencies, &lengths_of(&frequencies, 15), 15));
            let few = &frequencies[..frequencies.len().min(19)];
            prop_assert!(is_complete(few, &lengths_of(few, 7), 7));
        }

        /// As good as a tree that is put together from the two least weights, again and again.
        #[test]
        fn what_is_within_the_limit_is_as_short_as_it_can_be(frequencies in vec(1..50_u16, 2..20)) {
            let lengths = lengths_of(&frequencies, 15);
            let mut weights: Vec<u32> = frequencies.iter().copied().map(u32::from).collect();
            let mut least = 0;
            while weights.len() > 1 {
                weights.sort_unstable_by(|a, b| b.cmp(a));
                let two = weights.pop().unwrap() + weights.pop().unwrap();
                least += two;
                weights.push(two);
            }
            let total: u32 = frequencies.iter().zip(&lengths).map(|(f, len)| u32::from(*f) * u32::from(*len)).sum();
            prop_assert_eq!(total, least);
        }
    }
}

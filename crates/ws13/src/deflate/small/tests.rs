//! The encoder against other people's decoders, and against hostile bytes.

use super::finder::Finder;
use super::parse::{self, Effort};
use super::token::Token;
use super::*;
use flate2::{Decompress, FlushDecompress, Status};
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../../check/puff.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "the conformance suite has it, too, and uses all of it")]
mod puff;

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const LEVELS: [u8; 4] = [1, 2, 3, 6];

fn small(manner: Manner, history: &[u8], message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(manner, history, message, &mut out);
    out
}

/// What two decoders say that it is; the slow one looks at every distance.
fn inflated(manner: Manner, history: &[u8], payload: &[u8]) -> Vec<u8> {
    let input = [payload, &TAIL].concat();
    let mut decoder = Decompress::new(false);
    let mut slow = puff::Puff::new(manner.reach());
    if !history.is_empty() {
        // As a stored block, which puts it into the window.
        for piece in history.chunks(60_000) {
            let len = piece.len() as u16;
            let stored = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), piece].concat();
            assert_eq!(slow.message(&stored).unwrap(), piece);
            let mut out = vec![0; piece.len() + 9];
            decoder.decompress(&stored, &mut out, FlushDecompress::Sync).unwrap();
        }
    }
    let mut out = vec![0; LONGEST + 99];
    let before = decoder.total_out();
    let status = decoder.decompress(&input, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(status, Status::Ok);
    out.truncate((decoder.total_out() - before) as usize);
    assert_eq!(slow.message(&input).expect("a valid stream within its window"), out);
    out
}

fn check(manner: Manner, history: &[u8], message: &[u8]) -> usize {
    let payload = small(manner, history, message);
    // Five bytes of a stored block's head, and one of the block behind it.
    assert!(payload.len() <= message.len() + 6, "{} of {}", payload.len(), message.len());
    assert!(inflated(manner, history, &payload) == message, "{manner:?}");
    payload.len()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

fn json(len: usize, from: usize) -> Vec<u8> {
    let row = |i: usize| {
        std::format!(r#"{{"id":{},"name":"sensor-{}","value":{}.{}}},"#, i * 7919, i % 13, i % 40, i * 37)
    };
    let mut text: std::string::String = (from..from + 1 + len / 20).map(row).collect();
    text.truncate(len);
    text.into_bytes()
}

/// Symbols as frequent as Fibonacci's numbers, which make the deepest tree, and no two the same in a row.
fn fibonacci(symbols: u8, len: usize) -> Vec<u8> {
    let mut weights = std::vec![1_usize, 1];
    while weights.len() < symbols.into() {
        weights.push(weights[weights.len() - 1] + weights[weights.len() - 2]);
    }
    let total: usize = weights.iter().sum();
    let order = noise(2 * len);
    let pick = |pair: &[u8]| {
        let part = usize::from(pair[0]) << 8 | usize::from(pair[1]);
        let mut at = (part * total) >> 16;
        let found = weights.iter().position(|weight| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        found.unwrap_or(0) as u8 * 3
    };
    order.chunks(2).map(pick).collect()
}

#[test]
fn every_sort_of_bytes_at_every_window_size_and_level() {
    let mut all = std::vec![
        b"x".to_vec(),
        b"xy".to_vec(),
        b"aaaa".to_vec(),
        std::vec![0; LONGEST],
        std::vec![255; 300]
    ];
    for len in [3, 7, 8, 9, 64, 264, 1024, LONGEST] {
        all.extend([noise(len), json(len, 7), fibonacci(20, len), noise(1 + len / 9).repeat(8)]);
        all.push(b"the quick brown fox ".iter().copied().cycle().take(len).collect());
    }
    all.retain(|message| takes(6, message.len()));
    for window_bits in 8..=15 {
        for level in LEVELS {
            let manner = Manner { level, window_bits, histories: 64 };
            let reach = manner.reach();
            for message in all.iter().filter(|message| message.len() < 2000 || level == 6) {
                check(manner, &[], message);
                check(manner, message, message);
                // What is the same begins exactly at the window's end, and one byte beyond it.
                for gap in [reach - message.len().min(reach), reach.saturating_sub(message.len()) + 1] {
                    check(manner, &[message, &noise(gap)[..]].concat(), message);
                }
            }
        }
    }
}

#[test]
fn the_smallest_of_the_three_sorts_of_blocks_is_taken() {
    let manner = Manner { level: 6, window_bits: 15, histories: 64 };
    let sort = |message: &[u8]| small(manner, &[], message)[0] & 7;
    // BFINAL is the first bit, and 0; then BTYPE.
    assert_eq!(sort(&noise(1000)), 0b000, "stored");
    assert_eq!(sort(b"some text, some text"), 0b010, "fixed");
    assert_eq!(sort(&fibonacci(12, 2000)), 0b100, "dynamic");
    assert!(small(manner, &[], &fibonacci(12, 2000)).len() < 900);
}

#[test]
fn the_bits_of_a_token_with_fixed_codes_are_those_of_its_symbols() {
    let references =
        (3..=258).flat_map(|len| [1, 4, 5, 32, 33, 300, 32_768].map(|at| Token::reference(len, at)));
    for token in (0..=255).map(Token::literal).chain(references) {
        let mut out = Vec::new();
        blocks::write(&[token], &[0; 600], false, &mut out);
        // Three bits before the token; the end's seven and three more behind it; up to a whole byte.
        assert_eq!(out.len() as u32, (3 + token.fixed_bits() + 7 + 3).div_ceil(8));
    }
}

#[test]
fn levels_above_six_are_left_to_zlib() {
    assert!(takes(1, 1) && takes(6, LONGEST));
    assert!(!takes(7, 100) && !takes(6, 0) && !takes(6, LONGEST + 1));
}

#[test]
fn what_is_in_the_history_is_referred_to() {
    let manner = Manner { level: 6, window_bits: 15, histories: 64 };
    for message in [noise(100), json(264, 1), json(4000, 3)] {
        for after in [0, 1000, 5000] {
            let history = [&message[..], &noise(after)].concat();
            let len = check(manner, &history, &message);
            assert!(len < 8 + message.len() / 50, "{len} of {} after {after}", message.len());
        }
    }
}

/// However often the same bytes were seen, what is compared for one byte of a message is bounded.
#[test]
fn work_is_linear_in_the_bytes_whatever_they_are() {
    let hostile: [Vec<u8>; 6] = [
        std::vec![0; 1 << 15],
        b"ab".repeat(1 << 14),
        b"abcdefg".repeat(1 << 12),
        // Long matches, each a little better than the one before it.
        (0..1 << 8).flat_map(|n| [&std::vec![b'a'; n % 250][..], &[n as u8]].concat()).collect(),
        noise(64).repeat(1 << 9),
        [noise(250), noise(249)].concat().repeat(64),
    ];
    for bytes in &hostile {
        for message in [264, 1024, LONGEST] {
            // What is compared at level 1 is what is passed by.
            for level in [2, 3, 6] {
                let manner = Manner { level, window_bits: 15, histories: 64 };
                let mut finder = Finder::new(false);
                finder.append(&bytes[..bytes.len() - message], manner.reach());
                finder.index(usize::MAX, 1);
                let start = finder.append(&bytes[bytes.len() - message..], manner.reach());
                parse::parse(&mut finder, start, manner.reach(), Effort::of(level), &mut Vec::new());
                let compared = finder.compared.get();
                // Eight places are looked at for a byte, and for the next, of which few go far.
                assert!(compared <= 160 * message, "{compared} at level {level} for {message}");
            }
        }
    }
}

#[test]
fn a_finder_keeps_a_window_and_little_more() {
    let mut finder = Finder::new(false);
    let mut all = Vec::new();
    for round in 0..300 {
        let message = json(50 + round * 13 % 4000, round);
        all.extend_from_slice(&message);
        let start = finder.append(&message, 1 << 15);
        let bytes = finder.bytes();
        assert_eq!(bytes.len() - start, message.len());
        assert!(bytes == &all[all.len() - bytes.len()..]);
        assert!(bytes.len() >= all.len().min(1 << 15) && bytes.len() <= 40 << 10);
    }
}

/// One step on a connection.
#[derive(Clone, Debug)]
enum Sent {
    Message(Vec<u8>),
    /// It would not have got smaller, and goes out as it is.
    Raw(Vec<u8>),
    /// By another encoder.
    Past(Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (1..600_usize, 0..50_usize).prop_map(|(len, from)| json(len, from)),
        vec(any::<u8>(), 1..300),
        vec(0..3_u8, 1..900),
        (vec(any::<u8>(), 1..20), 1..80_usize).prop_map(|(bytes, times)| bytes.repeat(times)),
        (2..24_u8, 1..2000_usize).prop_map(|(symbols, len)| fibonacci(symbols, len)),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        6 => bytes().prop_map(Sent::Message),
        1 => bytes().prop_map(Sent::Raw),
        1 => bytes().prop_map(Sent::Past),
    ]
}

/// The bytes of some JSON, each message sent after one that does not get smaller, of so many bytes.
fn json_after_noise(level: u8, id: u64, len: usize) -> usize {
    let manner = Manner { level, window_bits: 15, histories: 64 };
    let (mut owner, mut window) = (Owner { id, bytes: 0 }, Window::new(8 << 10));
    let mut send = |message: &[u8]| {
        let mut out = Vec::new();
        if compress_for(owner, &window, manner, message, message.len(), &mut out) {
            window.append(message);
            owner.bytes += message.len() as u64;
        }
        out.len()
    };
    let mut all = 0;
    for at in 0..200 {
        if len > 0 {
            send(&noise(len));
        }
        all += send(&json(200, 11 * at));
    }
    all
}

#[test]
fn what_did_not_get_smaller_is_not_in_the_way_of_what_does() {
    for (level, tenths) in [(1, 12), (2, 12), (3, 11), (6, 11)] {
        let id = 7000 + 10 * u64::from(level);
        let without = json_after_noise(level, id, 0);
        for (at, len) in [100, 1000, 4096].into_iter().enumerate() {
            let after = json_after_noise(level, id + 1 + at as u64, len);
            assert!(
                10 * after <= tenths * without,
                "level {level}: {after} after {len} bytes, {without} without"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_on_connections_in_turn_is_read_back(
        window_bits in 8..=15_u8,
        manners in [(1..=6_u8, 0..4_usize), (1..=6_u8, 0..4_usize), (1..=6_u8, 0..4_usize)],
        keeps in prop_oneof![Just(0_usize), Just(300), Just(8 << 10), Just(32 << 10)],
        steps in vec((0..3_usize, sent()), 1..40),
        id in any::<u64>(),
    ) {
        let manners = manners.map(|(level, histories)| Manner { level, window_bits, histories });
        let mut connections: [_; 3] = core::array::from_fn(|at| {
            let manner = manners[at];
            let owner = Owner { id: id.wrapping_add(at as u64), bytes: 0 };
            (owner, Window::new(keeps.min(manner.reach())), puff::Puff::new(manner.reach()))
        });
        for (at, sent) in steps {
            let (manner, (owner, window, reader)) = (manners[at], &mut connections[at]);
            let (message, most) = match &sent {
                Sent::Message(message) => (message, usize::MAX),
                Sent::Raw(message) => (message, 0),
                Sent::Past(message) => {
                    let len = message.len() as u16;
                    let stored = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), message].concat();
                    prop_assert_eq!(&reader.message(&stored).unwrap(), message);
                    window.append(message);
                    owner.bytes += message.len() as u64;
                    continue;
                }
            };
            let mut out = Vec::new();
            let kept = compress_for(*owner, window, manner, message, most, &mut out);
            prop_assert_eq!(kept, most > 0);
            if kept {
                prop_assert!(out.len() <= message.len() + 6);
                out.extend(TAIL);
                prop_assert_eq!(&reader.message(&out).unwrap(), message);
                window.append(message);
                owner.bytes += message.len() as u64;
            }
        }
    }

    #[test]
    fn every_message_is_read_back_after_any_history(
        window_bits in 8..=15_u8,
        level in 1..=6_u8,
        history in bytes(),
        message in bytes(),
    ) {
        check(Manner { level, window_bits, histories: 64 }, &history, &message);
    }
}

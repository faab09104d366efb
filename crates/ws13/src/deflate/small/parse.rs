//! A message as literals and references: the better of the match here and the match one byte on.

use super::super::compress::FAST;
use super::finder::Finder;
use super::token::{LONGEST, Token};
use std::vec::Vec;

/// How hard is looked for matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effort {
    /// A match of fewer bytes is compared with the one at the next byte.
    lazy: usize,
    /// Places of each bucket that are looked at, up to 4.
    ways: u8,
    /// Of the bytes of a match, every so manyth is put into the index.
    step: usize,
    /// Codes are made for the message, where that is shorter.
    pub(super) dynamic: bool,
}

impl Effort {
    /// From the level, 1 to 6.
    pub(super) fn of(level: u8) -> Effort {
        match level {
            0..=FAST => Effort { lazy: 0, ways: 1, step: 4, dynamic: false },
            3..=5 => Effort { lazy: 16, ways: 2, step: 2, dynamic: true },
            _ => Effort { lazy: 64, ways: 4, step: 1, dynamic: true },
        }
    }
}

/// What the match at the next byte must be better by.
const LATER: i32 = 1;

/// The bytes of the finder from `start` on, as tokens that refer no further back than `reach`.
pub(super) fn parse(
    finder: &mut Finder,
    start: usize,
    reach: usize,
    effort: Effort,
    tokens: &mut Vec<Token>,
) {
    let end = finder.bytes().len();
    let mut at = start;
    let mut found = if at < end { finder.find(at, reach, effort.ways) } else { None };
    while at < end {
        let Some(mut best) = found else {
            tokens.push(Token::literal(finder.bytes()[at]));
            at += 1;
            found = finder.find(at, reach, effort.ways);
            continue;
        };
        if best.len < effort.lazy {
            let later =
                finder.find(at + 1, reach, effort.ways).filter(|later| later.gain > best.gain + LATER);
            if later.is_some() {
                tokens.push(Token::literal(finder.bytes()[at]));
                at += 1;
                found = later;
                continue;
            }
        }
        // The bytes before may be the same, too: they are literals so far.
        while at > start && best.distance < at && best.len < LONGEST {
            let bytes = finder.bytes();
            let same = bytes[at - 1] == bytes[at - 1 - best.distance];
            if !same || !tokens.last().is_some_and(|token| token.is_literal()) {
                break;
            }
            tokens.pop();
            at -= 1;
            best.len += 1;
        }
        tokens.push(Token::reference(best.len, best.distance));
        at += best.len;
        finder.index(at, effort.step);
        found = finder.find(at, reach, effort.ways);
    }
}

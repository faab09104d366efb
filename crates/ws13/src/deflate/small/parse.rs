//! A message as literals and references: the better of the match here and the match one byte on.

use super::super::compress::FAST;
use super::finder::{Finder, Match, Ways};
use super::token::{LONGEST, Token};
use std::vec::Vec;

/// How hard is looked for matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effort {
    /// A match of fewer bytes is compared with the one at the next byte.
    lazy: usize,
    ways: Ways,
    /// Of the bytes of a match, every so manyth is put into the index.
    step: usize,
    /// Codes are made for the message, where that is shorter.
    pub(super) dynamic: bool,
}

impl Effort {
    /// From the level, 2 to 6.
    pub(super) fn of(level: u8) -> Effort {
        match level {
            0..=FAST => Effort { lazy: 0, ways: Ways { long: 2, short: 1 }, step: 4, dynamic: false },
            3..=5 => Effort { lazy: 16, ways: Ways { long: 3, short: 1 }, step: 2, dynamic: true },
            _ => Effort { lazy: 64, ways: Ways { long: 8, short: 4 }, step: 1, dynamic: true },
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
    // The match at the byte before, which is a reference where the one here is no better.
    let mut before: Option<Match> = None;
    while at < end {
        let least = before.map_or(0, |best| best.len - 1);
        let found = finder.find(at, reach, effort.ways, least);
        if let Some(best) = before.take() {
            if found.is_none_or(|found| found.gain <= best.gain + LATER) {
                at = refer(finder, start, at - 1, best, tokens);
                finder.index(at, effort.step);
                continue;
            }
            tokens.push(Token::literal(finder.bytes()[at - 1]));
        }
        match found {
            None => tokens.push(Token::literal(finder.bytes()[at])),
            Some(best) if best.len < effort.lazy => before = Some(best),
            Some(best) => {
                at = refer(finder, start, at, best, tokens);
                finder.index(at, effort.step);
                continue;
            }
        }
        at += 1;
    }
    if let Some(best) = before {
        refer(finder, start, at - 1, best, tokens);
    }
}

/// Puts the match there, and gives where it ends. The bytes before may be the same, too: they are literals so far.
#[inline(always)]
fn refer(finder: &Finder, start: usize, mut at: usize, mut best: Match, tokens: &mut Vec<Token>) -> usize {
    let bytes = finder.bytes();
    let end = at + best.len;
    while at > start && best.distance < at && best.len < LONGEST {
        let same = bytes[at - 1] == bytes[at - 1 - best.distance];
        if !same || !tokens.last().is_some_and(|token| token.is_literal()) {
            break;
        }
        tokens.pop();
        at -= 1;
        best.len += 1;
    }
    tokens.push(Token::reference(best.len, best.distance));
    end
}

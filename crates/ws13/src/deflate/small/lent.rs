//! Finders, lent by the thread for the time of one message: the connections that send the most find theirs as they left it.

use super::super::pool::Owner;
use super::finder::Finder;
use super::token::Token;
use std::boxed::Box;
use std::cell::RefCell;
use std::vec::Vec;

/// Finders that are kept with the history of the connection they worked for last, on each thread: of at most 88 KiB each.
const WARM: usize = 64;

/// Connections without a finder whose last message is remembered.
const RECENT: usize = 2 * WARM;

/// What a thread keeps.
#[derive(Default)]
struct Kept {
    cold: Option<Box<Finder>>,
    warm: Vec<Warm>,
    recent: Vec<Recent>,
    /// The place of the next in `recent`, which goes round.
    next: usize,
    /// Messages so far.
    now: u64,
    tokens: Vec<Token>,
}

/// A finder that holds the history of a connection.
struct Warm {
    finder: Box<Finder>,
    owner: Owner,
    used: u64,
}

/// A connection, and when it sent last.
struct Recent {
    id: u64,
    used: u64,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A finder.
pub(super) struct Lent {
    pub(super) finder: Box<Finder>,
    pub(super) state: State,
    pub(super) tokens: Vec<Token>,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The history of its connection after so many bytes.
    Warm(u64),
    /// Somebody's; it will be kept with the history of this connection.
    New,
    /// Somebody's.
    Cold,
}

/// A finder for a message of this connection, or for one that is compressed by itself.
pub(super) fn take(owner: Option<Owner>) -> Lent {
    let take = |kept: &RefCell<Kept>| kept.borrow_mut().take(owner);
    // A thread that ends keeps nothing any more.
    KEPT.try_with(take).unwrap_or_else(|_| Kept::default().take(None))
}

/// Takes it back. `owner` says after how many bytes it is, where it holds the history of a connection.
pub(super) fn give(lent: Lent, owner: Option<Owner>) {
    let _ = KEPT.try_with(|kept| kept.borrow_mut().give(lent, owner));
}

impl Kept {
    fn take(&mut self, owner: Option<Owner>) -> Lent {
        self.now += 1;
        let tokens = core::mem::take(&mut self.tokens);
        let (finder, state) = match owner {
            Some(owner) => self.of(owner.id),
            None => (self.cold(), State::Cold),
        };
        Lent { finder, state, tokens }
    }

    fn of(&mut self, id: u64) -> (Box<Finder>, State) {
        if let Some(at) = self.warm.iter().position(|warm| warm.owner.id == id) {
            let warm = self.warm.swap_remove(at);
            return (warm.finder, State::Warm(warm.owner.bytes));
        }
        let now = self.now;
        let Some(recent) = self.recent.iter_mut().find(|recent| recent.id == id) else {
            self.remember(id);
            return (self.cold(), State::Cold);
        };
        let before = core::mem::replace(&mut recent.used, now);
        if self.warm.len() < WARM {
            return (Box::new(Finder::new()), State::New);
        }
        // Only from a connection that has been silent for longer than this one was: so that where more connections than
        // there are finders send in turn, some of them keep theirs, rather than none.
        let oldest = self.warm.iter().enumerate().min_by_key(|(_, warm)| warm.used);
        match oldest {
            Some((at, oldest)) if oldest.used < before => (self.warm.swap_remove(at).finder, State::New),
            _ => (self.cold(), State::Cold),
        }
    }

    fn cold(&mut self) -> Box<Finder> {
        self.cold.take().unwrap_or_else(|| Box::new(Finder::new()))
    }

    fn remember(&mut self, id: u64) {
        let recent = Recent { id, used: self.now };
        match self.recent.get_mut(self.next) {
            Some(place) => *place = recent,
            None => self.recent.push(recent),
        }
        self.next = (self.next + 1) % RECENT;
    }

    fn give(&mut self, lent: Lent, owner: Option<Owner>) {
        self.tokens = lent.tokens;
        match owner {
            Some(owner) if lent.state != State::Cold => {
                self.warm.push(Warm { finder: lent.finder, owner, used: self.now });
            }
            _ => self.cold = Some(lent.finder),
        }
    }
}

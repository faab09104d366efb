//! Finders, lent by the thread for the time of one message: the connections that send the most find theirs as they left it.

use super::super::pool::Owner;
use super::finder::Finder;
use super::token::Token;
use std::boxed::Box;
use std::cell::RefCell;
use std::vec::Vec;

/// Connections without a finder whose last message is remembered, for each that may have one.
const RECENT: usize = 2;

/// After so many messages of others, for each that may have a finder, a connection is silent.
const SILENT: u64 = 32;

/// No more are kept by a thread, whatever is asked for: they are looked through for each message.
const MOST: usize = 4096;

/// What a thread keeps.
#[derive(Default)]
struct Kept {
    cold: Option<Box<Finder>>,
    /// Of at most 88 KiB each, 48 at level 1; 24 KiB more where `send_window` is the largest.
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

/// A finder for a message of this connection, or for one that is compressed by itself; with the index of level 1, or with
/// that of the others. `most` are kept with the history of the connection they worked for last.
pub(super) fn take(owner: Option<Owner>, quick: bool, most: usize) -> Lent {
    let most = most.min(MOST);
    let take = |kept: &RefCell<Kept>| kept.borrow_mut().take(owner, quick, most);
    // A thread that ends keeps nothing any more.
    KEPT.try_with(take).unwrap_or_else(|_| Kept::default().take(None, quick, most))
}

/// Takes it back. `owner` says after how many bytes it is, where it holds the history of a connection.
pub(super) fn give(lent: Lent, owner: Option<Owner>) {
    let _ = KEPT.try_with(|kept| kept.borrow_mut().give(lent, owner));
}

impl Kept {
    fn take(&mut self, owner: Option<Owner>, quick: bool, most: usize) -> Lent {
        self.now += 1;
        let tokens = core::mem::take(&mut self.tokens);
        let (finder, state) = match owner {
            Some(owner) => self.of(owner.id, most),
            None => (self.cold.take(), State::Cold),
        };
        let mut finder = finder.unwrap_or_else(|| Box::new(Finder::new(quick)));
        finder.be(quick);
        Lent { finder, state, tokens }
    }

    fn of(&mut self, id: u64, most: usize) -> (Option<Box<Finder>>, State) {
        if let Some(at) = self.warm.iter().position(|warm| warm.owner.id == id) {
            let warm = self.warm.swap_remove(at);
            return (Some(warm.finder), State::Warm(warm.owner.bytes));
        }
        if most == 0 {
            return (self.cold.take(), State::Cold);
        }
        let now = self.now;
        let Some(recent) = self.recent.iter_mut().find(|recent| recent.id == id) else {
            self.remember(id, most);
            // Where more connections send in turn than are remembered, none is ever known: the places of those that are
            // gone, or silent for long, are for whoever comes.
            let silent = SILENT * most as u64;
            return match self.oldest().filter(|oldest| oldest.1 + silent < now) {
                Some((at, _)) => (Some(self.warm.swap_remove(at).finder), State::New),
                None => (self.cold.take(), State::Cold),
            };
        };
        let before = core::mem::replace(&mut recent.used, now);
        if self.warm.len() < most {
            return (None, State::New);
        }
        // Only from a connection that has been silent for longer than this one was: so that where more connections than
        // there are finders send in turn, some of them keep theirs, rather than none.
        match self.oldest() {
            Some((at, used)) if used < before => (Some(self.warm.swap_remove(at).finder), State::New),
            _ => (self.cold.take(), State::Cold),
        }
    }

    /// The finder that was not used for the longest time: where it is, and when it was used.
    fn oldest(&self) -> Option<(usize, u64)> {
        let all = self.warm.iter().enumerate().map(|(at, warm)| (at, warm.used));
        all.min_by_key(|(_, used)| *used)
    }

    fn remember(&mut self, id: u64, most: usize) {
        let recent = Recent { id, used: self.now };
        match self.recent.get_mut(self.next) {
            Some(place) => *place = recent,
            None => self.recent.push(recent),
        }
        self.next = (self.next + 1) % (RECENT * most);
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

#[cfg(test)]
mod tests {
    use super::*;

    const WARM: usize = 64;

    fn send(kept: &mut Kept, id: u64) {
        let owner = Some(Owner { id, bytes: 0 });
        let lent = kept.take(owner, false, WARM);
        kept.give(lent, owner);
    }

    #[test]
    fn finders_of_connections_that_are_gone_go_to_those_that_send_also_where_they_are_too_many_to_be_known() {
        let mut kept = Kept::default();
        for id in (0..WARM as u64).chain(0..WARM as u64) {
            send(&mut kept, id);
        }
        assert!(kept.warm.iter().all(|warm| warm.owner.id < 1000) && kept.warm.len() == WARM);
        for _ in 0..6 {
            (1000..1600).for_each(|id| send(&mut kept, id));
        }
        assert!(kept.warm.iter().all(|warm| warm.owner.id >= 1000) && kept.warm.len() == WARM);
    }
}

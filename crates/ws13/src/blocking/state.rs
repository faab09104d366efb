//! A connection without its stream: what both drivers hold, and a clock.

use super::pace::Moved;
use crate::connection::{Connection, Inbox};
use crate::error::Lost;
use crate::pool;
use crate::state;
use crate::time::Timestamp;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct State {
    state: state::State,
    /// Where the clock counts from.
    origin: Instant,
}

impl State {
    pub(super) fn new(connection: Connection, inbox: Inbox) -> Self {
        State { state: state::State::new(connection, inbox), origin: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.origin.elapsed().into()
    }

    /// How long to wait at most before time has to pass; `None`: for ever.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.connection.deadline().map(|deadline| deadline.since(self.now()))
    }

    /// Whether a deadline has come.
    pub(super) fn is_due(&self) -> bool {
        self.connection.deadline().is_some_and(|deadline| self.now() >= deadline)
    }

    /// Lets time pass where a clock is to be started or a deadline has come; says whether anything was due.
    pub(super) fn pass_time(&mut self) -> bool {
        if !self.connection.wants_time(&self.outbox) && !self.is_due() {
            return false;
        }
        self.tick()
    }

    /// Takes in what a read gave.
    pub(super) fn has_read(&mut self, moved: Moved, bytes: &[u8]) {
        match moved {
            Moved::Bytes(0) => self.lose(Lost::Eof),
            Moved::Bytes(len) => {
                self.append(&bytes[..len]);
                if self.connection.wants_time(&self.outbox) {
                    self.tick();
                }
            }
            Moved::Nothing => {}
            Moved::Failed(error) => self.reading_failed(error),
        }
    }

    fn tick(&mut self) -> bool {
        let now = self.now();
        self.state.tick(now)
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.inbox.room(pool::lease);
            // Whatever the room, there is progress: the buffer grows.
            let len = bytes.len().min((room.capacity() - room.len()).max(1));
            room.extend_from_slice(&bytes[..len]);
            self.inbox.advance_received(len);
            bytes = &bytes[len..];
        }
    }
}

impl Deref for State {
    type Target = state::State;

    fn deref(&self) -> &state::State {
        &self.state
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut state::State {
        &mut self.state
    }
}

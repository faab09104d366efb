//! What a broadcast has for a peer that lags behind: messages that wait, at its connection, until the peer has taken
//! what was queued before them.

use super::driver::Driver;
use crate::close::{CloseCode, CloseFrame};
use crate::connection::Prepared;
use crate::error::Misuse;
use std::collections::VecDeque;
use tokio::io::{AsyncRead, AsyncWrite};

/// What becomes of a member of a [`Broadcast`](crate::Broadcast) whose peer takes messages slower than they come, once
/// as many wait for it as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lagging {
    /// The oldest that waits is dropped for the new one.
    DropOldest,
    /// The new one is dropped.
    DropNewest,
    /// Only the newest waits, from the first moment on: for what each message makes the last one obsolete. Nothing
    /// else is queued behind what the system has not taken yet.
    KeepLatest,
    /// The connection is closed with 1013, "try again later": the peer did nothing wrong (that would be 1008), and may
    /// come back and catch up. Nobody misses a message without being told. What waits is dropped.
    #[default]
    Disconnect,
}

/// What came of a message at one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is queued, or on its way.
    Queued,
    /// It waits.
    Waits,
    /// It waits, and these older ones were dropped for it.
    Instead(usize),
    /// It was dropped.
    Dropped,
    /// The connection is being closed for it.
    Disconnected,
    /// The connection is closed.
    Closed,
}

/// Messages that wait at one connection, of any broadcast.
#[derive(Debug, Default)]
pub(super) struct Lag(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// The broadcast.
    from: u64,
    message: Prepared,
    /// It is queued when fewer bytes than this are.
    room: usize,
}

/// Bytes in the queue of a connection from which a broadcast's messages wait: enough for one good write.
const BATCH: usize = 16 << 10;

impl Lag {
    fn count(&self, from: u64) -> usize {
        self.0.iter().filter(|waiting| waiting.from == from).count()
    }

    /// Makes room for one more of a broadcast; says how many it dropped, or that there is none.
    fn make_room(&mut self, from: u64, lagging: Lagging, most: usize) -> Option<usize> {
        let waiting = self.count(from);
        match lagging {
            Lagging::KeepLatest => self.0.retain(|waiting| waiting.from != from),
            _ if waiting < most => return Some(0),
            Lagging::DropOldest => {
                let oldest = self.0.iter().position(|waiting| waiting.from == from)?;
                self.0.remove(oldest);
                return Some(1);
            }
            Lagging::DropNewest | Lagging::Disconnect => return None,
        }
        Some(waiting)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Takes a message of a broadcast: queues it, or has it wait, or does without it.
    pub(super) fn take(&mut self, message: &Prepared, from: u64, lagging: Lagging, most: usize) -> Taken {
        if !self.is_open() {
            return Taken::Closed;
        }
        let room = if lagging == Lagging::KeepLatest { 1 } else { BATCH };
        // Most members do not lag: nothing waits, and there is room.
        if self.lag.is_none() && self.outbox.queued() < room && self.send(message.into()).is_ok() {
            return Taken::Queued;
        }
        let mut lag = self.lag.take().unwrap_or_default();
        let dropped = lag.make_room(from, lagging, most.max(1));
        if dropped.is_some() {
            lag.0.push_back(Waiting { from, message: message.clone(), room });
        }
        self.lag = Some(lag);
        self.catch_up();
        match dropped {
            None if lagging == Lagging::Disconnect => {
                self.lag = None;
                self.close(CloseFrame::new(CloseCode::TRY_AGAIN_LATER, TOO_SLOW).ok());
                Taken::Disconnected
            }
            None => Taken::Dropped,
            Some(0) if self.lag.is_none() => Taken::Queued,
            Some(0) => Taken::Waits,
            Some(dropped) => Taken::Instead(dropped),
        }
    }

    /// Queues what waits, as far as there is room. Only here does a message of a broadcast become bytes of this
    /// connection, so that one that is dropped before was never part of what is compressed.
    pub(super) fn catch_up(&mut self) {
        let Some(mut lag) = self.lag.take() else { return };
        while let Some(next) = lag.0.front() {
            if self.outbox.queued() >= next.room {
                break;
            }
            match self.send((&next.message).into()) {
                Ok(()) => drop(lag.0.pop_front()),
                Err(Misuse::Closed) => lag.0.clear(),
                // A message is being written in parts: after its end.
                Err(_) => break,
            }
        }
        if !lag.0.is_empty() {
            self.lag = Some(lag);
        }
    }
}

/// Why a member is closed.
const TOO_SLOW: &str = "too slow for what is being sent";

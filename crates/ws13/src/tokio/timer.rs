//! The driver's clock, and who tells it that a deadline has come: a sleep of its own, re-armed only when a deadline comes
//! nearer; or, for a connection of a server, the server, which keeps the time of all of them.

use crate::time::Timestamp;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug)]
pub(super) struct Timer {
    origin: Instant,
    keeper: Keeper,
}

#[derive(Debug)]
enum Keeper {
    /// Made when first needed.
    Own(Option<Box<Alarm>>),
    /// The server was told to wake the connection's task at this time, or has to be told one.
    Server(Option<Timestamp>),
}

/// A sleep, and who is woken when it ends.
#[derive(Debug)]
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: Timestamp,
    waker: Option<Waker>,
}

impl Timer {
    pub(super) fn new() -> Self {
        Timer { origin: Instant::now(), keeper: Keeper::Own(None) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.origin.elapsed().into()
    }

    /// From now on the server keeps the time.
    pub(super) fn leave_to_server(&mut self) {
        self.keeper = Keeper::Server(None);
    }

    /// When the server has to wake the connection's task for this deadline, where it would not do so in time; it is told
    /// now.
    pub(super) fn tell_server(&mut self, deadline: Timestamp) -> Option<Instant> {
        if !self.is_server_late(deadline) {
            return None;
        }
        self.keeper = Keeper::Server(Some(deadline));
        Some(instant(self.origin, deadline))
    }

    /// Whether the server keeps the time, and does not know of this deadline.
    pub(super) fn is_server_late(&self, deadline: Timestamp) -> bool {
        matches!(self.keeper, Keeper::Server(armed) if armed.is_none_or(|armed| deadline < armed))
    }

    /// The server says that the time it was told has come.
    pub(super) fn ring(&mut self) {
        if let Keeper::Server(armed) = &mut self.keeper {
            *armed = None;
        }
    }

    /// Ready, with the time, when `deadline` has come.
    #[inline]
    pub(super) fn poll(&mut self, deadline: Timestamp, cx: &mut Context<'_>) -> Poll<Timestamp> {
        match &mut self.keeper {
            Keeper::Own(alarm) => {
                let alarm = alarm.get_or_insert_with(|| Box::new(Alarm::new(self.origin, deadline)));
                ready!(alarm.poll(self.origin, deadline, cx));
                self.keeper = Keeper::Own(None);
                Poll::Ready(self.now())
            }
            // It has not come: the server would have said so.
            Keeper::Server(Some(_)) => Poll::Pending,
            Keeper::Server(None) => {
                Some(self.now()).filter(|now| *now >= deadline).map_or(Poll::Pending, Poll::Ready)
            }
        }
    }
}

fn instant(origin: Instant, at: Timestamp) -> Instant {
    origin + at.since(Timestamp::default())
}

impl Alarm {
    fn new(origin: Instant, armed: Timestamp) -> Self {
        Alarm { sleep: Box::pin(sleep_until(instant(origin, armed))), armed, waker: None }
    }

    /// Ready when `deadline` has come.
    fn poll(&mut self, origin: Instant, deadline: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if deadline < self.armed {
                self.arm(origin, deadline);
            }
            let same_waker = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if same_waker && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.waker = Some(cx.waker().clone());
            ready!(self.sleep.as_mut().poll(cx));
            if self.armed >= deadline {
                return Poll::Ready(());
            }
            // It slept until an earlier deadline, which has moved on.
            self.arm(origin, deadline);
        }
    }

    fn arm(&mut self, origin: Instant, deadline: Timestamp) {
        self.sleep.as_mut().reset(instant(origin, deadline));
        (self.armed, self.waker) = (deadline, None);
    }
}

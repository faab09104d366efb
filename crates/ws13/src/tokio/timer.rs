//! The driver's clock, and one sleep for each connection, re-armed only when a deadline comes nearer.

use crate::time::Timestamp;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug)]
pub(super) struct Timer {
    origin: Instant,
    /// Made when first needed.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Timestamp,
    /// Who is woken when the sleep ends.
    waker: Option<Waker>,
}

impl Timer {
    pub(super) fn new() -> Self {
        Timer { origin: Instant::now(), sleep: None, armed: Timestamp::default(), waker: None }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.origin.elapsed().into()
    }

    /// Ready, with the time, when `deadline` has come.
    pub(super) fn poll(&mut self, deadline: Timestamp, cx: &mut Context<'_>) -> Poll<Timestamp> {
        loop {
            let at = self.origin + deadline.since(Timestamp::default());
            let sleep = self.sleep.get_or_insert_with(|| {
                self.armed = deadline;
                self.waker = None;
                Box::pin(sleep_until(at))
            });
            if deadline < self.armed {
                sleep.as_mut().reset(at);
                self.armed = deadline;
                self.waker = None;
            }
            let same_waker = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if same_waker && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.waker = Some(cx.waker().clone());
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = self.origin.elapsed().into();
            if now >= deadline {
                self.sleep = None;
                return Poll::Ready(now);
            }
            // It slept until an earlier deadline, which has moved on.
            sleep.as_mut().reset(at);
            self.armed = deadline;
        }
    }
}

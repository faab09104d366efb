//! How long one direction of a stream waits in a call: its timeout, set only when it has to change, and short pauses
//! for a stream that does not wait at all.

use super::transport::Transport;
use crate::sync;
use std::io;
use std::time::{Duration, Instant};

/// Waiting in one direction.
#[derive(Debug, Default)]
pub(super) struct Pace {
    armed: Armed,
    /// The last call waited in vain: its timeout was too short, if the deadline is later.
    in_vain: bool,
    /// Calls in a row that came back at once with nothing.
    at_once: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Armed {
    /// Nobody knows what timeout the stream came with.
    #[default]
    Unknown,
    /// The stream has no timeouts.
    Untimed,
    /// It waits this long; `None`: for ever.
    For(Option<Duration>),
}

/// What came of a call.
#[derive(Debug)]
pub(super) enum Moved {
    Bytes(usize),
    /// Nothing could be read or written for now.
    Nothing,
    Failed(io::Error),
}

/// No call waits for less than this, so that a timeout is never zero.
const SHORTEST: Duration = Duration::from_millis(1);

/// No call waits for more, so that every system can take the number.
const LONGEST: Duration = Duration::from_secs(3600);

/// The first pause after a call that came back at once with nothing; doubled up to 256 times that.
const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// Sets the timeout of one direction.
type Set<S> = fn(&mut S, Option<Duration>) -> io::Result<()>;

impl Pace {
    /// Reads once, and waits for `limit` at most.
    pub(super) fn read<S: Transport>(
        &mut self,
        stream: &mut S,
        limit: Option<Duration>,
        target: &mut [u8],
    ) -> Moved {
        self.call(stream, limit, S::set_read_timeout, target.len(), |stream| stream.read(target))
    }

    /// Writes once, and waits for `limit` at most; `write` has `offered` bytes to write.
    pub(super) fn write<S: Transport>(
        &mut self,
        stream: &mut S,
        limit: Option<Duration>,
        offered: usize,
        write: impl FnOnce(&mut S) -> io::Result<usize>,
    ) -> Moved {
        match self.call(stream, limit, S::set_write_timeout, offered, write) {
            Moved::Bytes(0) if offered > 0 => Moved::Failed(io::ErrorKind::WriteZero.into()),
            moved => moved,
        }
    }

    /// Whether the stream is known to have no timeouts.
    pub(super) fn is_untimed(&self) -> bool {
        self.armed == Armed::Untimed
    }

    fn call<S>(
        &mut self,
        stream: &mut S,
        limit: Option<Duration>,
        set: Set<S>,
        most: usize,
        call: impl FnOnce(&mut S) -> io::Result<usize>,
    ) -> Moved {
        self.arm(stream, limit, set);
        let began = Instant::now();
        match call(stream) {
            Ok(len) if len > most => {
                let told = "the stream says that it moved more bytes than it was given";
                Moved::Failed(io::Error::new(io::ErrorKind::InvalidData, told))
            }
            Ok(len) => {
                (self.in_vain, self.at_once) = (false, 0);
                Moved::Bytes(len)
            }
            Err(error) if is_in_vain(&error) => {
                self.pause(began.elapsed(), limit);
                Moved::Nothing
            }
            Err(error) => Moved::Failed(error),
        }
    }

    /// Sets the timeout where the present one would overshoot `limit`, or has shown to be too short.
    fn arm<S>(&mut self, stream: &mut S, limit: Option<Duration>, set: Set<S>) {
        let limit = limit.map(|limit| limit.clamp(SHORTEST, LONGEST));
        let timeout = match (self.armed, limit) {
            (Armed::Untimed, _) => return,
            (Armed::For(armed), _) if armed == limit => return,
            // While bytes flow, a timeout of half the time need not be set again until half the time is over.
            (Armed::For(armed), Some(limit)) if !self.in_vain => match armed {
                Some(armed) if armed <= limit => return,
                _ => Some((limit / 2).max(SHORTEST)),
            },
            (Armed::For(Some(_)), None) if !self.in_vain => return,
            _ => limit,
        };
        self.armed = match set(stream, timeout) {
            Ok(()) => Armed::For(timeout),
            Err(_) => Armed::Untimed,
        };
    }

    /// After a call that gave nothing. If it did not wait itself (a stream that never blocks), this does.
    fn pause(&mut self, waited: Duration, limit: Option<Duration>) {
        self.in_vain = true;
        if waited >= SHORTEST / 2 {
            self.at_once = 0;
            return;
        }
        let pause = FIRST_PAUSE * (1 << self.at_once.min(8));
        self.at_once += 1;
        sync::sleep(limit.map_or(pause, |limit| pause.min(limit.max(FIRST_PAUSE))));
    }
}

/// Whether a call ended because it had waited long enough, or was interrupted: not for good.
pub(super) fn is_in_vain(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => true,
        // On Unix this code of the system is no timeout of ours: TCP has given up.
        io::ErrorKind::TimedOut => !cfg!(unix) || error.raw_os_error().is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static SET: RefCell<Vec<Option<Duration>>> = const { RefCell::new(Vec::new()) };
    }

    fn set(_: &mut (), timeout: Option<Duration>) -> io::Result<()> {
        SET.with_borrow_mut(|set| set.push(timeout));
        Ok(())
    }

    fn armed(pace: &mut Pace, limit: Option<u64>) -> Vec<Option<u64>> {
        pace.arm(&mut (), limit.map(Duration::from_millis), set);
        SET.take().into_iter().map(|set| set.map(|set| set.as_millis() as u64)).collect()
    }

    #[test]
    fn a_timeout_is_set_only_when_it_must_change() {
        let mut pace = Pace::default();
        assert_eq!(armed(&mut pace, Some(1000)), [Some(1000)], "nobody knew it");
        assert_eq!(armed(&mut pace, Some(1000)), [], "the same");
        assert_eq!(armed(&mut pace, Some(999)), [Some(499)], "it would overshoot; bytes flow");
        assert_eq!(armed(&mut pace, Some(600)), []);
        assert_eq!(armed(&mut pace, Some(5000)), [], "too short, but nothing waited in vain");
        assert_eq!(armed(&mut pace, None), []);
        pace.in_vain = true;
        assert_eq!(armed(&mut pace, Some(5000)), [Some(5000)], "it woke early: now exactly");
        assert_eq!(armed(&mut pace, Some(0)), [Some(1)], "never zero");
        assert_eq!(armed(&mut pace, None), [None]);
        pace.in_vain = false;
        assert_eq!(armed(&mut pace, Some(1000)), [Some(500)]);
    }
}

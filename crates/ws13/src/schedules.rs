//! What the schedules of both drivers share: a stream with a peer at its other end, and what the wire has to hold.

use crate::{Config, Keepalive, Limits};
use std::io;

/// A stream's state, and what its peer does. A few bytes fit into it.
#[derive(Default)]
pub(crate) struct Pipe {
    written: Vec<u8>,
    taken: Vec<u8>,
    arriving: Vec<u8>,
    /// The peer has sent a Close.
    closed: bool,
    /// Our direction has ended.
    shut: bool,
    /// How many bytes the peer takes until it goes, if that was not known to begin with.
    goal: Option<usize>,
    /// The peer has ended the stream.
    ended: bool,
}

const CAPACITY: usize = 6;

/// What a client sends, with a masking key of zeros.
pub(crate) const PING: [u8; 8] = [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'];
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
pub(crate) const PING_AND_CLOSE: [u8; 16] =
    [0x89, 0x82, 0, 0, 0, 0, b'h', b'i', 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

impl Pipe {
    /// With what the peer has sent already.
    pub(crate) fn with(arriving: &[u8]) -> Pipe {
        Pipe { arriving: arriving.to_vec(), closed: arriving.ends_with(&CLOSE), ..Pipe::default() }
    }

    /// Reads some bytes, or the end; `None` when there is nothing yet.
    pub(crate) fn read(&mut self, most: usize) -> Option<Vec<u8>> {
        let len = self.arriving.len().min(most).min(CAPACITY);
        (len > 0 || self.ended).then(|| self.arriving.drain(..len).collect())
    }

    /// Writes some bytes; `None` when it is full.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.ended {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(CAPACITY - self.written.len());
        self.written.extend_from_slice(&bytes[..len]);
        (len > 0).then_some(Ok(len))
    }

    pub(crate) fn shut_down(&mut self) {
        self.shut = true;
    }

    /// The peer goes when it has taken as many bytes.
    pub(crate) fn end_after(&mut self, goal: usize) {
        self.goal = Some(goal);
    }

    /// The peer takes what is written, and answers a Close; it ends the stream when it has this many bytes, or our
    /// direction has ended. Gives all that it took then.
    pub(crate) fn take(&mut self, until: usize) -> Option<Vec<u8>> {
        self.taken.append(&mut self.written);
        if !self.closed && has_close(&self.taken) {
            self.closed = true;
            self.arriving.extend_from_slice(&CLOSE);
        }
        self.ended = self.taken.len() >= self.goal.unwrap_or(until) || self.shut;
        self.ended.then(|| self.taken.clone())
    }
}

/// Each sender's messages; their frames are of 2 + 4 bytes.
pub(crate) const MESSAGES: [[&str; 2]; 3] = [["a..0", "a..1"], ["b..0", "b..1"], ["c..0", "c..1"]];
pub(crate) const FRAME: usize = 6;
pub(crate) const ALL: usize = MESSAGES.len() * MESSAGES[0].len();

/// No time passes here, and the queue is full soon.
pub(crate) fn config() -> Config {
    let limits = Limits { queue_mark: 2 * FRAME, ..Limits::default() };
    Config {
        limits,
        keepalive: Keepalive { ping_interval: None, ..Keepalive::default() },
        ..Config::default()
    }
}

/// What is on a wire.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many messages of each sender.
    pub(crate) messages: [usize; MESSAGES.len()],
    pub(crate) pongs: usize,
    pub(crate) closed: bool,
}

/// The frames are whole, each message is there once, those of a sender in its order, and nothing comes after a Close.
pub(crate) fn seen(mut wire: &[u8]) -> Seen {
    let mut seen = Seen::default();
    while !wire.is_empty() {
        assert!(!seen.closed, "{wire:x?} after the Close");
        let (frame, rest) = first(wire).unwrap_or_else(|| panic!("a torn frame: {wire:x?}"));
        match (frame[0], &frame[2..]) {
            (0x81, text) => {
                let text = std::str::from_utf8(text).unwrap();
                let sender = MESSAGES.iter().position(|messages| messages.contains(&text)).unwrap();
                assert_eq!(MESSAGES[sender].get(seen.messages[sender]), Some(&text));
                seen.messages[sender] += 1;
            }
            (0x8a, payload) => {
                assert_eq!(payload, b"hi");
                seen.pongs += 1;
            }
            (0x88, _) => seen.closed = true,
            _ => panic!("{frame:x?}"),
        }
        wire = rest;
    }
    seen
}

/// The first frame of a server's bytes, all of which are short, and the rest.
fn first(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    wire.split_at_checked(2 + usize::from(*wire.get(1)?))
}

fn has_close(mut wire: &[u8]) -> bool {
    while let Some((frame, rest)) = first(wire) {
        if frame[0] == 0x88 {
            return true;
        }
        wire = rest;
    }
    false
}

/// By chance, and by chance with few changes of who is preferred.
pub(crate) fn in_many_orders(run: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(run.clone(), 10_000);
    shuttle::check_pct(run, 10_000, 3);
}

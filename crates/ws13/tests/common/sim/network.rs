//! The simulated network: two directions, each with a bounded buffer, delays, and ways to break.

use super::dice::Dice;
use std::collections::VecDeque;

/// Nanoseconds of the simulation.
pub type Nanos = u64;

pub const MILLISECOND: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000 * MILLISECOND;

/// One direction of a byte stream.
pub struct Pipe {
    segments: VecDeque<Segment>,
    held: usize,
    capacity: usize,
    longest_delay: Nanos,
    /// Nothing overtakes what was written before.
    last_arrival: Nanos,
    /// The writer has ended it; the reader sees that when everything has arrived.
    ended: bool,
    /// Broken: what was in flight is lost, and the reader sees an error.
    reset: bool,
    /// The reader is gone: writing fails.
    unread: bool,
    /// Everything that is written, and the end, is swallowed.
    black_hole: bool,
    /// Nothing arrives before.
    stalled_until: Nanos,
}

struct Segment {
    arrives: Nanos,
    bytes: VecDeque<u8>,
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(Vec<u8>),
    Nothing,
    End,
    Reset,
}

/// Writing failed.
#[derive(Debug)]
pub struct Broken;

impl Pipe {
    pub fn new(capacity: usize, longest_delay: Nanos) -> Pipe {
        Pipe {
            segments: VecDeque::new(),
            held: 0,
            capacity,
            longest_delay,
            last_arrival: 0,
            ended: false,
            reset: false,
            unread: false,
            black_hole: false,
            stalled_until: 0,
        }
    }

    /// How many bytes it would take.
    pub fn room(&self) -> usize {
        self.capacity - self.held
    }

    /// Takes as many bytes as there is room for; none is a full buffer.
    pub fn write(&mut self, now: Nanos, bytes: &[u8], dice: &mut Dice) -> Result<usize, Broken> {
        if self.reset || self.unread || self.ended {
            return Err(Broken);
        }
        let len = bytes.len().min(self.room());
        if len == 0 {
            return Ok(0);
        }
        self.held += len;
        if !self.black_hole {
            let delay = dice.below(self.longest_delay as usize + 1) as Nanos;
            self.last_arrival = self.last_arrival.max(now + delay);
            let bytes = bytes[..len].iter().copied().collect();
            self.segments.push_back(Segment { arrives: self.last_arrival, bytes });
        }
        Ok(len)
    }

    /// Gives bytes that have arrived, `max` at most.
    pub fn read(&mut self, now: Nanos, max: usize) -> Read {
        if self.reset {
            return Read::Reset;
        }
        let mut bytes = Vec::new();
        while let Some(segment) = self.segments.front_mut() {
            if segment.arrives.max(self.stalled_until) > now || bytes.len() == max {
                break;
            }
            let len = segment.bytes.len().min(max - bytes.len());
            bytes.extend(segment.bytes.drain(..len));
            if segment.bytes.is_empty() {
                self.segments.pop_front();
            }
        }
        self.held -= bytes.len();
        if !bytes.is_empty() {
            Read::Bytes(bytes)
        } else if self.ended && self.segments.is_empty() && !self.black_hole && now >= self.stalled_until {
            Read::End
        } else {
            Read::Nothing
        }
    }

    /// When something will be there to read that is not there yet.
    pub fn next_arrival(&self, now: Nanos) -> Option<Nanos> {
        let next = match self.segments.front() {
            Some(segment) => segment.arrives.max(self.stalled_until),
            None if self.ended && !self.black_hole => self.stalled_until,
            None => return None,
        };
        (next > now).then_some(next)
    }

    /// The writer ends it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The reader has dropped it.
    pub fn drop_reader(&mut self) {
        self.unread = true;
    }

    /// What is in flight is lost, and then the stream ends.
    pub fn truncate(&mut self, dice: &mut Dice) {
        let kept = dice.below(self.held + 1);
        let mut left = kept;
        for segment in &mut self.segments {
            let len = segment.bytes.len().min(left);
            segment.bytes.truncate(len);
            left -= len;
        }
        self.segments.retain(|segment| !segment.bytes.is_empty());
        self.held = self.segments.iter().map(|segment| segment.bytes.len()).sum();
        self.ended = true;
    }

    pub fn describe(&self) -> String {
        format!(
            "a pipe of {} holds {} in {} segments, ended {}, reset {}, unread {}, swallows {}, stalled until {}",
            self.capacity,
            self.held,
            self.segments.len(),
            self.ended,
            self.reset,
            self.unread,
            self.black_hole,
            self.stalled_until
        )
    }

    pub fn reset(&mut self) {
        self.segments.clear();
        self.held = 0;
        self.reset = true;
    }

    /// From now on everything is swallowed, and nobody is told.
    pub fn swallow(&mut self) {
        self.black_hole = true;
    }

    pub fn stall(&mut self, until: Nanos) {
        self.stalled_until = self.stalled_until.max(until);
    }
}

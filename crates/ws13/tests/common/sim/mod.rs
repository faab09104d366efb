//! A client core and a server core over a simulated network, in simulated time, by the choices of a seed.
//!
//! Checked all the time: messages, Pings and Pongs come whole, once and in order; nothing comes after the end; buffers
//! stay within their limits; something always goes on. At the end: exactly one end on each side, and its code.

pub mod dice;
mod ledger;
pub mod network;
mod side;

use dice::Dice;
use ledger::Ledger;
use network::{MILLISECOND, Nanos, Pipe, SECOND};
use side::{Ended, PATIENT, Side, Wires};
use std::time::Duration;
use ws13::{CloseCause, CloseFrame, Config, Keepalive, Limits, Lost};

/// What a run came to, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub delivered: usize,
    pub clean_ends: usize,
    pub lost_ends: usize,
    pub failed_handshakes: usize,
    pub steps: usize,
}

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Splits, delays, full buffers, clocks that jump; nobody loses patience. Everything arrives, every end is clean.
    Calm,
    /// And one thing goes wrong, or a side gives up.
    Rough,
}

/// Runs a simulation to its end.
///
/// # Panics
/// When something that must hold does not.
pub fn run(dice: &mut Dice) -> Summary {
    let weather = dice.pick(&[Weather::Calm, Weather::Rough]);
    let mut world = World::new(weather, dice);
    world.run(dice);
    world.judge()
}

struct World {
    weather: Weather,
    now: Nanos,
    sides: [Side; 2],
    ledgers: [Ledger; 2],
    /// What each side writes to.
    pipes: [Pipe; 2],
    longest: usize,
    /// What the applications do yet, before one of them closes.
    actions: usize,
    closers: [bool; 2],
    /// Whether everything is to arrive before one of them closes.
    drains: bool,
    /// How many accidents are still to come.
    accidents: usize,
    /// The step at which the network breaks; 0 for never.
    disaster_at: usize,
    broken: bool,
    aborted: bool,
    steps: usize,
}

/// More steps than any run takes: something goes round in circles.
const MOST_STEPS: usize = 2_000_000;

/// Simulated time in which every run is over.
const LONGEST: Nanos = 400_000 * SECOND;

impl World {
    fn new(weather: Weather, dice: &mut Dice) -> World {
        let capacity = dice.pick(&[1, 5, 64, 1 << 10, 1 << 16, 1 << 20]);
        // A byte at a time is slow enough.
        let slow = capacity < 1_000;
        let delay = if slow { dice.pick(&[0, MILLISECOND]) } else { dice.pick(&[0, 200 * MILLISECOND]) };
        let mut client = Side::client(config(weather, dice), dice);
        let mut server = Side::server(config(weather, dice));
        (client.echoes, server.echoes) = dice.pick(&[(false, false), (false, true), (true, false)]);
        client.clock_ahead = dice.below(1_000) as Nanos * SECOND;
        World {
            weather,
            now: 1,
            sides: [client, server],
            ledgers: [Ledger::default(), Ledger::default()],
            pipes: [Pipe::new(capacity, delay), Pipe::new(capacity, delay)],
            longest: if slow { 300 } else { 70_000 },
            accidents: dice.below(40),
            actions: {
                let most = dice.pick(&[5, 40, 200]);
                dice.below(most)
            },
            closers: dice.pick(&[[true, false], [false, true], [true, true]]),
            drains: dice.one_in(2),
            disaster_at: match weather {
                Weather::Calm => 0,
                Weather::Rough => dice.pick(&[0, 20, 100, 400, 1_000]) + dice.below(100),
            },
            broken: false,
            aborted: false,
            steps: 0,
        }
    }

    fn run(&mut self, dice: &mut Dice) {
        while self.sides.iter().any(|side| side.ended.is_none()) {
            self.steps += 1;
            if self.steps >= MOST_STEPS || self.now >= LONGEST {
                panic!("it has no end: {}", self.describe());
            }
            let i = dice.below(2);
            if self.steps == self.disaster_at {
                self.disaster(i, dice);
            }
            let moved = match dice.below(8) {
                0 | 1 => self.with(i, |side, wires, _, _, dice| side.read(wires, dice), dice),
                2 | 3 => {
                    self.with(i, |side, wires, own, peer, dice| side.receive(wires, own, peer, dice), dice)
                }
                4 | 5 => self.with(i, |side, wires, _, _, dice| side.write(wires, dice), dice),
                6 => self.application(i, dice),
                _ => {
                    self.accident(i, dice);
                    true
                }
            };
            if !moved && !self.pump(dice) {
                self.wait(dice);
            }
        }
    }

    fn with<T>(
        &mut self,
        i: usize,
        act: impl FnOnce(&mut Side, &mut Wires<'_>, &mut Ledger, &mut Ledger, &mut Dice) -> T,
        dice: &mut Dice,
    ) -> T {
        let [a, b] = &mut self.pipes;
        let (outgoing, incoming) = if i == 0 { (a, b) } else { (b, a) };
        let [c, d] = &mut self.ledgers;
        let (own, peer) = if i == 0 { (c, d) } else { (d, c) };
        act(&mut self.sides[i], &mut Wires { incoming, outgoing, now: self.now }, own, peer, dice)
    }

    /// Lets both sides do what they can do; whether there was anything.
    fn pump(&mut self, dice: &mut Dice) -> bool {
        let mut moved = false;
        for i in [0, 1] {
            moved |= self.with(
                i,
                |side, wires, own, peer, dice| {
                    let received = side.receive(wires, own, peer, dice);
                    let written = side.write(wires, dice);
                    // As a driver: it reads when there is nothing left to handle.
                    let read = !received && side.read(wires, dice);
                    received | written | read | side.tell_time(wires)
                },
                dice,
            );
        }
        moved
    }

    /// Nothing moves at this point in time: it goes on, to the next one at which something can.
    fn wait(&mut self, dice: &mut Dice) {
        if dice.one_in(4) {
            self.sides.iter_mut().for_each(Side::park);
        }
        let arrivals = self.pipes.iter().filter_map(|pipe| pipe.next_arrival(self.now));
        let arrival = arrivals.min();
        let deadlines = self.sides.iter_mut().filter(|side| side.ended.is_none());
        // A deadline that has passed would make a driver spin.
        let deadline = deadlines.filter_map(Side::deadline).filter(|&deadline| deadline > self.now).min();
        match (arrival, deadline) {
            (None, None) => self.idle(dice),
            // Applications do not wait for ever until everything has arrived, or is drained on purpose.
            _ if self.actions > 0 && !self.sides.iter_mut().any(|side| side.connection().is_none()) => {
                if arrival.is_some() && dice.one_in(2) {
                    self.now = arrival.unwrap_or(self.now);
                }
                self.application(dice.below(2), dice);
            }
            (None, Some(_)) if self.closers != [false, false] && self.has_begun() => self.idle(dice),
            (arrival, deadline) => {
                let next = arrival.into_iter().chain(deadline).min().unwrap_or(self.now);
                self.now = if dice.one_in(8) { next + dice.below(50) as Nanos * MILLISECOND } else { next };
            }
        }
    }

    fn has_begun(&mut self) -> bool {
        self.sides.iter_mut().all(|side| side.connection().is_some() || side.ended.is_some())
    }

    /// Nothing is under way: the applications go on, or the end is due.
    fn idle(&mut self, dice: &mut Dice) {
        if !self.has_begun() {
            // A handshake that cannot go on is given up by whoever waits for it.
            for i in [0, 1] {
                self.with(
                    i,
                    |side, wires, _, _, _| {
                        if side.connection().is_none() && side.ended.is_none() {
                            side.ended = Some(Ended::Handshake);
                            wires.outgoing.reset();
                            wires.incoming.drop_reader();
                        }
                    },
                    dice,
                );
            }
            assert!(self.broken, "a handshake stands still on a network that is not broken");
            return;
        }
        if self.actions > 0 {
            self.application(dice.below(2), dice);
            return;
        }
        if self.drains && !self.broken && !self.aborted && self.closers != [false, false] {
            self.ledgers.iter().for_each(Ledger::check_all_received);
            self.ledgers.iter().for_each(Ledger::check_answered);
        }
        assert!(self.closers != [false, false], "a deadlock: nothing is under way, and there is no end");
        self.close_now(dice);
    }

    /// An application does something, or begins to close.
    fn application(&mut self, i: usize, dice: &mut Dice) -> bool {
        if self.sides[i].connection().is_none() || self.sides[i].ended.is_some() {
            return false;
        }
        if self.actions > 0 {
            self.actions -= 1;
            let longest = self.longest;
            return self.with(i, |side, _, own, _, dice| side.speak(own, longest, dice), dice);
        }
        if self.drains || !self.has_begun() || self.closers == [false, false] {
            return false;
        }
        self.close_now(dice);
        true
    }

    fn close_now(&mut self, dice: &mut Dice) {
        if self.weather == Weather::Rough && dice.one_in(8) {
            let i = dice.below(2);
            self.aborted = true;
            self.with(i, |side, _, _, _, _| side.abort(), dice);
        }
        for i in [0, 1] {
            if std::mem::take(&mut self.closers[i]) {
                self.with(i, |side, _, own, _, dice| side.close(own, dice), dice);
            }
        }
    }

    /// Something that nobody has planned.
    fn accident(&mut self, i: usize, dice: &mut Dice) {
        if self.accidents == 0 || dice.one_in(2) {
            return self.sides[i].park();
        }
        self.accidents -= 1;
        match dice.below(4) {
            0 => self.sides[i].clock_ahead += dice.below(5) as Nanos * SECOND,
            // Clocks that go backwards are held by the core.
            1 => {
                let ahead = &mut self.sides[i].clock_ahead;
                *ahead -= (*ahead).min(dice.below(2) as Nanos * SECOND);
            }
            _ => self.pipes[i].stall(self.now + dice.below(3_000) as Nanos * MILLISECOND),
        }
    }

    fn disaster(&mut self, i: usize, dice: &mut Dice) {
        self.broken = true;
        match dice.below(6) {
            0 => self.pipes.iter_mut().for_each(Pipe::reset),
            1 => self.pipes[i].reset(),
            2 => self.pipes[i].truncate(dice),
            3 => self.pipes[i].swallow(),
            4 => self.pipes[i].stall(self.now + 60 * SECOND),
            _ => self.sides[i].clock_ahead += 100 * SECOND,
        }
    }

    /// Where everything stands, for who looks into a failure.
    fn describe(&mut self) -> String {
        let (now, weather, actions) = (self.now, self.weather, self.actions);
        let sides = self.sides.iter_mut().map(Side::describe).collect::<Vec<_>>().join("; ");
        let pipes = self.pipes.iter().map(Pipe::describe).collect::<Vec<_>>().join("; ");
        format!("{weather:?} at {now}, {actions} actions to come; {sides}; {pipes}")
    }

    /// Everything is over: was it as it had to be?
    fn judge(mut self) -> Summary {
        let mut summary = Summary { steps: self.steps, ..Summary::default() };
        for i in [0, 1] {
            summary.delivered += self.ledgers[i].delivered;
            let (own, peer) = (&self.ledgers[i], &self.ledgers[1 - i]);
            // "The code received": the peer's own, or ours which it echoed.
            let expected = peer.close.as_ref().or(own.close.as_ref());
            match self.sides[i].ended.take() {
                None => panic!("each side has an end"),
                Some(Ended::Handshake) => {
                    summary.failed_handshakes += 1;
                    assert!(self.broken, "a handshake fails on a broken network only");
                }
                Some(Ended::Closed { code, reason, cause: CloseCause::Handshake }) => {
                    summary.clean_ends += 1;
                    let Some(expected) = expected else {
                        panic!(
                            "a clean end has been begun by nobody: side {i} told {code} {reason:?} broken {} aborted {}",
                            self.broken, self.aborted
                        )
                    };
                    let told =
                        expected.as_ref().map_or((1005, ""), |f: &CloseFrame| (f.code().get(), f.reason()));
                    assert_eq!((code, &reason[..]), told, "the code and the reason that were sent");
                    // It has the peer's Close, so it has all that the peer sent before.
                    peer.check_all_received();
                }
                Some(Ended::Closed { code, cause: CloseCause::Lost(lost), .. }) => {
                    summary.lost_ends += 1;
                    assert_eq!(code, 1006);
                    let excused = self.broken || self.aborted || self.weather == Weather::Rough && slow(lost);
                    assert!(excused, "lost without a reason: {lost}");
                }
                Some(Ended::Closed { cause: CloseCause::Fault(fault), .. }) => {
                    panic!("one of our own sides is said to have broken the protocol: {fault}")
                }
            }
        }
        assert!(
            self.weather == Weather::Rough || summary.clean_ends == 2,
            "in calm weather every end is clean"
        );
        summary
    }
}

/// Losses that a slow network brings, without anything broken; the other side then sees the end of the stream.
fn slow(lost: Lost) -> bool {
    matches!(lost, Lost::PongTimeout | Lost::CloseTimeout | Lost::Stalled | Lost::Eof | Lost::Transport)
}

/// Settings that fit the weather.
pub fn config(weather: Weather, dice: &mut Dice) -> Config {
    let mut limits = Limits::default();
    (limits.queue_mark, limits.queue_cap) = dice.pick(&[(64 << 10, 1 << 20), (100, 1_000), (1, 1)]);
    let mut keepalive = Keepalive::default();
    if weather == Weather::Calm {
        (limits.stall_timeout, limits.close_timeout, keepalive.pong_timeout) = (PATIENT, PATIENT, PATIENT);
        keepalive.ping_interval =
            dice.pick(&[None, Some(Duration::from_secs(20)), Some(Duration::from_secs(5))]);
    }
    Config {
        limits,
        keepalive,
        fragment_size: dice.pick(&[None, Some(1_000), Some(20)]),
        #[cfg(feature = "deflate")]
        deflate: deflate(dice),
        ..Config::default()
    }
}

#[cfg(feature = "deflate")]
fn deflate(dice: &mut Dice) -> Option<ws13::Deflate> {
    (!dice.one_in(3)).then(|| ws13::Deflate {
        level: dice.pick(&[1, 6]),
        threshold: dice.pick(&[0, 64]),
        threshold_without_takeover: dice.pick(&[0, 256]),
        server_context_takeover: !dice.one_in(3),
        client_context_takeover: !dice.one_in(3),
        server_max_window_bits: dice.within(8..=15) as u8,
        client_max_window_bits: dice.within(8..=15) as u8,
        ..ws13::Deflate::default()
    })
}

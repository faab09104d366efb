//! A client core and a server core, joined in memory, in fake time.

use super::{End, Seen};
use bytes::Buf;
use std::sync::Arc;
use std::time::Duration;
use ws13::{Config, Role, Timestamp};

/// One side, as a driver keeps it.
pub struct Side {
    pub end: End,
    pub seen: Vec<Seen>,
    /// The other side ended its direction; the end is on its way, or was told.
    eof: Eof,
    /// Bytes go out only while this holds: a peer that does not read.
    pub taken_by_peer: bool,
}

impl Side {
    fn new(role: Role, config: Arc<Config>) -> Side {
        Side { end: End::new(role, config), seen: Vec::new(), eof: Eof::No, taken_by_peer: true }
    }

    /// Events so far; forgets them.
    pub fn take(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    pub fn send(&mut self, text: &str) {
        self.end.connection.send(text, &mut self.end.outbox).unwrap();
    }

    pub fn close(&mut self, frame: Option<ws13::CloseFrame>) {
        self.end.connection.close(frame, &mut self.end.outbox);
    }

    fn tick(&mut self, now: Timestamp) {
        self.end.connection.tick(now, &self.end.inbox, &mut self.end.outbox);
    }

    fn receive(&mut self) {
        let events = self.end.events();
        self.seen.extend(events);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Eof {
    No,
    ToCome,
    Told,
}

pub struct Pair {
    pub client: Side,
    pub server: Side,
    pub now: Timestamp,
}

impl Pair {
    pub fn new(client: Config, server: Config) -> Pair {
        let (client, server) = (Arc::new(client), Arc::new(server));
        let mut pair = Pair {
            client: Side::new(Role::Client, client),
            server: Side::new(Role::Server, server),
            now: Timestamp::from_nanos(1),
        };
        pair.run();
        pair
    }

    /// Moves bytes to and fro until nothing moves, at one point in time.
    pub fn run(&mut self) {
        loop {
            self.client.tick(self.now);
            self.server.tick(self.now);
            let moved =
                [transfer(&mut self.client, &mut self.server), transfer(&mut self.server, &mut self.client)];
            if moved == [false, false] {
                return;
            }
        }
    }

    /// Lets time go by, from deadline to deadline, as drivers sleep.
    pub fn sleep(&mut self, duration: Duration) {
        // Whoever did something since has looked at the clock before it waits.
        self.run();
        let end = self.now + duration;
        loop {
            let deadlines = [&self.client, &self.server].map(|side| side.end.connection.deadline());
            // A deadline that lies behind would make a driver spin.
            let next = deadlines.into_iter().flatten().filter(|at| *at > self.now && *at < end).min();
            self.now = next.unwrap_or(end);
            self.run();
            if next.is_none() {
                return;
            }
        }
    }
}

/// Writes what `from` has to write, as `to`'s input; ends the stream where `from` wants it ended.
fn transfer(from: &mut Side, to: &mut Side) -> bool {
    let mut moved = false;
    while from.taken_by_peer && from.end.connection.wants_write(&mut from.end.outbox) {
        let len = from.end.outbox.chunk().len();
        to.end.inbox.extend_from_slice(from.end.outbox.chunk());
        from.end.outbox.advance(len);
        moved = true;
    }
    to.receive();
    from.receive();
    if from.end.connection.wants_shutdown(&from.end.outbox) {
        from.end.connection.shut_down();
        from.receive();
        to.eof = to.eof.max(Eof::ToCome);
    }
    // Who has come to the end drops its socket.
    if matches!(from.seen.last(), Some(Seen::Closed { .. })) {
        to.eof = to.eof.max(Eof::ToCome);
    }
    if to.eof == Eof::ToCome {
        to.eof = Eof::Told;
        to.end.connection.receive_eof(&mut to.end.outbox);
        to.receive();
        moved = true;
    }
    moved
}

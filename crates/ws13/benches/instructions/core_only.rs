//! The core alone: bytes in, events out; messages in, bytes out.

use super::Case;
use bytes::{Buf, BytesMut};
use std::hint::black_box;
use ws13::connection::LEASE;
use ws13::{Config, Connection, Event, Inbox, Outbox, Outgoing, Role};

pub(crate) const CASES: &[Case] = &[
    ("receive server binary 64", |times| receive(Role::Server, Kind::Binary, 64, times)),
    ("receive server text 64", |times| receive(Role::Server, Kind::Text, 64, times)),
    ("receive server owned 64", |times| receive(Role::Server, Kind::Owned, 64, times)),
    ("receive server binary 1024", |times| receive(Role::Server, Kind::Binary, 1 << 10, times)),
    ("receive server text 1024", |times| receive(Role::Server, Kind::Text, 1 << 10, times)),
    ("receive server binary 16384", |times| receive(Role::Server, Kind::Binary, 16 << 10, times)),
    ("receive server text 16384", |times| receive(Role::Server, Kind::Text, 16 << 10, times)),
    ("receive client binary 64", |times| receive(Role::Client, Kind::Binary, 64, times)),
    ("receive client text 1024", |times| receive(Role::Client, Kind::Text, 1 << 10, times)),
    ("receive client binary 16384", |times| receive(Role::Client, Kind::Binary, 16 << 10, times)),
    ("send server 64", |times| send(Role::Server, 64, times)),
    ("send server 1024", |times| send(Role::Server, 1 << 10, times)),
    ("send server 16384", |times| send(Role::Server, 16 << 10, times)),
    ("send client 64", |times| send(Role::Client, 64, times)),
    ("send client 1024", |times| send(Role::Client, 1 << 10, times)),
    ("send client 16384", |times| send(Role::Client, 16 << 10, times)),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Binary,
    Text,
    /// Binary, and taken out of the inbox.
    Owned,
}

/// Frames as the other role sends them.
pub(crate) fn wire(to: Role, text: bool, size: usize, count: usize) -> Vec<u8> {
    let from = if to == Role::Server { Role::Client } else { Role::Server };
    let mut connection = Connection::new(from, Config::default());
    let (mut outbox, mut bytes) = (Outbox::new(), Vec::new());
    let text_payload = "Grüße, ".chars().cycle().scan(0, |len, c| {
        *len += c.len_utf8();
        (*len <= size).then_some(c)
    });
    let text_payload: String = text_payload.collect();
    for _ in 0..count {
        let message =
            if text { Outgoing::from(text_payload.clone()) } else { Outgoing::from(vec![b'x'; size]) };
        connection.send(message, &mut outbox).expect("an empty queue takes a message");
        while outbox.has_remaining() {
            bytes.extend_from_slice(outbox.chunk());
            outbox.advance(outbox.chunk().len());
        }
    }
    bytes
}

/// Receives messages that come a lease at a time, as from a socket with much to give.
fn receive(role: Role, kind: Kind, size: usize, times: usize) {
    let batch = (LEASE / (size + 14)).min(64);
    let wire = wire(role, kind == Kind::Text, size, batch);
    let mut connection = Connection::new(role, Config::default());
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
    let mut received = 0;
    while received < times {
        let room = inbox.room(|_| BytesMut::with_capacity(LEASE));
        wire.chunks(COPY).for_each(|piece| room.extend_from_slice(piece));
        inbox.advance_received(wire.len());
        while let Some(event) = connection.receive(&mut inbox, &mut outbox) {
            let Event::Message(message) = event else { unreachable!("{event:?}") };
            received += 1;
            match kind {
                Kind::Owned => drop(black_box(message.into_message())),
                _ => {
                    black_box(message.as_bytes());
                }
            }
        }
    }
}

/// Queues borrowed messages, a batch for each write.
fn send(role: Role, size: usize, times: usize) {
    let payload = vec![b'x'; size];
    let mut connection = Connection::new(role, Config::default());
    let mut outbox = Outbox::new();
    for _ in 0..times.div_ceil(BATCH) {
        for _ in 0..BATCH {
            connection.send(&payload, &mut outbox).expect("the queue has room");
        }
        black_box(outbox.chunk());
        outbox.advance(outbox.remaining());
    }
}

/// Larger copies would be counted by the byte, and hide everything else.
pub(crate) const COPY: usize = 1 << 10;

/// Messages queued between two writes.
const BATCH: usize = 16;

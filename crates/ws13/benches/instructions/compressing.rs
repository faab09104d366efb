//! permessage-deflate: small messages of a feed, compressed and inflated.

use super::Case;
use bytes::Buf;
use std::hint::black_box;
use ws13::deflate::Agreed;
use ws13::{Config, Connection, Inbox, Outbox, Role};

pub(crate) const CASES: &[Case] = &[
    ("compress 264, one connection", |times| compress(264, 1, times)),
    ("compress 264, 64 in turn", |times| compress(264, 64, times)),
    ("compress 264, 512 in turn", |times| compress(264, 512, times)),
    ("compress 1024, 64 in turn", |times| compress(1024, 64, times)),
    ("inflate 264", |times| inflate(264, times)),
];

fn connection(role: Role) -> Connection {
    let agreed = Agreed {
        server_context_takeover: true,
        client_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    Connection::new(role, Config::default()).with_deflate(agreed)
}

/// The `n`th message: the same fields in each, with other numbers.
fn message(n: usize, size: usize) -> String {
    let row = |i: usize| {
        let random = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        format!(
            r#"{{"id":{},"name":"sensor-{}","value":{}.{:03},"unit":"celsius"}},"#,
            random,
            random % 13,
            random % 40,
            random % 1000
        )
    };
    let mut text: String = (n * 50..).map(row).take(1 + size / 50).collect();
    text.truncate(size);
    text
}

fn compress(size: usize, connections: usize, times: usize) {
    let mut all: Vec<_> = (0..connections).map(|_| (connection(Role::Server), Outbox::new())).collect();
    for n in 0..times {
        let (connection, outbox) = &mut all[n % connections];
        connection.send(message(n, size), outbox).expect("an empty queue takes a message");
        black_box(outbox.chunk());
        outbox.advance(outbox.queued());
    }
}

fn inflate(size: usize, times: usize) {
    let (mut sender, mut receiver) = (connection(Role::Server), connection(Role::Client));
    let (mut out, mut inbox, mut back) = (Outbox::new(), Inbox::new(), Outbox::new());
    // As if they were sent again and again: what the peer's window holds does not matter for the work.
    sender.send(message(0, size), &mut out).expect("an empty queue takes a message");
    let first = out.copy_to_bytes(out.queued());
    for _ in 0..times {
        inbox.extend_from_slice(&first);
        black_box(receiver.receive_part(&mut inbox, &mut back));
    }
}

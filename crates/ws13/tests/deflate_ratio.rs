//! What compression saves, beside a stream of zlib's own for each connection, which keeps 300 KB.
#![cfg(feature = "deflate")]

mod common;
#[path = "common/zlib.rs"]
mod zlib;

use common::{End, parse};
use flate2::{Compress, Compression, FlushCompress};
use ws13::{Config, Role};
use zlib::{TAIL, agreed};

/// Messages of each connection.
const ROUNDS: usize = 40;

/// What a feed sends: the same fields in each message, with other numbers.
fn message(connection: usize, n: usize, size: usize) -> String {
    let row = |i: usize| {
        let random = ((connection * 1_000_003 + i) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let (name, value, status) = (random % 13, random % 40, ["ok", "late", "lost"][random as usize % 3]);
        format!(
            r#"{{"id":{random},"name":"sensor-{name}","value":{value}.{:03},"status":"{status}"}},"#,
            random % 1000
        )
    };
    let mut text: String = (n * 400..).map(row).take(1 + size / 50).collect();
    text.truncate(size);
    text
}

struct Dedicated(Compress);

impl Dedicated {
    fn len(&mut self, message: &str) -> usize {
        let mut out = Vec::with_capacity(message.len() + 1024);
        self.0.compress_vec(message.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&TAIL));
        out.len() - TAIL.len()
    }
}

/// Bytes of ours to bytes of theirs, for so many connections that send in turn.
fn ratio(size: usize, connections: usize) -> f64 {
    let mut all: Vec<_> = (0..connections)
        .map(|_| {
            let mut end = End::new(Role::Server, Config::default());
            end.connection = end.connection.with_deflate(agreed(true, 15));
            (end, Dedicated(Compress::new(Compression::new(6), false)))
        })
        .collect();
    let (mut ours, mut theirs) = (0, 0);
    for n in 0..ROUNDS {
        for (number, (end, dedicated)) in all.iter_mut().enumerate() {
            let message = message(number, n, size);
            end.connection.send(message.as_str(), &mut end.outbox).unwrap();
            ours += parse(&end.written())[0].payload.len();
            theirs += dedicated.len(&message);
        }
    }
    f64::from(ours as u32) / f64::from(theirs as u32)
}

/// Level 6 of a zlib that looks at 128 places for a byte; its 8 KiB of a window would lose it less than 1 %.
#[test]
fn small_messages_get_as_small_as_by_a_stream_of_their_own() {
    for (size, connections, most) in
        [(264, 1, 1.04), (264, 64, 1.04), (1024, 1, 1.03), (1024, 64, 1.03), (16 << 10, 1, 1.03)]
    {
        let ratio = ratio(size, connections);
        println!("{size} bytes, {connections} in turn: {ratio:.3}");
        assert!(ratio <= most, "{size} bytes, {connections} in turn: {ratio:.3} over {most}");
    }
}

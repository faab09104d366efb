//! Long sequences of messages, small and large, prepared, in parts and as they are, on one connection: read back by our own
//! receiver, by another zlib, and by a slow inflater that looks at every distance.
#![cfg(feature = "deflate")]

mod common;
#[path = "common/zlib.rs"]
mod zlib;

use common::{End, Seen, parse};
use ws13::{Channel, Config, Deflate, Kind, Outgoing, Role};
use zlib::{Reader, agreed, json, noise};

/// A server's connection, and those who read what it sends.
struct Pair {
    sender: End,
    receiver: End,
    reader: Reader,
}

/// What one message took.
struct Sent {
    compressed: bool,
    len: usize,
}

impl Pair {
    fn new(config: &Config, takeover: bool, bits: u8) -> Pair {
        let [sender, receiver] = [Role::Server, Role::Client].map(|role| {
            let mut end = End::new(role, config.clone());
            end.connection = end.connection.with_deflate(agreed(takeover, bits));
            end
        });
        Pair { sender, receiver, reader: Reader::new(takeover, bits) }
    }

    fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>, expected: &[u8]) -> Sent {
        self.sender.connection.send(message, &mut self.sender.outbox).unwrap();
        self.read(expected)
    }

    fn parts(&mut self, message: &[u8]) -> Sent {
        let (one, two) = message.split_at(message.len() / 3);
        self.sender.connection.begin_message(Kind::Binary).unwrap();
        self.sender.connection.send_part(one, false, &mut self.sender.outbox).unwrap();
        self.sender.connection.send_part(two, true, &mut self.sender.outbox).unwrap();
        self.read(message)
    }

    fn read(&mut self, expected: &[u8]) -> Sent {
        let written = self.sender.written();
        let frames = parse(&written);
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        let compressed = frames[0].first & 0x40 != 0;
        let read = if compressed { self.reader.message(&payload) } else { payload.clone() };
        assert!(read == expected, "another zlib reads {} bytes otherwise", expected.len());
        assert!(self.receiver.feed(&written) == [Seen::binary(expected)], "and so do we");
        Sent { compressed, len: payload.len() }
    }
}

fn config(level: u8, send_window: usize) -> Config {
    let deflate =
        Deflate { level, threshold: 1, threshold_without_takeover: 1, send_window, ..Deflate::default() };
    Config { deflate: Some(deflate), ..Config::default() }
}

/// Messages of many sizes on both sides of what the encoder for small ones takes.
fn message(round: usize) -> Vec<u8> {
    let sizes = [264, 1, 64, 1024, 4090, 17, 264, 2000, 4097, 264, 264, 700];
    let mut message = json(sizes[round % sizes.len()] + round % 7);
    match round % 11 {
        3 => message.fill(b'a'),
        5 => message = noise(message.len()),
        _ => message.rotate_left(round % 5),
    }
    message
}

#[test]
fn whatever_is_mixed_on_one_connection_is_read_back_at_every_window_size_level_and_takeover() {
    for bits in 8..=15 {
        for (takeover, level) in [1, 2, 3, 6, 9].into_iter().flat_map(|level| [(true, level), (false, level)])
        {
            let config = config(level, [8 << 10, 300, 32 << 10][usize::from(bits) % 3]);
            let mut channel = Channel::new(&config);
            let mut pairs = [(); 2].map(|()| Pair::new(&config, takeover, bits));
            let mut compressed = 0;
            for round in 0..60 {
                let message = message(round);
                let pair = &mut pairs[round / 3 % 2];
                let sent = match round * 7 % 10 {
                    0 => pair.send(Outgoing::from(&*message).uncompressed(), &message),
                    1 | 2 => {
                        let prepared = channel.prepare(&*message);
                        // One of them misses some of the channel's.
                        let first = pairs[0].send(&prepared, &message);
                        if round % 3 > 0 { pairs[1].send(&prepared, &message) } else { first }
                    }
                    3 => pair.parts(&message),
                    _ => pair.send(&*message, &message),
                };
                compressed += usize::from(sent.compressed);
            }
            assert!(compressed > 30, "{compressed} at {bits} bits, {takeover}, {level}");
        }
    }
}

#[test]
fn more_connections_than_a_thread_keeps_histories_for() {
    let config = config(6, 8 << 10);
    let mut pairs: Vec<_> = (0..150).map(|_| Pair::new(&config, true, 15)).collect();
    let mut last = Vec::new();
    for round in 0..12 {
        last.clear();
        for (at, pair) in pairs.iter_mut().enumerate() {
            // Some of them send often, some seldom.
            if round % (1 + at % 3) == 0 {
                let message = json(300 + at + round);
                last.push(pair.send(&*message, &message).len);
            }
        }
    }
    // With a history or with the window alone, what was there is referred to.
    assert!(last.iter().all(|len| *len < 100), "{last:?}");
}

#[test]
fn what_was_sent_past_the_history_that_a_thread_keeps_is_referred_to() {
    let config = config(6, 8 << 10);
    let mut channel = Channel::new(&config);
    let mut pair = Pair::new(&config, true, 15);
    for round in 0..10 {
        let _ = pair.send(&*json(500), &json(500));
        for (way, past) in [noise(1000 + round), noise(1100 + round), noise(5000 + round)].iter().enumerate()
        {
            let text = [&past[..200], &b"-".repeat(200)].concat();
            let _ = match way {
                0 => pair.send(&channel.prepare(&*text), &text),
                1 => pair.parts(&text),
                _ => {
                    let long = text.repeat(20);
                    pair.send(&*long, &long)
                }
            };
            assert!(pair.send(&*text, &text).len < 30, "{way}");
        }
    }
}

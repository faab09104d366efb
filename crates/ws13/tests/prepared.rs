//! Messages that are prepared once for many connections, mixed with ordinary ones.
#![cfg(feature = "deflate")]

mod common;
#[path = "common/zlib.rs"]
mod zlib;

use common::{End, Frame, Seen, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use ws13::deflate::Agreed;
use ws13::{Channel, Config, Deflate, Kind, Misuse, Outgoing, Prepared, Role};
use zlib::{Reader, agreed, json, noise};

fn config() -> Config {
    Config { deflate: Some(Deflate::default()), ..Config::default() }
}

/// A server's connection, and who reads what it sends.
struct Receiver {
    end: End,
    reader: Reader,
}

impl Receiver {
    fn new(agreed: Agreed) -> Receiver {
        let mut end = End::new(Role::Server, config());
        end.connection = end.connection.with_deflate(agreed);
        Receiver { end, reader: Reader::new(agreed.server_context_takeover, agreed.server_max_window_bits) }
    }

    /// Sends, and reads it back with another zlib; gives the bytes on the wire.
    fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>, expected: &[u8]) -> usize {
        self.end.connection.send(message, &mut self.end.outbox).unwrap();
        self.read(expected)
    }

    fn read(&mut self, expected: &[u8]) -> usize {
        let frames = self.end.frames();
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        let compressed = frames[0].first & 0x40 != 0;
        let read = if compressed { self.reader.message(&payload) } else { payload.clone() };
        assert!(read == expected, "{} bytes came back otherwise", expected.len());
        payload.len()
    }
}

#[test]
fn a_prepared_message_is_the_frame_that_an_ordinary_one_is() {
    for len in [0, 1, 125, 126, 300, 65_535, 65_536, 1 << 20] {
        let payload = json(len);
        let text = std::str::from_utf8(&payload).unwrap();
        for prepared in [Prepared::new(text), Prepared::new(&*payload)] {
            let mut frames = [Vec::new(), Vec::new()];
            for (bytes, prepared_one) in frames.iter_mut().zip([true, false]) {
                let mut end = End::new(Role::Server, Config::default());
                let message = match (prepared_one, prepared.kind()) {
                    (true, _) => Outgoing::from(&prepared),
                    (false, Kind::Text) => text.into(),
                    (false, Kind::Binary) => (&*payload).into(),
                };
                end.connection.send(message, &mut end.outbox).unwrap();
                *bytes = end.written();
            }
            assert!(frames[0] == frames[1], "{len}");
            assert_eq!(prepared.compressions(), 0, "nobody agreed on it");
        }
    }
}

#[test]
fn a_client_masks_it_and_fragments_are_cut() {
    let prepared = Prepared::new("hello, hello");
    let mut client = End::new(Role::Client, Config::default());
    client.connection.send(&prepared, &mut client.outbox).unwrap();
    let mut server = End::new(Role::Server, Config::default());
    let written = client.written();
    assert!(written[1] & 0x80 != 0);
    assert_eq!(server.feed(&written), [Seen::text("hello, hello")]);

    let config = Config { fragment_size: Some(5), ..Config::default() };
    let mut fragmenting = End::new(Role::Server, config);
    fragmenting.connection.send(&prepared, &mut fragmenting.outbox).unwrap();
    let firsts: Vec<u8> = fragmenting.frames().iter().map(|frame| frame.first).collect();
    assert_eq!(firsts, [0x01, 0x00, 0x80]);
}

#[test]
fn what_refuses_an_ordinary_message_refuses_a_prepared_one() {
    let prepared = Prepared::new("x".repeat(1000));
    let mut end = End::new(Role::Server, Config::default());
    end.connection.begin_message(Kind::Text).unwrap();
    assert_eq!(end.connection.send(&prepared, &mut end.outbox), Err(Misuse::MessageUnfinished));
    end.connection.send_part(b"", true, &mut end.outbox).unwrap();
    end.connection.close(None, &mut end.outbox);
    assert_eq!(end.connection.send(&prepared, &mut end.outbox), Err(Misuse::Closed));
}

/// The thousandth message costs one compression, for those who have it all; others cost one more for each distance back.
#[test]
fn four_compressions_serve_any_audience() {
    let mut channel = Channel::new(&config());
    let mut receivers: Vec<_> = (0..200).map(|_| Receiver::new(agreed(true, 15))).collect();
    let mut counts = Vec::new();
    let (mut wire, mut plain) = (0, 0);
    for round in 0..60 {
        let message = json(1000 + round);
        let prepared = channel.prepare(&*message);
        for (at, receiver) in receivers.iter_mut().enumerate() {
            // A tenth of them is told something else now and then.
            if at % 10 == 0 && (at + round) % 7 == 0 {
                receiver.send(&json(264)[..], &json(264));
            }
            wire += receiver.send(&prepared, &message);
            plain += message.len();
        }
        counts.push(prepared.compressions());
    }
    assert_eq!(counts[..1], [1], "nobody has anything yet");
    assert!(counts.iter().all(|count| (1..=4).contains(count)), "{counts:?}");
    assert!(counts.iter().any(|count| *count > 1), "{counts:?}");
    assert!(wire * 2 < plain, "{wire} of {plain}");
}

#[test]
fn receivers_that_agreed_on_different_windows_get_four_compressions_at_most() {
    let mut channel = Channel::new(&config());
    let mut receivers: Vec<_> = (8..=15)
        .flat_map(|bits| [true, false].map(|takeover| Receiver::new(agreed(takeover, bits))))
        .collect();
    for len in [1000, 300, 5000, 264, 70_000, 1000, 1000, 20_000, 100, 1000] {
        let message = json(len);
        let prepared = channel.prepare(&*message);
        for (at, receiver) in receivers.iter_mut().enumerate() {
            if at % 3 == 0 {
                receiver.send(&json(500)[..], &json(500));
            }
            receiver.send(&prepared, &message);
        }
        assert!(prepared.compressions() <= 4, "{} for {len}", prepared.compressions());
    }
}

#[test]
fn an_ordinary_message_refers_back_to_prepared_ones_and_the_other_way() {
    let mut channel = Channel::new(&config());
    let (mut receiver, mut alone) = (Receiver::new(agreed(true, 15)), Receiver::new(agreed(true, 15)));
    let first = receiver.send(&channel.prepare(&json(900)[..]), &json(900));
    let again = receiver.send(&channel.prepare(&json(900)[..]), &json(900));
    assert!(again * 2 < first, "{again} of {first}: it has the message before it");
    let ordinary = receiver.send(&json(900)[..], &json(900));
    assert!(ordinary * 5 < alone.send(&json(900)[..], &json(900)), "{ordinary}: it has those before it, too");
    // After it the row is broken for this one.
    let broken = receiver.send(&channel.prepare(&json(900)[..]), &json(900));
    assert_eq!(broken, first);
}

#[test]
fn short_messages_get_smaller_once_there_are_some() {
    let mut channel = Channel::new(&config());
    let mut receiver = Receiver::new(agreed(true, 15));
    let row = |n: usize| {
        format!("{{\"id\":{},\"name\":\"sensor-{}\",\"value\":{},\"unit\":\"c\"}}", n * 7919, n % 13, n % 97)
    };
    let mut sizes = Vec::new();
    for n in 0..30 {
        let text = format!("{:<64}", row(n));
        sizes.push(receiver.send(&channel.prepare(&*text), text.as_bytes()));
    }
    assert!(sizes.iter().all(|size| *size <= 64 + 8), "{sizes:?}");
    assert!(sizes[20..].iter().all(|size| *size < 40), "{sizes:?}");
}

#[test]
fn what_should_not_be_compressed_or_is_short_is_none_of_the_row() {
    let mut channel = Channel::new(&config());
    let mut receiver = Receiver::new(agreed(true, 15));
    receiver.send(&channel.prepare(&json(900)[..]), &json(900));
    let secret = channel.prepare(Outgoing::from(&json(900)[..]).uncompressed());
    assert_eq!(receiver.send(&secret, &json(900)), 900);
    assert_eq!(receiver.send(Outgoing::from(&channel.prepare("short")), b"short"), 5);
    assert_eq!((secret.compressions(), channel.prepare("short").compressions()), (0, 0));
    let prepared = channel.prepare(&json(900)[..]);
    assert!(receiver.send(&prepared, &json(900)) < 100);
    // A choice for one receiver.
    assert_eq!(receiver.send(Outgoing::from(&prepared).uncompressed(), &json(900)), 900);
}

#[test]
fn a_control_frame_goes_ahead_of_whole_shared_frames_and_never_into_one() {
    let prepared = Prepared::new("x".repeat(1000));
    for written in [0, 1, 500, 1004, 1005, 1500, 2008] {
        let mut end = End::new(Role::Server, Config::default());
        end.connection.send(&prepared, &mut end.outbox).unwrap();
        end.connection.send(&prepared, &mut end.outbox).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..written {
            bytes.push(bytes::Buf::chunk(&end.outbox)[0]);
            bytes::Buf::advance(&mut end.outbox, 1);
        }
        end.connection.ping(b"now", &mut end.outbox).unwrap();
        bytes.extend(end.written());
        let firsts: Vec<u8> = parse(&bytes).iter().map(|Frame { first, .. }| *first).collect();
        let expected: &[u8] = match written {
            0 => &[0x89, 0x81, 0x81],
            1..=1004 => &[0x81, 0x89, 0x81],
            _ => &[0x81, 0x81, 0x89],
        };
        assert_eq!(firsts, expected, "{written}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// From one of two channels, to some of the receivers.
    Prepared {
        channel: usize,
        len: usize,
        random: bool,
        to: u8,
    },
    Ordinary {
        to: usize,
        len: usize,
        random: bool,
    },
    Parts {
        to: usize,
        len: usize,
    },
    /// A message that was prepared earlier, once more or for the first time.
    Late {
        back: usize,
        to: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0..100usize, 200..1500usize, 5000..12_000usize, Just(20_000)];
    prop_oneof![
        6 => (0..2usize, len.clone(), any::<bool>(), any::<u8>()).prop_map(|(channel, len, random, to)| {
            Step::Prepared { channel, len, random: random && len % 3 == 0, to }
        }),
        2 => (0..6usize, len.clone(), any::<bool>()).prop_map(|(to, len, random)| Step::Ordinary { to, len, random }),
        1 => (0..6usize, 0..3000usize).prop_map(|(to, len)| Step::Parts { to, len }),
        1 => (0..4usize, 0..6usize).prop_map(|(back, to)| Step::Late { back, to }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn everybody_reads_what_was_sent_whatever_went_before(
        audience in vec((any::<bool>(), prop_oneof![Just(15u8), 8..=15u8]), 1..6),
        steps in vec(step(), 1..40),
    ) {
        let mut receivers: Vec<_> =
            audience.iter().map(|(takeover, bits)| Receiver::new(agreed(*takeover, *bits))).collect();
        let mut channels = [Channel::new(&config()), Channel::new(&config())];
        let mut prepared: Vec<Prepared> = Vec::new();
        let payload = |len, random| if random { noise(len) } else { json(len) };
        for step in steps {
            match step {
                Step::Prepared { channel, len, random, to } => {
                    let message = channels[channel].prepare(&*payload(len, random));
                    for (at, receiver) in receivers.iter_mut().enumerate() {
                        if to & (1 << at) == 0 {
                            receiver.send(&message, message.as_bytes());
                        }
                    }
                    prepared.push(message);
                }
                Step::Ordinary { to, len, random } => {
                    if let Some(receiver) = receivers.get_mut(to) {
                        receiver.send(&*payload(len, random), &payload(len, random));
                    }
                }
                Step::Parts { to, len } => {
                    if let Some(receiver) = receivers.get_mut(to) {
                        let message = json(len);
                        let (a, b) = message.split_at(len / 3);
                        let End { connection, outbox, .. } = &mut receiver.end;
                        connection.begin_message(Kind::Binary).unwrap();
                        connection.send_part(a, false, outbox).unwrap();
                        connection.send_part(b, true, outbox).unwrap();
                        receiver.read(&message);
                    }
                }
                Step::Late { back, to } => {
                    if let (Some(receiver), Some(message)) =
                        (receivers.get_mut(to), prepared.iter().rev().nth(back))
                    {
                        receiver.send(message, message.as_bytes());
                    }
                }
            }
        }
        prop_assert!(prepared.iter().all(|message| message.compressions() <= 4));
    }
}

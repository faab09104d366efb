//! permessage-deflate on the wire, against another zlib: everything we compress is inflated by it, and the other way.
#![cfg(feature = "deflate")]

mod common;
#[path = "common/zlib.rs"]
mod zlib;

use common::{End, Frame, Seen, frame, masked, parse, plain};
use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use ws13::deflate::Agreed;
use ws13::{CloseCause, Config, Deflate, Fault, Kind, LimitHit, Limits, Outgoing, Role, Violation};
use zlib::{Reader, TAIL, agreed, json, noise};

fn config(settings: Deflate) -> Config {
    Config { deflate: Some(settings), ..Config::default() }
}

/// Compresses whatever gets smaller.
fn eager() -> Deflate {
    Deflate { threshold: 1, threshold_without_takeover: 1, ..Deflate::default() }
}

fn end(role: Role, config: Config, agreed: Agreed) -> End {
    let mut end = End::new(role, config);
    end.connection = end.connection.with_deflate(agreed);
    end
}

fn server(agreed: Agreed) -> End {
    end(Role::Server, config(eager()), agreed)
}

fn send(end: &mut End, message: &[u8]) -> Frame {
    end.connection.send(message, &mut end.outbox).unwrap();
    end.frames().remove(0)
}

/// Another zlib's encoder, held to a window by forgetting everything before it would go beyond.
struct Foreign {
    encoder: Compress,
    takeover: bool,
    reach: usize,
    since_reset: usize,
}

impl Foreign {
    fn new(agreed: Agreed) -> Foreign {
        Foreign {
            encoder: Compress::new(Compression::new(6), false),
            takeover: agreed.client_context_takeover,
            reach: 1 << agreed.client_max_window_bits,
            since_reset: 0,
        }
    }

    /// The payload of a message.
    fn message(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.takeover {
            self.encoder.reset();
            self.since_reset = 0;
        }
        for piece in message.chunks(self.reach) {
            if self.since_reset + piece.len() > self.reach {
                self.put(&[], FlushCompress::Full, &mut out);
                self.since_reset = 0;
            }
            self.put(piece, FlushCompress::None, &mut out);
            self.since_reset += piece.len();
        }
        if message.is_empty() {
            return vec![0];
        }
        self.put(&[], FlushCompress::Sync, &mut out);
        out.truncate(out.len() - out.strip_suffix(&TAIL).map_or(0, |_| TAIL.len()));
        out
    }

    fn put(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        loop {
            out.reserve(input.len() + 1024);
            let taken = self.encoder.total_in();
            self.encoder.compress_vec(input, out, flush).unwrap();
            input = &input[(self.encoder.total_in() - taken) as usize..];
            if input.is_empty() && out.len() < out.capacity() {
                return;
            }
        }
    }
}

fn messages() -> Vec<Vec<u8>> {
    let mut all =
        vec![json(300), Vec::new(), json(264), b"x".to_vec(), vec![7; 5000], json(264), noise(3000)];
    all.extend([json(20_000), noise(200), json(70_000), json(1), vec![0; 100_000], json(264), json(9000)]);
    all
}

#[test]
fn another_zlib_inflates_what_we_compress_at_every_window_size_level_and_takeover() {
    for bits in 8..=15 {
        for takeover in [true, false] {
            for (level, memory_level) in [(1, 1), (3, 5), (6, 5), (9, 9)] {
                let settings = Deflate { level, memory_level, ..eager() };
                let mut sender = end(Role::Server, config(settings), agreed(takeover, bits));
                let mut reader = Reader::new(takeover, bits);
                let mut compressed = 0;
                let all = messages().into_iter();
                for message in all.filter(|message| level == 6 || message.len() < 25_000) {
                    let Frame { first, payload, .. } = send(&mut sender, &message);
                    if first == 0x82 {
                        assert_eq!(payload, message);
                        continue;
                    }
                    assert_eq!(first, 0xc2);
                    // While there is little to refer to, a short one may cost some bytes.
                    let invested = if takeover && message.len() < 512 { 8 } else { 0 };
                    assert!(payload.len() < message.len() + invested);
                    assert!(reader.message(&payload) == message, "{bits} {takeover} {level}");
                    compressed += 1;
                }
                assert!(compressed >= 6, "{compressed} at {bits} bits");
            }
        }
    }
}

#[test]
fn we_inflate_what_another_zlib_compresses_at_every_window_size_and_takeover() {
    for bits in 8..=15 {
        for takeover in [true, false] {
            let agreed = agreed(takeover, bits);
            let (mut foreign, mut receiver) = (Foreign::new(agreed), server(agreed));
            for message in messages() {
                let payload = foreign.message(&message);
                assert!(
                    receiver.feed(&masked(0xc2, &payload)) == [Seen::binary(&message)],
                    "{bits} {takeover}"
                );
            }
            // Messages as they are do not enter the window.
            assert_eq!(receiver.feed(&masked(0x82, b"between")), [Seen::binary(b"between")]);
            let after = foreign.message(&json(500));
            assert_eq!(receiver.feed(&masked(0xc2, &after)), [Seen::binary(&json(500))]);
        }
    }
}

#[test]
fn every_split_gives_the_same() {
    let agreed = agreed(true, 15);
    let mut foreign = Foreign::new(agreed);
    let (one, two, text) = (json(700), json(300), "grüße, 世界, 🍪 grüße, 世界".as_bytes());
    let payload = foreign.message(&one);
    let (a, b) = payload.split_at(payload.len() / 3);
    let bytes = [
        masked(0x42, a),
        masked(0x89, b"ping"),
        masked(0x00, b""),
        masked(0x80, b),
        masked(0x82, b"plain"),
        masked(0xc2, &foreign.message(&two)),
        masked(0xc1, &foreign.message(text)),
        masked(0xc1, &foreign.message(b"")),
    ]
    .concat();
    let expected = [
        Seen::Ping(b"ping".to_vec()),
        Seen::binary(&one),
        Seen::binary(b"plain"),
        Seen::binary(&two),
        Seen::Message(Kind::Text, text.into()),
        Seen::text(""),
    ];
    for cut in 0..=bytes.len() {
        let mut receiver = server(agreed);
        let mut seen = receiver.feed(&bytes[..cut]);
        seen.extend(receiver.feed(&bytes[cut..]));
        assert_eq!(seen, expected, "{cut}");
    }
    for size in 1..20 {
        let mut receiver = server(agreed);
        let seen: Vec<Seen> = bytes.chunks(size).flat_map(|piece| receiver.feed(piece)).collect();
        assert_eq!(seen, expected, "{size}");
    }
}

#[test]
fn messages_are_received_in_parts_of_bounded_size() {
    for takeover in [true, false] {
        let agreed = agreed(takeover, 15);
        for size in [1, 700, 100_000] {
            let (mut foreign, mut receiver) = (Foreign::new(agreed), server(agreed));
            // Over the limit on messages, which does not bind parts.
            for message in [vec![b'x'; 3_000_000], json(100_000), Vec::new(), noise(40_000), json(300)] {
                let payload = foreign.message(&message);
                let bytes: Vec<u8> = match payload.len() {
                    0..=9 => masked(0xc2, &payload),
                    len => [masked(0x42, &payload[..len / 2]), masked(0x80, &payload[len / 2..])].concat(),
                };
                let (mut joined, mut began, mut ended) = (Vec::new(), false, false);
                for piece in bytes.chunks(size) {
                    receiver.inbox.extend_from_slice(piece);
                    while let Some(seen) = receiver.part() {
                        let Seen::Part { bytes, first, last, .. } = seen else { panic!("{seen:?}") };
                        assert!(bytes.len() <= 16 << 10 && first != began && !ended);
                        (began, ended) = (true, last);
                        joined.extend_from_slice(&bytes);
                    }
                }
                assert!(ended && joined == message, "{} {size}", message.len());
            }
        }
    }
}

#[test]
fn a_message_whose_reader_was_dropped_still_feeds_the_window() {
    let agreed = agreed(true, 15);
    let (mut foreign, mut receiver) = (Foreign::new(agreed), server(agreed));
    let (one, two) = (json(60_000), json(60_100));
    receiver.inbox.extend_from_slice(&masked(0xc2, &foreign.message(&one)));
    assert!(matches!(receiver.part(), Some(Seen::Part { first: true, last: false, .. })));
    assert_eq!(receiver.feed(&masked(0xc2, &foreign.message(&two))), [Seen::binary(&two)]);
}

#[test]
fn a_message_begun_in_parts_mode_or_whole_can_be_gone_on_with_in_the_other() {
    let agreed = agreed(true, 15);
    let (mut foreign, message) = (Foreign::new(agreed), noise(50_000));
    let payload = foreign.message(&message);
    let mut receiver = server(agreed);
    let bytes = masked(0xc2, &payload);
    assert_eq!(receiver.feed(&bytes[..40_000]), []);
    receiver.inbox.extend_from_slice(&bytes[40_000..]);
    let mut joined = Vec::new();
    while let Some(Seen::Part { bytes, .. }) = receiver.part() {
        joined.extend_from_slice(&bytes);
    }
    assert!(joined == message);
    let bytes = masked(0xc2, &foreign.message(&message));
    receiver.inbox.extend_from_slice(&bytes[..4]);
    assert_eq!(receiver.part(), None);
    assert_eq!(receiver.feed(&bytes[4..]), [Seen::binary(&message)]);
}

#[test]
fn parts_are_sent_compressed_and_every_message_after_them_too() {
    for takeover in [true, false] {
        for bits in [8, 11, 15] {
            let mut sender = end(Role::Client, config(eager()), agreed(takeover, bits));
            let mut reader = Reader::new(takeover, bits);
            for round in 0..3 {
                let parts = [json(3000 + round), Vec::new(), json(20_000), b"x".to_vec(), vec![3; 9000]];
                sender.connection.begin_message(Kind::Binary).unwrap();
                for part in &parts {
                    sender.connection.send_part(part, false, &mut sender.outbox).unwrap();
                }
                let last: &[u8] = if round == 1 { b"" } else { b"the last part, the last" };
                sender.connection.send_part(last, true, &mut sender.outbox).unwrap();
                let frames = sender.frames();
                let firsts: Vec<u8> = frames.iter().map(|frame| frame.first).collect();
                assert_eq!(firsts, [0x42, 0, 0, 0, 0, 0x80]);
                let joined = frames.iter().map(|frame| &frame.payload[..]).collect::<Vec<_>>().concat();
                assert!(reader.message(&joined) == [parts.concat(), last.to_vec()].concat());
                let Frame { first, payload, .. } = send(&mut sender, &json(500));
                assert_eq!(first, 0xc2);
                assert!(reader.message(&payload) == json(500));
            }
        }
    }
}

#[test]
fn what_cannot_be_compressed_passes_between_what_can() {
    for level in [1, 6] {
        for memory_level in [1, 5] {
            let settings = Deflate { level, memory_level, ..eager() };
            let mut sender = end(Role::Client, config(settings), agreed(true, 15));
            let mut reader = Reader::new(true, 15);
            for size in [30_000, 300, 9000] {
                assert_eq!(
                    send(&mut sender, &noise(size)),
                    Frame { first: 0x82, masked: true, payload: noise(size) }
                );
                sender.connection.begin_message(Kind::Binary).unwrap();
                for last in [false, true] {
                    sender.connection.send_part(&noise(size), last, &mut sender.outbox).unwrap();
                }
                let frames = sender.frames();
                let joined = frames.iter().map(|frame| &frame.payload[..]).collect::<Vec<_>>().concat();
                assert!(reader.message(&joined) == noise(size).repeat(2));
                assert!(reader.message(&send(&mut sender, &json(700)).payload) == json(700));
            }
        }
    }
}

#[test]
fn fragments_of_a_compressed_message_have_rsv1_on_the_first_alone() {
    let cut = Config { fragment_size: Some(100), ..config(eager()) };
    let mut sender = end(Role::Server, cut, agreed(true, 15));
    sender.connection.send(json(3000), &mut sender.outbox).unwrap();
    let frames = sender.frames();
    assert!(frames.len() > 2);
    assert_eq!(frames[0].first, 0x42);
    assert!(frames[1..frames.len() - 1].iter().all(|frame| frame.first == 0));
    assert_eq!(frames[frames.len() - 1].first, 0x80);
    let joined = frames.iter().map(|frame| &frame.payload[..]).collect::<Vec<_>>().concat();
    assert_eq!(Reader::new(true, 15).message(&joined), json(3000));
}

#[test]
fn short_messages_those_that_would_grow_and_those_that_are_to_stay_go_out_as_they_are() {
    let mut sender = end(Role::Server, config(Deflate::default()), agreed(true, 15));
    let mut reader = Reader::new(true, 15);
    for (message, first) in [
        (json(63), 0x82),
        // It does not get smaller, but the next one does.
        (json(64), 0xc2),
        (json(500), 0xc2),
        (noise(300), 0x82),
    ] {
        let frame = send(&mut sender, &message);
        assert_eq!(frame.first, first, "{}", message.len());
        if first == 0xc2 {
            assert_eq!(reader.message(&frame.payload), message);
        }
    }
    let secret = json(300);
    sender.connection.send(Outgoing::from(&secret).uncompressed(), &mut sender.outbox).unwrap();
    assert_eq!(sender.frames(), [Frame { first: 0x82, masked: false, payload: secret }]);
    // What went out as it is has not entered the window.
    assert_eq!(reader.message(&send(&mut sender, &json(301)).payload), json(301));
    let mut alone = end(Role::Server, config(Deflate::default()), agreed(false, 15));
    for (len, first) in [(255, 0x82), (256, 0xc2)] {
        assert_eq!(send(&mut alone, &json(len)).first, first);
    }
}

#[test]
fn many_connections_in_turn_on_one_thread_keep_their_histories_apart() {
    for count in [1, 2, 8, 20, 64] {
        let mut ends: Vec<(End, Reader)> =
            (0..count).map(|_| (server(agreed(true, 13)), Reader::new(true, 13))).collect();
        for (sender, reader) in &mut ends {
            assert_eq!(reader.message(&send(sender, &json(600)).payload), json(600));
        }
        for round in 0..12 {
            for (i, (sender, reader)) in ends.iter_mut().enumerate() {
                if (round + i) % 5 == 0 {
                    // Does not get smaller: what the encoder has seen of it must not count.
                    assert_eq!(send(sender, &noise(90 + i)).first, 0x82);
                }
                let message = json(200 + 13 * i + round);
                let frame = send(sender, &message);
                assert_eq!((frame.first, reader.message(&frame.payload)), (0xc2, message));
            }
        }
    }
}

/// RFC 7692, 7.2.3: the payloads of "Hello", each in its way.
#[test]
fn rfc_7692_7_2_3_examples() {
    let hello = Seen::Message(Kind::Text, b"Hello".to_vec());
    for (payloads, what) in [
        (&[&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..]][..], "one compressed block"),
        (
            &[&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], &[0xf2, 0x00, 0x11, 0x00, 0x00]],
            "sharing the window",
        ),
        (&[&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]], "no compression"),
        (&[&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]], "a final block"),
        (&[&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]], "two blocks"),
    ] {
        let mut receiver = server(agreed(true, 15));
        for payload in payloads {
            assert_eq!(receiver.feed(&masked(0xc1, payload)), std::slice::from_ref(&hello), "{what}");
        }
        // And from the server's side, in two fragments.
        let mut receiver = end(Role::Client, config(eager()), agreed(true, 15));
        for payload in payloads {
            let (a, b) = payload.split_at(3);
            assert_eq!(
                receiver.feed(&[plain(0x41, a), plain(0x80, b)].concat()),
                std::slice::from_ref(&hello),
                "{what}"
            );
        }
    }
}

fn fault(end: &mut End, bytes: &[u8]) -> (Vec<Seen>, Option<u16>) {
    let seen = end.feed(bytes);
    (seen, end.close_code())
}

/// The same, and that every cut gives the same.
fn fault_at_every_cut(make: impl Fn() -> End, bytes: &[u8]) -> (Vec<Seen>, Option<u16>) {
    let whole = fault(&mut make(), bytes);
    for cut in 0..=bytes.len() {
        let mut end = make();
        let mut seen = end.feed(&bytes[..cut]);
        seen.extend(end.feed(&bytes[cut..]));
        assert_eq!((seen, end.close_code()), whole, "cut at {cut}");
    }
    let mut end = make();
    let seen: Vec<Seen> = bytes.chunks(1).flat_map(|byte| end.feed(byte)).collect();
    assert_eq!((seen, end.close_code()), whole, "one byte at a time");
    whole
}

#[test]
fn short_attacks_at_every_cut() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let f = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let go_on = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let make = || server(agreed(true, 15));
    assert_eq!(fault_at_every_cut(make, &masked(0xc2, &go_on)), (vec![Seen::binary(b"HelloHello")], None));
    for bad in [
        vec![0x07],
        [&hello[..], &[0xff; 4]].concat(),
        [&hello[..], &[0, 0, 0xff, 0xff, 0x07]].concat(),
        f.to_vec(),
        [&f[..], &[0xff, 1, 2, 3]].concat(),
        vec![0x02, 0x40, 0x00, 0x00],
    ] {
        assert_eq!(fault_at_every_cut(make, &masked(0xc2, &bad)), (vec![], Some(1007)), "{bad:x?}");
    }
    let many = [f.repeat(17), vec![0]].concat();
    assert_eq!(fault_at_every_cut(make, &masked(0xc2, &many)), (vec![], Some(1008)));
    for bytes in [
        masked(0xa1, &hello),
        masked(0xc9, b""),
        masked(0xc8, b""),
        [masked(0x41, &hello[..3]), masked(0xc0, &hello[3..])].concat(),
    ] {
        assert_eq!(fault_at_every_cut(make, &bytes), (vec![], Some(1002)), "{bytes:x?}");
    }
}

/// RFC 7692, 6.1: "An endpoint MUST NOT set the 'Per-Message Compressed' bit of control frames".
#[test]
fn control_frames_are_never_compressed_6_1() {
    for role in [Role::Server, Role::Client] {
        let mut sender = end(role, config(eager()), agreed(true, 15));
        sender.connection.send(json(3000), &mut sender.outbox).unwrap();
        assert_eq!(sender.frames()[0].first, 0xc2);
        sender.connection.ping(&[b'a'; 125], &mut sender.outbox).unwrap();
        sender.connection.pong(&[b'b'; 125], &mut sender.outbox).unwrap();
        let mut frames = sender.frames();
        sender.feed(&frame(0x89, (role == Role::Server).then_some(common::KEY), &[b'c'; 125]));
        frames.extend(sender.frames());
        let reason = ws13::CloseFrame::new(ws13::CloseCode::NORMAL, "d".repeat(123)).unwrap();
        sender.connection.close(Some(reason), &mut sender.outbox);
        frames.extend(sender.frames());
        let sent: Vec<(u8, usize)> = frames.iter().map(|frame| (frame.first, frame.payload.len())).collect();
        assert_eq!(sent, [(0x89, 125), (0x8a, 125), (0x8a, 125), (0x88, 125)], "{role:?}");
        assert!(frames[0].payload == [b'a'; 125] && frames[2].payload == [b'c'; 125]);
    }
}

#[test]
fn reserved_bits_where_they_mean_nothing_are_1002() {
    let valid = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for bytes in [
        masked(0xa1, &valid),
        masked(0xd1, &valid),
        masked(0xe1, &valid),
        masked(0xc9, b""),
        masked(0xc8, b""),
        [masked(0x41, &valid[..3]), masked(0xc0, &valid[3..])].concat(),
        [masked(0x01, b"a"), masked(0xc0, b"b")].concat(),
    ] {
        assert_eq!(fault(&mut server(agreed(true, 15)), &bytes), (vec![], Some(1002)), "{bytes:x?}");
    }
    let mut nothing_agreed = End::server();
    assert_eq!(fault(&mut nothing_agreed, &masked(0xc1, &valid)), (vec![], Some(1002)));
}

#[test]
fn a_bit_that_is_set_to_begin_with_is_refused_at_the_first_byte_after_it() {
    assert_eq!(fault(&mut server(agreed(true, 15)), &[0xc9]), (vec![], Some(1002)));
}

#[test]
fn no_truncation_passes() {
    let agreed = agreed(true, 15);
    for message in [
        json(700),
        b"Hello".to_vec(),
        vec![b'a'; 300],
        noise(100),
        json(66),
        b"\0\0\xff\xff\0\0\xff\xff".repeat(9),
    ] {
        let mut ways = vec![Foreign::new(agreed).message(&message)];
        let stored = |end: &[u8]| {
            let len = message.len() as u16;
            [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &message, end].concat()
        };
        ways.push(stored(&[0]));
        if let frame @ Frame { first: 0xc2, .. } = send(&mut server(agreed), &message) {
            ways.push(frame.payload);
        }
        for payload in ways {
            let whole = server(agreed).feed(&masked(0xc2, &payload));
            assert!(whole == [Seen::binary(&message)]);
            for cut in 0..payload.len() {
                if payload[..cut] == [0] {
                    // By itself it is the empty message.
                    continue;
                }
                let mut receiver = server(agreed);
                let (seen, code) = fault(&mut receiver, &masked(0xc2, &payload[..cut]));
                assert_eq!((seen, code), (vec![], Some(1007)), "{cut} of {}", payload.len());
                // The thread's decoder is as new for the next.
                assert!(server(agreed).feed(&masked(0xc2, &payload)) == [Seen::binary(&message)]);
            }
        }
    }
}

#[test]
fn bytes_after_the_end_and_bytes_that_are_no_block_are_1007() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let final_hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for bad in [
        vec![0x07],
        [&hello[..], &[0xff; 4]].concat(),
        [&hello[..], &[0, 0, 0xff, 0xff, 0x07]].concat(),
        // A final block, and no block after it.
        final_hello.to_vec(),
        [&final_hello[..], &[0xff, 1, 2, 3]].concat(),
        // The tail itself, left on: one block too many, cut off.
        vec![0xff; 1000],
        // A distance beyond everything that was ever sent.
        vec![0x02, 0x40, 0x00, 0x00],
    ] {
        let mut receiver = server(agreed(true, 15));
        let (seen, code) = fault(&mut receiver, &masked(0xc2, &bad));
        assert_eq!((seen, code), (vec![], Some(1007)), "{bad:x?}");
        let closed = receiver.connection.closed().unwrap().cause();
        assert_eq!(closed, CloseCause::Fault(Fault::Violation(Violation::Compression)));
    }
}

#[test]
fn a_final_block_and_then_more_goes_on_with_the_window() {
    for takeover in [true, false] {
        // "Hello" in a final block, then "Hello" by a distance of 5, then the end.
        let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x00, 0x11, 0x00, 0x00];
        let mut receiver = server(agreed(takeover, 15));
        assert_eq!(receiver.feed(&masked(0xc2, &payload)), [Seen::binary(b"HelloHello")]);
        // What is left of it reaches the next message only where it is agreed.
        let (seen, code) = fault(&mut receiver, &masked(0xc2, &[0xf2, 0x00, 0x11, 0x00, 0x00]));
        let expected = if takeover { (vec![Seen::binary(b"Hello")], None) } else { (vec![], Some(1007)) };
        assert_eq!((seen, code), expected);
    }
}

#[test]
fn sixteen_final_blocks_pass_and_seventeen_are_1008() {
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (blocks, code) in [(16, None), (17, Some(1008)), (1000, Some(1008))] {
        let payload = [hello.repeat(blocks), vec![0]].concat();
        let mut receiver = server(agreed(true, 15));
        let (seen, told) = fault(&mut receiver, &masked(0xc2, &payload));
        let expected = if code.is_none() { vec![Seen::binary(&b"Hello".repeat(blocks))] } else { vec![] };
        assert_eq!((seen, told), (expected, code));
        if code.is_none() {
            // The count is for each message.
            assert_eq!(receiver.feed(&masked(0xc2, &payload)).len(), 1);
        } else {
            let closed = receiver.connection.closed().unwrap().cause();
            assert_eq!(closed, CloseCause::Fault(Fault::Limit(LimitHit::FinalBlocks { max: 16 })));
        }
    }
}

#[test]
fn the_limit_is_for_the_inflated_bytes() {
    let limits = Limits { max_message: 10_000, ..Limits::default() };
    for (len, code) in [(10_000, None), (10_001, Some(1009)), (5_000_000, Some(1009))] {
        for message in [vec![0; len], noise(len)] {
            let agreed = agreed(true, 15);
            let mut receiver =
                end(Role::Server, Config { limits: limits.clone(), ..config(eager()) }, agreed);
            let payload = Foreign::new(agreed).message(&message);
            let expected = if code.is_none() { vec![Seen::binary(&message)] } else { vec![] };
            assert!(fault(&mut receiver, &masked(0xc2, &payload)) == (expected, code), "{len}");
        }
    }
    // The header tells of a message that cannot be within the limit.
    let mut receiver = end(Role::Server, Config { limits, ..config(eager()) }, agreed(true, 15));
    assert_eq!(fault(&mut receiver, &frame(0xc2, Some([0; 4]), &[0; 20_000])[..8]), (vec![], Some(1009)));
}

#[test]
fn text_that_is_no_utf8_is_1007_also_where_a_character_is_cut_by_parts() {
    let agreed = agreed(true, 15);
    let cookies = "🍪".repeat(20_000);
    let mut foreign = Foreign::new(agreed);
    let mut receiver = server(agreed);
    let payload = foreign.message(cookies.as_bytes());
    assert!(receiver.feed(&masked(0xc1, &payload)) == [Seen::text(&cookies)]);
    for bad in [&b"abc\xff"[..], b"abc\xf0\x9f", b"\xed\xa0\x80"] {
        let mut receiver = server(agreed);
        let payload = Foreign::new(agreed).message(bad);
        assert_eq!(fault(&mut receiver, &masked(0xc1, &payload)), (vec![], Some(1007)), "{bad:x?}");
    }
}

/// What is done to a pair.
#[derive(Clone, Debug)]
enum Step {
    Message(Vec<u8>),
    Parts(Vec<Vec<u8>>),
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0..3000usize).prop_map(json),
        1 => vec(any::<u8>(), 0..400),
        1 => (0..40_000usize).prop_map(json),
        1 => (any::<u8>(), 0..70_000usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_send_we_receive_whatever_was_agreed_and_however_it_is_cut(
        steps in vec(prop_oneof![
            3 => payload().prop_map(Step::Message),
            1 => vec(payload(), 1..4).prop_map(Step::Parts),
        ], 1..12),
        takeover in any::<bool>(),
        bits in 8..=15u8,
        level in 1..=9u8,
        fragment_size in prop_oneof![Just(None), (1..5000usize).prop_map(Some)],
        cut in 1..70_000usize,
    ) {
        let settings = Config { fragment_size, ..config(Deflate { level, ..eager() }) };
        let agreed = agreed(takeover, bits);
        let mut client = end(Role::Client, settings.clone(), agreed);
        let limits = Limits { max_fragments: Some(1 << 20), ..Limits::default() };
        let mut server = end(Role::Server, Config { limits, ..settings }, agreed);
        for step in steps {
            let whole = match &step {
                Step::Message(message) => {
                    client.connection.send(message, &mut client.outbox).unwrap();
                    message.clone()
                }
                Step::Parts(parts) => {
                    client.connection.begin_message(Kind::Binary).unwrap();
                    for (i, part) in parts.iter().enumerate() {
                        client.connection.send_part(part, i + 1 == parts.len(), &mut client.outbox).unwrap();
                    }
                    parts.concat()
                }
            };
            let bytes = client.written();
            prop_assert!(parse(&bytes).iter().all(|frame| frame.masked));
            let seen: Vec<Seen> = bytes.chunks(cut).flat_map(|piece| server.feed(piece)).collect();
            prop_assert!(seen == [Seen::binary(&whole)]);
        }
    }

    /// Whatever is fed, it ends in one fault or none, the same for every split.
    #[test]
    fn anything_at_all_gives_the_same_for_every_split(
        mut payload in prop_oneof![
            vec(any::<u8>(), 0..300),
            (0..40_000usize).prop_map(|n| Foreign::new(agreed(true, 15)).message(&json(n))),
            (0..40_000usize).prop_map(|n| Foreign::new(agreed(true, 15)).message(&noise(n))),
        ],
        spoil in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        text in any::<bool>(),
        cut in 1..5000usize,
        fragment in 1..20_000usize,
    ) {
        for (at, byte) in spoil {
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
        }
        let mut bytes = masked(if text { 0x41 } else { 0x42 }, b"");
        for piece in payload.chunks(fragment) {
            bytes.extend(masked(0x00, piece));
            bytes.extend(masked(0x89, b"p"));
        }
        bytes.extend(masked(0x80, b""));
        let all = fault(&mut server(agreed(true, 15)), &bytes);
        let mut other = server(agreed(true, 15));
        let seen: Vec<Seen> = bytes.chunks(cut).flat_map(|piece| other.feed(piece)).collect();
        prop_assert!((seen, other.close_code()) == all);
    }
}

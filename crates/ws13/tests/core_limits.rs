//! The attacks and quirks that the core answers, one test each, with the memory that they may cost.
#![cfg(feature = "std")]

mod common;

use common::allocation::{Counting, measure};
use common::{End, KEY, Seen, close_payload, frame, hex, masked, plain};
use ws13::close::CloseError;
use ws13::frame::HeaderError;
use ws13::{
    CloseCause, CloseCode, Config, Connection, Event, Fault, Keepalive, LimitHit, Limits, Lost, Misuse,
    Outbox, Quirks, Role, Violation,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a fault may cost: its description, the Close frame. Nothing of it grows with what the peer announced.
const FAULT: usize = 512;

/// The fault that bytes lead to, in every way to cut them, each the same.
fn fault(bytes: &[u8]) -> (Fault, Option<u16>) {
    let run = |pieces: &[&[u8]]| {
        let mut end = End::server();
        for piece in pieces {
            assert_eq!(end.feed(piece), []);
        }
        let code = end.close_code();
        match end.eof()[..] {
            [Seen::Closed { cause: CloseCause::Fault(fault), code: 1006, .. }] => (fault, code),
            ref other => panic!("{other:?}"),
        }
    };
    let whole = run(&[bytes]);
    if bytes.len() <= 200 {
        for cut in 0..=bytes.len() {
            assert_eq!(run(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&bytewise), whole, "one byte at a time");
    }
    whole
}

fn violation(bytes: &[u8]) -> (Violation, u16) {
    match fault(bytes) {
        (Fault::Violation(violation), Some(code)) => (violation, code),
        other => panic!("{other:?}"),
    }
}

/// The bytes that a server's fault costs, for input that is there already.
fn heap_of(bytes: &[u8]) -> usize {
    let mut end = End::server();
    end.inbox.extend_from_slice(bytes);
    let (event, cost) = measure(|| end.connection.receive(&mut end.inbox, &mut end.outbox).is_some());
    assert!(!event);
    assert!(end.connection.closed().is_some());
    cost.peak
}

const TOO_LONG: (Fault, Option<u16>) = (Fault::Limit(LimitHit::Message { max: 1 << 20 }), Some(1009));

#[test]
fn a_reserved_opcode_fails_before_its_length_is_believed() {
    let bytes = hex("83ff 7fffffffffffffff 00000000");
    assert_eq!(violation(&bytes), (Violation::ReservedOpcode(3), 1002));
    assert!(heap_of(&bytes) < FAULT);
    assert!(heap_of(&bytes[..1]) < FAULT, "on the opcode");
}

#[test]
fn a_length_with_its_most_significant_bit_fails_5_2() {
    for bytes in [hex("82ff ffffffffffffffff 00000000"), hex("82ff fffffffffffffffc 00000000")] {
        assert_eq!(violation(&bytes), (Violation::Header(HeaderError::LengthTooLarge), 1002));
        assert!(heap_of(&bytes) < FAULT);
    }
}

#[test]
fn the_longest_length_fails_at_the_header() {
    let bytes = hex("82ff 7fffffffffffffff 00000000");
    assert_eq!(fault(&bytes), TOO_LONG);
    assert!(heap_of(&bytes) < 4096);
}

#[test]
fn one_byte_over_the_limit_fails_at_the_header_and_the_limit_itself_does_not() {
    let header = |len: u64| [vec![0x82, 0xff], len.to_be_bytes().into(), KEY.into()].concat();
    assert_eq!(fault(&header((1 << 20) + 1)), TOO_LONG);
    let mut end = End::server();
    assert_eq!(end.feed(&masked(0x82, &vec![1; 1 << 20])), [Seen::binary(&vec![1; 1 << 20])]);
}

#[test]
fn the_lengths_of_fragments_do_not_overflow() {
    let bytes = hex("0181 00000000 61 80ff 7fffffffffffffff 00000000");
    assert_eq!(fault(&bytes), TOO_LONG);
    assert!(heap_of(&bytes) < FAULT);
}

#[test]
fn endless_fragments_fail_at_the_sum() {
    let mut end = End::server();
    end.feed(&hex("0181 00000000 61"));
    let fragment = masked(0x00, &vec![b'a'; 0xffff]);
    // 1 + 15 × 65,535 bytes fit into 1 MiB, and one more 65,535; the next does not.
    for _ in 0..16 {
        assert_eq!(end.feed(&fragment), []);
        assert_eq!(end.connection.closed(), None);
    }
    let header_alone = &fragment[..8];
    end.feed(header_alone);
    assert_eq!(end.close_code(), Some(1009));
}

#[test]
fn the_frame_limit_is_its_own() {
    let limits = Limits { max_frame: Some(10), ..Limits::default() };
    let mut end = End::new(Role::Server, Config { limits, ..Config::default() });
    assert_eq!(end.feed(&[masked(0x02, &[1; 10]), masked(0x80, &[2; 10])].concat()).len(), 1);
    end.feed(&masked(0x02, &[1; 11])[..6]);
    assert_eq!(end.close_code(), Some(1009));
    let limit = Fault::Limit(LimitHit::Frame { max: 10 });
    assert_eq!(end.connection.closed().map(|closed| closed.cause()), Some(CloseCause::Fault(limit)));
}

#[test]
fn the_default_limit_on_fragments_follows_the_message_limit() {
    for (max_message, max) in [(1 << 20, 4096), (1000, 1024), (1 << 21, 8192)] {
        let limits = Limits { max_message, ..Limits::default() };
        let mut end = End::new(Role::Server, Config { limits, ..Config::default() });
        end.feed(&masked(0x01, b""));
        end.feed(&masked(0x00, b"").repeat(max - 1));
        assert!(end.connection.is_open());
        end.feed(&masked(0x00, b""));
        assert_eq!(end.close_code(), Some(1008), "{max} and one more");
    }
}

#[test]
fn ten_million_empty_fragments_cost_nothing() {
    let fragments = hex("0080 00000000").repeat(1000);
    let limits = Limits { max_fragments: Some(usize::MAX), ..Limits::default() };
    let mut end = End::new(Role::Server, Config { limits, ..Config::default() });
    end.feed(&hex("0181 00000000 61"));
    end.feed(&fragments);
    let ((), cost) = measure(|| {
        for _ in 0..10_000 {
            end.inbox.extend_from_slice(&fragments);
            assert!(end.connection.receive(&mut end.inbox, &mut end.outbox).is_none());
        }
    });
    assert_eq!((cost.peak, cost.kept), (0, 0));
    assert!(end.connection.is_open());
    assert_eq!(end.feed(&hex("8080 00000000")), [Seen::text("a")]);
}

#[test]
fn ten_million_empty_fragments_cost_nothing_where_parts_are_read() {
    let fragments = hex("0080 00000000").repeat(1000);
    let mut end = End::server();
    end.inbox.extend_from_slice(&hex("0181 00000000 61"));
    assert!(end.part().is_some());
    end.inbox.extend_from_slice(&fragments);
    assert_eq!(end.part(), None);
    let ((), cost) = measure(|| {
        for _ in 0..10_000 {
            end.inbox.extend_from_slice(&fragments);
            assert!(end.connection.receive_part(&mut end.inbox, &mut end.outbox).is_none());
        }
    });
    assert_eq!((cost.peak, cost.kept), (0, 0));
}

#[test]
fn a_message_asked_for_in_parts_and_then_whole_is_held_to_the_limits() {
    let mut end = End::server();
    end.inbox.extend_from_slice(&hex("82ff 7fffffffffffffff 00000000"));
    assert_eq!(end.part(), None);
    assert!(end.connection.is_open(), "parts have no limit on the message");
    assert_eq!(end.event(), None);
    assert_eq!(end.close_code(), Some(1009));
}

#[test]
fn reserved_bits_without_an_extension_fail_5_2() {
    for first in [0xc1, 0xa1, 0x91, 0xf1, 0xc2, 0xc8, 0xc9, 0xca] {
        let bytes = [&[first][..], &hex("81 00000000 61")].concat();
        assert_eq!(violation(&bytes), (Violation::ReservedBits, 1002), "{first:#x}");
    }
    let continuation = [masked(0x01, b"a"), masked(0xc0, b"b")].concat();
    assert_eq!(violation(&continuation), (Violation::ReservedBits, 1002));
}

#[test]
fn a_ping_of_126_bytes_fails_5_5() {
    let bytes = [hex("89fe 007e 00000000"), vec![0; 126]].concat();
    assert_eq!(violation(&bytes), (Violation::Header(HeaderError::LongControl), 1002));
}

fn without_control_limit() -> Config {
    Config { limits: Limits { max_control_frames: u32::MAX, ..Limits::default() }, ..Config::default() }
}

#[test]
fn a_flood_of_pings_to_which_the_peer_never_reads_the_answers() {
    let pings = masked(0x89, &[7; 125]).repeat(100);
    let mut end = End::new(Role::Server, without_control_limit());
    end.feed(&pings);
    let ((), cost) = measure(|| {
        for _ in 0..2_000 {
            end.inbox.extend_from_slice(&pings);
            while end.connection.receive(&mut end.inbox, &mut end.outbox).is_some() {}
        }
    });
    // The Pong that is owed is replaced by a newer one.
    assert!(cost.peak <= 125 && cost.kept == 0, "{cost:?}");
    assert_eq!(end.outbox.queued(), 16 * 127, "sixteen Pongs are queued");
    assert_eq!(end.frames().len(), 17, "and one is owed");
    let mut default = End::server();
    assert_eq!(default.feed(&pings.repeat(11)).len(), 1000);
    let answers = default.frames();
    assert_eq!((answers.len(), answers.last().map(|frame| frame.first)), (18, Some(0x88)), "and the Close");
    let limit = Fault::Limit(LimitHit::ControlFrames { max: 1000 });
    assert_eq!(default.connection.closed().map(|closed| closed.cause()), Some(CloseCause::Fault(limit)));
}

#[test]
fn ten_million_pongs_cost_nothing() {
    let pongs = hex("8a80 00000000").repeat(1000);
    let mut end = End::new(Role::Server, without_control_limit());
    end.inbox.extend_from_slice(&pongs);
    while end.connection.receive(&mut end.inbox, &mut end.outbox).is_some() {}
    let ((), cost) = measure(|| {
        for _ in 0..10_000 {
            end.inbox.extend_from_slice(&pongs);
            while end.connection.receive(&mut end.inbox, &mut end.outbox).is_some() {}
        }
    });
    assert_eq!((cost.peak, cost.kept, cost.calls), (0, 0, 0));
    let mut default = End::server();
    assert_eq!(default.feed(&hex("8a80 00000000").repeat(1001)).len(), 1000);
    assert_eq!(default.close_code(), Some(1008));
}

#[test]
fn a_fresh_key_for_each_of_a_million_frames_5_3() {
    let mut client = Connection::new(Role::Client, Config::default());
    let mut outbox = Outbox::new();
    let mut keys = Vec::with_capacity(1_000_000);
    let mut last = [0; 4];
    for _ in 0..1000 {
        for _ in 0..1000 {
            client.send("", &mut outbox).unwrap();
        }
        while bytes::Buf::has_remaining(&outbox) {
            let len = bytes::Buf::chunk(&outbox).len();
            for frame in bytes::Buf::chunk(&outbox).chunks(6) {
                let key: [u8; 4] = frame[2..].try_into().unwrap();
                assert_ne!(key, last);
                last = key;
                keys.push(key);
            }
            bytes::Buf::advance(&mut outbox, len);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    // A million of 2^32 collide some 116 times by chance.
    assert!(keys.len() > 999_000, "{}", keys.len());
}

#[test]
fn a_peer_that_does_not_read_is_given_1_mib_and_one_message_at_most() {
    let mut end = End::server();
    let message = vec![0x55; 3000];
    let ((), cost) = measure(|| {
        let refused = (0..).map_while(|_| {
            end.connection.send(&message, &mut end.outbox).err().map_or(Some(None), |e| Some(Some(e)))
        });
        assert_eq!(refused.flatten().next(), Some(Misuse::QueueFull));
    });
    assert!((1 << 20..(1 << 20) + 4096).contains(&end.outbox.queued()));
    // One buffer, doubled as it grows.
    assert!(cost.peak <= 2 << 20, "{cost:?}");
    assert_eq!(end.connection.send_part(b"", true, &mut end.outbox), Err(Misuse::QueueFull));
    // A message larger than the cap is taken where the queue is below it.
    end.written();
    end.connection.send(vec![0; 3 << 20], &mut end.outbox).unwrap();
}

#[test]
fn unmasked_frames_to_a_server_only_by_the_switch_5_1() {
    assert_eq!(violation(&plain(0x81, b"a")), (Violation::Unmasked, 1002));
    let quirks = Quirks { accept_unmasked_frames: true, ..Quirks::default() };
    let mut end = End::new(Role::Server, Config { quirks, ..Config::default() });
    let both = [plain(0x81, b"a"), masked(0x81, b"b"), plain(0x89, b"c")].concat();
    assert_eq!(end.feed(&both), [Seen::text("a"), Seen::text("b"), Seen::Ping(b"c".into())]);
}

#[test]
fn masked_frames_to_a_client_only_by_the_switch_5_1() {
    let mut strict = End::client();
    strict.feed(&masked(0x81, b"a"));
    assert_eq!(strict.close_code(), Some(1002));
    let quirks = Quirks { accept_masked_frames: true, ..Quirks::default() };
    let mut end = End::new(Role::Client, Config { quirks, ..Config::default() });
    let both = [plain(0x81, b"a"), masked(0x81, b"b")].concat();
    assert_eq!(end.feed(&both), [Seen::text("a"), Seen::text("b")]);
}

#[test]
fn close_without_a_status_is_1005_here_and_an_empty_close_there_7_1_5() {
    let mut end = End::server();
    end.feed(&masked(0x88, b""));
    assert_eq!(end.written(), plain(0x88, b""));
    assert_eq!(end.eof(), [Seen::closed(1005)]);
}

#[test]
fn close_codes_that_must_not_be_on_the_wire_fail_7_4() {
    assert_eq!(violation(&masked(0x88, &[3])), (Violation::Close(CloseError::OneByte), 1002));
    let reserved = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535];
    for code in reserved {
        let expected = (Violation::Close(CloseError::Code(code)), 1002);
        assert_eq!(violation(&masked(0x88, &close_payload(code, ""))), expected);
    }
}

#[test]
fn close_codes_that_may_be_on_the_wire_are_reported_as_they_are_7_4() {
    for code in (1000..=1003).chain(1007..=1014).chain(3000..=4999) {
        let mut end = End::server();
        end.feed(&masked(0x88, &close_payload(code, "why")));
        assert_eq!(end.close_code(), Some(code));
        let expected = Seen::Closed { code, reason: "why".into(), cause: CloseCause::Handshake };
        assert_eq!(end.eof(), [expected]);
    }
}

#[test]
fn a_close_reason_that_is_no_utf8_is_1007_5_5_1() {
    let payload = [&close_payload(1000, "bye")[..], b"\xff"].concat();
    assert_eq!(violation(&masked(0x88, &payload)), (Violation::Close(CloseError::Reason), 1007));
}

#[test]
fn tcp_that_ends_without_close_is_1006_after_the_data_7_1_5() {
    let mut end = End::server();
    end.inbox.extend_from_slice(&masked(0x81, b"data"));
    assert_eq!(end.eof(), [Seen::text("data"), Seen::lost(Lost::Eof)]);
}

#[test]
fn data_after_close_is_ignored_and_not_kept_1_4() {
    let mut end = End::server();
    assert_eq!(end.feed(&[masked(0x88, b""), masked(0x81, b"more"), hex("ffff")].concat()), []);
    let more = masked(0x82, &[0; 60_000]);
    let ((), cost) = measure(|| {
        for _ in 0..100 {
            assert_eq!(end.feed(&more), []);
        }
    });
    assert!(cost.kept <= 0 && cost.peak <= 2 * more.len(), "{cost:?}");
    assert_eq!(end.frames().len(), 1);
    assert_eq!(end.eof(), [Seen::closed(1005)]);
}

#[test]
fn an_unsolicited_pong_is_accepted_5_5_3() {
    let mut end = End::server();
    assert_eq!(end.feed(&masked(0x8a, b"x")), [Seen::Pong(b"x".into())]);
    assert_eq!(end.written(), b"");
}

#[test]
fn a_ping_inside_a_message_is_answered_at_once_with_the_same_payload_5_5_2() {
    let mut end = End::server();
    assert_eq!(end.feed(&[masked(0x01, b"a"), masked(0x89, b"ping")].concat()), [Seen::Ping(b"ping".into())]);
    assert_eq!(end.written(), plain(0x8a, b"ping"));
    assert_eq!(end.feed(&masked(0x80, b"b")), [Seen::text("ab")]);
}

#[test]
fn keepalive_pings_every_20_s_by_default_on_both_sides() {
    let keepalive = Keepalive::default();
    let twenty = std::time::Duration::from_secs(20);
    assert_eq!((keepalive.ping_interval, keepalive.pong_timeout), (Some(twenty), twenty));
    for role in [Role::Client, Role::Server] {
        let mut end = End::new(role, Config::default());
        end.connection.tick(ws13::Timestamp::from_nanos(0), &end.inbox, &mut end.outbox);
        let due = end.connection.deadline().unwrap();
        assert!(due.as_nanos().abs_diff(20_000_000_000) <= 2_000_000_000);
        end.connection.tick(due, &end.inbox, &mut end.outbox);
        let frames = end.frames();
        assert_eq!((frames.len(), frames[0].first, frames[0].masked), (1, 0x89, role == Role::Client));
    }
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let limits = Limits::default();
    assert_eq!((limits.max_message, limits.max_frame, limits.max_fragments), (1 << 20, None, None));
    assert_eq!((limits.max_control_frames, limits.queue_mark, limits.queue_cap), (1000, 64 << 10, 1 << 20));
    assert_eq!((limits.stall_timeout.as_secs(), limits.close_timeout.as_secs()), (30, 10));
}

#[test]
fn a_message_may_have_any_size_where_the_limit_is_lifted() {
    let limits = Limits { max_message: usize::MAX, ..Limits::default() };
    let mut end = End::new(Role::Client, Config { limits, ..Config::default() });
    let big = vec![9; 5 << 20];
    let bytes = [frame(0x02, None, &big), frame(0x80, None, &big)].concat();
    end.inbox.extend_from_slice(&bytes);
    match end.connection.receive(&mut end.inbox, &mut end.outbox) {
        Some(Event::Message(message)) => assert_eq!(message.as_bytes().len(), 10 << 20),
        other => panic!("{other:?}"),
    }
    let header = [hex("82 7f"), (u64::MAX >> 1).to_be_bytes().into()].concat();
    assert_eq!(end.feed(&header), []);
    assert!(end.connection.is_open());
    end.connection.close(Some(CloseCode::NORMAL.into()), &mut end.outbox);
}

//! A client core against a server core, in memory and in fake time.
#![cfg(feature = "std")]

mod common;

use common::pair::{Pair, Side};
use common::{End, Frame, Seen, connection, masked, parse, plain};
use std::time::Duration;
use ws13::{CloseCode, CloseFrame, Config, Event, Keepalive, Kind, Limits, Lost, Misuse, Outbox, Role};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No pings of its own, so that nothing but the test's frames is on the wire.
fn quiet() -> Config {
    Config { keepalive: Keepalive { ping_interval: None, ..Keepalive::default() }, ..Config::default() }
}

fn quiet_pair() -> Pair {
    Pair::new(quiet(), quiet())
}

fn every_kind_of_close() -> Vec<Option<CloseFrame>> {
    let codes =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    let mut frames: Vec<_> =
        codes.iter().map(|&code| Some(CloseFrame::from(CloseCode::new(code).unwrap()))).collect();
    frames.push(Some(CloseFrame::new(CloseCode::NORMAL, "€".repeat(41)).unwrap()));
    frames.push(None);
    frames
}

fn seen_of(frame: &Option<CloseFrame>) -> (u16, String) {
    frame.as_ref().map_or((1005, String::new()), |frame| (frame.code().get(), frame.reason().into()))
}

fn closed_of(events: &[Seen]) -> (u16, String) {
    match events {
        [Seen::Closed { code, reason, cause: ws13::CloseCause::Handshake }] => (*code, reason.clone()),
        other => panic!("exactly one clean Closed, not {other:?}"),
    }
}

#[test]
fn messages_of_every_size_arrive_as_they_were_sent_5_6() {
    let mut pair = quiet_pair();
    for len in [0, 1, 125, 126, 4096, 8191, 8192, 65_535, 65_536, 300_000] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let client = &mut pair.client.end;
        client.connection.send(&bytes, &mut client.outbox).unwrap();
        pair.run();
        assert_eq!(pair.server.take(), [Seen::binary(&bytes)]);
        let server = &mut pair.server.end;
        server.connection.send(bytes.clone(), &mut server.outbox).unwrap();
        pair.run();
        assert_eq!(pair.client.take(), [Seen::binary(&bytes)]);
    }
}

#[test]
fn an_echo_goes_out_from_where_the_message_stands() {
    for (role, len) in [Role::Client, Role::Server].into_iter().flat_map(|role| [(role, 10), (role, 20_000)])
    {
        let mut end = common::End::new(role, quiet());
        let payload = vec![0x41; len];
        let frame = if role == Role::Server { masked(0x81, &payload) } else { plain(0x81, &payload) };
        for _ in 0..3 {
            // Two in one read: the second must not be disturbed by what is taken out of the inbox for the first.
            end.read(&frame);
            end.read(&frame);
            let mut echoed = 0;
            while let Some((Event::Message(message), mut output)) =
                end.connection.receive_with_output(&mut end.inbox, &mut end.outbox)
            {
                output.send(message).unwrap();
                echoed += 1;
            }
            assert_eq!(echoed, 2);
            let expected = Frame { first: 0x81, masked: role == Role::Client, payload: payload.clone() };
            assert_eq!(end.frames(), [expected.clone(), expected]);
        }
    }
}

#[test]
fn fragments_of_the_size_that_is_set_5_4() {
    for (size, len, frames) in
        [(4, 10, 3), (4, 8, 2), (4, 4, 1), (4, 0, 1), (1, 3, 3), (0, 2, 2), (9_000, 20_000, 3)]
    {
        for role in [Role::Client, Role::Server] {
            let mut end = common::End::new(role, Config { fragment_size: Some(size), ..quiet() });
            let text = "a".repeat(len);
            end.connection.send(&text, &mut end.outbox).unwrap();
            let written = end.written();
            let found = parse(&written);
            assert_eq!(found.len(), frames, "{len} bytes by {size}");
            for (i, frame) in found.iter().enumerate() {
                let fin = if i + 1 == frames { 0x80 } else { 0 };
                assert_eq!(frame.first, fin | u8::from(i == 0));
                assert!(frame.payload.len() <= size.max(1));
            }
            let other = if role == Role::Client { Role::Server } else { Role::Client };
            let mut other = common::End::new(other, quiet());
            assert_eq!(other.feed(&written), [Seen::text(&text)]);
        }
    }
}

#[test]
fn a_message_sent_in_parts_is_one_message_5_4() {
    let mut pair = quiet_pair();
    let Side { end, .. } = &mut pair.client;
    end.connection.begin_message(Kind::Text).unwrap();
    end.connection.send_part(&[0xe2, 0x82], false, &mut end.outbox).unwrap();
    // Control frames may stand between fragments, other messages may not.
    end.connection.ping(b"between", &mut end.outbox).unwrap();
    assert_eq!(end.connection.send("other", &mut end.outbox), Err(Misuse::MessageUnfinished));
    assert_eq!(end.connection.begin_message(Kind::Binary), Err(Misuse::MessageUnfinished));
    end.connection.send_part(&[0xac], false, &mut end.outbox).unwrap();
    end.connection.send_part(&[], true, &mut end.outbox).unwrap();
    assert_eq!(end.connection.send_part(&[], true, &mut end.outbox), Err(Misuse::NoMessageBegun));
    end.connection.send("next", &mut end.outbox).unwrap();
    pair.run();
    assert_eq!(pair.server.take(), [Seen::Ping(b"between".into()), Seen::text("€"), Seen::text("next")]);
    assert_eq!(pair.client.take(), [Seen::Pong(b"between".into())]);
}

#[test]
fn a_text_in_parts_is_checked_before_it_is_sent_5_6() {
    let mut pair = quiet_pair();
    let Side { end: End { connection, outbox, .. }, .. } = &mut pair.client;
    // Nothing was sent of it, so other messages can be.
    connection.begin_message(Kind::Text).unwrap();
    assert_eq!(connection.send_part(b"a\xff", false, outbox), Err(Misuse::Utf8));
    connection.send("whole", outbox).unwrap();
    // Cut inside of a character it is fine; the character must go on, and end.
    connection.begin_message(Kind::Text).unwrap();
    connection.send_part(&[0xe2, 0x82], false, outbox).unwrap();
    assert_eq!(connection.send_part(b"a", false, outbox), Err(Misuse::Utf8));
    assert_eq!(connection.send_part(b"", true, outbox), Err(Misuse::Utf8));
    assert_eq!(connection.send("other", outbox), Err(Misuse::MessageUnfinished));
    connection.send_part(&[0xac], true, outbox).unwrap();
    connection.begin_message(Kind::Binary).unwrap();
    connection.send_part(b"\xff", true, outbox).unwrap();
    pair.run();
    assert_eq!(pair.server.take(), [Seen::text("whole"), Seen::text("€"), Seen::binary(b"\xff")]);
}

#[test]
fn close_from_the_client_with_every_kind_of_code_7_4() {
    for frame in every_kind_of_close() {
        let mut pair = quiet_pair();
        pair.client.close(frame.clone());
        pair.run();
        let (code, reason) = seen_of(&frame);
        assert_eq!(closed_of(&pair.server.seen), (code, reason.clone()));
        // The answer echoes the code and the reason.
        assert_eq!(closed_of(&pair.client.seen), (code, reason));
    }
}

#[test]
fn close_from_the_server_with_every_kind_of_code_7_4() {
    for frame in every_kind_of_close() {
        let mut pair = quiet_pair();
        pair.server.close(frame.clone());
        pair.run();
        let (code, reason) = seen_of(&frame);
        assert_eq!(closed_of(&pair.client.seen), (code, reason.clone()));
        assert_eq!(closed_of(&pair.server.seen), (code, reason));
    }
}

#[test]
fn simultaneous_close_is_clean_on_both_sides_7_1() {
    let mut pair = quiet_pair();
    pair.client.close(Some(CloseCode::NORMAL.into()));
    pair.server.close(Some(CloseCode::GOING_AWAY.into()));
    pair.run();
    assert_eq!(closed_of(&pair.client.seen).0, 1001);
    assert_eq!(closed_of(&pair.server.seen).0, 1000);
}

#[test]
fn the_server_ends_tcp_first_7_1_1() {
    for server_begins in [false, true] {
        let mut pair = quiet_pair();
        let (client, server) = (&mut pair.client.end, &mut pair.server.end);
        if server_begins {
            server.connection.close(None, &mut server.outbox);
            client.feed(&server.written());
            assert_eq!(server.feed(&client.written()), []);
        } else {
            client.connection.close(None, &mut client.outbox);
            assert_eq!(server.feed(&client.written()), []);
            // Not before the answer is written.
            assert!(!server.connection.wants_shutdown(&server.outbox));
            client.feed(&server.written());
        }
        assert!(server.connection.wants_shutdown(&server.outbox));
        assert!(!client.connection.wants_shutdown(&client.outbox));
        assert_eq!(client.events(), [], "the client waits for the server's FIN");
        server.connection.shut_down();
        assert!(!server.connection.wants_shutdown(&server.outbox));
        assert_eq!(server.events(), [Seen::closed(1005)]);
        assert_eq!(client.eof(), [Seen::closed(1005)]);
    }
}

#[test]
fn what_the_peer_sent_before_its_close_is_still_received_1_4() {
    let mut pair = quiet_pair();
    pair.server.send("late");
    pair.server.end.connection.ping(b"p", &mut pair.server.end.outbox).unwrap();
    pair.client.close(None);
    let client = &mut pair.client.end;
    assert_eq!(client.connection.send("too late", &mut client.outbox), Err(Misuse::Closed));
    assert_eq!(client.connection.ping(b"", &mut client.outbox), Err(Misuse::Closed));
    assert_eq!(client.connection.begin_message(Kind::Text), Err(Misuse::Closed));
    pair.run();
    assert_eq!(pair.client.seen, [Seen::text("late"), Seen::Ping(b"p".into()), Seen::closed(1005)]);
    assert_eq!(pair.server.seen, [Seen::closed(1005)]);
}

#[test]
fn a_second_close_does_nothing_5_5_1() {
    let mut pair = quiet_pair();
    pair.client.close(Some(CloseCode::NORMAL.into()));
    pair.client.close(Some(CloseCode::GOING_AWAY.into()));
    assert_eq!(pair.client.end.frames().len(), 1);
}

#[test]
fn a_fault_ends_both_sides_with_one_closed_each_7_1_7() {
    let mut pair = quiet_pair();
    pair.server.end.inbox.extend_from_slice(&masked(0x83, b""));
    pair.run();
    assert_eq!(closed_of(&pair.client.seen).0, 1002);
    assert!(matches!(
        pair.server.seen[..],
        [Seen::Closed { code: 1006, cause: ws13::CloseCause::Fault(_), .. }]
    ));
}

#[test]
fn eof_without_close_is_1006_after_all_data_7_1_5() {
    let mut end = common::End::server();
    end.inbox.extend_from_slice(
        &[masked(0x81, b"one"), masked(0x82, b"two"), masked(0x81, b"cut off")[..9].into()].concat(),
    );
    end.connection.receive_eof(&mut end.outbox);
    assert_eq!(end.events(), [Seen::text("one"), Seen::binary(b"two"), Seen::lost(Lost::Eof)]);
    assert_eq!(end.eof(), []);
}

#[test]
fn a_close_that_came_before_eof_makes_a_clean_end_7_1_4() {
    let mut end = common::End::server();
    end.inbox.extend_from_slice(&[masked(0x81, b"one"), masked(0x88, &[0x03, 0xe8])].concat());
    assert_eq!(end.event(), Some(Seen::text("one")));
    assert_eq!(end.event(), None);
    assert_eq!(end.eof(), [Seen::closed(1000)]);
}

#[test]
fn a_peer_that_never_answers_close_is_dropped_in_time() {
    for role in [Role::Client, Role::Server] {
        let mut pair = quiet_pair();
        pair.client.taken_by_peer = role == Role::Client;
        pair.server.taken_by_peer = role == Role::Server;
        let start = pair.now;
        let closing = if role == Role::Client { &mut pair.client } else { &mut pair.server };
        closing.close(None);
        pair.sleep(seconds(9));
        let deadline =
            if role == Role::Client { &pair.client } else { &pair.server }.end.connection.deadline();
        assert_eq!(deadline, Some(start + seconds(10)));
        assert!(pair.client.seen.is_empty() && pair.server.seen.len() <= 1);
        pair.sleep(seconds(2));
        let closing = if role == Role::Client { &pair.client } else { &pair.server };
        assert_eq!(closing.seen, [Seen::lost(Lost::CloseTimeout)]);
        assert_eq!(closing.end.connection.deadline(), None);
    }
}

#[test]
fn a_client_drops_a_server_that_never_ends_tcp() {
    let mut end = common::End::new(Role::Client, quiet());
    let start = ws13::Timestamp::from_nanos(0);
    end.connection.tick(start, &end.inbox, &mut end.outbox);
    end.feed(&plain(0x88, &[0x03, 0xe8]));
    end.written();
    end.connection.tick(start + seconds(1), &end.inbox, &mut end.outbox);
    assert_eq!(end.connection.deadline(), Some(start + seconds(11)));
    end.connection.tick(start + seconds(11), &end.inbox, &mut end.outbox);
    // Both Close frames were there: the end is clean all the same.
    assert_eq!(end.events(), [Seen::closed(1000)]);
}

#[test]
fn pings_come_by_interval_10_percent_more_or_less() {
    let mut intervals = Vec::new();
    for seed in 0..20 {
        let mut end = common::End::server();
        end.connection = ws13::Connection::with_keys(None, Config::default(), seed);
        let mut now = ws13::Timestamp::from_nanos(5);
        end.connection.tick(now, &end.inbox, &mut end.outbox);
        for _ in 0..20 {
            let due = end.connection.deadline().unwrap();
            intervals.push(due.since(now));
            now = due;
            end.connection.tick(now, &end.inbox, &mut end.outbox);
            let frames = end.frames();
            assert_eq!((frames.len(), frames[0].first), (1, 0x89));
            end.feed(&masked(0x8a, &frames[0].payload));
            // What was written is known to be written.
            end.connection.tick(now, &end.inbox, &mut end.outbox);
        }
    }
    let within = |low: u64, high: u64| {
        intervals.iter().all(|interval| {
            (seconds(20) * low as u32 / 100..=seconds(20) * high as u32 / 100).contains(interval)
        })
    };
    assert!(within(90, 110), "{intervals:?}");
    assert!(!within(93, 110) && !within(90, 107), "they are spread");
}

#[test]
fn idle_connections_live_on_pings_and_measure_the_round_trip() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.sleep(seconds(600));
    assert!(pair.client.end.connection.is_open() && pair.server.end.connection.is_open());
    let pings = pair.client.take().iter().filter(|event| matches!(event, Seen::Ping(_))).count();
    assert!((27..=34).contains(&pings), "{pings} pings in 600 s");
    assert_eq!(pair.client.end.connection.round_trip(), Some(Duration::ZERO));
}

#[test]
fn the_round_trip_is_from_our_latest_ping_to_its_pong() {
    let mut end = common::End::server();
    let start = ws13::Timestamp::from_nanos(0);
    end.connection.tick(start, &end.inbox, &mut end.outbox);
    let due = end.connection.deadline().unwrap();
    end.connection.tick(due, &end.inbox, &mut end.outbox);
    let ping = end.frames().remove(0);
    assert!(end.connection.wants_time(&end.outbox), "a Pong is measured when it comes");
    end.inbox.extend_from_slice(&masked(0x8a, b"another"));
    end.connection.tick(due + Duration::from_millis(20), &end.inbox, &mut end.outbox);
    end.events();
    assert_eq!(end.connection.round_trip(), None);
    end.inbox.extend_from_slice(&masked(0x8a, &ping.payload));
    end.connection.tick(due + Duration::from_millis(70), &end.inbox, &mut end.outbox);
    end.events();
    assert_eq!(end.connection.round_trip(), Some(Duration::from_millis(70)));
}

#[test]
fn silence_after_a_ping_is_the_end_and_any_byte_is_life() {
    for life in [None, Some(masked(0x8a, b"")), Some(vec![0x81])] {
        let mut end = common::End::server();
        let start = ws13::Timestamp::from_nanos(0);
        end.connection.tick(start, &end.inbox, &mut end.outbox);
        let ping = end.connection.deadline().unwrap();
        end.connection.tick(ping, &end.inbox, &mut end.outbox);
        end.written();
        let timeout = ping + seconds(20);
        let lives = life.is_some();
        end.feed(&life.unwrap_or_default());
        // As a driver does: from deadline to deadline.
        let mut now = ping;
        while now < timeout {
            now = end.connection.deadline().unwrap().min(timeout);
            end.connection.tick(now, &end.inbox, &mut end.outbox);
            end.written();
        }
        let expected: &[Seen] = if lives { &[] } else { &[Seen::lost(Lost::PongTimeout)] };
        assert_eq!(end.events(), expected);
    }
}

#[test]
fn pings_that_follow_do_not_give_a_silent_peer_more_time() {
    let keepalive = Keepalive { ping_interval: Some(seconds(5)), pong_timeout: seconds(20) };
    let mut end = common::End::new(Role::Server, Config { keepalive, ..Config::default() });
    let start = ws13::Timestamp::from_nanos(0);
    end.connection.tick(start, &end.inbox, &mut end.outbox);
    let first_ping = end.connection.deadline().unwrap();
    let mut pings = 0;
    while let Some(now) = end.connection.deadline() {
        end.connection.tick(now, &end.inbox, &mut end.outbox);
        pings += end.frames().len();
        assert!(now <= first_ping + seconds(20));
    }
    assert!((4..=5).contains(&pings), "{pings}");
    assert_eq!(end.events(), [Seen::lost(Lost::PongTimeout)]);
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_new_writes_do_not_help_it() {
    let mut pair = quiet_pair();
    pair.server.taken_by_peer = false;
    pair.server.send("first");
    for _ in 0..29 {
        pair.sleep(seconds(1));
        pair.server.send("another");
        assert!(pair.server.end.connection.is_open());
    }
    pair.sleep(seconds(2));
    assert_eq!(pair.server.seen, [Seen::lost(Lost::Stalled)]);
    assert!(pair.server.end.outbox.is_empty(), "nothing is kept for a peer that is gone");
}

#[test]
fn a_peer_that_reads_slowly_is_not_stalled() {
    let mut end = common::End::new(Role::Server, quiet());
    let mut now = ws13::Timestamp::from_nanos(0);
    end.connection.send(vec![0; 100], &mut end.outbox).unwrap();
    for _ in 0..50 {
        end.connection.tick(now, &end.inbox, &mut end.outbox);
        bytes::Buf::advance(&mut end.outbox, 1);
        now = now + seconds(29);
    }
    assert!(end.connection.is_open());
}

#[test]
fn a_thousand_control_frames_in_10_s_and_no_more() {
    for frame in [masked(0x89, b""), masked(0x8a, b"")] {
        let mut end = common::End::new(Role::Server, quiet());
        let start = ws13::Timestamp::from_nanos(0);
        for window in 0..3 {
            let begin = start + seconds(10 * window);
            for i in 0..1000u32 {
                end.inbox.extend_from_slice(&frame);
                end.connection.tick(begin + seconds(10) * i / 1001, &end.inbox, &mut end.outbox);
                assert_eq!(end.events().len(), 1, "frame {i} of window {window}");
                end.written();
                // Before it waits, a driver tells the time again where that is wanted.
                end.connection.tick(begin + seconds(10) * i / 1001, &end.inbox, &mut end.outbox);
            }
        }
        end.feed(&frame);
        assert_eq!(end.close_code(), Some(1008));
    }
}

#[test]
fn sixteen_pongs_are_queued_at_most_and_one_owed_and_the_newest_wins_5_5_3() {
    let limits = Limits { max_control_frames: u32::MAX, ..Limits::default() };
    let mut end = common::End::new(Role::Server, Config { limits, ..quiet() });
    for i in 0..5000u32 {
        end.feed(&masked(0x89, &i.to_be_bytes()));
        assert!(end.outbox.queued() <= 16 * 6, "sixteen Pongs");
    }
    let pongs: Vec<Vec<u8>> = end.frames().into_iter().map(|frame| frame.payload).collect();
    let expected: Vec<_> = (0..16).chain([4999]).map(u32::to_be_bytes).collect();
    assert_eq!(pongs, expected);
    // Written without asking what is owed: the newest Ping's Pong must not be followed by an older one's.
    end.feed(&[masked(0x89, b"a").repeat(16), masked(0x89, b"b")].concat());
    let len = end.outbox.queued();
    bytes::Buf::advance(&mut end.outbox, len);
    end.feed(&masked(0x89, b"c"));
    let pongs: Vec<Vec<u8>> = end.frames().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(pongs, [b"c"]);
}

#[test]
fn control_frames_go_ahead_of_large_frames_at_the_next_boundary_5_4() {
    for role in [Role::Server, Role::Client] {
        let mut end = common::End::new(role, Config { fragment_size: Some(10_000), ..quiet() });
        end.connection.send(vec![1; 25_000], &mut end.outbox).unwrap();
        let mut written = Vec::new();
        // The first fragment has begun.
        written.extend_from_slice(&bytes::Buf::chunk(&end.outbox)[..2]);
        bytes::Buf::advance(&mut end.outbox, 2);
        end.connection.ping(b"now", &mut end.outbox).unwrap();
        let asked = if role == Role::Server { masked(0x89, b"asked") } else { plain(0x89, b"asked") };
        end.feed(&asked);
        written.extend(end.written());
        let firsts: Vec<u8> = parse(&written).iter().map(|frame| frame.first).collect();
        assert_eq!(firsts, [0x02, 0x89, 0x8a, 0x00, 0x80], "{role:?}");
    }
}

#[test]
fn a_close_goes_out_after_all_that_was_sent_before_it_5_5_1() {
    let mut end = common::End::new(Role::Server, quiet());
    end.connection.send(vec![1; 25_000], &mut end.outbox).unwrap();
    end.connection.close(None, &mut end.outbox);
    let firsts: Vec<u8> = end.frames().iter().map(|frame| frame.first).collect();
    assert_eq!(firsts, [0x82, 0x88]);
}

#[test]
fn a_lost_connection_takes_nothing_more() {
    let mut connection = connection(Role::Client, quiet());
    let mut outbox = Outbox::new();
    connection.send("queued", &mut outbox).unwrap();
    connection.lose(Lost::Transport, &mut outbox);
    assert!(!connection.is_open() && !connection.wants_write(&mut outbox));
    assert_eq!(connection.send("more", &mut outbox), Err(Misuse::Closed));
    assert!(outbox.is_empty());
}

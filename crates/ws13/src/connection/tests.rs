//! What can only be seen from inside: the state that is left behind, and the outbox against a slow, obvious one.

use super::outbox::Outbox;
use super::*;
use crate::limits::Limits;
use alloc::{vec, vec::Vec};
use bytes::{Buf, Bytes, BytesMut};
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

/// A server with its buffers.
fn server(config: Config) -> (Connection, Inbox, Outbox) {
    (Connection::with_keys(None, config, 1), Inbox::new(), Outbox::new())
}

/// A client's frame; its key leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// As many Pings as have their Pongs queued at once, and one more.
fn burst() -> Vec<u8> {
    let queued = frame(0x89, b"1").repeat(sender::MAX_QUEUED_PONGS.into());
    [queued, frame(0x89, b"2")].concat()
}

fn written(connection: &mut Connection, outbox: &mut Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write(outbox) {
        let len = outbox.chunk().len();
        bytes.extend_from_slice(outbox.chunk());
        outbox.advance(len);
    }
    bytes
}

/// What is done to an outbox.
#[derive(Clone, Debug)]
enum Step {
    Small(u16),
    Large(u16),
    Ahead(u8),
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![1..60u16, 1..40_000u16].prop_map(Step::Small),
        2 => (0..40_000u16).prop_map(Step::Large),
        2 => (1..20u8).prop_map(Step::Ahead),
        3 => (0..60_000u16).prop_map(Step::Advance),
    ]
}

/// The outbox as a list of frames; the bool says whether a frame is large.
#[derive(Default)]
struct Obvious {
    frames: Vec<(bool, Vec<u8>)>,
    /// Bytes of the first frame that are written.
    begun: usize,
}

impl Obvious {
    /// Before the first large frame of which nothing is written, else at the end.
    fn ahead(&mut self, bytes: Vec<u8>) {
        let waiting =
            self.frames.iter().enumerate().position(|(i, frame)| frame.0 && (i > 0 || self.begun == 0));
        self.frames.insert(waiting.unwrap_or(self.frames.len()), (false, bytes));
    }

    fn advance(&mut self, len: usize) -> Vec<u8> {
        let bytes = self.bytes();
        let mut left = len;
        while left > 0 {
            let rest = self.frames[0].1.len() - self.begun;
            if left < rest {
                self.begun += left;
                break;
            }
            left -= rest;
            self.begun = 0;
            self.frames.remove(0);
        }
        bytes[..len].to_vec()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut all = self.frames.iter().map(|frame| &frame.1[..]).collect::<Vec<_>>().concat();
        all.drain(..self.begun);
        all
    }
}

/// What the outbox would write, as slices for the system.
fn gathered(outbox: &Outbox) -> Vec<u8> {
    let mut slices = [std::io::IoSlice::new(&[]); 200];
    let filled = outbox.chunks_vectored(&mut slices);
    slices[..filled].iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_outbox_equals_the_obvious_one(steps in vec_of(step(), 0..60)) {
        let (mut outbox, mut obvious) = (Outbox::new(), Obvious::default());
        // Where the frames that went ahead are gone: the count of written bytes, and their content.
        let mut ahead: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut all = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            let tag = i as u8;
            match step {
                Step::Small(len) => {
                    let bytes = alloc::vec![tag; len.into()];
                    outbox.push_small(|small| small.extend_from_slice(&bytes));
                    obvious.frames.push((false, bytes));
                }
                Step::Large(len) => {
                    let payload = alloc::vec![tag; len.into()];
                    outbox.push_large(&[0xaa, tag], Bytes::from(payload.clone()));
                    // One without a payload is a header, which is small.
                    obvious.frames.push((len > 0, [&[0xaa, tag], &payload[..]].concat()));
                }
                Step::Ahead(len) => {
                    let bytes = alloc::vec![tag; len.into()];
                    ahead.push((outbox.push_ahead(&bytes), bytes.clone()));
                    obvious.ahead(bytes);
                }
                Step::Advance(len) => {
                    let len = usize::from(len).min(outbox.queued());
                    outbox.advance(len);
                    all.extend(obvious.advance(len));
                }
            }
            let rest = obvious.bytes();
            prop_assert_eq!(outbox.queued(), rest.len());
            prop_assert_eq!(outbox.is_empty(), rest.is_empty());
            prop_assert_eq!(outbox.written(), all.len() as u64);
            prop_assert!(rest.starts_with(outbox.chunk()));
            prop_assert_eq!(outbox.chunk().is_empty(), rest.is_empty());
            prop_assert!(gathered(&outbox) == rest);
        }
        all.extend(obvious.bytes());
        for (gone_at, bytes) in ahead {
            prop_assert!(all[..gone_at as usize].ends_with(&bytes));
        }
    }
}

#[test]
fn nothing_is_remembered_of_a_message_that_is_complete() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    for step in [1, 3, 100] {
        let script = [frame(0x01, b"a"), frame(0x89, b""), frame(0x80, b"b"), frame(0x82, b"c")].concat();
        for piece in script.chunks(step) {
            inbox.extend_from_slice(piece);
            while connection.receive(&mut inbox, &mut outbox).is_some() {}
        }
        let left = alloc::format!("{:?}", connection.receiver);
        assert!(left.contains("frame: None") && left.contains("message: None"), "{left}");
        assert!(inbox.is_empty() && !inbox.has_assembled());
    }
}

#[test]
fn the_first_cause_of_an_end_stands() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    inbox.extend_from_slice(&frame(0x83, b""));
    assert!(connection.receive(&mut inbox, &mut outbox).is_none());
    connection.receive_eof(&mut outbox);
    connection.lose(Lost::Transport, &mut outbox);
    assert!(matches!(connection.closed().map(Closed::cause), Some(CloseCause::Fault(_))));
}

#[test]
fn a_close_goes_behind_the_owed_pong_and_nothing_follows_it() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    inbox.extend_from_slice(&burst());
    while connection.receive(&mut inbox, &mut outbox).is_some() {}
    assert!(connection.sender.owes_pong());
    connection.close(None, &mut outbox);
    inbox.extend_from_slice(&frame(0x89, b"3"));
    assert!(matches!(connection.receive(&mut inbox, &mut outbox), Some(Event::Ping(b"3"))));
    let queued = [0x8a, 1, b'1'].repeat(sender::MAX_QUEUED_PONGS.into());
    let expected = [&queued[..], &[0x8a, 1, b'2', 0x88, 0]].concat();
    assert_eq!(written(&mut connection, &mut outbox), expected);
}

#[test]
fn an_owed_pong_is_queued_when_the_one_before_it_is_written_and_not_earlier() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    connection.send(alloc::vec![0; 20_000], &mut outbox).unwrap();
    outbox.advance(1);
    inbox.extend_from_slice(&burst());
    while connection.receive(&mut inbox, &mut outbox).is_some() {}
    // Header of 4 bytes, payload, the queued Pongs but for one byte.
    let almost = 4 + 20_000 + 3 * u64::from(sender::MAX_QUEUED_PONGS) - 1;
    while outbox.written() < almost {
        assert!(connection.wants_write(&mut outbox) && connection.sender.owes_pong());
        let len = outbox.chunk().len().min(5000).min((almost - outbox.written()) as usize);
        outbox.advance(len);
    }
    assert!(connection.wants_write(&mut outbox) && connection.sender.owes_pong(), "a byte of it is left");
    outbox.advance(1);
    assert!(connection.wants_write(&mut outbox) && !connection.sender.owes_pong());
    assert_eq!(outbox.chunk(), [0x8a, 1, b'2']);
}

#[test]
fn a_driver_need_not_look_at_its_clock_while_messages_come() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    assert!(connection.wants_time(&outbox), "the first ping is to be timed");
    connection.tick(Timestamp::from_nanos(0), &inbox, &mut outbox);
    for _ in 0..3 {
        inbox.extend_from_slice(&frame(0x82, b"a"));
        assert!(connection.receive(&mut inbox, &mut outbox).is_some());
        assert!(!connection.wants_time(&outbox));
    }
    connection.send("unsent", &mut outbox).unwrap();
    assert!(connection.wants_time(&outbox), "a stall is to be timed");
    connection.tick(Timestamp::from_nanos(0), &inbox, &mut outbox);
    assert!(!connection.wants_time(&outbox));
    connection.close(None, &mut outbox);
    assert!(connection.wants_time(&outbox), "the closing handshake is to be timed");
    connection.tick(Timestamp::from_nanos(0), &inbox, &mut outbox);
    assert!(!connection.wants_time(&outbox));
}

#[test]
fn time_that_runs_backwards_does_no_harm() {
    let (mut connection, inbox, mut outbox) = server(Config::default());
    connection.tick(Timestamp::from_nanos(50_000_000_000), &inbox, &mut outbox);
    let deadline = connection.deadline();
    assert!(!connection.tick(Timestamp::from_nanos(0), &inbox, &mut outbox));
    assert_eq!(connection.deadline(), deadline);
}

#[test]
fn limits_of_zero_refuse_all_but_empty_messages() {
    let limits = Limits { max_message: 0, ..Limits::default() };
    let (mut connection, mut inbox, mut outbox) = server(Config { limits, ..Config::default() });
    inbox.extend_from_slice(&[frame(0x82, b""), frame(0x82, b"a")].concat());
    assert!(matches!(connection.receive(&mut inbox, &mut outbox), Some(Event::Message(_))));
    assert!(connection.receive(&mut inbox, &mut outbox).is_none());
    assert_eq!(written(&mut connection, &mut outbox), [0x88, 2, 0x03, 0xf1]);
}

#[test]
fn a_lease_of_which_a_part_is_shared_is_given_back_all_the_same() {
    let mut inbox = Inbox::new();
    inbox.room(|_| BytesMut::with_capacity(LEASE)).extend_from_slice(&[1; 30_000]);
    inbox.lend(20_000);
    let shared = inbox.share(inbox::Place::Front { offset: 0, len: 20_000 });
    let mut lease = inbox.park();
    // What is left of an unfinished frame was moved out of it.
    assert_eq!(inbox.bytes(), [1; 10_000]);
    assert!(lease.as_mut().is_some_and(|lease| !lease.try_reclaim(LEASE)), "a part is shared");
    drop(shared);
    assert!(lease.as_mut().is_some_and(|lease| lease.try_reclaim(LEASE)));
}

#[test]
fn the_rest_of_a_read_stays_in_its_lease_where_nobody_shares_it() {
    let mut inbox = Inbox::new();
    let room = inbox.room(|_| BytesMut::with_capacity(LEASE));
    room.extend_from_slice(&alloc::vec![1; LEASE]);
    let lease = room.as_ptr();
    inbox.consume(LEASE - 10);
    let room = inbox.room(|_| panic!("there is a lease already"));
    assert!(room.as_ptr() == lease && room.capacity() == LEASE);
    assert_eq!(inbox.bytes(), [1; 10]);
}

#[test]
fn a_ping_while_a_large_frame_is_half_written_and_its_header_forgotten() {
    let (mut connection, mut inbox, mut outbox) = server(Config::default());
    for _ in 0..20 {
        connection.send(&[1; 7000], &mut outbox).unwrap();
    }
    connection.send(alloc::vec![2; 9000], &mut outbox).unwrap();
    let small = 20 * 7004 + 4;
    outbox.advance(small + 1000);
    // The small bytes before the payload, its header among them, are not kept any more.
    inbox.extend_from_slice(&frame(0x89, b"p"));
    assert!(matches!(connection.receive(&mut inbox, &mut outbox), Some(Event::Ping(b"p"))));
    let rest = written(&mut connection, &mut outbox);
    assert!(rest[..8000].iter().all(|byte| *byte == 2));
    assert_eq!(rest[8000..], [0x8a, 1, b'p']);
}

/// A message that is small, or is not by a byte, and what follows it.
fn message_and_more(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut masked = payload.to_vec();
    if let Some(key) = key {
        crate::mask::apply(key, 0, &mut masked);
    }
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let length = match payload.len() {
        len @ ..=125 => vec![mask_bit | len as u8],
        len => vec![mask_bit | 126, (len >> 8) as u8, len as u8],
    };
    let key = key.map_or(Vec::new(), |key| key.to_vec());
    [&[first], &length[..], &key, &masked, b"more"].concat()
}

/// `next_small_message` gives what `receive` gives, or nothing, and then leaves all as it was.
#[cfg(feature = "tokio")]
#[test]
fn small_messages_for_keeps_are_those_of_the_general_path() {
    let texts: [&[u8]; 6] =
        [b"", b"plain", "gr\u{fc}\u{df}e".as_bytes(), b"\xff", b"cut \xe2\x82", &[b'x'; 126]];
    let payloads =
        texts.into_iter().map(<[u8]>::to_vec).chain([1, 63, 64, 65, 124, 125].map(|len| [b'y'].repeat(len)));
    let limits = [
        Limits::default(),
        Limits { max_message: 64, ..Limits::default() },
        Limits { max_frame: Some(63), ..Limits::default() },
        Limits { max_message: usize::MAX, ..Limits::default() },
        Limits { max_fragments: Some(0), ..Limits::default() },
    ];
    let (mut taken, mut left) = (0, 0);
    for payload in payloads {
        for (limits, first) in
            limits.iter().flat_map(|limits| [0x81, 0x82, 0x01, 0x89].map(|first| (limits, first)))
        {
            for key in [None, Some([1, 2, 3, 4]), Some([0xff; 4])] {
                let bytes = message_and_more(first, key, &payload);
                let config = Config { limits: limits.clone(), ..Config::default() };
                let (mut quick, mut inbox, mut outbox) = server(config.clone());
                let (mut general, mut same_inbox, mut same_outbox) = server(config);
                inbox.extend_from_slice(&bytes);
                same_inbox.extend_from_slice(&bytes);
                let expected = match general.next_fact(&mut same_inbox, &mut same_outbox, Mode::Whole) {
                    Some(fact) => match general.event(fact, &mut same_inbox) {
                        Event::Message(message) => Some(message.into_message()),
                        _ => None,
                    },
                    None => None,
                };
                match quick.next_small_message(&mut inbox) {
                    Some(message) => {
                        assert_eq!(Some(message), expected, "{bytes:x?}");
                        inbox.release();
                        assert_eq!(inbox.bytes(), b"more");
                        taken += 1;
                    }
                    None => {
                        assert_eq!(inbox.bytes(), bytes);
                        assert!(expected.is_none_or(|message| message.len() > 125), "{bytes:x?} is left");
                        left += 1;
                    }
                }
                // From here on both go the general way, to the same end.
                while quick.receive(&mut inbox, &mut outbox).is_some() {}
                while general.receive(&mut same_inbox, &mut same_outbox).is_some() {}
                assert_eq!(quick.closed(), general.closed(), "{bytes:x?}");
            }
        }
    }
    assert!(taken > 100 && left > 100, "{taken} and {left}");
}

#[test]
fn a_large_text_that_is_not_utf8_ends_the_connection_and_leaves_nothing() {
    for at in [0, 5000, SHARE_FROM] {
        let (mut server, mut inbox, mut outbox) = server(Config::default());
        let mut text = [b'x'].repeat(SHARE_FROM + 1);
        text[at] = 0xff;
        inbox.extend_from_slice(&message_and_more(0x81, Some([1, 2, 3, 4]), &text));
        assert!(server.receive(&mut inbox, &mut outbox).is_none());
        let cause = server.closed().map(Closed::cause);
        assert_eq!(cause, Some(CloseCause::Fault(crate::error::Violation::Utf8.into())), "{at}");
        assert!(inbox.is_empty());
        assert_eq!(written(&mut server, &mut outbox), [0x88, 2, 0x03, 0xef]);
    }
}

/// The Pong goes ahead of what was queued before it.
#[test]
fn a_ping_between_large_messages_that_are_sent_back_is_answered_at_a_frame_boundary() {
    let (mut server, mut inbox, mut outbox) = server(Config::default());
    let large = message_and_more(0x82, Some([1, 2, 3, 4]), &[b'x'; SHARE_FROM]);
    let large = &large[..large.len() - 4];
    inbox.extend_from_slice(&[large, large, &frame(0x89, b"?"), large].concat());
    while let Some((event, mut output)) = server.receive_with_output(&mut inbox, &mut outbox) {
        if let Event::Message(message) = event {
            output.send(message).unwrap();
        }
    }
    let echoed = [&[0x82, 126, 0x20, 0][..], &[b'x'; SHARE_FROM]].concat();
    let expected = [&[0x8a, 1, b'?'][..], &echoed, &echoed, &echoed].concat();
    assert_eq!(written(&mut server, &mut outbox), expected);
}

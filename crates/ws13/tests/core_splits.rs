//! How bytes are cut into reads must not matter: the same events, the same answers, the same end.
#![cfg(feature = "std")]

mod common;

use common::{End, KEY, Seen, close_payload, frame, hex, masked};
use proptest::collection::vec;
use proptest::prelude::*;
use ws13::{CloseCause, Config, Fault, Kind, Limits, Role};

/// How a script is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Parts,
}

/// How bytes come into the inbox.
#[derive(Clone, Copy, Debug)]
enum Feed {
    /// From a buffer of the caller's.
    Copied,
    /// Through a lease, given back before each wait.
    Leased,
}

/// All that can be told of a connection from outside.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    events: Vec<Seen>,
    /// What arrived of a message that did not come to its end, in part mode.
    rest: Vec<u8>,
    written: Vec<u8>,
    open: bool,
}

fn run(role: Role, pieces: &[&[u8]], way: Way, feed: Feed) -> Trace {
    let limits = Limits { max_message: 100_000, ..Limits::default() };
    let mut end = End::new(role, Config { limits, ..Config::default() });
    let mut events = Vec::new();
    for piece in pieces {
        match feed {
            Feed::Copied => end.inbox.extend_from_slice(piece),
            Feed::Leased => end.read(piece),
        }
        take(&mut end, way, &mut events);
        if matches!(feed, Feed::Leased) {
            end.inbox.park();
        }
    }
    let open = end.connection.is_open();
    let written = end.written();
    end.connection.receive_eof(&mut end.outbox);
    take(&mut end, way, &mut events);
    assert_eq!(end.event(), None, "nothing follows Closed");
    let (events, mut rest) = joined(events);
    if matches!(events.last(), Some(Seen::Closed { cause: CloseCause::Fault(_), .. })) {
        // How much is seen of a message before it turns out to be wrong depends on the reads.
        rest.clear();
    }
    let ends = events.iter().filter(|event| matches!(event, Seen::Closed { .. })).count();
    assert_eq!(
        (ends, matches!(events.last(), Some(Seen::Closed { .. }))),
        (1, true),
        "one Closed, the last event"
    );
    Trace { events, rest, written, open }
}

fn take(end: &mut End, way: Way, events: &mut Vec<Seen>) {
    while let Some(event) = if way == Way::Whole { end.event() } else { end.part() } {
        events.push(event);
    }
}

/// Parts joined to messages, each where its last part came.
fn joined(events: Vec<Seen>) -> (Vec<Seen>, Vec<u8>) {
    let mut joined = Vec::new();
    let mut message: Option<(Kind, Vec<u8>)> = None;
    for event in events {
        let Seen::Part { kind, bytes, first, last } = event else {
            joined.push(event);
            continue;
        };
        assert_eq!(first, message.is_none(), "first is set on the first part alone");
        assert!(last || !bytes.is_empty(), "only a last part may be empty");
        let (begun_as, so_far) = message.get_or_insert((kind, Vec::new()));
        assert_eq!(*begun_as, kind);
        so_far.extend(bytes);
        if last {
            joined.extend(message.take().map(|(kind, bytes)| Seen::Message(kind, bytes)));
        }
    }
    (joined, message.map(|(_, bytes)| bytes).unwrap_or_default())
}

/// What comes of a script that is read at once, as messages and as parts.
fn uncut(role: Role, script: &[u8]) -> [Trace; 2] {
    let whole = run(role, &[script], Way::Whole, Feed::Copied);
    let parts = run(role, &[script], Way::Parts, Feed::Copied);
    // The limits on messages do not bind parts; everything else is the same.
    let over_limit =
        |event: &Seen| matches!(event, Seen::Closed { cause: CloseCause::Fault(Fault::Limit(_)), .. });
    if !whole.events.iter().any(over_limit) {
        assert_eq!(parts.events, whole.events);
        assert_eq!((&parts.written, parts.open), (&whole.written, whole.open));
    }
    [whole, parts]
}

/// Holds one way to cut against the uncut runs.
fn check(role: Role, pieces: &[&[u8]], [whole, parts]: &[Trace; 2]) {
    for feed in [Feed::Copied, Feed::Leased] {
        assert!(run(role, pieces, Way::Whole, feed) == *whole, "{feed:?} {}", lengths(pieces));
        assert!(run(role, pieces, Way::Parts, feed) == *parts, "parts, {feed:?} {}", lengths(pieces));
    }
}

/// How a script was cut, for a message that can be read.
fn lengths(pieces: &[&[u8]]) -> String {
    let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
    let script: String = pieces.concat().iter().take(200).map(|byte| format!("{byte:02x}")).collect();
    format!("cut to {lengths:?}: {script}")
}

fn check_all_cuts(role: Role, script: &[u8]) {
    let expected = uncut(role, script);
    let bytewise: Vec<&[u8]> = script.chunks(1).collect();
    check(role, &bytewise, &expected);
    for first in 0..=script.len() {
        check(role, &[&script[..first], &script[first..]], &expected);
    }
    if script.len() <= 24 {
        for first in 0..=script.len() {
            for second in first..=script.len() {
                let pieces = [&script[..first], &script[first..second], &script[second..]];
                check(role, &pieces, &expected);
            }
        }
    }
}

fn join(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.concat()
}

/// Short scripts from a client, each with what it is about.
fn short_scripts() -> Vec<(&'static str, Vec<u8>)> {
    let euro = "€".as_bytes();
    vec![
        ("nothing", vec![]),
        ("a text", masked(0x81, b"Hello")),
        ("an empty text and an empty binary", join(&[masked(0x81, b""), masked(0x82, b"")])),
        ("two messages", join(&[masked(0x81, "ä€".as_bytes()), masked(0x82, &[0, 255])])),
        ("a character in two frames", join(&[masked(0x01, &euro[..1]), masked(0x80, &euro[1..])])),
        (
            "a ping inside a message",
            join(&[masked(0x01, b"a"), masked(0x89, b"p"), masked(0x00, b""), masked(0x80, b"b")]),
        ),
        (
            "a ping inside a character",
            join(&[masked(0x01, &euro[..2]), masked(0x89, b""), masked(0x80, &euro[2..])]),
        ),
        ("a message that ends in an empty frame", join(&[masked(0x02, b"a"), masked(0x80, b"")])),
        ("a message of empty frames", join(&[masked(0x01, b""), masked(0x00, b""), masked(0x80, b"")])),
        ("two pings and a pong", join(&[masked(0x89, b"1"), masked(0x89, b"2"), masked(0x8a, b"3")])),
        ("a close", masked(0x88, &close_payload(1000, "bye"))),
        ("an empty close, then more", join(&[masked(0x88, b""), masked(0x81, b"x")])),
        ("a close of one byte", masked(0x88, &[3])),
        ("a close with 1005", masked(0x88, &close_payload(1005, ""))),
        ("a close whose reason is no UTF-8", masked(0x88, &[0x03, 0xe8, 0xff])),
        ("a close inside a message", join(&[masked(0x01, b"a"), masked(0x88, &close_payload(4999, ""))])),
        ("a text, then a reserved opcode", join(&[masked(0x81, b"a"), masked(0x83, b"")])),
        ("a ping, then a reserved bit", join(&[masked(0x89, b"a"), masked(0xc1, b"b")])),
        ("a text, then an unmasked frame", join(&[masked(0x81, b"a"), frame(0x81, None, b"b")])),
        ("a continuation of nothing", masked(0x80, b"a")),
        ("a message inside a message", join(&[masked(0x02, b"a"), masked(0x82, b"b")])),
        ("a fragmented ping", masked(0x09, b"")),
        ("a ping of 126 bytes", hex("89fe007e 00000000 0101")),
        ("a length that is not minimal, 16 bits", hex("82fe007d 00000000 0101")),
        ("a length that is not minimal, 64 bits", hex("82ff 000000000000ffff 00000000 0101")),
        ("a length with its highest bit", hex("82ff fffffffffffffffc 00000000")),
        ("a length over the limit", hex("82ff 7fffffffffffffff 00000000")),
        ("a sum over the limit", [hex("0181 00000000 61"), hex("80ff 7fffffffffffffff 00000000")].concat()),
        ("an impossible byte", masked(0x81, b"ab\xffcd")),
        ("a surrogate over two frames", join(&[masked(0x01, b"\xed"), masked(0x80, b"\xa0\x80")])),
        ("a text that ends inside a character", masked(0x81, &euro[..2])),
        ("a fragmented text that ends so", join(&[masked(0x01, b"a"), masked(0x80, &euro[..1])])),
        ("a frame that does not end", hex("8285 00000000 0102")),
        ("a header that does not end", hex("82fe 01")),
        ("a close that does not end", hex("8882 00000000 03")),
    ]
}

#[test]
fn every_cut_of_short_scripts_gives_the_same() {
    for (name, script) in short_scripts() {
        println!("{name}");
        check_all_cuts(Role::Server, &script);
    }
}

#[test]
fn every_cut_of_what_a_server_sends_gives_the_same() {
    let script = [
        frame(0x01, None, "aé".as_bytes()),
        frame(0x89, None, b"ping"),
        frame(0x80, None, "€𝄞".as_bytes()),
        frame(0x82, None, b""),
        frame(0x88, None, &close_payload(1001, "ä")),
    ];
    check_all_cuts(Role::Client, &script.concat());
}

#[test]
fn all_forms_of_length_5_2() {
    let lengths = [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 70_000];
    let script: Vec<u8> = lengths.iter().flat_map(|&len| masked(0x82, &vec![len as u8; len])).collect();
    let expected: Vec<Seen> = lengths.iter().map(|&len| Seen::binary(&vec![len as u8; len])).collect();
    for step in [1, 7, 1000, 4096, 65_536, script.len()] {
        let pieces: Vec<&[u8]> = script.chunks(step).collect();
        for way in [Way::Whole, Way::Parts] {
            let trace = run(Role::Server, &pieces, way, Feed::Leased);
            assert_eq!(trace.events[..lengths.len()], expected, "{step} bytes at a time");
        }
    }
}

/// RFC 3629 as code: whether any text begins with these bytes.
fn may_begin_a_text(bytes: &[u8]) -> bool {
    !matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_some())
}

#[test]
fn invalid_utf8_fails_at_the_first_impossible_byte_8_1() {
    let texts: [&[u8]; 10] = [
        b"\xff",
        b"ok\x80",
        b"\xc0\xaf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5",
        b"\xe2\x82a",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    ];
    for text in texts {
        let impossible = (1..=text.len()).find(|&len| !may_begin_a_text(&text[..len])).unwrap();
        for way in [Way::Whole, Way::Parts] {
            for first_byte in [0x81, 0x01] {
                // The frame says that 100 bytes come; the connection fails long before.
                let bytes = [vec![first_byte, 0x80 | 100], KEY.to_vec(), masked_payload(text)].concat();
                let mut end = End::server();
                let failed = bytes.iter().position(|&byte| {
                    end.inbox.extend_from_slice(&[byte]);
                    take(&mut end, way, &mut Vec::new());
                    end.connection.closed().is_some()
                });
                assert_eq!(failed, Some(6 + impossible - 1), "{text:x?}");
                assert_eq!(end.close_code(), Some(1007));
            }
        }
    }
}

fn masked_payload(payload: &[u8]) -> Vec<u8> {
    payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4]).collect()
}

#[test]
fn what_can_be_refused_at_the_first_byte_is_refused_there_5_2() {
    for first in 0..=255u8 {
        let mut end = End::server();
        end.feed(&[first]);
        let legal = matches!(first, 0x01 | 0x02 | 0x81 | 0x82 | 0x88 | 0x89 | 0x8a);
        assert_eq!(end.close_code(), (!legal).then_some(1002), "{first:#x}");
    }
}

/// A frame of a random script.
#[derive(Clone, Debug)]
enum Item {
    /// A text, cut into frames at these places, pings between them.
    Text {
        text: String,
        cuts: Vec<usize>,
        pings: bool,
    },
    Binary {
        bytes: Vec<u8>,
        cuts: Vec<usize>,
    },
    /// A message as long as the forms of length need.
    Long(usize),
    Control(u8, Vec<u8>),
    Close(u16, String),
    /// Any frame, right or wrong.
    Any {
        first: u8,
        masked: bool,
        payload: Vec<u8>,
    },
    Garbage(Vec<u8>),
}

impl Item {
    fn write(&self, role: Role, script: &mut Vec<u8>) {
        let key = (role == Role::Server).then_some(KEY);
        match self {
            Item::Text { text, cuts, pings } => fragments(0x01, text.as_bytes(), cuts, *pings, key, script),
            Item::Binary { bytes, cuts } => fragments(0x02, bytes, cuts, false, key, script),
            Item::Long(len) => script.extend(frame(0x82, key, &vec![0x5a; *len])),
            Item::Control(opcode, payload) => script.extend(frame(0x80 | opcode, key, payload)),
            Item::Close(code, reason) => script.extend(frame(0x88, key, &close_payload(*code, reason))),
            Item::Any { first, masked, payload } => {
                script.extend(frame(*first, masked.then_some(KEY), payload));
            }
            Item::Garbage(bytes) => script.extend(bytes),
        }
    }
}

fn fragments(
    opcode: u8,
    bytes: &[u8],
    cuts: &[usize],
    pings: bool,
    key: Option<[u8; 4]>,
    script: &mut Vec<u8>,
) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for (i, &cut) in cuts.iter().enumerate() {
        script.extend(frame(if i == 0 { opcode } else { 0 }, key, &bytes[from..cut]));
        if pings {
            script.extend(frame(0x89, key, &[i as u8]));
        }
        from = cut;
    }
    script.extend(frame(0x80 | if cuts.is_empty() { opcode } else { 0 }, key, &bytes[from..]));
}

fn item() -> impl Strategy<Value = Item> {
    let bytes = || vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => ("\\PC{0,12}", vec(any::<usize>(), 0..4), any::<bool>())
            .prop_map(|(text, cuts, pings)| Item::Text { text, cuts, pings }),
        2 => (bytes(), vec(any::<usize>(), 0..4)).prop_map(|(bytes, cuts)| Item::Binary { bytes, cuts }),
        1 => prop_oneof![Just(125), Just(126), Just(300), Just(9_000), Just(65_535), Just(65_536), Just(100_001)]
            .prop_map(Item::Long),
        2 => (9..=10u8, bytes()).prop_map(|(opcode, payload)| Item::Control(opcode, payload)),
        1 => (prop_oneof![Just(1000), Just(1005), 0..5000u16], "\\PC{0,8}")
            .prop_map(|(code, reason)| Item::Close(code, reason)),
        1 => (any::<u8>(), any::<bool>(), bytes())
            .prop_map(|(first, masked, payload)| Item::Any { first, masked, payload }),
        1 => bytes().prop_map(Item::Garbage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_any_script_gives_the_same(
        items in vec(item(), 0..8),
        server in any::<bool>(),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut script = Vec::new();
        items.iter().for_each(|item| item.write(role, &mut script));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (script.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&script[from..cut]);
            from = cut;
        }
        pieces.push(&script[from..]);
        let expected = uncut(role, &script);
        check(role, &pieces, &expected);
        if script.len() < 300 {
            let bytewise: Vec<&[u8]> = script.chunks(1).collect();
            check(role, &bytewise, &expected);
        }
    }

    /// Whole messages and parts may take turns; nothing is lost but the rest of a message whose reader went away.
    #[test]
    fn a_reader_of_parts_may_go_away_at_any_part(
        messages in vec(vec(any::<u8>(), 0..30), 1..6),
        step in 1..40usize,
        turns in vec(any::<bool>(), 1..20),
    ) {
        let script: Vec<u8> = messages
            .iter()
            .enumerate()
            .flat_map(|(i, bytes)| {
                let (half, numbered) = (bytes.len() / 2, [&[i as u8], &bytes[..]].concat());
                let (begin, end) = numbered.split_at(half);
                [masked(0x02, begin), masked(0x89, b""), masked(0x80, end)].concat()
            })
            .collect();
        let mut end = End::server();
        let mut turns = turns.iter().cycle();
        // The parts so far, while there is a reader.
        let mut reader: Option<Vec<u8>> = None;
        let mut dropped = false;
        let mut handled = 0;
        for piece in script.chunks(step) {
            end.inbox.extend_from_slice(piece);
            loop {
                let turn = *turns.next().unwrap();
                if turn && reader.take().is_some() {
                    (dropped, handled) = (true, handled + 1);
                }
                let event = if dropped || (turn && reader.is_none()) { end.event() } else { end.part() };
                match event {
                    None => break,
                    Some(Seen::Message(_, bytes)) => {
                        prop_assert_eq!(bytes[0] as usize, handled);
                        prop_assert_eq!(&bytes[1..], &messages[handled][..]);
                        (dropped, handled) = (false, handled + 1);
                    }
                    Some(Seen::Part { bytes, first, last, .. }) => {
                        prop_assert_eq!(first, reader.is_none());
                        reader.get_or_insert_default().extend(bytes);
                        if last {
                            let bytes = reader.take().unwrap();
                            prop_assert_eq!(bytes[0] as usize, handled);
                            prop_assert_eq!(&bytes[1..], &messages[handled][..]);
                            handled += 1;
                        }
                    }
                    Some(Seen::Ping(_)) => {}
                    Some(other) => prop_assert!(false, "{:?}", other),
                }
            }
        }
        prop_assert_eq!(handled, messages.len());
        prop_assert!(end.connection.is_open());
    }
}

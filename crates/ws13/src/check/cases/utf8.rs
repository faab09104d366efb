//! Text: what is UTF-8 and what is not, cut at every byte (RFC 6455 5.6 and 8.1, RFC 3629).

use super::{INVALID, echo, failing, fails};
use crate::check::case::{Case, Found};
use crate::check::judge::{Failing, Level, says_goodbye};
use crate::check::link::{Event, Message};
use crate::check::wire::Frame;
use std::time::Duration;

/// Characters at the borders of what UTF-8 can say.
const VALID: [(&str, &str); 20] = [
    ("u0000", "\0"),
    ("u007f", "\u{7f}"),
    ("u0080", "\u{80}"),
    ("u07ff", "\u{7ff}"),
    ("u0800", "\u{800}"),
    ("u0fff", "\u{fff}"),
    ("u1000", "\u{1000}"),
    ("ud7ff", "\u{d7ff}"),
    ("ue000", "\u{e000}"),
    ("ufeff", "\u{feff}"),
    ("ufffd", "\u{fffd}"),
    ("ufffe", "\u{fffe}"),
    ("uffff", "\u{ffff}"),
    ("u10000", "\u{10000}"),
    ("u1ffff", "\u{1ffff}"),
    ("u3ffff", "\u{3ffff}"),
    ("u40000", "\u{40000}"),
    ("ufffff", "\u{fffff}"),
    ("u10ffff", "\u{10ffff}"),
    ("words", "Hello-µ@ßöäüàá-UTF-8!! κόσμε 日本語 🦀"),
];

/// Byte sequences that no UTF-8 text has. Those that only want for more bytes say so.
const BROKEN: [(&str, &[u8]); 36] = [
    ("continuation-80", &[0x80]),
    ("continuation-bf", &[0xbf]),
    ("two-continuations", &[0x80, 0xbf]),
    ("overlong-c080", &[0xc0, 0x80]),
    ("overlong-c0af", &[0xc0, 0xaf]),
    ("overlong-c1bf", &[0xc1, 0xbf]),
    ("cut-c2", &[0xc2]),
    ("c2-then-letter", &[0xc2, 0x41]),
    ("df-then-lead", &[0xdf, 0xc2, 0x80]),
    ("overlong-e08080", &[0xe0, 0x80, 0x80]),
    ("overlong-e080af", &[0xe0, 0x80, 0xaf]),
    ("overlong-e09fbf", &[0xe0, 0x9f, 0xbf]),
    ("cut-e1", &[0xe1]),
    ("cut-e180", &[0xe1, 0x80]),
    ("e1-then-letter", &[0xe1, 0x41, 0x80]),
    ("e180-then-letter", &[0xe1, 0x80, 0x41]),
    ("surrogate-d800", &[0xed, 0xa0, 0x80]),
    ("surrogate-dbff", &[0xed, 0xaf, 0xbf]),
    ("surrogate-dc00", &[0xed, 0xb0, 0x80]),
    ("surrogate-dfff", &[0xed, 0xbf, 0xbf]),
    ("surrogate-pair", &[0xed, 0xa0, 0x81, 0xed, 0xb0, 0xb7]),
    ("overlong-f0808080", &[0xf0, 0x80, 0x80, 0x80]),
    ("overlong-f08fbfbf", &[0xf0, 0x8f, 0xbf, 0xbf]),
    ("cut-f0", &[0xf0]),
    ("cut-f090", &[0xf0, 0x90]),
    ("cut-f09080", &[0xf0, 0x90, 0x80]),
    ("f0-then-letter", &[0xf0, 0x90, 0x80, 0x41]),
    ("over-u110000", &[0xf4, 0x90, 0x80, 0x80]),
    ("over-f48fc0", &[0xf4, 0x8f, 0xc0, 0x80]),
    ("over-f5", &[0xf5, 0x80, 0x80, 0x80]),
    ("over-f7", &[0xf7, 0xbf, 0xbf, 0xbf]),
    ("five-bytes", &[0xf8, 0x88, 0x80, 0x80, 0x80]),
    ("six-bytes", &[0xfc, 0x84, 0x80, 0x80, 0x80, 0x80]),
    ("fe", &[0xfe]),
    ("ff", &[0xff]),
    ("utf16-marks", &[0xff, 0xfe, 0x41, 0x00]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = valid();
    cases.extend(broken());
    cases.extend(elsewhere());
    cases.extend(fail_fast());
    cases
}

fn valid() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in VALID {
        let message = Message::text(text);
        let id = format!("utf8.valid.{name}");
        let title = format!("the text {text:?}");
        cases.push(echo(&id, "8.1", &title, vec![Frame::text(text)], vec![message.clone()]));
        // Each cut is a message of its own, on one connection.
        let bytes = text.as_bytes();
        let cuts = (0..=bytes.len()).flat_map(|cut| {
            let (front, back) = bytes.split_at(cut);
            [Frame::text(front).more(), Frame::continuation(back)]
        });
        let title = format!("{title}, in two fragments that are cut at each byte");
        let messages = vec![message; bytes.len() + 1];
        cases.push(echo(&format!("utf8.valid-cut.{name}"), "5.6", &title, cuts.collect(), messages));
    }
    cases
}

fn broken() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, bytes) in BROKEN {
        let text = [b"before ", bytes].concat();
        let title = format!("a text with {}", crate::check::trace::hex(bytes));
        let id = format!("utf8.invalid.{name}");
        cases.push(fails(&id, "8.1", &title, Level::Must, INVALID, vec![Frame::text(&text)]));
        let fragments = fragments(bytes);
        let title = format!("{title}, one byte a fragment");
        let id = format!("utf8.invalid-cut.{name}");
        cases.push(fails(&id, "8.1", &title, Level::Must, INVALID, fragments));
    }
    // A valid character whose end never comes, cut at each byte, then a new message.
    let euro = "€".as_bytes();
    for cut in 1..euro.len() {
        let id = format!("utf8.invalid.unfinished-{cut}");
        let title =
            format!("a text that ends after {cut} of the 3 bytes of a character, and the rest as a text");
        let frames = vec![Frame::text(&euro[..cut]), Frame::text(&euro[cut..])];
        cases.push(fails(&id, "8.1", &title, Level::Must, INVALID, frames));
    }
    cases
}

/// One byte a fragment, with a valid last one where the sequence is not just unfinished.
fn fragments(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = vec![Frame::text("before ").more()];
    frames.extend(bytes.iter().map(|byte| Frame::continuation([*byte]).more()));
    frames.push(Frame::continuation(""));
    frames
}

/// Where UTF-8 matters, too, and where it does not.
fn elsewhere() -> Vec<Case> {
    let mut cases = Vec::new();
    let all: Vec<u8> = BROKEN.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let binary = vec![Frame::binary(&all)];
    let messages = vec![Message::binary(&all)];
    cases.push(echo("utf8.binary", "5.6", "a binary message that is not UTF-8", binary, messages));
    cases.push(Case::open(
        "utf8.ping",
        "5.5.2",
        "a Ping that is not UTF-8",
        "a Pong with the same bytes",
        |link| {
            link.send(&[Frame::ping([0xff, 0x80, 0xed, 0xa0])]);
            match link.next() {
                Event::Pong(payload) if payload == [0xff, 0x80, 0xed, 0xa0] => says_goodbye(link, "the Pong"),
                other => Found::failed(other.to_string()),
            }
        },
    ));
    for (name, bytes) in BROKEN.into_iter().step_by(5) {
        let id = format!("utf8.close-reason.{name}");
        let title = format!("a Close with 1000 and a reason with {}", crate::check::trace::hex(bytes));
        let frame = Frame::close_with(1000, [b"bye ", bytes].concat());
        cases.push(fails(&id, "5.5.1", &title, Level::Must, &[1007, 1002], vec![frame]));
    }
    cases
}

/// The RFC wants a failure at the end of the message at the latest; who checks while it arrives fails before.
fn fail_fast() -> Vec<Case> {
    let early = Failing { level: Level::Should, ..Failing::with(INVALID, Level::Should) };
    let unfinished = failing(
        "utf8.fail-fast.message",
        "8.1",
        "a first fragment with an impossible byte; the message goes on",
        early,
        vec![Frame::text([b'a', 0xff, b'b']).more()],
    );
    let in_frame = Case::open(
        "utf8.fail-fast.frame",
        "8.1",
        "an impossible byte at the beginning of a frame of 1,000 bytes that does not end",
        "a Close with 1007, without waiting for the frame's end",
        |link| {
            let bytes = Frame::text([&[0xff; 1], super::letters(999).as_slice()].concat()).encode(link.peer);
            link.send_bytes(&bytes[..500]);
            match link.next_within(link.timeout.min(Duration::from_secs(1))) {
                Event::Close(payload) => Found::ok(Event::Close(payload).to_string()),
                other => waits(&other),
            }
        },
    );
    let in_character = Case::open(
        "utf8.fail-fast.character",
        "8.1",
        "the first two bytes of a surrogate, which no third byte can save; the message goes on",
        "a Close with 1007, without waiting for the character's end",
        |link| {
            link.send(&[Frame::text([0xed, 0xa0]).more()]);
            match link.next_within(link.timeout.min(Duration::from_secs(1))) {
                Event::Close(payload) => Found::ok(Event::Close(payload).to_string()),
                other => waits(&other),
            }
        },
    );
    vec![unfinished, in_frame, in_character]
}

/// What is no Close in answer to text that can no longer become valid.
fn waits(event: &Event) -> Found {
    match event {
        Event::End(_) => Found::weak(format!("{event} without a Close frame")),
        _ => Found::told(format!("{event}: it waits for more")),
    }
}

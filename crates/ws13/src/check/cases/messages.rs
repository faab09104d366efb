//! Messages: fragments, and control frames between them (RFC 6455 5.4, 5.5).

use super::{PROTOCOL, echo, failing, fails, letters};
use crate::check::case::{Case, Found};
use crate::check::judge::{Failing, Level, echoes, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::wire::Frame;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = fragments();
    cases.extend(out_of_order());
    cases.extend(between());
    cases.extend(pings());
    cases
}

/// A message in these parts.
fn parts(text: bool, parts: &[&[u8]]) -> (Vec<Frame>, Message) {
    let last = parts.len() - 1;
    let frames = parts.iter().enumerate().map(|(nth, part)| {
        let frame = match (nth, text) {
            (0, true) => Frame::text(part),
            (0, false) => Frame::binary(part),
            _ => Frame::continuation(part),
        };
        if nth < last { frame.more() } else { frame }
    });
    let whole = parts.concat();
    (frames.collect(), if text { Message::text(whole) } else { Message::binary(whole) })
}

fn fragments() -> Vec<Case> {
    let long = letters(1000);
    let bytes: Vec<&[u8]> = long.chunks(1).collect();
    let kilobytes = letters(100_000);
    let kilobytes: Vec<&[u8]> = kilobytes.chunks(1000).collect();
    let mut cases = Vec::new();
    for (name, title, pieces) in [
        ("two", "two fragments", vec![&b"hel"[..], b"lo"]),
        ("three", "three fragments", vec![b"h", b"ell", b"o"]),
        ("empty-first", "an empty first fragment", vec![b"", b"hello"]),
        ("empty-middle", "an empty fragment in the middle", vec![b"hel", b"", b"lo"]),
        ("empty-last", "an empty last fragment", vec![b"hello", b""]),
        ("all-empty", "three empty fragments", vec![b"", b"", b""]),
        ("bytes", "a thousand fragments of one byte", bytes),
        ("kilobytes", "a hundred fragments of 1,000 bytes", kilobytes),
    ] {
        for (kind, is_text) in [("text", true), ("binary", false)] {
            let (frames, message) = parts(is_text, &pieces);
            let id = format!("messages.fragments.{name}.{kind}");
            cases.push(echo(&id, "5.4", &format!("a {kind} message in {title}"), frames, vec![message]));
        }
    }
    let (mut frames, first) = parts(true, &[b"one", b"two"]);
    let (second_frames, second) = parts(false, &[b"three", b"four", b"five"]);
    frames.extend(second_frames);
    frames.push(Frame::text("six"));
    let messages = vec![first, second, Message::text("six")];
    cases.push(echo(
        "messages.fragments.several",
        "5.4",
        "a text in two fragments, a binary message in three, and a whole text",
        frames,
        messages,
    ));
    cases
}

fn out_of_order() -> Vec<Case> {
    let case = |id: &str, title: &str, frames| {
        fails(&format!("messages.order.{id}"), "5.4", title, Level::Must, PROTOCOL, frames)
    };
    let more = |frame: Frame| frame.more();
    let after = Failing::with(PROTOCOL, Level::Must).after(&[Message::text("hello")]);
    vec![
        case(
            "continuation-first",
            "a continuation with FIN, and no message begun",
            vec![Frame::continuation("hello")],
        ),
        case(
            "continuation-first-open",
            "a continuation without FIN, and no message begun",
            vec![more(Frame::continuation("hel")), Frame::continuation("lo")],
        ),
        case(
            "continuation-first-empty",
            "an empty continuation, and no message begun",
            vec![Frame::continuation("")],
        ),
        case(
            "text-in-text",
            "a text inside a fragmented text",
            vec![more(Frame::text("hel")), Frame::text("lo")],
        ),
        case(
            "binary-in-text",
            "a binary message inside a fragmented text",
            vec![more(Frame::text("hel")), Frame::binary("lo")],
        ),
        case(
            "text-in-binary",
            "a text inside a fragmented binary message",
            vec![more(Frame::binary("hel")), Frame::text("lo")],
        ),
        case(
            "begun-twice",
            "two beginnings of messages, and then an end",
            vec![more(Frame::text("hel")), more(Frame::text("lo")), Frame::continuation("!")],
        ),
        failing(
            "messages.order.continuation-after-end",
            "5.4",
            "a fragmented message, and one continuation more",
            after.clone(),
            vec![more(Frame::text("hel")), Frame::continuation("lo"), Frame::continuation("!")],
        ),
        failing(
            "messages.order.continuation-after-whole",
            "5.4",
            "a whole message, and then a continuation",
            after,
            vec![Frame::text("hello"), Frame::continuation("!")],
        ),
    ]
}

/// Control frames at every place of a fragmented message (RFC 6455 5.4).
fn between() -> Vec<Case> {
    let mut cases = Vec::new();
    for place in 0..=4 {
        for (kind, control) in [("ping", Frame::ping("now")), ("pong", Frame::pong("now"))] {
            let id = format!("messages.between.{kind}-{place}");
            let title = format!("a {kind} after {place} of four fragments, all in one write");
            let expected = if kind == "ping" { "a Pong, and the echo" } else { "the echo alone" };
            let play = move |link: &mut Link| {
                let (mut frames, message) = parts(true, &[b"a", b"b", b"c", b"d"]);
                frames.insert(place, control.clone());
                link.send(&frames);
                interleaved(link, &message, kind == "ping")
            };
            cases.push(Case::open(&id, "5.4", &title, expected, play).with_echo());
        }
    }
    cases.push(
        Case::open(
            "messages.between.many",
            "5.4",
            "a Ping and a Pong after each of fifty fragments of one byte",
            "the echo, and Pongs for Pings that were sent, the last one among them",
            |link| {
                let whole = letters(50);
                let pieces: Vec<&[u8]> = whole.chunks(1).collect();
                let (fragments, message) = parts(true, &pieces);
                let mut frames = Vec::new();
                for (nth, fragment) in fragments.into_iter().enumerate() {
                    frames.extend([fragment, Frame::ping([nth as u8]), Frame::pong("unasked")]);
                }
                link.send(&frames);
                let mut echoed = false;
                let mut last = None;
                while !echoed || last != Some(49) {
                    match link.next() {
                        Event::Message(came) if came.says(&message) && !echoed => echoed = true,
                        Event::Pong(payload) if payload.len() == 1 && last < payload.first().copied() => {
                            last = payload.first().copied();
                        }
                        Event::Pong(_) => return Found::weak(format!("an old Pong after the Pong {last:?}")),
                        other => return Found::failed(format!("{other} after the Pong {last:?}")),
                    }
                }
                says_goodbye(link, "the echo and the Pongs")
            },
        )
        .with_echo(),
    );
    cases.push(Case::open(
        "messages.between.answered-early",
        "5.5.2",
        "a fragment and a Ping, and the message's end only when the Pong has come",
        "the Pong before the end of the message is sent",
        answered_early,
    ));
    cases
}

fn interleaved(link: &mut Link, message: &Message, pings: bool) -> Found {
    let (mut echoed, mut answered) = (false, !pings);
    while !(echoed && answered) {
        match link.next() {
            Event::Message(came) if came.says(message) && !echoed => echoed = true,
            Event::Pong(payload) if payload == b"now" && !answered => answered = true,
            other => return Found::failed(format!("{other}; echo: {echoed}, Pong: {answered}")),
        }
    }
    says_goodbye(link, if pings { "the Pong and the echo" } else { "the echo" })
}

fn answered_early(link: &mut Link) -> Found {
    let (frames, message) = parts(true, &[b"hel", b"lo"]);
    link.send(&[frames[0].clone(), Frame::ping("early")]);
    match link.next() {
        Event::Pong(payload) if payload == b"early" => {}
        Event::Silence(_) => {
            link.send(&frames[1..]);
            return match link.next() {
                Event::Pong(_) => Found::weak("the Pong came only after the end of the message"),
                other => Found::failed(format!("no Pong, and then {other}")),
            };
        }
        other => return Found::failed(format!("{other} in place of a Pong")),
    }
    link.send(&frames[1..]);
    if !link.echoes {
        return says_goodbye(link, "the Pong");
    }
    echoes(link, &[message])
}

fn pings() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, payload) in [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("125", letters(125)),
        ("bytes", vec![0x00, 0xff, 0xfe, 0x80, 0xc0, 0x0d, 0x0a]),
    ] {
        let id = format!("messages.ping.{name}");
        let title = format!("a Ping of {} bytes", payload.len());
        let play = move |link: &mut Link| {
            link.send(&[Frame::ping(&payload)]);
            match link.next() {
                Event::Pong(came) if came == payload => says_goodbye(link, "the Pong"),
                other => Found::failed(format!("{other} in place of the Pong")),
            }
        };
        cases.push(Case::open(&id, "5.5.3", &title, "a Pong with the same bytes", play));
    }
    cases.push(Case::open(
        "messages.ping.ten-at-once",
        "5.5.3",
        "ten Pings in one write",
        "Pongs in the Pings' order; the last one at least",
        |link| {
            link.send(&(0..10u8).map(|nth| Frame::ping([nth])).collect::<Vec<_>>());
            let mut count = 0;
            let mut last = None;
            while last != Some(9) {
                match link.next() {
                    Event::Pong(payload) if payload.len() == 1 && last < payload.first().copied() => {
                        last = payload.first().copied();
                        count += 1;
                    }
                    // A Pong may come unasked (5.5.3), so that this is none of the RFC's concern.
                    Event::Pong(_) => return Found::weak(format!("an old Pong after the Pong {last:?}")),
                    other => return Found::failed(format!("{other} after the Pong {last:?}")),
                }
            }
            says_goodbye(link, &format!("{count} Pongs, in order"))
        },
    ));
    cases.push(Case::open(
        "messages.ping.bytewise",
        "5.5.2",
        "a Ping, one byte a write",
        "the Pong",
        |link| {
            let bytes = Frame::ping("slow").encode(link.peer);
            link.send_pieces(bytes.chunks(1), Duration::from_millis(1));
            match link.next() {
                Event::Pong(payload) if payload == b"slow" => says_goodbye(link, "the Pong"),
                other => Found::failed(format!("{other} in place of the Pong")),
            }
        },
    ));
    for (name, title, payload) in [
        ("empty", "an empty Pong that nobody asked for", ""),
        ("payload", "a Pong that nobody asked for", "hi"),
    ] {
        let id = format!("messages.pong.{name}");
        cases.push(Case::open(&id, "5.5.3", title, "nothing: the connection goes on", move |link| {
            link.send(&[Frame::pong(payload), Frame::ping("and now")]);
            match link.next() {
                Event::Pong(came) if came == b"and now" => says_goodbye(link, "it goes on"),
                other => Found::failed(format!("{other} in place of the one Pong that was asked for")),
            }
        }));
    }
    cases
}

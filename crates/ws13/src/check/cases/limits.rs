//! Attacks that are harmless to a good peer: what is announced and never comes, what comes in floods (RFC 6455 10.4).

use super::{TOO_BIG, letters};
use crate::check::Role;
use crate::check::case::{Case, Found};
use crate::check::judge::{Failing, Level, echoes, goes_on, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::wire::{Form, Frame};
use std::time::Duration;

pub(super) fn cases(peer: Role) -> Vec<Case> {
    let mut cases = announced();
    cases.extend(floods());
    if peer == Role::Server {
        cases.push(stalled_handshakes());
    }
    cases
}

/// After an attack, others are served as before. A client has no others.
fn and_others(link: &Link, found: Found) -> Found {
    match link.target.as_ref().map(|target| target.serves_others()) {
        Some(Err(why)) => Found::failed(format!("{}; and others are not served: {why}", found.seen)),
        _ => found,
    }
}

/// Lengths that cannot be meant. Nothing of them follows, so whoever waits, waits for ever.
fn announced() -> Vec<Case> {
    let case = |id: &str, title: &str, codes: &'static [u16], frames: Vec<Frame>| {
        let failing = Failing::with(codes, Level::Should).without_probe();
        let id = format!("limits.announced.{id}");
        Case::open(
            &id,
            "10.4",
            title,
            "a Close with 1009 at the header, and others are served",
            move |link| {
                link.send(&frames);
                let found = failing.judge(link);
                and_others(link, found)
            },
        )
    };
    let huge = (1 << 63) - 1;
    let first = Frame::text("a").more();
    vec![
        case(
            "binary",
            "a binary frame that announces 2^63 - 1 bytes",
            TOO_BIG,
            vec![Frame::binary("").announcing(huge)],
        ),
        case(
            "text",
            "a text frame that announces 2^62 bytes",
            TOO_BIG,
            vec![Frame::text("a").announcing(1 << 62)],
        ),
        case(
            "tebibyte",
            "a binary frame that announces 2^40 bytes",
            TOO_BIG,
            vec![Frame::binary("").announcing(1 << 40)],
        ),
        case(
            "sum",
            "a fragment of 1 byte, and one that announces 2^63 - 1",
            TOO_BIG,
            vec![first, Frame::continuation("").announcing(huge)],
        ),
        case(
            "ping",
            "a Ping that announces 2^63 - 1 bytes",
            &[1002, 1009],
            vec![Frame::ping("").in_form(Form::Bits64).announcing(huge)],
        ),
        largest(),
    ]
}

/// Which length is the first that is refused.
fn largest() -> Case {
    let title = "frames that announce 1 MiB and more, each on the same connection until one is refused";
    Case::open("limits.largest", "10.4", title, "a Close with 1009 at some header", |link| {
        let Some(target) = link.target.clone() else {
            link.send(&[Frame::binary("").announcing(1 << 32)]);
            return match link.next_within(Duration::from_millis(500)) {
                Event::Close(payload) => Found::told(format!("4 GiB: {}", Event::Close(payload))),
                other => Found::told(format!("4 GiB: {other}")),
            };
        };
        for shift in 16..=36 {
            let Ok((mut link, _)) = target.open(&link.trace, None) else { continue };
            link.send(&[Frame::binary("").announcing((1 << shift) + 1)]);
            if let event @ (Event::Close(_) | Event::End(_)) = link.next_within(Duration::from_millis(150)) {
                return Found::told(format!("over {} KiB: {event}", (1u64 << shift) / 1024));
            }
        }
        Found::told("64 GiB are waited for")
    })
}

fn floods() -> Vec<Case> {
    vec![tiny_fragments().with_echo(), pongs(), empty_fragments(), pings(), unread_echoes().with_echo()]
}

fn empty_fragments() -> Case {
    Case::open(
        "limits.flood.fragments",
        "10.4",
        "200,000 empty fragments of one message",
        "a Close with 1008 or 1009, or the echo; and others are served",
        |link| {
            let flood = Frame::continuation("").more().encode(link.peer).repeat(200_000);
            link.send(&[Frame::text("a").more()]);
            link.send_bytes(&flood);
            link.send(&[Frame::continuation("b"), Frame::ping("done")]);
            let found = match link.next() {
                event @ Event::Close(_) => Found::ok(event.to_string()),
                event @ Event::End(_) => Found::weak(format!("{event} without a Close frame")),
                Event::Message(_) | Event::Pong(_) => Found::told("it takes them all"),
                event @ Event::Silence(_) => Found::weak(event.to_string()),
            };
            and_others(link, found)
        },
    )
}

fn tiny_fragments() -> Case {
    Case::open(
        "limits.flood.tiny-fragments",
        "5.4",
        "a text of 4,000 bytes in fragments of 4 bytes",
        "its echo",
        |link| {
            let text = letters(4000);
            let mut frames = vec![Frame::text("").more()];
            frames.extend(text.chunks(4).map(|piece| Frame::continuation(piece).more()));
            frames.push(Frame::continuation(""));
            link.send(&frames);
            match echoes(link, &[Message::text(&text)]) {
                found if found.is_ok() => found,
                found
                    if found.seen.contains("a Close with 1008")
                        || found.seen.contains("a Close with 1009") =>
                {
                    Found::told(found.seen)
                }
                found => found,
            }
        },
    )
}

fn pings() -> Case {
    Case::open(
        "limits.flood.pings",
        "5.5.2",
        "20,000 Pings of 125 bytes to a peer that is not read from",
        "Pongs in order, or a Close with 1008; and others are served",
        |link| {
            let flood = Frame::ping(letters(125)).encode(link.peer).repeat(20_000);
            let taken = link.send_deaf(&flood);
            let seen = format!("it took {} of {} KiB", taken / 1024, flood.len() / 1024);
            let found = after_pings(link, &seen, taken == flood.len());
            and_others(link, found)
        },
    )
}

fn pongs() -> Case {
    Case::open(
        "limits.flood.pongs",
        "5.5.3",
        "20,000 Pongs that nobody asked for",
        "nothing, or a Close with 1008; and others are served",
        |link| {
            let flood = Frame::pong("").encode(link.peer).repeat(20_000);
            link.send_bytes(&flood);
            let found = match goes_on(link, "it takes them all") {
                found if found.is_ok() => found,
                found if found.seen.contains("a Close with 1008") => Found::ok(found.seen),
                found => found,
            };
            and_others(link, found)
        },
    )
}

fn unread_echoes() -> Case {
    Case::open(
        "limits.flood.unread",
        "10.4",
        "16 MiB of texts to an echo that nobody reads",
        "it stops to read, or ends the connection; and others are served",
        |link| {
            let flood = Frame::text(letters(16_000)).encode(link.peer).repeat(1000);
            let patience = std::mem::replace(&mut link.timeout, Duration::from_secs(2));
            let taken = link.send_deaf(&flood);
            link.timeout = patience;
            let seen = format!("it took {} of {} KiB", taken / 1024, flood.len() / 1024);
            // What the two kernels keep in their buffers is less than this.
            let found = if taken < flood.len() { Found::ok(seen) } else { Found::told(seen) };
            and_others(link, found)
        },
    )
}

/// Reads what a flood of Pings has brought; where all were taken, the connection has to be whole.
fn after_pings(link: &mut Link, seen: &str, whole: bool) -> Found {
    let mut pongs = 0;
    if whole {
        link.send(&[Frame::ping("the last")]);
    }
    loop {
        match link.next() {
            Event::Pong(payload) if payload == b"the last" => {
                return says_goodbye(link, &format!("{seen}, and sent {pongs} Pongs"));
            }
            Event::Pong(_) => pongs += 1,
            event @ Event::Close(_) => return Found::ok(format!("{seen}; {event}")),
            event @ Event::End(_) => return Found::weak(format!("{seen}; {event} without a Close frame")),
            Event::Silence(_) if !whole => return Found::ok(format!("{seen}, and sent {pongs} Pongs")),
            other => return Found::failed(format!("{seen}; {other} after {pongs} Pongs")),
        }
    }
}

/// Connections that say nothing, or half of it, must not stand in the way of others.
fn stalled_handshakes() -> Case {
    Case::open(
        "limits.stalled-handshakes",
        "10.4",
        "fifty TCP connections that send half a request, and one more",
        "others are served",
        |link| {
            let Some(target) = link.target.clone() else { return Found::skipped("a client has no others") };
            let request = target.request().bytes();
            let mut stalled = Vec::new();
            for _ in 0..50 {
                match target.connect(&crate::check::trace::Trace::default()) {
                    Ok(mut other) => {
                        other.send_bytes(&request[..request.len() / 2]);
                        stalled.push(other);
                    }
                    Err(why) => {
                        return Found::failed(format!("{} connections, and then {why}", stalled.len()));
                    }
                }
            }
            match target.serves_others() {
                Ok(()) => Found::ok("others are served"),
                Err(why) => Found::failed(format!("others are not served: {why}")),
            }
        },
    )
}

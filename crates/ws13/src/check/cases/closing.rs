//! The closing handshake: codes, reasons, order, and the end of TCP (RFC 6455 5.5.1, 7).

use super::{PROTOCOL, failing, fails, letters};
use crate::check::Role;
use crate::check::case::{Case, Found};
use crate::check::judge::{Failing, Level, tcp_ends};
use crate::check::link::{Event, Link, Message, close_code};
use crate::check::wire::Frame;
use std::time::{Duration, Instant};

pub(super) fn cases(peer: Role) -> Vec<Case> {
    let mut cases = codes();
    cases.extend(bodies());
    cases.extend(order());
    cases.push(tcp(peer));
    cases.push(without_close());
    cases
}

/// Sends a Close; gives the payload of the answer.
fn answer(link: &mut Link, frame: Frame) -> Result<Vec<u8>, Found> {
    link.send(&[frame]);
    close_frame(link)
}

fn close_frame(link: &mut Link) -> Result<Vec<u8>, Found> {
    match link.next() {
        Event::Close(payload) => Ok(payload),
        Event::End(end) => Err(Found::failed(format!("{end} without a Close frame"))),
        other => Err(Found::failed(format!("{other} in place of a Close"))),
    }
}

fn shown(payload: &[u8]) -> String {
    Event::Close(payload.to_vec()).to_string()
}

fn codes() -> Vec<Case> {
    let mut cases = Vec::new();
    let known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011];
    for code in known.into_iter().chain([3000, 3001, 3999, 4000, 4001, 4999]) {
        cases.push(legal(code, Found::failed));
    }
    // They came into the registry after the RFC, so that not to know them is no breach of it.
    for code in [1012, 1013, 1014] {
        cases.push(legal(code, Found::weak));
    }
    // What a Close must never have (7.4.1), and what has no meaning (7.4.2): the RFC does not say in words that a
    // receiver has to fail.
    for code in [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 32_768, 65_535] {
        let section = if matches!(code, 1005 | 1006 | 1015) { "7.4.1" } else { "7.4.2" };
        let id = format!("close.code.{code}");
        let title = format!("a Close with the code {code}, which must not be sent");
        cases.push(Case::open(&id, section, &title, "a Close with 1002, and the end of TCP", move |link| {
            match answer(link, Frame::close_with(code, "")) {
                Ok(payload) if close_code(&payload) == Some(1002) => tcp_ends(link, &shown(&payload)),
                Ok(payload) => Found::weak(format!("{}, as to a good one", shown(&payload))),
                Err(found) if found.seen.contains(" of TCP") => Found::weak(found.seen),
                Err(found) => found,
            }
        }));
    }
    cases
}

/// A code that may be sent is answered; with itself, "typically" (5.5.1).
fn legal(code: u16, refused: fn(String) -> Found) -> Case {
    let id = format!("close.code.{code}");
    let title = format!("a Close with the code {code}");
    let expected = "a Close with the same code, and the end of TCP";
    Case::open(&id, "5.5.1", &title, expected, move |link| {
        match answer(link, Frame::close_with(code, "why")) {
            Ok(payload) if close_code(&payload) == Some(code) => tcp_ends(link, &shown(&payload)),
            Ok(payload) if matches!(close_code(&payload), Some(1002 | 1007)) => refused(shown(&payload)),
            Ok(payload) => match tcp_ends(link, &shown(&payload)) {
                found if found.is_ok() => Found::weak(format!("{}: not the same code", found.seen)),
                found => found,
            },
            Err(found) => found,
        }
    })
}

fn bodies() -> Vec<Case> {
    let empty = Case::open(
        "close.empty",
        "5.5.1",
        "a Close without a body",
        "a Close without a code, or with 1000, and the end of TCP",
        |link| match answer(link, Frame::close("")) {
            Ok(payload) if matches!(close_code(&payload), None | Some(1000)) => {
                tcp_ends(link, &shown(&payload))
            }
            Ok(payload) => Found::failed(shown(&payload)),
            Err(found) => found,
        },
    );
    let reason = |id: &str, title: &str, reason: Vec<u8>| {
        Case::open(
            &format!("close.reason.{id}"),
            "5.5.1",
            title,
            "a Close with 1000, and the end of TCP",
            move |link| match answer(link, Frame::close_with(1000, &reason)) {
                Ok(payload) if close_code(&payload) == Some(1000) => tcp_ends(link, &shown(&payload)),
                Ok(payload) if payload.is_empty() => {
                    Found::weak(format!("{}: not the same code", shown(&payload)))
                }
                Ok(payload) => Found::failed(shown(&payload)),
                Err(found) => found,
            },
        )
    };
    vec![
        empty,
        fails(
            "close.one-byte",
            "5.5.1",
            "a Close with half a code",
            Level::Must,
            PROTOCOL,
            vec![Frame::close([3])],
        ),
        reason("123", "a Close with a reason of 123 bytes, the longest there is", letters(123)),
        reason("characters", "a Close with a reason beyond ASCII", "naïve €🦀".as_bytes().to_vec()),
        reason("empty", "a Close with 1000 and no reason", Vec::new()),
        fails(
            "close.reason.124",
            "5.5",
            "a Close with a reason of 124 bytes",
            Level::Must,
            PROTOCOL,
            vec![Frame::close_with(1000, letters(124))],
        ),
    ]
}

/// What may come before and after a Close frame.
fn order() -> Vec<Case> {
    let hello = || Message::text("hello");
    let after_close = |id: &str, title: &str, frames: Vec<Frame>| {
        let section = "1.4";
        let expected = "one Close with 1000, nothing else, and the end of TCP";
        Case::open(&format!("close.then.{id}"), section, title, expected, move |link| {
            link.send(&[Frame::close_with(1000, "")]);
            link.send(&frames);
            match close_frame(link) {
                Ok(payload) if matches!(close_code(&payload), None | Some(1000)) => {
                    tcp_ends(link, &shown(&payload))
                }
                Ok(payload) => Found::failed(shown(&payload)),
                Err(found) => found,
            }
        })
    };
    let failed = Failing::with(PROTOCOL, Level::Must).after(&[hello()]);
    vec![
        close_in_a_message(),
        close_after_messages().with_echo(),
        close_in_time(),
        after_close("text", "a Close, and then a text", vec![Frame::text("too late")]),
        after_close("ping", "a Close, and then a Ping", vec![Frame::ping("too late")]),
        after_close("close", "two Close frames", vec![Frame::close_with(1001, "again")]),
        after_close("violation", "a Close, and then a reserved opcode", vec![Frame::new(3, "too late")]),
        after_close("many", "a Close, and then a thousand texts", vec![Frame::text(letters(100)); 1000]),
        failing(
            "close.after-failure.text",
            "7.1.7",
            "a text, a frame that makes the connection fail, and a text more",
            failed.clone(),
            vec![Frame::text("hello"), Frame::new(3, ""), Frame::text("world")],
        ),
        failing(
            "close.after-failure.close",
            "7.1.7",
            "a text, a frame that makes the connection fail, and a Close with 1000",
            failed,
            vec![Frame::text("hello"), Frame::new(3, ""), Frame::close_with(1000, "")],
        ),
    ]
}

fn close_in_a_message() -> Case {
    Case::open(
        "close.in-message",
        "5.4",
        "a Close between two fragments of a text",
        "a Close with 1000, and no echo of half a message",
        |link| {
            link.send(&[
                Frame::text("half").more(),
                Frame::close_with(1000, ""),
                Frame::continuation("rest"),
            ]);
            match close_frame(link) {
                Ok(payload) if matches!(close_code(&payload), None | Some(1000)) => {
                    tcp_ends(link, &shown(&payload))
                }
                Ok(payload) => Found::weak(format!("{}, as to a wrong one", shown(&payload))),
                Err(found) => found,
            }
        },
    )
}

fn close_after_messages() -> Case {
    Case::open(
        "close.after-messages",
        "7.1.2",
        "ten texts and a Close in one write",
        "ten echoes, and then a Close",
        |link| {
            let mut frames = vec![Frame::text("hello"); 10];
            frames.push(Frame::close_with(1000, ""));
            link.send(&frames);
            let mut echoes = 0;
            loop {
                match link.next() {
                    Event::Message(message) if message.says(&Message::text("hello")) => echoes += 1,
                    Event::Close(payload) if echoes == 10 => return tcp_ends(link, &shown(&payload)),
                    Event::Close(_) => return Found::told(format!("a Close after {echoes} of 10 echoes")),
                    other => return Found::failed(format!("{other} after {echoes} of 10 echoes")),
                }
            }
        },
    )
}

fn close_in_time() -> Case {
    Case::open("close.timing", "5.5.1", "a Close on an idle connection", "a Close within a second", |link| {
        let start = Instant::now();
        match answer(link, Frame::close_with(1000, "")) {
            Ok(_) if start.elapsed() <= Duration::from_secs(1) => Found::ok("it came at once"),
            Ok(_) => Found::weak(format!("it came after {:.1} s", start.elapsed().as_secs_f64())),
            Err(found) => found,
        }
    })
}

/// Who ends TCP first (7.1.1).
fn tcp(peer: Role) -> Case {
    match peer {
        Role::Server => Case::open(
            "close.tcp.server-first",
            "7.1.1",
            "a Close, and then nothing: our side keeps TCP open",
            "a Close, and at once the end of TCP",
            |link| {
                let payload = match answer(link, Frame::close_with(1000, "")) {
                    Ok(payload) => payload,
                    Err(found) => return found,
                };
                let start = Instant::now();
                match (tcp_ends(link, &shown(&payload)), start.elapsed() > Duration::from_secs(1)) {
                    (found, true) if found.is_ok() => Found::weak(format!("{}, after a second", found.seen)),
                    (found, _) => found,
                }
            },
        ),
        Role::Client => Case::open(
            "close.tcp.client-waits",
            "7.1.1",
            "a Close, and TCP is kept open for a while by us, the server",
            "a Close, and no end of TCP before ours",
            |link| {
                let payload = match answer(link, Frame::close_with(1000, "")) {
                    Ok(payload) => payload,
                    Err(found) => return found,
                };
                match link.next_within(Duration::from_millis(300)) {
                    Event::Silence(_) => tcp_ends(link, &shown(&payload)),
                    Event::End(_) => Found::weak("the client ended TCP first"),
                    other => Found::failed(format!("{other} after its Close")),
                }
            },
        ),
    }
}

fn without_close() -> Case {
    Case::open(
        "close.tcp.abrupt",
        "7.1.5",
        "the end of TCP without a Close frame",
        "the end of TCP",
        |link| {
            link.finish();
            loop {
                match link.next() {
                    Event::End(end) => return Found::ok(end.to_string()),
                    Event::Close(_) => {}
                    other => return Found::weak(other.to_string()),
                }
            }
        },
    )
}

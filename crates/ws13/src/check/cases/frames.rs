//! Frames: lengths, reserved bits, opcodes, masking, and how they are cut (RFC 6455 5.2, 5.3, 5.5).

use super::{PROTOCOL, echo, failing, fails, letters};
use crate::check::Role;
use crate::check::case::{Case, Found};
use crate::check::judge::{Failing, Level, echoes, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::wire::{BINARY, CLOSE, Form, Frame, PING, PONG, RSV1, RSV2, RSV3, TEXT};
use std::collections::HashSet;
use std::time::Duration;

pub(super) fn cases(peer: Role) -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(long_forms());
    cases.extend(masking(peer));
    cases.extend(reserved_bits());
    cases.extend(opcodes());
    cases.extend(control());
    cases.extend(pieces());
    if peer == Role::Client {
        cases.push(fresh_keys());
    }
    cases
}

fn lengths() -> Vec<Case> {
    let lengths = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 4095, 65_535, 65_536, 65_537, 262_144];
    let mut cases = Vec::new();
    for len in lengths {
        let payload = letters(len);
        for (kind, frame, message) in [
            ("text", Frame::text(&payload), Message::text(&payload)),
            ("binary", Frame::binary(&payload), Message::binary(&payload)),
        ] {
            let id = format!("frames.length.{len}.{kind}");
            let title = format!("a {kind} message of {len} bytes in one frame");
            cases.push(echo(&id, "5.2", &title, vec![frame], vec![message]));
        }
    }
    cases
}

/// Lengths that are not written in their shortest form, and those that no length can have.
fn long_forms() -> Vec<Case> {
    let text = || Frame::text(letters(5));
    let should = |id, title, frame| fails(id, "5.2", title, Level::Should, PROTOCOL, vec![frame]);
    // Whatever the code: what has to be seen is that a length of 63 bits or more is not waited for.
    let huge = |id, title, frame: Frame| {
        let failing = Failing::with(&[1002, 1009], Level::Should).without_probe();
        super::failing(id, "5.2", title, failing, vec![frame])
    };
    let msb = 1 << 63;
    vec![
        should(
            "frames.not-minimal.16",
            "a text of 5 bytes, its length in 16 bits",
            text().in_form(Form::Bits16),
        ),
        should(
            "frames.not-minimal.64",
            "a text of 5 bytes, its length in 64 bits",
            text().in_form(Form::Bits64),
        ),
        should(
            "frames.not-minimal.64-for-16",
            "a text of 300 bytes, its length in 64 bits",
            Frame::text(letters(300)).in_form(Form::Bits64),
        ),
        should(
            "frames.not-minimal.empty",
            "an empty text, its length in 16 bits",
            Frame::text([]).in_form(Form::Bits16),
        ),
        huge("frames.msb.max", "a length of 2^64 - 1", Frame::binary([]).announcing(u64::MAX)),
        huge("frames.msb.only", "a length of 2^63", Frame::binary([]).announcing(msb)),
        huge("frames.msb.wraps", "a length of 2^64 - 4", Frame::binary(letters(4)).announcing(u64::MAX - 3)),
        huge("frames.msb.small", "a length of 5 with the highest bit set", text().announcing(msb | 5)),
    ]
}

fn masking(peer: Role) -> Vec<Case> {
    let (word, rule) = match peer {
        Role::Server => ("unmasked", "5.1"),
        Role::Client => ("masked", "5.1"),
    };
    let mut cases = Vec::new();
    for (kind, frame) in [
        ("text", Frame::text("hello")),
        ("empty", Frame::text("")),
        ("binary", Frame::binary("hello")),
        ("fragment", Frame::text("hello").more()),
        ("ping", Frame::ping("hello")),
        ("pong", Frame::pong("hello")),
        ("close", Frame::close_with(1000, "")),
        ("long", Frame::binary(letters(70_000))),
    ] {
        let title = format!("a frame that is {word}: {kind}");
        let id = format!("frames.{word}.{kind}");
        cases.push(fails(&id, rule, &title, Level::Must, PROTOCOL, vec![frame.wrongly_masked()]));
    }
    let hello = Message::text("hello");
    let second = vec![Frame::text("hello"), Frame::text("world").wrongly_masked()];
    let after = Failing::with(PROTOCOL, Level::Must).after(&[hello]);
    let title = format!("a good frame, then one that is {word}");
    cases.push(failing(&format!("frames.{word}.second"), rule, &title, after, second));
    if peer == Role::Server {
        for (name, key) in [("zero", [0; 4]), ("ones", [0xff; 4]), ("bytes", [1, 2, 3, 4])] {
            let id = format!("frames.mask-key.{name}");
            let frames = vec![Frame::text(letters(77)).keyed(key)];
            let title = format!("a text masked with the key {key:02x?}");
            cases.push(echo(&id, "5.3", &title, frames, vec![Message::text(letters(77))]));
        }
        let keys = (0..20u8).map(|n| Frame::text(letters(9)).keyed([n, 7, n ^ 0x55, 200 - n]));
        let title = "twenty texts, each with a key of its own";
        cases.push(echo(
            "frames.mask-key.changing",
            "5.3",
            title,
            keys.collect(),
            vec![Message::text(letters(9)); 20],
        ));
    }
    cases
}

fn reserved_bits() -> Vec<Case> {
    let bits = [
        ("rsv1", RSV1),
        ("rsv2", RSV2),
        ("rsv3", RSV3),
        ("rsv12", RSV1 | RSV2),
        ("rsv13", RSV1 | RSV3),
        ("rsv23", RSV2 | RSV3),
        ("rsv123", RSV1 | RSV2 | RSV3),
    ];
    let kinds = [("text", TEXT), ("binary", BINARY), ("ping", PING), ("pong", PONG), ("close", CLOSE)];
    let mut cases = Vec::new();
    for (name, bits) in bits {
        for (kind, opcode) in kinds {
            let id = format!("frames.{name}.{kind}");
            let title = format!("a {kind} frame with {} set, and nothing negotiated", name.to_uppercase());
            let payload: &[u8] = if opcode == CLOSE { &[0x03, 0xe8] } else { b"hello" };
            let frame = Frame::new(opcode, payload).reserved(bits);
            cases.push(fails(&id, "5.2", &title, Level::Must, PROTOCOL, vec![frame]));
        }
        let frames = vec![Frame::text("a").more(), Frame::continuation("b").reserved(bits)];
        let title = format!("a continuation with {} set, and nothing negotiated", name.to_uppercase());
        cases.push(fails(
            &format!("frames.{name}.continuation"),
            "5.2",
            &title,
            Level::Must,
            PROTOCOL,
            frames,
        ));
    }
    cases
}

fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in (3..=7).chain(11..=15) {
        for (kind, payload) in [("empty", ""), ("payload", "hello")] {
            let id = format!("frames.opcode-{opcode}.{kind}");
            let title = format!("a frame with the reserved opcode {opcode}: {kind}");
            cases.push(fails(&id, "5.2", &title, Level::Must, PROTOCOL, vec![Frame::new(opcode, payload)]));
        }
        let frames = vec![Frame::text("a").more(), Frame::new(opcode, ""), Frame::continuation("b")];
        let title = format!("a frame with the reserved opcode {opcode} between fragments");
        let id = format!("frames.opcode-{opcode}.in-message");
        cases.push(fails(&id, "5.2", &title, Level::Must, PROTOCOL, frames));
    }
    cases
}

/// What a control frame may not be.
fn control() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, opcode) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        let long = |len: usize| {
            let mut payload = letters(len);
            if opcode == CLOSE {
                payload[..2].copy_from_slice(&1000u16.to_be_bytes());
            }
            Frame::new(opcode, payload)
        };
        for len in [126, 127, 1000, 65_536] {
            let id = format!("frames.control.{kind}.{len}");
            let title = format!("a {kind} of {len} bytes");
            cases.push(fails(&id, "5.5", &title, Level::Must, PROTOCOL, vec![long(len)]));
        }
        let id = format!("frames.control.{kind}.fragmented");
        let frames = vec![long(10).more(), Frame::continuation("rest")];
        let title = format!("a {kind} in two fragments");
        cases.push(fails(&id, "5.5", &title, Level::Must, PROTOCOL, frames));
        let id = format!("frames.control.{kind}.without-fin");
        cases.push(fails(
            &id,
            "5.5",
            &format!("a {kind} without FIN"),
            Level::Must,
            PROTOCOL,
            vec![long(2).more()],
        ));
        // Nothing can make this legal, so nothing has to be waited for.
        let id = format!("frames.control.{kind}.header");
        let title = format!("the header of a {kind} that announces 126 bytes, and no payload");
        let header = Frame::new(opcode, []).announcing(126);
        let failing = Failing::with(PROTOCOL, Level::Should).without_probe();
        cases.push(super::failing(&id, "5.5", &title, failing, vec![header]));
    }
    cases
}

/// Frames do not depend on how TCP cuts them.
fn pieces() -> Vec<Case> {
    let several = (0..50).map(|n| Message::text(format!("message {n}"))).collect::<Vec<_>>();
    let frames = several.iter().map(|message| Frame::text(&message.payload)).collect();
    let together = echo("frames.pieces.many-at-once", "5.2", "fifty texts in one write", frames, several);
    let bytewise = Case::open(
        "frames.pieces.bytewise",
        "5.2",
        "two texts, one of them fragmented with a Ping inside, one byte a write",
        "the echoes, and the Pong",
        |link| {
            let bytes = encoded(
                link,
                &[
                    Frame::text("one byte at a time"),
                    Frame::text("frag").more(),
                    Frame::ping("in between"),
                    Frame::continuation("ment"),
                ],
            );
            link.send_pieces(bytes.chunks(1), Duration::from_micros(300));
            let mut messages = Vec::new();
            let mut pongs = 0;
            while messages.len() < 2 {
                match link.next() {
                    Event::Message(message) => messages.push(message),
                    Event::Pong(payload) if payload == b"in between" => pongs += 1,
                    other => return Found::failed(format!("{other} after {} echoes", messages.len())),
                }
            }
            let right = [Message::text("one byte at a time"), Message::text("fragment")];
            let right = messages.iter().zip(&right).all(|(came, wanted)| came.says(wanted));
            match (right, pongs) {
                (true, 1) => says_goodbye(link, "both echoes and the Pong"),
                _ => Found::failed(format!("{} and {}, with {pongs} Pongs", messages[0], messages[1])),
            }
        },
    );
    let every_cut = Case::open(
        "frames.pieces.every-cut",
        "5.2",
        "a text with a 16-bit length, cut in two at each of its first 20 bytes, and a pause between",
        "an echo each time",
        |link| {
            let payload = letters(130);
            let bytes = encoded(link, &[Frame::text(&payload)]);
            for cut in 1..20 {
                let (front, back) = bytes.split_at(cut);
                link.send_pieces([front, back], Duration::from_millis(2));
                match link.next() {
                    Event::Message(message) if message.says(&Message::text(&payload)) => {}
                    other => return Found::failed(format!("{other} when cut at {cut}")),
                }
            }
            says_goodbye(link, "19 echoes")
        },
    );
    let stalled = Case::open(
        "frames.pieces.stalled",
        "5.2",
        "half a frame, nothing for half a second, and then the rest",
        "its echo",
        |link| {
            let bytes = encoded(link, &[Frame::text("a long pause")]);
            let (front, back) = bytes.split_at(8);
            link.send_pieces([front, back], Duration::from_millis(500));
            echoes(link, &[Message::text("a long pause")])
        },
    );
    let cut_off = Case::open(
        "frames.pieces.cut-off",
        "7.2.1",
        "half a frame, and the end of TCP",
        "the end of TCP",
        |link| {
            let bytes = encoded(link, &[Frame::text("never complete")]);
            link.send_bytes(&bytes[..8]);
            link.finish();
            loop {
                match link.next() {
                    Event::End(end) => return Found::ok(end.to_string()),
                    Event::Close(_) => {}
                    other => return Found::weak(other.to_string()),
                }
            }
        },
    );
    vec![together, bytewise.with_echo(), every_cut.with_echo(), stalled.with_echo(), cut_off]
}

fn encoded(link: &Link, frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.encode(link.peer)).collect()
}

/// Whoever can foretell a key can write bytes of their choice onto the wire.
fn fresh_keys() -> Case {
    Case::open(
        "frames.mask-key.fresh",
        "5.3",
        "two hundred texts, and a look at the masking keys of the echoes",
        "a new key for each frame, and no order in them",
        |link| {
            let payload = "show me your keys";
            link.send(&vec![Frame::text(payload); 200]);
            for nth in 0..200 {
                match link.next() {
                    Event::Message(message) if message.says(&Message::text(payload)) => {}
                    other => return Found::failed(format!("{other} in place of echo {}", nth + 1)),
                }
            }
            let keys: Vec<u32> = link.keys.iter().map(|key| u32::from_be_bytes(*key)).collect();
            let steps: HashSet<u32> = keys.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
            let different: HashSet<&u32> = keys.iter().collect();
            let seen =
                format!("{} keys, {} different, {} steps between", keys.len(), different.len(), steps.len());
            // Two of 200 random keys are equal once in 200,000 runs, two pairs of them practically never.
            match different.len() + 1 >= keys.len() && steps.len() + 2 >= keys.len() {
                true => says_goodbye(link, &seen),
                false => Found::failed(seen),
            }
        },
    )
    .with_echo()
}

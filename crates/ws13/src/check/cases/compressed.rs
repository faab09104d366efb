//! Compressed messages (RFC 7692 6 and 7.2), where permessage-deflate was agreed on.

use super::{INVALID, PROTOCOL, TOO_BIG};
use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::deflate::{Stream, bomb};
use crate::check::judge::{Failing, Level, echoes, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::wire::{Frame, RSV1, RSV2, RSV3};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = messages();
    cases.extend(blocks());
    cases.extend(windows());
    cases.extend(fragments());
    cases.extend(reserved_bits());
    cases.extend(broken());
    cases.push(small_bomb());
    cases
}

fn compressed(payload: impl AsRef<[u8]>) -> Frame {
    Frame::text(payload).reserved(RSV1)
}

fn echo(id: &str, section: &str, title: &str, frames: Vec<Frame>, messages: Vec<Message>) -> Case {
    let play = move |link: &mut Link| {
        link.send(&frames);
        echoes(link, &messages)
    };
    let expected = if messages_are_one(title) { "its echo" } else { "the echoes, in order" };
    Case::deflate(&format!("deflate.{id}"), &format!("RFC 7692 {section}"), title, expected, play).with_echo()
}

fn messages_are_one(title: &str) -> bool {
    !title.contains("messages")
}

fn fails(id: &str, section: &str, title: &str, failing: Failing, frames: Vec<Frame>) -> Case {
    let failing = failing.sending(&frames);
    let expected = failing.expected();
    let play = move |link: &mut Link| {
        link.send(&frames);
        failing.judge(link)
    };
    Case::deflate(&format!("deflate.{id}"), section, title, &expected, play)
}

fn hello() -> Message {
    Message::text("Hello")
}

fn messages() -> Vec<Case> {
    let long = "a text that has many words, and many words again, and words of many kinds. ".repeat(100);
    let binary: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let binary_frame = Frame::binary(Stream::new().stored(false, &binary).finish()).reserved(RSV1);
    vec![
        echo(
            "message.hello",
            "7.2.3.1",
            "a compressed text",
            vec![compressed(Stream::message("Hello"))],
            vec![hello()],
        ),
        echo(
            "message.plain",
            "6",
            "a text that is not compressed",
            vec![Frame::text("Hello")],
            vec![hello()],
        ),
        echo(
            "message.empty",
            "7.2.3.6",
            "an empty text, compressed",
            vec![compressed([0])],
            vec![Message::text("")],
        ),
        echo(
            "message.long",
            "7.2.2",
            "a text of some kilobytes, compressed",
            vec![compressed(Stream::message(&long))],
            vec![Message::text(&long)],
        ),
        echo(
            "message.binary",
            "7.2.2",
            "a binary message, compressed",
            vec![binary_frame],
            vec![Message::binary(binary)],
        ),
        echo(
            "message.mixed",
            "6",
            "three messages: compressed, plain, compressed",
            vec![
                compressed(Stream::message("one")),
                Frame::text("two"),
                compressed(Stream::message("three")),
            ],
            vec![Message::text("one"), Message::text("two"), Message::text("three")],
        ),
        echo(
            "message.many",
            "7.2.2",
            "two hundred compressed messages in one write",
            vec![compressed(Stream::message("Hello")); 200],
            vec![hello(); 200],
        ),
    ]
}

/// All that RFC 1951 allows for a message's blocks.
fn blocks() -> Vec<Case> {
    let two = Stream::new().begin(false).literals("He").end().begin(false).literals("llo").end().finish();
    let flushed = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    // The RFC's own example of a block with BFINAL.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let empty_blocks = Stream::new().stored(false, b"").stored(false, b"Hello").stored(false, b"").finish();
    let copied = Stream::new().begin(false).literals("ab").copy(258, 2).copy(3, 1).end().finish();
    let copies = "ab".repeat(130) + "bbb";
    let goes_on = Stream::new().begin(true).literals("Hel").end();
    let goes_on = [goes_on.cut(), Stream::message("lo")].concat();
    let mut cases = vec![
        echo(
            "block.stored",
            "7.2.3.3",
            "a stored block",
            vec![compressed(Stream::new().stored(false, b"Hello").finish())],
            vec![hello()],
        ),
        echo("block.two", "7.2.3.5", "two blocks", vec![compressed(two)], vec![hello()]),
        echo(
            "block.flushed",
            "7.2.3.5",
            "two blocks with a flush between",
            vec![compressed(flushed)],
            vec![hello()],
        ),
        echo("block.final", "7.2.3.4", "a block with BFINAL", vec![compressed(last)], vec![hello()]),
        echo(
            "block.final-then-next",
            "7.2.2",
            "two messages, the first with BFINAL",
            vec![compressed(last), compressed(Stream::message("Hello"))],
            vec![hello(), hello()],
        ),
        echo(
            "block.empty",
            "7.2.2",
            "a text with empty blocks around",
            vec![compressed(empty_blocks)],
            vec![hello()],
        ),
        echo(
            "block.copies",
            "7.2.2",
            "repetitions of 258 and 3 bytes",
            vec![compressed(copied)],
            vec![Message::text(copies)],
        ),
    ];
    cases.push(
        Case::deflate(
            "deflate.block.final-inside",
            "RFC 7692 7.2.1",
            "a block with BFINAL, and another block behind it",
            "its echo",
            move |link| {
                link.send(&[compressed(&goes_on)]);
                match link.next() {
                    Event::Message(message) if message.says(&hello()) => says_goodbye(link, "the echo"),
                    Event::Message(message) => Found::failed(format!("{message}: a part of it")),
                    other => Found::weak(other.to_string()),
                }
            },
        )
        .with_echo(),
    );
    cases
}

/// What a message may repeat of those before.
fn windows() -> Vec<Case> {
    let kept = |id: &str, title: &str, between: &'static [&'static str], distance: u32| {
        let play = move |link: &mut Link| {
            if !link.deflate.is_some_and(|agreed| agreed.we_keep_window) {
                return Found::skipped("client_no_context_takeover was agreed on");
            }
            let mut frames = vec![compressed(Stream::message("Hello"))];
            frames.extend(between.iter().map(Frame::text));
            frames.push(compressed(Stream::new().begin(false).copy(5, distance).end().finish()));
            link.send(&frames);
            let mut messages = vec![hello()];
            messages.extend(between.iter().map(Message::text));
            messages.push(hello());
            echoes(link, &messages)
        };
        let expected = "the echoes: what is not compressed is not in the window";
        Case::deflate(&format!("deflate.window.{id}"), "RFC 7692 7.2.3.2", title, expected, play).with_echo()
    };
    let farthest = Case::deflate(
        "deflate.window.farthest",
        "RFC 7692 7.1.2",
        "a repetition from as far back as the agreed window goes",
        "its echo",
        |link| {
            let reach = 1usize << link.deflate.map_or(15, |agreed| agreed.our_bits);
            let past = super::letters(reach);
            let mut stream = Stream::new();
            for piece in past.chunks(30_000) {
                stream = stream.stored(false, piece);
            }
            let payload = stream.begin(false).copy(3, reach as u32).end().finish();
            link.send(&[compressed(payload)]);
            echoes(link, &[Message::text([past.as_slice(), &past[..3]].concat())])
        },
    );
    let too_far = Case::deflate(
        "deflate.window.before-the-start",
        "RFC 1951 2",
        "a repetition from before anything was sent",
        "the connection fails, with a Close of 1007 or another error",
        |link| {
            link.send(&[compressed(Stream::new().begin(false).literals("ab").copy(3, 5).end().finish())]);
            Failing::with(DATA, Level::Must).judge(link)
        },
    );
    let own = Case::deflate(
        "deflate.window.peers-own",
        "RFC 7692 7.1.2.1",
        "texts that repeat each other over 100 kilobytes",
        "echoes that stay within the agreed window",
        |link| {
            let words: Vec<u8> = (0..50_000u32).map(|n| b'a' + (n.wrapping_mul(n) >> 7) as u8 % 26).collect();
            for _ in 0..2 {
                link.send(&[Frame::text(&words)]);
                match link.next() {
                    Event::Message(message) if message.says(&Message::text(&words)) => {}
                    other => return Found::failed(other.to_string()),
                }
            }
            says_goodbye(link, "both echoes")
        },
    );
    vec![
        kept("next", "two messages, the second a repetition of the first", &[], 5),
        kept(
            "after-plain",
            "three messages: the third repeats the first, the second is plain",
            &["12345"],
            5,
        ),
        farthest.with_echo(),
        too_far,
        own.with_echo(),
    ]
}

fn fragments() -> Vec<Case> {
    let payload = Stream::message("Hello");
    let cuts: Vec<Frame> = (0..=payload.len())
        .flat_map(|cut| {
            let (front, back) = payload.split_at(cut);
            [compressed(front).more(), Frame::continuation(back)]
        })
        .collect();
    let bytes: Vec<Frame> = payload
        .iter()
        .enumerate()
        .map(|(nth, byte)| {
            let frame = if nth == 0 { compressed([*byte]) } else { Frame::continuation([*byte]) };
            if nth + 1 < payload.len() { frame.more() } else { frame }
        })
        .collect();
    let (front, back) = payload.split_at(3);
    vec![
        echo(
            "fragments.every-cut",
            "7.2.3.1",
            "messages in two fragments, cut at each byte",
            cuts,
            vec![hello(); payload.len() + 1],
        ),
        echo("fragments.bytes", "7.2.3.1", "a text, one byte a fragment", bytes, vec![hello()]),
        echo(
            "fragments.empty-last",
            "7.2.3.1",
            "a text whose last fragment is empty",
            vec![compressed(&payload).more(), Frame::continuation("")],
            vec![hello()],
        ),
        echo(
            "fragments.with-pong",
            "6",
            "a text in two fragments, and a Pong between",
            vec![compressed(front).more(), Frame::pong("unasked"), Frame::continuation(back)],
            vec![hello()],
        ),
    ]
}

fn reserved_bits() -> Vec<Case> {
    let must = || Failing::with(PROTOCOL, Level::Must);
    let payload = Stream::message("Hello");
    let (front, back) = payload.split_at(3);
    let continued = vec![compressed(front).more(), Frame::continuation(back).reserved(RSV1)];
    let plain = vec![Frame::text("Hel").more(), Frame::continuation("lo").reserved(RSV1)];
    let section = "RFC 7692 6.1";
    vec![
        fails("rsv1.continuation", section, "RSV1 on the second fragment, too", must(), continued),
        fails("rsv1.continuation-plain", section, "RSV1 on the second fragment only", must(), plain),
        fails("rsv1.ping", section, "a Ping with RSV1", must(), vec![Frame::ping("a").reserved(RSV1)]),
        fails("rsv1.pong", section, "a Pong with RSV1", must(), vec![Frame::pong("a").reserved(RSV1)]),
        fails(
            "rsv1.close",
            section,
            "a Close with RSV1",
            must(),
            vec![Frame::close_with(1000, "").reserved(RSV1)],
        ),
        fails(
            "rsv2.text",
            "RFC 6455 5.2",
            "a compressed text with RSV2",
            must(),
            vec![compressed(&payload).reserved(RSV2)],
        ),
        fails(
            "rsv3.text",
            "RFC 6455 5.2",
            "a compressed text with RSV3",
            must(),
            vec![compressed(&payload).reserved(RSV3)],
        ),
    ]
}

/// What does not inflate. The RFC names no code for it.
const DATA: &[u16] = &[1007, 1002, 1003, 1008, 1011];

fn broken() -> Vec<Case> {
    let case = |id: &str, title: &str, level: Level, payload: Vec<u8>| {
        let id = format!("broken.{id}");
        fails(&id, "RFC 7692 7.2.2", title, Failing::with(DATA, level), vec![compressed(payload)])
    };
    let text = |id: &str, title: &str, bytes: &[u8]| {
        let frames = vec![compressed(Stream::message(bytes))];
        fails(&format!("utf8.{id}"), "RFC 6455 8.1", title, Failing::with(INVALID, Level::Must), frames)
    };
    let hello = Stream::message("Hello");
    let mut wrong_length = Stream::new().stored(false, b"Hello").finish();
    wrong_length[3] ^= 0x55;
    let stored = Stream::new().stored(false, b"Hello, World");
    let stored = stored.cut();
    let garbage = [Stream::new().begin(true).literals("Hello").end().cut(), vec![0xff; 8]].concat();
    vec![
        case("block-type", "a block of the type that does not exist", Level::Must, vec![0x06, 0x00]),
        case("noise", "bytes that are no deflate", Level::Must, vec![0xff; 16]),
        case("stored-length", "a stored block whose lengths disagree", Level::Must, wrong_length),
        // Most inflaters give what they have: what is cut off is then taken for whole.
        case("cut-off", "a text that ends inside a block", Level::Should, hello[..4].to_vec()),
        case("cut-off-stored", "a stored block that ends early", Level::Should, stored[..9].to_vec()),
        case("no-bytes", "no bytes at all", Level::Should, Vec::new()),
        case("after-final", "a block with BFINAL, and then bytes that are no block", Level::Should, garbage),
        text("ff", "a text that inflates to what is not UTF-8", b"abc\xff"),
        text("surrogate", "a text that inflates to a surrogate", &[0xed, 0xa0, 0x80]),
        text("unfinished", "a text that inflates to half a character", &[0xe2, 0x82]),
    ]
}

/// Small enough to do no harm, large enough to see who counts what came out.
fn small_bomb() -> Case {
    let title = "a text of 32 MiB that came as 210 KB";
    let expected = "a Close with 1009; or an echo, where the limit is larger";
    Case::deflate("deflate.bomb", "10.4", title, expected, |link| {
        link.send(&[Frame::text(bomb(32 << 20)).reserved(RSV1)]);
        match Failing::with(TOO_BIG, Level::Should).judge(link) {
            found if found.seen.starts_with("it took it") => {
                Found::new(Verdict::Informational, "it takes 32 MiB from 210 KB")
            }
            found => found,
        }
    })
}

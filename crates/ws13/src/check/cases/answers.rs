//! The opening handshake of a client: its request, and the answers that it has to take or to refuse (RFC 6455 4.1).

use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::{Head, Lines, accept, is_key};
use crate::check::judge::{PROBE, echoes, says_goodbye};
use crate::check::link::{Event, Link, Message, close_code};
use crate::check::wire::Frame;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = requests();
    cases.extend(good());
    cases.extend(bad());
    cases.extend(other_statuses());
    cases.extend(no_answers());
    cases
}

type Change = Box<dyn Fn(&mut Lines, &Head) + Send + Sync>;

/// Whether the client takes this answer, and then echoes.
pub(super) fn taken(link: &mut Link, answer: &Lines, otherwise: Verdict) -> Found {
    link.send_bytes(&answer.bytes());
    link.send(&[Frame::text("hello")]);
    match echoes(link, &[Message::text("hello")]) {
        found if found.is_ok() => found,
        found => Found::new(otherwise, found.seen),
    }
}

/// Whether the client fails on this 101. To see it, a text and a Ping follow.
pub(super) fn refused(link: &mut Link, answer: &Lines) -> Found {
    let hello = [Frame::text("hello"), Frame::ping(PROBE)].map(|frame| frame.encode(link.peer));
    link.send_bytes(&[answer.bytes(), hello.concat()].concat());
    match link.next() {
        Event::End(end) => Found::ok(format!("{end}")),
        Event::Close(payload) if matches!(close_code(&payload), Some(1002 | 1010)) => {
            Found::ok(Event::Close(payload).to_string())
        }
        event @ Event::Close(_) => Found::weak(event.to_string()),
        Event::Silence(_) => Found::weak("it takes nothing, and keeps TCP open"),
        other => Found::failed(format!("it took it: {other}")),
    }
}

/// What the client asks with.
fn requests() -> Vec<Case> {
    let case = |id: &str, section: &str, title: &str, wrong: fn(&Head) -> Option<String>| {
        let expected = "what the RFC wants of a request";
        Case::answer(&format!("request.{id}"), section, title, expected, move |link, head, answer| {
            link.send_bytes(&answer.bytes());
            says_goodbye(link, "");
            wrong(head).map_or_else(|| Found::ok("it is right"), Found::failed)
        })
    };
    vec![
        case("line", "4.1", "the request line", |head| {
            let words: Vec<&str> = head.first.split(' ').collect();
            let right = matches!(words.as_slice(), ["GET", target, "HTTP/1.1"] if target.starts_with('/'));
            (!right).then(|| format!("{:?}", head.first))
        }),
        case("host", "4.1", "Host", |head| {
            let hosts = head.all("host");
            (hosts.len() != 1 || hosts[0].is_empty()).then(|| format!("{hosts:?}"))
        }),
        case("upgrade", "4.1", "Upgrade and Connection", |head| {
            let right = head.has_token("upgrade", "websocket") && head.has_token("connection", "upgrade");
            (!right).then(|| format!("{:?}, {:?}", head.all("upgrade"), head.all("connection")))
        }),
        case("version", "4.1", "Sec-WebSocket-Version", |head| {
            let versions = head.all("sec-websocket-version");
            (versions != ["13"]).then(|| format!("{versions:?}"))
        }),
        case("key", "4.1", "Sec-WebSocket-Key", |head| {
            let keys = head.all("sec-websocket-key");
            let right = keys.len() == 1 && is_key(keys[0]);
            (!right).then(|| format!("{keys:?}"))
        }),
        case("subprotocols", "4.1", "Sec-WebSocket-Protocol, where it is there", |head| {
            let names = head.list("sec-websocket-protocol");
            let twice = names.iter().enumerate().any(|(nth, name)| names[..nth].contains(name));
            (twice || head.all("sec-websocket-protocol").contains(&"")).then(|| format!("{names:?}"))
        }),
        case("body", "4.1", "no body", |head| {
            let body = head.all("content-length").iter().any(|len| *len != "0");
            (body || !head.all("transfer-encoding").is_empty()).then(|| "the request has a body".to_owned())
        }),
        Case::answer(
            "request.waits",
            "4.1",
            "no answer for a while",
            "no byte before the answer",
            |link, _, answer| match link.next_within(Duration::from_millis(200)) {
                Event::Silence(_) => taken(link, &answer, Verdict::Failed),
                other => Found::failed(other.to_string()),
            },
        ),
    ]
}

fn good() -> Vec<Case> {
    let case = |id: &str, section: &str, title: &str, otherwise: Verdict, change: Change| {
        let id = format!("answer.take.{id}");
        Case::answer(&id, section, title, "a connection that works", move |link, head, mut answer| {
            change(&mut answer, head);
            taken(link, &answer, otherwise)
        })
        .with_echo()
    };
    let must = Verdict::Failed;
    let first = |line: &'static str| -> Change { Box::new(move |a, _| a.first(line)) };
    let set = |name: &'static str, line: &'static str| -> Change { Box::new(move |a, _| a.set(name, line)) };
    let mut cases = vec![
        case("plain", "4.1", "a plain 101", must, Box::new(|_, _| {})),
        case(
            "reason.other",
            "RFC 9112 4",
            "101 with other words",
            must,
            first("HTTP/1.1 101 Web Socket Protocol Handshake"),
        ),
        case("reason.empty", "RFC 9112 4", "101 and a blank", must, first("HTTP/1.1 101 ")),
        case(
            "reason.none",
            "RFC 9112 4",
            "101 without a blank",
            Verdict::Informational,
            first("HTTP/1.1 101"),
        ),
        case(
            "names.lower",
            "RFC 9110 5.1",
            "field names in lower case",
            must,
            Box::new(|a, _| a.rename(str::to_lowercase)),
        ),
        case(
            "names.upper",
            "RFC 9110 5.1",
            "field names in upper case",
            must,
            Box::new(|a, _| a.rename(str::to_uppercase)),
        ),
        case("upgrade.case", "4.1", "Upgrade: WebSocket", must, set("upgrade", "Upgrade: WebSocket")),
        case(
            "connection.lower",
            "4.1",
            "Connection: upgrade",
            must,
            set("connection", "Connection: upgrade"),
        ),
        case(
            "connection.list",
            "4.1",
            "Connection: keep-alive, Upgrade",
            Verdict::NonStrict,
            set("connection", "Connection: keep-alive, Upgrade"),
        ),
        case(
            "white-space.much",
            "RFC 9112 5.1",
            "blanks and tabs around a value",
            must,
            set("upgrade", "Upgrade: \t websocket \t"),
        ),
        case(
            "white-space.none",
            "RFC 9112 5.1",
            "no blank after a colon",
            must,
            set("upgrade", "Upgrade:websocket"),
        ),
        case(
            "unknown-field",
            "4.1",
            "a field that nobody knows",
            must,
            Box::new(|a, _| a.add("X-Ws13-Check: yes")),
        ),
        case(
            "content-length",
            "RFC 9110 8.6",
            "Content-Length: 0 on a 101",
            Verdict::Informational,
            Box::new(|a, _| a.add("Content-Length: 0")),
        ),
    ];
    cases.extend(good_ways_to_come());
    cases
}

/// A good 101, in the ways in which bytes may come.
fn good_ways_to_come() -> Vec<Case> {
    vec![
        Case::answer(
            "answer.take.interim",
            "RFC 9110 15.2",
            "103 Early Hints before the 101",
            "a connection that works",
            |link, _, answer| {
                link.send_bytes(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
                taken(link, &answer, Verdict::NonStrict)
            },
        ),
        Case::answer(
            "answer.take.bytewise",
            "4.1",
            "a 101, one byte a write",
            "a connection that works",
            |link, _, answer| {
                let bytes = answer.bytes();
                let (most, last) = bytes.split_at(bytes.len() - 1);
                link.send_pieces(most.chunks(1), Duration::from_micros(500));
                link.send_bytes(last);
                link.send(&[Frame::text("hello")]);
                echoes(link, &[Message::text("hello")])
            },
        ),
        Case::answer(
            "answer.take.frames-at-once",
            "4.1",
            "a 101 and two texts in one write",
            "the echoes",
            |link, _, mut answer| {
                answer.body =
                    [Frame::text("first"), Frame::text("second")].map(|f| f.encode(link.peer)).concat();
                link.send_bytes(&answer.bytes());
                echoes(link, &[Message::text("first"), Message::text("second")])
            },
        ),
    ]
}

/// A 101 that no client may take (4.1).
fn bad() -> Vec<Case> {
    let case = |id: &str, section: &str, title: &str, change: Change| {
        let id = format!("answer.refuse.{id}");
        Case::answer(&id, section, title, "the connection fails", move |link, head, mut answer| {
            change(&mut answer, head);
            refused(link, &answer)
        })
    };
    let set = |name: &'static str, line: &'static str| -> Change { Box::new(move |a, _| a.set(name, line)) };
    let without = |name: &'static str| -> Change { Box::new(move |a, _| a.without(name)) };
    let add = |line: &'static str| -> Change { Box::new(move |a, _| a.add(line)) };
    let accepted = |change: fn(&str) -> String| -> Change {
        Box::new(move |a, head| {
            let key = head.all("sec-websocket-key").first().copied().unwrap_or_default();
            a.set("sec-websocket-accept", format!("Sec-WebSocket-Accept: {}", change(key)));
        })
    };
    vec![
        case("accept.missing", "4.1", "no Sec-WebSocket-Accept", without("sec-websocket-accept")),
        case("accept.empty", "4.1", "an empty one", accepted(|_| String::new())),
        case(
            "accept.other",
            "4.1",
            "the one for another key",
            accepted(|_| accept("dGhlIHNhbXBsZSBub25jZQ==")),
        ),
        case("accept.key", "4.1", "the key itself", accepted(str::to_owned)),
        case(
            "accept.lower",
            "4.1",
            "the right one in lower case",
            accepted(|key| accept(key).to_lowercase()),
        ),
        case(
            "accept.longer",
            "4.1",
            "the right one, and something behind it",
            accepted(|key| accept(key) + "AAAA"),
        ),
        case(
            "accept.shorter",
            "4.1",
            "the right one without its last character",
            accepted(|key| {
                let mut text = accept(key);
                text.pop();
                text
            }),
        ),
        case("accept.long", "4.1", "one of 8 KiB", accepted(|_| "A".repeat(8192))),
        case("upgrade.missing", "4.1", "no Upgrade", without("upgrade")),
        case("upgrade.other", "4.1", "Upgrade: h2c", set("upgrade", "Upgrade: h2c")),
        case("upgrade.longer", "4.1", "Upgrade: websockets", set("upgrade", "Upgrade: websockets")),
        case("connection.missing", "4.1", "no Connection", without("connection")),
        case("connection.other", "4.1", "Connection: close", set("connection", "Connection: close")),
        case(
            "connection.longer",
            "4.1",
            "Connection: notupgrade",
            set("connection", "Connection: notupgrade"),
        ),
        case(
            "subprotocol.unasked",
            "4.1",
            "a subprotocol that was not offered",
            add("Sec-WebSocket-Protocol: x-ws13-check"),
        ),
        case(
            "extension.unasked",
            "4.1",
            "an extension that was not offered",
            add("Sec-WebSocket-Extensions: x-ws13-check"),
        ),
        case(
            "extension.malformed",
            "9.1",
            "an extension without a name",
            add("Sec-WebSocket-Extensions: ; a=b"),
        ),
        case("http.1-0", "4.1", "HTTP/1.0 101", Box::new(|a, _| a.first("HTTP/1.0 101 Switching Protocols"))),
        case(
            "http.garbage",
            "4.1",
            "an answer that is no HTTP",
            Box::new(|a, _| a.first("HELLO/1.1 101 Switching Protocols")),
        ),
    ]
}

/// Another status is no connection, whatever else the answer says.
fn other_statuses() -> Vec<Case> {
    let statuses = [
        "200 OK",
        "201 Created",
        "301 Moved Permanently",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "407 Proxy Authentication Required",
        "426 Upgrade Required",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ];
    let mut cases = Vec::new();
    for status in statuses {
        let id = format!("answer.status.{}", &status[..3]);
        let title = format!("{status}, with everything else as for a 101");
        cases.push(Case::answer(&id, "4.1", &title, "no connection", move |link, _, mut answer| {
            answer.first(format!("HTTP/1.1 {status}"));
            answer.add("Content-Length: 0");
            link.send_bytes(&answer.bytes());
            std::thread::sleep(Duration::from_millis(50));
            // Whoever takes it for a connection answers these.
            link.send(&[Frame::text("hello"), Frame::ping(PROBE)]);
            // A client of HTTP may keep the connection, and use it for another request.
            match link.next_within(Duration::from_millis(500)) {
                Event::Silence(_) => Found::ok("nothing more came"),
                Event::End(end) => Found::ok(end.to_string()),
                other => Found::failed(format!("it took it: {other}")),
            }
        }));
    }
    cases
}

fn no_answers() -> Vec<Case> {
    vec![
        Case::answer(
            "answer.none.end",
            "4.1",
            "the end of TCP in place of an answer",
            "the end of TCP",
            |link, _, _| {
                link.finish();
                match link.next() {
                    Event::End(end) => Found::ok(end.to_string()),
                    other => Found::weak(other.to_string()),
                }
            },
        ),
        Case::answer(
            "answer.none.half",
            "4.1",
            "half a head, and the end of TCP",
            "the end of TCP",
            |link, _, answer| {
                let bytes = answer.bytes();
                link.send_bytes(&bytes[..bytes.len() / 2]);
                link.finish();
                match link.next() {
                    Event::End(end) => Found::ok(end.to_string()),
                    other => Found::weak(other.to_string()),
                }
            },
        ),
        Case::answer(
            "answer.none.endless",
            "10.4",
            "a megabyte of fields, and the head never ends",
            "the end of TCP before all of it is read",
            |link, _, mut answer| {
                (0..40_000).for_each(|n| answer.add(format!("X-Endless-Field-{n}: 0")));
                let bytes = answer.bytes();
                link.send_bytes(&bytes[..bytes.len() - 4]);
                match link.next() {
                    Event::End(end) => Found::ok(end.to_string()),
                    Event::Silence(time) => {
                        Found::weak(format!("{}: it reads on and on", Event::Silence(time)))
                    }
                    other => Found::failed(other.to_string()),
                }
            },
        ),
    ]
}

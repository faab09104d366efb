//! The opening handshake that a server reads: what it has to take, and what it has to refuse (RFC 6455 4.2, and the
//! rules of HTTP/1.1 that it rests on: RFC 9110 and 9112).

mod fields;
mod http;
mod negotiation;

use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::{Head, Lines, accept, key};
use crate::check::judge::{goes_on, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::server::{Target, with_watch};
use crate::check::wire::Frame;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = good();
    cases.extend(fields::cases());
    cases.extend(http::cases());
    cases.extend(negotiation::cases());
    cases
}

/// What a request gets.
enum Wanted {
    /// 101; anything else is worth this.
    Taken(Verdict),
    /// Anything but 101, which is worth this.
    Refused(Verdict),
}

type Change = Box<dyn Fn(&mut Lines, &Target) + Send + Sync>;

fn case(id: &str, section: &str, title: &str, wanted: Wanted, change: Change) -> Case {
    let expected = match wanted {
        Wanted::Taken(_) => "101, and a connection that works",
        Wanted::Refused(_) => "an HTTP status that refuses, and no connection",
    };
    Case::ask(&format!("handshake.{id}"), section, title, expected, move |target, trace| {
        let mut link = match target.connect(trace) {
            Ok(link) => link,
            Err(why) => return Found::failed(why),
        };
        let mut request = target.request();
        change(&mut request, target);
        link.send_bytes(&request.bytes());
        let found = match wanted {
            Wanted::Taken(otherwise) => taken(&mut link, &key(0), otherwise),
            Wanted::Refused(otherwise) => refused(&mut link, otherwise),
        };
        with_watch(found, &link)
    })
}

/// The answer is a right 101, and the connection works.
fn taken(link: &mut Link, key: &str, otherwise: Verdict) -> Found {
    match link.read_head() {
        Ok(head) if head.status() == 101 => match wrong_answer(&head, key) {
            Some(wrong) => Found::failed(wrong),
            None => goes_on(link, "101"),
        },
        Ok(head) => Found::new(otherwise, format!("{:?}", head.first)),
        Err(event) => Found::new(otherwise, event.to_string()),
    }
}

fn refused(link: &mut Link, otherwise: Verdict) -> Found {
    match link.read_head() {
        Ok(head) if head.status() == 101 => Found::new(otherwise, "101"),
        Ok(head) if head.status() == 0 => Found::failed(format!("{:?}, which is no HTTP", head.first)),
        Ok(head) => Found::ok(head.first),
        Err(event @ Event::End(_)) => Found::weak(format!("{event} without an HTTP status")),
        Err(event) => Found::failed(event.to_string()),
    }
}

/// What is wrong with a 101, where nothing but a WebSocket was asked for (RFC 6455 4.2.2).
fn wrong_answer(head: &Head, key: &str) -> Option<String> {
    let (given, wanted) = (head.all("sec-websocket-accept"), accept(key));
    if !head.first.starts_with("HTTP/1.1 101") {
        return Some(format!("the answer begins with {:?} (RFC 6455 4.2.2)", head.first));
    }
    if given != [wanted.as_str()] {
        return Some(format!("Sec-WebSocket-Accept is {given:?}, not {wanted} (RFC 6455 4.2.2)"));
    }
    if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
        return Some(
            "the answer has not both Upgrade: websocket and Connection: Upgrade (RFC 6455 4.2.2)".into(),
        );
    }
    let unasked = ["sec-websocket-protocol", "sec-websocket-extensions"];
    let unasked = unasked.into_iter().find(|name| !head.list(name).is_empty());
    unasked.map(|name| format!("the answer has {name}: {:?}, and nothing was offered", head.list(name)))
}

fn good() -> Vec<Case> {
    let must = || Wanted::Taken(Verdict::Failed);
    let take =
        |id: &str, section: &str, title: &str, change: Change| case(id, section, title, must(), change);
    let mut cases = vec![
        take("plain", "4.2.2", "a plain request", Box::new(|_, _| {})),
        take(
            "names.lower",
            "RFC 9110 5.1",
            "field names in lower case",
            Box::new(|r, _| r.rename(str::to_lowercase)),
        ),
        take(
            "names.upper",
            "RFC 9110 5.1",
            "field names in upper case",
            Box::new(|r, _| r.rename(str::to_uppercase)),
        ),
        take(
            "upgrade.case",
            "4.2.1",
            "Upgrade: WebSocket",
            Box::new(|r, _| r.set("upgrade", "Upgrade: WebSocket")),
        ),
        take(
            "upgrade.upper",
            "4.2.1",
            "Upgrade: WEBSOCKET",
            Box::new(|r, _| r.set("upgrade", "Upgrade: WEBSOCKET")),
        ),
        take(
            "connection.lower",
            "4.2.1",
            "Connection: upgrade",
            Box::new(|r, _| r.set("connection", "Connection: upgrade")),
        ),
        take(
            "connection.list",
            "4.2.1",
            "Connection: keep-alive, Upgrade, as Firefox sends it",
            Box::new(|r, _| r.set("connection", "Connection: keep-alive, Upgrade")),
        ),
        take(
            "connection.list-tight",
            "4.2.1",
            "Connection: keep-alive,Upgrade",
            Box::new(|r, _| r.set("connection", "Connection: keep-alive,Upgrade")),
        ),
        take(
            "white-space.none",
            "RFC 9112 5.1",
            "no blank after the colons",
            Box::new(|r, _| r.set("upgrade", "Upgrade:websocket")),
        ),
        take(
            "white-space.much",
            "RFC 9112 5.1",
            "blanks and tabs around a value",
            Box::new(|r, _| r.set("upgrade", "Upgrade: \t websocket \t ")),
        ),
        take("origin.none", "4.2.1", "no Origin, as programs do it", Box::new(|r, _| r.without("origin"))),
        take(
            "unknown-field",
            "RFC 9110 5.1",
            "a field that nobody knows",
            Box::new(|r, _| r.add("X-Ws13-Check: yes")),
        ),
    ];
    cases.push(keys_are_answered());
    cases.push(bytewise());
    cases.push(early_frames());
    cases
}

fn keys_are_answered() -> Case {
    let title = "five connections, each with a key of its own";
    Case::ask("handshake.accept", "4.2.2", title, "the Sec-WebSocket-Accept for each key", |target, trace| {
        for n in 1..=5 {
            let key = key(n);
            let mut link = match target.connect(trace) {
                Ok(link) => link,
                Err(why) => return Found::failed(why),
            };
            link.send_bytes(&target.request_with_key(&key).bytes());
            let found = taken(&mut link, &key, Verdict::Failed);
            if !found.is_ok() {
                return found;
            }
        }
        Found::ok("five right ones")
    })
}

fn bytewise() -> Case {
    let title = "the request, one byte a write";
    Case::ask("handshake.bytewise", "4.2.1", title, "101, and a connection that works", |target, trace| {
        let mut link = match target.connect(trace) {
            Ok(link) => link,
            Err(why) => return Found::failed(why),
        };
        link.send_pieces(target.request().bytes().chunks(1), Duration::from_micros(500));
        // How many reads a request may take is a limit like any other.
        taken(&mut link, &key(0), Verdict::NonStrict)
    })
}

/// A client has to wait for the answer (4.1), so a server may do what it likes; but what it keeps it has to keep whole.
fn early_frames() -> Case {
    let title = "the request and a text in one write, before the answer";
    let expected = "101 and the echo, or no connection";
    Case::ask("handshake.early-frames", "4.1", title, expected, |target, trace| {
        let mut link = match target.connect(trace) {
            Ok(link) => link,
            Err(why) => return Found::failed(why),
        };
        let mut request = target.request();
        request.body = Frame::text("early").encode(link.peer);
        link.send_bytes(&request.bytes());
        match link.read_head() {
            Ok(head) if head.status() == 101 => {}
            Ok(head) => return Found::told(head.first),
            Err(event) => return Found::told(event.to_string()),
        }
        if !target.echoes {
            return goes_on(&mut link, "101");
        }
        match link.next_within(Duration::from_secs(2).min(target.timeout)) {
            Event::Message(message) if message.says(&Message::text("early")) => {
                says_goodbye(&mut link, "101 and the echo")
            }
            event @ Event::Silence(_) => Found::weak(format!("101, and then {event}: the text is lost")),
            other => Found::told(format!("101, and then {other}")),
        }
    })
}

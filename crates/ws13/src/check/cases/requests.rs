//! The opening handshake that a server reads: what it has to take, and what it has to refuse (RFC 6455 4.2, and the
//! rules of HTTP/1.1 that it rests on: RFC 9110 and 9112).

use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::{self, Head, Lines};
use crate::check::judge::{goes_on, says_goodbye};
use crate::check::link::{Event, Link, Message};
use crate::check::server::{Target, with_watch};
use crate::check::wire::Frame;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = good();
    cases.extend(fields());
    cases.extend(versions());
    cases.extend(keys());
    cases.extend(http());
    cases.extend(negotiation());
    cases.extend(floods());
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
            Wanted::Taken(otherwise) => taken(&mut link, &http::key(0), otherwise),
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
    let (accept, wanted) = (head.all("sec-websocket-accept"), http::accept(key));
    if !head.first.starts_with("HTTP/1.1 101") {
        return Some(format!("the answer begins with {:?} (RFC 6455 4.2.2)", head.first));
    }
    if accept != [wanted.as_str()] {
        return Some(format!("Sec-WebSocket-Accept is {accept:?}, not {wanted} (RFC 6455 4.2.2)"));
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
            let key = http::key(n);
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
        taken(&mut link, &http::key(0), Verdict::Failed)
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

/// Fields that are missing, or say something else.
fn fields() -> Vec<Case> {
    let must = || Wanted::Refused(Verdict::Failed);
    let refuse =
        |id: &str, section: &str, title: &str, change: Change| case(id, section, title, must(), change);
    let set = |name: &'static str, line: &'static str| -> Change { Box::new(move |r, _| r.set(name, line)) };
    let without = |name: &'static str| -> Change { Box::new(move |r, _| r.without(name)) };
    let either = |id: &str, title: &str, line: &'static [&'static str], name: &'static str| {
        case(
            id,
            "4.2.1",
            title,
            Wanted::Taken(Verdict::NonStrict),
            Box::new(move |r, _| {
                r.without(name);
                line.iter().for_each(|line| r.add(line));
            }),
        )
    };
    vec![
        refuse("upgrade.missing", "4.2.1", "no Upgrade", without("upgrade")),
        refuse("upgrade.other", "4.2.1", "Upgrade: h2c", set("upgrade", "Upgrade: h2c")),
        refuse("upgrade.longer", "4.2.1", "Upgrade: websockets", set("upgrade", "Upgrade: websockets")),
        refuse("upgrade.empty", "4.2.1", "an empty Upgrade", set("upgrade", "Upgrade: ")),
        refuse("connection.missing", "4.2.1", "no Connection", without("connection")),
        refuse(
            "connection.other",
            "4.2.1",
            "Connection: keep-alive",
            set("connection", "Connection: keep-alive"),
        ),
        refuse(
            "connection.longer",
            "4.2.1",
            "Connection: notupgrade",
            set("connection", "Connection: notupgrade"),
        ),
        refuse(
            "connection.blank",
            "4.2.1",
            "Connection: keep-alive Upgrade, which is one item",
            set("connection", "Connection: keep-alive Upgrade"),
        ),
        refuse("host.missing", "4.2.1", "no Host", without("host")),
        refuse(
            "host.twice",
            "RFC 9112 3.2",
            "two Host fields",
            Box::new(|r, target| r.add(format!("Host: {}", target.host()))),
        ),
        either("upgrade.list", "Upgrade: websocket, h2c", &["Upgrade: websocket, h2c"], "upgrade"),
        either(
            "connection.lines",
            "Connection in two lines: keep-alive, and Upgrade",
            &["Connection: keep-alive", "Connection: Upgrade"],
            "connection",
        ),
    ]
}

/// Another version has to be answered with the versions that are spoken (RFC 6455 4.4).
fn versions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, values) in [
        ("0", &["0"][..]),
        ("7", &["7"]),
        ("8", &["8"]),
        ("12", &["12"]),
        ("14", &["14"]),
        ("99", &["99"]),
        ("130", &["130"]),
        ("013", &["013"]),
        ("text", &["thirteen"]),
        ("empty", &[""]),
        ("list", &["13, 8"]),
        ("missing", &[]),
        ("twice", &["8", "13"]),
    ] {
        let title = format!("Sec-WebSocket-Version: {values:?}");
        // Earlier drafts had these versions, and a server may speak them, too.
        let is_draft = matches!(name, "0" | "7" | "8" | "12");
        let expected = "426 with Sec-WebSocket-Version: 13, and no connection";
        cases.push(Case::ask(
            &format!("handshake.version.{name}"),
            "4.4",
            &title,
            expected,
            move |target, trace| {
                let mut link = match target.connect(trace) {
                    Ok(link) => link,
                    Err(why) => return Found::failed(why),
                };
                let mut request = target.request();
                request.without("sec-websocket-version");
                values.iter().for_each(|value| request.add(format!("Sec-WebSocket-Version: {value}")));
                link.send_bytes(&request.bytes());
                match link.read_head() {
                    Ok(head) if head.status() == 101 && is_draft => {
                        Found::told("101: it speaks this draft, too")
                    }
                    Ok(head) if head.status() == 101 => Found::failed("101"),
                    Ok(head) => version_named(&head),
                    Err(event @ Event::End(_)) => Found::weak(format!("{event} without an HTTP status")),
                    Err(event) => Found::failed(event.to_string()),
                }
            },
        ));
    }
    cases
}

fn version_named(head: &Head) -> Found {
    let named = head.list("sec-websocket-version");
    match (head.status(), named.contains(&"13")) {
        (426, true) => Found::ok("426 with the version"),
        (status, true) => Found::ok(format!("{status} with the version")),
        (status, false) => Found::weak(format!("{status} without Sec-WebSocket-Version: 13")),
    }
}

fn keys() -> Vec<Case> {
    // "It is not necessary for the server to base64-decode the Sec-WebSocket-Key value" (4.2.2).
    let weak = || Wanted::Refused(Verdict::NonStrict);
    let set = |line: &'static str| -> Change { Box::new(move |r, _| r.set("sec-websocket-key", line)) };
    let key = |id: &str, title: &str, line| case(&format!("key.{id}"), "4.2.1", title, weak(), set(line));
    let missing: Change = Box::new(|r, _| r.without("sec-websocket-key"));
    let twice: Change = Box::new(|r, _| r.add(format!("Sec-WebSocket-Key: {}", http::key(1))));
    let must = Wanted::Refused(Verdict::Failed);
    let empty = set("Sec-WebSocket-Key: ");
    vec![
        case("key.missing", "4.2.1", "no Sec-WebSocket-Key", must, missing),
        case("key.empty", "4.2.1", "an empty Sec-WebSocket-Key", Wanted::Refused(Verdict::Failed), empty),
        case("key.twice", "11.3.1", "two Sec-WebSocket-Key fields", weak(), twice),
        key("short", "a key of 15 bytes", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1"),
        key("long", "a key of 17 bytes", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Njc="),
        key("one", "a key of 1 byte", "Sec-WebSocket-Key: YQ=="),
        key("unpadded", "a key without its padding", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng"),
        key("no-base64", "24 characters that are not base64", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
    ]
}

/// Requests that are no good HTTP, or another HTTP.
fn http() -> Vec<Case> {
    let must = || Wanted::Refused(Verdict::Failed);
    let weak = || Wanted::Refused(Verdict::NonStrict);
    let told = || Wanted::Refused(Verdict::Informational);
    let line =
        |format: fn(&str) -> String| -> Change { Box::new(move |r, target| r.first(format(target.path()))) };
    let add = |text: &'static [u8]| -> Change { Box::new(move |r, _| r.add(text)) };
    let body = |field: &'static str, body: &'static [u8]| -> Change {
        Box::new(move |r, _| {
            r.add(field);
            r.body = body.to_vec();
        })
    };
    let mut cases = vec![
        case("method.post", "4.2.1", "POST", must(), line(|path| format!("POST {path} HTTP/1.1"))),
        case("method.head", "4.2.1", "HEAD", must(), line(|path| format!("HEAD {path} HTTP/1.1"))),
        case(
            "method.lower",
            "RFC 9110 9.1",
            "get, in lower case",
            must(),
            line(|path| format!("get {path} HTTP/1.1")),
        ),
        case("http.1-0", "4.2.1", "HTTP/1.0", must(), line(|path| format!("GET {path} HTTP/1.0"))),
        case("http.9-9", "RFC 9112 2.3", "HTTP/9.9", weak(), line(|path| format!("GET {path} HTTP/9.9"))),
        case(
            "http.lower",
            "RFC 9112 2.3",
            "http/1.1 in lower case",
            weak(),
            line(|path| format!("GET {path} http/1.1")),
        ),
        case(
            "http.none",
            "RFC 9112 3",
            "a request line without a version",
            must(),
            line(|path| format!("GET {path}")),
        ),
        case(
            "http.blanks",
            "RFC 9112 3",
            "two blanks in the request line",
            told(),
            line(|path| format!("GET  {path} HTTP/1.1")),
        ),
        case(
            "target.fragment",
            "RFC 9112 3.2",
            "a target with a fragment",
            weak(),
            line(|path| format!("GET {path}#here HTTP/1.1")),
        ),
        case("target.colons", "RFC 9112 3.2", "the target ::", weak(), line(|_| "GET :: HTTP/1.1".into())),
        case(
            "target.latin1",
            "RFC 9112 3.2",
            "a target that is not ASCII",
            told(),
            Box::new(|r, target| {
                r.first([b"GET ", target.path().as_bytes(), b"\xff\xfe HTTP/1.1"].concat());
            }),
        ),
        case(
            "colon.blank",
            "RFC 9112 5.1",
            "a blank before a colon",
            must(),
            Box::new(|r, _| {
                r.without("upgrade");
                r.add("Upgrade : websocket");
            }),
        ),
        case(
            "folded.needed",
            "RFC 9112 5.2",
            "Upgrade only as the folded line of another field",
            must(),
            Box::new(|r, _| {
                r.without("upgrade");
                r.add("X-Folded: a\r\n Upgrade: websocket");
            }),
        ),
        case(
            "folded.idle",
            "RFC 9112 5.2",
            "a folded line in a field that nobody needs",
            told(),
            add(b"X-Folded: a\r\n b"),
        ),
        case(
            "line-end.lf",
            "RFC 9112 2.2",
            "lines that end with a bare LF",
            told(),
            Box::new(|r, _| {
                r.end = b"\n";
                // For who waits for an end with CR, so that it has something to refuse.
                r.body = b"\r\n\r\n".to_vec();
            }),
        ),
        case("line-end.cr", "RFC 9112 2.2", "a bare CR in a value", told(), add(b"X-Test: a\rUpgrade: b")),
        case("value.nul", "RFC 9110 5.5", "a NUL in a value", told(), add(b"X-Test: a\0b")),
        case("name.blank", "RFC 9110 5.1", "a blank in a field's name", weak(), add(b"X Test: a")),
        case("name.none", "RFC 9110 5.1", "a field without a name", weak(), add(b": a")),
        case("name.no-colon", "RFC 9112 5", "a line without a colon", weak(), add(b"X-Test")),
        case(
            "body.length",
            "RFC 9110 7.8",
            "a GET with Content-Length: 5 and a body",
            weak(),
            body("Content-Length: 5", b"hello"),
        ),
        case(
            "body.chunked",
            "RFC 9110 7.8",
            "a GET with a chunked body",
            weak(),
            body("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ),
    ];
    cases.push(smuggled());
    cases.push(absolute());
    cases
}

/// What is refused must not leave a body behind that is read as the next request.
fn smuggled() -> Case {
    let title = "a GET with Upgrade, version 7, and a body that looks like a request";
    let expected = "one answer, not two";
    Case::ask("handshake.body.request", "RFC 9112 9.3", title, expected, |target, trace| {
        let mut link = match target.connect(trace) {
            Ok(link) => link,
            Err(why) => return Found::failed(why),
        };
        let inner = format!("GET /ws13-check-inner HTTP/1.1\r\nHost: {}\r\n\r\n", target.host());
        let mut request = target.request();
        request.set("sec-websocket-version", "Sec-WebSocket-Version: 99");
        request.add(format!("Content-Length: {}", inner.len()));
        request.body = inner.into_bytes();
        link.send_bytes(&request.bytes());
        let answers = link.rest(Duration::from_millis(700));
        let count = answers.windows(9).filter(|part| part.starts_with(b"HTTP/1.1 ")).count();
        match count {
            0 => Found::weak("no HTTP status"),
            1 => Found::ok("one answer"),
            _ => Found::failed(format!("{count} answers: the body was read as a request")),
        }
    })
}

fn absolute() -> Case {
    let title = "the target as a whole http: URI";
    let change: Change =
        Box::new(|r, target| r.first(format!("GET http://{}{} HTTP/1.1", target.host(), target.path())));
    case("target.absolute", "4.2.1", title, Wanted::Taken(Verdict::NonStrict), change)
}

/// Subprotocols and extensions that the server does not know.
fn negotiation() -> Vec<Case> {
    let protocols = |id: &str, title: &str, lines: &'static [&'static str]| {
        let expected = "101 with one of the offered subprotocols at most";
        Case::ask(&format!("handshake.subprotocol.{id}"), "4.2.2", title, expected, move |target, trace| {
            let head = match asked(target, trace, lines) {
                Ok(head) => head,
                Err(found) => return found,
            };
            let given = head.all("sec-websocket-protocol");
            let offered: Vec<&str> =
                lines.iter().filter_map(|line| line.split_once(": ")).map(|(_, v)| v).collect();
            let offered = offered.join(", ");
            match given.as_slice() {
                [] => Found::ok("101 without a subprotocol"),
                [one] if offered.split(", ").any(|name| name == *one) => {
                    Found::ok(format!("101 with {one:?}"))
                }
                _ => Found::failed(format!("101 with {given:?}, which was not offered")),
            }
        })
    };
    let extensions =
        |id: &str, section: &str, title: &str, malformed: bool, lines: &'static [&'static str]| {
            let expected =
                if malformed { "a refusal, or 101 without an extension" } else { "101 without an extension" };
            Case::ask(&format!("handshake.extension.{id}"), section, title, expected, move |target, trace| {
                let head = match asked(target, trace, lines) {
                    Ok(head) => head,
                    Err(found) if malformed && found.verdict == Verdict::Informational => {
                        return Found::ok(found.seen);
                    }
                    Err(found) => return found,
                };
                match head.list("sec-websocket-extensions").as_slice() {
                    [] if malformed => Found::weak("101: what is malformed was ignored"),
                    [] => Found::ok("101 without an extension"),
                    given => Found::failed(format!("101 with {given:?}")),
                }
            })
        };
    vec![
        protocols("unknown", "a subprotocol that nobody knows", &["Sec-WebSocket-Protocol: x-ws13-check"]),
        protocols("list", "two of them in one line", &["Sec-WebSocket-Protocol: x-ws13-a, x-ws13-b"]),
        protocols(
            "lines",
            "two of them in two lines",
            &["Sec-WebSocket-Protocol: x-ws13-a", "Sec-WebSocket-Protocol: x-ws13-b"],
        ),
        extensions(
            "unknown",
            "9.1",
            "an extension that nobody knows",
            false,
            &["Sec-WebSocket-Extensions: x-ws13-check; a=b; c"],
        ),
        extensions(
            "quoted",
            "9.1",
            "one with a quoted parameter",
            false,
            &["Sec-WebSocket-Extensions: x-ws13-check; a=\"b\""],
        ),
        extensions(
            "lines",
            "9.1",
            "two of them in two lines",
            false,
            &["Sec-WebSocket-Extensions: x-ws13-a", "Sec-WebSocket-Extensions: x-ws13-b; c=1"],
        ),
        extensions(
            "empty-name",
            "9.1",
            "an extension without a name",
            true,
            &["Sec-WebSocket-Extensions: ; a=b"],
        ),
        extensions(
            "empty-parameter",
            "9.1",
            "a parameter without a name",
            true,
            &["Sec-WebSocket-Extensions: permessage-deflate; =1"],
        ),
        extensions(
            "unclosed-quote",
            "9.1",
            "a quote that does not end",
            true,
            &["Sec-WebSocket-Extensions: x-ws13-check; a=\"b"],
        ),
        extensions(
            "quoted-blank",
            "9.1",
            "a quoted value that is no token",
            true,
            &["Sec-WebSocket-Extensions: x-ws13-check; a=\"b c\""],
        ),
    ]
}

/// The head of a 101; what else comes is a finding.
fn asked(target: &Target, trace: &crate::check::trace::Trace, lines: &[&str]) -> Result<Head, Found> {
    let mut link = target.connect(trace).map_err(Found::failed)?;
    let mut request = target.request();
    lines.iter().for_each(|line| request.add(line));
    link.send_bytes(&request.bytes());
    match link.read_head() {
        Ok(head) if head.status() == 101 => Ok(head),
        Ok(head) if head.status() >= 400 => Err(Found::told(head.first)),
        Ok(head) => Err(Found::failed(head.first)),
        Err(event @ Event::End(_)) => Err(Found::weak(format!("{event} without an HTTP status"))),
        Err(event) => Err(Found::failed(event.to_string())),
    }
}

/// Heads that are too long (RFC 6455 10.4, 10.7).
fn floods() -> Vec<Case> {
    let told = || Wanted::Refused(Verdict::Informational);
    let long_target: Change =
        Box::new(|r, target| r.first(format!("GET {}?{} HTTP/1.1", target.path(), "a".repeat(8192))));
    let long_line: Change = Box::new(|r, _| r.add(format!("X-Long: {}", "a".repeat(128 * 1024))));
    let many: Change = Box::new(|r, _| (0..2000).for_each(|n| r.add(format!("X-Many-{n}: {n}"))));
    let extension: Change = Box::new(|r, _| {
        r.add(format!("Sec-WebSocket-Extensions: a; b=\"{}", "\\c".repeat(3000)));
    });
    let blanks: Change = Box::new(|r, _| r.add(format!("Sec-WebSocket-Extensions: b{}x", " ".repeat(6000))));
    let endless = Case::ask(
        "handshake.flood.endless",
        "10.4",
        "a megabyte of fields, and the head never ends",
        "a refusal before all of it is read",
        |target, trace| {
            let mut link = match target.connect(trace) {
                Ok(link) => link,
                Err(why) => return Found::failed(why),
            };
            let mut request = target.request();
            (0..40_000).for_each(|n| request.add(format!("X-Endless-Field-{n}: 0")));
            let bytes = request.bytes();
            link.send_bytes(&bytes[..bytes.len() - 4]);
            match link.read_head() {
                Ok(head) if head.status() == 101 => Found::failed("101 before the end of the head"),
                Ok(head) => Found::ok(head.first),
                Err(event @ Event::End(_)) => Found::ok(event.to_string()),
                Err(event) => Found::weak(format!("{event}: it reads on and on")),
            }
        },
    );
    vec![
        case("flood.target", "10.4", "a target of 8 KiB", told(), long_target),
        case("flood.line", "10.4", "a field of 128 KiB", told(), long_line),
        case("flood.many", "10.4", "two thousand fields", told(), many),
        case(
            "flood.extension-quote",
            "9.1",
            "an extension with 3,000 escaped characters and no end",
            told(),
            extension,
        ),
        case("flood.extension-blanks", "9.1", "an extension with 6,000 blanks inside", told(), blanks),
        endless,
    ]
}

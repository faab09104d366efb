//! Requests that are no good HTTP/1.1, or another HTTP, or too long (RFC 9110, RFC 9112, RFC 6455 10.4).

use super::{Change, Wanted, case};
use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::link::Event;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = bad_http();
    cases.push(smuggled());
    cases.push(absolute());
    cases.extend(floods());
    cases
}

/// Requests that are no good HTTP, or another HTTP.
fn bad_http() -> Vec<Case> {
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
    vec![
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
            "4.2.1",
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
    ]
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

//! Subprotocols and extensions that the server does not know (RFC 6455 4.2.2, 9.1).

use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::Head;
use crate::check::link::Event;
use crate::check::server::Target;
use crate::check::trace::Trace;

pub(super) fn cases() -> Vec<Case> {
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
fn asked(target: &Target, trace: &Trace, lines: &[&str]) -> Result<Head, Found> {
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

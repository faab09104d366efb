//! The fields of a request that ask for the WebSocket: what is missing, doubled or says something else (RFC 6455 4.2.1).

use super::{Change, Wanted, case};
use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::{self, Head};
use crate::check::link::Event;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = fields();
    cases.extend(versions());
    cases.extend(keys());
    cases
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
        case(
            "connection.blank",
            "4.2.1",
            "Connection: keep-alive Upgrade, which is one item",
            Wanted::Refused(Verdict::NonStrict),
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
    for version in ["0", "7", "8", "12", "14", "99", "130"] {
        // Drafts had the lower ones, and a server may speak them, too.
        let draft = matches!(version, "0" | "7" | "8" | "12");
        let taken = if draft { Verdict::Informational } else { Verdict::Failed };
        let line = [version];
        cases.push(self::version(version, &line, "426 with Sec-WebSocket-Version: 13", taken, true));
    }
    // No version at all, and a thirteen that is not written as one: whoever refuses need not name the right one.
    for (name, lines, taken) in [
        ("missing", &[][..], Verdict::Failed),
        ("empty", &[""], Verdict::Failed),
        ("text", &["thirteen"], Verdict::Failed),
        ("013", &["013"], Verdict::NonStrict),
        ("list", &["13, 8"], Verdict::NonStrict),
        ("twice", &["8", "13"], Verdict::NonStrict),
    ] {
        cases.push(version(name, lines, "an HTTP status that refuses", taken, false));
    }
    cases
}

/// `taken` is the verdict for a 101.
fn version(id: &str, values: &[&'static str], expected: &str, taken: Verdict, named: bool) -> Case {
    let title = match values {
        [] => "no Sec-WebSocket-Version".to_owned(),
        values => format!("Sec-WebSocket-Version: {}", values.join(", and in a second line ")),
    };
    let lines: Vec<String> = values.iter().map(|value| format!("Sec-WebSocket-Version: {value}")).collect();
    let section = if named { "4.4" } else { "4.2.1" };
    Case::ask(&format!("handshake.version.{id}"), section, &title, expected, move |target, trace| {
        let mut link = match target.connect(trace) {
            Ok(link) => link,
            Err(why) => return Found::failed(why),
        };
        let mut request = target.request();
        request.without("sec-websocket-version");
        lines.iter().for_each(|line| request.add(line));
        link.send_bytes(&request.bytes());
        match link.read_head() {
            Ok(head) if head.status() == 101 => Found::new(taken, "101"),
            Ok(head) if named => version_named(&head),
            Ok(head) => Found::ok(head.first),
            Err(event @ Event::End(_)) => Found::weak(format!("{event} without an HTTP status")),
            Err(event) => Found::failed(event.to_string()),
        }
    })
}

/// "It MUST respond with a Sec-WebSocket-Version header field … containing all versions it is willing to use".
fn version_named(head: &Head) -> Found {
    let status = head.status();
    match head.list("sec-websocket-version").contains(&"13") {
        true => Found::ok(format!("{status} with the version")),
        false => Found::failed(format!("{status} without Sec-WebSocket-Version: 13")),
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

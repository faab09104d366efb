//! The rows of the tables of quirks and limits that concern a server's handshake.

use super::*;

const UPGRADE_LINE: &str = "Upgrade: websocket";
const CONNECTION_LINE: &str = "Connection: Upgrade";
const KEY_LINE: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION_LINE: &str = "Sec-WebSocket-Version: 13";

fn text(start: &str, lines: &[&str]) -> String {
    format!("{start}\r\nHost: example.com\r\n{}\r\n\r\n", lines.join("\r\n"))
}

/// A right handshake with these lines in addition.
fn handshake(more: &[&str]) -> String {
    let lines = [&[UPGRADE_LINE, CONNECTION_LINE, KEY_LINE, VERSION_LINE], more].concat();
    text("GET /chat HTTP/1.1", &lines)
}

/// A right handshake where this line stands in place of that one.
fn replaced(line: &str, by: &str) -> String {
    handshake(&[]).replacen(line, by, 1)
}

fn without(line: &str) -> String {
    replaced(&format!("{line}\r\n"), "")
}

fn receive_with(options: Options, bytes: &[u8]) -> Result<Option<(Received, usize)>, Reject> {
    ReadRequest::new(options).receive(bytes)
}

/// What a complete request turns out to be; the same is checked to come out of every split.
fn receive(text: &str) -> Result<Received, Reject> {
    let whole = receive_with(Options::default(), text.as_bytes());
    let mut reading = ReadRequest::new(Options::default());
    let mut split = Ok(None);
    for end in 0..=text.len() {
        split = reading.receive(&text.as_bytes()[..end]);
        if !matches!(split, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{split:?}"), format!("{whole:?}"));
    whole.map(|found| found.expect("complete").0)
}

fn upgrade(text: &str) -> Upgrade {
    match receive(text) {
        Ok(Received::Upgrade(upgrade)) => upgrade,
        other => panic!("{text}\n{other:?}"),
    }
}

fn status(text: &str) -> u16 {
    match receive(text) {
        Err(reject) => reject.status().as_u16(),
        Ok(other) => panic!("{text}\n{other:?}"),
    }
}

fn reason(text: &str) -> String {
    receive(text).unwrap_err().to_string()
}

fn is_plain(text: &str) -> bool {
    matches!(receive(text), Ok(Received::Plain(_)))
}

fn names(list: &[&str]) -> Vec<Subprotocol> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn rfc_6455_1_3_the_opening_handshake() {
    let accepted =
        upgrade(&handshake(&["Sec-WebSocket-Protocol: chat, superchat", "Origin: http://example.com"]))
            .accept(Accept::new().subprotocol("chat".parse().unwrap()))
            .unwrap();
    assert_eq!(
        String::from_utf8(accepted.response).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    );
    assert_eq!(accepted.agreed, Agreed { subprotocol: Some("chat".parse().unwrap()), ..Agreed::default() });
    assert_eq!(accepted.request.origin(), Some("http://example.com"));
    assert_eq!(accepted.request.path(), "/chat");
}

#[test]
fn connection_tokens_in_any_case_in_a_list_or_over_several_lines() {
    for line in [
        "Connection: keep-alive, Upgrade",
        "connection: UPGRADE",
        "CONNECTION:upgrade,",
        "Connection: keep-alive\r\nConnection: upgrade",
        "Connection:\t keep-alive\t,\tUpgrade \t",
    ] {
        upgrade(&replaced(CONNECTION_LINE, line));
    }
    assert_eq!(status(&replaced(CONNECTION_LINE, "Connection: notupgrade")), 400);
    assert_eq!(status(&replaced(CONNECTION_LINE, "Connection: keep-alive")), 400);
}

#[test]
fn upgrade_in_any_case_or_in_a_list() {
    for line in [
        "Upgrade: WebSocket",
        "upgrade: WEBSOCKET",
        "Upgrade: websocket, h2c",
        "Upgrade: h2c\r\nUpgrade: websocket",
    ] {
        upgrade(&replaced(UPGRADE_LINE, line));
    }
    for line in ["Upgrade: websocket2", "Upgrade: web socket", "Upgrade: h2c", "Upgrade:"] {
        assert_eq!(status(&replaced(UPGRADE_LINE, line)), 400, "{line}");
    }
}

#[test]
fn blank_before_the_colon_obs_fold_bare_lf_or_cr_and_nul_are_400() {
    for line in [
        "Upgrade : websocket",
        "Upgrade:\r\n websocket",
        "Upgrade: websocket\nX: y",
        "Upgrade: websocket\rX: y",
        "Upgrade: websocket\0",
        "Upgrade\0: websocket",
    ] {
        assert_eq!(status(&replaced(UPGRADE_LINE, line)), 400, "{line:?}");
    }
}

#[test]
fn the_first_frames_in_the_same_segment_as_the_request_are_kept() {
    let mut bytes = handshake(&[]).into_bytes();
    let end = bytes.len();
    bytes.extend_from_slice(b"\x81\x80\0\0\0\0");
    let (_, consumed) = receive_with(Options::default(), &bytes).unwrap().unwrap();
    assert_eq!(&bytes[consumed..], b"\x81\x80\0\0\0\0");
    assert_eq!(consumed, end);
}

#[test]
fn subprotocol_asked_for_that_the_server_does_not_speak() {
    let request = handshake(&["Sec-WebSocket-Protocol: wamp"]);
    let options = Options { subprotocols: names(&["mqtt", "chat"]), ..Options::default() };
    let Ok(Some((Received::Upgrade(upgrade), _))) = receive_with(options.clone(), request.as_bytes()) else {
        panic!("accepted without the header")
    };
    assert_eq!(upgrade.request().subprotocols(), ["wamp"]);
    let accepted = upgrade.accept(Accept::new()).unwrap();
    assert_eq!(accepted.agreed.subprotocol, None);
    assert!(!String::from_utf8(accepted.response).unwrap().contains("Sec-WebSocket-Protocol"));
    let strict = Options { require_subprotocol: true, ..options };
    for request in [request, handshake(&[])] {
        let reject = receive_with(strict.clone(), request.as_bytes()).unwrap_err();
        assert_eq!(reject.status().as_u16(), 400);
        assert!(reject.to_string().contains("mqtt, chat"), "{reject}");
    }
}

#[test]
fn the_server_s_preference_chooses_the_subprotocol() {
    let request = handshake(&["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"]);
    let options =
        Options { subprotocols: names(&["z", "c", "a"]), require_subprotocol: true, ..Options::default() };
    let choose = |accept: Accept| {
        let Ok(Some((Received::Upgrade(upgrade), _))) = receive_with(options.clone(), request.as_bytes())
        else {
            panic!("not accepted")
        };
        upgrade.accept(accept).map(|accepted| accepted.agreed.subprotocol)
    };
    assert_eq!(choose(Accept::new()), Ok(Some("c".parse().unwrap())));
    assert_eq!(choose(Accept::new().without_subprotocol()), Ok(None));
    assert_eq!(choose(Accept::new().subprotocol("b".parse().unwrap())), Ok(Some("b".parse().unwrap())));
    let foreign: Subprotocol = "z".parse().unwrap();
    assert_eq!(
        choose(Accept::new().subprotocol(foreign.clone())),
        Err(Invalid::SubprotocolNotOffered(foreign))
    );
}

#[test]
fn empty_protocol_and_extensions_headers_are_absent_and_never_sent() {
    let upgrade = upgrade(&handshake(&["Sec-WebSocket-Protocol:", "Sec-WebSocket-Extensions: "]));
    assert!(upgrade.request().subprotocols().is_empty());
    assert_eq!(upgrade.request().extensions(), None);
    let accepted = upgrade.accept(Accept::new().extensions("").unwrap()).unwrap();
    let response = String::from_utf8(accepted.response).unwrap();
    assert!(!response.contains("Sec-WebSocket-Protocol") && !response.contains("Extensions"), "{response}");
}

#[test]
fn missing_host_is_400_and_switch_accept_missing_host_takes_it() {
    let request = handshake(&[]).replace("Host: example.com\r\n", "");
    assert_eq!(status(&request), 400);
    let options = Options { accept_missing_host: true, ..Options::default() };
    let found = receive_with(options, request.as_bytes()).unwrap().unwrap();
    assert!(matches!(found.0, Received::Upgrade(_)));
}

#[test]
fn two_host_headers_or_an_invalid_one_are_400() {
    for line in ["Host: a\r\nHost: a", "Host: a b", "Host:", "Host: http://a"] {
        assert_eq!(status(&replaced("Host: example.com", line)), 400, "{line}");
    }
}

#[test]
fn sec_websocket_version_other_than_13_is_426_with_version_13() {
    for line in ["7", "8", "14", "", "013", "13, 8", "13\r\nSec-WebSocket-Version: 13", "thirteen"] {
        let request = replaced(VERSION_LINE, &format!("Sec-WebSocket-Version: {line}"));
        let reject = receive(&request).unwrap_err();
        assert_eq!(reject.status().as_u16(), 426, "{line}");
        assert_eq!(reject.get("sec-websocket-version"), Some("13"));
    }
    assert_eq!(status(&without(VERSION_LINE)), 426);
}

#[test]
fn sec_websocket_key_malformed_or_twice_is_400() {
    for key in
        ["", "short", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==, x"]
    {
        assert_eq!(status(&replaced(KEY_LINE, &format!("Sec-WebSocket-Key: {key}"))), 400, "{key}");
    }
    assert_eq!(status(&handshake(&[KEY_LINE])), 400);
    upgrade(&replaced(KEY_LINE, "Sec-WebSocket-Key:\t dGhlIHNhbXBsZSBub25jZQ== "));
}

#[test]
fn get_with_a_body_and_upgrade_is_400_no_smuggling() {
    let inner = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for line in [
        "Content-Length: 34",
        "Content-Length: 0\r\nContent-Length: 34",
        "Content-Length: -1",
        "Content-Length: +0",
        "Content-Length:",
        "Content-Length: 0, 34",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
    ] {
        let request = handshake(&[line]) + inner;
        let reject = receive_with(Options::default(), request.as_bytes()).unwrap_err();
        assert_eq!(reject.status().as_u16(), 400, "{line}");
        assert!(String::from_utf8(reject.encode()).unwrap().contains("\r\nConnection: close\r\n"));
    }
    upgrade(&handshake(&["Content-Length: 0"]));
}

#[test]
fn http_1_0_upgrade_is_400_and_other_methods_are_405() {
    assert_eq!(status(&replaced("HTTP/1.1", "HTTP/1.0")), 400);
    for method in ["POST", "HEAD", "PUT", "OPTIONS", "get", "X"] {
        let reject = receive(&replaced("GET", method)).unwrap_err();
        assert_eq!((reject.status().as_u16(), reject.get("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(status(&replaced("HTTP/1.1", "HTTP/2.0")), 505);
}

#[test]
fn a_broken_upgrade_is_400_and_says_what_is_missing() {
    let named = |text: &str| {
        let reason = reason(text);
        assert!(reason.starts_with("400 Bad Request: "), "{reason}");
        ["'Upgrade: websocket'", "'Connection: Upgrade'", "'Sec-WebSocket-Key: …'"]
            .map(|it| reason.contains(it))
    };
    assert_eq!(named(&without(UPGRADE_LINE)), [true, false, false]);
    assert_eq!(named(&without(CONNECTION_LINE)), [false, true, false]);
    assert_eq!(named(&without(KEY_LINE)), [false, false, true]);
    assert_eq!(named(&text("GET / HTTP/1.1", &[UPGRADE_LINE])), [false, true, true]);
    assert_eq!(named(&text("GET / HTTP/1.1", &[KEY_LINE])), [true, true, false]);
}

#[test]
fn no_upgrade_header_is_400_with_a_key_and_plain_without() {
    assert_eq!(status(&without(UPGRADE_LINE)), 400);
    assert!(is_plain(&without(UPGRADE_LINE).replace(&format!("{KEY_LINE}\r\n"), "")));
}

#[test]
fn what_asks_for_no_websocket_is_plain() {
    assert!(is_plain(&text("GET / HTTP/1.1", &["Accept: */*"])));
    assert!(is_plain(&text("GET / HTTP/1.0", &["Accept: */*"])));
    assert!(is_plain("GET / HTTP/1.0\r\n\r\n"));
    assert!(is_plain(&text("GET / HTTP/1.1", &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"])));
    assert!(is_plain(&text("GET / HTTP/1.1", &[CONNECTION_LINE])));
    assert!(is_plain(&text("POST / HTTP/1.1", &["Content-Length: 5"])));
    let Ok(Received::Plain(request)) = receive(&text("HEAD /x?y HTTP/1.1", &["A: b"])) else { panic!() };
    let reply = crate::handshake::Reply::text(StatusCode::OK, "hello");
    let answer = String::from_utf8(reply.encode_for(&request)).unwrap();
    assert!(answer.contains("Content-Length: 6\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn extensions_with_quotes_and_over_several_lines_are_joined() {
    let upgrade = upgrade(&handshake(&[
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\"",
        "Sec-WebSocket-Extensions: x-webkit-deflate-frame, foo; a; a",
    ]));
    let joined = "permessage-deflate; server_max_window_bits=\"10\", x-webkit-deflate-frame, foo; a; a";
    assert_eq!(upgrade.request().extensions(), Some(joined));
    let accepted = upgrade.accept(Accept::new().extensions("permessage-deflate").unwrap()).unwrap();
    assert!(
        String::from_utf8(accepted.response)
            .unwrap()
            .contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
    );
    assert_eq!(accepted.agreed.extensions.as_deref(), Some("permessage-deflate"));
}

#[test]
fn an_extension_that_was_not_offered_cannot_be_accepted() {
    let upgrade = || upgrade(&handshake(&["Sec-WebSocket-Extensions: foo"]));
    let error = upgrade().accept(Accept::new().extensions("bar").unwrap()).unwrap_err();
    assert_eq!(error, Invalid::ExtensionNotOffered("bar".into()));
    assert!(Accept::new().extensions("foo\r\nX: y").is_err());
    assert!(upgrade().accept(Accept::new().extensions("foo; a=1").unwrap()).is_ok());
}

#[test]
fn blanks_and_an_unclosed_quote_in_an_extension_header_are_400() {
    let limits = HeadLimits { head: 256 * 1024, headers: 100, line: 128 * 1024 };
    for value in [format!("b{}x", " ".repeat(32_000)), format!("b; x=\"{}", "\\c".repeat(32_000))] {
        let request = handshake(&[&format!("Sec-WebSocket-Extensions: {value}")]);
        let wide = Options { limits, ..Options::default() };
        assert_eq!(receive_with(wide, request.as_bytes()).unwrap_err().status().as_u16(), 400);
        let narrow = receive_with(Options::default(), request.as_bytes());
        assert_eq!(narrow.unwrap_err().status().as_u16(), 431);
    }
}

#[test]
fn request_head_over_16_kib_100_headers_or_8_kib_a_line_is_431() {
    let line = format!("X: {}", "a".repeat(8190));
    assert_eq!(status(&handshake(&[&line])), 431);
    upgrade(&handshake(&[&line[..8192]]));
    let many = vec!["X: y"; 96];
    assert_eq!(status(&handshake(&many)), 431);
    upgrade(&handshake(&many[..95]));
    let long = format!("X: {}", "a".repeat(8000));
    assert_eq!(status(&handshake(&[&long, &long, &long])), 431);
    let whole = handshake(&["X: y"]);
    let limits = HeadLimits { head: whole.len(), ..HeadLimits::default() };
    assert!(receive_with(Options { limits, ..Options::default() }, whole.as_bytes()).is_ok());
    let limits = HeadLimits { head: whole.len() - 1, ..HeadLimits::default() };
    let reject = receive_with(Options { limits, ..Options::default() }, whole.as_bytes()).unwrap_err();
    assert_eq!(reject.status().as_u16(), 431);
}

#[test]
fn two_thousand_headers_and_headers_without_end_are_431() {
    assert_eq!(status(&handshake(&vec!["X: y"; 2000])), 431);
    for endless in ["X: y\r\n", "x", "\r\n"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", endless.repeat(40_000));
        let mut reading = ReadRequest::new(Options::default());
        let mut fed = 0;
        let result = loop {
            fed += 1;
            match reading.receive(&bytes.as_bytes()[..fed]) {
                Ok(None) => {}
                other => break other,
            }
        };
        if endless == "\r\n" {
            assert!(matches!(result, Ok(Some((Received::Plain(_), _)))));
        } else {
            assert_eq!(result.unwrap_err().status().as_u16(), 431);
            assert!(fed <= 16 * 1024 + 1, "fed {fed}");
        }
    }
}

#[test]
fn a_64_kib_head_one_byte_a_write_is_linear_work() {
    let looked_at = |size: usize| {
        let mut head = handshake(&[]).trim_end().to_owned() + "\r\n";
        while head.len() < size {
            head.push_str("X-Filler: 0123456789012345\r\n");
        }
        head.push_str("\r\n");
        let limits = HeadLimits { head: 1 << 20, headers: 1 << 14, line: 8192 };
        let mut reading = ReadRequest::new(Options { limits, ..Options::default() });
        for end in 0..head.len() {
            assert!(reading.receive(&head.as_bytes()[..end]).unwrap().is_none());
        }
        assert!(matches!(reading.receive(head.as_bytes()), Ok(Some((Received::Upgrade(_), _)))));
        reading.head.scanner.looked_at
    };
    let (once, twice) = (looked_at(64 * 1024), looked_at(128 * 1024));
    assert!(twice * 10 <= once * 22, "{once} bytes looked at, then {twice}");
}

#[test]
fn request_target_colons_fragment_8_kib_long_or_not_utf8_is_400() {
    let long = format!("/{}", "a".repeat(8191));
    for target in ["::", "#frag", "/a#frag", "*", "a:80", &long] {
        assert_eq!(status(&replaced("/chat", target)), 400, "{}", &target[..2.min(target.len())]);
    }
    let mut bytes = handshake(&[]).into_bytes();
    bytes[5] = 0xff;
    assert_eq!(receive_with(Options::default(), &bytes).unwrap_err().status().as_u16(), 400);
    assert_eq!(upgrade(&replaced("/chat", "http://other/x?y")).request().host().unwrap().as_str(), "other");
}

#[test]
fn bytes_sent_early_then_refused_are_never_a_request() {
    let inner = text("GET /admin HTTP/1.1", &["A: b"]);
    let bytes = replaced(VERSION_LINE, "Sec-WebSocket-Version: 7") + &inner;
    let mut reading = ReadRequest::new(Options::default());
    for _ in 0..2 {
        assert_eq!(reading.receive(bytes.as_bytes()).unwrap_err().status().as_u16(), 426);
    }
    let bytes = handshake(&[]) + &inner;
    let Ok(Some((Received::Upgrade(upgrade), _))) = receive_with(Options::default(), bytes.as_bytes()) else {
        panic!("a handshake")
    };
    let answer = String::from_utf8(upgrade.reject(Reject::forbidden("no"))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_buffer_that_shrinks_or_repeats_does_no_harm() {
    let bytes = handshake(&[]).into_bytes();
    let mut reading = ReadRequest::new(Options::default());
    assert!(reading.receive(&bytes[..40]).unwrap().is_none());
    assert!(reading.receive(&bytes[..10]).unwrap().is_none());
    assert!(reading.receive(&bytes).unwrap().is_some());
    assert!(reading.receive(&bytes).unwrap().is_some());
    assert!(reading.receive(&bytes[..5]).is_err());
}

#[test]
fn cr_lf_nul_in_a_header_of_the_answer_is_an_error() {
    for value in ["a\r\nX: y", "a\n", "\0", "ä"] {
        assert_eq!(Accept::new().header("X-A", value).unwrap_err(), Invalid::HeaderValue("x-a".into()));
    }
    assert!(Accept::new().header("Sec-WebSocket-Accept", "x").is_err());
    let accept = Accept::new().header("Set-Cookie", "a=b").unwrap().header("Set-Cookie", "c=d").unwrap();
    let accepted = upgrade(&handshake(&[])).accept(accept).unwrap();
    let response = String::from_utf8(accepted.response).unwrap();
    assert!(response.ends_with("\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n"), "{response}");
}

#[test]
fn no_byte_changed_anywhere_makes_it_panic() {
    let good = handshake(&[
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: foo; a=\"1\"",
        "Origin: http://a",
    ]);
    for at in 0..good.len() {
        for byte in [0, b'\r', b'\n', b' ', b',', b':', b'"', b'\\', 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = byte;
            if let Ok(Some((Received::Upgrade(upgrade), consumed))) = receive_with(Options::default(), &bytes)
            {
                assert!(consumed <= bytes.len());
                assert!(upgrade.accept(Accept::new()).is_ok());
            }
        }
    }
}

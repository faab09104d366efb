//! The rows of the tables of quirks and limits that concern a client's handshake.

use super::*;
use crate::handshake::head::{HeadError, HeadLimits};

const ACCEPT_LINE: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request() -> Request {
    let request = Request::for_host("example.com", "/").unwrap();
    let request = request.subprotocol("chat".parse().unwrap()).subprotocol("mqtt".parse().unwrap());
    request.extensions("permessage-deflate; client_max_window_bits").unwrap()
}

fn waiting(request: Request) -> Upgrade {
    Upgrade::new(request, *b"the sample nonce").unwrap().0
}

fn answer(more: &[&str]) -> String {
    let lines =
        ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", ACCEPT_LINE];
    let lines = [&lines, more].concat();
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

fn replaced(line: &str, by: &str) -> String {
    answer(&[]).replacen(line, by, 1)
}

/// What comes out of a complete answer; the same is checked to come out of every split.
fn receive(request: Request, bytes: &[u8]) -> Result<Option<(Accepted, usize)>, ClientError> {
    let whole = waiting(request.clone()).receive(bytes);
    let mut upgrade = waiting(request);
    let mut split = Ok(None);
    for end in 0..=bytes.len() {
        split = upgrade.receive(&bytes[..end]);
        if !matches!(split, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{split:?}"), format!("{whole:?}"));
    whole
}

fn accepted(text: &str) -> Accepted {
    match receive(request(), text.as_bytes()) {
        Ok(Some((accepted, consumed))) => {
            assert_eq!(consumed, text.len());
            accepted
        }
        other => panic!("{text}\n{other:?}"),
    }
}

fn failed(text: &str) -> ClientError {
    receive(request(), text.as_bytes()).unwrap_err()
}

fn refused(text: &str) -> Response {
    match failed(text) {
        ClientError::Refused(response) => *response,
        other => panic!("{text}\n{other:?}"),
    }
}

#[test]
fn rfc_6455_4_1_the_answer() {
    let accepted = accepted(&answer(&["Sec-WebSocket-Protocol: chat", "X-Node: 7"]));
    assert_eq!(accepted.agreed.subprotocol.unwrap(), "chat");
    assert_eq!(accepted.agreed.extensions, None);
    assert_eq!(accepted.response.header("x-node"), Some("7"));
    assert_eq!(accepted.response.reason, "Switching Protocols");
}

#[test]
fn upgrade_and_connection_are_token_lists_in_any_case() {
    accepted(&replaced("Connection: Upgrade", "connection: keep-alive, UPGRADE"));
    accepted(&replaced("Connection: Upgrade", "Connection: keep-alive\r\nConnection:\tupgrade "));
    accepted(&replaced("Upgrade: websocket", "Upgrade: WebSocket"));
    accepted(&replaced("Upgrade: websocket", "UPGRADE:websocket, h2c"));
    assert!(matches!(
        failed(&replaced("Connection: Upgrade", "Connection: notupgrade")),
        ClientError::Connection
    ));
    assert!(matches!(failed(&replaced("Connection: Upgrade\r\n", "")), ClientError::Connection));
    assert!(matches!(failed(&replaced("Upgrade: websocket\r\n", "")), ClientError::Upgrade));
    assert!(matches!(failed(&replaced("Upgrade: websocket", "Upgrade: h2c")), ClientError::Upgrade));
}

#[test]
fn another_reason_an_empty_one_or_none_even_without_the_trailing_blank() {
    for line in
        ["HTTP/1.1 101 OK", "HTTP/1.1 101 ", "HTTP/1.1 101", "HTTP/1.1 101 Web Socket Protocol Handshake"]
    {
        accepted(&replaced("HTTP/1.1 101 Switching Protocols", line));
    }
}

#[test]
fn content_length_or_transfer_encoding_on_a_101_is_ignored() {
    for line in ["Content-Length: 5", "Content-Length: x", "Transfer-Encoding: chunked"] {
        let text = answer(&[line]);
        let bytes = [text.as_bytes(), b"\x81\x00"].concat();
        let (_, consumed) = receive(request(), &bytes).unwrap().unwrap();
        assert_eq!(&bytes[consumed..], b"\x81\x00");
    }
}

#[test]
fn the_first_frames_in_the_same_segment_as_the_101_are_kept() {
    let bytes = [answer(&[]).as_bytes(), b"\x81\x02hi"].concat();
    let (_, consumed) = receive(request(), &bytes).unwrap().unwrap();
    assert_eq!(&bytes[consumed..], b"\x81\x02hi");
}

#[test]
fn blank_before_the_colon_obs_fold_bare_lf_or_cr_and_nul_fail() {
    for (line, error) in [
        ("Upgrade : websocket", HeadError::HeaderName),
        ("Upgrade:\r\n websocket", HeadError::FoldedHeader),
        ("Upgrade: websocket\nX: y", HeadError::BareLineFeed),
        ("Upgrade: websocket\rX: y", HeadError::BareCarriageReturn),
        ("Upgrade: websocket\0", HeadError::ControlCharacter(0)),
    ] {
        let found = failed(&replaced("Upgrade: websocket", line));
        assert!(matches!(&found, ClientError::Head(head) if *head == error), "{found:?}");
    }
}

#[test]
fn a_status_in_place_of_101_gives_headers_and_body() {
    for status in [200, 301, 302, 307, 401, 403, 407, 426, 500, 503] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\nLocation: /y\r\nX-A: b\r\n\r\nhello");
        let response = refused(&text);
        assert_eq!(response.status.as_u16(), status);
        assert_eq!((response.text().as_ref(), response.truncated), ("hello", false));
        assert_eq!((response.header("x-a"), response.header("location")), (Some("b"), Some("/y")));
    }
    let chunked =
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    assert_eq!(refused(chunked).text(), "hello!");
    assert_eq!(refused("HTTP/1.1 204 No Content\r\n\r\n").body, b"");
    assert_eq!(refused("HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n").status.as_u16(), 403);
}

#[test]
fn the_body_of_a_refusal_is_cut_at_64_kib() {
    let mut text = "HTTP/1.1 500 x\r\n\r\n".to_owned();
    text.push_str(&"a".repeat(100_000));
    let ClientError::Refused(response) = waiting(request()).receive(text.as_bytes()).unwrap_err() else {
        panic!()
    };
    assert_eq!((response.body.len(), response.truncated), (64 * 1024, true));
    let small = request().body_limit(3);
    let ClientError::Refused(response) = waiting(small).receive(text.as_bytes()).unwrap_err() else {
        panic!()
    };
    assert_eq!((response.text().as_ref(), response.truncated), ("aaa", true));
}

#[test]
fn the_end_of_the_connection_completes_a_refusal() {
    let ended = |text: &str| waiting(request()).receive_eof(text.as_bytes()).unwrap_err();
    let ClientError::Refused(response) = ended("HTTP/1.1 400 x\r\n\r\nwhy") else { panic!() };
    assert_eq!((response.text().as_ref(), response.truncated), ("why", false));
    let ClientError::Refused(response) = ended("HTTP/1.1 400 x\r\nContent-Length: 9\r\n\r\nwhy") else {
        panic!()
    };
    assert_eq!((response.text().as_ref(), response.truncated), ("why", true));
    assert!(matches!(ended(""), ClientError::Ended));
    assert!(matches!(ended("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"), ClientError::Ended));
    assert!(waiting(request()).receive_eof(answer(&[]).as_bytes()).is_ok());
}

#[test]
fn interim_responses_are_skipped_and_share_the_limit() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    accepted(&(interim.to_owned() + &answer(&[])));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
    assert!(matches!(
        waiting(request()).receive(endless.as_bytes()),
        Err(ClientError::Head(HeadError::TooLong { .. }))
    ));
}

#[test]
fn subprotocol_asked_for_and_none_given_back() {
    assert_eq!(accepted(&answer(&[])).agreed.subprotocol, None);
    let strict = request().require_subprotocol(true);
    let found = receive(strict.clone(), answer(&[]).as_bytes());
    assert!(matches!(found, Err(ClientError::NoSubprotocol)));
    let chosen = answer(&["Sec-WebSocket-Protocol: mqtt"]);
    let (accepted, _) = receive(strict, chosen.as_bytes()).unwrap().unwrap();
    assert_eq!(accepted.agreed.subprotocol.unwrap(), "mqtt");
}

#[test]
fn subprotocol_that_was_not_asked_for_or_two_of_them_fail() {
    for value in ["wamp", "Chat", "chat2"] {
        let found = failed(&answer(&[&format!("Sec-WebSocket-Protocol: {value}")]));
        assert!(matches!(&found, ClientError::SubprotocolNotOffered(name) if name == value), "{found:?}");
    }
    for value in ["chat, mqtt", "chat,", "chat\r\nSec-WebSocket-Protocol: mqtt"] {
        let found = failed(&answer(&[&format!("Sec-WebSocket-Protocol: {value}")]));
        assert!(matches!(found, ClientError::SeveralSubprotocols), "{value}: {found:?}");
    }
    let none = Request::for_host("a", "/").unwrap();
    let found = receive(none, answer(&["Sec-WebSocket-Protocol: chat"]).as_bytes());
    assert!(matches!(found, Err(ClientError::SubprotocolNotOffered(_))));
    let odd = answer(&["Sec-WebSocket-Protocol: chät"]);
    assert!(matches!(failed(&odd), ClientError::SubprotocolNotOffered(_)));
}

#[test]
fn empty_protocol_or_extensions_header_is_read_as_absent() {
    let accepted = accepted(&answer(&["Sec-WebSocket-Protocol: ", "Sec-WebSocket-Extensions:"]));
    assert_eq!(accepted.agreed, Agreed::default());
}

#[test]
fn an_extension_that_was_not_offered_or_is_malformed_fails() {
    for value in [
        "x-webkit-deflate-frame",
        "permessage-deflate, foo",
        "permessage-deflate\r\nSec-WebSocket-Extensions: foo",
    ] {
        let found = failed(&answer(&[&format!("Sec-WebSocket-Extensions: {value}")]));
        assert!(matches!(found, ClientError::ExtensionNotOffered(_)), "{value}: {found:?}");
    }
    for value in ["permessage-deflate;", "permessage-deflate; a=\"", "a b", "ä"] {
        let found = failed(&answer(&[&format!("Sec-WebSocket-Extensions: {value}")]));
        assert!(matches!(found, ClientError::Extensions), "{value}: {found:?}");
    }
    let good =
        accepted(&answer(&["Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"]));
    assert_eq!(good.agreed.extensions.as_deref(), Some("permessage-deflate; server_no_context_takeover"));
}

#[test]
fn a_200_with_upgrade_a_wrong_accept_and_an_overlong_accept_fail_without_a_panic() {
    let text = replaced("HTTP/1.1 101 Switching Protocols", "HTTP/1.1 200 OK\r\nContent-Length: 0");
    assert_eq!(refused(&text).status.as_u16(), 200);
    let long = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".repeat(300);
    for value in [
        "",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
        "S3PPLMBITXAQ9KYGZZHZRBK+XOO=",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo==",
        "HSmrc0sMlYUkAGmm5OPpG2HaGWk=",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "ÿ",
        &long,
    ] {
        let text = replaced(ACCEPT_LINE, &format!("Sec-WebSocket-Accept: {value}"));
        assert!(matches!(failed(&text), ClientError::Accept), "{value}");
    }
    assert!(matches!(failed(&replaced(&format!("{ACCEPT_LINE}\r\n"), "")), ClientError::Accept));
    assert!(matches!(failed(&answer(&[ACCEPT_LINE])), ClientError::Accept));
}

#[test]
fn a_101_of_http_1_0_or_of_another_version_fails() {
    assert!(matches!(failed(&replaced("HTTP/1.1", "HTTP/1.0")), ClientError::HttpVersion));
    assert!(matches!(failed(&replaced("HTTP/1.1", "HTTP/2.0")), ClientError::Head(_)));
    assert!(matches!(
        failed("SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ClientError::Head(HeadError::StartLine | HeadError::Version)
    ));
}

#[test]
fn response_head_over_16_kib_or_100_headers_is_an_error() {
    let long = format!("X: {}", "a".repeat(15_000));
    accepted(&answer(&[&long]));
    assert!(matches!(failed(&answer(&[&long, &long])), ClientError::Head(HeadError::TooLong { .. })));
    assert!(matches!(
        failed(&answer(&vec!["X: y"; 98])),
        ClientError::Head(HeadError::TooManyHeaders { .. })
    ));
    accepted(&answer(&vec!["X: y"; 97]));
    let limits = HeadLimits { headers: 3, ..HeadLimits::response() };
    let found = receive(request().limits(limits), answer(&["X: y"]).as_bytes());
    assert!(matches!(found, Err(ClientError::Head(HeadError::TooManyHeaders { limit: 3 }))));
}

#[test]
fn each_connection_has_its_own_key() {
    let key = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ").map(str::to_owned)).unwrap()
    };
    let (one, two) = (Upgrade::start(request()).unwrap().1, Upgrade::start(request()).unwrap().1);
    assert_ne!(key(one), key(two));
}

#[test]
fn no_byte_changed_anywhere_makes_it_panic() {
    let good =
        answer(&["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; a=\"1\""]);
    for at in 0..good.len() {
        for byte in [0, b'\r', b'\n', b' ', b',', b':', b'"', b'9', 0x7f, 0xff] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = byte;
            let mut upgrade = waiting(request());
            if let Ok(Some((_, consumed))) = upgrade.receive(&bytes) {
                assert!(consumed <= bytes.len());
            }
        }
    }
}

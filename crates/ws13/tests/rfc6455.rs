//! Rules of RFC 6455 that no other test shows, each named after its rule and section; `docs/rfc6455.md` has them all.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::{End, Frame, Seen, close_payload, frame, masked, plain};
use net::{close_code, read_frame, read_head, request, server, soon};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use ws13::frame::HeaderError;
use ws13::handshake::server::{Accept, Options, ReadRequest, Received};
use ws13::handshake::{ClientError, Key, Reject, Url, client};
use ws13::{
    Client, CloseCause, CloseCode, CloseFrame, Config, ConnectError, Error, Fault, Kind, Message, Misuse,
    Role, Violation,
};

/// The text of a handshake for a URL.
fn handshake_for(url: &str) -> String {
    let request = client::Request::new(&url.parse().unwrap());
    let (_, bytes) = client::Upgrade::new(request, *b"the sample nonce").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The values of all header lines with this name, whatever its case.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// "Fragment identifiers … MUST NOT be used on these URIs"; "the character '#', when not indicating the start of a
/// fragment, MUST be escaped as %23".
#[test]
fn a_fragment_is_refused_and_an_escaped_number_sign_is_sent_as_it_is_3() {
    assert!("ws://a/b#c".parse::<Url>().is_err());
    assert!("ws://a/?b=#".parse::<Url>().is_err());
    assert!(handshake_for("ws://a/b%23c?d=%23").starts_with("GET /b%23c?d=%23 HTTP/1.1\r\n"));
}

/// "If any of the components are invalid, the client MUST _Fail the WebSocket Connection_".
#[test]
fn an_invalid_uri_fails_before_anything_is_dialled_4_1() {
    for url in ["", "a/b", "ftp://a/", "ws:///b", "ws://a:port/", "ws://a:65536/", "ws://a b/", "ws://a/#b"] {
        assert!(matches!(Client::new(url), Err(ConnectError::Url(_))), "{url:?}");
    }
}

/// "The 'Request-URI' part of the request MUST match the /resource name/"; "The request MUST contain a |Host| header
/// field whose value contains /host/ plus optionally ':' followed by /port/".
#[test]
fn the_request_line_and_the_host_follow_the_uri_4_1() {
    for (url, target, host) in [
        ("ws://example.com", "/", "example.com"),
        ("ws://example.com?b", "/?b", "example.com"),
        ("ws://Example.com:80/chat", "/chat", "example.com"),
        ("ws://example.com:443/chat?a=b&c", "/chat?a=b&c", "example.com:443"),
        ("wss://example.com:443/chat/", "/chat/", "example.com"),
        ("ws://[::1]:9001/x", "/x", "[::1]:9001"),
    ] {
        let head = handshake_for(url);
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
        assert_eq!(values(&head, "Host"), [host], "{url}");
    }
}

/// Section 4.1, from "it MUST open a connection, send an opening handshake, and read the server's handshake in
/// response" to "the client MUST wait for a response from the server before sending any further data".
#[tokio::test]
async fn a_client_connects_sends_its_handshake_and_waits_for_the_answer_4_1() {
    let (listener, address) = listener().await;
    let url = format!("ws://{address}/chat");
    let dialling = async { Client::new(&url).unwrap().subprotocol("chat").connect().await.unwrap() };
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let early = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "nothing follows the handshake before its answer");
        let key = Key::parse(values(&head, "Sec-WebSocket-Key")[0].as_bytes()).expect("16 bytes in base64");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
            key.accept()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        (stream, head)
    };
    let (mut socket, (mut stream, head)) = soon(async { tokio::join!(dialling, serving) }).await;
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("Host", address.to_string().as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat"),
    ] {
        assert_eq!(values(&head, name), [value], "{head}");
    }
    assert_eq!(socket.subprotocol(), Some("chat"));
    socket.send("hi").await.unwrap();
    let sent = soon(read_frame(&mut stream)).await.unwrap();
    assert_eq!(sent, Frame { first: 0x81, masked: true, payload: b"hi".into() });
}

/// "If the connection could not be opened … the client MUST _Fail the WebSocket Connection_".
#[tokio::test]
async fn a_connection_that_cannot_be_opened_fails_4_1() {
    let (listener, address) = listener().await;
    drop(listener);
    let failed = soon(ws13::connect(&format!("ws://{address}/"))).await;
    assert!(matches!(failed, Err(ConnectError::Dial { .. })), "{failed:?}");
}

/// "If /secure/ is true, the client MUST perform a TLS handshake over the connection after opening the connection and
/// before sending the handshake data", and "MUST use the Server Name Indication extension".
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_secure_uri_begins_with_a_tls_handshake_that_names_the_server_4_1() {
    let (listener, address) = listener().await;
    let tls = ws13::tls::ClientTls::builder().danger_accept_any_certificate().build().unwrap();
    let client = ws13::Client::new(&format!("wss://localhost:{}/secret", address.port())).unwrap().tls(tls);
    let dialling = tokio::spawn(client.connect());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..2], [22, 3], "a record of TLS with a handshake message");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut hello).await.unwrap();
    let has = |part: &[u8]| hello.windows(part.len()).any(|window| window == part);
    assert!(hello[0] == 1 && has(b"\0\x09localhost") && has(b"\x08http/1.1"));
    assert!(!has(b"secret"));
    // "If this fails [...] the client MUST _Fail the WebSocket Connection_".
    drop(stream);
    let failed = soon(dialling).await.unwrap();
    assert!(matches!(failed, Err(ConnectError::Tls(_))), "{failed:?}");
}

/// Where it cannot, it must not go on without.
#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn a_secure_uri_is_never_dialled_without_tls_4_1() {
    let (listener, address) = listener().await;
    let failed = soon(ws13::connect(&format!("wss://{address}/"))).await;
    assert!(matches!(failed, Err(ConnectError::NoTls)), "{failed:?}");
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "nobody was dialled");
}

/// "If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 Not
/// Found) and abort the WebSocket handshake."
#[tokio::test]
async fn a_service_that_is_not_there_is_answered_with_404_and_the_end_4_2_2() {
    let (server, address) = server().await;
    let server = server.on_request(|request| match request.path() {
        "/there" => Ok(Accept::new()),
        _ => Err(Reject::not_found()),
    });
    tokio::spawn(server.serve(|_, _| async { Ok::<_, Error>(()) }));
    let answer = answer_and_end(address, &request(address, "")).await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    let there = request(address, "").replace("/chat?room=1", "/there");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(there.as_bytes()).await.unwrap();
    assert!(soon(read_head(&mut stream)).await.starts_with("HTTP/1.1 101 "));
}

/// "Certain algorithms require or recommend that the server _Abort the WebSocket Connection_ during the opening
/// handshake. To do so, the server MUST simply _Close the WebSocket Connection_". With the status that 10.7 asks for.
#[tokio::test]
async fn a_handshake_that_is_aborted_ends_with_a_status_and_the_connection_7_2_2() {
    let (server, address) = server().await;
    tokio::spawn(server.serve(|_, _| async { Ok::<_, Error>(()) }));
    let good = request(address, "");
    for (wrong, status) in [
        (good.replace("Version: 13", "Version: 12"), "426"),
        (good.replace("Key: dGhl", "Key: dGh"), "400"),
        (good.replace("Connection: Upgrade\r\n", ""), "400"),
        (good.replace("GET", "POST"), "405"),
        (request(address, "Origin: http://elsewhere.example\r\n"), "403"),
        (request(address, "Sec-WebSocket-Extensions: a;\r\n"), "400"),
    ] {
        let answer = answer_and_end(address, &wrong).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{wrong}\n{answer}");
    }
}

#[tokio::test]
async fn an_inner_request_is_never_answered_when_the_handshake_is_refused() {
    let (server, address) = server().await;
    tokio::spawn(server.serve(|_, _| async { Ok::<_, Error>(()) }));
    let inner = format!("GET /admin HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let good = request(address, "");
    for (outer, status) in [
        (request(address, &format!("Content-Length: {}\r\n", inner.len())), "400"),
        (request(address, "Transfer-Encoding: chunked\r\n"), "400"),
        (good.replace("Version: 13", "Version: 7"), "426"),
        (request(address, "Origin: http://elsewhere.example\r\n"), "403"),
    ] {
        let answer = answer_and_end(address, &(outer + &inner)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

/// Everything that a server says to a request, until it ends the connection.
async fn answer_and_end(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// One frame of each kind that an endpoint can be made to send, with what it must look like.
fn one_of_each(role: Role) -> Vec<Frame> {
    let mut end = End::new(role, Config { fragment_size: Some(6), ..Config::default() });
    let End { connection, outbox, .. } = &mut end;
    connection.send("text", outbox).unwrap();
    connection.send(b"binary bytes", outbox).unwrap();
    connection.begin_message(Kind::Text).unwrap();
    connection.send_part(b"a part", false, outbox).unwrap();
    connection.send_part(b"", true, outbox).unwrap();
    connection.ping(b"ping", outbox).unwrap();
    connection.pong(b"pong", outbox).unwrap();
    let mut frames = end.frames();
    let ping = if role == Role::Client { plain(0x89, b"asked") } else { masked(0x89, b"asked") };
    end.feed(&ping);
    frames.extend(end.frames());
    end.connection.close(Some(CloseCode::NORMAL.into()), &mut end.outbox);
    frames.extend(end.frames());
    frames
}

/// "A client MUST mask all frames that it sends to the server. … A server MUST NOT mask any frames that it sends to
/// the client."
#[test]
fn a_client_masks_every_kind_of_frame_and_a_server_none_5_1() {
    for (role, masks) in [(Role::Client, true), (Role::Server, false)] {
        let frames = one_of_each(role);
        assert_eq!(frames.len(), 9);
        assert!(frames.iter().all(|frame| frame.masked == masks), "{role:?}: {frames:?}");
        for len in [0, 1, 125, 126, 70_000] {
            let mut end = End::new(role, Config::default());
            end.connection.send(vec![7; len], &mut end.outbox).unwrap();
            assert_eq!(
                end.frames(),
                [Frame { first: 0x82, masked: masks, payload: vec![7; len] }],
                "{role:?}"
            );
        }
    }
}

/// "The opcode of the first frame containing the data MUST be set to the appropriate value"; "The FIN bit of the last
/// frame containing the data MUST be set to 1"; and of the reserved bits: "MUST be 0" (5.2).
#[test]
fn opcodes_fin_and_reserved_bits_of_what_is_sent_6_1() {
    for role in [Role::Client, Role::Server] {
        let sent: Vec<(u8, Vec<u8>)> =
            one_of_each(role).into_iter().map(|frame| (frame.first, frame.payload)).collect();
        let expected: [(u8, &[u8]); 9] = [
            (0x81, b"text"),
            (0x02, b"binary"),
            (0x80, b" bytes"),
            (0x01, b"a part"),
            (0x80, b""),
            (0x89, b"ping"),
            (0x8a, b"pong"),
            (0x8a, b"asked"),
            (0x88, &[0x03, 0xe8]),
        ];
        assert_eq!(sent, expected.map(|(first, payload)| (first, payload.to_vec())), "{role:?}");
    }
}

/// "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
#[test]
fn each_of_the_ten_reserved_opcodes_fails_5_2() {
    for role in [Role::Client, Role::Server] {
        let key = (role == Role::Server).then_some(common::KEY);
        for opcode in (3..=7).chain(11..=15) {
            let mut end = End::new(role, Config::default());
            assert_eq!(end.feed(&frame(0x80 | opcode, key, b"")), []);
            assert_eq!(end.close_code(), Some(1002), "opcode {opcode}");
            let cause = CloseCause::Fault(Fault::Violation(Violation::ReservedOpcode(opcode)));
            assert_eq!(end.eof(), [Seen::Closed { code: 1006, reason: String::new(), cause }]);
        }
    }
}

/// "The fragments of one message MUST NOT be interleaved between the fragments of another message".
#[test]
fn a_message_cannot_be_sent_inside_another_5_4() {
    let mut client = End::client();
    let End { connection, outbox, .. } = &mut client;
    connection.begin_message(Kind::Binary).unwrap();
    connection.send_part(b"a", false, outbox).unwrap();
    assert_eq!(connection.send("b", outbox), Err(Misuse::MessageUnfinished));
    assert_eq!(connection.begin_message(Kind::Text), Err(Misuse::MessageUnfinished));
    connection.send_part(b"c", true, outbox).unwrap();
    assert_eq!(connection.send_part(b"d", true, outbox), Err(Misuse::NoMessageBegun));
    let mut server = End::server();
    assert_eq!(server.feed(&client.written()), [Seen::binary(b"ac")]);
}

/// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
#[test]
fn control_frames_of_more_than_125_bytes_are_not_sent_5_5() {
    let config = Config { fragment_size: Some(10), ..Config::default() };
    let mut end = End::new(Role::Server, config);
    let End { connection, outbox, .. } = &mut end;
    assert_eq!(connection.ping(&[7; 126], outbox), Err(Misuse::ControlPayload { len: 126 }));
    assert_eq!(connection.pong(&[7; 126], outbox), Err(Misuse::ControlPayload { len: 126 }));
    connection.ping(&[7; 125], outbox).unwrap();
    connection.close(Some(CloseFrame::new(CloseCode::NORMAL, "r".repeat(123)).unwrap()), outbox);
    let frames: Vec<_> = end.frames().iter().map(|frame| (frame.first, frame.payload.len())).collect();
    assert_eq!(frames, [(0x89, 125), (0x88, 125)]);
}

/// "The application MUST NOT send any more data frames after sending a Close frame."
#[test]
fn nothing_is_sent_after_a_close_frame_5_5_1() {
    for asked_first in [true, false] {
        let mut client = End::client();
        if asked_first {
            client.feed(&plain(0x88, &close_payload(1001, "bye")));
        } else {
            client.connection.close(None, &mut client.outbox);
        }
        let End { connection, outbox, .. } = &mut client;
        assert_eq!(connection.send("late", outbox), Err(Misuse::Closed));
        assert_eq!(connection.ping(b"", outbox), Err(Misuse::Closed));
        assert_eq!(connection.pong(b"", outbox), Err(Misuse::Closed));
        assert_eq!(connection.begin_message(Kind::Text), Err(Misuse::Closed));
        connection.close(Some(CloseCode::NORMAL.into()), outbox);
        let frames = client.frames();
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0].first, 0x88);
    }
}

/// "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close frame
/// in response": between fragments, too.
#[test]
fn a_close_frame_in_the_middle_of_a_message_is_answered_5_5_1() {
    let mut server = End::server();
    assert_eq!(server.feed(&masked(0x01, b"half")), []);
    let End { connection, outbox, .. } = &mut server;
    connection.begin_message(Kind::Binary).unwrap();
    connection.send_part(b"half", false, outbox).unwrap();
    server.feed(&masked(0x88, &close_payload(1000, "enough")));
    let frames: Vec<_> = server.frames().into_iter().map(|frame| (frame.first, frame.payload)).collect();
    assert_eq!(frames, [(0x02, b"half".to_vec()), (0x88, close_payload(1000, "enough"))]);
}

/// "Subsequent data frames MUST be interpreted as belonging to a new WebSocket message"; the endpoint "MUST note the
/// /type/ of the data".
#[test]
fn each_message_has_its_own_type_and_data_6_2() {
    let mut server = End::server();
    let bytes = [
        masked(0x01, b"te"),
        masked(0x80, b"xt"),
        masked(0x82, b"bytes"),
        masked(0x02, b""),
        masked(0x89, b"ping"),
        masked(0x80, b"more"),
        masked(0x81, b""),
    ]
    .concat();
    let expected = [
        Seen::text("text"),
        Seen::binary(b"bytes"),
        Seen::Ping(b"ping".into()),
        Seen::binary(b"more"),
        Seen::text(""),
    ];
    assert_eq!(server.feed(&bytes), expected);
}

/// "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote
/// endpoint after being instructed to _Fail the WebSocket Connection_."
#[test]
fn nothing_is_processed_after_a_failure_7_1_7() {
    let faults = [
        (plain(0x81, b"unmasked"), Fault::Violation(Violation::Unmasked), 1002),
        (masked(0x09, b""), Fault::Violation(Violation::Header(HeaderError::FragmentedControl)), 1002),
        (masked(0x81, b"\xff"), Fault::Violation(Violation::Utf8), 1007),
    ];
    for (wrong, fault, code) in faults {
        let mut server = End::server();
        let more =
            [masked(0x81, b"more"), masked(0x89, b""), masked(0x88, &close_payload(code, ""))].concat();
        assert_eq!(server.feed(&[wrong, more].concat()), []);
        assert_eq!(server.close_code(), Some(code), "the Close frame is all that is sent");
        assert_eq!(server.feed(&masked(0x88, &close_payload(1000, ""))), []);
        let cause = CloseCause::Fault(fault);
        assert_eq!(server.eof(), [Seen::Closed { code: 1006, reason: String::new(), cause }]);
    }
}

/// "The WebSocket Connection Close Code" is that of the first Close frame received, though both sides sent one.
#[tokio::test]
async fn the_close_code_is_that_of_the_close_frame_received_7_1_5() {
    let (mut socket, mut wire) = net::server_and_wire();
    socket.start_close(CloseCode::GOING_AWAY, "stop").unwrap();
    wire.write_all(&masked(0x88, &close_payload(3000, "mine"))).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), None);
    let closed = socket.closed().expect("it is closed");
    assert_eq!((closed.code(), closed.reason()), (3000, "mine"));
    assert_eq!(close_code(&read_frame(&mut wire).await.unwrap()), 1001);
}

/// "Once the transmission of a frame from a client has begun, the payload … must not be capable of being modified by
/// the application."
#[test]
fn what_is_queued_cannot_be_changed_any_more_10_3() {
    for len in [100, 100_000] {
        let mut client = End::client();
        let mut payload = vec![1; len];
        client.connection.send(&payload[..], &mut client.outbox).unwrap();
        payload.fill(2);
        let shared = bytes::Bytes::from(vec![3; len]);
        client.connection.send(shared.clone(), &mut client.outbox).unwrap();
        let payloads: Vec<_> = client.frames().into_iter().map(|frame| frame.payload).collect();
        assert_eq!(payloads, [vec![1; len], vec![3; len]]);
        assert_eq!(shared, vec![3; len], "and it is not masked under the application's hands");
    }
}

/// Sections 11.3.1 to 11.3.5: which fields "MUST NOT appear more than once", and each side's refusal of what does.
#[test]
fn fields_that_must_not_appear_twice_do_not_11_3() {
    let asked = client::Request::new(&"ws://a/".parse().unwrap())
        .subprotocol("a".parse().unwrap())
        .subprotocol("b".parse().unwrap())
        .extensions("x")
        .unwrap()
        .extensions("y, z")
        .unwrap();
    let (mut upgrade, request) = client::Upgrade::new(asked, *b"the sample nonce").unwrap();
    let request = String::from_utf8(request).unwrap();
    let read = |text: &str| ReadRequest::new(Options::default()).receive(text.as_bytes());
    let Ok(Some((Received::Upgrade(received), _))) = read(&request) else { panic!("{request}") };
    let accept = Accept::new().subprotocol("b".parse().unwrap()).extensions("z").unwrap();
    let answer = String::from_utf8(received.accept(accept).unwrap().response).unwrap();
    for (head, fields) in [
        (&request, &["Key", "Version", "Protocol", "Extensions"][..]),
        (&answer, &["Accept", "Protocol", "Extensions"][..]),
    ] {
        for field in fields {
            assert_eq!(values(head, &format!("Sec-WebSocket-{field}")).len(), 1, "{field} in {head}");
        }
    }
    let twice = |head: &str, name: &str| {
        let line = head.lines().find(|line| line.starts_with(name)).unwrap();
        head.replacen(line, &format!("{line}\r\n{line}"), 1)
    };
    assert_eq!(read(&twice(&request, "Sec-WebSocket-Key")).unwrap_err().status().as_u16(), 400);
    assert_eq!(read(&twice(&request, "Sec-WebSocket-Version")).unwrap_err().status().as_u16(), 426);
    let mut judge = |text: &str| upgrade.receive(text.as_bytes()).map(|it| it.is_some());
    let found = judge(&twice(&answer, "Sec-WebSocket-Protocol"));
    assert!(matches!(found, Err(ClientError::SeveralSubprotocols)), "{found:?}");
}

/// "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response."
#[test]
fn two_accept_fields_fail_although_both_are_right_11_3_3() {
    let request = client::Request::new(&"ws://a/".parse().unwrap());
    let (mut upgrade, _) = client::Upgrade::new(request, *b"the sample nonce").unwrap();
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let answer =
        format!("HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}{accept}\r\n");
    assert!(matches!(upgrade.receive(answer.as_bytes()), Err(ClientError::Accept)));
}

/// "Incoming data MUST always be validated by both clients and servers": whatever arrives, what comes out is valid.
#[tokio::test]
async fn both_roles_validate_what_arrives_10_7() {
    for (role, first) in [(Role::Client, plain(0x81, b"\xc0")), (Role::Server, masked(0x81, b"\xc0"))] {
        let (mut socket, mut wire) = net::socket_and_wire(role, 1000, Config::default());
        let good = if role == Role::Client { plain(0x81, b"ok") } else { masked(0x81, b"ok") };
        wire.write_all(&[good, first].concat()).await.unwrap();
        assert_eq!(soon(socket.receive()).await.unwrap(), Some(Message::from("ok")));
        let receiving = tokio::spawn(async move { socket.receive().await });
        assert_eq!(close_code(&soon(read_frame(&mut wire)).await.unwrap()), 1007);
        drop(wire);
        assert!(soon(receiving).await.unwrap().is_err());
    }
}

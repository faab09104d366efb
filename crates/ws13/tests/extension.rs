//! Extensions of one's own: agreed on over real sockets, and no more than that without an agreement.
#![cfg(feature = "tokio")]

mod common;
#[path = "../examples/checksum/extension.rs"]
mod extension;
#[path = "common/net.rs"]
mod net;

use common::{End, Seen, masked, plain};
use extension::{Checked, Checksum};
use net::{close_code, read_frame, server};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use ws13::extension::{Claims, Extension, Negotiate};
use ws13::frame::{OpCode, Rsv};
use ws13::handshake::ClientError;
use ws13::{
    Client, CloseCause, Config, ConnectError, Connection, Error, Event, ExtendedRef, Fault, LimitHit, Limits,
    Misuse, Outgoing, Role, Violation,
};

fn with(extension: impl Negotiate + 'static) -> Config {
    Config { extensions: vec![Arc::new(extension)], ..Config::default() }
}

/// Echoes by the extension where it is agreed on, and as it is where not.
async fn echo(config: Config) -> SocketAddr {
    let (server, address) = server().await;
    tokio::spawn(server.config(config).serve(|_, mut socket| async move {
        if socket.extensions().is_some_and(|agreed| agreed.contains("x-checksum")) {
            let mut socket = Checked::new(socket).unwrap();
            while let Some(text) = socket.receive().await? {
                socket.send(&text).await?;
            }
        } else {
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
        }
        Ok::<(), Error>(())
    }));
    address
}

#[tokio::test]
async fn an_extension_claims_a_bit_and_an_opcode_over_a_real_socket() {
    let address = echo(with(Checksum)).await;
    let client = Client::new(&format!("ws://{address}/")).unwrap().config(with(Checksum));
    let (mut socket, response) = client.connect_with_response().await.unwrap();
    assert_eq!(response.header("Sec-WebSocket-Extensions"), Some("x-checksum; sum=fnv1a"));
    assert_eq!(socket.extensions().as_deref(), Some("x-checksum; sum=fnv1a"));
    let mut socket = Checked::new(socket).unwrap();
    for n in 1..=20 {
        let text = "grüße ".repeat(n * 50);
        socket.send(&text).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(text));
        assert_eq!(socket.receipts(), n as u64, "the frame with the opcode 11 came first");
    }
    socket.close().await.unwrap();
}

/// A client of plain bytes, after its opening handshake.
async fn wire(address: SocketAddr, offer: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn without_an_agreement_the_same_frames_are_1002() {
    for (config, offer) in [
        (Config::default(), "x-checksum; sum=fnv1a"),
        (with(Checksum), "x-checksum; sum=sha1, x-other"),
        (with(Checksum), "x-checksum"),
    ] {
        let address = echo(config).await;
        for frame in [masked(0xa1, b"text\0\0\0\0"), masked(0x8b, &[0; 8]), masked(0x83, b"")] {
            let (mut wire, head) = wire(address, offer).await;
            assert!(head.starts_with("HTTP/1.1 101") && !head.contains("Extensions"), "{head}");
            wire.write_all(&frame).await.unwrap();
            assert_eq!(close_code(&read_frame(&mut wire).await.unwrap()), 1002);
        }
    }
}

#[tokio::test]
async fn the_first_offer_that_is_not_declined_holds_and_a_wrong_sum_is_seen() {
    let address = echo(with(Checksum)).await;
    let (mut wire, head) = wire(address, "x-other, x-checksum; sum=sha1, x-checksum; sum=fnv1a").await;
    assert!(head.contains("Sec-WebSocket-Extensions: x-checksum; sum=fnv1a\r\n"), "{head}");
    // What is not claimed stays a fault: here RSV2 on a control frame is allowed on opcode 11 alone.
    wire.write_all(&masked(0xa1, b"a\xe4\x0c\x29\x2c")).await.unwrap();
    let receipt = read_frame(&mut wire).await.unwrap();
    assert_eq!((receipt.first, &receipt.payload[..]), (0x8b, &1u64.to_be_bytes()[..]));
    assert_eq!(read_frame(&mut wire).await.unwrap().first, 0xa1);
    wire.write_all(&masked(0xa1, b"a\xe4\x0c\x29\x2d")).await.unwrap();
    assert_eq!(close_code(&read_frame(&mut wire).await.unwrap()), 1007);
}

/// Says one thing and takes another.
#[derive(Debug)]
struct Odd(Claims, &'static str);

impl Negotiate for Odd {
    fn name(&self) -> &str {
        self.1
    }

    fn claims(&self) -> Claims {
        self.0
    }

    fn answer<'a>(&'a self, _: &Extension<'a>) -> Option<Extension<'a>> {
        Some(Extension::new(self.1).flag("odd"))
    }

    fn check(&self, answer: &Extension<'_>) -> bool {
        answer.parameters.is_empty()
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_fails_the_connection() {
    let odd = || with(Odd(Claims::NONE.bits(Rsv::RSV3), "odd"));
    let address = echo(odd()).await;
    let refused = Client::new(&format!("ws://{address}/")).unwrap().config(odd()).connect().await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Handshake(ClientError::Extension(name)) if name == "odd"),
        "{refused}"
    );
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn of_two_that_claim_the_same_the_first_is_accepted() {
    use ws13::Deflate;
    let bit = |bits, name| Arc::new(Odd(Claims::NONE.bits(bits), name)) as Arc<dyn Negotiate>;
    let config = Config {
        deflate: Some(Deflate::default()),
        extensions: vec![
            bit(Rsv::RSV1, "one"),
            bit(Rsv::RSV2, "two"),
            bit(Rsv::RSV2, "three"),
            Arc::new(Checksum),
        ],
        ..Config::default()
    };
    let address = echo(config).await;
    let (_, head) = wire(address, "one, three, two, permessage-deflate, x-checksum; sum=fnv1a").await;
    assert!(head.contains("Sec-WebSocket-Extensions: permessage-deflate, two; odd\r\n"), "{head}");
    let (_, head) = wire(address, "x-checksum; sum=fnv1a, three, one").await;
    assert!(head.contains("Sec-WebSocket-Extensions: one; odd, three; odd\r\n"), "{head}");

    let both = || Config { deflate: Some(Deflate::default()), ..with(Checksum) };
    let address = echo(both()).await;
    let socket = Client::new(&format!("ws://{address}/")).unwrap().config(both()).connect().await.unwrap();
    let mut socket = Checked::new(socket).unwrap();
    socket.send("both").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().as_deref(), Some("both"));
}

fn claimed(role: Role, config: Config) -> End {
    let mut end = End::new(role, config);
    let claims = Claims::NONE.bits(Rsv::RSV2).opcode(OpCode::Reserved3).opcode(OpCode::Reserved12);
    end.connection = end.connection.with_claims(claims);
    end
}

fn extended(opcode: OpCode, rsv: Rsv, bytes: &[u8]) -> Seen {
    Seen::Extended(opcode, rsv, bytes.to_vec())
}

#[test]
fn extended_messages_are_joined_whatever_the_split_and_are_no_text() {
    let bytes = [
        masked(0x21, b"\xff\xfe"),
        masked(0x8c, b"control"),
        masked(0x80, b"\xfd"),
        masked(0x03, b"re"),
        masked(0x89, b"ping"),
        masked(0x00, b"ser"),
        masked(0x80, b"ved"),
        masked(0xa3, b""),
        masked(0xa2, &[7; 300]),
        masked(0x81, b"text"),
    ]
    .concat();
    let expected = [
        extended(OpCode::Reserved12, Rsv::NONE, b"control"),
        extended(OpCode::Text, Rsv::RSV2, b"\xff\xfe\xfd"),
        Seen::Ping(b"ping".to_vec()),
        extended(OpCode::Reserved3, Rsv::NONE, b"reserved"),
        extended(OpCode::Reserved3, Rsv::RSV2, b""),
        extended(OpCode::Binary, Rsv::RSV2, &[7; 300]),
        Seen::text("text"),
    ];
    for cut in 0..=bytes.len() {
        let mut end = claimed(Role::Server, Config::default());
        let mut seen = end.feed(&bytes[..cut]);
        seen.extend(end.feed(&bytes[cut..]));
        assert_eq!(seen, expected, "{cut}");
    }
    // In parts, too, they come whole.
    let mut end = claimed(Role::Server, Config::default());
    end.inbox.extend_from_slice(&bytes);
    let parts: Vec<Seen> = std::iter::from_fn(|| end.part()).collect();
    assert_eq!(parts[..6], expected[..6]);
}

#[test]
fn what_is_not_claimed_stays_a_fault() {
    for (frame, violation) in [
        (masked(0xc1, b"a"), Violation::ReservedBits),
        (masked(0xe1, b"a"), Violation::ReservedBits),
        (masked(0xa9, b""), Violation::ReservedBits),
        (masked(0xa0, b""), Violation::ReservedBits),
        (masked(0x84, b""), Violation::ReservedOpcode(4)),
        (masked(0x8b, b""), Violation::ReservedOpcode(11)),
        ([masked(0x03, b"a"), masked(0x03, b"b")].concat(), Violation::ExpectedContinuation),
        ([masked(0x01, b"a"), masked(0x83, b"b")].concat(), Violation::ExpectedContinuation),
        ([masked(0x03, b"a"), masked(0x81, b"b")].concat(), Violation::ExpectedContinuation),
    ] {
        let mut end = claimed(Role::Server, Config::default());
        assert_eq!(end.feed(&frame), [], "{frame:x?}");
        assert_eq!(end.close_code(), Some(1002));
        let cause = end.connection.closed().unwrap().cause();
        assert_eq!(cause, CloseCause::Fault(Fault::Violation(violation)), "{frame:x?}");
    }
    // A fragmented control frame, and a long one.
    for frame in [masked(0x0c, b""), masked(0x8c, &[0; 126])] {
        let mut end = claimed(Role::Server, Config::default());
        assert_eq!(end.feed(&frame), []);
        assert_eq!(end.close_code(), Some(1002));
    }
}

#[test]
fn the_limits_hold_for_extended_messages_also_where_parts_are_asked_for() {
    let limits = Limits { max_message: 10, ..Limits::default() };
    for parts in [false, true] {
        let mut end = claimed(Role::Server, Config { limits: limits.clone(), ..Config::default() });
        end.inbox.extend_from_slice(&[masked(0x03, &[1; 8]), masked(0x80, &[1; 3])].concat());
        assert_eq!(if parts { end.part() } else { end.event() }, None);
        let cause = end.connection.closed().unwrap().cause();
        assert_eq!(cause, CloseCause::Fault(Fault::Limit(LimitHit::Message { max: 10 })));
    }
}

#[test]
fn what_was_not_agreed_on_is_not_sent() {
    let mut end = claimed(Role::Server, Config::default());
    let End { connection, outbox, .. } = &mut end;
    let mut send = |opcode, rsv| connection.send(Outgoing::extended(opcode, rsv, b"x"), outbox);
    for (opcode, rsv) in [
        (OpCode::Text, Rsv::NONE),
        (OpCode::Text, Rsv::RSV1),
        (OpCode::Binary, Rsv::RSV2.union(Rsv::RSV3)),
        (OpCode::Ping, Rsv::RSV2),
        (OpCode::Close, Rsv::NONE),
        (OpCode::Continuation, Rsv::RSV2),
        (OpCode::Reserved4, Rsv::NONE),
        (OpCode::Reserved3, Rsv::RSV1),
    ] {
        assert_eq!(send(opcode, rsv), Err(Misuse::NotAgreed { opcode, rsv }));
    }
    for (opcode, rsv) in [
        (OpCode::Text, Rsv::RSV2),
        (OpCode::Reserved3, Rsv::NONE),
        (OpCode::Reserved3, Rsv::RSV2),
        (OpCode::Reserved12, Rsv::NONE),
    ] {
        send(opcode, rsv).unwrap();
    }
    let firsts: Vec<u8> = end.frames().iter().map(|frame| frame.first).collect();
    assert_eq!(firsts, [0xa1, 0x83, 0xa3, 0x8c]);
    assert_eq!(
        end.connection.send(Outgoing::extended(OpCode::Reserved12, Rsv::NONE, &[0; 126]), &mut end.outbox),
        Err(Misuse::ControlPayload { len: 126 })
    );
}

#[test]
fn a_client_masks_extended_frames_and_cuts_them() {
    let config = Config { fragment_size: Some(4), ..Config::default() };
    let mut client = claimed(Role::Client, config);
    let message = Outgoing::extended(OpCode::Reserved3, Rsv::RSV2, b"0123456789");
    client.connection.send(message, &mut client.outbox).unwrap();
    let bytes = client.written();
    assert!(common::parse(&bytes).iter().all(|frame| frame.masked));
    let mut server = claimed(Role::Server, Config::default());
    assert_eq!(server.feed(&bytes), [extended(OpCode::Reserved3, Rsv::RSV2, b"0123456789")]);
    let mut client = claimed(Role::Client, Config::default());
    assert_eq!(client.feed(&plain(0xa2, b"x")), [extended(OpCode::Binary, Rsv::RSV2, b"x")]);
    // The blocking driver sends and lends them as the other does.
    let mut connection =
        Connection::new(Role::Server, Config::default()).with_claims(Claims::NONE.bits(Rsv::RSV3));
    let mut inbox = ws13::Inbox::new();
    inbox.extend_from_slice(&masked(0x92, b"y"));
    let event = connection.receive(&mut inbox, &mut ws13::Outbox::new());
    let expected = ExtendedRef { opcode: OpCode::Binary, rsv: Rsv::RSV3, bytes: b"y" };
    assert!(matches!(event, Some(Event::Extended(came)) if came == expected));
}

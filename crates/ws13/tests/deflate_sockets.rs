//! permessage-deflate from the opening handshake on, by both drivers.
#![cfg(all(feature = "deflate", feature = "tokio"))]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use ws13::handshake::server::Accept;
use ws13::handshake::{ClientError, client, server};
use ws13::{Client, Config, ConnectError, Deflate, Error, Kind, Server, deflate};

fn config(deflate: Option<Deflate>) -> Config {
    Config { deflate, ..Config::default() }
}

fn on() -> Option<Deflate> {
    Some(Deflate::default())
}

fn text(n: usize) -> String {
    (0..n).map(|i| format!("{{\"id\":{},\"name\":\"sensor\"}},", i * 7919)).collect()
}

/// A server that echoes; gives its URL.
async fn echo(deflate: Option<Deflate>) -> String {
    let server = Server::bind("127.0.0.1:0").await.unwrap().config(config(deflate));
    let url = format!("ws://{}/", server.local_addr().unwrap());
    tokio::spawn(server.serve(|_, mut socket| async move {
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));
    url
}

#[tokio::test]
async fn both_drivers_agree_and_exchange_compressed_messages() {
    let url = echo(on()).await;
    let (mut socket, response) =
        Client::new(&url).unwrap().config(config(on())).connect_with_response().await.unwrap();
    assert_eq!(response.header("Sec-WebSocket-Extensions"), Some("permessage-deflate"));
    for n in [0, 1, 10, 1000, 10_000, 3] {
        socket.send(text(n)).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some(&text(n)[..]));
    }
    let mut writer = socket.writer(Kind::Text);
    for _ in 0..3 {
        writer.write(text(2000).as_bytes()).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some(&text(2000).repeat(3)[..]));
    socket.send(text(5000)).await.unwrap();
    let mut reader = socket.reader().await.unwrap().unwrap();
    let mut read = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut read).await.unwrap();
    assert_eq!(read, text(5000).as_bytes());

    let blocking = tokio::task::spawn_blocking(move || {
        let mut socket = ws13::blocking::Client::new(&url).unwrap().config(config(on())).connect().unwrap();
        for n in [1, 10, 1000, 3] {
            socket.send(text(n)).unwrap();
            assert_eq!(socket.receive().unwrap().unwrap().as_text(), Some(&text(n)[..]));
        }
    });
    blocking.await.unwrap();
}

#[tokio::test]
async fn a_blocking_server_agrees() {
    let server = ws13::blocking::Server::bind("127.0.0.1:0").unwrap().config(config(on()));
    let url = format!("ws://{}/", server.local_addr().unwrap());
    let stop = server.stop_handle();
    let serving = std::thread::spawn(move || {
        server.serve(|_, mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok::<(), Error>(())
        })
    });
    let (mut socket, response) =
        Client::new(&url).unwrap().config(config(on())).connect_with_response().await.unwrap();
    assert_eq!(response.header("Sec-WebSocket-Extensions"), Some("permessage-deflate"));
    for n in [1000, 10, 1000] {
        socket.send(text(n)).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some(&text(n)[..]));
    }
    drop(socket);
    stop.stop();
    serving.join().unwrap().unwrap();
}

#[tokio::test]
async fn one_side_alone_agrees_on_nothing() {
    for (ours, theirs) in [(None, on()), (on(), None), (None, None)] {
        let url = echo(theirs).await;
        let client = Client::new(&url).unwrap().config(config(ours));
        let (mut socket, response) = client.connect_with_response().await.unwrap();
        assert_eq!(response.header("Sec-WebSocket-Extensions"), None);
        socket.send(text(100)).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some(&text(100)[..]));
    }
}

#[tokio::test]
async fn a_compressed_echo_is_smaller_on_the_wire() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let agreed = deflate::Agreed::default();
    let connection = ws13::Connection::new(ws13::Role::Server, config(on())).with_deflate(agreed);
    let mut socket = ws13::WebSocket::from_parts(near, connection, ws13::Inbox::new());
    socket.send(text(1000)).await.unwrap();
    drop(socket);
    let (mut far, mut bytes) = (far, Vec::new());
    tokio::io::AsyncReadExt::read_to_end(&mut far, &mut bytes).await.unwrap();
    assert!(bytes[0] == 0xc1 && bytes.len() < text(1000).len() / 5, "{}", bytes.len());
}

/// A server's answer to a client's handshake, through memory.
fn answer(offer: &str, deflate: Option<Deflate>, accept: Accept) -> server::Accepted {
    let request = client::Request::new(&"ws://a/".parse().unwrap()).extensions(offer).unwrap();
    let (_, bytes) = client::Upgrade::start(request).unwrap();
    let options = server::Options { deflate, ..server::Options::default() };
    let received = server::ReadRequest::new(options).receive(&bytes);
    let Ok(Some((server::Received::Upgrade(upgrade), _))) = received else { panic!("no handshake") };
    upgrade.accept(accept).unwrap()
}

#[test]
fn the_server_answers_the_first_offer_that_it_can_accept() {
    for (offer, told) in [
        ("permessage-deflate", Some("permessage-deflate")),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate; nonsense", None),
        (
            "foo, permessage-deflate; nonsense, permessage-deflate; server_max_window_bits=10",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        ("", None),
    ] {
        let accepted = answer(offer, on(), Accept::new());
        assert_eq!(accepted.agreed.extensions.as_deref(), told, "{offer}");
        assert_eq!(accepted.agreed.deflate.is_some(), told.is_some());
        let head = String::from_utf8(accepted.response).unwrap();
        assert_eq!(head.contains("Sec-WebSocket-Extensions"), told.is_some());
        assert_eq!(answer(offer, None, Accept::new()).agreed.deflate, None);
    }
}

#[test]
fn the_caller_of_accept_can_do_without_and_can_negotiate_itself() {
    let offer = "permessage-deflate, foo";
    let without = answer(offer, on(), Accept::new().without_deflate());
    assert_eq!((without.agreed.extensions, without.agreed.deflate), (None, None));
    let own = Accept::new().extensions("permessage-deflate; server_no_context_takeover").unwrap();
    let own = answer(offer, on(), own);
    assert_eq!(own.agreed.extensions.as_deref(), Some("permessage-deflate; server_no_context_takeover"));
    assert_eq!(own.agreed.deflate, None);
    let more = answer(offer, on(), Accept::new().extensions("foo; bar").unwrap());
    assert_eq!(more.agreed.extensions.as_deref(), Some("permessage-deflate, foo; bar"));
    assert!(more.agreed.deflate.is_some());
}

/// What a client makes of a server's answer.
fn judged(ours: Option<Deflate>, told: &str) -> Result<Option<deflate::Agreed>, ClientError> {
    let request = client::Request::new(&"ws://a/".parse().unwrap()).deflate(ours);
    let (mut upgrade, _) = client::Upgrade::new(request, *b"the sample nonce").unwrap();
    let answer = format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: {told}\r\n\r\n"
    );
    upgrade.receive(answer.as_bytes()).map(|accepted| accepted.unwrap().0.agreed.deflate)
}

#[test]
fn server_max_window_bits_of_7_16_1000_empty_08_twice_is_a_clean_handshake_failure() {
    for bits in ["7", "16", "1000", "08", "9; server_max_window_bits=9", "x", "-1"] {
        let told = format!("permessage-deflate; server_max_window_bits={bits}");
        assert!(matches!(judged(on(), &told), Err(ClientError::Deflate(_))), "{told}");
    }
    for told in
        ["permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=\"\""]
    {
        assert!(matches!(judged(on(), told), Err(ClientError::Extensions)), "{told}");
    }
    assert!(matches!(
        judged(on(), "permessage-deflate; server_max_window_bits"),
        Err(ClientError::Deflate(_))
    ));
    assert_eq!(judged(on(), "permessage-deflate").unwrap(), Some(deflate::Agreed::default()));
    assert!(matches!(judged(None, "permessage-deflate"), Err(ClientError::ExtensionNotOffered(_))));
    assert!(matches!(judged(on(), "foo"), Err(ClientError::ExtensionNotOffered(_))));
}

#[tokio::test]
async fn client_max_window_bits_that_was_not_offered_fails_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let Ok(Some((server::Received::Upgrade(upgrade), _))) =
            server::ReadRequest::new(server::Options::default()).receive(request.as_bytes())
        else {
            panic!("{request}")
        };
        let answer = upgrade.accept(Accept::new()).unwrap().response;
        let answer = String::from_utf8(answer).unwrap().replacen(
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n\r\n",
            1,
        );
        stream.write_all(answer.as_bytes()).unwrap();
        request
    });
    let bare = Deflate { offer_client_max_window_bits: false, ..Deflate::default() };
    let client = Client::new(&url).unwrap().config(config(Some(bare))).timeout(Duration::from_secs(5));
    let refused = client.connect().await.unwrap_err();
    assert!(asked.join().unwrap().contains("Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    assert!(matches!(&refused, ConnectError::Handshake(ClientError::Deflate(_))), "{refused}");
    assert!(refused.to_string().contains("was not offered"), "{refused}");
}

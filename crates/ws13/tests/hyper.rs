//! `ws13::hyper` in services on hyper, over real sockets.
#![cfg(feature = "hyper")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::masked;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use net::{dial, read_frame, soon};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use ws13::hyper::{NotUpgraded, Refused, Upgrader, WebSocket};
use ws13::{Client, CloseCode, Error, Stream};

async fn echo(mut socket: WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrader = Upgrader::new().subprotocol("chat".parse().unwrap());
    Ok(match upgrader.upgrade(&mut request) {
        Ok((response, upgrade)) => {
            assert_eq!(upgrade.request().path(), request.uri().path());
            assert_eq!(upgrade.subprotocol(), upgrade.request().subprotocols().first().map(AsRef::as_ref));
            upgrade.serve(echo);
            response
        }
        Err(refused) => refused.response(),
    })
}

async fn serve_one<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(service));
    let _ = connection.with_upgrades().await;
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_one(stream));
        }
    });
    address
}

#[tokio::test]
async fn our_client_talks_to_a_hyper_service() {
    let address = serve().await;
    let client = Client::new(&format!("ws://{address}/")).unwrap().subprotocol("chat");
    let mut socket = soon(client.connect()).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("chat"));
    talk(&mut socket).await;
}

/// A stream that hyper cannot give back as it is: in memory here, encrypted elsewhere.
#[tokio::test]
async fn any_stream_will_do() {
    let (near, far) = tokio::io::duplex(1000);
    tokio::spawn(serve_one(far));
    let (mut socket, _) = soon(Client::new("ws://in.memory/").unwrap().connect_on(near)).await.unwrap();
    talk(&mut socket).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_will_do() {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    tokio::spawn(serve_one(far));
    let (mut socket, _) =
        soon(Client::new("ws://localhost/").unwrap().connect_on(Stream::Unix(near))).await.unwrap();
    talk(&mut socket).await;
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut ws13::WebSocket<S>) {
    soon(socket.send("hi")).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("hi".into()));
    soon(socket.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!(socket.closed().unwrap().reason(), "bye");
}

#[tokio::test]
async fn a_plain_request_and_a_foreign_page_are_refused() {
    let address = serve().await;
    let (_, head) = soon(dial(address, "Origin: http://evil.example\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let head = soon(net::read_head(&mut stream)).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
}

/// Without `with_upgrades` hyper keeps the connection: the program's mistake, told to the program.
#[tokio::test]
async fn a_connection_without_upgrades_is_the_servers_fault() {
    let mut request = Request::get("/").header("Host", "a").header("Upgrade", "websocket");
    for (name, value) in [
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ] {
        request = request.header(name, value);
    }
    let refused = ws13::hyper::upgrade(&mut request.body(()).unwrap()).unwrap_err();
    assert!(matches!(refused, Refused::NotUpgradable), "{refused}");
    assert!(refused.to_string().contains("with_upgrades"), "{refused}");
    assert_eq!(refused.response().status(), 500);
}

/// The connection ends while the response is still being made.
#[tokio::test]
async fn an_upgrade_whose_connection_ends_fails() {
    let (told, mut heard) = mpsc::unbounded_channel::<Result<WebSocket, NotUpgraded>>();
    let (mut near, far) = tokio::io::duplex(1000);
    let asked = Arc::new(Notify::new());
    let asking = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (told, asking) = (told.clone(), Arc::clone(&asking));
        async move {
            let (response, upgrade) = ws13::hyper::upgrade(&mut request).unwrap();
            tokio::spawn(async move { told.send(upgrade.await) });
            asking.notify_one();
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades();
    let serving = tokio::spawn(connection);
    near.write_all(net::request(([127, 0, 0, 1], 80).into(), "").as_bytes()).await.unwrap();
    soon(asked.notified()).await;
    serving.abort();
    let error = soon(heard.recv()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("before the 101 response was written"), "{error}");
}

/// Whoever wants the socket itself awaits it.
#[tokio::test]
async fn an_upgrade_can_be_awaited() {
    let (given, mut taken) = mpsc::unbounded_channel();
    let (mut near, far) = tokio::io::duplex(1000);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let given = given.clone();
        async move {
            let (response, upgrade) = ws13::hyper::upgrade(&mut request).unwrap();
            tokio::spawn(async move { given.send(upgrade.await.unwrap()) });
            Ok::<_, Infallible>(response)
        }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades());
    let early = masked(0x81, b"early");
    let head = net::request(([127, 0, 0, 1], 80).into(), "");
    near.write_all(&[head.as_bytes(), &early].concat()).await.unwrap();
    let mut socket: WebSocket = soon(taken.recv()).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("early".into()));
    soon(socket.send("late")).await.unwrap();
    assert!(soon(net::read_head(&mut near)).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(soon(read_frame(&mut near)).await.unwrap().payload, b"late");
}

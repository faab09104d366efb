//! White box: the socket below hyper is taken back out, whoever serves the connection.

use super::stream::Upgraded;
use ::axum::Router;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nearly";

type Taken = mpsc::UnboundedSender<(Upgraded, Bytes)>;

/// Upgrades whatever it is asked, and tells what came out.
async fn upgrade<B: Send>(
    mut request: Request<B>,
    taken: Taken,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let on_upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        taken.send(Upgraded::take(on_upgrade.await.unwrap())).unwrap();
    });
    let response = Response::builder().status(101).header("Upgrade", "x").header("Connection", "Upgrade");
    Ok(response.body(Empty::new()).unwrap())
}

async fn listen() -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    (listener, client)
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends in time")
}

async fn check_socket(heard: &mut mpsc::UnboundedReceiver<(Upgraded, Bytes)>, client: &TcpStream) {
    let (stream, early) = soon(heard.recv()).await.unwrap();
    assert_eq!(stream.peer_addr(), Some(client.local_addr().unwrap()), "it is the socket itself");
    assert_eq!(&early[..], b"early");
}

#[tokio::test]
async fn the_socket_comes_out_of_hypers_own_connection() {
    let (taken, mut heard) = mpsc::unbounded_channel();
    let (listener, client) = listen().await;
    let stream = TokioIo::new(listener.accept().await.unwrap().0);
    let service = service_fn(move |request: Request<Incoming>| upgrade(request, taken.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
    soon(connection.with_upgrades()).await.unwrap();
    check_socket(&mut heard, &client).await;
}

#[tokio::test]
async fn the_socket_comes_out_of_hyper_utils_connection() {
    let (taken, mut heard) = mpsc::unbounded_channel();
    let (listener, client) = listen().await;
    let stream = TokioIo::new(listener.accept().await.unwrap().0);
    let service = service_fn(move |request: Request<Incoming>| upgrade(request, taken.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    soon(builder.serve_connection_with_upgrades(stream, service)).await.unwrap();
    check_socket(&mut heard, &client).await;
}

#[tokio::test]
async fn the_socket_comes_out_of_axum() {
    let (taken, mut heard) = mpsc::unbounded_channel();
    let (listener, client) = listen().await;
    let handler = move |request: ::axum::extract::Request| async move {
        let response = upgrade(request, taken).await.unwrap();
        response.map(::axum::body::Body::new)
    };
    let app = Router::new().route("/", ::axum::routing::get(handler));
    let serving = tokio::spawn(async move { ::axum::serve(listener, app).await });
    check_socket(&mut heard, &client).await;
    serving.abort();
}

/// Another kind of stream, such as an encrypted one, is reached through hyper, and nothing is lost.
#[tokio::test]
async fn another_stream_goes_on_through_hyper() {
    let (taken, mut heard) = mpsc::unbounded_channel();
    let (mut client, server): (DuplexStream, _) = tokio::io::duplex(1024);
    client.write_all(REQUEST).await.unwrap();
    let service = service_fn(move |request: Request<Incoming>| upgrade(request, taken.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    soon(connection.with_upgrades()).await.unwrap();
    let (mut stream, early) = soon(heard.recv()).await.unwrap();
    assert!(stream.socket().is_none() && stream.peer_addr().is_none() && early.is_empty());
    let mut read = [0; 5];
    soon(stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"early");
    stream.write_all(b"late").await.unwrap();
    drop(stream);
    let mut rest = String::new();
    soon(client.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 101 ") && rest.ends_with("\r\n\r\nlate"), "{rest}");
}

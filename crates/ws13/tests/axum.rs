//! The axum extractor in real applications, over real sockets.
#![cfg(feature = "axum")]

mod common;
#[path = "common/net.rs"]
mod net;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use common::{masked, plain};
use net::{close_code, dial, read_frame, read_head, request, soon};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use ws13::axum::{Connections, Refused, WebSocket, WebSocketUpgrade};
use ws13::handshake::{OriginPolicy, Subprotocol};
use ws13::{Client, CloseCode, Config, Error, Keepalive, Limits, Message};

async fn echo(mut socket: WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn upgraded(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// Serves an application in the background, and gives the address.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// An application whose route `/chat` echoes with these settings.
async fn serve_with(change: fn(WebSocketUpgrade) -> WebSocketUpgrade) -> SocketAddr {
    let handler = move |upgrade: WebSocketUpgrade| async move { change(upgrade).on_upgrade(echo) };
    serve(Router::new().route("/chat", any(handler))).await
}

async fn connect(address: SocketAddr) -> ws13::WebSocket<ws13::Stream> {
    soon(ws13::connect(&format!("ws://{address}/chat"))).await.unwrap()
}

/// Writes a request as it is, and gives all that comes until the end of the stream.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

fn status(head: &str) -> &str {
    head.get("HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3)).unwrap_or(head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_talks_to_an_axum_application() {
    let address = serve(Router::new().route("/chat", any(upgraded))).await;
    let mut socket = connect(address).await;
    for len in [0, 1, 200, 70_000, 900_000] {
        let message = Message::from(vec![7; len]);
        soon(socket.send(&message)).await.unwrap();
        assert_eq!(soon(socket.receive()).await.unwrap(), Some(message));
    }
    soon(socket.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!(socket.closed().unwrap().reason(), "bye");
}

#[tokio::test]
async fn state_path_and_other_extractors_go_along_in_nested_routers() {
    async fn greet(
        State(greeting): State<&'static str>,
        Path(name): Path<String>,
        upgrade: WebSocketUpgrade,
    ) -> Response {
        assert_eq!(upgrade.headers()["x-test"], "1");
        upgrade.on_upgrade(move |mut socket| async move {
            let _ = socket.send(format!("{greeting}, {name}")).await;
        })
    }
    let nested = Router::new().route("/{name}", get(greet)).with_state("hello");
    let address = serve(Router::new().nest("/greet", nested)).await;
    let client = Client::new(&format!("ws://{address}/greet/ann")).unwrap().header("X-Test", "1");
    let mut socket = soon(client.connect()).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("hello, ann".into()));
    // The handler has returned.
    assert_eq!(soon(socket.receive()).await.unwrap(), None);
    assert_eq!(socket.closed().unwrap().code(), 1000);
}

#[tokio::test]
async fn layers_pass() {
    let app = Router::new()
        .route("/chat", any(upgraded))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(http_status(504), Duration::from_millis(100)))
        .layer(CorsLayer::permissive())
        .layer(CatchPanicLayer::new())
        .layer(tower::limit::ConcurrencyLimitLayer::new(1))
        .layer(TraceLayer::new_for_http());
    let address = serve(app).await;
    let (mut wire, head) = soon(dial(address, "Accept-Encoding: gzip\r\n")).await;
    assert_eq!(status(&head), "101", "{head}");
    assert!(
        head.to_lowercase().contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    assert!(!head.to_lowercase().contains("content-encoding"), "{head}");
    // The timeout was the response's, and so was the place among the concurrent ones.
    tokio::time::sleep(Duration::from_millis(250)).await;
    let mut socket = connect(address).await;
    soon(socket.send("second")).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("second".into()));
    wire.write_all(&masked(0x81, b"first")).await.unwrap();
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().payload, b"first");
}

fn http_status(code: u16) -> axum::http::StatusCode {
    axum::http::StatusCode::from_u16(code).unwrap()
}

#[tokio::test]
async fn bytes_that_come_with_the_request_are_not_lost() {
    let address = serve(Router::new().route("/chat", any(upgraded))).await;
    let mut wire = TcpStream::connect(address).await.unwrap();
    let frames =
        [masked(0x81, b"early"), masked(0x82, &[7; 3000]), masked(0x01, b"ha")[..3].to_vec()].concat();
    wire.write_all(&[request(address, "").as_bytes(), &frames].concat()).await.unwrap();
    let head = soon(read_head(&mut wire)).await;
    assert_eq!(status(&head), "101", "{head}");
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().payload, b"early");
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().payload, [7; 3000]);
    // The rest of a frame that was cut.
    wire.write_all(&masked(0x01, b"ha")[3..]).await.unwrap();
    wire.write_all(&masked(0x80, b"lf")).await.unwrap();
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().payload, b"half");
}

#[tokio::test]
async fn garbage_behind_the_request_ends_in_1002() {
    let address = serve(Router::new().route("/chat", any(upgraded))).await;
    let mut wire = TcpStream::connect(address).await.unwrap();
    let pipelined = format!("{}GET / HTTP/1.1\r\nHost: a\r\n\r\n", request(address, ""));
    wire.write_all(pipelined.as_bytes()).await.unwrap();
    assert_eq!(status(&soon(read_head(&mut wire)).await), "101");
    assert_eq!(close_code(&soon(read_frame(&mut wire)).await.unwrap()), 1002);
}

#[tokio::test]
async fn what_follows_a_refused_handshake_is_never_a_request() {
    let page = get(|| async { "secret" });
    let address = serve(Router::new().route("/chat", any(upgraded)).route("/secret", page)).await;
    let smuggled = "GET /secret HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (headers, expected) in [
        ("Origin: http://evil.example\r\n", "403"),
        ("Content-Length: 63\r\n", "400"),
        ("Sec-WebSocket-Version: 13\r\n", "426"),
    ] {
        let answer = answer(address, &format!("{}{smuggled}", request(address, headers))).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close"), "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
}

/// Each wrong request, byte by byte, and what it gets.
#[tokio::test]
async fn refusals() {
    let address = serve(Router::new().route("/chat", any(upgraded))).await;
    let good = request(address, "");
    let without = |line: &str| {
        let lines: Vec<_> = good.split("\r\n").filter(|own| !own.starts_with(line)).collect();
        lines.join("\r\n")
    };
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for (request, expected, says) in [
        (with("GET", "POST"), "405", "GET"),
        (with("GET", "HEAD"), "405", ""),
        (with("HTTP/1.1", "HTTP/1.0"), "400", "HTTP/1.1"),
        (without("Host"), "400", "Host"),
        (without("Upgrade"), "400", "'Upgrade: websocket'"),
        (without("Connection"), "400", "'Connection: Upgrade'"),
        (without("Sec-WebSocket-Key"), "400", "Sec-WebSocket-Key"),
        (without("Sec-WebSocket-Version"), "426", "version 13"),
        (with("Version: 13", "Version: 8"), "426", "version 13"),
        (with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), "400", "24 characters"),
        (with("/chat?room=1", "http://a b/chat"), "400", ""),
        (good.replacen("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n.", 1), "400", "no body"),
        (good.replacen("\r\n\r\n", "\r\nOrigin: null\r\n\r\n", 1), "403", "Origin"),
        (
            good.replacen("\r\n\r\n", &format!("\r\nOrigin: https://{address}\r\n\r\n"), 1),
            "403",
            "same scheme",
        ),
        (good.replacen("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a;;\r\n\r\n", 1), "400", "malformed"),
    ] {
        let answer = answer(address, &request).await;
        assert_eq!(status(&answer), expected, "{request}\n{answer}");
        assert!(answer.contains(says), "{answer}");
        assert_eq!(expected == "426", answer.to_lowercase().contains("\r\nsec-websocket-version: 13\r\n"));
    }
    // The same host by the same scheme may.
    let (_, head) = soon(dial(address, &format!("Origin: http://{address}\r\n"))).await;
    assert_eq!(status(&head), "101");
}

#[tokio::test]
async fn a_plain_request_gets_426_or_the_page_of_who_has_one_and_may_go_on() {
    async fn page(upgrade: Option<WebSocketUpgrade>) -> Response {
        upgrade.map_or_else(|| "a page".into_response(), |upgrade| upgrade.on_upgrade(echo))
    }
    async fn told(upgrade: Result<WebSocketUpgrade, Refused>) -> Response {
        match upgrade {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refused) => format!("{refused}").into_response(),
        }
    }
    let app = Router::new().route("/chat", any(upgraded)).route("/page", any(page)).route("/told", any(told));
    let address = serve(app).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for (line, expected, body) in [
        ("GET /chat", "426", "this is a WebSocket endpoint: connect with a WebSocket client, version 13\n"),
        ("POST /chat", "426", "this is a WebSocket endpoint: connect with a WebSocket client, version 13\n"),
        ("HEAD /chat", "426", ""),
        ("GET /page", "200", "a page"),
        ("GET /told", "200", "the request does not ask for a WebSocket"),
    ] {
        stream.write_all(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let head = soon(read_head(&mut stream)).await;
        assert_eq!(status(&head), expected, "{head}");
        assert_eq!(expected == "426", head.to_lowercase().contains("\r\nconnection: upgrade\r\n"), "{head}");
        let mut read = vec![0; body.len()];
        soon(stream.read_exact(&mut read)).await.unwrap();
        assert_eq!(read, body.as_bytes());
    }
    let mut socket = soon(ws13::connect(&format!("ws://{address}/page"))).await.unwrap();
    soon(socket.send("hi")).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("hi".into()));
}

#[tokio::test]
async fn settings_bind() {
    const CHAT: &str = "Sec-WebSocket-Protocol: chat\r\n";
    let address = serve_with(|upgrade| {
        let limits = Limits { max_message: 10, ..Limits::default() };
        upgrade
            .config(Config { limits, ..Config::default() })
            .subprotocol(Subprotocol::from_static("chat"))
            .require_subprotocol()
            .origins(OriginPolicy::list(["https://example.com".parse().unwrap()]))
    })
    .await;
    let (_, head) = soon(dial(address, "")).await;
    assert_eq!(status(&head), "400", "no subprotocol");
    let (_, head) = soon(dial(address, &format!("{CHAT}Origin: http://{address}\r\n"))).await;
    assert_eq!(status(&head), "403", "it is not in the list");
    let (mut wire, head) = soon(dial(address, &format!("{CHAT}Origin: https://example.com\r\n"))).await;
    assert!(head.to_lowercase().contains("\r\nsec-websocket-protocol: chat\r\n"), "{head}");
    wire.write_all(&masked(0x81, b"0123456789")).await.unwrap();
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().payload, b"0123456789");
    wire.write_all(&masked(0x81, b"0123456789a")).await.unwrap();
    assert_eq!(close_code(&soon(read_frame(&mut wire)).await.unwrap()), 1009);
}

#[tokio::test]
async fn behind_tls_pages_of_https_are_of_the_same_origin() {
    let address = serve_with(WebSocketUpgrade::behind_tls).await;
    let (_, head) = soon(dial(address, &format!("Origin: https://{address}\r\n"))).await;
    assert_eq!(status(&head), "101", "{head}");
    let (_, head) = soon(dial(address, &format!("Origin: http://{address}\r\n"))).await;
    assert_eq!(status(&head), "403", "{head}");
}

#[tokio::test]
async fn a_client_without_host_is_let_in_by_the_quirk() {
    let address = serve_with(|upgrade| {
        let mut config = Config::default();
        config.quirks.accept_missing_host = true;
        upgrade.config(config)
    })
    .await;
    let mut wire = TcpStream::connect(address).await.unwrap();
    let head = request(address, "").replace(&format!("Host: {address}\r\n"), "");
    wire.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&soon(read_head(&mut wire)).await), "101");
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compression_is_agreed_where_it_is_set() {
    let address = serve_with(|upgrade| {
        upgrade.config(Config { deflate: Some(ws13::Deflate::default()), ..Config::default() })
    })
    .await;
    let config = Config { deflate: Some(ws13::Deflate::default()), ..Config::default() };
    let client = Client::new(&format!("ws://{address}/chat")).unwrap().config(config.clone());
    let (mut socket, response) = soon(client.connect_with_response()).await.unwrap();
    assert!(response.headers["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate"));
    let text = "compress me, ".repeat(1000);
    soon(socket.send(text.as_str())).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap(), Some(text.into()));
    // And is not where it is not.
    let address = serve_with(|upgrade| upgrade).await;
    let client = Client::new(&format!("ws://{address}/chat")).unwrap().config(config);
    let (_, response) = soon(client.connect_with_response()).await.unwrap();
    assert!(!response.headers.contains_key("sec-websocket-extensions"));
}

/// As in `Server::serve`: what the handler says before it waits goes out in one write.
#[tokio::test]
async fn replies_are_collected_while_the_handler_runs() {
    async fn handler(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(message) = socket.receive().await? {
                for _ in 0..100 {
                    socket.send(&message).await?;
                }
            }
            Ok::<(), Error>(())
        })
    }
    let address = serve(Router::new().route("/chat", any(handler))).await;
    let (mut wire, _) = soon(dial(address, "")).await;
    wire.write_all(&masked(0x81, b"x")).await.unwrap();
    let mut read = [0; 1000];
    let len = soon(wire.read(&mut read)).await.unwrap();
    assert_eq!(read[..len], plain(0x81, b"x").repeat(100), "all of them in the first segment");
}

/// As in `Server::serve`: a handler that never receives does not keep Pings from going out.
#[tokio::test]
async fn keepalive_holds_while_the_handler_is_busy() {
    async fn busy(upgrade: WebSocketUpgrade) -> Response {
        let keepalive = Keepalive { ping_interval: Some(Duration::from_millis(50)), ..Keepalive::default() };
        upgrade.config(Config { keepalive, ..Config::default() }).on_upgrade(|socket| async move {
            std::future::pending::<()>().await;
            drop(socket);
        })
    }
    let address = serve(Router::new().route("/chat", any(busy))).await;
    let (mut wire, _) = soon(dial(address, "")).await;
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().first, 0x89);
    // Answered, the next one comes.
    wire.write_all(&masked(0x8a, b"")).await.unwrap();
    assert_eq!(soon(read_frame(&mut wire)).await.unwrap().first, 0x89);
}

#[tokio::test]
async fn a_graceful_end_closes_the_websockets_with_1001() {
    let connections = Connections::new();
    let app = Router::new().route("/chat", any(upgraded)).layer(Extension(connections.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let serving = tokio::spawn(async move { server.await });
    let (mut polite, mut silent) = (connect(address).await, soon(dial(address, "")).await.0);
    soon(polite.send("hi")).await.unwrap();
    assert_eq!(soon(polite.receive()).await.unwrap(), Some("hi".into()));
    assert_eq!(connections.len(), 2);
    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
    let start = Instant::now();
    let (_, received) =
        soon(async { tokio::join!(connections.close(Duration::from_millis(300)), polite.receive()) }).await;
    assert_eq!(received.unwrap(), None);
    assert_eq!(polite.closed().unwrap().code(), 1001);
    // The silent one is told, and dropped when its time is over.
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(connections.is_empty() && connections.is_closing());
    assert_eq!(close_code(&soon(read_frame(&mut silent)).await.unwrap()), 1001);
}

#[tokio::test]
async fn the_end_can_be_spread() {
    let connections = Connections::new();
    let app = Router::new().route("/chat", any(upgraded)).layer(Extension(connections.clone()));
    let address = serve(app).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = connect(address).await;
        // The handler runs.
        soon(socket.send("hi")).await.unwrap();
        soon(socket.receive()).await.unwrap();
        sockets.push(socket);
    }
    let start = Instant::now();
    let told = sockets.into_iter().map(|mut socket| async move {
        assert_eq!(soon(socket.receive()).await.unwrap(), None);
        assert_eq!(socket.closed().unwrap().code(), 1001);
        start.elapsed()
    });
    let spread = Duration::from_millis(500);
    let closing = connections.close_spread(spread, Duration::from_secs(10));
    let (times, ()) = tokio::join!(futures_util::future::join_all(told), soon(closing));
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*last - *first > spread / 2, "{times:?}");
}

#[tokio::test]
async fn after_the_end_there_are_no_more() {
    let connections = Connections::new();
    let app = Router::new().route("/chat", any(upgraded)).layer(Extension(connections.clone()));
    let address = serve(app).await;
    soon(connections.close(Duration::from_secs(1))).await;
    let (_, head) = soon(dial(address, "")).await;
    assert_eq!(status(&head), "503", "{head}");
}

/// RFC 8441 is not spoken; the refusal says so.
#[tokio::test]
async fn http_2_is_refused_clearly() {
    use axum::body::Body;
    use hyper::ext::Protocol;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let address = serve(Router::new().route("/chat", any(upgraded))).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        soon(hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{address}/chat");
    let get = axum::http::Request::get(&uri).body(Body::empty()).unwrap();
    assert_eq!(soon(sender.send_request(get)).await.unwrap().status(), 426);
    let mut connect = axum::http::Request::connect(&uri).header("sec-websocket-version", "13");
    connect.extensions_mut().unwrap().insert(Protocol::from_static("websocket"));
    let response = soon(sender.send_request(connect.body(Body::empty()).unwrap())).await.unwrap();
    assert_eq!(response.status(), 501);
}

//! What a client reports to `tracing`, by both drivers: that it opened, was redirected, failed, closed and why; and never
//! a payload, a password or a token.
#![cfg(all(feature = "tokio", feature = "tracing"))]

mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/recorder.rs"]
mod recorder;

use net::{server, soon};
use recorder::Recorder;
use std::net::SocketAddr;
use ws13::handshake::Reply;
use ws13::handshake::server::Accept;
use ws13::http::StatusCode;
use ws13::{Client, CloseCode, ConnectError, Error, Server, Stream, WebSocket, blocking};

/// Echoes once and closes with a code of its own; redirects from `/old`, refuses `/no`. What it reports itself is not
/// heard.
fn serve() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _deaf = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, address) = server().await;
            tell.send(address).unwrap();
            run(server).await
        })
    });
    told.recv().unwrap()
}

async fn run(server: Server) -> std::io::Result<()> {
    let server = server.on_request(|request| match request.path() {
        "/loop" => Err(Reply::new(StatusCode::FOUND).header("Location", "/loop?token=hidden").unwrap()),
        "/old" => Err(Reply::new(StatusCode::FOUND).header("Location", "/new?token=hidden").unwrap()),
        "/no" => Err(Reply::forbidden("not you")),
        _ => Ok(Accept::new()),
    });
    let handler = |_, mut socket: WebSocket<Stream>| async move {
        if let Some(message) = socket.receive().await? {
            socket.send(message).await?;
            socket.close(CloseCode::new(4001).unwrap(), "enough").await?;
        }
        Ok::<(), Error>(())
    };
    server.serve(handler).await
}

async fn talk(client: Client) -> Result<(), ConnectError> {
    let mut socket = soon(client.connect()).await?;
    soon(socket.send("secret words")).await.unwrap();
    while soon(socket.receive()).await.unwrap().is_some() {}
    Ok(())
}

fn talk_blocking(client: blocking::Client) -> Result<(), ConnectError> {
    let mut socket = client.connect()?;
    socket.send("secret words").unwrap();
    while socket.receive().unwrap().is_some() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_report_where_they_go_and_how_it_ends() {
    let address = serve();
    let recorder = Recorder::default();
    tracing::subscriber::set_global_default(recorder.clone()).unwrap();
    let url = |path: &str| format!("ws://me:hidden@{address}{path}");
    for blocking in [false, true] {
        recorder.lines.lock().unwrap().clear();
        let visit = async |path: &str| {
            let url = url(path);
            if blocking {
                let client = blocking::Client::new(&url).unwrap().redirects(1);
                soon(tokio::task::spawn_blocking(|| talk_blocking(client))).await.unwrap()
            } else {
                talk(Client::new(&url).unwrap().redirects(1)).await
            }
        };
        visit("/old?token=hidden").await.unwrap();
        let told = |line: &str| line.starts_with("span INFO") && line.contains("url=");
        let span = recorder.until(told).await;
        assert!(span.contains(&format!("url=\"ws://{address}/old\"")), "{span}");
        let redirected = recorder.until(|line| line.contains("message=redirected")).await;
        assert!(redirected.contains(&format!("to=\"ws://{address}/new\"")), "{redirected}");
        let closed = recorder.until(|line| line.contains("message=connection closed")).await;
        assert!(closed.contains("code=4001") && closed.contains("reason=\"enough\""), "{closed}");
        assert!(closed.contains("received=1 sent=1"), "{closed}");

        assert!(visit("/no").await.is_err());
        let failed = recorder.until(|line| line.contains("message=connection failed")).await;
        assert!(failed.starts_with("event WARN") && failed.contains("403"), "{failed}");
        assert!(visit("/loop?token=hidden").await.is_err());
        recorder.until(|line| line.contains("message=connection failed") && line.contains("/loop")).await;
        let lines = recorder.lines.lock().unwrap();
        let opened = lines.iter().filter(|line| line.contains("message=connection opened")).count();
        assert_eq!(opened, 1, "{lines:#?}");
        for secret in ["secret", "hidden"] {
            assert!(!lines.iter().any(|line| line.contains(secret)), "{lines:#?}");
        }
    }
}

#[tokio::test]
async fn a_socket_that_is_dropped_is_reported_too() {
    // Of this thread alone.
    let recorder = Recorder::default();
    let _ours = tracing::subscriber::set_default(recorder.clone());
    let (near, far) = tokio::io::duplex(10_000);
    let accepting = async {
        let ws13::Opening::Upgrade(asked) = ws13::Acceptor::new().read(far).await.unwrap() else {
            panic!("no upgrade")
        };
        asked.accept().await.unwrap()
    };
    let (made, _server) = tokio::join!(Client::new("ws://in.memory/").unwrap().connect_on(near), accepting);
    drop(made.unwrap());
    let closed = recorder.until(|line| line.contains("message=connection closed")).await;
    assert!(closed.contains("code=1006 cause=\"dropped\""), "{closed}");
}

//! What a server reports to `tracing`: that it opened, refused, closed and why; and never a payload.
#![cfg(all(feature = "tokio", feature = "tracing"))]

mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/recorder.rs"]
mod recorder;

use common::masked;
use net::{dial, server, soon};
use recorder::Recorder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ws13::{Error, WebSocket};

#[tokio::test]
async fn connections_closes_limits_and_refusals_are_reported_and_payloads_never() {
    let recorder = Recorder::default();
    tracing::subscriber::set_global_default(recorder.clone()).unwrap();
    let (server, address) = server().await;
    tokio::spawn(server.serve(|_, mut socket: WebSocket<_>| async move {
        while let Some(message) = socket.receive().await? {
            tracing::info!(target: "ws13", "of the handler");
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));

    let (mut stream, _) = dial(address, "").await;
    stream.write_all(&masked(0x81, b"secret words")).await.unwrap();
    stream.write_all(&masked(0x88, &[&4001u16.to_be_bytes()[..], b"by\ne"].concat())).await.unwrap();
    soon(stream.read_to_end(&mut Vec::new())).await.unwrap();
    let span = recorder.until(|line| line.starts_with("span INFO")).await;
    assert!(span.contains("peer=127.0.0.1:") && span.contains("path=\"/chat\""), "{span}");
    recorder.until(|line| line.starts_with("event INFO message=connection opened")).await;
    let closed = recorder.until(|line| line.contains("message=connection closed")).await;
    assert!(closed.contains("code=4001") && closed.contains("received=1 sent=1"), "{closed}");
    assert!(
        closed.contains("cause=\"handshake\" reason=\"by\\ne\""),
        "the peer's words are escaped: {closed}"
    );
    {
        let lines = recorder.lines.lock().unwrap();
        let at = lines.iter().position(|line| line.contains("of the handler")).unwrap();
        let entered = lines[..at].iter().rfind(|line| line.starts_with('e') && !line.starts_with("event"));
        assert_eq!(entered.unwrap(), "enter 1", "the handler runs within the span: {lines:#?}");
    }

    let (mut stream, _) = dial(address, "").await;
    stream.write_all(&[0x82, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    soon(stream.read_to_end(&mut Vec::new())).await.unwrap();
    drop(stream);
    recorder.until(|line| line.starts_with("event WARN") && line.contains("limit hit")).await;

    assert!(dial(address, "Origin: https://evil.example\r\n").await.1.starts_with("HTTP/1.1 403 "));
    let refused = recorder.until(|line| line.contains("message=handshake refused")).await;
    assert!(refused.contains("reason=403") && refused.contains("peer=127.0.0.1:"), "{refused}");
    assert!(!recorder.lines.lock().unwrap().iter().any(|line| line.contains("secret")));
}

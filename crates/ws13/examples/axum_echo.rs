//! An echo in an axum application, beside a page, with compression, state, layers and a graceful end:
//! `cargo run --example axum_echo --features axum,deflate [ADDRESS]`; 127.0.0.1:12345 if none is given.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tower_http::trace::TraceLayer;
use ws13::axum::{Connections, WebSocket, WebSocketUpgrade};
use ws13::handshake::Subprotocol;
use ws13::{Config, Deflate, Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let connections = Connections::new();
    let app = Router::new()
        // One path for both: a browser's page load is no handshake.
        .route("/", any(page_or_echo))
        .route("/opened", get(opened))
        .layer(TraceLayer::new_for_http())
        .layer(Extension(connections.clone()))
        .with_state(Arc::new(AtomicUsize::new(0)));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    // axum has stopped; the WebSockets are closed with 1001.
    connections.close(Duration::from_secs(10)).await;
    Ok(())
}

async fn page_or_echo(State(count): State<Arc<AtomicUsize>>, upgrade: Option<WebSocketUpgrade>) -> Response {
    let Some(upgrade) = upgrade else { return Html(PAGE).into_response() };
    count.fetch_add(1, Ordering::Relaxed);
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    upgrade.config(config).subprotocol(Subprotocol::from_static("me-want-cookies")).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn opened(State(count): State<Arc<AtomicUsize>>) -> String {
    format!("{} were opened\n", count.load(Ordering::Relaxed))
}

async fn interrupted() {
    // Where there is no Ctrl-C to hear, nobody interrupts.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>ws13 in axum</title>
<p>Open the browser's console: <code>socket.send('hi')</code>
<script>
const socket = new WebSocket(location.href.replace('http', 'ws'))
socket.onmessage = event => console.log(event.data)
</script>
";

//! Runs Autobahn's test suite for clients against its server (`wstest -m fuzzingserver`):
//! `cargo run --release --example autobahn_client [URL [AGENT]]`; ws://127.0.0.1:9001 and ws13 if none is given. With
//! `--features deflate` it offers permessage-deflate.

use std::sync::Arc;
use ws13::{Client, Config, Keepalive, Limits, Stream, WebSocket};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "ws://127.0.0.1:9001".to_owned());
    let agent = args.next().unwrap_or_else(|| "ws13".to_owned());
    let url = url.trim_end_matches('/');

    // Some cases send many megabytes in tiny fragments, and no case expects a Ping of ours.
    let config = Arc::new(Config {
        limits: Limits { max_message: 64 << 20, max_fragments: Some(1 << 20), ..Limits::default() },
        keepalive: Keepalive { ping_interval: None, ..Keepalive::default() },
        #[cfg(feature = "deflate")]
        deflate: Some(ws13::Deflate::default()),
        ..Config::default()
    });
    let connect = |path: String| {
        let (url, config) = (format!("{url}{path}"), Arc::clone(&config));
        async move { Ok::<_, Failure>(Client::new(&url)?.config(config).connect().await?) }
    };

    let mut counting = connect("/getCaseCount".to_owned()).await?;
    let count: usize = match counting.receive().await? {
        Some(message) => message.as_text().unwrap_or_default().trim().parse()?,
        None => return Err("the server closed instead of telling the number of cases".into()),
    };
    println!("{count} cases");

    for case in 1..=count {
        // Many cases break the protocol on purpose: an error ends its case, and nothing else.
        match connect(format!("/runCase?case={case}&agent={agent}")).await {
            Ok(socket) => match echo(socket).await {
                Ok(()) => println!("case {case}: closed"),
                Err(error) => println!("case {case}: {error}"),
            },
            Err(error) => println!("case {case}: not connected: {error}"),
        }
    }

    let mut updating = connect(format!("/updateReports?agent={agent}")).await?;
    while updating.receive().await?.is_some() {}
    println!("the reports are written");
    Ok(())
}

async fn echo(mut socket: WebSocket<Stream>) -> Result<(), ws13::Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

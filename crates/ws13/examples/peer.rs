//! Peers: each listens and dials, and after that nobody can tell who called whom.
//!
//! `cargo run --example peer` starts one and prints its address; `cargo run --example peer URL…` starts another one,
//! which calls the first. The one that was called counts to three with each caller.

use ws13::{CloseCode, Error, Peer, Stream, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut peer = Peer::bind("127.0.0.1:0").await?;
    let own = peer.local_addr().to_string();
    println!("{own}: listening; to call me: cargo run --example peer ws://{own}/");

    let urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        while let Some(socket) = peer.accept().await {
            tokio::spawn(report(own.clone(), socket, 1));
        }
    }
    for url in urls {
        let socket = peer.dial(&url).await?;
        report(own.clone(), socket, 0).await;
    }
    Ok(())
}

async fn report(own: String, socket: WebSocket<Stream>, begin: u32) {
    match count(&own, socket, begin).await {
        Ok(()) => println!("{own}: closed"),
        Err(error) => println!("{own}: {error}"),
    }
}

/// Both ends run this: whoever begins says 1, then they take turns.
async fn count(own: &str, mut socket: WebSocket<Stream>, begin: u32) -> Result<(), Error> {
    if begin > 0 {
        socket.send(begin.to_string()).await?;
    }
    while let Some(message) = socket.receive().await? {
        let number: u32 = message.as_text().and_then(|text| text.parse().ok()).unwrap_or(0);
        println!("{own}: heard {number}");
        if number >= 3 {
            return socket.close(CloseCode::NORMAL, "counted").await;
        }
        socket.send((number + 1).to_string()).await?;
    }
    Ok(())
}

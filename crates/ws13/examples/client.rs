//! A client: connects, sends a message, prints the answer, closes.
//!
//! `cargo run --example client [URL [TEXT]]`; against `echo_server` if none is given.

use ws13::{Client, CloseCode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "ws://127.0.0.1:12345/".to_owned());
    let text = args.next().unwrap_or_else(|| "hello".to_owned());

    // `ws13::connect(&url)` does for most; a `Client` takes headers, subprotocols and settings.
    let mut socket = Client::new(&url)?.header("X-Example", "client").connect().await?;
    println!("connected to {url}");

    socket.send(&text).await?;
    println!("sent {text:?}");
    match socket.receive().await? {
        Some(message) => println!("received {message:?}"),
        None => println!("the server closed first"),
    }

    socket.close(CloseCode::NORMAL, "done").await?;
    if let Some(closed) = socket.closed() {
        println!("closed: {closed}");
    }
    Ok(())
}

//! An extension of one's own: reserved bit 2 and opcode 11, agreed on in the opening handshake, by the public API alone.
//!
//! ```console
//! $ cargo run --example checksum
//! ```

mod extension;

use extension::{Checked, Checksum};
use std::sync::Arc;
use ws13::{Client, Config, Error, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { extensions: vec![Arc::new(Checksum)], ..Config::default() };
    let server = Server::bind("127.0.0.1:0").await?.config(config.clone());
    let url = format!("ws://{}/", server.local_addr()?);
    tokio::spawn(server.serve(|_, socket| async move {
        let Some(mut socket) = Checked::new(socket) else { return Ok(()) };
        while let Some(text) = socket.receive().await? {
            socket.send(&text).await?;
        }
        Ok::<(), Error>(())
    }));

    let mut socket = Client::new(&url)?.config(config).connect().await?;
    println!("agreed: {}", socket.extensions().unwrap_or_default());
    let mut socket = Checked::new(socket).ok_or("the server does not know it")?;
    for text in ["one", "two", "three"] {
        socket.send(text).await?;
        println!("{:?}, {} came through", socket.receive().await?, socket.receipts());
    }
    socket.close().await?;
    Ok(())
}

//! Serves a broadcast: a message that begins with "all " goes to everyone who is connected, once compressed for all of
//! them; any other goes back to who sent it.
//!
//! ```console
//! $ cargo run --example broadcast --features deflate -- 127.0.0.1:12345
//! ```

use ws13::handshake::OriginPolicy;
use ws13::{Broadcast, Config, Deflate, Error, Lagging, Server};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".into());
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let everyone = Broadcast::new(&config).lagging(Lagging::DropOldest);
    // Anybody may listen, from any page.
    let server = Server::bind(&*address).await?.config(config).origins(OriginPolicy::any());
    println!("listening on ws://{}/", server.local_addr()?);
    server
        .serve(move |_, socket| {
            let everyone = everyone.clone();
            async move {
                let (sender, mut receiver) = socket.split();
                let _subscription = everyone.subscribe(&sender);
                while let Some(message) = receiver.receive().await? {
                    match message.as_text() {
                        Some(text) if text.starts_with("all ") => drop(everyone.send(message)),
                        _ => sender.send(message).await?,
                    }
                }
                Ok::<(), Error>(())
            }
        })
        .await
}

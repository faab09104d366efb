//! A chat server: what one member says, all hear. `cargo run --example chat [ADDRESS]`, then connect any number of
//! clients to `ws://127.0.0.1:12345/?name`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use ws13::{Error, Sender, Server, Stream, WebSocket};

/// The sending halves of all members.
#[derive(Default)]
struct Room {
    members: Mutex<HashMap<u64, Sender<Stream>>>,
    next: AtomicU64,
}

impl Room {
    fn say(&self, text: &str) {
        println!("{text}");
        // `try_send` never waits: a member that reads too slowly misses messages instead of holding up the room.
        // Its queue stays bounded, and keepalive ends it when it has gone.
        for member in self.members.lock().unwrap().values() {
            let _ = member.try_send(text);
        }
    }

    async fn member(&self, name: &str, socket: WebSocket<Stream>) -> Result<(), Error> {
        let (sender, mut receiver) = socket.split();
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.members.lock().unwrap().insert(key, sender);
        self.say(&format!("* {name} is here"));

        let ended = loop {
            match receiver.receive().await {
                Ok(Some(message)) => match message.as_text() {
                    Some(text) => self.say(&format!("{name}: {text}")),
                    None => self.say(&format!("* {name} sent {} bytes", message.len())),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };

        self.members.lock().unwrap().remove(&key);
        self.say(&format!("* {name} has gone"));
        ended
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    // Press Ctrl-C: everybody gets 1001 (going away), and the program ends when they have answered.
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
        println!("stopping");
    };
    let room = Arc::new(Room::default());
    let server = Server::bind(address).await?;
    println!("listening on ws://{}/?name", server.local_addr()?);
    server
        .serve_until(
            move |request, socket| {
                let room = Arc::clone(&room);
                async move {
                    let name = request.query().unwrap_or("somebody").to_owned();
                    if let Err(error) = room.member(&name, socket).await {
                        println!("{name}: {error}");
                    }
                }
            },
            stop,
        )
        .await
}

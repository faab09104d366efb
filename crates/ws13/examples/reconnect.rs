//! A client that stays connected: it says what happens, and sends the time of day every second, connected or not.
//!
//! `cargo run --example reconnect [URL]`; against `echo_server` if none is given. End and start the server meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ws13::reconnect::{Backoff, Event, Offline, Reconnecting, WhenFull};
use ws13::{Client, ConnectError, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:12345/".to_owned());
    let mut client = Reconnecting::new(Client::new(&url)?)
        // At most 2 s at first, for somebody who watches; 5 s by default.
        .backoff(Backoff { first: Duration::from_secs(2), ..Backoff::default() })
        // What is not of today's news any more may go.
        .offline(Offline::Keep { messages: 10, bytes: 1 << 16, full: WhenFull::DropOldest })
        // A fresh request for each attempt: here it could get a fresh token.
        .renew(move || {
            let client = Client::new(&url);
            async move { Ok::<_, ConnectError>(client?.header("X-Example", "reconnect")) }
        })
        // First of all on each new connection.
        .on_connected(|mut socket| async move {
            socket.send("subscribe").await?;
            Ok::<_, Error>(socket)
        });

    let outlet = client.outlet();
    tokio::spawn(async move {
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            match outlet.send(format!("it is {now}")).await {
                Ok(delivery) => println!("{now}: {delivery:?}"),
                Err(error) => return println!("{error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    while let Some(event) = client.next().await {
        match event {
            Event::Connecting { attempt } => println!("connecting, attempt {attempt}"),
            Event::Connected { .. } => println!("connected"),
            Event::Message(message) => println!("received {message:?}"),
            Event::Disconnected { why, retry_in } => println!("{why}; trying again in {retry_in:?}"),
            Event::GaveUp(why) => println!("{why}; that is the end of it"),
            _ => {}
        }
    }
    Ok(())
}

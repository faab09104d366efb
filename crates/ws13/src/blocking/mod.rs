//! The driver for threads: the same nouns and verbs as on tokio, without `.await` and without a runtime.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ws13::CloseCode;
//! use ws13::blocking::{Server, connect};
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let url = format!("ws://{}/", server.local_addr()?);
//! let stop = server.stop_handle();
//! let serving = std::thread::spawn(move || {
//!     server.serve(|_request, mut socket| {
//!         while let Some(message) = socket.receive()? {
//!             socket.send(message)?;
//!         }
//!         Ok::<(), ws13::Error>(())
//!     })
//! });
//!
//! let mut socket = connect(&url)?;
//! socket.send("hi")?;
//! assert_eq!(socket.receive()?.unwrap().as_text(), Some("hi"));
//! socket.close(CloseCode::NORMAL, "bye")?;
//!
//! stop.stop();
//! serving.join().unwrap()?;
//! # Ok(())
//! # }
//! ```
//!
//! A connection keeps its deadlines by the read and write timeouts of its stream: see [`Transport`]. Where one thread
//! sends while another receives, [`WebSocket::split`] makes two halves.
//!
//! # Staying connected
//! There is no counterpart of `ws13::reconnect` here: what it does between connections, to wait, keep what is sent
//! meanwhile and close at once when told to, would take threads of its own behind every client. A loop is all that a
//! thread of yours needs; [`Backoff`] is the same for both drivers:
//!
//! ```no_run
//! use std::thread::sleep;
//! use ws13::blocking::{Backoff, Client};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (backoff, mut failures) = (Backoff::default(), 0);
//! loop {
//!     let retry_after = match Client::new("wss://example.com/feed")?.bearer("fresh token").connect() {
//!         Ok(mut socket) => {
//!             failures = 0;
//!             if socket.send("subscribe").is_ok() {
//!                 while let Ok(Some(message)) = socket.receive() {
//!                     println!("{message:?}");
//!                 }
//!             }
//!             None
//!         }
//!         Err(error) if error.is_temporary() => error.retry_after(),
//!         Err(error) => return Err(error.into()),
//!     };
//!     failures += 1;
//!     sleep(backoff.delay(failures, retry_after));
//! }
//! # }
//! ```

mod accept;
mod client;
mod connections;
mod dial;
mod driver;
mod handle;
mod handshake;
mod net;
mod pace;
mod parts;
mod peer;
#[cfg(all(test, ws13_shuttle))]
mod schedules;
mod scratch;
mod server;
mod shared;
mod split;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod websocket;

pub use crate::client::Backoff;
pub use accept::{Acceptor, Asked, Opening, Plain};
pub use client::{Client, connect};
pub use net::Stream;
pub use parts::{MessageReader, MessageWriter};
pub use peer::Peer;
pub use server::{Server, StopHandle};
pub use split::{Receiver, Sender};
#[cfg(feature = "tls")]
pub use tls::TlsStream;
pub use transport::{Duplex, Transport, Untimed};
pub use websocket::{Lent, WebSocket};

//! A kit for the tests of programs that use this crate (feature `test`): sockets in memory, lines that fail as told,
//! peers made of bare frames, and time that passes when told.
//!
//! Ask for it where it is needed only: `[dev-dependencies] ws13 = { version = "…", features = ["test"] }`.
//!
//! # A handler of one's own
//! Written for any stream, a handler can be tested in memory, served as a server would serve it:
//!
//! ```
//! use tokio::io::{AsyncRead, AsyncWrite};
//! use ws13::{Error, WebSocket, test};
//!
//! /// What the program serves.
//! async fn shout<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Result<(), Error> {
//!     while let Some(message) = socket.receive().await? {
//!         socket.send(message.as_text().unwrap_or("?").to_uppercase()).await?;
//!     }
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
//! let (mut client, server) = test::pair();
//! tokio::spawn(server.serve(shout));
//! client.send("hi").await?;
//! assert_eq!(client.receive().await?.unwrap().as_text(), Some("HI"));
//! # Ok(())
//! # }
//! ```
//!
//! # A line that fails
//! [`Faults`] cut what is read and written into pieces, delay it, and end it at a byte or at a word:
//!
//! ```
//! use ws13::test::{Fault, Faults, Pair};
//! use ws13::{CloseCode, Error};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
//! let faults = Faults::new().split(1); // one byte at a time, as nothing on loopback ever comes
//! let (mut client, mut server) = Pair::new().server_faults(&faults).connect();
//! client.send("in pieces").await?;
//! assert_eq!(server.receive().await?.unwrap().as_text(), Some("in pieces"));
//!
//! faults.read_now(Fault::RESET); // a cable is pulled
//! assert!(matches!(server.receive().await, Err(Error::Io(_))));
//! # Ok(())
//! # }
//! ```
//!
//! # A peer that breaks the rules
//! A [`Script`] sends and expects bare frames, and says what was wrong when a test fails:
//!
//! ```
//! use ws13::test::{Frame, Script};
//! use ws13::{CloseCode, Config, Error};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let (mut client, mut socket) = Script::client(Config::default());
//! client.send(Frame::text("two ").fin(false)).await;
//! client.send(Frame::ping("in between")).await;
//! client.send(Frame::continuation("parts")).await;
//! assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some("two parts"));
//!
//! client.send(Frame::text("bare").unmasked()).await;
//! assert!(matches!(socket.receive().await, Err(Error::Fault(_))));
//! client.expect_pong("in between").await;
//! client.expect_close(CloseCode::PROTOCOL_ERROR).await;
//! client.expect_end().await;
//! # }
//! ```
//!
//! # Time
//! The tokio driver's clock is tokio's: in a test with `#[tokio::test(start_paused = true)]` keepalive and all deadlines
//! pass at once. The core below takes its time from a [`FakeClock`]:
//!
//! ```
//! use std::time::Duration;
//! use ws13::test::FakeClock;
//! use ws13::{CloseCause, Config, Connection, Inbox, Lost, Outbox, Role};
//!
//! let mut server = Connection::new(Role::Server, Config::default());
//! let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
//! let mut clock = FakeClock::new();
//! server.tick(clock.now(), &inbox, &mut outbox);
//! while let Some(deadline) = server.deadline() {
//!     server.tick(clock.sleep_until(deadline), &inbox, &mut outbox); // a Ping first, then the end
//! }
//! server.receive(&mut inbox, &mut outbox);
//! assert_eq!(server.closed().unwrap().cause(), CloseCause::Lost(Lost::PongTimeout));
//! assert!(clock.elapsed() > Duration::from_secs(35));
//! ```
//!
//! # Without a runtime
//! [`blocking::pair`] gives two sockets of [`ws13::blocking`](crate::blocking) in memory; [`Faulty`] works there, too.
//!
//! # Panics
//! This module's `expect…` and `send…` methods panic when it is not as expected, as assertions do.

pub mod blocking;
mod clock;
mod faults;
mod faulty;
mod frame;
mod pair;
mod script;

pub use clock::FakeClock;
pub use faults::{Fault, Faults};
pub use faulty::Faulty;
pub use frame::{Frame, Mask};
pub use pair::{Pair, WebSocket, pair};
pub use script::Script;

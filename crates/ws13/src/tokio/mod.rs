//! The asynchronous driver: a [`WebSocket`] over any stream that tokio can read and write, and `Client`, `Server` and
//! `Peer` to get one.

mod accept;
mod client;
mod combinators;
mod cork;
mod driver;
mod net;
mod parts;
mod peer;
#[cfg(all(test, ws13_shuttle))]
mod schedules;
mod server;
mod serving;
mod shared;
mod split;
mod timer;
mod websocket;

pub use accept::{Acceptor, Asked, Opening, Plain};
pub use client::{Client, connect};
pub use net::Stream;
pub use parts::{MessageReader, MessageWriter};
pub use peer::Peer;
pub use server::Server;
pub use split::{Receiver, Sender};
pub use websocket::{Lent, ReceiveRef, Sending, WebSocket};

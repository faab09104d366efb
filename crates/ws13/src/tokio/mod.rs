//! The asynchronous driver: a [`WebSocket`] over any stream that tokio can read and write, and `Client`, `Server` and
//! `Peer` to get one.

mod accept;
mod broadcast;
mod client;
mod combinators;
mod connections;
mod cores;
mod cork;
mod deadlines;
mod dial;
mod driver;
mod lag;
mod net;
mod parts;
mod peer;
#[cfg(feature = "tls")]
mod read_ahead;
pub mod reconnect;
#[cfg(all(test, ws13_shuttle))]
mod schedules;
mod served;
mod server;
mod serving;
mod shared;
mod split;
mod timer;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

pub use accept::{Acceptor, Asked, Opening, Plain};
pub use broadcast::{Broadcast, Delivery, Subscription};
pub use client::{Client, connect};
pub use lag::Lagging;
pub use net::Stream;
pub use parts::{MessageReader, MessageWriter};
pub use peer::Peer;
pub use served::Connections;
pub use server::Server;
pub use split::{Receiver, Sender};
#[cfg(feature = "tls")]
pub use tls::TlsStream;
pub use websocket::{Lent, Receive, ReceiveRef, Sending, WebSocket};

//! WebSocket version 13 (RFC 6455): client, server and peer on one core that does no input and output of its own.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod close;
pub mod connection;
#[cfg(feature = "std")]
mod entropy;
mod error;
pub mod frame;
#[cfg(feature = "std")]
pub mod handshake;
mod limits;
pub mod mask;
mod message;
#[cfg(feature = "tokio")]
mod pool;
mod text;
mod time;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod utf8;

#[cfg(feature = "tokio")]
pub use self::tokio::{
    AcceptError, Acceptor, Asked, Client, ConnectError, Lent, LocalAddr, MessageReader, MessageWriter,
    Opening, Peer, Plain, Receiver, Sender, Server, Stream, WebSocket, connect,
};
pub use close::{CloseCode, CloseFrame};
pub use connection::{
    CloseCause, Closed, Connection, Event, Inbox, MaskKeys, MessageRef, Outbox, PartRef, Role,
};
#[cfg(feature = "std")]
pub use entropy::OsMaskKeys;
#[cfg(feature = "std")]
pub use error::Error;
pub use error::{Fault, LimitHit, Lost, Misuse, Violation};
pub use limits::{Config, Keepalive, Limits, Quirks};
pub use message::{Kind, Message, Outgoing};
pub use text::Text;
pub use time::Timestamp;

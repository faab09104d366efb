//! WebSocket version 13 (RFC 6455): client, server and peer on one core that does no input and output of its own.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(feature = "std")]
mod accept;
#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod client;
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
#[cfg(feature = "std")]
mod pool;
#[cfg(feature = "std")]
mod server;
mod text;
mod time;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod utf8;

#[cfg(feature = "tokio")]
pub use self::tokio::{
    Acceptor, Asked, Client, Lent, MessageReader, MessageWriter, Opening, Peer, Plain, Receiver, Sender,
    Server, Stream, WebSocket, connect,
};
#[cfg(feature = "std")]
pub use accept::AcceptError;
#[cfg(feature = "std")]
pub use client::ConnectError;
pub use close::{CloseCode, CloseFrame};
pub use connection::{
    CloseCause, Closed, Connection, Event, Inbox, MaskKeys, MessageRef, Outbox, PartRef, Role,
};
#[cfg(feature = "std")]
pub use entropy::OsMaskKeys;
#[cfg(feature = "std")]
pub use error::Error;
pub use error::{Fault, LimitHit, Lost, Misuse, Violation};
/// The crate `http`, whose `Method`, `StatusCode` and `HeaderMap` the handshake speaks.
#[cfg(feature = "std")]
pub use http;
pub use limits::{Config, Keepalive, Limits, Quirks};
pub use message::{Kind, Message, Outgoing};
#[cfg(feature = "std")]
pub use server::LocalAddr;
pub use text::Text;
pub use time::Timestamp;

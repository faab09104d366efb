//! WebSocket version 13 (RFC 6455): client, server and peer on one core that does no input and output of its own.
//!
//! # Connect
//! ```
//! # #[cfg(feature = "tokio")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use ws13::CloseCode;
//!
//! let mut socket = ws13::connect("ws://127.0.0.1:12345/").await?;
//! socket.send("hi").await?;
//! while let Some(message) = socket.receive().await? {
//!     println!("{message:?}");
//! }
//! socket.close(CloseCode::NORMAL, "bye").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Serve
//! ```
//! # #[cfg(feature = "tokio")]
//! # async fn run() -> std::io::Result<()> {
//! let server = ws13::Server::bind("127.0.0.1:12345").await?;
//! server
//!     .serve(|_request, mut socket| async move {
//!         while let Some(message) = socket.receive().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok::<(), ws13::Error>(())
//!     })
//!     .await
//! # }
//! ```
//!
//! # Without a runtime
//! [`blocking`] has the same nouns and verbs on threads. [`Connection`] is the state machine below both: it takes
//! bytes and time, and gives events and bytes; see [`connection`] for a loop of your own, [`handshake`] for the
//! opening handshake, and [`frame`] and [`mask`] for the bare frames.
//!
//! # Modules
//! | | |
//! |---|---|
//! | [`WebSocket`], [`Client`], [`Server`], [`Peer`], [`Broadcast`] | on tokio |
//! | [`reconnect`] | a client that stays connected, on tokio |
//! | [`hyper`], [`axum`] | in services on hyper, in applications on axum |
//! | [`blocking`] | the same on threads |
//! | [`tls`] | what to trust and to show for `wss://` |
//! | [`handshake`] | requests, answers, origins, URLs: pure |
//! | [`proxy`] | HTTP CONNECT and SOCKS5, and which URL goes through which: pure |
//! | [`connection`] | the state machine, its [`Inbox`] and [`Outbox`], messages [`Prepared`] for many: pure |
//! | [`frame`], [`mask`], [`utf8`], [`close`], [`extension`] | the leaves: pure |
//! | [`deflate`] | permessage-deflate, the first extension: pure |
//! | [`mod@test`] | for your own tests: pairs in memory, faulty lines, scripted peers |
//! | [`check`] | a conformance suite for any implementation |
//!
//! # Features
//! - `tokio` (default): the asynchronous driver.
//! - `tls` (default): `wss://` by rustls, with the operating system's roots; see [`tls`]. `webpki-roots`: the web's
//!   roots built in.
//! - `std`: the opening handshake, the blocking driver, masking keys from a generator that the operating system seeds.
//! - `deflate`: compressed messages, [`deflate`] (RFC 7692); off until it is set in a [`Config`].
//! - `hyper`, `axum`: the opening handshake by hyper 1 and axum 0.8.
//! - `test`: a kit for your own tests; for `[dev-dependencies]`.
//! - `check`: the conformance suite, [`check`].
//! - `tracing`: spans and events of connections, a server's and a client's, never payloads.
//! - `json`: `send_json` and `receive_json` by serde.
//!
//! Without any of them the crate is `no_std` with `alloc`: frames, masking, and the connection.
//!
//! # What holds everywhere
//! Every limit has a name and a default ([`Limits`]); memory is proportional to what a peer really sent. Pings are
//! answered, sent by interval, and measured ([`Keepalive`]). A clean close is not an error. The library does not
//! panic on anything a peer sends.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

#[cfg(feature = "std")]
mod accept;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "check")]
pub mod check;
#[cfg(feature = "std")]
mod client;
pub mod close;
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(feature = "std")]
mod entropy;
mod error;
pub mod extension;
pub mod frame;
#[cfg(feature = "std")]
pub mod handshake;
#[cfg(feature = "hyper")]
pub mod hyper;
mod limits;
pub mod mask;
mod message;
#[cfg(feature = "std")]
mod parts;
#[cfg(feature = "std")]
mod pool;
#[cfg(feature = "std")]
pub mod proxy;
#[cfg(all(test, ws13_shuttle))]
mod schedules;
#[cfg(feature = "std")]
mod server;
#[cfg(feature = "std")]
mod state;
#[cfg(feature = "std")]
mod sync;
#[cfg(feature = "test")]
pub mod test;
mod text;
mod time;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "std")]
mod trace;
mod trusted;
pub mod utf8;

#[cfg(all(feature = "tokio", feature = "tls"))]
pub use self::tokio::TlsStream;
#[cfg(feature = "tokio")]
pub use self::tokio::{
    Acceptor, Asked, Broadcast, Client, Connections, Delivery, Lagging, Lent, MessageReader, MessageWriter,
    Opening, Peer, Plain, Receive, ReceiveRef, Receiver, Sender, Sending, Server, Stream, Subscription,
    WebSocket, connect, reconnect,
};
#[cfg(feature = "std")]
pub use accept::AcceptError;
#[cfg(feature = "std")]
pub use client::{Attempt, ConnectError, Phase, RedirectError, TcpOptions, TimedOut};
pub use close::{CloseCode, CloseFrame};
pub use connection::{
    Channel, CloseCause, Closed, Connection, Event, ExtendedRef, Inbox, MaskKeys, MessageRef, Outbox,
    Outgoing, Output, PartRef, Prepared, Role, Stats,
};
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
#[cfg(feature = "std")]
pub use entropy::RandomMaskKeys;
#[cfg(feature = "std")]
pub use error::Error;
pub use error::{Fault, LimitHit, Lost, Misuse, Violation};
/// The crate `http`, whose `Method`, `StatusCode` and `HeaderMap` the handshake speaks.
#[cfg(feature = "std")]
pub use http;
pub use limits::{Config, Keepalive, Limits, Quirks};
pub use message::{Kind, Message};
#[cfg(feature = "std")]
pub use server::{LocalAddr, Metrics, RoundTrips, Snapshot};
pub use text::Text;
pub use time::Timestamp;

/// The code in docs/moving-from.md is compiled.
#[cfg(all(doctest, feature = "axum", feature = "deflate"))]
#[doc = include_str!("../../../docs/moving-from.md")]
mod moving_from {}

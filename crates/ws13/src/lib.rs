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
mod limits;
pub mod mask;
mod message;
mod text;
mod time;
pub mod utf8;

pub use close::{CloseCode, CloseFrame};
pub use connection::{
    CloseCause, Closed, Connection, Event, Inbox, MaskKeys, MessageRef, Outbox, PartRef, Role,
};
#[cfg(feature = "std")]
pub use entropy::OsMaskKeys;
pub use error::{Fault, LimitHit, Lost, Misuse, Violation};
pub use limits::{Config, Keepalive, Limits, Quirks};
pub use message::{Kind, Message, Outgoing};
pub use text::Text;
pub use time::Timestamp;

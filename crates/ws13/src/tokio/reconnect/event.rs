//! What a client that stays connected tells its user.

use crate::client::ConnectError;
use crate::connection::Closed;
use crate::error::Error;
use crate::handshake::Response;
use crate::message::Message;
use std::fmt;
use std::time::Duration;

/// What happened to a [`Reconnecting`](super::Reconnecting).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// It begins to connect.
    Connecting {
        /// Which attempt it is since the last connection that was stable; the first is 1.
        attempt: u32,
    },
    /// It is connected, and what [`on_connected`](super::Reconnecting::on_connected) does is done.
    Connected {
        /// The server's 101.
        response: Box<Response>,
    },
    /// A message came.
    Message(Message),
    /// The connection ended, or the attempt failed.
    Disconnected {
        /// Why.
        why: Why,
        /// How long it waits until it tries again.
        retry_in: Duration,
    },
    /// As [`Disconnected`](Event::Disconnected), and it will not try again. This is the last event.
    GaveUp(Why),
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// It was not made.
    Connect(ConnectError),
    /// [`renew`](super::Reconnecting::renew) failed.
    Renew(HookError),
    /// [`on_connected`](super::Reconnecting::on_connected) failed.
    OnConnected(HookError),
    /// It was closed with a closing handshake, whatever the code.
    Closed(Closed),
    /// It was lost, or one of both sides broke the protocol.
    Lost(Error),
}

/// What the user's own functions fail with.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

impl Why {
    /// Whether another try could end otherwise: see [`ConnectError::is_temporary`]. A connection that was there once is
    /// always worth one, and so is a function of the user's that failed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Why::Connect(error) => error.is_temporary(),
            Why::Renew(_) | Why::OnConnected(_) | Why::Closed(_) | Why::Lost(_) => true,
        }
    }

    /// How long the server asked to stay away.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Why::Connect(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Connect(error) => error.fmt(f),
            Why::Renew(error) => write!(f, "the request was not renewed: {error}"),
            Why::OnConnected(error) => write!(f, "what is done on each new connection failed: {error}"),
            Why::Closed(closed) => write!(f, "the connection was closed with {closed}"),
            Why::Lost(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Why {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Why::Connect(error) => Some(error),
            Why::Renew(error) | Why::OnConnected(error) => Some(&**error),
            Why::Closed(_) => None,
            Why::Lost(error) => Some(error),
        }
    }
}

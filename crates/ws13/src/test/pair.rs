//! Two sockets that are connected in memory.

use super::faults::Faults;
use super::faulty::Faulty;
use crate::connection::Role;
use crate::handshake::{Agreed, Subprotocol};
use crate::limits::Config;
use std::sync::Arc;
use tokio::io::DuplexStream;

/// A socket in memory.
pub type WebSocket = crate::WebSocket<Faulty<DuplexStream>>;

/// A client's and a server's socket, connected in memory, with the default settings. [`Pair`] has more to choose.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), ws13::Error> {
/// let (mut client, mut server) = ws13::test::pair();
/// client.send("hi").await?;
/// assert_eq!(server.receive().await?.unwrap().as_text(), Some("hi"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn pair() -> (WebSocket, WebSocket) {
    Pair::new().connect()
}

/// Two sockets to be connected in memory, without an opening handshake.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), ws13::Error> {
/// use ws13::test::{Fault, Faults, Pair};
/// use ws13::{Error, Lost};
///
/// // The server's cable is cut after 100 bytes. The client's Ping finds it out.
/// let (mut client, server) =
///     Pair::new().server_faults(&Faults::new().write_at(100, Fault::Swallow)).connect();
/// tokio::spawn(server.serve(|mut socket| async move {
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok::<(), Error>(())
/// }));
/// client.send("x".repeat(50)).await?;
/// assert!(client.receive().await?.is_some());
/// client.send("x".repeat(50)).await?;
/// assert!(matches!(client.receive().await, Err(Error::Lost(Lost::PongTimeout)))); // at once: the time is fake
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pair {
    client: Side,
    server: Side,
    agreed: Agreed,
    capacity: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Side {
    config: Arc<Config>,
    faults: Faults,
}

/// As much as sockets of the system hold, about.
const CAPACITY: usize = 64 << 10;

impl Pair {
    /// With the default settings, and nothing going wrong.
    #[must_use]
    pub fn new() -> Self {
        Pair::default()
    }

    /// The settings of both.
    #[must_use]
    pub fn config(self, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        self.client_config(Arc::clone(&config)).server_config(config)
    }

    /// The settings of the client.
    #[must_use]
    pub fn client_config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.client.config = config.into();
        self
    }

    /// The settings of the server.
    #[must_use]
    pub fn server_config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.server.config = config.into();
        self
    }

    /// What goes wrong where the client reads and writes.
    #[must_use]
    pub fn client_faults(mut self, faults: &Faults) -> Self {
        self.client.faults = faults.clone();
        self
    }

    /// What goes wrong where the server reads and writes.
    #[must_use]
    pub fn server_faults(mut self, faults: &Faults) -> Self {
        self.server.faults = faults.clone();
        self
    }

    /// The subprotocol that both have agreed on.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.agreed.subprotocol = Some(subprotocol);
        self
    }

    /// Both have agreed to compress messages (RFC 7692), without parameters.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.agreed.deflate = Some(crate::deflate::Agreed::default());
        self
    }

    /// Bytes that are under way at most in one direction: 64 KiB if nothing is said. Who writes more waits.
    #[must_use]
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Some(bytes.max(1));
        self
    }

    /// The client's and the server's socket.
    #[must_use]
    pub fn connect(self) -> (WebSocket, WebSocket) {
        let (near, far) = tokio::io::duplex(self.capacity.unwrap_or(CAPACITY));
        let agreed = &self.agreed;
        (self.client.socket(near, Role::Client, agreed), self.server.socket(far, Role::Server, agreed))
    }

    /// As [`connect`](Pair::connect), on threads; the capacity and the faults hold there, too.
    #[must_use]
    pub fn connect_blocking(self) -> (super::blocking::WebSocket, super::blocking::WebSocket) {
        let (near, far) = super::blocking::pipe(self.capacity.unwrap_or(CAPACITY));
        let socket = |side: Side, stream, role| {
            let stream = Faulty::new(stream, &side.faults);
            super::blocking::WebSocket::from_handshake(stream, role, side.config, &self.agreed, &[])
        };
        (socket(self.client, near, Role::Client), socket(self.server, far, Role::Server))
    }
}

impl Side {
    fn socket(&self, stream: DuplexStream, role: Role, agreed: &Agreed) -> WebSocket {
        let stream = Faulty::new(stream, &self.faults);
        WebSocket::from_handshake(stream, role, Arc::clone(&self.config), agreed, &[])
    }
}

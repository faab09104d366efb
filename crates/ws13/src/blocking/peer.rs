//! A peer: it listens and dials, and after that nobody can tell who called whom.

use super::client::Client;
use super::net::Stream;
use super::server::{Server, StopHandle};
use super::websocket::WebSocket;
use crate::client::ConnectError;
use crate::limits::Config;
use crate::server::LocalAddr;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Arc, mpsc};
use std::thread;

/// Listens for others and dials them; both give the same [`WebSocket`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::Message;
/// use ws13::blocking::Peer;
///
/// let one = Peer::bind("127.0.0.1:0")?;
/// let two = Peer::bind("127.0.0.1:0")?;
///
/// let mut from_two = two.dial(&format!("ws://{}/", one.local_addr()))?;
/// let mut from_one = one.accept().expect("it listens");
///
/// from_one.send("who called whom?")?;
/// assert_eq!(from_two.receive()?, Some(Message::from("who called whom?")));
/// # Ok(())
/// # }
/// ```
///
/// It listens in a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Peer {
    config: Arc<Config>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    accepted: mpsc::Receiver<WebSocket<Stream>>,
    local_addr: LocalAddr,
    stop: StopHandle,
}

/// Accepted connections that wait for [`Peer::accept`]; further ones wait in their handshake.
const WAITING: usize = 16;

impl Peer {
    /// Listens on a TCP address, with the default settings for both directions; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Peer> {
        Peer::from_server(Server::bind(address)?, Config::default())
    }

    /// Listens as this server does, with the same settings for the connections in both directions.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn from_server(server: Server, config: impl Into<Arc<Config>>) -> io::Result<Peer> {
        let config = config.into();
        let (local_addr, stop) = (server.local_addr()?, server.stop_handle());
        let (sender, accepted) = mpsc::sync_channel(WAITING);
        let server = server.config(Arc::clone(&config));
        thread::Builder::new().name("ws13 peer".to_owned()).spawn(move || server.hand_over(&sender))?;
        Ok(Peer {
            config,
            #[cfg(feature = "tls")]
            tls: None,
            accepted,
            local_addr,
            stop,
        })
    }

    /// How to encrypt where somebody is dialled by `wss:`; how this peer itself is called, its server says.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens.
    pub fn local_addr(&self) -> &LocalAddr {
        &self.local_addr
    }

    /// Waits for somebody to call.
    pub fn accept(&self) -> Option<WebSocket<Stream>> {
        self.accepted.recv().ok()
    }

    /// Calls somebody.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn dial(&self, url: &str) -> Result<WebSocket<Stream>, ConnectError> {
        self.client(url)?.connect()
    }

    /// A client with this peer's settings, for who needs more to call somebody: a proxy, headers, a subprotocol, a
    /// certificate.
    ///
    /// ```no_run
    /// # fn run(peer: ws13::blocking::Peer) -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = peer.client("wss://example.com/")?.proxy_from_env().redirects(3).connect()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn client(&self, url: &str) -> Result<Client, ConnectError> {
        let client = Client::new(url)?.config(Arc::clone(&self.config));
        #[cfg(feature = "tls")]
        let client = match &self.tls {
            Some(tls) => client.tls(tls.clone()),
            None => client,
        };
        Ok(client)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

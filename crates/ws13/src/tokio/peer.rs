//! A peer: it listens and dials, and after that nobody can tell who called whom.

use super::client::Client;
use super::net::Stream;
use super::server::Server;
use super::websocket::WebSocket;
use crate::client::ConnectError;
use crate::limits::Config;
use crate::server::LocalAddr;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use std::io;
use std::sync::Arc;
use tokio::net::ToSocketAddrs;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Listens for others and dials them; both give the same [`WebSocket`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::{Message, Peer};
///
/// let mut one = Peer::bind("127.0.0.1:0").await?;
/// let two = Peer::bind("127.0.0.1:0").await?;
///
/// let mut from_two = two.dial(&format!("ws://{}/", one.local_addr())).await?;
/// let mut from_one = one.accept().await.expect("it listens");
///
/// from_one.send("who called whom?").await?;
/// assert_eq!(from_two.receive().await?, Some(Message::from("who called whom?")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Peer {
    local_addr: LocalAddr,
    config: Arc<Config>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    accepted: mpsc::Receiver<WebSocket<Stream>>,
    listening: JoinHandle<()>,
}

/// Accepted connections that wait for [`Peer::accept`]; further ones wait in their handshake.
const WAITING: usize = 16;

impl Peer {
    /// Listens on a TCP address, with the default settings for both directions; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Peer> {
        Peer::from_server(Server::bind(address).await?, Config::default())
    }

    /// Listens as this server does, with the same settings for the connections in both directions.
    ///
    /// # Errors
    /// When the system does not tell where it listens.
    pub fn from_server(server: Server, config: impl Into<Arc<Config>>) -> io::Result<Peer> {
        let (config, local_addr) = (config.into(), server.local_addr()?);
        let (sender, accepted) = mpsc::channel(WAITING);
        let serve = server.config(Arc::clone(&config)).hand_over(sender);
        Ok(Peer {
            local_addr,
            config,
            #[cfg(feature = "tls")]
            tls: None,
            accepted,
            listening: tokio::spawn(serve),
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
    ///
    /// # Cancel safety
    /// Cancel safe: who has called waits for the next call.
    pub async fn accept(&mut self) -> Option<WebSocket<Stream>> {
        self.accepted.recv().await
    }

    /// Calls somebody.
    ///
    /// # Errors
    /// As [`Client::connect`].
    ///
    /// # Cancel safety
    /// A dropped future drops the connection attempt.
    pub async fn dial(&self, url: &str) -> Result<WebSocket<Stream>, ConnectError> {
        self.client(url)?.connect().await
    }

    /// A client with this peer's settings, for who needs more to call somebody: a proxy, headers, a subprotocol, a
    /// certificate.
    ///
    /// ```no_run
    /// # async fn run(peer: ws13::Peer) -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = peer.client("wss://example.com/")?.proxy_from_env().redirects(3).connect().await?;
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
        self.listening.abort();
    }
}

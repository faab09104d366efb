//! TLS for `wss://`, by rustls: what a client trusts and shows, what a server shows and asks for.
//!
//! [`connect`](crate::blocking::connect) to a `wss://` URL works without any of this: the certificate is checked as the
//! operating system does it. Settings of one's own go to `Client::tls` and `Server::tls`, of either driver:
//!
//! ```no_run
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use ws13::blocking::{Client, Server};
//! use ws13::tls::{ClientTls, ServerTls};
//!
//! let tls = ServerTls::from_pem_files("chain.pem", "key.pem")?;
//! let server = Server::bind("127.0.0.1:12345")?.tls(tls.clone());
//! // …, and when there is a new certificate in the files, for the connections from now on:
//! tls.reload()?;
//!
//! let tls = ClientTls::builder().roots_pem(std::fs::read("ca.pem")?)?.build()?;
//! let socket = Client::new("wss://localhost:12345/")?.tls(tls).connect()?;
//! # Ok(())
//! # }
//! ```
//!
//! Both sides speak TLS 1.2 and 1.3 and name `http/1.1` as the protocol inside. The cryptography is *ring*'s, always:
//! nothing here depends on, or sets, the process-wide provider of rustls.

mod client;
mod error;
mod fingerprint;
mod info;
mod pem;
mod server;
mod trust;

pub use client::{ClientTls, ClientTlsBuilder};
pub use error::{InvalidTls, TlsError};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use info::{TlsInfo, TlsVersion};
pub use server::{ServerTls, ServerTlsBuilder};

use rustls::crypto::{CryptoProvider, ring};
use std::sync::{Arc, LazyLock};

/// The protocol inside: what a WebSocket's opening handshake is written in.
const ALPN: &[u8] = b"http/1.1";

/// Named in each configuration, so that it never matters which provider the process has, or that it has two.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

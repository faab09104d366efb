//! The talk with a proxy, whichever protocol it speaks: steps that a driver takes.

use super::connect::Connect;
use super::socks5::Socks5;
use super::{Proxy, ProxyError};
use crate::handshake::Url;
use core::net::SocketAddr;
use std::fmt;

/// A talk with a proxy under way, until there is a tunnel.
///
/// It says how many bytes may be read next, so that nothing is read that belongs to what comes through the tunnel: a
/// driver needs no place for bytes that came early. See [the module](super) for an example.
pub struct Tunnel {
    talk: Talk,
    /// What is to be written, until it was given out.
    out: Vec<u8>,
    /// What has been read of the present answer.
    received: Vec<u8>,
    open: bool,
}

#[derive(Debug)]
enum Talk {
    Http(Connect),
    Socks5(Socks5),
}

/// What a driver has to do next.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// Write all of this, then ask again.
    Write(Vec<u8>),
    /// Read this many bytes at most, one at least, give them to [`Tunnel::receive`], then ask again.
    Read(usize),
    /// The tunnel is open: what is read and written from now on is the server's.
    Open,
}

/// What an answer that was read so far comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// At least this many bytes are missing.
    Incomplete(usize),
    /// It is complete, and this is to be written next.
    Reply(Vec<u8>),
    Open,
}

impl Tunnel {
    /// Begins to ask a proxy for a tunnel to the host and port of a URL.
    #[must_use]
    pub fn new(proxy: &Proxy, url: &Url) -> Self {
        Tunnel::begin(proxy, url.host(), url.port())
    }

    /// Begins to ask for a tunnel to an address: for a proxy that [wants addresses](Proxy::wants_addresses).
    #[must_use]
    pub fn to_address(proxy: &Proxy, address: SocketAddr) -> Self {
        Tunnel::begin(proxy, &address.ip().to_string(), address.port())
    }

    fn begin(proxy: &Proxy, host: &str, port: u16) -> Self {
        let user = proxy.user.as_ref();
        let (talk, out) = if proxy.protocol.is_socks() {
            let (socks, hello) = Socks5::begin(host, port, user);
            (Talk::Socks5(socks), hello)
        } else {
            let (connect, request) = Connect::begin(host, port, user);
            (Talk::Http(connect), request)
        };
        Tunnel { talk, out, received: Vec::new(), open: false }
    }

    /// What to do next.
    ///
    /// # Errors
    /// [`ProxyError`]: there will be no tunnel.
    pub fn step(&mut self) -> Result<Step, ProxyError> {
        if self.open {
            return Ok(Step::Open);
        }
        if !self.out.is_empty() {
            return Ok(Step::Write(std::mem::take(&mut self.out)));
        }
        let answer = match &mut self.talk {
            Talk::Http(connect) => connect.judge(&self.received)?,
            Talk::Socks5(socks) => socks.judge(&self.received)?,
        };
        match answer {
            Answer::Incomplete(missing) => Ok(Step::Read(missing)),
            Answer::Reply(bytes) => {
                self.received.clear();
                Ok(Step::Write(bytes))
            }
            Answer::Open => {
                self.open = true;
                Ok(Step::Open)
            }
        }
    }

    /// Takes what was read: no more than [`Step::Read`] asked for.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }
}

/// Without the bytes, as the credentials may be in them.
impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("talk", &self.talk).field("open", &self.open).finish_non_exhaustive()
    }
}

/// Without the bytes, as the credentials may be in them.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write(bytes) => write!(f, "Write({} bytes)", bytes.len()),
            Step::Read(most) => write!(f, "Read({most})"),
            Step::Open => f.write_str("Open"),
        }
    }
}

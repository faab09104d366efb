//! Which address of a host is dialled when (RFC 8305, "happy eyeballs"): both drivers race by this.

use super::error::{ConnectError, Phase, TimedOut};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An address that was dialled, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The address, or the path of a Unix socket.
    pub to: String,
    /// What the system says; `TimedOut` where it said nothing until the time was over.
    pub error: Arc<io::Error>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.to, self.error)
    }
}

/// How far a connection came, so that an error can tell: whatever is dialled is begun and ended here.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    to: String,
    waiting: VecDeque<SocketAddr>,
    /// Dialled, and not answered yet.
    pending: Vec<SocketAddr>,
    failed: Vec<Attempt>,
}

impl Progress {
    /// Begins to dial somebody; it forgets whom it dialled before.
    pub(crate) fn dial(&mut self, host: &str, port: u16, addresses: Vec<SocketAddr>) {
        let to = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let waiting = interleaved(addresses);
        *self = Progress { phase: Phase::Dialling, to, waiting, ..Progress::default() };
    }

    /// The addresses that a resolver found, or the error that there are none.
    pub(crate) fn found(
        host: &str,
        addresses: io::Result<Vec<SocketAddr>>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let error = match addresses {
            Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
            Ok(_) => io::Error::new(io::ErrorKind::NotFound, "it has no address"),
            Err(error) => error,
        };
        Err(ConnectError::Resolve { host: host.to_owned(), error: Arc::new(error) })
    }

    /// The address to be dialled next.
    pub(crate) fn begin(&mut self) -> Option<SocketAddr> {
        let next = self.waiting.pop_front()?;
        self.pending.push(next);
        Some(next)
    }

    pub(crate) fn failed(&mut self, address: SocketAddr, error: io::Error) {
        self.pending.retain(|pending| *pending != address);
        self.failed.push(Attempt { to: address.to_string(), error: Arc::new(error) });
    }

    /// Whether there is an address that was not dialled yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether an address is the only one left that could answer.
    pub(crate) fn is_alone(&self, address: SocketAddr) -> bool {
        self.waiting.is_empty() && self.pending == [address]
    }

    /// Whether no address is left that could answer.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.pending.is_empty()
    }

    /// What it comes to when no address answered.
    pub(crate) fn dial_error(&self) -> ConnectError {
        ConnectError::Dial { to: self.to.clone(), attempts: self.failed.clone() }
    }

    /// What it comes to when the time is over.
    pub(crate) fn timed_out(&mut self, after: Duration) -> ConnectError {
        for address in std::mem::take(&mut self.pending) {
            self.failed(address, io::Error::new(io::ErrorKind::TimedOut, "no answer"));
        }
        ConnectError::Timeout(TimedOut { after, phase: self.phase, attempts: self.failed.clone() })
    }
}

/// A Unix socket that did not answer.
pub(crate) fn unix_error(path: &Path, error: io::Error) -> ConnectError {
    let to = path.display().to_string();
    ConnectError::Dial { to: to.clone(), attempts: vec![Attempt { to, error: Arc::new(error) }] }
}

/// RFC 8305, section 4: families take turns, the one that the resolver prefers first; within each, its order is kept.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut turns = VecDeque::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let turn = [first.next(), second.next()];
        if turn == [None, None] {
            return turns;
        }
        for address in turn.into_iter().flatten() {
            if !turns.contains(&address) {
                turns.push_back(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn rfc_8305_4_families_take_turns() {
        let order = |texts: &[&str]| Vec::from(interleaved(addresses(texts)));
        let (six, four) = (["[::1]:1", "[::2]:1", "[::3]:1"], ["127.0.0.1:1", "127.0.0.2:1"]);
        let mixed = [six.as_slice(), &four].concat();
        assert_eq!(
            order(&mixed),
            addresses(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"])
        );
        assert_eq!(order(&["127.0.0.1:1", "[::1]:1"]), addresses(&["127.0.0.1:1", "[::1]:1"]));
        assert_eq!(order(&four), addresses(&four));
        assert_eq!(order(&["127.0.0.1:1", "127.0.0.1:1"]), addresses(&["127.0.0.1:1"]), "once each");
        assert_eq!(order(&[]), []);
    }

    #[test]
    fn all_addresses_and_what_each_said_are_told() {
        let mut progress = Progress::default();
        progress.dial("example.com", 80, addresses(&["[::1]:80", "127.0.0.1:80", "127.0.0.2:80"]));
        let (one, two) = (progress.begin().unwrap(), progress.begin().unwrap());
        assert!(progress.is_waiting() && !progress.is_over());
        progress.failed(one, io::ErrorKind::ConnectionRefused.into());
        progress.failed(two, io::ErrorKind::HostUnreachable.into());
        let three = progress.begin().unwrap();
        assert!(!progress.is_waiting() && !progress.is_over());
        progress.failed(three, io::ErrorKind::ConnectionReset.into());
        assert!(progress.is_over());
        assert_eq!(
            progress.dial_error().to_string(),
            "cannot connect to example.com:80: [::1]:80: connection refused; \
             127.0.0.1:80: host unreachable; 127.0.0.2:80: connection reset"
        );
    }

    #[test]
    fn a_timeout_tells_what_was_under_way() {
        let mut progress = Progress::default();
        progress.dial("a", 80, addresses(&["127.0.0.1:80", "127.0.0.2:80", "127.0.0.3:80"]));
        let one = progress.begin().unwrap();
        progress.failed(one, io::ErrorKind::ConnectionRefused.into());
        progress.begin();
        assert_eq!(
            progress.timed_out(Duration::from_secs(1)).to_string(),
            "no connection within 1s: the host did not answer: 127.0.0.1:80: connection refused; \
             127.0.0.2:80: no answer"
        );
        progress.phase = Phase::Proxy;
        let told = progress.timed_out(Duration::from_secs(1)).to_string();
        assert_eq!(told, "no connection within 1s: the proxy did not open a tunnel");
    }
}

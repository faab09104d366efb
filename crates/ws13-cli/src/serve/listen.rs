//! Where `ws13 serve` listens: an address, a Unix socket, or a socket that systemd passes on.

use crate::exit::Failure;
use listenfd::ListenFd;
use std::io;
use ws13::Server;

/// Where, if nothing else is said and systemd passes nothing on.
const ADDRESS: &str = "127.0.0.1:12345";

pub(super) async fn bind(place: Option<&str>) -> Result<Server, Failure> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    let place = place.unwrap_or(if passed.len() > 0 { "fd" } else { ADDRESS });
    let bound = match place.split_once(':') {
        None if place == "fd" => activated(&mut passed, 0),
        Some(("fd", which)) => activated(&mut passed, position(&names, which)?),
        Some(("unix", path)) => Server::bind_unix(path),
        _ => Server::bind_shared(place).await,
    };
    bound.map_err(|error| {
        Failure::Local(format!("cannot listen on {place}: {error}; try --listen 127.0.0.1:0"))
    })
}

/// The place of the socket that systemd's unit names so (`FileDescriptorName=`), or of a number from 0 on.
fn position(names: &str, which: &str) -> Result<usize, Failure> {
    let named = names.split(':').position(|name| name == which);
    named.or_else(|| which.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!("no socket of the name {which:?} was passed on; those that were: {names:?}"))
    })
}

fn activated(passed: &mut ListenFd, at: usize) -> io::Result<Server> {
    let none = || io::Error::other("systemd passed no such socket on");
    match passed.take_tcp_listener(at) {
        Ok(Some(listener)) => {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener).map(Server::from_tcp)
        }
        Ok(None) => Err(none()),
        // It is another sort of socket.
        Err(_) => {
            let listener = passed.take_unix_listener(at)?.ok_or_else(none)?;
            listener.set_nonblocking(true)?;
            tokio::net::UnixListener::from_std(listener).map(Server::from_unix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_name_or_number() {
        for (which, expected) in [("web", 0), ("admin", 1), ("1", 1), ("7", 7)] {
            assert_eq!(position("web:admin", which).unwrap(), expected);
        }
        assert!(position("web:admin", "other").is_err());
    }
}

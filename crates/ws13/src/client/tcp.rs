//! Options of a client's TCP sockets, and a socket that has them.

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How a client dials over TCP.
///
/// ```
/// use std::time::Duration;
/// use ws13::TcpOptions;
/// let options = TcpOptions { keepalive: Some(Duration::from_secs(60)), ..TcpOptions::default() };
/// assert!(options.nodelay && options.attempt_delay == Duration::from_millis(250));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Small messages go out at once (TCP_NODELAY): true.
    pub nodelay: bool,
    /// How long a connection is idle until TCP asks whether the peer is there (SO_KEEPALIVE): zero, as long as the
    /// system has it, often two hours. `None`: never. It is the last resort; the Pings of
    /// [`Keepalive`](crate::Keepalive) are quicker.
    pub keepalive: Option<Duration>,
    /// Bytes in the system's buffer for sending (SO_SNDBUF): `None`, as the system has it.
    pub send_buffer: Option<usize>,
    /// Bytes in the system's buffer for receiving (SO_RCVBUF): `None`, as the system has it.
    pub receive_buffer: Option<usize>,
    /// The address of this machine to dial from: `None`, as the system chooses. Addresses of the other family then
    /// cannot be dialled.
    pub local_address: Option<IpAddr>,
    /// How long an address may take until the next one is dialled beside it (RFC 8305 section 5): 250 ms.
    pub attempt_delay: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        TcpOptions {
            nodelay: true,
            keepalive: Some(Duration::ZERO),
            send_buffer: None,
            receive_buffer: None,
            local_address: None,
            attempt_delay: Duration::from_millis(250),
        }
    }
}

impl TcpOptions {
    /// A socket that is not connected yet. The buffers are set before, as the window is agreed on at the start.
    pub(crate) fn socket(&self, to: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(local) = self.local_address {
            if local.is_ipv4() != to.is_ipv4() {
                let kind = io::ErrorKind::AddrNotAvailable;
                return Err(io::Error::new(
                    kind,
                    format!("the local address {local} is of the other family"),
                ));
            }
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        self.apply(&SockRef::from(&socket));
        Ok(socket)
    }

    /// Without these it works all the same.
    fn apply(&self, socket: &SockRef<'_>) {
        let _ = socket.set_tcp_nodelay(self.nodelay);
        let _ = match self.keepalive {
            None => Ok(()),
            Some(Duration::ZERO) => socket.set_keepalive(true),
            Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_its_options() {
        let (four, six) = (SocketAddr::from(([127, 0, 0, 1], 9)), SocketAddr::from(([0; 16], 9)));
        let socket = TcpOptions::default().socket(four).unwrap();
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        let options = TcpOptions {
            nodelay: false,
            keepalive: None,
            send_buffer: Some(48 << 10),
            receive_buffer: Some(40 << 10),
            local_address: Some([127, 0, 0, 2].into()),
            ..TcpOptions::default()
        };
        let socket = options.socket(four).unwrap();
        assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
        // Linux doubles them, for its own needs.
        assert!(socket.send_buffer_size().unwrap() >= 48 << 10);
        assert!((40 << 10..=80 << 10).contains(&socket.recv_buffer_size().unwrap()));
        let local = socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(local.ip(), IpAddr::from([127, 0, 0, 2]));
        assert!(options.socket(six).unwrap_err().to_string().contains("other family"));
        let idle = TcpOptions { keepalive: Some(Duration::from_secs(77)), ..TcpOptions::default() };
        let socket = idle.socket(four).unwrap();
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
    }
}

//! What the driver asks of a stream: reading, writing, and a bound on how long either may wait.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A stream that can be told how long to wait.
///
/// Keepalive and all deadlines of a connection rest on it: a `read` or `write` that has waited for its timeout fails
/// with [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut), and the driver looks at its
/// clock. Implemented for `TcpStream`, `UnixStream` and [`Stream`](super::Stream); [`Untimed`] makes one of anything
/// that can be read and written. An encrypted stream passes the calls on to the socket below:
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use ws13::blocking::Transport;
///
/// struct Encrypted<T> {
///     session: T, // reads and writes
///     socket: TcpStream, // a clone of what is below
/// }
/// # impl<T: Read> Read for Encrypted<T> {
/// #     fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
/// #         self.session.read(target)
/// #     }
/// # }
/// # impl<T: Write> Write for Encrypted<T> {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
/// #         self.session.write(bytes)
/// #     }
/// #     fn flush(&mut self) -> io::Result<()> {
/// #         self.session.flush()
/// #     }
/// # }
///
/// impl<T: Read + Write> Transport for Encrypted<T> {
///     fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_read_timeout(timeout)
///     }
///     fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_write_timeout(timeout)
///     }
///     fn shutdown_write(&mut self) -> io::Result<()> {
///         self.session.flush()?; // TLS would send close_notify here
///         self.socket.shutdown(std::net::Shutdown::Write)
///     }
/// }
/// ```
pub trait Transport: Read + Write {
    /// How long a `read` may wait from now on; `None`: for ever. The driver never gives zero.
    ///
    /// # Errors
    /// When the stream has no timeouts: the driver then does as with [`Untimed`].
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// How long a `write` may wait from now on; `None`: for ever. The driver never gives zero.
    ///
    /// # Errors
    /// As [`set_read_timeout`](Transport::set_read_timeout).
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends our direction of the stream (a FIN), so that the peer reads its end.
    ///
    /// # Errors
    /// When the stream is gone already.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

/// A stream with two handles, one to read and one to write at the same time: what [`split`](super::WebSocket::split)
/// needs.
pub trait Duplex: Transport + Sized {
    /// A second handle to the same stream.
    ///
    /// # Errors
    /// When the system has no more handles.
    fn try_clone(&self) -> io::Result<Self>;
}

macro_rules! impl_transport {
    ($stream:ty) => {
        impl Transport for $stream {
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$stream>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$stream>::set_write_timeout(self, timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }

        impl Duplex for $stream {
            fn try_clone(&self) -> io::Result<Self> {
                <$stream>::try_clone(self)
            }
        }
    };
}

impl_transport!(TcpStream);
#[cfg(unix)]
impl_transport!(UnixStream);

/// Makes a [`Transport`] of anything that can be read and written, without timeouts.
///
/// A connection on it looks at its clock only when a read has returned: Pings go out then, and what took too long ends
/// then, be it hours later. A write waits for as long as the stream makes it wait. The end of our direction is only a
/// flush, so dropping the socket has to tell the peer.
///
/// ```
/// use ws13::blocking::{Untimed, WebSocket};
/// use ws13::{Config, Message, Role};
///
/// let received = std::io::Cursor::new(b"\x81\x02hi".to_vec());
/// let stream = Untimed(std::io::BufWriter::new(received));
/// # struct Both(std::io::Cursor<Vec<u8>>);
/// # impl std::io::Read for Both {
/// #     fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> { self.0.read(target) }
/// # }
/// # impl std::io::Write for Both {
/// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { Ok(bytes.len()) }
/// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
/// # }
/// # let stream = Untimed(Both(stream.0.into_inner().unwrap()));
/// let mut socket = WebSocket::from_upgraded(stream, Role::Client, Config::default());
/// assert_eq!(socket.receive()?, Some(Message::from("hi")));
/// # Ok::<(), ws13::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Untimed<S>(pub S);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.0.read(target)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Transport for Untimed<S> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

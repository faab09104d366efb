//! The kit for threads: a pipe in memory with timeouts, and sockets on it.
//!
//! ```
//! use std::thread;
//! use ws13::{CloseCode, Error, test};
//!
//! let (mut client, mut server) = test::blocking::pair();
//! let serving = thread::spawn(move || {
//!     while let Some(message) = server.receive()? {
//!         server.send(message)?;
//!     }
//!     Ok::<(), Error>(())
//! });
//! client.send("hi")?;
//! assert_eq!(client.receive()?.unwrap().as_text(), Some("hi"));
//! client.close(CloseCode::NORMAL, "bye")?;
//! serving.join().unwrap()?;
//! # Ok::<(), Error>(())
//! ```

use super::{Faulty, Pair};
use crate::blocking::{Duplex, Transport};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A socket in memory, for threads.
pub type WebSocket = crate::blocking::WebSocket<Faulty<Pipe>>;

/// A client's and a server's socket, connected in memory, with the default settings.
/// [`Pair::connect_blocking`] has more to choose.
#[must_use]
pub fn pair() -> (WebSocket, WebSocket) {
    Pair::new().connect_blocking()
}

/// Two ends of a stream in memory, which holds `capacity` bytes in each direction.
#[must_use]
pub fn pipe(capacity: usize) -> (Pipe, Pipe) {
    let (there, back) = (Arc::new(Channel::new(capacity)), Arc::new(Channel::new(capacity)));
    let near = End { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) };
    (Pipe::new(near), Pipe::new(End { incoming: there, outgoing: back }))
}

/// One end of a stream in memory: reads and writes wait as those of a TCP stream do, with timeouts.
#[derive(Debug)]
pub struct Pipe {
    end: Arc<End>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Pipe {
    fn new(end: End) -> Self {
        Pipe { end: Arc::new(end), read_timeout: None, write_timeout: None }
    }
}

/// What the handles of one end share; the last one that goes ends both directions.
#[derive(Debug)]
struct End {
    incoming: Arc<Channel>,
    outgoing: Arc<Channel>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.incoming.change(|state| state.read_ended = true);
        self.outgoing.change(|state| state.write_ended = true);
    }
}

/// One direction.
#[derive(Debug)]
struct Channel {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    write_ended: bool,
    read_ended: bool,
}

impl Channel {
    fn new(capacity: usize) -> Self {
        Channel { state: Mutex::default(), changed: Condvar::new(), capacity: capacity.max(1) }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `act` has something to say.
    fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut act: impl FnMut(&mut State) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(done) = act(&mut state) {
                drop(state);
                self.changed.notify_all();
                return done;
            }
            state = match timeout.map(|timeout| timeout.saturating_sub(start.elapsed())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Err(io::ErrorKind::WouldBlock.into()),
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.end.incoming.wait(self.read_timeout, |state| {
            let ready = !state.bytes.is_empty() || state.write_ended || target.is_empty();
            ready.then(|| state.bytes.read(target))
        })
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let channel = &self.end.outgoing;
        channel.wait(self.write_timeout, |state| {
            if state.read_ended || state.write_ended {
                return Some(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = channel.capacity.saturating_sub(state.bytes.len());
            let len = room.min(bytes.len());
            state.bytes.extend(&bytes[..len]);
            (len > 0 || bytes.is_empty()).then_some(Ok(len))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Pipe {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = timeout;
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.end.outgoing.change(|state| state.write_ended = true);
        Ok(())
    }
}

impl Duplex for Pipe {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Pipe { end: Arc::clone(&self.end), ..*self })
    }
}

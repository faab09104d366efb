//! The floor, `raw-epoll`: receive, send the same bytes back, parse nothing. No server can do less.

use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, RawFd},
};
use ws13_bench::{
    args::Args,
    poll::{self, Poll, Progress, READABLE, WRITABLE},
    upgrade,
};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(Args::from_env().require::<String>("--listen"))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;

    let mut poll = Poll::new()?;
    poll.add(listener.as_raw_fd(), LISTENER, READABLE)?;
    let mut connections = Vec::<Option<Connection>>::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        for index in 0..poll.wait(None)? {
            let (token, ready) = poll.event(index);
            if token == LISTENER {
                accept(&listener, &poll, &mut connections)?;
            } else if let Some(connection) = &mut connections[token as usize] {
                // Whatever went wrong with a connection, it ends, and nobody else is told.
                if connection.on_ready(ready, &mut buffer, &poll).is_err() {
                    connections[token as usize] = None;
                }
            }
        }
    }
}

/// Connections are numbered by their descriptors, which are small and used again.
fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Vec<Option<Connection>>) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let fd = stream.as_raw_fd();
    poll.add(fd, fd as u64, READABLE)?;
    let slot = fd as usize;
    if connections.len() <= slot {
        connections.resize_with(slot + 1, || None);
    }
    connections[slot] = Some(Connection { stream, upgraded: false, rest: Vec::new() });
    Ok(())
}

struct Connection {
    stream: TcpStream,
    upgraded: bool,
    /// The request head until it is complete; after that, what a send left over.
    rest: Vec<u8>,
}

impl Connection {
    fn on_ready(&mut self, ready: u32, buffer: &mut [u8], poll: &Poll) -> io::Result<()> {
        match ready & WRITABLE != 0 {
            true => self.send_rest(poll),
            false => self.echo(buffer, poll),
        }
    }

    fn echo(&mut self, buffer: &mut [u8], poll: &Poll) -> io::Result<()> {
        loop {
            let received = match poll::receive(self.fd(), buffer)? {
                Progress::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::Bytes(received) => received,
                Progress::WouldBlock => return Ok(()),
            };
            if !self.upgraded {
                return self.answer_upgrade(&buffer[..received]);
            }
            let sent = match poll::send(self.fd(), &buffer[..received])? {
                Progress::Bytes(sent) => sent,
                Progress::WouldBlock => 0,
            };
            if sent < received {
                self.rest.extend_from_slice(&buffer[sent..received]);
                return poll.change(self.fd(), self.fd() as u64, WRITABLE);
            }
            // Less than the buffer holds was all there is.
            if received < buffer.len() {
                return Ok(());
            }
        }
    }

    fn send_rest(&mut self, poll: &Poll) -> io::Result<()> {
        if let Progress::Bytes(sent) = poll::send(self.fd(), &self.rest)? {
            self.rest.drain(..sent);
        }
        if self.rest.is_empty() { poll.change(self.fd(), self.fd() as u64, READABLE) } else { Ok(()) }
    }

    fn answer_upgrade(&mut self, received: &[u8]) -> io::Result<()> {
        self.rest.extend_from_slice(received);
        let Some(end) = upgrade::head_end(&self.rest) else { return Ok(()) };
        let response = upgrade::response(&self.rest[..end]).ok_or(io::ErrorKind::InvalidData)?;
        self.rest = Vec::new();
        self.upgraded = true;
        poll::send(self.fd(), response.as_bytes()).map(drop)
    }

    fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

const BUFFER: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;

//! What the tests of the blocking driver share: sockets over TCP, settings with short times, streams that behave oddly.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use ws13::blocking::{Transport, WebSocket};
use ws13::{Config, Keepalive, Limits, Role};

/// Two ends of a TCP connection.
pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// A client's and a server's socket on one TCP connection.
pub fn sockets(config: impl Into<Arc<Config>>) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let config = config.into();
    let (near, far) = tcp();
    (
        WebSocket::from_upgraded(near, Role::Client, Arc::clone(&config)),
        WebSocket::from_upgraded(far, Role::Server, config),
    )
}

/// A socket, and its peer as a plain stream.
pub fn socket_and_wire(role: Role, config: Config) -> (WebSocket<TcpStream>, TcpStream) {
    let (near, far) = tcp();
    far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (WebSocket::from_upgraded(near, role, config), far)
}

/// Settings with these times, in milliseconds; 0 for no pings.
pub fn times(ping: u64, pong: u64, close: u64, stall: u64) -> Config {
    let ms = Duration::from_millis;
    Config {
        limits: Limits { close_timeout: ms(close), stall_timeout: ms(stall), ..Limits::default() },
        keepalive: Keepalive { ping_interval: (ping > 0).then(|| ms(ping)), pong_timeout: ms(pong) },
        ..Config::default()
    }
}

/// Runs something in a thread of its own, and fails the test when it takes too long, instead of hanging for ever.
pub fn soon<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = mpsc::channel();
    let running = thread::spawn(move || {
        let _ = done.send(run());
    });
    match finished.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(running.join().expect_err("it panicked"))
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it takes too long"),
    }
}

/// What a [`Script`] does when it is read or written.
#[derive(Debug)]
pub enum Step {
    /// Moves up to so many bytes.
    Bytes(usize),
    /// Says that it moved so many bytes, whatever it was given.
    Claim(usize),
    Fail(io::ErrorKind),
}

/// A stream that does as it is told, and moves everything when it is told nothing.
#[derive(Debug, Default)]
pub struct Script {
    pub incoming: VecDeque<u8>,
    pub reads: VecDeque<Step>,
    pub written: Vec<u8>,
    pub writes: VecDeque<Step>,
    /// Each call fails like this before the call that does something.
    pub before_each: Option<io::ErrorKind>,
    pub failed: bool,
    pub calls: usize,
}

impl Script {
    fn next(&mut self, read: bool) -> io::Result<Step> {
        self.calls += 1;
        if let Some(kind) = self.before_each {
            self.failed = !self.failed;
            if self.failed {
                return Err(kind.into());
            }
        }
        let steps = if read { &mut self.reads } else { &mut self.writes };
        match steps.pop_front() {
            Some(Step::Fail(kind)) => Err(kind.into()),
            Some(step) => Ok(step),
            None => Ok(Step::Bytes(usize::MAX)),
        }
    }
}

impl Read for Script {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.next(true)? {
            Step::Claim(len) => Ok(len),
            Step::Bytes(len) => {
                let most = len.min(target.len());
                self.incoming.read(&mut target[..most])
            }
            Step::Fail(kind) => Err(kind.into()),
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.next(false)? {
            Step::Claim(len) => Ok(len),
            Step::Bytes(len) => {
                let len = len.min(bytes.len());
                self.written.extend_from_slice(&bytes[..len]);
                Ok(len)
            }
            Step::Fail(kind) => Err(kind.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Script {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

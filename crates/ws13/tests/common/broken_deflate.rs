//! An echo server that agrees on permessage-deflate, and does something else than it said.

use crate::broken::{accept_of, field, head};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;
use ws13::blocking::{Transport, WebSocket};
use ws13::handshake::Agreed;
use ws13::{Config, Deflate, Limits, Role, deflate, extension};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It takes offers that it must decline.
    AnyOfferTaken,
    /// It answers with a window of the client's that was not asked about.
    ClientBitsUnasked,
    /// It forgets what it received before.
    WindowDropped,
    /// RSV1 is ignored where it means nothing.
    ReservedBitTaken,
    /// It waits for a message of any size.
    NoLimits,
}

/// Serves on a port of its own, for as long as the test runs; gives the URL.
pub fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || accept(stream, fault));
        }
    });
    url
}

fn accept(mut stream: TcpStream, fault: Fault) -> Option<()> {
    let (head, early) = head(&mut stream)?;
    let accept = accept_of(&field(&head, "sec-websocket-key")?);
    let offers = field(&head, "sec-websocket-extensions").unwrap_or_default();
    let (answer, agreed) = agree(&offers, fault);
    let extensions = answer.map_or_else(String::new, |line| format!("Sec-WebSocket-Extensions: {line}\r\n"));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    let mut limits = Limits::default();
    if fault == Fault::NoLimits {
        limits.max_message = usize::MAX;
    }
    // Everything is compressed that gets smaller by it.
    let settings = Deflate { threshold: 0, threshold_without_takeover: 0, ..Deflate::default() };
    let config = Config { limits, deflate: Some(settings), ..Config::default() };
    let agreed = Agreed { deflate: agreed, ..Agreed::default() };
    let stream = Lenient { stream, early, frame: Vec::new(), fault };
    let mut socket = WebSocket::from_handshake(stream, Role::Server, config, &agreed, &[]);
    while let Ok(Some(message)) = socket.receive() {
        socket.send(message).ok()?;
    }
    Some(())
}

/// A stream that clears RSV1 in the frames that it reads, where the fault is that.
struct Lenient {
    stream: TcpStream,
    /// What came with the request.
    early: Vec<u8>,
    /// What is left of a frame.
    frame: Vec<u8>,
    fault: Fault,
}

impl Lenient {
    fn take(&mut self, len: usize) -> io::Result<()> {
        let begin = self.frame.len();
        let early = self.early.len().min(len);
        self.frame.extend(self.early.drain(..early));
        self.frame.resize(begin + len, 0);
        self.stream.read_exact(&mut self.frame[begin + early..])
    }

    fn next_frame(&mut self) -> io::Result<()> {
        self.take(2)?;
        let [first, second] = [self.frame[0], self.frame[1]];
        if !matches!(first & 15, 1 | 2) && self.fault == Fault::ReservedBitTaken {
            self.frame[0] &= !0x40;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.take(extended)?;
        let len = match extended {
            0 => u64::from(second & 0x7f),
            _ => self.frame[2..].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let key = if second & 0x80 != 0 { 4 } else { 0 };
        // A length that is only announced is passed on with its header.
        self.take(if len < 1 << 30 { key + len as usize } else { key })
    }
}

impl Read for Lenient {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.frame.is_empty() {
            match self.next_frame() {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.frame.clear(),
                read => read?,
            }
        }
        let len = self.frame.len().min(target.len());
        target[..len].copy_from_slice(&self.frame[..len]);
        self.frame.drain(..len);
        Ok(len)
    }
}

impl Write for Lenient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Transport for Lenient {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

/// What it answers, and what it does then.
fn agree(offers: &str, fault: Fault) -> (Option<String>, Option<deflate::Agreed>) {
    let ours = Deflate::default();
    let offers = extension::parse(offers).unwrap_or_default();
    let good = deflate::answer(&ours, &offers);
    let agreed = good.as_ref().map(|(_, agreed)| *agreed);
    let answer = good.map(|(answer, _)| answer.to_string());
    let offered = offers.iter().any(|offer| offer.name == deflate::NAME);
    match fault {
        Fault::AnyOfferTaken if offered => {
            (answer.or(Some(deflate::NAME.to_owned())), agreed.or(Some(deflate::Agreed::default())))
        }
        Fault::ClientBitsUnasked if offered => {
            (Some(format!("{}; client_max_window_bits=10", deflate::NAME)), agreed)
        }
        Fault::WindowDropped => {
            (answer, agreed.map(|agreed| deflate::Agreed { client_context_takeover: false, ..agreed }))
        }
        _ => (answer, agreed),
    }
}

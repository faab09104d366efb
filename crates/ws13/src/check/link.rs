//! A connection to the peer under test: bytes out as they are, frames in, every wait bounded.

use super::Role;
use super::http::{Head, head_end};
use super::inflate::{Agreed, Inflater};
use super::server::Target;
use super::trace::Trace;
use super::watch::Watch;
use super::wire::{BINARY, CLOSE, CONTINUATION, Frame, Heard, PING, PONG, RSV1, TEXT};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// One TCP connection of a case.
pub(super) struct Link {
    stream: TcpStream,
    /// What is tested; we are the other side.
    pub(super) peer: Role,
    pub(super) trace: Trace,
    pub(super) watch: Watch,
    /// How long one answer may take.
    pub(super) timeout: Duration,
    /// Whether the peer echoes messages.
    pub(super) echoes: bool,
    /// Where to reach the same server again, to see whether it still serves others.
    pub(super) target: Option<Target>,
    /// The masking keys of the peer's frames.
    pub(super) keys: Vec<[u8; 4]>,
    pub(super) deflate: Option<Agreed>,
    inflater: Inflater,
    input: Vec<u8>,
    message: Option<Message>,
    end: Option<End>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    Pong(Vec<u8>),
    /// A Close frame's payload.
    Close(Vec<u8>),
    /// The peer ended its direction, or all of it.
    End(End),
    /// Nothing for as long as was waited.
    Silence(Duration),
}

/// How TCP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// A whole message; inflated where it was compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: bool,
    pub(super) payload: Vec<u8>,
    /// Whether RSV1 was set.
    pub(super) compressed: bool,
}

impl Message {
    pub(super) fn text(payload: impl AsRef<[u8]>) -> Message {
        Message { text: true, payload: payload.as_ref().to_vec(), compressed: false }
    }

    pub(super) fn binary(payload: impl AsRef<[u8]>) -> Message {
        Message { text: false, payload: payload.as_ref().to_vec(), compressed: false }
    }

    /// Whether kind and payload are the same; how it was sent is the peer's choice.
    pub(super) fn says(&self, other: &Message) -> bool {
        self.text == other.text && self.payload == other.payload
    }
}

impl Link {
    pub(super) fn new(
        stream: TcpStream,
        peer: Role,
        timeout: Duration,
        trace: Trace,
    ) -> std::io::Result<Link> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(POLL))?;
        Ok(Link {
            stream,
            peer,
            trace,
            watch: Watch::new(peer),
            timeout,
            echoes: true,
            target: None,
            keys: Vec::new(),
            deflate: None,
            inflater: Inflater::default(),
            input: Vec::new(),
            message: None,
            end: None,
        })
    }

    /// permessage-deflate is in use from here on.
    pub(super) fn agree(&mut self, agreed: Agreed) {
        self.watch.compressed = true;
        self.inflater = Inflater::new(&agreed);
        self.deflate = Some(agreed);
    }

    pub(super) fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(self.peer)).collect();
        self.send_bytes(&bytes);
    }

    /// Writes, and reads meanwhile so that neither side waits for the other. That the peer is gone is for the next
    /// look at what came to tell.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.write(bytes, true);
    }

    /// Writes without reading. Gives how many bytes the peer took.
    pub(super) fn send_deaf(&mut self, bytes: &[u8]) -> usize {
        self.write(bytes, false)
    }

    /// Writes piece by piece, with a pause behind each.
    pub(super) fn send_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>, pause: Duration) {
        for piece in pieces {
            self.send_bytes(piece);
            std::thread::sleep(pause);
        }
    }

    /// Ends our direction.
    pub(super) fn finish(&mut self) {
        self.trace.note("-> the end");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits for the next thing that is not a Ping of the peer's; those are answered.
    pub(super) fn next(&mut self) -> Event {
        self.next_within(self.timeout)
    }

    pub(super) fn next_within(&mut self, patience: Duration) -> Event {
        let until = Instant::now() + patience;
        loop {
            match Heard::take(&mut self.input) {
                Ok(Some(frame)) => {
                    if let Some(event) = self.hear(frame) {
                        return event;
                    }
                }
                Ok(None) => match self.read_until(until) {
                    Some(Ok(())) => {}
                    Some(Err(end)) => return Event::End(end),
                    None => return Event::Silence(patience),
                },
                Err(len) => {
                    self.watch.fault(format!("it announced a frame of {len} bytes"));
                    self.input.clear();
                    return Event::End(End::Reset);
                }
            }
        }
    }

    /// Reads a head of HTTP; what follows it stays for [`Link::next`].
    pub(super) fn read_head(&mut self) -> Result<Head, Event> {
        let until = Instant::now() + self.timeout;
        loop {
            if let Some(end) = head_end(&self.input) {
                let head = Head::parse(&self.input[..end]);
                self.input.drain(..end);
                return Ok(head);
            }
            if self.input.len() > LONGEST_HEAD {
                self.watch.fault("its head does not end");
                return Err(Event::End(End::Reset));
            }
            match self.read_until(until) {
                Some(Ok(())) => {}
                Some(Err(end)) => return Err(Event::End(end)),
                None => return Err(Event::Silence(self.timeout)),
            }
        }
    }

    /// All further bytes until the end of TCP, or until nothing comes for `patience`.
    pub(super) fn rest(&mut self, patience: Duration) -> Vec<u8> {
        while let Some(Ok(())) = self.read_until(Instant::now() + patience) {
            if self.input.len() > LONGEST_HEAD {
                break;
            }
        }
        std::mem::take(&mut self.input)
    }

    fn hear(&mut self, frame: Heard) -> Option<Event> {
        self.keys.extend(frame.key);
        self.watch.frame(&frame);
        match frame.opcode() {
            PING => {
                self.send(&[Frame::pong(&frame.payload)]);
                None
            }
            PONG => Some(Event::Pong(frame.payload)),
            CLOSE => Some(Event::Close(frame.payload)),
            TEXT | BINARY | CONTINUATION => self.data(frame),
            _ => None,
        }
    }

    fn data(&mut self, frame: Heard) -> Option<Event> {
        let fin = frame.fin();
        let message = self.message.get_or_insert_with(|| Message {
            text: frame.opcode() == TEXT,
            payload: Vec::new(),
            compressed: frame.first & RSV1 != 0,
        });
        message.payload.extend_from_slice(&frame.payload);
        if !fin {
            return None;
        }
        let mut message = self.message.take()?;
        if message.compressed {
            match self.inflater.message(&message.payload) {
                Ok(payload) => message.payload = payload,
                Err(fault) => self.watch.fault(fault),
            }
        }
        if message.text && core::str::from_utf8(&message.payload).is_err() {
            self.watch.fault("it sent a text that is not UTF-8 (RFC 6455 5.6)");
        }
        Some(Event::Message(message))
    }

    /// `None`: the time is over.
    fn read_until(&mut self, until: Instant) -> Option<Result<(), End>> {
        loop {
            if let Some(end) = self.end {
                return Some(Err(end));
            }
            match self.read_some() {
                Some(result) => return Some(result),
                None if Instant::now() >= until => return None,
                None => {}
            }
        }
    }

    /// One read; `None` where nothing came.
    fn read_some(&mut self) -> Option<Result<(), End>> {
        let mut buffer = [0; 16 * 1024];
        let end = match self.stream.read(&mut buffer) {
            Ok(0) => End::Fin,
            Ok(n) => {
                self.trace.received(&buffer[..n]);
                self.input.extend_from_slice(&buffer[..n]);
                return Some(Ok(()));
            }
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                return None;
            }
            Err(_) => End::Reset,
        };
        self.trace.note(format!("<- {end}"));
        self.end = Some(end);
        Some(Err(end))
    }

    fn write(&mut self, bytes: &[u8], reading: bool) -> usize {
        self.trace.sent(bytes);
        let until = Instant::now() + self.timeout;
        let mut rest = bytes;
        if self.stream.set_nonblocking(true).is_err() {
            return 0;
        }
        while !rest.is_empty() && Instant::now() < until {
            match self.stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let came = reading && matches!(self.read_some(), Some(Ok(())));
                    if !came {
                        std::thread::sleep(Duration::from_micros(500));
                    }
                }
                Err(_) => break,
            }
        }
        let _ = self.stream.set_nonblocking(false);
        bytes.len() - rest.len()
    }
}

/// How long one read blocks: what bounds the waiting is looked at this often.
const POLL: Duration = Duration::from_millis(20);

const LONGEST_HEAD: usize = 256 * 1024;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Fin => "the end of TCP",
            End::Reset => "a reset of TCP",
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.text { "text" } else { "binary message" };
        let shown: Vec<u8> = self.payload.iter().copied().take(24).collect();
        let dots = if shown.len() < self.payload.len() { "…" } else { "" };
        write!(f, "a {kind} of {} bytes \"{}{dots}\"", self.payload.len(), shown.escape_ascii())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Message(message) => message.fmt(f),
            Event::Pong(payload) => write!(f, "a Pong of {} bytes", payload.len()),
            Event::Close(payload) => match close_code(payload) {
                Some(code) => write!(f, "a Close with {code} \"{}\"", payload[2..].escape_ascii()),
                None => write!(f, "a Close with a body of {} bytes", payload.len()),
            },
            Event::End(end) => end.fmt(f),
            Event::Silence(time) => write!(f, "nothing for {:.1} s", time.as_secs_f64()),
        }
    }
}

/// The code in a Close frame's payload.
pub(super) fn close_code(payload: &[u8]) -> Option<u16> {
    payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
}

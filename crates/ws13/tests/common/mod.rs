//! What the tests of the core share: frames made by hand, events made comparable, deterministic keys.
//!
//! Frames are written and read here without the crate's own codec, so that a mistake there cannot hide.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it, and nobody else any")]

pub mod allocation;
pub mod pair;

use bytes::{Buf, BytesMut};
use std::sync::Arc;
use ws13::connection::LEASE;
use ws13::frame::{MaskKey, OpCode, Rsv};
use ws13::{CloseCause, Config, Connection, Event, Inbox, Kind, MaskKeys, Outbox, Role};

/// Keys that repeat from run to run.
pub struct CountedKeys(pub u32);

impl MaskKeys for CountedKeys {
    fn next_key(&mut self) -> MaskKey {
        self.0 = self.0.wrapping_mul(0x9e37_79b1).wrapping_add(0x1234_5677);
        self.0.to_be_bytes()
    }
}

pub fn connection(role: Role, config: impl Into<Arc<Config>>) -> Connection {
    let keys = (role == Role::Client).then(|| Box::new(CountedKeys(1)) as Box<dyn MaskKeys>);
    Connection::with_keys(keys, config, 7)
}

/// A connection with its buffers.
pub struct End {
    pub connection: Connection,
    pub inbox: Inbox,
    pub outbox: Outbox,
}

impl End {
    pub fn new(role: Role, config: impl Into<Arc<Config>>) -> End {
        End { connection: connection(role, config), inbox: Inbox::new(), outbox: Outbox::new() }
    }

    pub fn server() -> End {
        End::new(Role::Server, Config::default())
    }

    pub fn client() -> End {
        End::new(Role::Client, Config::default())
    }

    pub fn event(&mut self) -> Option<Seen> {
        self.connection.receive(&mut self.inbox, &mut self.outbox).map(Seen::from)
    }

    pub fn part(&mut self) -> Option<Seen> {
        self.connection.receive_part(&mut self.inbox, &mut self.outbox).map(Seen::from)
    }

    pub fn events(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// Gives bytes to the inbox and takes all events.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.inbox.extend_from_slice(bytes);
        self.events()
    }

    /// Takes what is to be written.
    pub fn written(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write(&mut self.outbox) {
            let chunk = self.outbox.chunk();
            bytes.extend_from_slice(chunk);
            let len = chunk.len();
            self.outbox.advance(len);
        }
        bytes
    }

    /// Takes what is to be written, as frames.
    pub fn frames(&mut self) -> Vec<Frame> {
        parse(&self.written())
    }

    /// The code of the Close frame that is written, where it is the only frame.
    pub fn close_code(&mut self) -> Option<u16> {
        match &self.frames()[..] {
            [Frame { first: 0x88, payload, .. }] if payload.len() >= 2 => {
                Some(u16::from_be_bytes([payload[0], payload[1]]))
            }
            _ => None,
        }
    }

    /// Ends the stream; gives the events that follow.
    pub fn eof(&mut self) -> Vec<Seen> {
        self.connection.receive_eof(&mut self.outbox);
        self.events()
    }

    /// Reads as a driver does: into a leased buffer, `bytes` at once.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let room = self.inbox.room(|_| BytesMut::with_capacity(LEASE));
            let len = left.len().min(room.capacity() - room.len());
            assert!(len > 0, "there is room for at least a byte");
            room.extend_from_slice(&left[..len]);
            self.inbox.advance_received(len);
            left = &left[len..];
        }
    }
}

/// An event, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Message(Kind, Vec<u8>),
    Part { kind: Kind, bytes: Vec<u8>, first: bool, last: bool },
    Extended(OpCode, Rsv, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed { code: u16, reason: String, cause: CloseCause },
}

impl Seen {
    pub fn text(text: &str) -> Seen {
        Seen::Message(Kind::Text, text.into())
    }

    pub fn binary(bytes: &[u8]) -> Seen {
        Seen::Message(Kind::Binary, bytes.into())
    }

    pub fn closed(code: u16) -> Seen {
        Seen::Closed { code, reason: String::new(), cause: CloseCause::Handshake }
    }

    pub fn lost(lost: ws13::Lost) -> Seen {
        Seen::Closed { code: 1006, reason: String::new(), cause: CloseCause::Lost(lost) }
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Seen {
        match event {
            Event::Message(message) => {
                if let Some(text) = message.as_text() {
                    assert!(std::str::from_utf8(text.as_bytes()).is_ok());
                }
                Seen::Message(message.kind(), message.as_bytes().into())
            }
            Event::Part(part) => {
                Seen::Part { kind: part.kind, bytes: part.bytes.into(), first: part.first, last: part.last }
            }
            Event::Extended(came) => Seen::Extended(came.opcode, came.rsv, came.bytes.to_vec()),
            Event::Ping(payload) => Seen::Ping(payload.into()),
            Event::Pong(payload) => Seen::Pong(payload.into()),
            Event::Closed(closed) => {
                Seen::Closed { code: closed.code(), reason: closed.reason().into(), cause: closed.cause() }
            }
        }
    }
}

/// A frame as it stands on the wire, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV1 to RSV3, opcode.
    pub first: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame's bytes, as RFC 6455 section 5.2 draws them.
pub fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(mask_bit | len as u8),
        len @ 126..=65_535 => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let key_bytes = key.unwrap_or_default();
    if key.is_some() {
        bytes.extend_from_slice(&key_bytes);
    }
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key_bytes[i % 4]));
    bytes
}

/// A client's frame.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Some(KEY), payload)
}

/// A server's frame.
pub fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, None, payload)
}

/// A Close frame's payload.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Reads frames; every byte must belong to one, in its shortest form.
pub fn parse(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let first = bytes.get_u8();
        let second = bytes.get_u8();
        let len = match second & 0x7f {
            126 => usize::from(bytes.get_u16()),
            127 => bytes.get_u64() as usize,
            len => usize::from(len),
        };
        let key = if second & 0x80 != 0 { bytes.get_u32().to_be_bytes() } else { [0; 4] };
        let payload: Vec<u8> = bytes[..len].iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        assert_eq!(len >= 126, second & 0x7f >= 126, "the shortest form");
        assert_eq!(len > 65_535, second & 0x7f == 127, "the shortest form");
        bytes.advance(len);
        frames.push(Frame { first, masked: second & 0x80 != 0, payload });
    }
    frames
}

/// Bytes written as hexadecimal digits, blanks ignored.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

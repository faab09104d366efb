//! What one side has sent, to be held against what the other one receives: nothing lost, doubled or reordered.

use crate::common::Seen;
use std::collections::VecDeque;
use ws13::{CloseFrame, Kind};

#[derive(Default)]
pub struct Ledger {
    messages: VecDeque<Sent>,
    /// Payloads of Pings in the order in which they were sent; how many were received, and answered.
    pings: Vec<Vec<u8>>,
    pings_received: usize,
    /// A Ping of keepalive was received after the newest of these.
    superseded: bool,
    pings_answered: usize,
    pongs: VecDeque<Vec<u8>>,
    /// The Close that this side began by itself, if it did.
    pub close: Option<Option<CloseFrame>>,
    pub delivered: usize,
}

struct Sent {
    kind: Kind,
    bytes: Vec<u8>,
    complete: bool,
    /// Bytes that were received in parts.
    parted: Option<usize>,
    /// Its reader went away: the rest is not received.
    skipped: bool,
}

/// First bytes by which payloads of control frames are told from those of keepalive, which are 0.
const PING: u8 = b'u';
const PONG: u8 = b'x';

impl Ledger {
    pub fn message(&mut self, kind: Kind, bytes: Vec<u8>) {
        self.messages.push_back(Sent { kind, bytes, complete: true, parted: None, skipped: false });
    }

    /// A message is begun, to be sent in parts.
    pub fn begin(&mut self, kind: Kind) {
        let bytes = Vec::new();
        self.messages.push_back(Sent { kind, bytes, complete: false, parted: None, skipped: false });
    }

    /// How much there is of the message that is sent in parts.
    pub fn open_len(&self) -> usize {
        self.messages.back().filter(|message| !message.complete).map_or(0, |message| message.bytes.len())
    }

    pub fn part(&mut self, bytes: &[u8], last: bool) {
        let message = self.messages.back_mut().expect("a part belongs to a message that was begun");
        message.bytes.extend_from_slice(bytes);
        message.complete = last;
    }

    /// The payload of the next Ping, `len` bytes at least.
    pub fn next_ping(&self, len: usize) -> Vec<u8> {
        numbered(PING, self.pings.len(), len)
    }

    pub fn ping(&mut self, payload: Vec<u8>) {
        self.pings.push(payload);
    }

    pub fn next_pong(&self, number: usize, len: usize) -> Vec<u8> {
        numbered(PONG, number, len)
    }

    pub fn pong(&mut self, payload: Vec<u8>) {
        self.pongs.push_back(payload);
    }

    /// The other side received this; `own` is its ledger.
    pub fn receive(&mut self, seen: &Seen, own: &mut Ledger) {
        match seen {
            Seen::Message(kind, bytes) => self.whole(*kind, bytes),
            Seen::Part { kind, bytes, first, last } => self.parts(*kind, bytes, *first, *last),
            Seen::Ping(payload) if payload.first() == Some(&PING) => {
                assert_eq!(self.pings.get(self.pings_received), Some(payload), "Pings come in order");
                self.pings_received += 1;
                self.superseded = false;
            }
            Seen::Pong(payload) if payload.first() == Some(&PONG) => {
                assert_eq!(self.pongs.pop_front().as_ref(), Some(payload), "Pongs come in order");
            }
            Seen::Pong(payload) if payload.first() == Some(&PING) => {
                let answered = own.pings[own.pings_answered..].iter().position(|ping| ping == payload);
                own.pings_answered += answered.expect("a Pong answers a Ping, once and in order") + 1;
            }
            Seen::Ping(payload) | Seen::Pong(payload) => {
                assert!(payload.len() == 8 && payload[0] == 0, "keepalive's own: {payload:?}");
                self.superseded |= matches!(seen, Seen::Ping(_));
            }
            Seen::Extended(..) => panic!("no extension was agreed on: {seen:?}"),
            Seen::Closed { .. } => {}
        }
    }

    /// Whether the other side is inside a message that it reads in parts.
    pub fn is_parted(&self) -> bool {
        self.messages.front().is_some_and(|front| front.parted.is_some() && !front.skipped)
    }

    /// Whether the other side skips a message.
    pub fn is_skipped(&self) -> bool {
        self.messages.front().is_some_and(|front| front.skipped)
    }

    /// The other side reads no more parts of its message.
    pub fn skip(&mut self) {
        if let Some(front) = self.messages.front_mut() {
            front.skipped = true;
        }
    }

    /// Every message has been received.
    pub fn check_messages_received(&self) {
        let undone = self.messages.iter().filter(|message| message.complete && !message.skipped).count();
        assert_eq!(undone, 0, "messages that were sent and never received");
    }

    /// Everything that was sent has been received.
    pub fn check_all_received(&self) {
        self.check_messages_received();
        assert_eq!(self.pings_received, self.pings.len(), "Pings that were sent and never received");
        assert!(self.pongs.is_empty(), "Pongs that were sent and never received");
    }

    /// The newest Ping has been answered; older ones need not be.
    pub fn check_answered(&self) {
        assert!(self.superseded || self.pings_answered == self.pings.len(), "the newest Ping is answered");
    }

    fn whole(&mut self, kind: Kind, bytes: &[u8]) {
        self.drop_skipped();
        let sent = self.messages.pop_front().expect("no message comes that was not sent");
        assert!(sent.complete && sent.parted.is_none(), "a message comes when it is complete, and once");
        assert_eq!((sent.kind, sent.bytes.len()), (kind, bytes.len()), "the next message comes, whole");
        assert!(sent.bytes == bytes, "a message comes as it was sent");
        self.delivered += 1;
    }

    fn parts(&mut self, kind: Kind, bytes: &[u8], first: bool, last: bool) {
        self.drop_skipped();
        let sent = self.messages.front_mut().expect("no part comes that was not sent");
        assert_eq!((sent.kind, sent.parted.is_none()), (kind, first), "the first part is marked");
        let from = sent.parted.unwrap_or(0);
        assert_eq!(sent.bytes.get(from..from + bytes.len()), Some(bytes), "a part comes as it was sent");
        sent.parted = Some(from + bytes.len());
        if last {
            assert!(sent.complete && from + bytes.len() == sent.bytes.len(), "the last part is the last");
            self.messages.pop_front();
            self.delivered += 1;
        }
    }

    fn drop_skipped(&mut self) {
        if self.is_skipped() {
            self.messages.pop_front();
        }
    }
}

fn numbered(first: u8, number: usize, len: usize) -> Vec<u8> {
    let mut payload = vec![first];
    payload.extend_from_slice(&(number as u32).to_be_bytes());
    payload.resize(payload.len().max(len.min(125)), 0x55);
    payload
}

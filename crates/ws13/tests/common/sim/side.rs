//! One side of the simulation: a driver around the core, as anybody could write it, from the handshake on.

use super::dice::Dice;
use super::ledger::Ledger;
use super::network::{Nanos, Pipe, Read};
use crate::common::{CountedKeys, Seen};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use ws13::connection::LEASE;
use ws13::handshake::{client, server};
use ws13::{
    CloseCause, CloseFrame, Config, Connection, Event, Inbox, Kind, Lost, MaskKeys, Misuse, Outbox, Role,
    Timestamp,
};

/// The two directions as one side sees them, and the time.
pub struct Wires<'a> {
    pub incoming: &'a mut Pipe,
    pub outgoing: &'a mut Pipe,
    pub now: Nanos,
}

pub struct Side {
    pub role: Role,
    config: Arc<Config>,
    stage: Stage,
    pub inbox: Inbox,
    pub outbox: Outbox,
    /// Bytes of the handshake, written before anything of the outbox.
    head: VecDeque<u8>,
    /// How far this side's clock is ahead of the simulation's.
    pub clock_ahead: Nanos,
    write_broken: bool,
    end_told: bool,
    pongs: usize,
    in_parts: bool,
    /// Sends back what it receives.
    pub echoes: bool,
    pub ended: Option<Ended>,
}

enum Stage {
    Asking(Box<client::Upgrade>, Vec<u8>),
    Answering(server::ReadRequest, Vec<u8>),
    Open(Box<Connection>),
}

/// How it ended for one side.
#[derive(Debug)]
pub enum Ended {
    Handshake,
    Closed { code: u16, reason: String, cause: CloseCause },
}

impl Side {
    pub fn client(config: Config, dice: &mut Dice) -> Side {
        let request = client::Request::for_host("simulated", "/").unwrap();
        #[cfg(feature = "deflate")]
        let request = request.deflate(config.deflate.clone());
        let key = u128::from(dice.number()).to_be_bytes();
        let (upgrade, head) = client::Upgrade::new(request, key).unwrap();
        Side::new(Role::Client, config, Stage::Asking(Box::new(upgrade), Vec::new()), head)
    }

    pub fn server(config: Config) -> Side {
        let options = server::Options {
            #[cfg(feature = "deflate")]
            deflate: config.deflate.clone(),
            ..server::Options::default()
        };
        let reading = server::ReadRequest::new(options);
        Side::new(Role::Server, config, Stage::Answering(reading, Vec::new()), Vec::new())
    }

    fn new(role: Role, config: Config, stage: Stage, head: Vec<u8>) -> Side {
        Side {
            role,
            config: Arc::new(config),
            stage,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            head: head.into(),
            clock_ahead: 0,
            write_broken: false,
            end_told: false,
            pongs: 0,
            in_parts: false,
            echoes: false,
            ended: None,
        }
    }

    pub fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Open(connection) => Some(connection),
            _ => None,
        }
    }

    pub fn is_open(&mut self) -> bool {
        self.ended.is_none() && self.connection().is_some_and(|connection| connection.is_open())
    }

    /// When this side must look at its clock again.
    pub fn deadline(&mut self) -> Option<Nanos> {
        let ahead = self.clock_ahead;
        let deadline = self.connection()?.deadline()?;
        Some(deadline.as_nanos().saturating_sub(ahead))
    }

    pub fn describe(&mut self) -> String {
        let deadline = self.deadline();
        let stage = match &mut self.stage {
            Stage::Asking(..) | Stage::Answering(..) => "in the handshake".to_owned(),
            Stage::Open(connection) => format!(
                "open {}, wants to write {}, to shut down {}, closed {:?}",
                connection.is_open(),
                connection.wants_write(&mut self.outbox),
                connection.wants_shutdown(&self.outbox),
                connection.closed()
            ),
        };
        let (inbox, outbox, head) = (self.inbox.bytes().len(), self.outbox.queued(), self.head.len());
        format!(
            "{:?} is {stage}, ended {:?}, inbox {inbox}, outbox {outbox}, head {head}, deadline {deadline:?}, \
             clock {} ahead, write broken {}, end told {}",
            self.role, self.ended, self.clock_ahead, self.write_broken, self.end_told
        )
    }

    fn clock(&self, now: Nanos) -> Timestamp {
        Timestamp::from_nanos(now + self.clock_ahead)
    }

    /// Reads once.
    pub fn read(&mut self, wires: &mut Wires<'_>, dice: &mut Dice) -> bool {
        if self.ended.is_some() || self.end_told {
            return false;
        }
        let max = dice.pick(&[1, 2, 7, 100, 4096, LEASE]);
        let bytes = match wires.incoming.read(wires.now, max) {
            Read::Nothing => return false,
            Read::End | Read::Reset if self.connection().is_none() => {
                self.end(Ended::Handshake, wires);
                return true;
            }
            Read::End => return self.lose(Lost::Eof),
            Read::Reset => return self.lose(Lost::Transport),
            Read::Bytes(bytes) => bytes,
        };
        if self.connection().is_none() {
            self.shake(&bytes, wires);
        } else if dice.one_in(2) {
            self.inbox.extend_from_slice(&bytes);
        } else {
            let mut left = &bytes[..];
            while !left.is_empty() {
                let room = self.inbox.room(|capacity| BytesMut::with_capacity(capacity.min(LEASE)));
                let len = left.len().min(room.capacity() - room.len());
                room.extend_from_slice(&left[..len]);
                self.inbox.advance_received(len);
                left = &left[len..];
            }
        }
        self.tell_time(wires);
        true
    }

    fn lose(&mut self, lost: Lost) -> bool {
        self.end_told = true;
        if let Stage::Open(connection) = &mut self.stage {
            connection.lose(lost, &mut self.outbox);
        }
        true
    }

    /// The application gives the connection up.
    pub fn abort(&mut self) {
        self.lose(Lost::Aborted);
    }

    fn shake(&mut self, bytes: &[u8], wires: &mut Wires<'_>) {
        let (agreed, early) = match &mut self.stage {
            Stage::Asking(upgrade, received) => {
                received.extend_from_slice(bytes);
                match upgrade.receive(received).expect("our own server's answer is right") {
                    None => return,
                    Some((accepted, used)) => (accepted.agreed, received[used..].to_vec()),
                }
            }
            Stage::Answering(reading, received) => {
                received.extend_from_slice(bytes);
                match reading.receive(received).expect("our own client's request is right") {
                    None => return,
                    Some((server::Received::Plain(_), _)) => panic!("a WebSocket is asked for"),
                    Some((server::Received::Upgrade(asked), used)) => {
                        let accepted = asked.accept(server::Accept::new()).unwrap();
                        self.head.extend(accepted.response);
                        (accepted.agreed, received[used..].to_vec())
                    }
                }
            }
            Stage::Open(_) => unreachable!("it is asked before"),
        };
        let keys = (self.role == Role::Client).then(|| Box::new(CountedKeys(1)) as Box<dyn MaskKeys>);
        let connection = Connection::with_keys(keys, Arc::clone(&self.config), wires.now);
        #[cfg(feature = "deflate")]
        let connection = match agreed.deflate {
            Some(deflate) => connection.with_deflate(deflate),
            None => connection,
        };
        #[cfg(not(feature = "deflate"))]
        let _ = agreed;
        self.stage = Stage::Open(Box::new(connection));
        self.inbox.extend_from_slice(&early);
    }

    /// Takes one event; `peer` is what the other side has sent, `own` what this one has.
    pub fn receive(
        &mut self,
        wires: &mut Wires<'_>,
        own: &mut Ledger,
        peer: &mut Ledger,
        dice: &mut Dice,
    ) -> bool {
        let Stage::Open(connection) = &mut self.stage else { return false };
        if peer.is_parted() && dice.one_in(20) {
            peer.skip();
        }
        // Who reads a message in parts goes on so, until its end or until it goes away.
        self.in_parts = !peer.is_skipped() && (peer.is_parted() || dice.one_in(4));
        let open = connection.is_open();
        let seen = if self.in_parts {
            connection.receive_part(&mut self.inbox, &mut self.outbox).map(Seen::from)
        } else if self.echoes && open && self.outbox.queued() < self.config.limits.queue_mark {
            match connection.receive_with_output(&mut self.inbox, &mut self.outbox) {
                Some((Event::Message(message), mut output)) => {
                    let (kind, bytes) = (message.kind(), message.as_bytes().to_vec());
                    match output.send(message) {
                        Ok(()) => own.message(kind, bytes.clone()),
                        Err(Misuse::MessageUnfinished) => {}
                        Err(other) => panic!("{other}"),
                    }
                    Some(Seen::Message(kind, bytes))
                }
                Some((other, _)) => Some(Seen::from(other)),
                None => None,
            }
        } else {
            connection.receive(&mut self.inbox, &mut self.outbox).map(Seen::from)
        };
        let Some(seen) = seen else {
            self.check_memory();
            return false;
        };
        assert!(self.ended.is_none(), "nothing follows the end: {seen:?}");
        peer.receive(&seen, own);
        if let Seen::Closed { code, reason, cause } = seen {
            self.end(Ended::Closed { code, reason, cause }, wires);
        }
        true
    }

    /// With nothing left to handle, what is kept is less than a message and a lease.
    fn check_memory(&self) {
        let kept = self.inbox.bytes().len();
        assert!(kept <= self.config.limits.max_message + LEASE, "the inbox keeps {kept} bytes");
    }

    /// The socket is dropped.
    fn end(&mut self, ended: Ended, wires: &mut Wires<'_>) {
        self.ended = Some(ended);
        wires.outgoing.end();
        wires.incoming.drop_reader();
    }

    /// Writes once.
    pub fn write(&mut self, wires: &mut Wires<'_>, dice: &mut Dice) -> bool {
        if self.ended.is_some() || self.write_broken {
            return false;
        }
        let most = dice.pick(&[1, 3, 50, 5_000, usize::MAX]);
        if !self.head.is_empty() {
            let (first, _) = self.head.as_slices();
            let len = match wires.outgoing.write(wires.now, &first[..first.len().min(most)], dice) {
                Ok(len) => len,
                Err(_) => return self.stop_writing(),
            };
            self.head.drain(..len);
            return len > 0;
        }
        let Stage::Open(connection) = &mut self.stage else { return false };
        if connection.wants_shutdown(&self.outbox) {
            wires.outgoing.end();
            connection.shut_down();
            return true;
        }
        if !connection.wants_write(&mut self.outbox) {
            return false;
        }
        let most = most.min(wires.outgoing.room());
        let written = if dice.one_in(3) {
            wires.outgoing.write(wires.now, &self.gathered(most), dice)
        } else {
            let chunk = self.outbox.chunk();
            wires.outgoing.write(wires.now, &chunk[..chunk.len().min(most)], dice)
        };
        match written {
            Ok(len) => {
                self.outbox.advance(len);
                len > 0
            }
            Err(_) => self.stop_writing(),
        }
    }

    fn stop_writing(&mut self) -> bool {
        self.write_broken = true;
        true
    }

    /// What a vectored write of `most` bytes would take.
    fn gathered(&self, most: usize) -> Vec<u8> {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let filled = self.outbox.chunks_vectored(&mut slices);
        let mut bytes = Vec::new();
        for slice in &slices[..filled] {
            bytes.extend_from_slice(&slice[..slice.len().min(most - bytes.len())]);
        }
        bytes
    }

    /// As a driver does after a read and before it waits; true when something was due.
    pub fn tell_time(&mut self, wires: &Wires<'_>) -> bool {
        let now = self.clock(wires.now);
        let Stage::Open(connection) = &mut self.stage else { return false };
        if self.ended.is_some() {
            return false;
        }
        let due = connection.deadline().is_some_and(|deadline| now >= deadline);
        (due || connection.wants_time(&self.outbox)) && connection.tick(now, &self.inbox, &mut self.outbox)
    }

    pub fn park(&mut self) {
        drop(self.inbox.park());
        drop(self.outbox.park());
    }

    /// Does what an application does, once: sends, or begins, goes on with or ends a message in parts.
    pub fn speak(&mut self, own: &mut Ledger, longest: usize, dice: &mut Dice) -> bool {
        let (open, config) = (self.is_open(), Arc::clone(&self.config));
        let limits = &config.limits;
        let queued = self.outbox.queued();
        // Mostly as `send` waits at the mark; sometimes on to the cap.
        if queued >= limits.queue_mark && !dice.one_in(10) {
            return false;
        }
        let Stage::Open(connection) = &mut self.stage else { return false };
        if self.ended.is_some() {
            return false;
        }
        let expected = |result: &Result<(), Misuse>| match result {
            Ok(()) => assert!(open && queued < limits.queue_cap, "taken at {queued} bytes"),
            Err(Misuse::Closed) => assert!(!open, "an open connection takes messages"),
            Err(Misuse::QueueFull) => assert!(open && queued >= limits.queue_cap, "full at {queued} bytes"),
            Err(other) => assert!(matches!(other, Misuse::MessageUnfinished | Misuse::NoMessageBegun)),
        };
        let outbox = &mut self.outbox;
        match dice.below(10) {
            0 => {
                let payload = own.next_ping(dice.below(126));
                let result = connection.ping(&payload, outbox);
                expected(&result);
                if result.is_ok() {
                    own.ping(payload);
                }
            }
            1 => {
                let payload = own.next_pong(self.pongs, dice.below(126));
                let result = connection.pong(&payload, outbox);
                expected(&result);
                if result.is_ok() {
                    self.pongs += 1;
                    own.pong(payload);
                }
            }
            2 => {
                let kind = dice.pick(&[Kind::Text, Kind::Binary]);
                if connection.begin_message(kind).is_ok() {
                    own.begin(kind);
                }
            }
            3 | 4 => {
                // No message over the limits of who receives it.
                let (part, last) = (ascii(longest / 2, dice), dice.one_in(3) || own.open_len() > longest / 2);
                let result = connection.send_part(&part, last, outbox);
                expected(&result);
                if result.is_ok() {
                    own.part(&part, last);
                }
            }
            kind => {
                let kind = if kind % 2 == 0 { Kind::Text } else { Kind::Binary };
                let bytes = if kind == Kind::Text { text(longest, dice) } else { ascii(longest, dice) };
                let result = match (kind, dice.one_in(2)) {
                    (Kind::Text, _) => connection.send(String::from_utf8(bytes.clone()).unwrap(), outbox),
                    (Kind::Binary, true) => connection.send(&bytes, outbox),
                    (Kind::Binary, false) => connection.send(bytes.clone(), outbox),
                };
                expected(&result);
                if result.is_ok() {
                    own.message(kind, bytes);
                }
            }
        }
        // One message over the cap, with the headers of its fragments, and the Pongs.
        let payload = longest + longest / 8;
        let headers = 14 * (1 + payload / config.fragment_size.unwrap_or(payload + 1));
        let most = limits.queue_cap + payload + headers + 4096;
        assert!(self.outbox.queued() <= most, "the outbox holds {} bytes", self.outbox.queued());
        true
    }

    pub fn close(&mut self, own: &mut Ledger, dice: &mut Dice) {
        let code = ws13::CloseCode::new(dice.pick(&[1000, 1001, 1003, 1011, 3000, 4999])).unwrap();
        let reason = &"it has been enough, and more than that"[..dice.pick(&[0, 2, 38])];
        let frame = (!dice.one_in(4)).then(|| CloseFrame::new(code, reason).unwrap());
        let open = self.is_open();
        if let Stage::Open(connection) = &mut self.stage {
            connection.close(frame.clone(), &mut self.outbox);
            if open {
                own.close = Some(frame);
            }
        }
    }
}

fn length(longest: usize, dice: &mut Dice) -> usize {
    let len = match dice.below(8) {
        0 => dice.pick(&[0, 1, 125, 126, 127, 8191, 8192, 65_535, 65_536]),
        1 => dice.within(0..=70_000),
        2 | 3 => dice.within(0..=2_000),
        _ => dice.within(0..=130),
    };
    len.min(longest)
}

/// Bytes that can be told apart by their place, and compress more or less.
fn ascii(longest: usize, dice: &mut Dice) -> Vec<u8> {
    let (len, start, step) = (length(longest, dice), dice.below(256), dice.pick(&[0, 1, 7, 31]));
    let noise = dice.number();
    let noisy = dice.one_in(3);
    (0..len)
        .map(|i| {
            let byte = (start + i * step + i / 251) as u8;
            // All ASCII, so that any cut of it is text.
            (if noisy { byte ^ (noise.wrapping_mul(i as u64 | 1) >> 56) as u8 } else { byte }) & 0x7f
        })
        .collect()
}

fn text(longest: usize, dice: &mut Dice) -> Vec<u8> {
    let len = length(longest, dice);
    let letters = ["a", "ß", "€", "𝄞", "{\"key\":", "\"value\"},"];
    let mut text = String::new();
    while text.len() < len {
        text.push_str(dice.pick(&letters));
        if text.len() > 500 {
            text = text.repeat(2);
        }
    }
    while text.len() > len {
        text.pop();
    }
    text.into_bytes()
}

/// Timeouts that no slow network reaches.
pub const PATIENT: Duration = Duration::from_secs(100_000);

//! Echo with ws13's core: opening handshake, messages and closing handshake with every check on. Nothing wakes it for
//! time's sake: it sends no Pings of its own and has no timeouts.

use bytes::{Buf, BytesMut};
use std::{io::IoSlice, sync::Arc, time::Instant};
use ws13::{
    Config, Connection, Event, Inbox, Keepalive, Limits, Lost, Outbox, Role, Timestamp,
    handshake::{
        Reject,
        server::{Accept, Options, ReadRequest, Received},
    },
};
use ws13_bench::{
    dialogue::{Dialogue, Next},
    stock::Stock,
};

/// What all connections share.
pub struct Shared {
    config: Arc<Config>,
    options: Arc<Options>,
    start: Instant,
    /// Copy all that arrives into the inbox, instead of lending it the buffer it arrived in.
    copies: bool,
}

impl Shared {
    pub fn new(copies: bool) -> Self {
        let limits = Limits { max_message: LARGEST, ..Limits::default() };
        let keepalive = Keepalive { ping_interval: None, ..Keepalive::default() };
        let config = Arc::new(Config { limits, keepalive, ..Config::default() });
        Self { config, options: Arc::new(Options::default()), start: Instant::now(), copies }
    }
}

pub struct Echo {
    shared: Arc<Shared>,
    stage: Stage,
    /// What the opening handshake has to send.
    response: Vec<u8>,
    stream: Stream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Up,
    /// The peer has ended its direction.
    Ended,
    Lost,
}

enum Stage {
    /// With what has come of the request.
    Opening(Box<(ReadRequest, Vec<u8>)>),
    Open(Box<Open>),
    Refused,
}

struct Open {
    connection: Connection,
    inbox: Inbox,
    outbox: Outbox,
}

// SAFETY: the bytes of a response and of an outbox are on the heap, and change by `work` and `has_sent` alone: what arrives
// goes into the inbox, and that the peer is gone, for which `Connection` forgets what is queued, waits for `work`.
unsafe impl Dialogue for Echo {
    fn take(&mut self, bytes: BytesMut, stock: &mut Stock) {
        match &mut self.stage {
            Stage::Opening(opening) => opening.1.extend_from_slice(&bytes),
            Stage::Open(open) if !self.shared.copies && open.inbox.is_empty() => {
                return lend(&mut open.inbox, bytes, stock);
            }
            Stage::Open(open) => append(&mut open.inbox, &bytes, stock),
            Stage::Refused => {}
        }
        stock.give_back(bytes);
    }

    fn end(&mut self) {
        self.stream = Stream::Ended;
    }

    fn lose(&mut self) {
        self.stream = Stream::Lost;
    }

    fn work(&mut self, stock: &mut Stock) -> Next {
        if let Stage::Opening(opening) = &mut self.stage {
            let (reading, received) = &mut **opening;
            match answer(reading, received, &self.shared) {
                None if self.stream != Stream::Up => return Next::Close,
                None => return Next::Wait,
                Some((response, stage)) => (self.response, self.stage) = (response, stage),
            }
        }
        match &mut self.stage {
            _ if !self.response.is_empty() && self.stream != Stream::Lost => Next::Send,
            Stage::Open(open) => open.converse(self.stream, &self.shared, stock),
            Stage::Opening(_) | Stage::Refused => Next::Close,
        }
    }

    fn unsent<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match &self.stage {
            Stage::Open(open) if self.response.is_empty() => open.outbox.chunks_vectored(slices),
            _ => {
                slices[0] = IoSlice::new(&self.response);
                1
            }
        }
    }

    fn has_sent(&mut self, len: usize, stock: &mut Stock) {
        match &mut self.stage {
            Stage::Open(open) if self.response.is_empty() => {
                open.outbox.advance(len);
                open.outbox.take_spent().into_iter().for_each(|buffer| stock.give_back(buffer));
                open.outbox.park().into_iter().for_each(|buffer| stock.give_back_outgoing(buffer));
            }
            _ => self.response = self.response.split_off(len),
        }
    }
}

impl Echo {
    pub fn new(shared: Arc<Shared>) -> Self {
        let opening = (ReadRequest::new(Arc::clone(&shared.options)), Vec::new());
        Self { shared, stage: Stage::Opening(Box::new(opening)), response: Vec::new(), stream: Stream::Up }
    }
}

/// The opening handshake, as far as its bytes are here.
fn answer(reading: &mut ReadRequest, received: &[u8], shared: &Shared) -> Option<(Vec<u8>, Stage)> {
    let refused = |reject: Reject| Some((reject.encode(), Stage::Refused));
    let (upgrade, used) = match reading.receive(received) {
        Ok(None) => return None,
        Ok(Some((Received::Upgrade(upgrade), used))) => (upgrade, used),
        Ok(Some((Received::Plain(_), _))) => return refused(Reject::upgrade_required()),
        Err(reject) => return refused(reject),
    };
    let Ok(accepted) = upgrade.accept(Accept::new()) else { return refused(Reject::internal_error()) };
    let mut inbox = Inbox::new();
    inbox.extend_from_slice(&received[used..]);
    let connection = Connection::new(Role::Server, Arc::clone(&shared.config));
    Some((accepted.response, Stage::Open(Box::new(Open { connection, inbox, outbox: Outbox::new() }))))
}

impl Open {
    /// Answers what has arrived, until the queue is full.
    fn converse(&mut self, stream: Stream, shared: &Shared, stock: &mut Stock) -> Next {
        let Open { connection, inbox, outbox } = self;
        if stream == Stream::Lost {
            connection.lose(Lost::Transport, outbox);
        }
        if connection.wants_time(outbox) {
            connection.tick(Timestamp::from(shared.start.elapsed()), inbox, outbox);
        }
        if outbox.is_parked() {
            outbox.lease(stock.lease_outgoing());
        }
        while outbox.queued() < shared.config.limits.queue_mark {
            match connection.receive_with_output(inbox, outbox) {
                // Refused after a Close frame of ours only.
                Some((Event::Message(message), mut output)) => drop(output.send(message)),
                Some((Event::Closed(_), _)) => return Next::Close,
                Some(_) => {}
                None => break,
            }
        }
        inbox.park().into_iter().for_each(|buffer| stock.give_back(buffer));
        if connection.wants_write(outbox) {
            return Next::Send;
        }
        outbox.park().into_iter().for_each(|buffer| stock.give_back_outgoing(buffer));
        if stream == Stream::Ended {
            // What arrived before the end is answered, and nobody waits for more.
            return Next::Close;
        }
        if connection.wants_shutdown(outbox) {
            connection.shut_down();
            return Next::ShutDown;
        }
        Next::Wait
    }
}

/// An empty inbox takes the buffer itself, with what is in it.
fn lend(inbox: &mut Inbox, bytes: BytesMut, stock: &mut Stock) {
    inbox.park().into_iter().for_each(|buffer| stock.give_back(buffer));
    let len = bytes.len();
    let mut offered = Some(bytes);
    inbox.room(|_| offered.take().unwrap_or_default());
    match offered {
        None => inbox.advance_received(len),
        Some(bytes) => {
            append(inbox, &bytes, stock);
            stock.give_back(bytes);
        }
    }
}

/// An inbox that waits for the rest of something takes it by copy.
fn append(inbox: &mut Inbox, mut bytes: &[u8], stock: &mut Stock) {
    while !bytes.is_empty() {
        let room = inbox.room(|at_least| stock.lease(at_least));
        // Whatever the room, there is progress: the buffer grows.
        let len = bytes.len().min((room.capacity() - room.len()).max(1));
        room.extend_from_slice(&bytes[..len]);
        inbox.advance_received(len);
        bytes = &bytes[len..];
    }
}

const LARGEST: usize = 16 << 20;

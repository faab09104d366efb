//! Echo with ws13's core on io_uring: opening handshake, messages and closing handshake with every check on. Nothing wakes
//! it for time's sake: it sends no Pings of its own and has no timeouts.

use bytes::{Buf, BytesMut};
use std::{
    io::{self, IoSlice, Write},
    net::TcpListener,
    sync::Arc,
    time::Instant,
};
use ws13::{
    Config, Connection, Event, Inbox, Keepalive, Limits, Outbox, Role, Timestamp,
    handshake::{
        Reject,
        server::{Accept, Options, ReadRequest, Received},
    },
};
use ws13_bench::{
    args::Args,
    ring::{self, Dialogue, Next, Stock},
};

fn main() -> io::Result<()> {
    let args = Args::from_env();
    let listener = TcpListener::bind(args.require::<String>("--listen"))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    let shared = Arc::new(Shared {
        config: Arc::new(Config {
            limits: Limits { max_message: LARGEST, ..Limits::default() },
            keepalive: Keepalive { ping_interval: None, ..Keepalive::default() },
            ..Config::default()
        }),
        options: Arc::new(Options::default()),
        start: Instant::now(),
        copies: args.has("--copy"),
    });
    match ring::serve(listener, || Echo::new(Arc::clone(&shared)))? {}
}

struct Shared {
    config: Arc<Config>,
    options: Arc<Options>,
    start: Instant,
    /// Copy all that arrives into the inbox, instead of lending it the buffer it arrived in.
    copies: bool,
}

struct Echo {
    shared: Arc<Shared>,
    stage: Stage,
    /// What the opening handshake has to send.
    response: Vec<u8>,
    /// The peer has ended its direction, or the stream broke.
    over: bool,
}

enum Stage {
    /// With what has come of the request.
    Opening(Box<(ReadRequest, Vec<u8>)>),
    Open { connection: Connection, inbox: Inbox, outbox: Outbox },
    Refused,
}

// SAFETY: the bytes of a response and of an outbox are on the heap, and change by `work` and `has_sent` alone: what arrives
// goes into the inbox, and that the peer is gone, for which `Connection` forgets what is queued, waits for `work`.
unsafe impl Dialogue for Echo {
    fn take(&mut self, bytes: BytesMut, stock: &mut Stock) {
        match &mut self.stage {
            Stage::Opening(opening) => opening.1.extend_from_slice(&bytes),
            Stage::Open { inbox, .. } if !self.shared.copies && inbox.is_empty() => {
                return lend(inbox, bytes, stock);
            }
            Stage::Open { inbox, .. } => append(inbox, &bytes, stock),
            Stage::Refused => {}
        }
        stock.give_back(bytes);
    }

    fn end(&mut self) {
        self.over = true;
    }

    fn work(&mut self, stock: &mut Stock) -> Next {
        if let Stage::Opening(opening) = &mut self.stage {
            let (reading, received) = &mut **opening;
            match open(reading, received, &self.shared) {
                None if self.over => return Next::Close,
                None => return Next::Wait,
                Some((response, stage)) => (self.response, self.stage) = (response, stage),
            }
        }
        match &mut self.stage {
            _ if !self.response.is_empty() && !self.over => Next::Send,
            Stage::Open { connection, inbox, outbox } => {
                if self.over {
                    connection.receive_eof(outbox);
                }
                converse(connection, inbox, outbox, &self.shared, stock)
            }
            _ => Next::Close,
        }
    }

    fn unsent<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match &self.stage {
            Stage::Open { outbox, .. } if self.response.is_empty() => outbox.chunks_vectored(slices),
            _ => {
                slices[0] = IoSlice::new(&self.response);
                1
            }
        }
    }

    fn has_sent(&mut self, len: usize, stock: &mut Stock) {
        match &mut self.stage {
            Stage::Open { outbox, .. } if self.response.is_empty() => {
                outbox.advance(len);
                outbox.take_spent().into_iter().for_each(|buffer| stock.give_back(buffer));
                outbox.park().into_iter().for_each(|buffer| stock.give_back_outgoing(buffer));
            }
            _ => self.response = self.response.split_off(len),
        }
    }
}

impl Echo {
    fn new(shared: Arc<Shared>) -> Self {
        let opening = (ReadRequest::new(Arc::clone(&shared.options)), Vec::new());
        Self { shared, stage: Stage::Opening(Box::new(opening)), response: Vec::new(), over: false }
    }
}

/// The opening handshake, as far as its bytes are here.
fn open(reading: &mut ReadRequest, received: &[u8], shared: &Shared) -> Option<(Vec<u8>, Stage)> {
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
    Some((accepted.response, Stage::Open { connection, inbox, outbox: Outbox::new() }))
}

/// Answers what has arrived, until the queue is full.
fn converse(
    connection: &mut Connection,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    shared: &Shared,
    stock: &mut Stock,
) -> Next {
    if connection.wants_time(outbox) {
        connection.tick(Timestamp::from(shared.start.elapsed()), inbox, outbox);
    }
    if outbox.is_parked() {
        outbox.lease(stock.lease_outgoing());
    }
    while outbox.queued() < shared.config.limits.queue_mark {
        match connection.receive_with_output(inbox, outbox) {
            // After a Close frame nothing is sent.
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
    if connection.wants_shutdown(outbox) {
        connection.shut_down();
        return Next::ShutDown;
    }
    Next::Wait
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

//! Threads of a split socket in many orders, chosen by a scheduler: nobody waits for ever, no message is lost or torn.
//!
//! The scheduler knows no time: a wait of the stream ends in vain by chance, where it is short. A long one does so only
//! in the tests of what a receiver finds to write when its wait is over; elsewhere who is not told waits for ever.

use super::driver::SLICE;
use super::transport::{Duplex, Transport};
use super::{Receiver, Sender, WebSocket};
use crate::schedules::{
    ALL, FRAME, MESSAGES, PING, PING_AND_CLOSE, Pipe, Seen, config, in_many_orders, seen,
};
use crate::sync::{Condvar, Mutex};
use crate::{CloseCause, CloseCode, Connection, Error, Inbox, Lost, Misuse, Role};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// A stream whose other end is a thread.
#[derive(Default)]
struct Ends {
    pipe: Mutex<Pipe>,
    changed: Condvar,
}

/// A handle to the stream, with its timeouts.
struct Stream {
    ends: Arc<Ends>,
    /// Whether its long waits end, too.
    impatient: bool,
    reading: Option<Duration>,
    writing: Option<Duration>,
}

impl Stream {
    fn with(arriving: &[u8], impatient: bool) -> Stream {
        let ends = Ends { pipe: Mutex::new(Pipe::with(arriving)), ..Ends::default() };
        Stream { ends: Arc::new(ends), impatient, reading: None, writing: None }
    }

    fn again(&self) -> Stream {
        Stream { ends: Arc::clone(&self.ends), reading: None, writing: None, ..*self }
    }

    /// Waits until something moves, or by this chance not.
    fn wait<T>(&self, chance: f64, mut moved: impl FnMut(&mut Pipe) -> Option<T>) -> io::Result<T> {
        let mut pipe = self.ends.pipe.lock().unwrap();
        loop {
            if let Some(moved) = moved(&mut pipe) {
                return Ok(moved);
            }
            if thread_rng().gen_bool(chance) {
                drop(pipe);
                thread::yield_now();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            pipe = self.ends.changed.wait(pipe).unwrap();
        }
    }

    /// The peer, until it ends the stream: gives what it took.
    fn as_peer(&self, until: usize) -> Vec<u8> {
        loop {
            let taken = self.ends.pipe.lock().unwrap().take(until);
            self.ends.changed.notify_all();
            if let Some(taken) = taken {
                return taken;
            }
            thread::yield_now();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let chance = match self.reading {
            Some(timeout) if timeout <= SLICE => 0.5,
            _ if self.impatient => 0.2,
            _ => 0.0,
        };
        let bytes = self.wait(chance, |pipe| pipe.read(target.len()))?;
        target[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // It is seldom, as the driver then lets some real time pass.
        let chance = if self.writing.is_some_and(|timeout| timeout <= SLICE) { 0.02 } else { 0.0 };
        self.wait(chance, |pipe| pipe.write(bytes))?
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Stream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.reading = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.writing = timeout;
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.ends.pipe.lock().unwrap().shut_down();
        Ok(())
    }
}

impl Duplex for Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(self.again())
    }
}

fn split(arriving: &[u8], impatient: bool) -> (Sender<Stream>, Receiver<Stream>, Stream) {
    let stream = Stream::with(arriving, impatient);
    let connection = Connection::new(Role::Server, config());
    let socket = WebSocket::from_parts(stream.again(), connection, Inbox::new());
    let (sender, receiver) = socket.split().unwrap();
    (sender, receiver, stream)
}

/// Senders, each in a thread, that send their messages, until the connection ends: how many each has sent.
fn senders(sender: &Sender<Stream>) -> [thread::JoinHandle<usize>; MESSAGES.len()] {
    MESSAGES.map(|messages| {
        let sender = sender.clone();
        thread::spawn(move || {
            let sends = |message: &str| match sender.send(message) {
                Ok(()) => true,
                // The last ones may be taken, and the stream ended, before their sender looks again.
                Err(Error::Misuse(Misuse::Closed) | Error::Lost(Lost::Eof)) => false,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => false,
                Err(other) => panic!("{other}"),
            };
            messages.into_iter().take_while(|message| sends(message)).count()
        })
    })
}

#[test]
fn senders_and_a_receiver_wait_for_nobody_for_ever() {
    in_many_orders(|| {
        let (sender, mut receiver, stream) = split(&[], false);
        let sending = senders(&sender);
        let receiving = thread::spawn(move || {
            assert!(receiver.receive().is_err());
            receiver.closed().unwrap().cause()
        });
        let wire = stream.as_peer(ALL * FRAME);
        assert!(sending.into_iter().all(|sending| sending.join().is_ok()));
        assert_eq!(receiving.join().unwrap(), CloseCause::Lost(Lost::Eof));
        assert_eq!(seen(&wire), Seen { messages: [2; 3], ..Seen::default() });
    });
}

#[test]
fn senders_without_a_receiver_write_for_each_other() {
    in_many_orders(|| {
        let (sender, receiver, stream) = split(&[], false);
        let sending = senders(&sender);
        let wire = stream.as_peer(ALL * FRAME);
        assert!(sending.into_iter().all(|sending| sending.join().is_ok()));
        drop(receiver);
        assert_eq!(seen(&wire), Seen { messages: [2; 3], ..Seen::default() });
    });
}

#[test]
fn what_is_queued_without_a_wait_is_written_by_who_sends_or_receives() {
    in_many_orders(|| {
        let (sender, mut receiver, stream) = split(&[], true);
        let queueing = sender.clone();
        let queueing = thread::spawn(move || {
            let queued = |message: &str| match queueing.try_send(message) {
                Ok(()) => true,
                Err(Error::Misuse(Misuse::QueueFull)) => false,
                Err(other) => panic!("{other}"),
            };
            MESSAGES[0].into_iter().take_while(|message| queued(message)).count()
        });
        let sending = thread::spawn(move || MESSAGES[1].map(|message| sender.send(message).unwrap()));
        let receiving = thread::spawn(move || receiver.receive());
        let taking = stream.again();
        let taking = thread::spawn(move || taking.as_peer(usize::MAX));
        let queued = queueing.join().unwrap();
        sending.join().unwrap();
        // Only now the peer may go: what was queued, the receiver writes.
        stream.ends.pipe.lock().unwrap().end_after((queued + 2) * FRAME);
        let wire = taking.join().unwrap();
        assert!(matches!(receiving.join().unwrap(), Err(Error::Lost(Lost::Eof))));
        assert_eq!(seen(&wire), Seen { messages: [queued, 2, 0], ..Seen::default() });
    });
}

/// Senders against what `arriving` has, a receiver, and what `closing` does; the connection is closed cleanly, and what
/// was sent is on the wire.
fn closed_among_senders(arriving: &'static [u8], closing: bool) {
    in_many_orders(move || {
        let (sender, mut receiver, stream) = split(arriving, true);
        let sending = senders(&sender);
        let close = closing.then(|| thread::spawn(move || sender.close(CloseCode::NORMAL, "").unwrap()));
        let receiving = thread::spawn(move || receiver.receive().unwrap());
        let seen = seen(&stream.as_peer(usize::MAX));
        assert_eq!(receiving.join().unwrap(), None);
        close.into_iter().for_each(|close| close.join().unwrap());
        let sent = sending.map(|sending| sending.join().unwrap());
        assert_eq!((seen.messages, seen.closed), (sent, true));
        // A Ping that we read after we began to close is not answered.
        assert!(seen.pongs == 1 || closing && seen.pongs == 0);
    });
}

#[test]
fn a_ping_and_a_close_that_arrive_among_senders_are_answered_and_nothing_is_lost() {
    closed_among_senders(&PING_AND_CLOSE, false);
}

#[test]
fn a_close_among_senders_is_the_last_frame_and_nothing_before_it_is_lost() {
    closed_among_senders(&PING, true);
}

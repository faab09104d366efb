//! TLS over a stream, on threads: the handshake of either side, and a stream that one thread reads while another writes.

use super::accept::{answer_and_end, linger};
use super::handshake::{Deadline, Timed};
use super::net::Stream;
use super::pace::is_in_vain;
use super::scratch;
use super::websocket::WebSocket;
use crate::accept::only_tls;
use crate::client::ConnectError;
use crate::tls::{ClientTls, ServerTls, TlsError, TlsInfo};
use rustls::{ClientConnection, Connection, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An encrypted stream over another [`Stream`].
///
/// Three locks: one for the session, held while it encrypts or decrypts what is in memory and never while anything
/// waits, and one for each direction of the stream below. They are taken in the order direction, session.
#[derive(Debug)]
pub struct TlsStream {
    inner: Stream,
    session: Mutex<Connection>,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
}

/// The reading direction.
#[derive(Debug, Default)]
struct Incoming {
    /// What was read from the stream below, and not yet taken by the session.
    bytes: Vec<u8>,
    /// What the peer did wrong; what it sent before is still read.
    failed: Option<rustls::Error>,
    timeout: Option<Duration>,
}

/// The writing direction.
#[derive(Debug, Default)]
struct Outgoing {
    /// What the session made, and the stream below has not yet taken.
    bytes: Vec<u8>,
    /// Bytes of it that are written.
    sent: usize,
    timeout: Option<Duration>,
}

/// The most that is kept for an idle direction.
const KEPT: usize = 4 << 10;

/// Does the client's handshake over a stream that leads to `host`, directly or through a tunnel.
pub(super) fn secure(
    stream: Stream,
    host: &str,
    settings: Option<&ClientTls>,
    deadline: Deadline,
) -> Result<Stream, ConnectError> {
    let settings = settings.cloned().map_or_else(ClientTls::standard, Ok)?;
    let name = settings.name_for(host)?;
    let session = ClientConnection::new(settings.config(), name).map_err(|error| TlsError::from(&error))?;
    match TlsStream::handshake(stream, session.into(), deadline) {
        Ok(stream) => Ok(Stream::Tls(stream.into())),
        Err((error, _)) => Err(TlsError::of_handshake(error).into()),
    }
}

/// Does the server's handshake; `None` when it fails, and the client has been told why.
pub(super) fn accept(mut stream: Stream, settings: &ServerTls, deadline: Deadline) -> Option<Stream> {
    if is_plain_http(&stream, deadline) {
        // When it cannot be written, the client has gone.
        let _ = answer_and_end(&mut stream, &only_tls().encode(), deadline);
        return None;
    }
    let session = ServerConnection::new(settings.config()).ok()?;
    match TlsStream::handshake(stream, session.into(), deadline) {
        Ok(stream) => Some(Stream::Tls(stream.into())),
        Err((_, mut stream)) => {
            // The alert has been written; a reset must not eat it.
            if !deadline.is_over() {
                let _ = Timed::new(&mut stream, deadline).shutdown_write();
                linger(&mut stream);
            }
            None
        }
    }
}

/// Whether a client begins with a method of HTTP: TLS begins with the type of its first record, which is no letter.
fn is_plain_http(stream: &Stream, deadline: Deadline) -> bool {
    let (Stream::Tcp(stream), Ok(left)) = (stream, deadline.left()) else { return false };
    let mut first = [0];
    // Without a timeout the handshake finds out that there is none.
    let peeked = stream.set_read_timeout(left).and_then(|()| stream.peek(&mut first));
    matches!(peeked, Ok(1)) && first[0].is_ascii_uppercase()
}

impl WebSocket<Stream> {
    /// What TLS agreed on, where the connection is encrypted: the version, the name that the client asked for, the
    /// certificates that the peer showed.
    pub fn tls(&mut self) -> Option<TlsInfo> {
        self.handle.with_stream(Stream::tls)
    }
}

impl TlsStream {
    /// Does a handshake; when it fails, gives the stream back.
    fn handshake(
        mut stream: Stream,
        mut session: Connection,
        deadline: Deadline,
    ) -> Result<TlsStream, (io::Error, Stream)> {
        match shake_hands(&mut Timed::new(&mut stream, deadline), &mut session) {
            Ok(bytes) => Ok(TlsStream {
                inner: stream,
                session: Mutex::new(session),
                incoming: Mutex::new(Incoming { bytes, ..Incoming::default() }),
                outgoing: Mutex::default(),
            }),
            Err(error) => Err((error, stream)),
        }
    }

    /// What was agreed on.
    pub(super) fn info(&self) -> Option<TlsInfo> {
        match &*lock(&self.session) {
            Connection::Client(session) => TlsInfo::of(session, None),
            Connection::Server(session) => TlsInfo::of(session, session.server_name()),
        }
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.peer_addr()
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }

    /// Ends both directions of the stream below, without a word.
    pub(super) fn end(&self) {
        self.inner.end();
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.inner.set_nonblocking()
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        lock(&self.incoming).timeout = timeout;
        self.inner.set_read_timeout(timeout)
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        lock(&self.outgoing).timeout = timeout;
        self.inner.set_write_timeout(timeout)
    }

    /// Reads what is there, or waits for some. Who sends a record byte by byte does not make this wait for longer than
    /// the timeout and once more.
    pub(super) fn read(&self, target: &mut [u8]) -> io::Result<usize> {
        let mut incoming = lock(&self.incoming);
        let waits = Waits::new(incoming.timeout);
        let mut taken = incoming.decrypt(&self.session, target);
        while matches!(&taken, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            waits.check()?;
            scratch::with(|cipher| {
                let len = self.inner.read(cipher)?;
                incoming.receive(&cipher[..len], &self.session)
            })?;
            taken = incoming.decrypt(&self.session, target);
            if incoming.failed.is_some() {
                // The peer is told why, if it takes it: nothing waits for that.
                let _ =
                    self.outgoing.try_lock().map(|mut outgoing| outgoing.push(&self.session, &self.inner));
            }
        }
        taken
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_by(|session| session.writer().write(bytes))
    }

    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_by(|session| session.writer().write_vectored(slices))
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        lock(&self.outgoing).push(&self.session, &self.inner)
    }

    /// Sends close_notify, then ends our direction of the stream below.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let mut outgoing = lock(&self.outgoing);
        lock(&self.session).send_close_notify();
        let notified = outgoing.push(&self.session, &self.inner);
        self.inner.shutdown_write().and(notified)
    }

    /// Writes what was encrypted before, then encrypts more and writes what the stream below takes of it; `flush` sees
    /// to the rest.
    fn write_by(&self, encrypt: impl FnOnce(&mut Connection) -> io::Result<usize>) -> io::Result<usize> {
        let mut outgoing = lock(&self.outgoing);
        outgoing.push(&self.session, &self.inner)?;
        let len = encrypt(&mut lock(&self.session))?;
        match outgoing.push(&self.session, &self.inner) {
            Err(error) if !is_in_vain(&error) => Err(error),
            _ => Ok(len),
        }
    }
}

/// Who ends a stream says so (RFC 8446 section 6.1): where nobody waits any more, as far as it goes at once.
impl Drop for TlsStream {
    fn drop(&mut self) {
        if self.inner.set_nonblocking().is_ok() {
            let _ = self.shutdown_write();
        }
    }
}

impl Incoming {
    /// Takes in what was read from the stream below; nothing is its end.
    fn receive(&mut self, cipher: &[u8], session: &Mutex<Connection>) -> io::Result<()> {
        if cipher.is_empty() {
            lock(session).read_tls(&mut io::empty())?;
        }
        self.bytes.extend_from_slice(cipher);
        Ok(())
    }

    /// Decrypts what is here into `target`, as much as fits.
    fn decrypt(&mut self, session: &Mutex<Connection>, target: &mut [u8]) -> io::Result<usize> {
        let mut session = lock(session);
        let (mut rest, mut filled) = (&self.bytes[..], 0);
        let ended = loop {
            match session.reader().read(&mut target[filled..]) {
                Ok(0) => break Ok(filled),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if rest.is_empty() || self.failed.is_some() {
                        break Err(error);
                    }
                    // It takes some kilobytes at a time, and what it has decrypted is read before it takes more.
                    session.read_tls(&mut rest)?;
                    self.failed = session.process_new_packets().err();
                }
                Err(error) => break Err(error),
            }
        };
        let left = rest.len();
        self.keep(left);
        match (ended, &self.failed) {
            (Err(_), _) if filled > 0 => Ok(filled),
            (Err(_), Some(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())),
            (ended, _) => ended,
        }
    }

    /// Forgets all but the last `left` bytes.
    fn keep(&mut self, left: usize) {
        self.bytes.drain(..self.bytes.len() - left);
        if left == 0 && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}

impl Outgoing {
    /// Writes what the session has made, until the stream below takes no more.
    fn push(&mut self, session: &Mutex<Connection>, inner: &Stream) -> io::Result<()> {
        collect(&mut lock(session), &mut self.bytes)?;
        let waits = Waits::new(self.timeout);
        while self.sent < self.bytes.len() {
            match inner.write(&self.bytes[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => self.sent += len,
            }
            if self.sent < self.bytes.len() {
                waits.check()?;
            }
        }
        self.sent = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

/// Does a handshake; gives the bytes that came after it.
fn shake_hands(stream: &mut Timed<'_, Stream>, session: &mut Connection) -> io::Result<Vec<u8>> {
    let (mut received, mut made) = (Vec::new(), Vec::new());
    loop {
        collect(session, &mut made)?;
        if !made.is_empty() {
            stream.write_all(&made)?;
            made.clear();
        }
        if !session.is_handshaking() {
            return Ok(received);
        }
        if received.is_empty() && stream.read(&mut received)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &received[..];
        session.read_tls(&mut rest)?;
        let used = received.len() - rest.len();
        received.drain(..used);
        if let Err(error) = session.process_new_packets() {
            // The peer is told why; if it is gone, nobody is.
            let _ = collect(session, &mut made).and_then(|()| stream.write_all(&made));
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

/// Takes all that the session wants to write.
fn collect(session: &mut Connection, made: &mut Vec<u8>) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(made)?;
    }
    Ok(())
}

/// A call of several waits, each as long as the timeout: no more are begun when it is over.
struct Waits(Option<(Instant, Duration)>);

impl Waits {
    fn new(timeout: Option<Duration>) -> Self {
        Waits(timeout.map(|timeout| (Instant::now(), timeout)))
    }

    fn check(&self) -> io::Result<()> {
        match self.0 {
            Some((began, timeout)) if began.elapsed() >= timeout => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

/// A session that has failed says so itself; a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::{Acceptor, Client, Opening};
    use crate::tls::Fingerprint;
    use crate::{CloseCode, Message};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    fn certificate() -> (ServerTls, Fingerprint) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let tls = ServerTls::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
        let fingerprint = tls.fingerprint().unwrap();
        (tls, fingerprint)
    }

    /// As through a proxy that is itself dialled by TLS; both directions at once.
    #[test]
    fn tls_goes_through_tls() {
        const ROUNDS: usize = 30;
        let deadline = Deadline::after(Duration::from_secs(20));
        let ((outer, outer_print), (inner, inner_print)) = (certificate(), certificate());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let stream = Stream::tcp(listener.accept().unwrap().0);
            let stream = accept(stream, &outer, deadline).unwrap();
            let stream = accept(stream, &inner, deadline).unwrap();
            let Opening::Upgrade(asked) = Acceptor::new().read(stream).unwrap() else { panic!("no upgrade") };
            let (sender, mut receiver) = asked.accept().unwrap().split().unwrap();
            let sending =
                thread::spawn(move || (0..ROUNDS).for_each(|_| sender.send(vec![1; 200_000]).unwrap()));
            while receiver.receive().unwrap().is_some() {}
            sending.join().unwrap();
        });
        let mut stream = Stream::tcp(TcpStream::connect(address).unwrap());
        for print in [outer_print, inner_print] {
            let trusting = ClientTls::builder().fingerprint(print).build().unwrap();
            stream = secure(stream, "localhost", Some(&trusting), deadline).unwrap();
        }
        assert_eq!(stream.peer_addr(), Some(address));
        let (socket, _) = Client::new("wss://localhost/").unwrap().connect_on(stream).unwrap();
        let (sender, mut receiver) = socket.split().unwrap();
        let sending = thread::spawn(move || {
            (0..ROUNDS).for_each(|_| sender.send(vec![2; 200_000]).unwrap());
            sender
        });
        for _ in 0..ROUNDS {
            assert_eq!(receiver.receive().unwrap(), Some(Message::from(vec![1; 200_000])));
        }
        sending.join().unwrap().close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(receiver.receive().unwrap(), None);
        serving.join().unwrap();
    }
}

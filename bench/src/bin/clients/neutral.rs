//! The server that all clients meet: no WebSocket library, and never asleep, because to wake it would be work of
//! the client's core. It serves one connection after the other.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    os::fd::AsRawFd,
};
use ws13_bench::{
    frames::frame,
    poll::{Progress, receive, send},
    upgrade,
};

/// Says where it listens, and serves until it is killed.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept()?;
        // A client that has measured enough leaves: an end like any other.
        let _ = converse(stream);
    }
}

/// `/sink` throws away what comes, `/source/N` sends messages of N bytes without end, `/echo` sends them back.
fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while upgrade::head_end(&head).is_none() {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let response = upgrade::response(&head).ok_or(io::ErrorKind::InvalidData)?;
    stream.write_all(response.as_bytes())?;
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or_default();
    match path.strip_prefix("/source/").and_then(|size| size.parse().ok()) {
        Some(size) => source(&stream, size),
        None if path == "/sink" => sink(&stream),
        None => echo(&stream),
    }
}

fn sink(stream: &TcpStream) -> io::Result<()> {
    look(stream)?;
    loop {
        // SAFETY: with MSG_TRUNC a TCP socket drops the bytes, and writes none.
        let taken = unsafe {
            let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
            libc::recv(stream.as_raw_fd(), std::ptr::null_mut(), AT_ONCE, flags)
        };
        match taken {
            0 => return Ok(()),
            1.. => {}
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
                error => return Err(error),
            },
        }
    }
}

fn source(stream: &TcpStream, size: usize) -> io::Result<()> {
    let one = frame(BINARY, None, &crate::payload(size));
    let many = one.repeat((AT_ONCE / one.len()).max(1));
    loop {
        send_all(stream, &many)?;
    }
}

/// What comes first has to be what a client is to send: masked, and whole messages of the same payload.
fn look(stream: &TcpStream) -> io::Result<()> {
    let (mut reader, mut looked_at) = (Reader::new(), 0);
    while looked_at < LOOKED_AT {
        reader.read(stream, |payload| {
            looked_at += payload.len();
            if payload == crate::payload(payload.len()) {
                Ok(())
            } else {
                Err(io::ErrorKind::InvalidData.into())
            }
        })?;
    }
    Ok(())
}

/// What came in one read goes back in one write.
fn echo(stream: &TcpStream) -> io::Result<()> {
    let (mut reader, mut replies) = (Reader::new(), Vec::new());
    loop {
        reader.read(stream, |payload| {
            replies.extend_from_slice(&frame(BINARY, None, payload));
            Ok(())
        })?;
        send_all(stream, &replies)?;
        replies.clear();
    }
}

/// Unmasks what comes.
struct Reader {
    buffer: Vec<u8>,
    filled: usize,
}

impl Reader {
    fn new() -> Self {
        Self { buffer: vec![0; 2 * LARGEST], filled: 0 }
    }

    /// Reads once, and hands out the messages that are complete.
    fn read(
        &mut self,
        stream: &TcpStream,
        mut message: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.filled += loop {
            match receive(stream.as_raw_fd(), &mut self.buffer[self.filled..])? {
                Progress::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::Bytes(len) => break len,
                Progress::WouldBlock => std::hint::spin_loop(),
            }
        };
        let mut taken = 0;
        while let Some((key, payload)) = masked_frame(&self.buffer[taken..self.filled])? {
            let end = payload.end;
            let payload = &mut self.buffer[taken..][payload];
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            message(payload)?;
            taken += end;
        }
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }
}

/// The masking key of a complete frame, and where its payload is.
fn masked_frame(bytes: &[u8]) -> io::Result<Option<([u8; 4], Range<usize>)>> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first != 0x80 | BINARY || second & 0x80 == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let long = match second & 0x7F {
        127 => 8,
        126 => 2,
        _ => 0,
    };
    let Some(header) = bytes.get(2..6 + long) else { return Ok(None) };
    let (length, key) = header.split_at(long);
    let length = match length {
        [] => usize::from(second & 0x7F),
        length => length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    let payload = 6 + long..6 + long + length;
    let complete = payload.end <= bytes.len();
    Ok(complete.then(|| ([key[0], key[1], key[2], key[3]], payload)))
}

fn send_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(stream.as_raw_fd(), bytes)? {
            Progress::Bytes(sent) => bytes = &bytes[sent..],
            Progress::WouldBlock => std::hint::spin_loop(),
        }
    }
    Ok(())
}

const AT_ONCE: usize = 256 << 10;
/// Bytes of a sink that are looked at before the rest is thrown away.
const LOOKED_AT: usize = 4 << 20;
/// No message is longer.
const LARGEST: usize = 1 << 20;
const BINARY: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_masked_frames_of_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = crate::payload(length);
            let mut bytes = frame(BINARY, Some([1, 2, 3, 4]), &payload);
            assert_eq!(masked_frame(&bytes[..bytes.len() - 1]).unwrap(), None);
            let whole = bytes.len();
            bytes.push(0x82);
            let (key, range) = masked_frame(&bytes).unwrap().unwrap();
            assert_eq!((key, range.len(), range.end), ([1, 2, 3, 4], length, whole));
        }
    }

    #[test]
    fn refuses_what_is_not_masked_or_not_a_whole_message() {
        assert!(masked_frame(&frame(BINARY, None, b"abc")).is_err());
        assert!(masked_frame(&frame(8, Some([1, 2, 3, 4]), b"")).is_err());
        assert!(masked_frame(&[0x02, 0x80, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn looks_at_the_payload() {
        let sends = |payload: &[u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let server = listener.accept().unwrap().0;
            client.write_all(&frame(BINARY, Some([1, 2, 3, 4]), payload)).unwrap();
            drop(client);
            look(&server).unwrap_err().kind()
        };
        assert_eq!(sends(&crate::payload(64)), io::ErrorKind::UnexpectedEof);
        assert_eq!(sends(&[0; 64]), io::ErrorKind::InvalidData);
    }
}

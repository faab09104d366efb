//! The server that all clients meet: no WebSocket library, and never asleep, because to wake it would be work of
//! the client's core. It serves one connection after the other.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
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

/// What came in one read goes back in one write.
fn echo(stream: &TcpStream) -> io::Result<()> {
    let (mut buffer, mut filled, mut replies) = (vec![0; AT_ONCE], 0, Vec::new());
    loop {
        filled += match receive(stream.as_raw_fd(), &mut buffer[filled..])? {
            Progress::Bytes(0) => return Ok(()),
            Progress::Bytes(len) => len,
            Progress::WouldBlock => {
                std::hint::spin_loop();
                continue;
            }
        };
        let mut taken = 0;
        while let Some((payload, len)) = unmasked(&buffer[taken..filled])? {
            replies.extend_from_slice(&frame(BINARY, None, &payload));
            taken += len;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
        send_all(stream, &replies)?;
        replies.clear();
    }
}

/// The payload of a complete frame of up to 125 bytes, and the frame's length.
fn unmasked(bytes: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let [first, second, a, b, c, d, rest @ ..] = bytes else { return Ok(None) };
    let len = usize::from(second & 0x7F);
    if *first != 0x80 | BINARY || second & 0x80 == 0 || len > 125 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let masked = rest.get(..len);
    let key = [a, b, c, d].into_iter().cycle();
    Ok(masked.map(|masked| (masked.iter().zip(key).map(|(byte, key)| byte ^ key).collect(), 6 + len)))
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
const BINARY: u8 = 2;

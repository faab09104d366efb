//! The listener of a broadcast: many connections on one thread, some of which never read.

use crate::{Listened, STUCK, now};
use serde_json::to_string;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    time::Duration,
};
use ws13_bench::{
    args::Args,
    poll::{Poll, Progress, READABLE, receive},
    upgrade,
};

pub fn listen(args: &Args) -> io::Result<()> {
    let (connections, messages) =
        (args.require::<usize>("--connections"), args.require::<usize>("--messages"));
    let address: SocketAddr = args.require("--connect");
    let offer =
        if args.has("--deflate") { "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" } else { "\r\n" };
    let request = upgrade::request().replacen("\r\n\r\n", &format!("\r\n{offer}"), 1);
    let mut poll = Poll::new()?;
    let mut streams = Vec::new();
    for at in 0..connections {
        let reads = at % STUCK != 0;
        let stream = connect(address, &request, reads)?;
        if reads {
            stream.set_nonblocking(true)?;
            poll.add(stream.as_raw_fd(), at as u64, READABLE)?;
        }
        streams.push((stream, Reader::default()));
    }
    let readers = connections - connections.div_ceil(STUCK);
    let (mut listened, mut complete) = (Listened { last: vec![0; messages], bytes: 0.0 }, 0);
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    while complete < readers * messages {
        let count = poll.wait(Some(Duration::from_secs(20)))?;
        if count == 0 {
            return Err(io::Error::other(format!("{complete} of {} came", readers * messages)));
        }
        for index in 0..count {
            let (token, _) = poll.event(index);
            let (stream, reader) = &mut streams[token as usize];
            match receive(stream.as_raw_fd(), &mut buffer)? {
                Progress::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::WouldBlock => {}
                Progress::Bytes(len) => {
                    bytes += len;
                    reader.read(&buffer[..len], |message| {
                        listened.last[message] = now();
                        complete += 1;
                    });
                }
            }
        }
    }
    listened.bytes = bytes as f64 / (readers * messages) as f64;
    println!("{}", to_string(&listened).map_err(io::Error::other)?);
    // That everybody leaves is not to be measured.
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}

fn connect(address: SocketAddr, request: &str, reads: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    if !reads {
        // Little fits between, so that this is noticed.
        let size: libc::c_int = 4096;
        // SAFETY: `size` lives through the call, and is passed with its size.
        unsafe {
            let size = (&raw const size).cast();
            libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, size, 4);
        }
    }
    let agreed = upgrade::ask(&mut stream, request)?.contains("permessage-deflate");
    if agreed != request.contains("permessage-deflate") {
        return Err(io::Error::other("the handshake was not as it was meant"));
    }
    Ok(stream)
}

/// Where a connection is in the bytes that come.
#[derive(Default)]
struct Reader {
    /// Bytes of the header that is being read.
    header: Vec<u8>,
    /// Bytes of payload that are still to come.
    payload: usize,
    messages: usize,
}

impl Reader {
    /// Reads on; gives each message that is complete.
    fn read(&mut self, mut bytes: &[u8], mut complete: impl FnMut(usize)) {
        while !bytes.is_empty() {
            if self.payload == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                let len = match &self.header[..] {
                    [_, 126, high, low] => usize::from(*high) << 8 | usize::from(*low),
                    [_, len @ ..=125] => usize::from(*len),
                    _ => continue,
                };
                self.payload = len;
                self.header.clear();
            }
            let here = self.payload.min(bytes.len());
            self.payload -= here;
            bytes = &bytes[here..];
            if self.payload == 0 {
                complete(self.messages);
                self.messages += 1;
            }
        }
    }
}

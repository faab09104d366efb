//! The same server on epoll, with nothing but the system calls: what io_uring has to be compared with.

use crate::{
    dialogue::{Dialogue, Next},
    poll::{self, Poll, Progress, READABLE, WRITABLE},
    stock::{SIZE, Stock},
};
use std::{
    convert::Infallible,
    io::{self, IoSlice, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

/// Serves for ever, each connection with a dialogue that `begin` makes.
pub fn serve<D: Dialogue>(listener: TcpListener, mut begin: impl FnMut() -> D) -> io::Result<Infallible> {
    let mut poll = Poll::new()?;
    poll.add(listener.as_raw_fd(), LISTENER, READABLE)?;
    let (mut connections, mut stock) = (Vec::<Option<Connection<D>>>::new(), Stock::default());
    loop {
        for index in 0..poll.wait(None)? {
            let (token, ready) = poll.event(index);
            if token == LISTENER {
                let connection = Connection::accept(&listener, begin())?;
                let slot = connection.stream.as_raw_fd() as usize;
                poll.add(slot as i32, slot as u64, READABLE)?;
                connections.resize_with(connections.len().max(slot + 1), || None);
                connections[slot] = Some(connection);
            } else if let Some(connection) = &mut connections[token as usize] {
                if ready & WRITABLE == 0 {
                    connection.receive(&mut stock)?;
                }
                if !connection.go_on(&mut stock, &poll)? {
                    connections[token as usize] = None;
                }
            }
        }
    }
}

struct Connection<D> {
    stream: TcpStream,
    dialogue: D,
    /// The peer takes no more for now.
    blocked: bool,
}

impl<D: Dialogue> Connection<D> {
    fn accept(listener: &TcpListener, dialogue: D) -> io::Result<Self> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, dialogue, blocked: false })
    }

    fn receive(&mut self, stock: &mut Stock) -> io::Result<()> {
        let mut buffer = stock.lease(SIZE);
        match poll::receive_into(self.stream.as_raw_fd(), &mut buffer) {
            Ok(Progress::WouldBlock) => stock.give_back(buffer),
            Ok(Progress::Bytes(1..)) => self.dialogue.take(buffer, stock),
            Ok(Progress::Bytes(0)) => self.dialogue.end(),
            Err(_) => self.dialogue.lose(),
        }
        Ok(())
    }

    /// Does what the dialogue wants, as far as the peer takes it; says whether the connection goes on.
    fn go_on(&mut self, stock: &mut Stock, poll: &Poll) -> io::Result<bool> {
        loop {
            match self.dialogue.work(stock) {
                Next::Send => match self.send() {
                    Ok(len) => self.dialogue.has_sent(len, stock),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return self.set_blocked(true, poll).map(|()| true);
                    }
                    Err(_) => self.dialogue.lose(),
                },
                Next::Wait => return self.set_blocked(false, poll).map(|()| true),
                // When it fails the peer is gone already, and receiving will show it.
                Next::ShutDown => drop(self.stream.shutdown(Shutdown::Write)),
                Next::Close => return Ok(false),
            }
        }
    }

    fn send(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.dialogue.unsent(&mut slices);
        match &slices[..count] {
            [one] => (&self.stream).write(one),
            slices => (&self.stream).write_vectored(slices),
        }
    }

    /// While the peer takes nothing, nothing is taken from it.
    fn set_blocked(&mut self, blocked: bool, poll: &Poll) -> io::Result<()> {
        if std::mem::replace(&mut self.blocked, blocked) == blocked {
            return Ok(());
        }
        let fd = self.stream.as_raw_fd();
        poll.change(fd, fd as u64, if blocked { WRITABLE } else { READABLE })
    }
}

const LISTENER: u64 = u64::MAX;
const SLICES: usize = 16;

//! A server on io_uring: one thread, one ring. What it says on a connection is a [`Dialogue`]'s.
//!
//! Connections are accepted and bytes received by requests that stay (multishot), into buffers that the kernel takes when
//! bytes arrive. A pass of the loop is one system call: it submits what the last pass had to send, and brings what has
//! arrived since. Sockets are registered files; no descriptor is made for them.

mod buffers;
mod on_tokio;
mod socket;

pub use on_tokio::serve_on_tokio;

use crate::{
    dialogue::{Dialogue, Next},
    process,
};
use buffers::{Buffers, GROUP};
use io_uring::{IoUring, cqueue, opcode, squeue, types::Fixed};
use socket::{Gathers, Socket};
use std::{
    convert::Infallible,
    fs, io,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

/// Whether there can be such a server here; if not, why.
pub fn check_available() -> io::Result<()> {
    let try_it = || {
        process::raise_file_limit()?;
        let ring = build()?;
        ring.submitter().register_files_sparse(MOST_SOCKETS)?;
        let buffers = Buffers::register(&ring.submitter())?;
        // The ring goes first: for as long as it is there, the kernel may write into the buffers.
        drop((ring, buffers));
        Ok(())
    };
    try_it().map_err(|error: io::Error| {
        let disabled =
            fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or("not there\n".into());
        io::Error::other(format!("no io_uring here: {error} (kernel.io_uring_disabled: {})", disabled.trim()))
    })
}

/// Serves for ever, each connection with a dialogue that `begin` makes.
pub fn serve<D: Dialogue>(listener: TcpListener, begin: impl FnMut() -> D) -> io::Result<Infallible> {
    let server = Server::start(listener, begin)?;
    loop {
        server.pass(1)?;
    }
}

struct Server<D, F> {
    ring: IoUring,
    buffers: &'static mut Buffers,
    listener: TcpListener,
    begin: F,
    /// By the number of their registered file.
    sockets: Vec<Option<Socket<D>>>,
    /// Sockets to which something has happened since the last system call.
    touched: Vec<u32>,
    gathers: Gathers,
}

impl<D: Dialogue, F: FnMut() -> D> Server<D, F> {
    fn start<'a>(listener: TcpListener, begin: F) -> io::Result<&'a mut Self>
    where
        Self: 'a,
    {
        // A connection inherits it from its listener.
        TcpStream::from(OwnedFd::from(listener.try_clone()?)).set_nodelay(true)?;
        let ring = build()?;
        ring.submitter().register_files_sparse(MOST_SOCKETS)?;
        let buffers = Buffers::register(&ring.submitter())?;
        let (sockets, touched, gathers) = (Vec::new(), Vec::new(), Gathers::default());
        let server = Self { ring, buffers, listener, begin, sockets, touched, gathers };
        // The kernel has pointers to what is being sent, until the ring is gone.
        let server = Box::leak(Box::new(server));
        server.accept()?;
        Ok(server)
    }

    /// One system call, and what comes of it; it waits until `want` requests are done. Says whether any were.
    fn pass(&mut self, want: usize) -> io::Result<bool> {
        match self.ring.submit_and_wait(want) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => return Err(error),
            // Interrupted, it had submitted all that there was before it waited.
            _ => self.gathers.clear(),
        }
        let busy = !self.ring.completion().is_empty();
        self.complete()?;
        for index in 0..self.touched.len() {
            self.settle(self.touched[index])?;
        }
        self.touched.clear();
        Ok(busy)
    }

    /// Takes in what the kernel has done.
    fn complete(&mut self) -> io::Result<()> {
        let mut accepting = true;
        for completion in self.ring.completion() {
            let (number, result) = (completion.user_data() as u32, completion.result());
            let request = completion.user_data() >> 32;
            if request == ACCEPT {
                accepting = cqueue::more(completion.flags());
                if let Ok(number) = u32::try_from(result) {
                    open(&mut self.sockets, number, (self.begin)());
                    self.touched.push(number);
                }
                continue;
            }
            if request == CLOSE {
                self.sockets[number as usize] = None;
                continue;
            }
            let Some(socket) = &mut self.sockets[number as usize] else { continue };
            match request {
                RECEIVE => socket.has_received(result, completion.flags(), self.buffers),
                SEND => socket.has_sent(result, self.buffers.stock()),
                _ => {}
            }
            if !std::mem::replace(&mut socket.touched, true) {
                self.touched.push(number);
            }
        }
        if accepting { Ok(()) } else { self.accept() }
    }

    /// Asks the kernel for what a socket needs next.
    fn settle(&mut self, number: u32) -> io::Result<()> {
        let Some(socket) = &mut self.sockets[number as usize] else { return Ok(()) };
        socket.touched = false;
        if socket.closed {
            return Ok(());
        }
        let file = Fixed(number);
        let mut wanted = [None, None];
        if !socket.sending {
            wanted[0] = match socket.dialogue.work(self.buffers.stock()) {
                Next::Send => Some((SEND, socket.send(file, &mut self.gathers))),
                Next::Wait => None,
                Next::ShutDown => Some((OTHER, opcode::Shutdown::new(file, libc::SHUT_WR).build())),
                Next::Close => socket.close(file),
            };
        }
        wanted[1] = socket.pace(file);
        for (request, entry) in wanted.into_iter().flatten() {
            self.push(request, number, entry)?;
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let listener = io_uring::types::Fd(self.listener.as_raw_fd());
        self.push(ACCEPT, 0, opcode::AcceptMulti::new(listener).allocate_file_index(true).build())
    }

    fn push(&mut self, request: u64, number: u32, entry: squeue::Entry) -> io::Result<()> {
        let entry = entry.user_data(name(request, number));
        // SAFETY: what an entry points to is a dialogue's that keeps it in place until it is told that it was sent
        // (`Dialogue`), a header of `gathers`, kept until it is submitted, or nothing.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }
}

fn open<D: Dialogue>(sockets: &mut Vec<Option<Socket<D>>>, number: u32, dialogue: D) {
    let slot = number as usize;
    if sockets.len() <= slot {
        sockets.resize_with(slot + 1, || None);
    }
    sockets[slot] = Some(Socket::new(dialogue));
}

/// What the kernel calls a request when it is done.
fn name(request: u64, number: u32) -> u64 {
    request << 32 | u64::from(number)
}

/// One thread submits and asks for completions, and only then the kernel works on them: nothing interrupts it.
fn build() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_no_sqarray()
        .setup_submit_all()
        .setup_cqsize(4 * ENTRIES)
        .build(ENTRIES)
}

const ACCEPT: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;
const CLOSE: u64 = 4;
/// A request whose result does not matter.
const OTHER: u64 = 5;

const ENTRIES: u32 = 1024;
const MOST_SOCKETS: u32 = 8192;

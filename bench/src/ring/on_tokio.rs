//! The ring inside a runtime of tokio, whose timers, sockets and tasks go on beside it: the runtime waits for an eventfd
//! that the kernel signals when something is done.

use super::Server;
use crate::{dialogue::Dialogue, process::check};
use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};
use tokio::io::{Interest, unix::AsyncFd};

/// Serves for ever, each connection with a dialogue that `begin` makes, on the current thread.
pub async fn serve_on_tokio<D: Dialogue>(
    listener: TcpListener,
    begin: impl FnMut() -> D,
) -> io::Result<Infallible> {
    let server = Server::start(listener, begin)?;
    // SAFETY: a fresh descriptor, owned by nobody else.
    let event =
        unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?) };
    server.ring.submitter().register_eventfd(event.as_raw_fd())?;
    // SAFETY: the descriptor is owned by what is registered, and stays the same.
    let event = unsafe { AsyncFd::register_with_interest(event, Interest::READABLE)? };
    loop {
        // Others get their turn, and the runtime looks at its own sockets, after each pass.
        match server.has_work() && server.pass(0)? {
            true => tokio::task::yield_now().await,
            // Never read: each signal is an edge.
            false => event.readable().await?.clear_ready(),
        }
    }
}

impl<D: Dialogue, F: FnMut() -> D> Server<D, F> {
    /// Whether there is something to submit, to run in the kernel, or done.
    fn has_work(&mut self) -> bool {
        let submission = self.ring.submission();
        let kernel_has = submission.taskrun() || submission.cq_overflow();
        let waits = kernel_has || !submission.is_empty();
        drop(submission);
        waits || !self.ring.completion().is_empty()
    }
}

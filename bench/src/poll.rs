//! epoll, recv and send, as thin as they go: the floor and the load generator use nothing else.

use crate::process::check;
use bytes::BytesMut;
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

pub const READABLE: u32 = libc::EPOLLIN as u32;
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;

/// An epoll instance with room for a batch of events.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: a fresh descriptor, owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    /// Reports `fd` under the number `token`.
    pub fn add(&self, fd: RawFd, token: u64, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    pub fn change(&self, fd: RawFd, token: u64, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// How many events there are; none where nothing happened for `patience`.
    pub fn wait(&mut self, patience: Option<Duration>) -> io::Result<usize> {
        let timeout = patience.map_or(-1, |patience| patience.as_millis() as i32);
        self.events.clear();
        let room = self.events.spare_capacity_mut();
        // SAFETY: `room` is writable for as many events as are asked for.
        let result = check(unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), room.as_mut_ptr().cast(), room.len() as i32, timeout)
        });
        match result {
            // SAFETY: the kernel has filled in that many.
            Ok(count) => unsafe { self.events.set_len(count as usize) },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(self.events.len())
    }

    /// The token of an event, and what it is ready for.
    pub fn event(&self, index: usize) -> (u64, u32) {
        let event = self.events[index];
        (event.u64, event.events)
    }

    fn control(&self, operation: i32, fd: RawFd, token: u64, interest: u32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest, u64: token };
        // SAFETY: `event` lives through the call.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) }).map(drop)
    }
}

/// How far a receive or a send came.
pub enum Progress {
    Bytes(usize),
    WouldBlock,
}

/// Reads once. `Bytes(0)` is the end of the stream.
pub fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<Progress> {
    // SAFETY: `buffer` is writable for its length.
    progress(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) })
}

/// Reads once, to the end of `buffer`, as much as it has room for. `Bytes(0)` is the end of the stream.
pub fn receive_into(fd: RawFd, buffer: &mut BytesMut) -> io::Result<Progress> {
    let room = buffer.spare_capacity_mut();
    // SAFETY: `room` is writable for its length.
    let result = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
    let progress = progress(result)?;
    if let Progress::Bytes(len) = progress {
        // SAFETY: the kernel has written that many bytes behind those that were there.
        unsafe { buffer.set_len(buffer.len() + len) };
    }
    Ok(progress)
}

/// Writes once.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<Progress> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is readable for its length.
    progress(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) })
}

fn progress(result: isize) -> io::Result<Progress> {
    if result >= 0 {
        return Ok(Progress::Bytes(result as usize));
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::WouldBlock),
        error => Err(error),
    }
}

const EVENTS: usize = 1024;

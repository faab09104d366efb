//! The floor: writes frames masked beforehand, reads bytes and looks at none of them.

use crate::client::{Case, Check, Client, Result};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use ws13_bench::frames::frame;

pub struct Raw {
    stream: TcpStream,
    /// A batch of frames.
    frames: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes of a message that comes.
    reply: usize,
    /// Bytes that came and are not a whole message yet.
    rest: usize,
}

impl Raw {
    pub fn new(stream: TcpStream, case: Case) -> Self {
        let payload = crate::payload(case.size);
        let frames = frame(2, Some([0x12, 0x9A, 0x5F, 0xE3]), &payload).repeat(case.batch);
        let reply = frame(2, None, &payload).len();
        Self { stream, frames, buffer: vec![0; crate::READ_BUFFER], reply, rest: 0 }
    }
}

impl Client for Raw {
    async fn feed(&mut self, _: &'static [u8]) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.frames.chunks(PIECE).try_for_each(|piece| self.stream.write_all(piece))?)
    }

    async fn receive(&mut self, _: &Check) -> Result<usize> {
        while self.rest < self.reply {
            match self.stream.read(&mut self.buffer)? {
                0 => return Err("the server left".into()),
                len => self.rest += len,
            }
        }
        let messages = self.rest / self.reply;
        self.rest %= self.reply;
        Ok(messages)
    }
}

/// The least CPU time, of 32 KiB to everything at once.
const PIECE: usize = 256 << 10;

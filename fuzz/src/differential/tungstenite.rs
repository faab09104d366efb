//! What tungstenite makes of the bytes.

use super::{Ending, MAX, Told};
use std::io::{self, Read, Write};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};
use ws13::{Kind, Role};

/// Gives the bytes, and then says that there are no more yet.
struct Script<'a>(&'a [u8]);

impl Read for Script<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(target)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn run(role: Role, script: &[u8]) -> Told {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let mut socket = WebSocket::from_raw_socket(Script(script), role, Some(config));
    let mut messages = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Message::Text(text)) => messages.push((Kind::Text, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => messages.push((Kind::Binary, bytes.to_vec())),
            Ok(Message::Close(frame)) => break Ending::Close(frame.map_or(1005, |frame| frame.code.into())),
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break Ending::MoreNeeded,
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break Ending::MoreNeeded,
            Err(_) => break Ending::Refused,
        }
    };
    Told { messages, end }
}

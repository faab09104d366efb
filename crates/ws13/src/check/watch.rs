//! The rules that every frame of the peer has to obey, in whatever case it is sent.

use super::Role;
use super::wire::{BINARY, CLOSE, CONTINUATION, Heard, PONG, RSV1, TEXT};

/// Looks at all frames of one connection, in order; keeps the first rule that was broken.
#[derive(Debug)]
pub(super) struct Watch {
    peer: Role,
    /// Whether permessage-deflate was agreed on.
    pub(super) compressed: bool,
    in_message: bool,
    closed: bool,
    pub(super) fault: Option<String>,
}

impl Watch {
    pub(super) fn new(peer: Role) -> Watch {
        Watch { peer, compressed: false, in_message: false, closed: false, fault: None }
    }

    pub(super) fn frame(&mut self, frame: &Heard) {
        if let Err(fault) = self.judge(frame) {
            self.fault(fault);
        }
    }

    /// The peer broke a rule.
    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.fault.get_or_insert_with(|| what.into());
    }

    fn judge(&mut self, frame: &Heard) -> Result<(), String> {
        let opcode = frame.opcode();
        match (self.peer, frame.key) {
            (Role::Server, Some(_)) => return Err("it masked a frame (RFC 6455 5.1)".into()),
            (Role::Client, None) => return Err("it did not mask a frame (RFC 6455 5.1)".into()),
            _ => {}
        }
        if !frame.minimal {
            return Err("a length is not in its shortest form (RFC 6455 5.2)".into());
        }
        let reserved = frame.first & 0x70;
        let begins = matches!(opcode, TEXT | BINARY);
        if reserved & !RSV1 != 0 || (reserved == RSV1 && !(self.compressed && begins)) {
            return Err("it set a reserved bit (RFC 6455 5.2)".into());
        }
        match opcode {
            CONTINUATION | TEXT | BINARY => self.data(frame, begins),
            CLOSE..=PONG => self.control(frame),
            _ => Err(format!("it sent the reserved opcode {opcode} (RFC 6455 5.2)")),
        }
    }

    fn data(&mut self, frame: &Heard, begins: bool) -> Result<(), String> {
        if self.closed {
            return Err("it sent data after its Close frame (RFC 6455 5.5.1)".into());
        }
        if begins == self.in_message {
            return Err("its fragments are out of order (RFC 6455 5.4)".into());
        }
        self.in_message = !frame.fin();
        Ok(())
    }

    fn control(&mut self, frame: &Heard) -> Result<(), String> {
        if !frame.fin() || frame.payload.len() > 125 {
            return Err("a control frame is fragmented or too long (RFC 6455 5.5)".into());
        }
        if frame.opcode() != CLOSE {
            return Ok(());
        }
        self.closed = true;
        match frame.payload.as_slice() {
            [] => Ok(()),
            [_] => Err("its Close has a body of one byte (RFC 6455 5.5.1)".into()),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if matches!(code, 1005 | 1006 | 1015) {
                    return Err(format!("its Close has the code {code} (RFC 6455 7.4.1)"));
                }
                match core::str::from_utf8(reason) {
                    Ok(_) => Ok(()),
                    Err(_) => Err("its close reason is not UTF-8 (RFC 6455 5.5.1)".into()),
                }
            }
        }
    }
}

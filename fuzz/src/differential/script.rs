//! The frames of a script, read once more by a few lines that belong to none of the libraries, so that a reason is
//! believed only where the bytes have it.

use super::MAX;
use ws13::Role;

pub(super) struct Script {
    frames: Vec<Frame>,
}

struct Frame {
    opcode: u8,
    last: bool,
    masked: bool,
    /// The length as it stands in the second byte.
    short: u8,
    len: u64,
    /// As much of it as there is, unmasked.
    payload: Vec<u8>,
}

impl Script {
    pub(super) fn read(mut bytes: &[u8]) -> Script {
        let mut frames = Vec::new();
        while let Some((frame, rest)) = Frame::read(bytes) {
            frames.push(frame);
            bytes = rest;
        }
        Script { frames }
    }

    pub(super) fn has_length_not_minimal(&self) -> bool {
        let minimal = |frame: &Frame| match frame.short {
            126 => frame.len > 125,
            127 => frame.len > 0xffff,
            _ => true,
        };
        !self.frames.iter().all(minimal)
    }

    pub(super) fn has_long_control(&self) -> bool {
        self.frames.iter().any(|frame| frame.opcode >= 8 && frame.short > 125)
    }

    /// A frame whose masking bit is wrong for what comes to this role.
    pub(super) fn has_wrong_mask(&self, role: Role) -> bool {
        self.frames.iter().any(|frame| frame.masked != (role == Role::Server))
    }

    pub(super) fn has_interleaved_messages(&self) -> bool {
        let mut data = self.data().peekable();
        std::iter::from_fn(|| Some((data.next()?, data.peek().map(|next| next.opcode))))
            .any(|(frame, next)| !frame.last && matches!(next, Some(1 | 2)))
    }

    /// A text in fragments, of which one ends inside a character that nothing ends.
    pub(super) fn has_cut_character(&self) -> bool {
        self.messages().any(|message| {
            let (mut text, mut ends) = (Vec::new(), Vec::new());
            for frame in &message {
                text.extend_from_slice(&frame.payload);
                ends.push(text.len());
            }
            let Err(error) = std::str::from_utf8(&text) else { return false };
            let (begin, end) = (error.valid_up_to(), text.len());
            let cut_there = |at: &usize| (begin + 1..=end.min(begin + 3)).contains(at);
            message[0].opcode == 1 && message.len() > 1 && ends.iter().any(cut_there)
        })
    }

    /// A message over the limit on bytes, or on fragments.
    pub(super) fn has_large_message(&self) -> bool {
        self.messages().any(|message| {
            let len = message.iter().fold(0u64, |sum, frame| sum.saturating_add(frame.len));
            len > MAX as u64 || message.len() > 1024
        })
    }

    fn data(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.opcode < 8)
    }

    fn messages(&self) -> impl Iterator<Item = Vec<&Frame>> {
        let mut data = self.data().peekable();
        std::iter::from_fn(move || {
            let mut message = vec![data.next()?];
            while message.last().is_some_and(|frame| !frame.last) {
                message.push(match data.next_if(|next| next.opcode == 0) {
                    Some(next) => next,
                    None => break,
                });
            }
            Some(message)
        })
    }
}

impl Frame {
    /// A frame and what follows it; `None` where the header is not complete.
    fn read(bytes: &[u8]) -> Option<(Frame, &[u8])> {
        let (&[first, second], mut rest) = bytes.split_first_chunk()?;
        let short = second & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let (len, behind) = rest.split_at_checked(extended)?;
        let len = match extended {
            0 => u64::from(short),
            _ => len.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        rest = behind;
        let masked = second & 0x80 != 0;
        let mut key = [0; 4];
        if masked {
            (key, rest) = rest.split_first_chunk().map(|(key, rest)| (*key, rest))?;
        }
        let here = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
        let (payload, rest) = rest.split_at(here);
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Some((Frame { opcode: first & 15, last: first & 0x80 != 0, masked, short, len, payload }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::Script;
    use ws13::Role;

    #[test]
    fn what_a_script_has_and_has_not() {
        let plain = Script::read(b"\x81\x02hi\x01\x01a\x89\x00\x80\x01b");
        assert!(!plain.has_length_not_minimal() && !plain.has_long_control() && !plain.has_large_message());
        assert!(!plain.has_interleaved_messages() && !plain.has_cut_character());
        assert!(!plain.has_wrong_mask(Role::Client) && plain.has_wrong_mask(Role::Server));
        assert!(Script::read(b"\x81\x7e\x00\x02hi").has_length_not_minimal());
        assert!(Script::read(b"\x89\x7e\x00\x02hi").has_long_control());
        assert!(Script::read(b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x01a").has_large_message());
        assert!(Script::read(b"\x01\x01a\x81\x01b").has_interleaved_messages());
        for cut in [&b"\x01\x01\xc3\x80\x00"[..], b"\x01\x02a\xf0\x80\x01\x84", b"\x01\x01a\x80\x01\xc6"] {
            assert!(Script::read(cut).has_cut_character());
        }
        assert!(!Script::read(b"\x01\x02ab\x80\x05\xffcdef").has_cut_character());
    }
}

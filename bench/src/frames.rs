//! The frames a load sends, prepared beforehand, and the replies it expects to them.

use crate::scenario::{Kind, Scenario};

/// What a server sends back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A WebSocket echo: the same payload in an unmasked frame.
    Echo,
    /// The bytes as they came, masked: the floor parses nothing.
    Bytes,
}

/// One set of frames, shared by all connections.
pub struct Script {
    /// `depth` frames, twice over, so that any run of up to `depth` frames is contiguous.
    pub sends: Vec<u8>,
    /// The reply to each of the `depth` frames.
    pub replies: Vec<Vec<u8>>,
    /// Bytes of one frame sent.
    pub send_length: usize,
    /// Bytes of one reply.
    pub reply_length: usize,
    /// Bytes of one reply that are its header; these are checked in every reply.
    pub reply_header: usize,
}

impl Script {
    pub fn new(scenario: &Scenario, reply: Reply) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let opcode = scenario.kind.opcode();
        let mut sends = Vec::new();
        let mut replies = Vec::new();
        for index in 0..scenario.depth {
            let payload = match scenario.kind {
                Kind::Binary => random.bytes(scenario.size),
                Kind::MixedText => mixed_text(scenario.size, index),
                Kind::AsciiText => random.bytes(scenario.size).iter().map(|byte| b' ' + byte % 95).collect(),
            };
            let sent = frame(opcode, Some((random.next() as u32).to_le_bytes()), &payload);
            replies.push(match reply {
                Reply::Echo => frame(opcode, None, &payload),
                Reply::Bytes => sent.clone(),
            });
            sends.extend_from_slice(&sent);
        }
        let send_length = sends.len() / scenario.depth;
        let reply_length = replies[0].len();
        sends.extend_from_within(..);
        Self { sends, replies, send_length, reply_length, reply_header: reply_length - scenario.size }
    }
}

/// A whole message in one frame (RFC 6455, 5.2).
pub fn frame(opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => frame.push(mask_bit | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    if mask.is_some() {
        frame.extend_from_slice(&key);
    }
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Exactly `size` bytes of text with characters of one, two, three and four bytes.
fn mixed_text(size: usize, index: usize) -> Vec<u8> {
    const WORDS: [&str; 6] =
        ["Hello, world! ", "Grüße, früh. ", "Привет, мир ", "こんにちは世界 ", "🚀🌍 ", "plain text again, "];
    let mut text = String::new();
    for word in WORDS.iter().cycle().skip(index) {
        if text.len() + word.len() > size {
            break;
        }
        text.push_str(word);
    }
    while text.len() < size {
        text.push('x');
    }
    text.into_bytes()
}

/// xorshift64*: looks random, and is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{ON_REQUEST, SCENARIOS};

    #[test]
    fn every_scenario_has_frames_of_equal_length() {
        for scenario in SCENARIOS.iter().chain(&ON_REQUEST) {
            let script = Script::new(scenario, Reply::Echo);
            assert_eq!(script.sends.len(), 2 * scenario.depth * script.send_length);
            assert!(script.replies.iter().all(|reply| reply.len() == script.reply_length));
            assert_eq!(script.send_length, script.reply_length + 4);
        }
    }

    #[test]
    fn a_masked_frame_unmasks_to_its_reply() {
        let sent = frame(2, Some([1, 2, 3, 4]), b"abcdef");
        assert_eq!(sent[..6], [0x82, 0x86, 1, 2, 3, 4]);
        assert_eq!(sent[6..], [b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, b'd' ^ 4, b'e' ^ 1, b'f' ^ 2]);
        assert_eq!(frame(2, None, b"abcdef"), b"\x82\x06abcdef");
    }

    #[test]
    fn mixed_text_is_utf8_of_the_size_asked_for() {
        for index in 0..6 {
            let text = String::from_utf8(mixed_text(16 * 1024, index)).unwrap();
            assert_eq!(text.len(), 16 * 1024);
            assert!(text.chars().count() < 12 * 1024);
        }
    }
}

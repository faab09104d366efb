//! Another zlib's decoder, with a slow one beside it that looks at every distance, and what is fed to them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

#[path = "../../src/check/puff.rs"]
mod puff;

use flate2::{Decompress, FlushDecompress};
use puff::Puff;
use ws13::deflate::Agreed;

pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

pub fn agreed(takeover: bool, bits: u8) -> Agreed {
    Agreed {
        server_context_takeover: takeover,
        client_context_takeover: takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    }
}

/// Another zlib's decoder: the payloads of one side's messages, in order.
pub struct Reader {
    decoder: Decompress,
    takeover: bool,
    puff: Puff,
}

impl Reader {
    pub fn new(takeover: bool, bits: u8) -> Reader {
        Reader { decoder: Decompress::new(false), takeover, puff: Puff::new(1 << bits) }
    }

    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.decoder.reset(false);
            self.puff.forget();
        }
        let input = [payload, &TAIL].concat();
        let (mut out, mut at) = (Vec::new(), 0);
        loop {
            out.reserve(1024);
            let taken = self.decoder.total_in();
            self.decoder.decompress_vec(&input[at..], &mut out, FlushDecompress::Sync).unwrap();
            at += (self.decoder.total_in() - taken) as usize;
            if at == input.len() && out.len() < out.capacity() {
                break;
            }
        }
        // The slow one looks at every distance.
        assert_eq!(self.puff.message(&input).expect("a valid stream within its window"), out);
        out
    }
}

pub fn json(n: usize) -> Vec<u8> {
    let row = |i: usize| {
        format!(
            r#"{{"id":{},"name":"sensor-{}","value":{}.{:03},"unit":"celsius","tags":["a{}","room"]}},"#,
            i * 7919,
            i % 13,
            i % 40,
            (i * 37) % 1000,
            i % 5
        )
    };
    let mut text: String = (n..).map(row).take(1 + n / 60).collect();
    text.truncate(n);
    text.into_bytes()
}

pub fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ n as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..n).map(|_| next()).collect()
}

//! Compressed messages against miniz_oxide, which somebody else wrote: what ws13 takes is taken there, too, with the
//! same bytes; what ws13 refuses and miniz_oxide takes is refused by the zlib of C, whose rules are stricter.

use crate::common::{End, Seen, masked};
use crate::within;
use flate2::{Decompress, FlushDecompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ws13::deflate::Agreed;
use ws13::{CloseCause, Config, Connection, Fault, Inbox, LimitHit, Limits, Outbox, Violation};

/// The limit on a message, in bytes.
const MAX: usize = 64 << 10;
const WINDOW: usize = 32 << 10;
const MOST_FINAL_BLOCKS: usize = 16;

/// The end of a message: that of RFC 7692, and a final block that is empty.
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Inflated {
    Bytes(Vec<u8>),
    Broken,
    TooLong,
    FinalBlocks,
    /// The end was taken for bytes of the message, and there are too many: either is a reason to refuse it.
    BrokenAndTooLong,
}

pub fn check(data: &[u8]) {
    let Some((settings, mut rest)) = data.split_first() else { return };
    let takeover = settings & 1 == 0;
    let agreed = Agreed { client_context_takeover: takeover, ..Agreed::default() };
    let config = Config { limits: Limits { max_message: MAX, ..Limits::default() }, ..Config::default() };
    let connection = Connection::with_keys(None, config, 7).with_deflate(agreed);
    let mut end = End { connection, inbox: Inbox::new(), outbox: Outbox::new() };
    let mut history = Vec::new();
    for _ in 0..4 {
        let Some((len, more)) = rest.split_first_chunk::<2>() else { return };
        let (message, more) = more.split_at(more.len().min(u16::from_be_bytes(*len).into()));
        rest = more;
        if !takeover {
            history.clear();
        }
        let ours = ours(&mut end, message);
        let theirs = model::<Miniz>(message, &history);
        match (&ours, &theirs) {
            (Inflated::Bytes(ours), Inflated::Bytes(theirs)) => assert!(ours == theirs, "other bytes"),
            (Inflated::Broken | Inflated::TooLong, Inflated::BrokenAndTooLong) => {}
            (Inflated::Broken, theirs) if *theirs != Inflated::Broken => {
                assert_eq!(model::<Zlib>(message, &history), Inflated::Broken, "miniz_oxide has {theirs:?}");
            }
            _ => assert_eq!(ours, theirs),
        }
        let Inflated::Bytes(bytes) = ours else { return };
        history.extend(bytes);
        history.drain(..history.len().saturating_sub(WINDOW));
    }
}

fn ours(end: &mut End, message: &[u8]) -> Inflated {
    // The thread's decoder, the window, the output twice while it grows, and its copy.
    let limit = 400 * 1024 + 4 * MAX + 4 * message.len();
    let events = within(limit, || end.feed(&masked(0xc2, message)));
    match &events[..] {
        [Seen::Message(_, bytes)] => Inflated::Bytes(bytes.clone()),
        [] => match end.connection.closed().map(|closed| closed.cause()) {
            Some(CloseCause::Fault(Fault::Violation(Violation::Compression))) => Inflated::Broken,
            Some(CloseCause::Fault(Fault::Limit(LimitHit::Message { .. }))) => Inflated::TooLong,
            Some(CloseCause::Fault(Fault::Limit(LimitHit::FinalBlocks { .. }))) => Inflated::FinalBlocks,
            other => panic!("{other:?}"),
        },
        other => panic!("one message, not {}", other.len()),
    }
}

/// What a decoder did with its input.
struct Took {
    used: usize,
    ended: bool,
}

/// Somebody's decoder for one deflate stream; it puts its output behind `out`, whose end is its history.
trait Decoder {
    fn new(history: &[u8]) -> Self;
    /// Takes all of the input, or comes to the stream's end; `None` for what is no stream.
    fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<Took>;
}

/// RFC 7692, 7.2.2, in words that anybody can check.
fn model<D: Decoder>(message: &[u8], history: &[u8]) -> Inflated {
    let mut out = history.to_vec();
    let mut decoder = D::new(&out);
    let (mut at, mut final_blocks) = (0, 0);
    while at < message.len() {
        let Some(took) = decoder.take(&message[at..], &mut out) else {
            // What came out before the fault may be too long already.
            return if out.len() - history.len() > MAX { Inflated::TooLong } else { Inflated::Broken };
        };
        at += took.used;
        if out.len() - history.len() > MAX {
            return Inflated::TooLong;
        }
        if took.ended {
            final_blocks += 1;
            if final_blocks > MOST_FINAL_BLOCKS {
                return Inflated::FinalBlocks;
            }
            decoder = D::new(&out[out.len().saturating_sub(WINDOW)..]);
        }
    }
    let before = out.len();
    let ended = decoder.take(&TAIL, &mut out);
    if out.len() - history.len() > MAX {
        return Inflated::BrokenAndTooLong;
    }
    match ended {
        Some(Took { used, ended: true }) if used == TAIL.len() && out.len() == before => {
            Inflated::Bytes(out.split_off(history.len()))
        }
        _ => Inflated::Broken,
    }
}

struct Miniz {
    state: Box<DecompressorOxide>,
    /// What it has put out, behind its history: it looks back into this.
    buffer: Vec<u8>,
    at: usize,
}

impl Decoder for Miniz {
    fn new(history: &[u8]) -> Self {
        let mut buffer = history[history.len().saturating_sub(WINDOW)..].to_vec();
        let at = buffer.len();
        buffer.resize(at + MAX + (WINDOW << 1), 0);
        Miniz { state: Box::default(), buffer, at }
    }

    fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<Took> {
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, used, written) = decompress(&mut self.state, input, &mut self.buffer, self.at, flags);
        out.extend_from_slice(&self.buffer[self.at..self.at + written]);
        self.at += written;
        match status {
            TINFLStatus::Done => Some(Took { used, ended: true }),
            TINFLStatus::NeedsMoreInput => Some(Took { used, ended: false }),
            // The buffer holds more than the limit.
            TINFLStatus::HasMoreOutput => Some(Took { used: input.len(), ended: false }),
            _ => None,
        }
    }
}

struct Zlib(Decompress);

impl Decoder for Zlib {
    fn new(history: &[u8]) -> Self {
        let mut state = Decompress::new(false);
        if !history.is_empty() {
            state.set_dictionary(history).expect("a raw stream takes any history");
        }
        Zlib(state)
    }

    fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<Took> {
        let mut used = 0;
        loop {
            let (before, room) = (self.0.total_in(), out.len() + 4096);
            out.reserve(4096);
            let len = out.len();
            let result = self.0.decompress_vec(&input[used..], out, FlushDecompress::Sync);
            used += (self.0.total_in() - before) as usize;
            match result {
                Err(_) => return None,
                Ok(Status::StreamEnd) => return Some(Took { used, ended: true }),
                // Nothing more comes out, and nothing is left to go in.
                Ok(_) if used == input.len() && out.len() < room => return Some(Took { used, ended: false }),
                Ok(_) if out.len() == len && used < input.len() && out.len() < out.capacity() => return None,
                Ok(_) if out.len() > MAX + WINDOW => return Some(Took { used: input.len(), ended: false }),
                Ok(_) => {}
            }
        }
    }
}

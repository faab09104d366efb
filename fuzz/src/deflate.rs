//! What is sent compressed: whole, in parts, as it is or prepared for many, on several connections of one thread. The zlib
//! of C, a slow inflater that looks at every distance, and our own receiver must all read it back.

use crate::common::{End, Seen, parse};
use crate::zlib::{Reader, agreed, noise};
use ws13::{Channel, Config, Deflate, Kind, Outgoing, Role};

/// Bytes of the longest message: more than what an encoder of ours takes.
const LONGEST: usize = 9000;

pub fn check(data: &[u8]) {
    let Some(([level, settings, window], mut rest)) = data.split_first_chunk::<3>() else { return };
    let deflate = Deflate {
        level: 1 + level % 9,
        memory_level: 1 + level / 9 % 9,
        threshold: 1,
        threshold_without_takeover: 1,
        send_window: usize::from(*window) << 7,
        histories: usize::from(settings >> 4),
        ..Deflate::default()
    };
    let (takeover, bits) = (settings & 8 == 0, 8 + settings % 8);
    let config = Config { deflate: Some(deflate), ..Config::default() };
    let mut channel = Channel::new(&config);
    let mut pairs = [(); 3].map(|()| Pair::new(&config, takeover, bits));
    for _ in 0..24 {
        let Some(([how, len], more)) = rest.split_first_chunk::<2>() else { return };
        let (bytes, more) = more.split_at(more.len().min(usize::from(*len)));
        rest = more;
        let message = message(bytes, how >> 5);
        let pair = &mut pairs[usize::from(how & 3) % 3];
        match how >> 2 & 7 {
            0 => pair.send(Outgoing::from(&*message).uncompressed(), &message),
            1 | 2 => {
                let prepared = channel.prepare(&*message);
                pairs.iter_mut().for_each(|pair| pair.send(&prepared, &message));
            }
            3 => pair.parts(&message),
            _ => pair.send(&*message, &message),
        }
    }
}

/// Some bytes as they are, or what they stand for.
fn message(bytes: &[u8], form: u8) -> Vec<u8> {
    let times = bytes.first().map_or(0, |first| usize::from(*first));
    let mut message = match form {
        0..=2 => bytes.to_vec(),
        3 => bytes.repeat(times),
        4 => noise(times * 24),
        5 => bytes.iter().flat_map(|byte| [*byte; 70]).collect(),
        6 => (0..times).flat_map(|n| [bytes, n.to_string().as_bytes()].concat()).collect(),
        _ => [bytes.to_vec(), noise(times), bytes.to_vec()].concat(),
    };
    message.truncate(LONGEST);
    message
}

/// A server's connection, and those who read what it sends.
struct Pair {
    sender: End,
    receiver: End,
    reader: Reader,
}

impl Pair {
    fn new(config: &Config, takeover: bool, bits: u8) -> Pair {
        let agreed = agreed(takeover, bits);
        let [sender, receiver] = [Role::Server, Role::Client].map(|role| {
            let mut end = End::new(role, config.clone());
            end.connection = end.connection.with_deflate(agreed);
            end
        });
        Pair { sender, receiver, reader: Reader::new(takeover, bits) }
    }

    fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>, expected: &[u8]) {
        self.sender.connection.send(message, &mut self.sender.outbox).expect("the connection is open");
        self.read(expected);
    }

    fn parts(&mut self, message: &[u8]) {
        let (one, two) = message.split_at(message.len() / 3);
        self.sender.connection.begin_message(Kind::Binary).expect("no message is unfinished");
        for (part, last) in [(one, false), (two, true)] {
            self.sender
                .connection
                .send_part(part, last, &mut self.sender.outbox)
                .expect("a message is unfinished");
        }
        self.read(message);
    }

    fn read(&mut self, expected: &[u8]) {
        let written = self.sender.written();
        let frames = parse(&written);
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        if frames[0].first & 0x40 != 0 {
            // A message that is short may grow by some bytes; one in parts is not taken back.
            assert!(frames.len() > 1 || payload.len() < expected.len() + 8, "it grew");
            assert!(self.reader.message(&payload) == expected, "another zlib reads other bytes");
        } else {
            assert!(payload == expected, "other bytes");
        }
        assert!(
            self.receiver.feed(&written) == [Seen::binary(expected)],
            "our own receiver reads other bytes"
        );
    }
}

//! What a hostile peer sends, in a size that is asked for: twice the bytes must not cost more than twice the work.

use super::Case;
use std::hint::black_box;
#[cfg(feature = "deflate")]
use ws13::frame::{Header, OpCode, Rsv};
use ws13::handshake::client::{Request, Upgrade};
use ws13::handshake::server::{Options, ReadRequest};
use ws13::handshake::{HeadLimits, Url};
use ws13::{Config, Connection, Inbox, Keepalive, Limits, Outbox, Role};

pub(crate) const CASES: &[Case] = &[
    ("a large frame, one byte at a time", |n| frame(n, 1)),
    ("a large frame, 1,000 bytes at a time", |n| frame(n * 16, 1000)),
    ("a text of two-byte characters, one byte at a time", text_bytewise),
    ("fragments of one byte", |n| fragments(&[0x00, 0x81, 0, 0, 0, 0, b'a'], n)),
    ("empty fragments", |n| fragments(&[0x00, 0x80, 0, 0, 0, 0], n)),
    ("fragments of 65,535 bytes", |n| {
        fragments(&[&[0x00, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &[b'a'; 65_535]].concat(), n / 1024);
    }),
    ("pings that are not read", |n| controls(&[0x89, 0xfd], 125, n / 8)),
    ("pongs", |n| controls(&[0x8a, 0x80], 0, n)),
    ("a request head, one byte at a time", |n| {
        head(&format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(n / 16)), 1)
    }),
    ("headers without end", |n| head(&format!("GET / HTTP/1.1\r\n{}", "a:\r\n".repeat(n / 64)), 1)),
    ("blanks inside a header", |n| head(&request(&format!("Connection: b{}x", " ".repeat(n))), usize::MAX)),
    ("an extension header with an open quote", |n| {
        head(&request(&format!("Sec-WebSocket-Extensions: a; b=\"{}", "\\c".repeat(n / 2))), usize::MAX);
    }),
    ("many extensions", |n| {
        head(&request(&format!("Sec-WebSocket-Extensions: {}", "a;b=1,".repeat(n / 6))), usize::MAX);
    }),
    ("many subprotocols", |n| {
        let names: Vec<String> = (0..n / 8).map(|i| format!("p{i:06}")).collect();
        head(&request(&format!("Sec-WebSocket-Protocol: {}", names.join(","))), usize::MAX);
    }),
    ("a response head, one byte at a time", |n| {
        response(&format!("HTTP/1.1 101 \r\nA: {}", "a".repeat(n / 16)), 1);
    }),
    ("interim responses without end", |n| response(&"HTTP/1.1 100 \r\n\r\n".repeat(n / 64), 1)),
    #[cfg(feature = "deflate")]
    ("a bomb", |n| compressed(&bomb(n), usize::MAX)),
    #[cfg(feature = "deflate")]
    ("a bomb in fragments", |n| compressed(&bomb(n), 100)),
    #[cfg(feature = "deflate")]
    ("empty blocks without end", |n| {
        // The last one is the one whose other four bytes are left out (RFC 7692 section 7.2.1).
        compressed(&[&[0, 0, 0, 0xff, 0xff].repeat(n / 5)[..], &[0]].concat(), usize::MAX);
    }),
];

/// No limit stands in the way of what is to be counted.
fn unlimited() -> Config {
    let limits = Limits {
        max_message: usize::MAX / 2,
        max_fragments: Some(usize::MAX),
        max_control_frames: u32::MAX,
        ..Limits::default()
    };
    Config {
        limits,
        keepalive: Keepalive { ping_interval: None, ..Keepalive::default() },
        ..Config::default()
    }
}

fn feed(connection: &mut Connection, inbox: &mut Inbox, outbox: &mut Outbox, bytes: &[u8]) {
    inbox.extend_from_slice(bytes);
    while let Some(event) = connection.receive(inbox, outbox) {
        black_box(&event);
    }
    inbox.park();
}

fn server(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    let mut connection = Connection::new(Role::Server, unlimited());
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
    for piece in pieces {
        feed(&mut connection, &mut inbox, &mut outbox, piece.as_ref());
    }
}

fn frame(len: usize, step: usize) {
    let header = [vec![0x82, 0xff], (len as u64).to_be_bytes().to_vec(), vec![1, 2, 3, 4]].concat();
    let payload = vec![b'x'; len];
    server(header.chunks(step).chain(payload.chunks(step)));
}

fn text_bytewise(len: usize) {
    let header = [vec![0x81, 0xff], (len as u64 / 2 * 2).to_be_bytes().to_vec(), vec![0; 4]].concat();
    let text = "é".repeat(len / 2);
    server(header.chunks(1).chain(text.as_bytes().chunks(1)));
}

fn fragments(fragment: &[u8], count: usize) {
    server(std::iter::once(&[0x01, 0x81, 0, 0, 0, 0, b'a'][..]).chain(std::iter::repeat_n(fragment, count)));
}

fn controls(header: &[u8], len: usize, count: usize) {
    let frame = [header, &[0; 4], &vec![b'p'; len]].concat();
    server(std::iter::repeat_n(frame, count));
}

/// A request that is right but for what `header` adds.
fn request(header: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n\r\n"
    )
}

/// Reads a request whose bytes come in pieces, with limits that do not stand in the way.
fn head(text: &str, step: usize) {
    let mut reading = ReadRequest::new(Options { limits: ANY_HEAD, ..Options::default() });
    let mut end = 0;
    while end < text.len() {
        end = end.saturating_add(step).min(text.len());
        match reading.receive(&text.as_bytes()[..end]) {
            Ok(None) => {}
            done => {
                black_box(&done);
                return;
            }
        }
    }
}

/// Limits that do not stand in the way, either.
const ANY_HEAD: HeadLimits =
    HeadLimits { head: usize::MAX / 2, headers: usize::MAX / 2, line: usize::MAX / 2 };

/// Reads a response whose bytes come in pieces, with limits that do not stand in the way.
fn response(text: &str, step: usize) {
    let url: Url = "ws://a/".parse().expect("a URL");
    let (mut upgrade, _) = Upgrade::start(Request::new(&url).limits(ANY_HEAD)).expect("randomness");
    for end in (step..=text.len()).step_by(step) {
        assert!(upgrade.receive(&text.as_bytes()[..end]).is_ok_and(|answer| answer.is_none()));
    }
}

/// Zeros, compressed.
#[cfg(feature = "deflate")]
fn bomb(len: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(&vec![0; len * 64]).expect("a Vec takes everything");
    encoder.flush().expect("a Vec takes everything");
    let mut deflated = encoder.get_ref().clone();
    deflated.truncate(deflated.len() - 4);
    deflated
}

/// A compressed message, in fragments of a size, that comes 1,000 bytes at a time.
#[cfg(feature = "deflate")]
fn compressed(deflated: &[u8], fragment: usize) {
    let config = Config { deflate: Some(ws13::Deflate::default()), ..unlimited() };
    let Ok(Some((ws13::handshake::server::Received::Upgrade(upgrade), _))) =
        ReadRequest::new(Options { deflate: config.deflate.clone(), ..Options::default() })
            .receive(request("Sec-WebSocket-Extensions: permessage-deflate").as_bytes())
    else {
        unreachable!("the request is right")
    };
    let accepted = upgrade.accept(Default::default()).expect("the defaults can be accepted");
    let agreed = accepted.agreed.deflate.expect("both want it");
    let mut connection = Connection::new(Role::Server, config).with_deflate(agreed);
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
    let count = deflated.chunks(fragment).count();
    let mut wire = Vec::new();
    for (at, fragment) in deflated.chunks(fragment).enumerate() {
        let header = Header {
            fin: at + 1 == count,
            rsv: if at == 0 { Rsv::from_bits(0x40) } else { Rsv::NONE },
            opcode: if at == 0 { OpCode::Binary } else { OpCode::Continuation },
            mask: Some([0; 4]),
            payload_len: fragment.len() as u64,
        };
        wire.extend_from_slice(&header.encode());
        wire.extend(fragment);
    }
    for piece in wire.chunks(1000) {
        feed(&mut connection, &mut inbox, &mut outbox, piece);
    }
    assert!(connection.is_open(), "{:?}", connection.closed());
}

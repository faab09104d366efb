//! An endpoint that echoes and obeys RFC 6455 in as few lines as will do, but for the one rule that it is told to break.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    MaskNotChecked,
    Masks,
    OneKey,
    ReservedBitsTaken,
    ReservedOpcodesTaken,
    LongControlTaken,
    LongLengthsSent,
    MixedFragmentsTaken,
    FragmentsDropped,
    Utf8NotChecked,
    Utf8CheckedByFrame,
    EmptyPongs,
    PongsLate,
    PongsDoubled,
    CloseNotAnswered,
    CloseAlways1000,
    CodesNotChecked,
    TcpKeptOpen,
    EchoAfterClose,
    SilentAfterViolation,
    WrongAccept,
    AnyRequestTaken,
    AnyAnswerTaken,
    SubprotocolInvented,
    ExtensionInvented,
}

/// Serves on a port of its own, for as long as the test runs; gives the URL.
pub fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || accept(stream, fault));
        }
    });
    url
}

/// Runs all cases of the server at `address`, as Autobahn's clients do.
pub fn run_cases(address: &str, fault: Fault) {
    let (mut stream, mut bytes) = connect(address, "/getCaseCount", fault).unwrap();
    while !bytes.ends_with(&[0x03, 0xe8]) && read(&mut stream, &mut bytes) {}
    let count: usize = String::from_utf8_lossy(&bytes[2..2 + usize::from(bytes[1])]).parse().unwrap();
    drop(stream);
    for case in 1..=count {
        if let Some((stream, rest)) = connect(address, &format!("/runCase?case={case}&agent=broken"), fault) {
            Talk::new(stream, rest, true, fault).run();
        }
    }
    drop(connect(address, "/updateReports?agent=broken", fault));
}

fn accept(mut stream: TcpStream, fault: Fault) -> Option<()> {
    let (head, rest) = head(&mut stream)?;
    let upgrade = has(&head, "upgrade", "websocket") && has(&head, "connection", "upgrade");
    if !upgrade && fault != Fault::AnyRequestTaken {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").ok()?;
        return None;
    }
    let accept = match fault {
        Fault::WrongAccept => "AAAA".to_owned(),
        _ => accept_of(&field(&head, "sec-websocket-key")?),
    };
    let extra = match fault {
        Fault::SubprotocolInvented => "Sec-WebSocket-Protocol: invented\r\n",
        Fault::ExtensionInvented => "Sec-WebSocket-Extensions: invented\r\n",
        _ => "",
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    Talk::new(stream, rest, false, fault).run()
}

fn connect(address: &str, path: &str, fault: Fault) -> Option<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let (head, rest) = head(&mut stream)?;
    let right = field(&head, "sec-websocket-accept").is_some_and(|accept| accept == accept_of(key));
    (right || fault == Fault::AnyAnswerTaken).then_some((stream, rest))
}

pub fn accept_of(key: &str) -> String {
    ws13::handshake::Key::parse(key.as_bytes()).map(|key| key.accept()).unwrap_or_default()
}

pub fn head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            return Some((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if !read(stream, &mut bytes) {
            return None;
        }
    }
}

pub fn field(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .next()
}

fn has(head: &str, name: &str, item: &str) -> bool {
    field(head, name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(item)))
}

fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    let n = stream.read(&mut buffer).unwrap_or(0);
    bytes.extend_from_slice(&buffer[..n]);
    n > 0
}

/// One connection after its handshake.
struct Talk {
    stream: TcpStream,
    input: Vec<u8>,
    is_client: bool,
    fault: Fault,
    /// The opcode of a message under way, and its payload so far.
    message: Option<(u8, Vec<u8>)>,
    pongs: Vec<Vec<u8>>,
    closing: bool,
}

impl Talk {
    fn new(stream: TcpStream, input: Vec<u8>, is_client: bool, fault: Fault) -> Talk {
        stream.set_nodelay(true).unwrap();
        Talk { stream, input, is_client, fault, message: None, pongs: Vec::new(), closing: false }
    }

    /// Until the end; `None` where it came early.
    fn run(&mut self) -> Option<()> {
        loop {
            while let Some((first, payload)) = self.frame()? {
                match self.take(first, payload) {
                    Ok(()) => {}
                    Err(1000) => return self.hang_up(),
                    Err(code) => {
                        if self.fault != Fault::SilentAfterViolation {
                            self.send(0x88, &code.to_be_bytes())?;
                        }
                        return self.hang_up();
                    }
                }
            }
            if !read(&mut self.stream, &mut self.input) {
                return None;
            }
        }
    }

    /// A frame from the input; `Some(None)` when it is not complete, `None` after a violation.
    fn frame(&mut self) -> Option<Option<(u8, Vec<u8>)>> {
        let &[first, second, ..] = self.input.as_slice() else { return Some(None) };
        let masked = second & 0x80 != 0;
        let opcode = first & 15;
        let wrong_mask = masked == self.is_client && self.fault != Fault::MaskNotChecked;
        let wrong_bits = first & 0x70 != 0 && self.fault != Fault::ReservedBitsTaken;
        let reserved = matches!(opcode, 3..=7 | 11..=15);
        let wrong_opcode = reserved && self.fault != Fault::ReservedOpcodesTaken;
        let control = opcode >= 8 && (second & 127 > 125 || first & 0x80 == 0);
        let wrong_control = control && self.fault != Fault::LongControlTaken;
        if wrong_mask || wrong_bits || wrong_opcode || wrong_control {
            return self.fail(1002);
        }
        let (len, start) = match second & 127 {
            126 if self.input.len() < 4 => return Some(None),
            126 => (u64::from(u16::from_be_bytes([self.input[2], self.input[3]])), 4),
            127 if self.input.len() < 10 => return Some(None),
            127 => (u64::from_be_bytes(self.input[2..10].try_into().unwrap()), 10),
            len => (u64::from(len), 2),
        };
        if len > 1 << 20 {
            return self.fail(1009);
        }
        let start = start + if masked { 4 } else { 0 };
        let end = start + len as usize;
        if self.input.len() < end {
            return Some(None);
        }
        let mut payload = self.input[start..end].to_vec();
        if masked {
            let key = self.input[start - 4..start].to_vec();
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        self.input.drain(..end);
        Some(Some((first, payload)))
    }

    fn fail<T>(&mut self, code: u16) -> Option<T> {
        if self.fault != Fault::SilentAfterViolation {
            self.send(0x88, &code.to_be_bytes())?;
        }
        self.hang_up()?;
        None
    }

    /// What to do with a frame; an error is the code to close with, 1000 where that was done.
    fn take(&mut self, first: u8, payload: Vec<u8>) -> Result<(), u16> {
        match first & 15 {
            0..=2 => self.data(first, payload)?,
            8 => self.close(&payload)?,
            9 if self.fault == Fault::PongsLate && self.message.is_some() => self.pongs.push(payload),
            9 if self.fault == Fault::EmptyPongs => self.send(0x8a, b"").ok_or(1000u16)?,
            9 => {
                self.send(0x8a, &payload).ok_or(1000u16)?;
                if self.fault == Fault::PongsDoubled {
                    self.send(0x8a, &payload).ok_or(1000u16)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, first: u8, payload: Vec<u8>) -> Result<(), u16> {
        let begins = first & 15 != 0;
        if begins == self.message.is_some() && self.fault != Fault::MixedFragmentsTaken {
            return Err(1002);
        }
        let (opcode, mut whole) = self.message.take().unwrap_or((first & 15, Vec::new()));
        if self.fault != Fault::FragmentsDropped || first & 0x80 != 0 {
            whole.extend_from_slice(&payload);
        }
        let text = opcode == 1 && self.fault != Fault::Utf8NotChecked;
        if self.fault == Fault::Utf8CheckedByFrame {
            if text && std::str::from_utf8(&payload).is_err() {
                return Err(1007);
            }
        } else if text
            && std::str::from_utf8(&whole).is_err_and(|e| first & 0x80 != 0 || e.error_len().is_some())
        {
            return Err(1007);
        }
        if first & 0x80 == 0 {
            self.message = Some((opcode, whole));
            return Ok(());
        }
        self.send(0x80 | opcode, &whole).ok_or(1000u16)?;
        for pong in std::mem::take(&mut self.pongs) {
            self.send(0x8a, &pong).ok_or(1000u16)?;
        }
        Ok(())
    }

    fn close(&mut self, payload: &[u8]) -> Result<(), u16> {
        if self.fault == Fault::CloseNotAnswered {
            return Err(1000);
        }
        let code = match payload {
            [] => None,
            [_] => return Err(1002),
            [high, low, reason @ ..] => {
                if std::str::from_utf8(reason).is_err() {
                    return Err(1007);
                }
                Some(u16::from_be_bytes([*high, *low]))
            }
        };
        let legal = matches!(code, None | Some(1000..=1003 | 1007..=1014 | 3000..=4999));
        if !legal && self.fault != Fault::CodesNotChecked {
            return Err(1002);
        }
        let answer =
            if self.fault == Fault::CloseAlways1000 { &[3, 0xe8] } else { &payload[..payload.len().min(2)] };
        self.send(0x88, answer).ok_or(1000u16)?;
        if self.fault == Fault::EchoAfterClose && !self.closing {
            self.closing = true;
            return Ok(());
        }
        Err(1000)
    }

    fn send(&mut self, first: u8, payload: &[u8]) -> Option<()> {
        let masks = self.is_client != (self.fault == Fault::Masks);
        let mask = if masks { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            len if len < 126 && self.fault != Fault::LongLengthsSent => bytes.push(mask | len as u8),
            len if len <= 0xffff => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                bytes.push(mask | 127);
                bytes.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        if masks {
            let random = (RandomState::new().hash_one(0) as u32).to_be_bytes();
            let key = if self.fault == Fault::OneKey { [1, 2, 3, 4] } else { random };
            bytes.extend_from_slice(&key);
            bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend_from_slice(payload);
        }
        self.stream.write_all(&bytes).ok()
    }

    /// Ends our direction, and reads on for a while, so that no reset eats what was sent.
    fn hang_up(&mut self) -> Option<()> {
        if self.fault == Fault::TcpKeptOpen {
            std::thread::sleep(Duration::from_secs(20));
        }
        self.stream.shutdown(Shutdown::Write).ok()?;
        self.stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        while read(&mut self.stream, &mut Vec::new()) {}
        None
    }
}

//! The echo servers of the study of io_uring do what a server must, so that their figures are of the right work.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};
use ws13::{CloseCode, Message, blocking};
use ws13_bench::{frames::frame, ring, upgrade};

/// Each engine whose server parses what it receives.
const ECHOES: [&[&str]; 4] = [&[], &["--copy"], &["--epoll"], &["--tokio"]];

#[test]
fn messages_of_all_lengths_come_back() {
    for server in servers(&ECHOES) {
        let mut socket = blocking::connect(&format!("ws://{}/", server.address)).unwrap();
        for len in [0, 1, 125, 126, 127, 8 << 10, 65_535, 65_536, 65_537, 300_000, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
            socket.send(bytes.clone()).unwrap();
            assert_eq!(socket.receive().unwrap(), Some(Message::from(bytes)), "{len}, {}", server.name);
            let text = "é".repeat(len / 2);
            socket.send(text.as_str()).unwrap();
            assert_eq!(socket.receive().unwrap(), Some(Message::from(text)), "{len}, {}", server.name);
        }
        socket.close(CloseCode::NORMAL, "bye").unwrap();
    }
}

#[test]
fn frames_come_back_however_they_are_cut() {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for len in [5, 0, 125, 126, 1000, 20_000, 64, 70_000, 3] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        sent.extend(frame(2, MASK, &payload));
        expected.extend(frame(2, None, &payload));
    }
    for server in servers(&ECHOES) {
        for piece in [1, 7, 131, 9000, sent.len()] {
            let mut stream = server.upgraded();
            for part in sent.chunks(piece).take(300) {
                stream.write_all(part).unwrap();
            }
            stream.write_all(&sent[sent.len().min(300 * piece)..]).unwrap();
            assert_eq!(read(&mut stream, expected.len()), expected, "by {piece}, {}", server.name);
        }
    }
}

#[test]
fn control_frames_and_fragments_are_answered() {
    let mut first = frame(1, MASK, "Grü".as_bytes());
    first[0] &= 0x7F;
    let sent = [first, frame(9, MASK, b"ping"), frame(0, MASK, "ße".as_bytes())].concat();
    let expected = [frame(10, None, b"ping"), frame(1, None, "Grüße".as_bytes())].concat();
    for server in servers(&ECHOES) {
        let mut stream = server.upgraded();
        stream.write_all(&sent).unwrap();
        assert_eq!(read(&mut stream, expected.len()), expected, "{}", server.name);
        stream.write_all(&frame(8, MASK, b"\x03\xE8bye")).unwrap();
        assert_eq!(read_all(&mut stream), frame(8, None, b"\x03\xE8bye"), "{}", server.name);
    }
}

#[test]
fn what_must_not_be_is_refused() {
    let unmasked = frame(2, None, b"abc");
    let no_utf8 = frame(1, MASK, b"\xFF");
    let too_large = [0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0, 0, 0, 1, 2, 3, 4].to_vec();
    for server in servers(&ECHOES) {
        for (sent, code) in [(&unmasked, 1002_u16), (&no_utf8, 1007), (&too_large, 1009)] {
            let mut stream = server.upgraded();
            stream.write_all(sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(&mut stream), frame(8, None, &code.to_be_bytes()), "{}", server.name);
        }
        let mut stream = server.connected();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(read_all(&mut stream).starts_with(b"HTTP/1.1 426"), "{}", server.name);
    }
}

#[test]
fn who_does_not_take_is_waited_for() {
    let sent = frame(2, MASK, &[7; 9000]).repeat(3000);
    let expected = frame(2, None, &[7; 9000]).repeat(3000);
    for server in servers(&ECHOES) {
        let mut stream = server.upgraded();
        let mut writing = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writing.write_all(&sent).unwrap());
            std::thread::sleep(Duration::from_millis(300));
            assert!(read(&mut stream, expected.len()) == expected, "{}", server.name);
        });
    }
}

#[test]
fn the_floors_send_back_what_came() {
    let sent: Vec<u8> = (0..300_000).map(|at| at as u8).collect();
    for server in servers(&[&["--raw"], &["--raw", "--epoll"]]) {
        let mut stream = server.upgraded();
        stream.write_all(&sent).unwrap();
        assert!(read(&mut stream, sent.len()) == sent, "{}", server.name);
    }
}

#[test]
fn places_of_connections_are_used_again() {
    for server in servers(&ECHOES) {
        for _ in 0..50 {
            let mut streams: Vec<_> = (0..20).map(|_| server.upgraded()).collect();
            for stream in &mut streams {
                stream.write_all(&frame(2, MASK, b"here")).unwrap();
                assert_eq!(read(stream, 6), frame(2, None, b"here"), "{}", server.name);
            }
        }
    }
}

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

struct Server {
    name: String,
    child: Child,
    address: String,
}

/// Those that there can be here: without io_uring, the ones on epoll.
fn servers(engines: &[&[&str]]) -> Vec<Server> {
    let available = ring::check_available();
    let runs = |options: &&&[&str]| match &available {
        Err(why) if !options.contains(&"--epoll") => {
            eprintln!("not tested with {options:?}: {why}");
            false
        }
        _ => true,
    };
    engines.iter().filter(runs).map(|options| Server::start(options)).collect()
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engines"));
        let listen = ["--listen", "127.0.0.1:0"];
        let mut child = command.args(listen).args(options).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { name: format!("engines {options:?}"), child, address }
    }

    fn connected(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn upgraded(&self) -> TcpStream {
        let mut stream = self.connected();
        let answer = upgrade::ask(&mut stream, &upgrade::request());
        assert!(answer.is_ok(), "{}: {answer:?}", self.name);
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it has gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

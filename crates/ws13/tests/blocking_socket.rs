//! The blocking driver on one connection: messages, deadlines, the closing handshake, streams that misbehave.
#![cfg(feature = "std")]

mod common;
#[path = "common/threads.rs"]
mod threads;

use common::allocation::{Counting, measure};
use common::{close_payload, masked, parse, plain};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use threads::{Script, Step, socket_and_wire, sockets, soon, tcp, times};
use ws13::blocking::{Untimed, WebSocket};
use ws13::{CloseCode, Config, Error, Event, Kind, Lost, Message, Misuse, Role};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn quiet() -> Config {
    times(0, 1000, 1000, 1000)
}

fn script(role: Role, stream: Script) -> WebSocket<Script> {
    WebSocket::from_upgraded(stream, role, quiet())
}

/// Reads what the peer sends until it ends the stream.
fn read_all(wire: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn messages_of_all_sizes_come_back() {
    soon(|| {
        let (mut client, mut server) = sockets(Config::default());
        let echo = thread::spawn(move || {
            while let Some(message) = server.receive()? {
                server.send(message)?;
            }
            Ok::<_, Error>(server.closed())
        });
        for len in [0, 1, 125, 126, 65_535, 65_536, 200_000, 1 << 20] {
            let payload: Vec<u8> = (0..len).map(|i: usize| i as u8).collect();
            client.send(&payload).unwrap();
            assert_eq!(client.receive().unwrap(), Some(Message::from(payload)));
        }
        client.send("text").unwrap();
        assert_eq!(client.receive().unwrap(), Some(Message::from("text")));
        assert_eq!(client.queued(), 0);
        client.close(CloseCode::NORMAL, "bye").unwrap();
        let closed = echo.join().unwrap().unwrap().unwrap();
        assert_eq!((closed.code(), closed.reason()), (1000, "bye"));
        assert_eq!(client.receive().unwrap(), None, "the end stays the end");
        assert!(matches!(client.send("late"), Err(Error::Misuse(Misuse::Closed))));
    });
}

#[test]
fn lent_messages_are_answered_in_one_write() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, quiet());
        let frames = [masked(0x81, b"one"), masked(0x89, b"ping"), masked(0x82, &[7; 20_000])];
        wire.write_all(&frames.concat()).unwrap();
        wire.write_all(&masked(0x88, &close_payload(1000, ""))).unwrap();
        let mut pings = 0;
        while let Some(mut lent) = server.receive_ref().unwrap() {
            while let Some((event, mut output)) = lent.next_event() {
                match event {
                    Event::Message(message) => output.send(message).unwrap(),
                    Event::Ping(payload) => pings += usize::from(payload == b"ping"),
                    other => panic!("{other:?}"),
                }
            }
        }
        drop(server);
        let frames = parse(&read_all(&mut wire));
        let firsts: Vec<u8> = frames.iter().map(|frame| frame.first).collect();
        assert_eq!((pings, frames.len()), (1, 4), "{firsts:x?}");
        assert_eq!(frames[0].payload, b"one");
        assert!(frames.iter().any(|frame| frame.first == 0x8a && frame.payload == b"ping"));
        assert!(frames.iter().any(|frame| frame.payload == [7; 20_000]));
        assert_eq!(frames[3].first, 0x88);
    });
}

#[test]
fn feeding_queues_and_receiving_writes() {
    soon(|| {
        let (mut client, mut server) = sockets(quiet());
        client.feed("one").unwrap();
        client.feed("two").unwrap();
        assert_eq!(client.queued(), 18);
        let waiting = thread::spawn(move || client.receive().map(|message| (client, message)));
        assert_eq!(server.receive().unwrap(), Some("one".into()));
        assert_eq!(server.receive().unwrap(), Some("two".into()));
        server.send("three").unwrap();
        let (mut client, message) = waiting.join().unwrap().unwrap();
        assert_eq!(message, Some("three".into()));
        assert!(matches!(client.ping(&[0; 126]), Err(Error::Misuse(Misuse::ControlPayload { len: 126 }))));
        assert!(matches!(
            client.close(CloseCode::NORMAL, "r".repeat(124)),
            Err(Error::Misuse(Misuse::CloseReason { len: 124 }))
        ));
    });
}

#[test]
fn sixty_four_mebibytes_stream_in_bounded_memory() {
    const LEN: usize = 64 << 20;
    const BOUND: usize = 512 << 10;
    soon(|| {
        // The limits on whole messages (1 MiB) do not bind it.
        let (mut client, mut server) = sockets(Config::default());
        let writing = thread::spawn(move || {
            let piece: Vec<u8> = (0..1 << 16).map(|i| (i % 251) as u8).collect();
            let ((), cost) = measure(|| {
                let mut writer = client.writer(Kind::Binary);
                for _ in 0..LEN / piece.len() {
                    writer.write(&piece).unwrap();
                }
                writer.finish().unwrap();
            });
            client.send("after").unwrap();
            cost.peak
        });
        let mut piece = vec![0; 50_000];
        let (read, cost) = measure(|| {
            let mut reader = server.reader().unwrap().unwrap();
            assert_eq!(reader.kind(), Kind::Binary);
            let mut at = 0_usize;
            loop {
                let len = reader.read(&mut piece).unwrap();
                if len == 0 {
                    return at;
                }
                for byte in &piece[..len] {
                    assert_eq!(*byte, ((at % (1 << 16)) % 251) as u8, "at {at}");
                    at += 1;
                }
            }
        });
        assert_eq!(read, LEN);
        assert!(cost.peak < BOUND, "{} bytes to read it", cost.peak);
        assert_eq!(server.receive().unwrap(), Some("after".into()));
        let peak = writing.join().unwrap();
        assert!(peak < BOUND, "{peak} bytes to write it");
    });
}

#[test]
fn parts_are_read_and_written_as_std_does() {
    soon(|| {
        let (mut client, mut server) = sockets(quiet());
        let writing = thread::spawn(move || {
            let mut writer = client.writer(Kind::Text);
            write!(&mut writer as &mut dyn Write, "{}-{}", "a".repeat(40_000), 7).unwrap();
            writer.finish().unwrap();
            client.send("next").unwrap();
            client
        });
        let mut text = String::new();
        std::io::Read::read_to_string(&mut server.reader().unwrap().unwrap(), &mut text).unwrap();
        assert_eq!(text, format!("{}-7", "a".repeat(40_000)));
        assert_eq!(server.receive().unwrap(), Some("next".into()));
        writing.join().unwrap();
    });
}

#[test]
fn a_message_that_a_close_cuts_off_is_an_error() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, quiet());
        wire.write_all(&[masked(0x01, b"half"), masked(0x88, &close_payload(1001, ""))].concat()).unwrap();
        let mut reader = server.reader().unwrap().unwrap();
        let mut all = Vec::new();
        match reader.read_to_end(&mut all, 100) {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
        assert_eq!(all, b"half");
        assert_eq!(server.closed().unwrap().code(), 1001);
    });
}

/// RFC 6455, 7.1.1: "the server MUST close the TCP connection immediately", the client waits for it.
#[test]
fn the_server_ends_tcp_first() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, quiet());
        wire.write_all(&masked(0x88, &close_payload(1000, "bye"))).unwrap();
        assert_eq!(server.receive().unwrap(), None);
        // The socket still lives: the FIN came from the handshake, not from its drop.
        assert_eq!(parse(&read_all(&mut wire))[0].payload, close_payload(1000, "bye"));
        drop(server);

        let (mut client, mut wire) = socket_and_wire(Role::Client, quiet());
        let closing = thread::spawn(move || client.close(CloseCode::GOING_AWAY, ""));
        let mut frame = [0; 8];
        wire.read_exact(&mut frame).unwrap();
        assert_eq!(parse(&frame)[0].payload, 1001_u16.to_be_bytes());
        wire.write_all(&plain(0x88, &close_payload(1001, ""))).unwrap();
        wire.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silent = wire.read(&mut [0]).unwrap_err();
        assert!(matches!(silent.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it waits: {silent}");
        assert!(!closing.is_finished());
        drop(wire);
        closing.join().unwrap().unwrap();
    });
}

#[test]
fn a_close_without_an_answer_ends_in_time() {
    soon(|| {
        let (mut client, _wire) = socket_and_wire(Role::Client, times(0, 1000, 150, 1000));
        let began = Instant::now();
        let closed = client.close(CloseCode::NORMAL, "");
        assert!(matches!(closed, Err(Error::Lost(Lost::CloseTimeout))), "{closed:?}");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn a_silent_peer_is_pinged_and_given_up() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, times(100, 100, 1000, 1000));
        let began = Instant::now();
        let received = server.receive();
        assert!(matches!(received, Err(Error::Lost(Lost::PongTimeout))), "{received:?}");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
        assert_eq!(server.closed().unwrap().code(), 1006);
        drop(server);
        assert_eq!(parse(&read_all(&mut wire))[0].first, 0x89);
    });
}

#[test]
fn keepalive_measures_the_round_trip() {
    soon(|| {
        let (mut client, mut server) = sockets(times(40, 1000, 1000, 1000));
        let answering = thread::spawn(move || server.receive());
        let began = Instant::now();
        while client.round_trip().is_none() && began.elapsed() < Duration::from_secs(10) {
            assert!(client.receive_ref().unwrap().is_some(), "Pings and Pongs show up");
        }
        assert!(client.round_trip().unwrap() < Duration::from_secs(5));
        client.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(answering.join().unwrap().unwrap(), None);
    });
}

/// The Pong arrived while the program was busy with something else.
#[test]
fn what_has_arrived_counts_before_a_deadline_is_judged() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, times(50, 100, 1000, 1000));
        let answering = thread::spawn(move || {
            let (mut pings, mut header) = (0, [0; 2]);
            wire.write_all(&masked(0x81, b"begin")).unwrap();
            while wire.read_exact(&mut header).is_ok() {
                let mut payload = vec![0; usize::from(header[1])];
                wire.read_exact(&mut payload).unwrap();
                if header[0] == 0x89 {
                    pings += 1;
                    wire.write_all(&masked(0x8a, &payload)).unwrap();
                }
            }
            pings
        });
        assert_eq!(server.receive().unwrap(), Some("begin".into()));
        for _ in 0..3 {
            server.send("busy").unwrap(); // a Ping is due, and goes along
            thread::sleep(Duration::from_millis(200)); // its Pong comes, and nobody reads it
        }
        drop(server);
        assert!(answering.join().unwrap() >= 2);
    });
}

#[test]
fn what_a_deadline_finds_is_given_out_at_once() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, times(1500, 100, 1000, 1000));
        wire.write_all(&masked(0x81, b"begin")).unwrap();
        assert_eq!(server.receive().unwrap(), Some("begin".into()));
        thread::sleep(Duration::from_millis(1700));
        server.send("busy").unwrap(); // a Ping goes along; the next one is due in 1.35 s or more
        wire.write_all(&masked(0x81, b"here")).unwrap();
        thread::sleep(Duration::from_millis(200)); // the pong timeout is over
        let began = Instant::now();
        assert_eq!(server.receive().unwrap(), Some("here".into()));
        assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    soon(|| {
        let (mut server, _wire) = socket_and_wire(Role::Server, times(0, 1000, 1000, 200));
        let began = Instant::now();
        let sent = server.send(vec![0; 64 << 20]);
        assert!(matches!(sent, Err(Error::Lost(Lost::Stalled))), "{sent:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(server.queued(), 0);
    });
}

/// The peer floods us and reads nothing until it is done, while we have much to write: we read on all the same.
#[test]
fn a_receiver_reads_on_while_the_peer_takes_nothing() {
    const MESSAGES: usize = 300;
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, Config::default());
        let flooding = thread::spawn(move || {
            let frame = masked(0x82, &[9; 60_000]);
            for _ in 0..MESSAGES {
                wire.write_all(&frame).unwrap();
            }
            wire.write_all(&masked(0x88, b"")).unwrap();
            parse(&read_all(&mut wire)).len()
        });
        server.feed(vec![1; 32 << 20]).unwrap();
        let mut received = 0;
        while let Some(message) = server.receive().unwrap() {
            assert_eq!(message.len(), 60_000);
            received += 1;
        }
        assert_eq!(received, MESSAGES);
        drop(server);
        assert_eq!(flooding.join().unwrap(), 2, "the large message, and the Close");
    });
}

#[test]
fn a_violation_is_told_and_the_stream_ended() {
    soon(|| {
        let (mut server, mut wire) = socket_and_wire(Role::Server, quiet());
        wire.write_all(&plain(0x81, b"unmasked")).unwrap();
        let told = thread::spawn(move || parse(&read_all(&mut wire)));
        let received = server.receive();
        assert!(matches!(received, Err(Error::Fault(_))), "{received:?}");
        assert_eq!(told.join().unwrap()[0].payload[..2], 1002_u16.to_be_bytes());
    });
}

#[test]
fn a_lost_stream_is_no_clean_end() {
    soon(|| {
        let (mut client, wire) = socket_and_wire(Role::Client, quiet());
        drop(wire);
        assert!(matches!(client.receive(), Err(Error::Lost(Lost::Eof))));
        assert!(matches!(client.receive(), Err(Error::Lost(Lost::Eof))), "again");
        assert_eq!(client.closed().unwrap().code(), 1006);
    });
}

#[test]
fn a_byte_at_a_time_with_a_refusal_before_each() {
    for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::TimedOut] {
        let bytes = [masked(0x81, b"hello"), masked(0x88, &close_payload(1000, ""))].concat();
        let ones = || (0..200).map(|_| Step::Bytes(1)).collect();
        let stream = Script {
            incoming: bytes.into(),
            reads: ones(),
            writes: ones(),
            before_each: Some(kind),
            ..Script::default()
        };
        let mut server = script(Role::Server, stream);
        assert_eq!(server.receive().unwrap(), Some("hello".into()));
        server.send("world").unwrap();
        assert_eq!(server.receive().unwrap(), None);
    }
}

#[test]
fn a_stream_that_lies_or_breaks_is_an_error() {
    let received = |step| {
        let stream = Script { reads: [step].into(), ..Script::default() };
        script(Role::Server, stream).receive()
    };
    match received(Step::Claim(1 << 40)) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::InvalidData),
        other => panic!("{other:?}"),
    }
    assert!(matches!(received(Step::Bytes(0)), Err(Error::Lost(Lost::Eof))));
    assert!(matches!(received(Step::Fail(ErrorKind::UnexpectedEof)), Err(Error::Lost(Lost::Eof))));
    match received(Step::Fail(ErrorKind::ConnectionReset)) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    }
    for (step, expected) in [
        (Step::Claim(1 << 40), ErrorKind::InvalidData),
        (Step::Bytes(0), ErrorKind::WriteZero),
        (Step::Fail(ErrorKind::BrokenPipe), ErrorKind::BrokenPipe),
    ] {
        let stream =
            Script { incoming: masked(0x81, b"last").into(), writes: [step].into(), ..Script::default() };
        let mut server = script(Role::Server, stream);
        match server.send("lost") {
            Err(Error::Io(error)) => assert_eq!(error.kind(), expected),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.receive().unwrap(), Some("last".into()), "what came before is still read");
        assert!(server.receive().is_err());
    }
}

/// A stream that never waits must not make the driver spin, and its deadlines hold all the same.
#[test]
fn a_stream_that_never_waits_does_not_spin() {
    let (near, _far) = tcp();
    near.set_nonblocking(true).unwrap();
    struct Counted(TcpStream, std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl Read for Counted {
        fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.read(target)
        }
    }
    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let calls = std::sync::Arc::default();
    let stream = Untimed(Counted(near, std::sync::Arc::clone(&calls)));
    let mut client = WebSocket::from_upgraded(stream, Role::Client, times(0, 1000, 500, 1000));
    let closed = client.close(CloseCode::NORMAL, "");
    assert!(matches!(closed, Err(Error::Lost(Lost::CloseTimeout))), "{closed:?}");
    let calls = calls.load(std::sync::atomic::Ordering::Relaxed);
    assert!(calls < 200, "{calls} reads in half a second");
}

#[cfg(feature = "json")]
#[test]
fn json_goes_both_ways() {
    soon(|| {
        let (mut client, mut server) = sockets(quiet());
        client.send_json(&("x", 7)).unwrap();
        assert_eq!(server.receive_json::<(String, u32)>().unwrap(), Some(("x".to_owned(), 7)));
        client.send("no JSON").unwrap();
        assert!(matches!(server.receive_json::<u32>(), Err(Error::Json(_))));
        client.send_json(&8).unwrap();
        assert_eq!(server.receive_json::<u32>().unwrap(), Some(8));
    });
}

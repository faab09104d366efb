//! The blocking driver's halves: floods both ways, many senders, closing from either half.
#![cfg(feature = "std")]

#[path = "common/threads.rs"]
mod threads;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use threads::{socket_and_wire, sockets, soon, tcp, times};
use ws13::blocking::{Receiver, Sender, WebSocket};
use ws13::{CloseCode, Config, Error, Lost, Message, Misuse, Role};

/// 16 MiB in messages of odd sizes.
const FLOOD: usize = 16 << 20;

fn flood<S: ws13::blocking::Transport>(sender: &Sender<S>) {
    let (mut sent, mut turn) = (0, 0_usize);
    while sent < FLOOD {
        let len = [3, 70_000, 500, 9_000, 300_000][turn % 5].min(FLOOD - sent);
        sender.send(vec![turn as u8; len]).unwrap();
        (sent, turn) = (sent + len, turn + 1);
    }
}

fn drink<S: ws13::blocking::Transport>(receiver: &mut Receiver<S>) {
    let (mut received, mut turn) = (0, 0_usize);
    while received < FLOOD {
        let message = receiver.receive().unwrap().expect("more is to come");
        assert!(message.as_bytes().iter().all(|byte| *byte == turn as u8));
        (received, turn) = (received + message.len(), turn + 1);
    }
    assert_eq!(received, FLOOD);
}

#[test]
fn both_sides_flood_each_other() {
    soon(|| {
        let (client, server) = sockets(Config::default());
        let sides = [client, server].map(|socket| {
            let (sender, mut receiver) = socket.split().unwrap();
            thread::spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| flood(&sender));
                    drink(&mut receiver);
                });
                (sender, receiver)
            })
        });
        let [(client, mut from_server), (_server, mut from_client)] = sides.map(|side| side.join().unwrap());
        client.close(CloseCode::NORMAL, "done").unwrap();
        let server = thread::spawn(move || {
            assert_eq!(from_client.receive().unwrap(), None);
            from_client.closed().unwrap()
        });
        assert_eq!(from_server.receive().unwrap(), None);
        assert_eq!(server.join().unwrap().reason(), "done");
    });
}

/// Each side also answers everything it is told: the receiving threads have Pongs to write all the time.
#[test]
fn floods_with_pings_do_not_lock_up() {
    soon(|| {
        let (client, server) = sockets(Config::default());
        let sides = [client, server].map(|socket| {
            let (sender, mut receiver) = socket.split().unwrap();
            thread::spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| flood(&sender));
                    scope.spawn(|| {
                        for _ in 0..100 {
                            match sender.ping(b"are you there?") {
                                Ok(()) | Err(Error::Misuse(Misuse::QueueFull)) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                    });
                    drink(&mut receiver);
                });
                (sender, receiver)
            })
        });
        for side in sides {
            side.join().unwrap();
        }
    });
}

#[test]
fn many_threads_send_whole_messages() {
    const THREADS: u8 = 8;
    const EACH: usize = 200;
    soon(|| {
        let (client, mut server) = sockets(Config::default());
        let (sender, mut receiver) = client.split().unwrap();
        let begin = Arc::new(Barrier::new(usize::from(THREADS)));
        for thread in 0..THREADS {
            let (sender, begin) = (sender.clone(), Arc::clone(&begin));
            thread::spawn(move || {
                begin.wait();
                for number in 0..EACH {
                    let mut message = vec![thread; 1 + (number * 97) % 20_000];
                    message[0] = number as u8;
                    sender.send(message).unwrap();
                }
            });
        }
        let mut counts = [0; THREADS as usize];
        for _ in 0..EACH * usize::from(THREADS) {
            let message = server.receive().unwrap().unwrap();
            let bytes = message.as_bytes();
            // A message of one byte names no thread; the order tells whose it is.
            let Some(&thread) = bytes.get(1) else { continue };
            assert!(bytes[1..].iter().all(|byte| *byte == thread));
            let count = &mut counts[usize::from(thread)];
            assert!(
                bytes[0] as usize >= *count % 256 || *count > 200,
                "each thread's messages keep their order"
            );
            *count = bytes[0] as usize;
        }
        let closing = thread::spawn(move || server.close(CloseCode::NORMAL, ""));
        assert_eq!(receiver.receive().unwrap(), None);
        drop((sender, receiver));
        closing.join().unwrap().unwrap();
    });
}

#[test]
fn the_queue_is_bounded() {
    soon(|| {
        let (server, _wire) = socket_and_wire(Role::Server, times(0, 1000, 1000, 600_000));
        let (sender, _receiver) = server.split().unwrap();
        let mut taken = 0;
        let full = loop {
            match sender.try_send(vec![0; 100_000]) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 1000, "the system cannot buffer that much");
        };
        assert!(matches!(full, Error::Misuse(Misuse::QueueFull)), "{full}");
        assert!(sender.queued() >= 1 && sender.queued() <= 300_000, "{}", sender.queued());
    });
}

#[test]
fn senders_learn_that_the_connection_is_lost() {
    soon(|| {
        // The peer takes nothing: two senders wait, one writing and one for its turn.
        let (server, _wire) = socket_and_wire(Role::Server, times(0, 1000, 1000, 300));
        let (sender, mut receiver) = server.split().unwrap();
        let senders = [0, 1].map(|_| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut sent = 0;
                loop {
                    match sender.send(vec![0; 1 << 20]) {
                        Ok(()) => sent += 1,
                        Err(error) => return (sent, error),
                    }
                    assert!(sent < 1000);
                }
            })
        });
        for sender in senders {
            let (_, error) = sender.join().unwrap();
            assert!(matches!(error, Error::Lost(Lost::Stalled)), "{error:?}");
        }
        let received = receiver.receive();
        assert!(matches!(received, Err(Error::Lost(Lost::Stalled))), "{received:?}");
        assert!(!sender.is_open());
    });
}

#[test]
fn the_receiver_tells_waiting_senders_of_the_end() {
    soon(|| {
        let (server, wire) = socket_and_wire(Role::Server, Config::default());
        let (sender, mut receiver) = server.split().unwrap();
        let sending = thread::spawn(move || {
            while sender.send(vec![0; 1 << 20]).is_ok() {}
            sender.is_open()
        });
        let receiving = thread::spawn(move || receiver.receive());
        thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        drop(wire);
        assert!(receiving.join().unwrap().is_err());
        assert!(!sending.join().unwrap());
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_close_by_the_sender_times_out_at_the_receiver() {
    soon(|| {
        let (client, _wire) = socket_and_wire(Role::Client, times(0, 1000, 400, 1000));
        let (sender, mut receiver) = client.split().unwrap();
        let receiving = thread::spawn(move || receiver.receive());
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        sender.start_close(CloseCode::NORMAL, "").unwrap();
        let received = receiving.join().unwrap();
        assert!(matches!(received, Err(Error::Lost(Lost::CloseTimeout))), "{received:?}");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(3), "{took:?}");
        assert!(matches!(sender.send("late"), Err(Error::Lost(Lost::CloseTimeout))));
    });
}

#[test]
fn keepalive_runs_while_the_receiver_waits() {
    soon(|| {
        let (client, mut server) = sockets(times(60, 5000, 1000, 1000));
        let (sender, mut receiver) = client.split().unwrap();
        let answering = thread::spawn(move || {
            let first = server.receive();
            server.send("and you?").unwrap();
            first
        });
        thread::sleep(Duration::from_millis(10));
        let receiving = thread::spawn(move || {
            let received = receiver.receive();
            (received, receiver.round_trip())
        });
        thread::sleep(Duration::from_millis(400));
        sender.send("still there?").unwrap();
        assert_eq!(answering.join().unwrap().unwrap(), Some(Message::from("still there?")));
        let (received, round_trip) = receiving.join().unwrap();
        assert_eq!(received.unwrap(), Some(Message::from("and you?")));
        assert!(round_trip.is_some());
    });
}

#[cfg(unix)]
#[test]
fn unix_streams_split_too() {
    soon(|| {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let client = WebSocket::from_upgraded(near, Role::Client, Config::default());
        let mut server = WebSocket::from_upgraded(far, Role::Server, Config::default());
        let (sender, mut receiver) = client.split().unwrap();
        let echo = thread::spawn(move || {
            while let Some(message) = server.receive().unwrap() {
                server.send(message).unwrap();
            }
        });
        sender.send("hi").unwrap();
        assert_eq!(receiver.receive().unwrap(), Some("hi".into()));
        sender.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(receiver.receive().unwrap(), None);
        echo.join().unwrap();
    });
}

#[test]
fn a_split_leaves_what_was_queued_and_read() {
    soon(|| {
        let (near, far) = tcp();
        let mut client = WebSocket::from_upgraded(near, Role::Client, Config::default());
        let mut server = WebSocket::from_upgraded(far, Role::Server, Config::default());
        server.feed("one").unwrap();
        server.feed("two").unwrap();
        server.flush().unwrap();
        assert_eq!(client.receive().unwrap(), Some("one".into()));
        client.feed("queued").unwrap();
        let (sender, mut receiver) = client.split().unwrap();
        assert_eq!(receiver.receive().unwrap(), Some("two".into()));
        sender.send("sent").unwrap();
        assert_eq!(server.receive().unwrap(), Some("queued".into()));
        assert_eq!(server.receive().unwrap(), Some("sent".into()));
    });
}

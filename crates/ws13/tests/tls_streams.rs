//! Encrypted streams that behave oddly: cut into bytes, ended without a word, with new keys, with a peer that takes
//! nothing; and both directions at once.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/raw_tls.rs"]
mod raw_tls;
#[path = "common/threads.rs"]
mod threads;
#[path = "common/tls.rs"]
mod tls;

use certificates::{Ca, Pair};
use common::masked;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use threads::{soon, times};
use tls::{both, serve, serve_blocking, trusting};
use tokio::runtime::Runtime;
use ws13::blocking;
use ws13::tls::{ClientTls, ServerTls};
use ws13::{CloseCode, Config, Error, Lost, Message};

/// A CA, and a server's certificate of it.
fn us() -> (Ca, Pair) {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    (ca, pair)
}

fn url(address: SocketAddr) -> String {
    format!("wss://localhost:{}/", address.port())
}

/// A runtime, and an echo server of each driver.
fn servers(pair: &Pair) -> (Runtime, [SocketAddr; 2]) {
    let runtime = Runtime::new().unwrap();
    let tls = ServerTls::from_pem(&pair.chain, &pair.key).unwrap();
    let addresses = [runtime.block_on(serve(tls.clone())), serve_blocking(tls)];
    (runtime, addresses)
}

/// Both clients, behind one face.
enum Client {
    Tokio(ws13::WebSocket<ws13::Stream>, Runtime),
    Blocking(blocking::WebSocket<blocking::Stream>),
}

impl Client {
    fn both(address: SocketAddr, tls: &ClientTls, config: &Config) -> [Box<dyn Fn() -> Client + Send>; 2] {
        let (url, tls, config) = (url(address), tls.clone(), config.clone());
        let (url2, tls2, config2) = (url.clone(), tls.clone(), config.clone());
        let one = move || {
            let runtime = Runtime::new().unwrap();
            let client = ws13::Client::new(&url).unwrap().tls(tls.clone()).config(config.clone());
            let socket = runtime.block_on(client.connect()).unwrap();
            Client::Tokio(socket, runtime)
        };
        let two = move || {
            let client = blocking::Client::new(&url2).unwrap().tls(tls2.clone()).config(config2.clone());
            Client::Blocking(client.connect().unwrap())
        };
        [Box::new(one), Box::new(two)]
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        match self {
            Client::Tokio(socket, runtime) => runtime.block_on(async { socket.send(message).await }),
            Client::Blocking(socket) => socket.send(message),
        }
    }

    fn receive(&mut self) -> Result<Option<Message>, Error> {
        match self {
            Client::Tokio(socket, runtime) => runtime.block_on(socket.receive()),
            Client::Blocking(socket) => socket.receive(),
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        match self {
            Client::Tokio(socket, runtime) => runtime.block_on(socket.close(CloseCode::NORMAL, "")),
            Client::Blocking(socket) => socket.close(CloseCode::NORMAL, ""),
        }
    }

    fn code(&mut self) -> u16 {
        match self {
            Client::Tokio(socket, _) => socket.closed().unwrap().code(),
            Client::Blocking(socket) => socket.closed().unwrap().code(),
        }
    }
}

/// Runs a script of a client with both drivers, against a raw server with another script.
fn against<T: Send + 'static>(serve: fn(raw_tls::Accepted) -> T, dial: fn(Client), config: Config) -> Vec<T> {
    let (ca, pair) = us();
    (0..2)
        .map(|driver| {
            let (address, serving) = raw_tls::server(&pair, serve);
            let [one, two] = Client::both(address, &trusting(&ca), &config);
            let connect = if driver == 0 { one } else { two };
            soon(move || dial(connect()));
            soon(move || serving.join().unwrap())
        })
        .collect()
}

/// A relay that passes each byte on by itself.
fn trickling(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pass = |mut from: TcpStream, mut to: TcpStream| {
        to.set_nodelay(true).unwrap();
        let mut byte = [0];
        while matches!(from.read(&mut byte), Ok(1)) && to.write_all(&byte).is_ok() {}
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || pass(near, far));
            thread::spawn(move || pass(far2, near2));
        }
    });
    address
}

#[test]
fn one_byte_at_a_time() {
    let (ca, pair) = us();
    let (runtime, addresses) = servers(&pair);
    for address in addresses {
        let relay = trickling(address);
        for outcome in runtime.block_on(both(&url(relay), &trusting(&ca))) {
            outcome.unwrap();
        }
        for connect in Client::both(relay, &trusting(&ca), &Config::default()) {
            soon(move || {
                let mut client = connect();
                for len in [0, 1, 125, 70_000] {
                    client.send(&vec![7; len]).unwrap();
                    assert_eq!(client.receive().unwrap().unwrap().len(), len);
                }
                client.close().unwrap();
            });
        }
    }
}

/// RFC 6455 says that the connection is over; whether TLS says so, too, no longer matters.
#[test]
fn a_missing_close_notify_after_the_closing_handshake_is_no_error() {
    against(
        |mut stream| {
            let mut close = [0; 8];
            stream.read_exact(&mut close).unwrap();
            assert_eq!(close[0], 0x88);
            stream.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
            // The stream ends without a word of TLS.
        },
        |mut client| client.close().unwrap(),
        Config::default(),
    );
}

#[test]
fn a_missing_close_notify_before_it_is_1006_after_all_that_came() {
    against(
        |mut stream| {
            stream.write_all(b"\x81\x02hi\x01\x03cut").unwrap();
        },
        |mut client| {
            assert_eq!(client.receive().unwrap(), Some(Message::from("hi")));
            let ended = client.receive();
            assert!(matches!(ended, Err(Error::Lost(Lost::Eof))), "{ended:?}");
            assert_eq!(client.code(), 1006);
        },
        Config::default(),
    );
}

#[test]
fn a_close_notify_without_a_close_is_1006() {
    against(
        |mut stream| {
            stream.write_all(b"\x81\x02hi").unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            // The client ends the stream, too.
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
        },
        |mut client| {
            assert_eq!(client.receive().unwrap(), Some(Message::from("hi")));
            assert!(matches!(client.receive(), Err(Error::Lost(Lost::Eof))));
        },
        Config::default(),
    );
}

/// A record that nobody encrypted, in the midst of others.
#[test]
fn broken_records_are_an_error_after_all_that_came() {
    against(
        |mut stream| {
            stream.write_all(b"\x81\x02hi").unwrap();
            thread::sleep(Duration::from_millis(100));
            stream.sock.write_all(b"\x17\x03\x03\0\x20nobody has encrypted this, ever!").unwrap();
            let told = stream.read_to_end(&mut Vec::new()).unwrap_err().to_string();
            assert!(told.contains("BadRecordMac"), "{told}");
        },
        |mut client| {
            assert_eq!(client.receive().unwrap(), Some(Message::from("hi")));
            let error = client.receive().unwrap_err();
            assert!(
                matches!(&error, Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData),
                "{error:?}"
            );
        },
        Config::default(),
    );
}

#[test]
fn whoever_goes_says_so_with_close_notify() {
    // Our client, after a clean close and when it is dropped.
    for dial in [|mut client: Client| client.close().unwrap(), |client: Client| drop(client)] {
        let ended = against(
            |mut stream| {
                let mut byte = [0];
                if matches!(stream.read(&mut byte), Ok(1)) {
                    stream.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                }
                stream.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())
            },
            dial,
            Config::default(),
        );
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    }
    // Our servers, which end the stream first.
    let (ca, pair) = us();
    let (_runtime, addresses) = servers(&pair);
    for address in addresses {
        let mut stream = raw_tls::dial(&ca, address);
        stream.write_all(&masked(0x88, &[3, 0xe8])).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [0x88, 2, 3, 0xe8]);
    }
}

#[test]
fn new_keys_on_the_way_change_nothing() {
    let (ca, pair) = us();
    let (_runtime, addresses) = servers(&pair);
    for address in addresses {
        let mut stream = raw_tls::dial(&ca, address);
        for turn in 0..50 {
            stream.conn.refresh_traffic_keys().unwrap();
            stream.write_all(&masked(0x82, &[turn; 9])).unwrap();
            let mut echo = [0; 11];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!((echo[0], echo[10]), (0x82, turn));
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    against(
        |stream| {
            thread::sleep(Duration::from_secs(5));
            drop(stream);
        },
        |mut client| {
            let began = Instant::now();
            let error = client.send(&vec![0; 16 << 20]).unwrap_err();
            assert!(matches!(error, Error::Lost(Lost::Stalled)), "{error:?}");
            assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
        },
        Config {
            limits: ws13::Limits { queue_cap: 64 << 20, ..times(0, 0, 300, 300).limits },
            ..times(0, 0, 300, 300)
        },
    );
}

/// What fits into the session's own buffer is not written all the same.
#[test]
fn keepalive_goes_on_while_a_peer_is_silent() {
    against(
        |stream| {
            thread::sleep(Duration::from_secs(2));
            drop(stream);
        },
        |mut client| {
            let began = Instant::now();
            let error = client.receive().unwrap_err();
            assert!(matches!(error, Error::Lost(Lost::PongTimeout)), "{error:?}");
            assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
        },
        times(100, 200, 300, 300),
    );
}

/// 16 MiB in messages of odd sizes.
const FLOOD: usize = 16 << 20;
const SIZES: [usize; 6] = [3, 70_000, 500, 9_000, 900_000, 16_384];

fn flood(mut send: impl FnMut(Vec<u8>)) {
    let (mut sent, mut turn) = (0, 0_usize);
    while sent < FLOOD {
        let len = SIZES[turn % SIZES.len()].min(FLOOD - sent);
        send(vec![turn as u8; len]);
        (sent, turn) = (sent + len, turn + 1);
    }
}

fn drink(mut receive: impl FnMut() -> Message) {
    let (mut received, mut turn) = (0, 0_usize);
    while received < FLOOD {
        let message = receive();
        assert!(message.as_bytes().iter().all(|byte| *byte == turn as u8));
        (received, turn) = (received + message.len(), turn + 1);
    }
    assert_eq!(received, FLOOD);
}

/// A socket of each side, of the blocking driver.
fn blocking_pair() -> [blocking::WebSocket<blocking::Stream>; 2] {
    let (ca, pair) = us();
    let server = blocking::Server::bind("127.0.0.1:0").unwrap();
    let server = server.tls(ServerTls::from_pem(&pair.chain, &pair.key).unwrap());
    let ws13::LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    let accepting = thread::spawn(move || server.accept().unwrap().1);
    let client = blocking::Client::new(&url(address)).unwrap().tls(trusting(&ca)).connect().unwrap();
    [client, accepting.join().unwrap()]
}

#[test]
fn threads_flood_each_other_both_ways_at_once() {
    soon(|| {
        let sides = blocking_pair().map(|socket| {
            let (sender, mut receiver) = socket.split().unwrap();
            let sending = thread::spawn(move || flood(|message| sender.send(message).unwrap()));
            let receiving = thread::spawn(move || drink(|| receiver.receive().unwrap().unwrap()));
            [sending, receiving]
        });
        sides.into_iter().flatten().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn tasks_flood_each_other_both_ways_at_once() {
    let (ca, pair) = us();
    Runtime::new().unwrap().block_on(net::soon(async {
        let server = ws13::Server::bind("127.0.0.1:0").await.unwrap();
        let server = server.tls(ServerTls::from_pem(&pair.chain, &pair.key).unwrap());
        let ws13::LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
        let client = ws13::Client::new(&url(address)).unwrap().tls(trusting(&ca));
        let (dialled, accepted) = tokio::join!(client.connect(), server.accept());
        let mut tasks = Vec::new();
        for socket in [dialled.unwrap(), accepted.unwrap().1] {
            let (sender, mut receiver) = socket.split();
            tasks.push(tokio::spawn(async move {
                let (mut sent, mut turn) = (0, 0_usize);
                while sent < FLOOD {
                    let len = SIZES[turn % SIZES.len()].min(FLOOD - sent);
                    sender.send(vec![turn as u8; len]).await.unwrap();
                    (sent, turn) = (sent + len, turn + 1);
                }
                // Until both have received everything.
                std::future::pending().await
            }));
            tasks.push(tokio::spawn(async move {
                let mut received = 0;
                while received < FLOOD {
                    received += receiver.receive().await.unwrap().unwrap().len();
                }
                assert_eq!(received, FLOOD);
            }));
        }
        tasks.remove(3).await.unwrap();
        tasks.remove(1).await.unwrap();
    }));
}

#[test]
fn a_receiver_that_waits_does_not_make_a_sender_wait() {
    soon(|| {
        let [client, mut server] = blocking_pair();
        let (sender, mut receiver) = client.split().unwrap();
        let (told, heard) = mpsc::channel();
        let receiving = thread::spawn(move || {
            told.send(()).unwrap();
            receiver.receive().unwrap()
        });
        heard.recv().unwrap();
        // It is in `read` by now, and nothing will come.
        thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        for _ in 0..200 {
            sender.send("hi").unwrap();
            assert_eq!(server.receive().unwrap(), Some(Message::from("hi")));
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        server.send("bye").unwrap();
        assert_eq!(receiving.join().unwrap(), Some(Message::from("bye")));
    });
}

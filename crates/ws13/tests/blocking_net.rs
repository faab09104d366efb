//! The blocking client, server and peer over TCP and Unix sockets: handshakes, refusals, deadlines, stopping.
#![cfg(feature = "std")]

mod common;
#[path = "common/threads.rs"]
mod threads;

use common::{masked, plain};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use threads::{Script, soon, times};
use ws13::blocking::{Acceptor, Client, Duplex, Opening, Peer, Sender, Server, StopHandle, connect};
use ws13::handshake::server::Accept;
use ws13::handshake::{OriginPolicy, Reject, Reply};
use ws13::http::StatusCode;
use ws13::{AcceptError, CloseCode, ConnectError, Error, LocalAddr};

fn address(server: &Server) -> SocketAddr {
    match server.local_addr().unwrap() {
        LocalAddr::Tcp(address) => address,
        other => panic!("{other}"),
    }
}

/// A server that echoes, in a thread of its own.
fn echo(server: Server) -> (String, StopHandle, JoinHandle<std::io::Result<()>>) {
    let (url, stop) = (format!("ws://{}/", address(&server)), server.stop_handle());
    let serving = thread::spawn(move || {
        server.serve(|_, mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok::<(), Error>(())
        })
    });
    (url, stop, serving)
}

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Sends a request as it stands, and reads all of the answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_client_and_a_server_over_tcp() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (url, stop, serving) = echo(server.subprotocol("chat".parse().unwrap()));
        let mut plain = connect(&url).unwrap();
        assert_eq!(plain.subprotocol(), None);
        let client = Client::new(&url).unwrap().subprotocol("other").subprotocol("chat");
        let (mut socket, response) = client.connect_with_response().unwrap();
        assert_eq!((socket.subprotocol(), response.status.as_u16()), (Some("chat"), 101));
        for socket in [&mut plain, &mut socket] {
            socket.send("hi").unwrap();
            assert_eq!(socket.receive().unwrap(), Some("hi".into()));
        }
        socket.close(CloseCode::NORMAL, "").unwrap();
        let closing = thread::spawn(move || (plain.receive(), plain.closed()));
        stop.stop();
        serving.join().unwrap().unwrap();
        let (received, closed) = closing.join().unwrap();
        assert_eq!((received.unwrap(), closed.unwrap().code()), (None, 1001));
        assert!(stop.is_stopped());
        assert!(matches!(connect(&url), Err(ConnectError::Dial { .. })));
    });
}

#[cfg(unix)]
#[test]
fn a_client_and_a_server_over_a_unix_socket() {
    soon(|| {
        let path = std::env::temp_dir().join(format!("ws13-blocking-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let server = Server::bind_unix(&path).unwrap();
        assert_eq!(server.local_addr().unwrap(), LocalAddr::Unix(path.clone()));
        let stop = server.stop_handle();
        let serving = thread::spawn(move || {
            server.serve(|request, mut socket| {
                socket.send(request.path()).and_then(|()| socket.close(CloseCode::NORMAL, ""))
            })
        });
        let mut socket = Client::new("ws://localhost/over/unix").unwrap().over_unix(&path).connect().unwrap();
        assert_eq!(socket.receive().unwrap(), Some("/over/unix".into()));
        assert_eq!(socket.receive().unwrap(), None);
        stop.stop();
        serving.join().unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        let dialled = Client::new("ws://localhost/").unwrap().over_unix(&path).connect();
        assert!(matches!(dialled, Err(ConnectError::Dial { .. })));
    });
}

#[cfg(feature = "tokio")]
#[test]
fn both_drivers_understand_each_other() {
    soon(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // Ours dials theirs.
        let server = runtime.block_on(ws13::Server::bind("127.0.0.1:0")).unwrap();
        let url = format!("ws://{}/", server.local_addr().unwrap());
        runtime.spawn(server.serve(|_, mut socket| async move {
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok::<(), Error>(())
        }));
        let mut socket = connect(&url).unwrap();
        for len in [0, 1000, 1_000_000] {
            socket.send(vec![5; len]).unwrap();
            assert_eq!(socket.receive().unwrap(), Some(ws13::Message::from(vec![5; len])));
        }
        socket.close(CloseCode::NORMAL, "").unwrap();
        // Theirs dials ours.
        let (url, stop, serving) = echo(Server::bind("127.0.0.1:0").unwrap());
        runtime.block_on(async {
            let mut socket = ws13::connect(&url).await.unwrap();
            for len in [0, 1000, 1_000_000] {
                socket.send(vec![6; len]).await.unwrap();
                assert_eq!(socket.receive().await.unwrap(), Some(ws13::Message::from(vec![6; len])));
            }
            socket.close(CloseCode::NORMAL, "").await.unwrap();
        });
        stop.stop();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn a_server_decides_about_each_request() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0")
            .unwrap()
            .origins(OriginPolicy::any())
            .on_request(|request| match request.path() {
                "/chat" => Accept::new().header("X-Room", "9").map_err(|_| Reject::internal_error()),
                _ => Err(Reject::text(StatusCode::GONE, "no such room any more")),
            })
            .on_http(|request| Reply::text(StatusCode::OK, request.path()));
        let at = address(&server);
        let accepting = thread::spawn(move || server.accept());
        assert!(ask(at, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("\r\n\r\n/plain\n"));
        let refused = Client::new(&format!("ws://{at}/other")).unwrap().connect().unwrap_err();
        let response = refused.response().expect("it is the server's answer");
        assert_eq!((response.status.as_u16(), &response.body[..]), (410, &b"no such room any more\n"[..]));
        let (mut socket, response) =
            Client::new(&format!("ws://{at}/chat")).unwrap().connect_with_response().unwrap();
        assert_eq!(response.header("x-room"), Some("9"));
        let (request, mut accepted) = accepting.join().unwrap().unwrap();
        assert_eq!(request.path(), "/chat");
        accepted.send("welcome").unwrap();
        assert_eq!(socket.receive().unwrap(), Some("welcome".into()));
    });
}

#[test]
fn a_foreign_page_is_refused() {
    soon(|| {
        let (url, stop, serving) = echo(Server::bind("127.0.0.1:0").unwrap());
        let refused = Client::new(&url).unwrap().header("Origin", "https://evil.example").connect();
        assert_eq!(refused.unwrap_err().response().unwrap().status.as_u16(), 403);
        stop.stop();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    soon(|| {
        // The client's first frame, in one write with its request.
        let server = Server::bind("127.0.0.1:0").unwrap();
        let mut early = TcpStream::connect(address(&server)).unwrap();
        early.write_all(&[REQUEST.as_bytes(), &masked(0x81, b"early")].concat()).unwrap();
        let (_, mut socket) = server.accept().unwrap();
        assert_eq!(socket.receive().unwrap(), Some("early".into()));

        // The server's first frame, in one write with its answer.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let mut reading =
                ws13::handshake::server::ReadRequest::new(ws13::handshake::server::Options::default());
            match reading.receive(&request) {
                Ok(Some((ws13::handshake::server::Received::Upgrade(asked), _))) => {
                    let answer = asked.accept(Accept::new()).unwrap().response;
                    stream.write_all(&[&answer[..], &plain(0x81, b"first")].concat()).unwrap();
                }
                other => panic!("{other:?}"),
            }
            stream
        });
        let mut socket = connect(&url).unwrap();
        assert_eq!(socket.receive().unwrap(), Some("first".into()));
        answering.join().unwrap();
    });
}

#[test]
fn a_slow_handshake_ends_in_time() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap().handshake_timeout(Duration::from_millis(200));
        let (url, stop, serving) = echo(server);
        let mut slow = TcpStream::connect(url.trim_start_matches("ws://").trim_end_matches('/')).unwrap();
        let dripping = thread::spawn({
            let mut slow = slow.try_clone().unwrap();
            move || {
                // A byte now and then must not keep it alive.
                while slow.write_all(b"G").is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        });
        let began = Instant::now();
        let mut answer = [0; 12];
        slow.read_exact(&mut answer).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(5));
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
        drop(slow);
        dripping.join().unwrap();
        stop.stop();
        serving.join().unwrap().unwrap();

        // A server that accepts and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let began = Instant::now();
        let dialled = Client::new(&url).unwrap().timeout(Duration::from_millis(200)).connect();
        assert!(matches!(dialled, Err(ConnectError::Timeout(_))), "{dialled:?}");
        assert!(began.elapsed() >= Duration::from_millis(190) && began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn what_cannot_be_dialled_is_told() {
    soon(|| {
        assert!(matches!(connect("ftp://x/"), Err(ConnectError::Url(_))));
        #[cfg(not(feature = "tls"))]
        assert!(matches!(connect("wss://127.0.0.1:1/"), Err(ConnectError::NoTls)));
        assert!(matches!(connect("ws://127.0.0.1:1/"), Err(ConnectError::Dial { .. })));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
        let refused = Client::new(&url).unwrap().header("Bad\r\nName", "x").connect();
        assert!(matches!(refused, Err(ConnectError::Request(_))), "{refused:?}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nothing was dialled");
    });
}

#[test]
fn a_client_hangs_up_in_the_middle_of_its_request() {
    let stream = Script { incoming: REQUEST.as_bytes()[..50].to_vec().into(), ..Script::default() };
    assert!(matches!(Acceptor::new().read(stream), Err(AcceptError::Ended)));
    let stream = Script { incoming: REQUEST.as_bytes().to_vec().into(), ..Script::default() };
    match Acceptor::new().read(stream).unwrap() {
        Opening::Upgrade(asked) => {
            assert_eq!((asked.request().path(), asked.stream().written.len()), ("/chat", 0));
            let choice = asked.accept_with(Accept::new().subprotocol("other".parse().unwrap()));
            assert!(matches!(choice, Err(AcceptError::Choice(_))));
        }
        Opening::Plain(plain) => panic!("{plain:?}"),
    }
}

/// Handlers that wait, that send, and that have given their socket away: all are closed with 1001.
#[test]
fn a_stop_closes_every_connection() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap().config(times(0, 1000, 2000, 2000));
        let (url, stop) = (format!("ws://{}", address(&server)), server.stop_handle());
        let serving = thread::spawn(move || {
            server.serve(|request, mut socket| match request.path() {
                "/waits" => while let Ok(Some(_)) = socket.receive() {},
                "/sends" => {
                    while socket.send("again").is_ok() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                _ => {
                    let (_sender, mut receiver) = socket.split().unwrap();
                    thread::spawn(move || while let Ok(Some(_)) = receiver.receive() {}).join().unwrap();
                }
            })
        });
        let clients: Vec<_> = ["/waits", "/sends", "/gives"]
            .into_iter()
            .map(|path| {
                let mut socket = connect(&format!("{url}{path}")).unwrap();
                thread::spawn(move || {
                    while let Some(message) = socket.receive().unwrap() {
                        assert_eq!(message, "again".into());
                    }
                    socket.closed().unwrap().code()
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        stop.stop();
        serving.join().unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        for client in clients {
            assert_eq!(client.join().unwrap(), 1001);
        }
    });
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap().drain_timeout(Duration::from_millis(200));
        let at = address(&server);
        let (url, stop, serving) = echo(server);
        let deaf = connect(&url).unwrap();
        let silent = TcpStream::connect(at).unwrap();
        thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        stop.stop();
        serving.join().unwrap().unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(5), "{took:?}");
        drop((deaf, silent));
    });
}

#[test]
fn a_connection_ends_with_its_handler() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (url, stop) = (format!("ws://{}", address(&server)), server.stop_handle());
        let (kept, senders) = mpsc::channel::<Sender<_>>();
        let serving = thread::spawn(move || {
            server.serve(move |request, socket| match request.path() {
                "/drops" => drop(socket),
                "/keeps" => {
                    let (sender, _receiver) = socket.split().unwrap();
                    sender.send("welcome").unwrap();
                    kept.send(sender).unwrap();
                }
                _ => panic!("a handler that panics takes its connection along, and nothing else"),
            })
        });
        let mut drops = connect(&format!("{url}/drops")).unwrap();
        assert_eq!(drops.receive().unwrap(), None);
        assert_eq!(drops.closed().unwrap().code(), 1000);
        let mut keeps = connect(&format!("{url}/keeps")).unwrap();
        assert_eq!(keeps.receive().unwrap(), Some("welcome".into()));
        assert_eq!(keeps.receive().unwrap(), None);
        let sender = senders.recv().unwrap();
        assert!(sender.send("too late").is_err() && !sender.is_open());
        let mut panics = connect(&format!("{url}/panics")).unwrap();
        assert!(panics.receive().is_err());
        stop.stop();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn a_stopped_server_accepts_no_more() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let stop = server.stop_handle();
        let accepting = thread::spawn(move || server.accept().map(drop));
        thread::sleep(Duration::from_millis(50));
        stop.stop();
        assert!(accepting.join().unwrap().is_err());
    });
}

#[test]
fn peers_dial_and_accept() {
    soon(|| {
        let one = Peer::bind("127.0.0.1:0").unwrap();
        let two = Peer::bind("127.0.0.1:0").unwrap();
        let mut a = two.dial(&format!("ws://{}/", one.local_addr())).unwrap();
        let mut b = one.accept().unwrap();
        let mut c = one.dial(&format!("ws://{}/", two.local_addr())).unwrap();
        let mut d = two.accept().unwrap();
        for (from, to) in [(&mut a, &mut b), (&mut c, &mut d)] {
            from.send("hi").unwrap();
            assert_eq!(to.receive().unwrap(), Some("hi".into()));
            to.send("ho").unwrap();
            assert_eq!(from.receive().unwrap(), Some("ho".into()));
        }
        let address = one.local_addr().clone();
        drop(one);
        // The listening thread ends soon.
        let began = Instant::now();
        while connect(&format!("ws://{address}/")).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        a.send("still there").unwrap();
        assert_eq!(b.receive().unwrap(), Some("still there".into()));
    });
}

#[test]
fn a_chat_by_senders_of_all_connections() {
    use std::sync::{Arc, Mutex};
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (url, stop) = (format!("ws://{}/", address(&server)), server.stop_handle());
        let room = Arc::new(Mutex::new(Vec::<Sender<ws13::blocking::Stream>>::new()));
        let serving = thread::spawn(move || {
            server.serve(move |_, socket| {
                let (sender, mut receiver) = socket.split().unwrap();
                sender.try_send("welcome").unwrap();
                room.lock().unwrap().push(sender);
                while let Ok(Some(message)) = receiver.receive() {
                    room.lock().unwrap().retain(|other| other.try_send(&message).is_ok());
                }
            })
        });
        let mut members: Vec<_> = (0..5).map(|_| connect(&url).unwrap()).collect();
        for member in &mut members {
            assert_eq!(member.receive().unwrap(), Some("welcome".into()));
        }
        // A member is in the room only after its welcome; a message of its own comes back when it is.
        for member in &mut members {
            member.send("joined").unwrap();
        }
        for member in &mut members {
            assert_eq!(member.receive().unwrap(), Some("joined".into()));
        }
        let waiting: Vec<_> = members
            .into_iter()
            .map(|mut member| {
                thread::spawn(move || {
                    while member.receive().unwrap().is_some() {}
                    member.closed().unwrap().code()
                })
            })
            .collect();
        stop.stop();
        serving.join().unwrap().unwrap();
        for member in waiting {
            assert_eq!(member.join().unwrap(), 1001);
        }
    });
}

#[test]
fn clones_of_a_stream_are_one_stream() {
    soon(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let at = address(&server);
        let _client = thread::spawn(move || connect(&format!("ws://{at}/")));
        let (_, socket) = server.accept().unwrap();
        let (sender, receiver) = socket.split().unwrap();
        drop(receiver);
        sender.send("the receiver is gone").unwrap();
        fn is_duplex<S: Duplex + Clone + Send>() {}
        is_duplex::<ws13::blocking::Stream>();
    });
}

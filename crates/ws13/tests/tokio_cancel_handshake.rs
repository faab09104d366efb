//! Cancel safety of what opens connections: dropped at each await, an attempt is gone, and its stream has ended.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/tls.rs"]
mod tls;

use certificates::Ca;
use net::{Trickle, polled, request, soon};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use ws13::handshake::{Reject, Reply};
use ws13::http::StatusCode;
use ws13::proxy::Proxy;
use ws13::tls::ServerTls;
use ws13::{Acceptor, Client, LocalAddr, Opening, Peer, Stream, WebSocket};

async fn opening(stream: Trickle<DuplexStream>) -> Opening<Trickle<DuplexStream>> {
    Acceptor::new().read(stream).await.unwrap()
}

/// What a client reads of an answer whose future is dropped after so many polls; whether it was done.
async fn answer_of(asks: &str, polls: usize) -> (Vec<u8>, bool) {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    far.write_all(asks.as_bytes()).await.unwrap();
    far.shutdown().await.unwrap();
    let answering = async {
        match opening(Trickle::new(near)).await {
            Opening::Upgrade(asked) => asked.reject(Reject::new(StatusCode::FORBIDDEN)).await,
            Opening::Plain(plain) => plain.reply(Reply::text(StatusCode::OK, "here you are")).await,
        }
    };
    let done = polled(polls, answering).await.map(Result::unwrap).is_some();
    let mut answer = Vec::new();
    soon(far.read_to_end(&mut answer)).await.unwrap();
    (answer, done)
}

#[tokio::test]
async fn reject_and_reply() {
    let address = "127.0.0.1:1".parse().unwrap();
    for (asks, status) in
        [(request(address, ""), "403"), ("GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n".to_owned(), "200")]
    {
        let mut answers = Vec::new();
        loop {
            let polls = answers.len() * (1 + answers.len() / 8);
            let (answer, done) = answer_of(&asks, polls).await;
            answers.push(answer);
            if done {
                break;
            }
        }
        let whole = answers.last().unwrap();
        assert!(whole.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{answers:?}");
        assert!(answers.iter().all(|answer| whole.starts_with(answer)), "{answers:?}");
        assert!(answers.iter().any(|answer| !answer.is_empty() && answer.len() < whole.len()));
    }
}

/// Something in between that counts the connections that are open.
struct Between {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
}

impl Between {
    /// Passes connections on to a server; a proxy answers CONNECT before.
    async fn start(server: SocketAddr, is_proxy: bool) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let open = Arc::clone(&counter);
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    // However it ends, it has ended.
                    let _ = pass(&mut near, server, is_proxy).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Between { address, open }
    }

    async fn until_open(&self, count: usize) {
        let waiting = async {
            while self.open.load(Ordering::SeqCst) != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(waiting).await;
    }
}

async fn pass(near: &mut TcpStream, server: SocketAddr, is_proxy: bool) -> std::io::Result<()> {
    if is_proxy {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(near.read_u8().await?);
        }
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    let mut far = TcpStream::connect(server).await?;
    copy_bidirectional(near, &mut far).await.map(drop)
}

async fn echoes(socket: &mut WebSocket<Stream>) {
    soon(socket.send("hi")).await.unwrap();
    assert_eq!(soon(socket.receive()).await.unwrap().unwrap().as_text(), Some("hi"));
}

#[tokio::test]
async fn connect_over_tls_and_through_a_proxy() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    let encrypted = tls::serve(ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await;
    for (is_encrypted, is_proxy) in [(true, false), (false, true), (true, true)] {
        let server = if is_encrypted { encrypted } else { tls::serve_plain().await };
        let between = Between::start(server, is_proxy).await;
        let port = if is_proxy { server.port() } else { between.address.port() };
        let url = format!("{}://localhost:{port}/", if is_encrypted { "wss" } else { "ws" });
        let mut polls = 0;
        let mut socket = loop {
            let mut client = Client::new(&url).unwrap().tls(tls::trusting(&ca));
            if is_proxy {
                client = client.proxy(Proxy::new(&format!("http://{}", between.address)).unwrap());
            }
            if let Some(connected) = soon(polled(polls, client.connect())).await {
                break connected.unwrap();
            }
            polls += 1;
        };
        echoes(&mut socket).await;
        assert!(polls > 3, "{polls}");
        // All that were begun before have ended.
        between.until_open(1).await;
    }
}

#[tokio::test]
async fn accept_and_dial_of_a_peer() {
    let mut peer = Peer::bind("127.0.0.1:0").await.unwrap();
    let LocalAddr::Tcp(address) = *peer.local_addr() else { panic!("it is TCP") };
    let between = Between::start(address, false).await;
    // Who has called is not lost with the future that would have taken the call.
    tokio::spawn(async move {
        loop {
            let Some(accepted) = polled(1, peer.accept()).await else { continue };
            tokio::spawn(tls::echo_all(accepted.unwrap()));
        }
    });
    let other = Peer::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", between.address);
    let mut polls = 0;
    let mut dialled = loop {
        match soon(polled(polls, other.dial(&url))).await {
            None => polls += 1,
            Some(dialled) => break dialled.unwrap(),
        }
    };
    assert!(polls > 1, "{polls}");
    echoes(&mut dialled).await;
    between.until_open(1).await;
}

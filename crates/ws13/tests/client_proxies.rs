//! Proxies over real sockets, by both drivers: tunnels, bytes that come early, answers of every kind.
#![cfg(feature = "tokio")]

#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Scripted, both_failed, by_each_driver, dead, field, pipe, say};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use ws13::proxy::{Proxies, Proxy, ProxyError};
use ws13::{ConnectError, Phase};

/// A proxy that opens tunnels by CONNECT.
fn connecting() -> Scripted {
    Scripted::start(|head, stream| {
        let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
        match TcpStream::connect(to.replace("example.test", "127.0.0.1")) {
            Ok(server) => {
                say(stream, "HTTP/1.0 200 Connection established\r\n\r\n");
                pipe(stream, server);
            }
            Err(_) => say(stream, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        }
    })
}

fn http(proxy: &Scripted) -> Proxy {
    Proxy::new(&format!("http://me:p%20w@{}", proxy.address)).unwrap()
}

#[test]
fn ws_goes_through_a_tunnel_by_name() {
    let (proxy, server) = (connecting(), Scripted::opening());
    let url = format!("ws://example.test:{}/chat", server.address.port());
    for result in by_each_driver!(url, |client| client.proxy(http(&proxy))) {
        result.unwrap();
    }
    let target = format!("example.test:{}", server.address.port());
    for head in proxy.heads() {
        assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n")), "{head}");
        assert_eq!(field(&head, "proxy-authorization"), Some("Basic bWU6cCB3"));
    }
    for head in server.heads() {
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
        assert_eq!(
            (field(&head, "host"), field(&head, "proxy-authorization")),
            (Some(target.as_str()), None)
        );
    }
}

#[tokio::test]
async fn a_peer_dials_through_a_tunnel_too() {
    let (proxy, server) = (connecting(), Scripted::opening());
    let url = format!("ws://example.test:{}/chat", server.address.port());
    let peer = ws13::Peer::bind("127.0.0.1:0").await.unwrap();
    peer.client(&url).unwrap().proxy(http(&proxy)).connect().await.unwrap();
    let peer = ws13::blocking::Peer::bind("127.0.0.1:0").unwrap();
    peer.client(&url).unwrap().proxy(http(&proxy)).connect().unwrap();
    assert_eq!((proxy.heads().len(), server.heads().len()), (2, 2));
}

#[test]
fn exceptions_are_reached_directly() {
    let (proxy, server) = (connecting(), Scripted::opening());
    let proxies = Proxies::all(http(&proxy)).except("127.0.0.0/8");
    for result in by_each_driver!(server.url("/"), |client| client.proxies(proxies.clone())) {
        result.unwrap();
    }
    assert_eq!((proxy.heads().len(), server.heads().len()), (0, 2));
}

#[test]
fn each_redirect_has_its_own_way() {
    let (proxy, direct) = (connecting(), Scripted::opening());
    let to = format!("ws://127.0.0.1:{}/", direct.address.port());
    let server = Scripted::start(move |_, stream| {
        say(stream, &format!("HTTP/1.1 307 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
    });
    let proxies = Proxies::all(http(&proxy)).except("127.0.0.1");
    let url = format!("ws://example.test:{}/", server.address.port());
    for result in by_each_driver!(url, |client| client.proxies(proxies.clone()).redirects(1)) {
        result.unwrap();
    }
    assert_eq!((proxy.heads().len(), direct.heads().len()), (2, 2));
}

#[test]
fn bytes_that_come_early_through_a_tunnel_are_delivered() {
    // In one segment with the proxy's answer, before the server was asked anything.
    let proxy = Scripted::saying(
        "HTTP/1.1 200 OK\r\nX: y\r\n\r\nHTTP/1.1 503 Early\r\nContent-Length: 5\r\n\r\nearly",
    );
    for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(http(&proxy)))) {
        let response = error.response().unwrap_or_else(|| panic!("{error}"));
        assert_eq!((response.status.as_u16(), &*response.text()), (503, "early"));
    }
}

#[test]
fn a_proxy_that_refuses_is_explained() {
    for (answer, told) in [
        (
            "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
            "does not accept",
        ),
        ("HTTP/1.1 403 x\r\n\r\n", "403 Forbidden"),
        ("HTTP/1.1 200 OK\r\n<html>\r\n\r\n", "no HTTP response"),
        ("SSH-2.0-x\r\n\r\n", "no HTTP response"),
    ] {
        let proxy = Scripted::saying(answer);
        for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(http(&proxy)))) {
            assert!(matches!(&error, ConnectError::Proxy { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(told) && text.contains(&format!("http://{}", proxy.address)), "{text}");
            assert!(!text.contains("p w") && !text.contains("p%20w"), "{text}");
        }
    }
    let ending = Scripted::start(|_, stream| stream.shutdown(std::net::Shutdown::Both).unwrap());
    for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(http(&ending)))) {
        assert!(matches!(&error, ConnectError::Proxy { error: ProxyError::Ended, .. }), "{error}");
    }
    let gone = Proxy::new(&format!("http://{}", dead())).unwrap();
    for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(gone.clone()))) {
        assert!(matches!(&error, ConnectError::Dial { to, .. } if *to == gone.to_string()[7..]), "{error}");
    }
}

#[test]
fn a_proxy_with_an_endless_head_or_none_is_left() {
    let endless = Scripted::start(|_, stream| {
        say(stream, "HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(http(&endless)))) {
        assert!(matches!(&error, ConnectError::Proxy { error: ProxyError::Head(_), .. }), "{error}");
    }
    let silent = Scripted::start(|_, _| std::thread::sleep(Duration::from_secs(2)));
    for error in both_failed(by_each_driver!("ws://example.test/", |client| {
        client.proxy(http(&silent)).timeout(Duration::from_millis(300))
    })) {
        assert!(matches!(&error, ConnectError::Timeout(late) if late.phase == Phase::Proxy), "{error}");
        assert!(error.to_string().contains("the proxy did not open a tunnel"), "{error}");
    }
}

/// A SOCKS5 proxy that wants `me` and `pw` where `user` is set, answers `code`, and keeps what it was asked for.
fn socks(user: bool, code: u8) -> (SocketAddr, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, (told, asked)) = (listener.local_addr().unwrap(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || serve_socks(&mut stream, user, code, &told));
        }
    });
    (address, asked)
}

fn serve_socks(
    stream: &mut TcpStream,
    user: bool,
    code: u8,
    told: &std::sync::mpsc::Sender<Vec<u8>>,
) -> Option<()> {
    let read = |stream: &mut TcpStream, len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let methods = read(stream, 2)?[1].into();
    let offered = read(stream, methods)?;
    let method = if user { 2 } else { 0 };
    if !offered.contains(&method) {
        return stream.write_all(&[5, 0xff]).ok();
    }
    stream.write_all(&[5, method]).ok()?;
    if user {
        assert_eq!(read(stream, 7)?, b"\x01\x02me\x02pw");
        stream.write_all(&[1, 0]).ok()?;
    }
    let head = read(stream, 5)?;
    let rest = match head[3] {
        1 => read(stream, 5)?,
        3 => read(stream, usize::from(head[4]) + 2)?,
        _ => read(stream, 17)?,
    };
    let asked = [head, rest].concat();
    told.send(asked.clone()).unwrap();
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    if code == 0 {
        let port = u16::from_be_bytes([asked[asked.len() - 2], asked[asked.len() - 1]]);
        pipe(stream, TcpStream::connect(("127.0.0.1", port)).unwrap());
    }
    Some(())
}

#[test]
fn socks5_with_and_without_a_user() {
    let server = Scripted::opening();
    for user in [false, true] {
        let (address, asked) = socks(user, 0);
        let named = Proxy::new(&format!("socks5h://me:pw@{address}")).unwrap();
        let url = format!("ws://example.test:{}/", server.address.port());
        for result in by_each_driver!(url, |client| client.proxy(named.clone())) {
            result.unwrap();
            assert_eq!(asked.recv().unwrap()[3..17], *b"\x03\x0cexample.test");
        }
        let local = Proxy::new(&format!("socks5://me:pw@{address}")).unwrap();
        let url = format!("ws://localhost:{}/", server.address.port());
        for result in by_each_driver!(url, |client| client.proxy(local.clone())) {
            result.unwrap();
            assert!([1, 4].contains(&asked.recv().unwrap()[3]), "an address, no name");
        }
    }
    let (address, _asked) = socks(true, 0);
    let nobody = Proxy::new(&format!("socks5h://{address}")).unwrap();
    for error in both_failed(by_each_driver!("ws://example.test/", |client| client.proxy(nobody.clone()))) {
        assert!(error.to_string().contains("wants a user name and a password"), "{error}");
    }
}

#[test]
fn socks5_tries_each_address_that_it_resolved() {
    let (address, asked) = socks(false, 5);
    let local = Proxy::new(&format!("socks5://{address}")).unwrap();
    let found = || vec![SocketAddr::from(([127, 0, 0, 8], 80)), SocketAddr::from(([127, 0, 0, 9], 80))];
    let client = ws13::Client::new("ws://example.test/").unwrap().proxy(local.clone());
    let tokio =
        scripted::runtime().block_on(client.resolver(move |_, _| async move { Ok(found()) }).connect());
    let client = ws13::blocking::Client::new("ws://example.test/").unwrap().proxy(local);
    let blocking = client.resolver(move |_, _| Ok(found())).connect();
    for error in [tokio.map(drop).unwrap_err(), blocking.map(drop).unwrap_err()] {
        assert!(error.to_string().contains("the server refused its connection"), "{error}");
        let tried: Vec<_> = (0..2).map(|_| asked.recv().unwrap()[7]).collect();
        assert_eq!(tried, [8, 9]);
    }
}

#[test]
fn a_tunnel_carries_messages_both_ways() {
    let proxy = connecting();
    let runtime = scripted::runtime();
    runtime.block_on(async {
        let server = ws13::Server::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", server.local_addr().unwrap());
        let serving = tokio::spawn(server.serve(|_, mut socket| async move {
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok::<(), ws13::Error>(())
        }));
        let mut socket = ws13::Client::new(&url).unwrap().proxy(http(&proxy)).connect().await.unwrap();
        for size in [0, 1, 70_000, 900_000] {
            let sent = vec![7; size];
            socket.send(sent.as_slice()).await.unwrap();
            assert_eq!(socket.receive().await.unwrap().unwrap().as_bytes(), sent);
        }
        socket.close(ws13::CloseCode::NORMAL, "").await.unwrap();
        serving.abort();
    });
}

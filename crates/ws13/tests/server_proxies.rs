//! Who the client is when proxies pass its connection on: the PROXY protocol and forwarded headers, with both drivers.
#![cfg(feature = "tokio")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use ws13::handshake::{Proxies, Request, Trusted};
use ws13::{LocalAddr, Metrics};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server of either driver, whose handlers tell who is there.
struct Running {
    address: SocketAddr,
    metrics: Metrics,
    /// Ends it when dropped.
    _runtime: Option<tokio::runtime::Runtime>,
}

fn described(request: &Request) -> String {
    let info = request.connect_info();
    let addresses = [info.client(), info.socket_peer()].map(|address| match address {
        // A port of the system's choice.
        Some(address) if address.ip().is_loopback() && address.port() > 1024 => format!("{}", address.ip()),
        Some(address) => address.to_string(),
        None => "-".to_owned(),
    });
    assert_eq!(request.peer_addr(), info.client());
    assert!(info.local_addr().is_some_and(|local| local.port() > 0));
    let host = request.host().map_or("-", |host| host.as_str());
    format!("{} via {} secure={} host={host}", addresses[0], addresses[1], info.is_secure())
}

macro_rules! on_both {
    ($proxies:expr, $per_address:expr) => {
        [asynchronous($proxies, $per_address), blocking($proxies, $per_address)]
    };
}

fn asynchronous(proxies: Proxies, per_address: usize) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(ws13::Server::bind("127.0.0.1:0")).unwrap();
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
    let server =
        server.behind(proxies).max_per_address(per_address).handshake_timeout(Duration::from_secs(2));
    let metrics = server.metrics();
    runtime.spawn(server.serve(|request, mut socket| async move {
        socket.send(described(&request)).await?;
        socket.receive().await
    }));
    Running { address, metrics, _runtime: Some(runtime) }
}

fn blocking(proxies: Proxies, per_address: usize) -> Running {
    let server = ws13::blocking::Server::bind("127.0.0.1:0").unwrap();
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
    let server =
        server.behind(proxies).max_per_address(per_address).handshake_timeout(Duration::from_secs(2));
    let metrics = server.metrics();
    std::thread::spawn(move || {
        server.serve(|request, mut socket| {
            socket.send(described(&request))?;
            socket.receive()
        })
    });
    Running { address, metrics, _runtime: None }
}

impl Running {
    fn dial(&self, before: &[u8], headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: own\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        // When it is refused at its first byte, the rest is not taken.
        let _ = stream.write_all(&[before, request.as_bytes()].concat());
        stream
    }

    /// What the handler says of the client; or the status of the refusal, 0 when there is no answer at all.
    fn ask(&self, before: &[u8], headers: &str) -> Result<(String, TcpStream), u16> {
        let mut stream = self.dial(before, headers);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return Err(0),
            }
        }
        let status = std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap();
        if status != 101 {
            return Err(status);
        }
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        let mut text = vec![0; usize::from(header[1])];
        stream.read_exact(&mut text).unwrap();
        Ok((String::from_utf8(text).unwrap(), stream))
    }

    fn told(&self, before: &[u8], headers: &str) -> String {
        self.ask(before, headers).unwrap_or_else(|status| panic!("{status}")).0
    }
}

fn loopback() -> Trusted {
    Trusted::networks(["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()])
}

/// Version 2, TCP over IPv4, from 192.0.2.1 port 7, with these fields.
fn v2(fields: &[u8]) -> Vec<u8> {
    let len = u16::try_from(12 + fields.len()).unwrap().to_be_bytes();
    let addresses = [192, 0, 2, 1, 198, 51, 100, 7, 0, 7, 1, 187];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &len[..], &addresses, fields].concat()
}

#[test]
fn the_proxy_protocol_tells_the_client() {
    for running in on_both!(Proxies::trusted(loopback()).proxy_protocol(), 9) {
        let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 7 443\r\n";
        assert_eq!(running.told(v1, ""), "192.0.2.1:7 via 127.0.0.1 secure=false host=own");
        let v6 = b"PROXY TCP6 2001:db8::1 ::1 7 443\r\n";
        assert_eq!(running.told(v6, ""), "[2001:db8::1]:7 via 127.0.0.1 secure=false host=own");
        assert_eq!(running.told(&v2(&[]), ""), "192.0.2.1:7 via 127.0.0.1 secure=false host=own");
        // An unknown field, and one that tells of TLS.
        let fields = [0xe0, 0, 1, 9, 0x20, 0, 5, 1, 0, 0, 0, 0];
        assert_eq!(running.told(&v2(&fields), ""), "192.0.2.1:7 via 127.0.0.1 secure=true host=own");
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(running.told(local, ""), "127.0.0.1 via 127.0.0.1 secure=false host=own");
        // It has its own word about the origin: the client came by TLS.
        let origin = "Origin: https://own\r\n";
        assert_eq!(running.ask(&v2(&fields), origin).map(drop), Ok(()));
        assert_eq!(running.ask(&v2(&[]), origin).map(drop), Err(403));
    }
}

#[test]
fn a_trusted_proxy_without_a_good_header_is_refused_before_a_request_is_read() {
    for running in on_both!(Proxies::trusted(loopback()).proxy_protocol(), 9) {
        for before in [
            &b""[..],
            b"PROXY TCP4 192.0.2.1\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x00",
            b"\x16\x03\x01",
        ] {
            assert_eq!(running.ask(before, "").map(drop), Err(0), "{before:?}");
        }
        let start = std::time::Instant::now();
        while running.metrics.snapshot().refused.get("proxy") != Some(&5) {
            assert!(start.elapsed() < PATIENCE, "{:?}", running.metrics);
            std::thread::sleep(Duration::from_millis(5));
        }
        // One that says nothing is not waited for beyond the deadline of the handshake.
        let mut silent = TcpStream::connect(running.address).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        silent.write_all(b"PRO").unwrap();
        assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_header_of_the_proxy_protocol_may_come_byte_by_byte() {
    for running in on_both!(Proxies::trusted(loopback()).proxy_protocol(), 9) {
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in v2(&[0xe0, 0, 1, 9]) {
            stream.write_all(&[byte]).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHost: own\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    }
}

#[test]
fn who_is_not_trusted_is_not_believed() {
    let others = Trusted::networks(["10.0.0.0/8".parse().unwrap()]);
    for running in on_both!(Proxies::trusted(others.clone()).proxy_protocol().x_forwarded(), 9) {
        let told = running.told(b"", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n");
        assert_eq!(told, "127.0.0.1 via 127.0.0.1 secure=false host=own");
        let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 7 443\r\n";
        assert_eq!(running.ask(v1, "").map(drop), Err(400));
    }
}

#[test]
fn forwarded_headers_tell_client_scheme_and_host() {
    let headers = "Forwarded: for=6.6.6.6, for=192.0.2.1;proto=https;host=outside, for=10.0.0.2\r\n\
                   X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: evil\r\nOrigin: https://outside\r\n";
    for running in on_both!(Proxies::trusted(loopback()).forwarded(), 9) {
        assert_eq!(running.told(b"", headers), "192.0.2.1:0 via 127.0.0.1 secure=true host=outside");
    }
    for running in on_both!(Proxies::trusted(loopback()).x_forwarded(), 9) {
        let headers = "X-Forwarded-For: 192.0.2.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                       Forwarded: for=6.6.6.6\r\nOrigin: https://own\r\n";
        assert_eq!(running.told(b"", headers), "192.0.2.9:0 via 127.0.0.1 secure=true host=own");
    }
}

#[test]
fn the_limit_for_an_address_is_the_clients() {
    for running in on_both!(Proxies::trusted(loopback()).x_forwarded(), 2) {
        let mut held = Vec::new();
        for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"] {
            held.push(running.ask(b"", &format!("X-Forwarded-For: {client}\r\n")).unwrap());
        }
        for client in ["192.0.2.1", "2001:db8::3"] {
            let third = running.ask(b"", &format!("X-Forwarded-For: {client}\r\n"));
            assert_eq!(third.map(drop), Err(503), "{client}");
        }
        assert_eq!(running.metrics.snapshot().refused.get("address"), Some(&2));
    }
}

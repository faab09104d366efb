//! wss:// through proxies, proxies that are reached by TLS themselves, and redirects to wss:// and from it; by both
//! drivers.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/tls.rs"]
mod tls;

use certificates::{Ca, Pair};
use net::soon;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use tls::{serve, serve_blocking, serve_plain, trusting};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use ws13::handshake::server::Accept;
use ws13::handshake::{Proxies, Reply, Request, Trusted};
use ws13::http::StatusCode;
use ws13::proxy::Proxy;
use ws13::tls::{ClientTls, ServerTls, TlsError};
use ws13::{Client, CloseCode, ConnectError, LocalAddr, Server, blocking};

/// A message that needs many records, each way at once.
const LARGE: usize = 500_000;

/// Connects by each driver with the same calls on its `Client`, and has messages echoed.
macro_rules! by_each_driver {
    ($url:expr, |$client:ident| $build:expr) => {{
        let url = String::from($url);
        let one = {
            let $client = ws13::Client::new(&url).unwrap();
            soon(talk($build)).await
        };
        let $client = blocking::Client::new(&url).unwrap();
        let client = $build;
        let two = soon(tokio::task::spawn_blocking(move || talk_blocking(client))).await.unwrap();
        [one, two]
    }};
}

async fn talk(client: ws13::Client) -> Result<(), ConnectError> {
    let mut socket = client.connect().await?;
    for size in [0, 1, LARGE] {
        let sent = vec![7; size];
        socket.send(&sent[..]).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().as_bytes(), sent);
    }
    socket.close(CloseCode::NORMAL, "").await.unwrap();
    Ok(())
}

fn talk_blocking(client: blocking::Client) -> Result<(), ConnectError> {
    let mut socket = client.connect()?;
    for size in [0, 1, LARGE] {
        let sent = vec![7; size];
        socket.send(&sent[..]).unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().as_bytes(), sent);
    }
    // Both directions at once, by two threads.
    let (sender, mut receiver) = socket.split().unwrap();
    let sending = std::thread::spawn(move || {
        for _ in 0..4 {
            sender.send(&vec![1; LARGE][..]).unwrap();
        }
        sender.close(CloseCode::NORMAL, "").unwrap();
    });
    let mut received = 0;
    while let Some(message) = receiver.receive().unwrap() {
        received += message.len();
    }
    sending.join().unwrap();
    assert_eq!(received, 4 * LARGE);
    Ok(())
}

/// A proxy that opens tunnels by CONNECT to ports of this machine, behind TLS where it has a certificate.
async fn proxy(pair: Option<Pair>) -> SocketAddr {
    let acceptor = pair.map(|pair| TlsAcceptor::from(Arc::new(config(&pair))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => tunnel(stream).await,
                    Some(acceptor) => {
                        // A client that does not trust it ends it.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            tunnel(stream).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn tunnel(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("\r\nProxy-Authorization: Basic bWU6cHc=\r\n"), "{head}");
    let port = head.split(' ').nth(1).unwrap().rsplit(':').next().unwrap().to_owned();
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}

fn config(pair: &Pair) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn named(scheme: &str, address: SocketAddr) -> Proxy {
    Proxy::new(&format!("{scheme}://me:pw@localhost:{}", address.port())).unwrap()
}

fn server_tls(ca: &Ca) -> ServerTls {
    let pair = ca.issue(&["server.test"]);
    ServerTls::from_pem(pair.chain, pair.key).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wss_goes_through_http_and_https_proxies() {
    let (ca, proxy_ca) = (Ca::new("the server's"), Ca::new("the proxy's"));
    let servers = [serve(server_tls(&ca)).await, serve_blocking(server_tls(&ca))];
    let (tls, proxy_tls) = (trusting(&ca), trusting(&proxy_ca));
    let plain = named("http", proxy(None).await);
    let secure = named("https", proxy(Some(proxy_ca.issue(&["localhost"]))).await);
    for server in servers {
        // Only the proxy knows this name.
        let url = format!("wss://server.test:{}/", server.port());
        for proxy in [&plain, &secure] {
            let outcomes = by_each_driver!(&*url, |client| {
                client.tls(tls.clone()).proxy_tls(proxy_tls.clone()).proxy(proxy.clone())
            });
            for outcome in outcomes {
                outcome.unwrap_or_else(|error| panic!("{proxy}: {error}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_goes_through_an_https_proxy() {
    let proxy_ca = Ca::new("the proxy's");
    let (server, tls) = (serve_plain().await, trusting(&proxy_ca));
    let proxy = named("https", proxy(Some(proxy_ca.issue(&["localhost"]))).await);
    let url = format!("ws://server.test:{}/", server.port());
    for outcome in by_each_driver!(&*url, |client| client.proxy_tls(tls.clone()).proxy(proxy.clone())) {
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_is_named_the_proxy_or_the_server() {
    let (ca, other) = (Ca::new("one"), Ca::new("another"));
    let server = serve(server_tls(&ca)).await;
    let address = proxy(Some(ca.issue(&["localhost"]))).await;
    let (proxy, good, bad) = (named("https", address), trusting(&ca), trusting(&other));
    let url = format!("wss://server.test:{}/", server.port());
    let of_proxy = by_each_driver!(&*url, |client| {
        client.tls(good.clone()).proxy_tls(bad.clone()).proxy(proxy.clone())
    });
    for outcome in of_proxy {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, ConnectError::ProxyTls { error: TlsError::UnknownIssuer, .. }), "{error}");
        assert!(error.to_string().contains(&format!("https://localhost:{}", address.port())), "{error}");
        assert!(!error.is_temporary());
    }
    let of_server = by_each_driver!(&*url, |client| {
        client.tls(bad.clone()).proxy_tls(good.clone()).proxy(proxy.clone())
    });
    for outcome in of_server {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, ConnectError::Tls(TlsError::UnknownIssuer)), "{error}");
    }
    // The name in the proxy's certificate counts, too.
    let by_address = Proxy::new(&format!("https://me:pw@{address}")).unwrap();
    for outcome in by_each_driver!(&*url, |client| client.proxy_tls(good.clone()).proxy(by_address.clone())) {
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, ConnectError::ProxyTls { error: TlsError::WrongName { .. }, .. }),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_leads_from_ws_to_wss() {
    let ca = Ca::new("the server's");
    let pair = ca.issue(&["localhost"]);
    let secure = serve(ServerTls::from_pem(pair.chain, pair.key).unwrap()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    let to = format!("https://localhost:{}/there", secure.port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!("HTTP/1.1 308 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    let tls = trusting(&ca);
    for outcome in by_each_driver!(format!("ws://{plain}/"), |client| client.tls(tls.clone()).redirects(1)) {
        outcome.unwrap();
    }
}

/// Redirects a request for `/to/LOCATION` there; otherwise tells how many certificates the client showed.
async fn counts_certificates(tls: ServerTls) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0").await.unwrap().tls(tls);
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    let server = server.on_request(|request| match request.path().strip_prefix("/to/") {
        Some(to) => Err(Reply::new(StatusCode::FOUND).header("Location", to).unwrap()),
        None => Ok(Accept::new()),
    });
    tokio::spawn(server.serve(|_, mut socket| async move {
        let shown = socket.tls().unwrap().peer_certificates.len();
        socket.send(shown.to_string()).await
    }));
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_not_shown_to_another_origin_after_a_redirect() {
    let ca = Ca::new("of both sides");
    let (pair, mine) = (ca.issue(&["localhost"]), ca.issue(&["me"]));
    let tls = ServerTls::builder_pem(pair.chain, pair.key).unwrap().client_roots_pem(&ca.pem).unwrap();
    let tls = tls.client_certificate_optional().build().unwrap();
    // The same name and the same tickets: only the port differs.
    let (one, other) = (counts_certificates(tls.clone()).await, counts_certificates(tls).await);
    let showing = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let showing = showing.certificate_pem(mine.chain, mine.key).unwrap().build().unwrap();
    let url = |server: SocketAddr, path: &str| format!("wss://localhost:{}{path}", server.port());
    for (path, shown) in [
        ("/".to_owned(), "1"),
        ("/to//here".to_owned(), "1"),
        (format!("/to/{}", url(other, "/")), "0"),
        // There and back again.
        (format!("/to/{}", url(other, &format!("/to/{}", url(one, "/")))), "0"),
        ("/".to_owned(), "1"),
    ] {
        let url = url(one, &path);
        let client = Client::new(&url).unwrap().tls(showing.clone()).redirects(2);
        let mut socket = soon(client.connect()).await.unwrap();
        assert_eq!(soon(socket.receive()).await.unwrap(), Some(shown.into()), "{url}");
        let client = blocking::Client::new(&url).unwrap().tls(showing.clone()).redirects(2);
        let told = tokio::task::spawn_blocking(move || client.connect().unwrap().receive().unwrap());
        assert_eq!(soon(told).await.unwrap(), Some(shown.into()), "{url}, blocking");
    }
}

/// What haproxy does by `send-proxy` in front of a server that ends TLS: its header, and then the client's bytes.
async fn before_tls(server: SocketAddr, header: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                server.write_all(header).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_the_proxy_protocol_stands_before_tls() {
    let ca = Ca::new("the server's");
    let pair = ca.issue(&["localhost"]);
    let tls = ServerTls::from_pem(pair.chain, pair.key).unwrap();
    let proxies = || Proxies::trusted(Trusted::networks(["127.0.0.1".parse().unwrap()])).proxy_protocol();
    let told = |request: &Request| {
        let info = request.connect_info();
        format!("{} {}", info.client().unwrap(), info.is_secure())
    };
    let server = Server::bind("127.0.0.1:0").await.unwrap().tls(tls.clone()).behind(proxies());
    let LocalAddr::Tcp(one) = server.local_addr().unwrap() else { panic!("it is TCP") };
    tokio::spawn(server.serve(move |request, mut socket| async move { socket.send(told(&request)).await }));
    let server = blocking::Server::bind("127.0.0.1:0").unwrap().tls(tls).behind(proxies());
    let LocalAddr::Tcp(two) = server.local_addr().unwrap() else { panic!("it is TCP") };
    std::thread::spawn(move || server.serve(move |request, mut socket| socket.send(told(&request))));
    for server in [one, two] {
        for header in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.7 7 443\r\n"[..],
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\0\x07\x01\xbb",
        ] {
            let url = format!("wss://localhost:{}/", before_tls(server, header).await.port());
            let mut socket = soon(Client::new(&url).unwrap().tls(trusting(&ca)).connect()).await.unwrap();
            assert_eq!(soon(socket.receive()).await.unwrap(), Some("192.0.2.1:7 true".into()));
        }
        // Inside of TLS it is no header of the PROXY protocol, and before it there has to be one.
        let url = format!("wss://localhost:{}/", before_tls(server, b"").await.port());
        let refused = soon(Client::new(&url).unwrap().tls(trusting(&ca)).connect()).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Tls(_) | ConnectError::Io(_)), "{refused}");
    }
}

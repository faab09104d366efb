//! Encrypted connections between our clients and servers, of both drivers: what is agreed on, what is shown, reloading.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/tls.rs"]
mod tls;

use certificates::{Ca, Folder, self_signed};
use net::soon;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tls::{both, echo, serve, serve_blocking, trusting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use ws13::handshake::OriginPolicy;
use ws13::tls::{ClientTls, Fingerprint, InvalidTls, ServerTls, TlsError, TlsInfo, TlsVersion};
use ws13::{Client, CloseCode, ConnectError, Error, LocalAddr, Message, Peer, Server, blocking};

fn url(name: &str, address: SocketAddr) -> String {
    format!("wss://{name}:{}/", address.port())
}

/// An echo server of each driver.
async fn servers(tls: &ServerTls) -> [SocketAddr; 2] {
    [serve(tls.clone()).await, serve_blocking(tls.clone())]
}

async fn works(url: &str, tls: &ClientTls) {
    for outcome in both(url, tls).await {
        outcome.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

#[tokio::test]
async fn names_addresses_and_chains_are_checked_and_good() {
    let ca = Ca::new("us");
    let names = ["localhost", "127.0.0.1"];
    for pair in [ca.issue(&names), ca.issue_through_another(&names)] {
        for address in servers(&ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await {
            for name in names {
                works(&url(name, address), &trusting(&ca)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_fingerprint_or_a_self_signed_root_is_as_good() {
    let pair = self_signed(&["localhost"]);
    let tls = ServerTls::from_pem(&pair.chain, &pair.key).unwrap();
    let by_print = ClientTls::builder().fingerprint(tls.fingerprint().unwrap()).build().unwrap();
    let by_root = ClientTls::builder().roots_pem(&pair.chain).unwrap().build().unwrap();
    let by_both = ClientTls::builder().extra_roots_pem(&pair.chain).unwrap().build().unwrap();
    for address in servers(&tls).await {
        works(&url("127.0.0.1", address), &by_print).await;
        works(&url("localhost", address), &by_root).await;
        works(&url("localhost", address), &by_both).await;
    }
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn the_webs_roots_do_not_trust_us() {
    let pair = Ca::new("us").issue(&["localhost"]);
    let address = serve(ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await;
    let tls = ClientTls::builder().webpki_roots().build().unwrap();
    for outcome in both(&url("localhost", address), &tls).await {
        assert!(matches!(outcome, Err(ConnectError::Tls(TlsError::UnknownIssuer))), "{outcome:?}");
    }
}

#[tokio::test]
async fn both_sides_see_what_was_agreed_on() {
    let ca = Ca::new("us");
    let (pair, mine) = (ca.issue(&["localhost", "127.0.0.1"]), ca.issue(&["a client"]));
    let tls = ServerTls::builder_pem(&pair.chain, &pair.key).unwrap().client_roots_pem(&ca.pem).unwrap();
    let server = Server::bind("127.0.0.1:0").await.unwrap().tls(tls.build().unwrap());
    let seen: Arc<Mutex<Vec<Option<TlsInfo>>>> = Arc::default();
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    let told = Arc::clone(&seen);
    tokio::spawn(server.serve(move |_, mut socket| {
        told.lock().unwrap().push(socket.tls());
        async move {
            while socket.receive().await?.is_some() {}
            Ok::<(), Error>(())
        }
    }));
    let builder = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let tls = builder.certificate_pem(&mine.chain, &mine.key).unwrap().build().unwrap();
    let mut infos = Vec::new();
    for name in ["localhost", "127.0.0.1", "localhost"] {
        let mut socket =
            soon(Client::new(&url(name, address)).unwrap().tls(tls.clone()).connect()).await.unwrap();
        infos.push(socket.tls().unwrap());
        soon(socket.close(CloseCode::NORMAL, "")).await.unwrap();
        let client = blocking::Client::new(&url(name, address)).unwrap().tls(tls.clone());
        infos.push(
            tokio::task::spawn_blocking(move || client.connect().unwrap().tls().unwrap()).await.unwrap(),
        );
    }
    let certificate = der(&pair.chain);
    for info in &infos {
        assert_eq!((info.version, info.alpn.as_deref()), (TlsVersion::Tls13, Some(&b"http/1.1"[..])));
        assert_eq!((&info.peer_certificates[..], &info.server_name), (&[certificate.clone()][..], &None));
    }
    assert_eq!((infos[0].resumed, infos[4].resumed), (false, true), "the clients share their sessions");
    let seen = seen.lock().unwrap();
    let names: Vec<_> = seen.iter().map(|info| info.as_ref().unwrap().server_name.as_deref()).collect();
    let localhost = Some("localhost");
    assert_eq!(names, [localhost, localhost, None, None, localhost, localhost], "RFC 6066: no addresses");
    let shown = Fingerprint::of(&seen[0].as_ref().unwrap().peer_certificates[0]);
    assert_eq!(shown, Fingerprint::of(&der(&mine.chain)));
}

/// The first certificate of a PEM, in DER.
fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn plain_connections_have_no_tls() {
    let address = tls::serve_plain().await;
    let mut socket = soon(ws13::connect(&format!("ws://{address}/"))).await.unwrap();
    assert_eq!(socket.tls(), None);
    socket.send("hi").await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), Some(Message::from("hi")));
}

#[tokio::test]
async fn clients_are_asked_for_certificates() {
    let (ca, other) = (Ca::new("us"), Ca::new("them"));
    let pair = ca.issue(&["localhost"]);
    let builder =
        || ServerTls::builder_pem(&pair.chain, &pair.key).unwrap().client_roots_pem(&ca.pem).unwrap();
    let client = |ca: &Ca, issuer: &Ca| {
        let mine = issuer.issue(&["a client"]);
        let builder = ClientTls::builder().roots_pem(&ca.pem).unwrap();
        builder.certificate_pem(&mine.chain, &mine.key).unwrap().build().unwrap()
    };
    for address in servers(&builder().build().unwrap()).await {
        let url = url("localhost", address);
        works(&url, &client(&ca, &ca)).await;
        for outcome in both(&url, &trusting(&ca)).await {
            assert!(matches!(outcome, Err(ConnectError::Tls(TlsError::CertificateRequired))), "{outcome:?}");
        }
        for outcome in both(&url, &client(&ca, &other)).await {
            assert!(
                matches!(outcome, Err(ConnectError::Tls(TlsError::CertificateRefused(_)))),
                "{outcome:?}"
            );
        }
    }
    for address in servers(&builder().client_certificate_optional().build().unwrap()).await {
        works(&url("localhost", address), &trusting(&ca)).await;
        works(&url("localhost", address), &client(&ca, &ca)).await;
        assert!(both(&url("localhost", address), &client(&ca, &other)).await[0].is_err());
    }
}

#[tokio::test]
async fn another_name_can_be_asked_for() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["example.com"]);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.tls(ServerTls::from_pem(&pair.chain, &pair.key).unwrap());
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    let accepted = tokio::spawn(async move { server.accept().await.unwrap().1.tls() });
    let builder = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let tls = builder.server_name("example.com").unwrap().build().unwrap();
    soon(Client::new(&url("127.0.0.1", address)).unwrap().tls(tls).connect()).await.unwrap();
    assert_eq!(accepted.await.unwrap().unwrap().server_name.as_deref(), Some("example.com"));
}

#[tokio::test]
async fn a_certificate_is_reloaded_while_connections_go_on() {
    let (ca, folder) = (Ca::new("us"), Folder::new());
    let write =
        |pair: &certificates::Pair| (folder.write("chain", &pair.chain), folder.write("key", &pair.key));
    let (chain, key) = write(&ca.issue(&["localhost"]));
    let tls = ServerTls::from_pem_files(&chain, &key).unwrap();
    let address = serve(tls.clone()).await;
    let dial = async || {
        // Sessions of before would be taken up again with the certificate of before.
        let client = ClientTls::builder().roots_pem(&ca.pem).unwrap().without_resumption().build().unwrap();
        soon(Client::new(&url("localhost", address)).unwrap().tls(client).connect()).await.unwrap()
    };
    let shown = |info: Option<TlsInfo>| Fingerprint::of(&info.unwrap().peer_certificates[0]);
    let mut old = dial().await;
    assert!(matches!(tls.reload_if_changed(), Ok(false)));
    let before = tls.fingerprint().unwrap();
    assert_eq!(shown(old.tls()), before);

    // Half of the change, and nonsense, change nothing.
    let renewed = ca.issue(&["localhost"]);
    std::thread::sleep(Duration::from_millis(20));
    folder.write("key", &renewed.key);
    assert!(matches!(tls.reload_if_changed(), Err(InvalidTls::KeyOfAnother)));
    folder.write("chain", "nonsense");
    assert!(matches!(tls.reload(), Err(InvalidTls::NoCertificate)));
    assert_eq!(shown(dial().await.tls()), before);

    write(&renewed);
    assert!(matches!(tls.reload_if_changed(), Ok(true)));
    assert!(matches!(tls.reload_if_changed(), Ok(false)));
    let after = tls.fingerprint().unwrap();
    assert_ne!(before, after);
    assert_eq!(shown(dial().await.tls()), after);
    old.send("still there").await.unwrap();
    assert_eq!(old.receive().await.unwrap(), Some(Message::from("still there")));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(tls.reload_if_changed(), Err(InvalidTls::File { .. })));
}

#[tokio::test]
async fn a_configuration_of_rustls_is_taken_as_it_is() {
    use rustls::pki_types::pem::PemObject;
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = serve(ServerTls::from_rustls(server)).await;
    let tls = ClientTls::from_rustls(client);
    works(&url("localhost", address), &tls).await;
    let mut socket = soon(Client::new(&url("localhost", address)).unwrap().tls(tls).connect()).await.unwrap();
    let info = socket.tls().unwrap();
    assert_eq!((info.version, info.alpn), (TlsVersion::Tls12, None));
}

#[tokio::test]
async fn plain_http_on_a_port_for_tls_is_answered_and_the_server_goes_on() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    for address in servers(&ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await {
        // Nonsense, the start of a handshake, silence and a reset are nothing to it.
        let mut others = Vec::new();
        for bytes in
            [&b"\0\0\0\0"[..], b"\x16\x03\x01\x02\0\x01", b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01", b""]
        {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            others.push(stream);
        }
        let reset = TcpStream::connect(address).await.unwrap();
        reset.set_zero_linger().unwrap();
        drop(reset);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /chat HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https:// or wss://"), "{answer}");
        // Our own client shows that to its user.
        let refused = soon(ws13::connect(&format!("ws://{address}/"))).await.unwrap_err();
        assert!(refused.response().unwrap().text().contains("wss://"), "{refused}");
        works(&url("localhost", address), &trusting(&ca)).await;
    }
}

#[tokio::test]
async fn the_deadline_of_the_handshake_covers_tls() {
    let pair = self_signed(&["localhost"]);
    let tls = ServerTls::from_pem(&pair.chain, &pair.key).unwrap();
    let time = Duration::from_millis(300);
    let server = Server::bind("127.0.0.1:0").await.unwrap().tls(tls.clone()).handshake_timeout(time);
    let LocalAddr::Tcp(one) = server.local_addr().unwrap() else { panic!("it is TCP") };
    tokio::spawn(server.serve(echo));
    let server = blocking::Server::bind("127.0.0.1:0").unwrap().tls(tls).handshake_timeout(time);
    let LocalAddr::Tcp(two) = server.local_addr().unwrap() else { panic!("it is TCP") };
    std::thread::spawn(move || server.serve(|_, _| ()));
    for address in [one, two] {
        let began = std::time::Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A byte now and then does not make it longer.
        stream.write_all(b"\x16\x03\x01\x02\0").await.unwrap();
        let dropped = async {
            let mut byte = [0];
            loop {
                tokio::select! {
                    read = stream.read(&mut byte) => if !matches!(read, Ok(1)) { return },
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
                if stream.write_all(b"\x01").await.is_err() {
                    return;
                }
            }
        };
        soon(dropped).await;
        assert!(began.elapsed() >= time && began.elapsed() < time * 10, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn pages_of_the_same_origin_come_by_https() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    for address in servers(&ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await {
        let dial = async |scheme: &str| {
            let client = Client::new(&url("localhost", address)).unwrap().tls(trusting(&ca));
            let client = client.header("Origin", &format!("{scheme}://localhost:{}", address.port()));
            soon(client.connect()).await.map(drop)
        };
        dial("https").await.unwrap();
        let refused = dial("http").await.unwrap_err();
        assert_eq!(refused.response().map(|response| response.status.as_u16()), Some(403));
    }
    // An acceptor on an encrypted stream is told so.
    let _ = ws13::Acceptor::new().secure(true).origins(OriginPolicy::same_origin());
}

#[tokio::test]
async fn peers_encrypt_as_their_server_does() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.tls(ServerTls::from_pem(&pair.chain, &pair.key).unwrap());
    let mut one = Peer::from_server(server, ws13::Config::default()).unwrap();
    let two = Peer::bind("127.0.0.1:0").await.unwrap().tls(trusting(&ca));
    let LocalAddr::Tcp(address) = *one.local_addr() else { panic!("it is TCP") };
    let mut from_two = soon(two.dial(&url("localhost", address))).await.unwrap();
    let mut from_one = soon(one.accept()).await.unwrap();
    assert!(from_one.tls().is_some());
    from_one.send("who called whom?").await.unwrap();
    assert_eq!(from_two.receive().await.unwrap(), Some(Message::from("who called whom?")));
}

/// Unless it is asked for, the keys stay where they are; this process has no SSLKEYLOGFILE, the command's tests do.
#[tokio::test]
async fn a_key_log_without_a_file_is_none() {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    let tls = ServerTls::builder_pem(&pair.chain, &pair.key).unwrap().key_log().build().unwrap();
    let client = ClientTls::builder().roots_pem(&ca.pem).unwrap().key_log().without_alpn().build().unwrap();
    works(&url("localhost", serve(tls).await), &client).await;
}

//! Our servers and clients against OpenSSL's own: odd endings, old versions, renegotiation, new keys. `cargo xtask test`
//! sees to it that there is an `openssl`.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/tls.rs"]
mod tls;

use certificates::{Ca, Folder, Pair};
use common::masked;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tls::{both, trusting};
use ws13::handshake::ClientError;
use ws13::tls::{ClientTls, ServerTls, TlsError};
use ws13::{Config, ConnectError, Error, Keepalive, LocalAddr, Lost, Server, blocking};

const PATIENCE: Duration = Duration::from_secs(20);

/// An `openssl` that runs until it is dropped.
struct OpenSsl {
    child: Child,
    input: ChildStdin,
    /// What it prints, both ways, byte by byte as it comes.
    printed: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl OpenSsl {
    fn start(arguments: &[&str]) -> OpenSsl {
        let mut command = Command::new("openssl");
        let piped =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("there is an openssl");
        let (sender, printed) = channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for mut stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    let _ = sender.send(bytes[..len].to_vec());
                }
            });
        }
        OpenSsl { input: child.stdin.take().unwrap(), child, printed, seen: Vec::new() }
    }

    /// A client that has said that it wants a WebSocket, and has been let in.
    fn dial(address: SocketAddr, options: &[&str]) -> OpenSsl {
        let address = address.to_string();
        let mut client = OpenSsl::start(&[&["s_client", "-connect", &address], options].concat());
        client.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        client.wait_for(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        client
    }

    fn write(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
        self.input.flush().unwrap();
    }

    /// Waits until it has printed this, and forgets what was before.
    fn wait_for(&mut self, part: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.windows(part.len()).position(|window| window == part) {
                self.seen.drain(..at + part.len());
                return;
            }
            match self.printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!(
                    "{error:?}: no {:?} in {:?}",
                    String::from_utf8_lossy(part),
                    String::from_utf8_lossy(&self.seen)
                ),
            }
        }
    }

    fn echoes(&mut self, text: &str) {
        self.write(&masked(0x81, text.as_bytes()));
        let mut echo = vec![0x81, u8::try_from(text.len()).unwrap()];
        echo.extend_from_slice(text.as_bytes());
        self.wait_for(&echo);
    }

    /// All that it prints until its end.
    fn ended(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("openssl goes on"),
            }
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An echo server of ours, which tells how each connection ended.
struct Ours {
    address: SocketAddr,
    ends: Receiver<Result<(), Error>>,
}

impl Ours {
    fn both(pair: &Pair) -> [Ours; 2] {
        Ours::both_with(pair, &Config::default())
    }

    fn both_with(pair: &Pair, config: &Config) -> [Ours; 2] {
        let tls = ServerTls::from_pem(&pair.chain, &pair.key).unwrap();
        [Ours::on_tokio(tls.clone(), config.clone()), Ours::on_threads(tls, config.clone())]
    }

    fn on_tokio(tls: ServerTls, config: Config) -> Ours {
        let (told, ends) = channel();
        let (bound, address) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let server = Server::bind("127.0.0.1:0").await.unwrap().tls(tls).config(config);
                bound.send(server.local_addr().unwrap()).unwrap();
                let handler = move |request, socket| {
                    let told = told.clone();
                    async move { told.send(tls::echo(request, socket).await) }
                };
                server.serve(handler).await
            })
        });
        let LocalAddr::Tcp(address) = address.recv().unwrap() else { panic!("it is TCP") };
        Ours { address, ends }
    }

    fn on_threads(tls: ServerTls, config: Config) -> Ours {
        let (told, ends) = channel();
        let server = blocking::Server::bind("127.0.0.1:0").unwrap().tls(tls).config(config);
        let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
        thread::spawn(move || {
            server.serve(move |_, mut socket| {
                let mut echo = || {
                    while let Some(message) = socket.receive()? {
                        socket.send(message)?;
                    }
                    Ok(())
                };
                told.send(echo())
            })
        });
        Ours { address, ends }
    }

    fn end(&self) -> Result<(), Error> {
        self.ends.recv_timeout(PATIENCE).expect("the connection ends")
    }
}

fn us() -> (Ca, Pair) {
    let ca = Ca::new("us");
    let pair = ca.issue(&["localhost"]);
    (ca, pair)
}

#[test]
fn openssls_client_is_let_in_by_both_versions_and_its_chain_is_good() {
    let (ca, pair) = us();
    let folder = Folder::new();
    let roots = folder.write("ca.pem", &ca.pem);
    let roots = roots.to_str().unwrap();
    for ours in Ours::both(&pair) {
        for version in ["-tls1_2", "-tls1_3"] {
            let options = [
                version,
                "-CAfile",
                roots,
                "-verify_return_error",
                "-verify_hostname",
                "localhost",
                "-quiet",
            ];
            let mut client = OpenSsl::dial(ours.address, &options);
            client.echoes("hi");
            client.write(&masked(0x88, &[3, 0xe8]));
            client.wait_for(&[0x88, 2, 3, 0xe8]);
            assert!(ours.end().is_ok());
            // And it ends, because the stream does.
            let rest = client.ended();
            assert!(!rest.contains("unexpected eof"), "{rest}");
        }
        let mut client = OpenSsl::start(&[
            "s_client",
            "-connect",
            &ours.address.to_string(),
            "-alpn",
            "h2,http/1.1",
            "-servername",
            "localhost",
        ]);
        client.wait_for(b"ALPN protocol: http/1.1");
    }
}

#[test]
fn old_versions_are_refused_and_the_server_goes_on() {
    let (_, pair) = us();
    for ours in Ours::both(&pair) {
        for version in ["-tls1", "-tls1_1"] {
            let address = ours.address.to_string();
            let options = ["s_client", "-connect", &address, version, "-cipher", "DEFAULT@SECLEVEL=0"];
            let told = OpenSsl::start(&options).ended();
            assert!(told.contains("SSL alert number") && told.contains("Cipher is (NONE)"), "{told}");
        }
        OpenSsl::dial(ours.address, &["-quiet"]).echoes("hi");
    }
}

#[test]
fn an_end_with_and_without_close_notify_is_1006_and_the_server_goes_on() {
    let (_, pair) = us();
    for ours in Ours::both(&pair) {
        for abrupt in [true, false] {
            let mut client = OpenSsl::dial(ours.address, &["-tls1_3"]);
            client.echoes("hi");
            if abrupt {
                client.child.kill().unwrap();
            } else {
                // A line with a Q ends it, and by close_notify.
                client.write(b"Q\n");
            }
            let ended = ours.end();
            assert!(matches!(ended, Err(Error::Lost(Lost::Eof))), "{ended:?}");
        }
        OpenSsl::dial(ours.address, &["-quiet"]).echoes("hi");
    }
}

#[test]
fn renegotiation_is_refused_and_new_keys_are_not() {
    let (_, pair) = us();
    for ours in Ours::both(&pair) {
        let mut client = OpenSsl::dial(ours.address, &["-tls1_3"]);
        client.write(b"k\n");
        client.wait_for(b"KEYUPDATE");
        // It asks us for new keys, too.
        client.write(b"K\n");
        client.wait_for(b"KEYUPDATE");
        client.echoes("with new keys");
    }
    // The refusal goes out with the next thing that is written, such as a Ping.
    let ping_interval = Some(Duration::from_millis(300));
    let config =
        Config { keepalive: Keepalive { ping_interval, ..Keepalive::default() }, ..Config::default() };
    for ours in Ours::both_with(&pair, &config) {
        let mut client = OpenSsl::dial(ours.address, &["-tls1_2"]);
        client.write(b"R\n");
        let told = client.ended();
        assert!(told.contains("no renegotiation"), "{told}");
        assert!(ours.end().is_err());
        OpenSsl::dial(ours.address, &["-quiet"]).echoes("hi");
    }
}

/// A `openssl s_server` with this certificate, and where it listens.
fn theirs(folder: &Folder, pair: &Pair, options: &[&str]) -> (OpenSsl, SocketAddr) {
    let chain = folder.write("chain.pem", &pair.chain);
    let key = folder.write("key.pem", &pair.key);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let fixed = [
        "s_server",
        "-accept",
        &address,
        "-cert",
        chain.to_str().unwrap(),
        "-key",
        key.to_str().unwrap(),
        "-www",
    ];
    let mut server = OpenSsl::start(&[&fixed[..], options].concat());
    server.wait_for(b"ACCEPT");
    (server, address.parse().unwrap())
}

fn dial(address: SocketAddr, tls: &ClientTls) -> [ConnectError; 2] {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("wss://localhost:{}/", address.port());
    runtime.block_on(both(&url, tls)).map(|outcome| outcome.expect_err("it serves no WebSocket"))
}

#[test]
fn openssls_server_is_dialled_and_answers_through_tls() {
    let (ca, pair) = us();
    let folder = Folder::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let (_server, address) = theirs(&folder, &pair, &[version]);
        for error in dial(address, &trusting(&ca)) {
            // Its page has no length: it ends with the stream.
            let response = error.response().unwrap_or_else(|| panic!("{error:?}"));
            assert!(response.status == 200 && response.text().contains("s_server"), "{response:?}");
        }
    }
}

#[test]
fn what_openssls_server_does_not_share_or_wants_is_told() {
    let (ca, pair) = us();
    let folder = Folder::new();
    let roots = folder.write("ca.pem", &ca.pem);
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let wanting = ["-Verify", "1", "-CAfile", roots.to_str().unwrap(), "-verify_return_error"];
    let wanting_12 = [&wanting[..], &["-tls1_2"]].concat();
    let (_server, address) = theirs(&folder, &pair, &old);
    for error in dial(address, &trusting(&ca)) {
        assert!(matches!(error, ConnectError::Tls(TlsError::NothingShared(_))), "{error:?}");
    }
    let (_server, address) = theirs(&folder, &pair, &wanting);
    for error in dial(address, &trusting(&ca)) {
        assert!(matches!(error, ConnectError::Tls(TlsError::CertificateRequired)), "{error:?}");
        assert!(error.to_string().contains("wants to be shown a certificate"), "{error}");
    }
    // TLS 1.2 has no word of its own for it.
    let (_server, address) = theirs(&folder, &pair, &wanting_12);
    for error in dial(address, &trusting(&ca)) {
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    }
    let mine = ca.issue(&["a client"]);
    let builder = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let tls = builder.certificate_pem(&mine.chain, &mine.key).unwrap().build().unwrap();
    for error in dial(address, &tls) {
        assert!(matches!(&error, ConnectError::Handshake(ClientError::Refused(_))), "{error:?}");
    }
}

/// A certificate as people make it from the first answer they find.
#[test]
fn a_certificate_of_openssl_req_is_told_what_is_wrong_with_it() {
    let folder = Folder::new();
    let (chain, key) = (folder.0.join("own.pem"), folder.0.join("own.key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .args([&key])
        .arg("-out")
        .args([&chain])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (_server, address) = theirs(&folder, &Pair { chain: read(&chain), key: read(&key) }, &[]);
    let own = ClientTls::builder().roots_file(&chain).unwrap().build().unwrap();
    for error in dial(address, &own) {
        assert!(error.to_string().contains("one of a CA"), "{error}");
    }
}

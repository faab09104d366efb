//! `ws13 serve` towards the outside: host names, limits, descriptors, proxies, systemd's sockets, figures.
#![cfg(unix)]

mod common;

use common::{Lines, PATIENCE, Running, http, run, upgrade};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn echo(arguments: &[&str]) -> (Running, String) {
    Running::listening(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
}

/// The status of a handshake that names this host, from a page of that host.
fn status(address: &str, host: &str, headers: &str) -> u16 {
    let origin = format!("Origin: http://{host}\r\n");
    status_of(address, &common::handshake(host, &format!("{origin}{headers}")))
}

fn status_of(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

#[test]
fn dns_rebinding_fails_on_loopback() {
    let (_server, address) = echo(&["--metrics"]);
    let port = address.rsplit(':').next().unwrap();
    for host in ["rebind.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"] {
        assert_eq!(status(&address, &format!("{host}:{port}"), ""), 403, "{host}");
        let page = http(&address, &format!("GET /metrics HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"));
        assert!(page.starts_with("HTTP/1.1 403 "), "{page}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "app.localhost"] {
        assert_eq!(status(&address, &format!("{host}:{port}"), ""), 101, "{host}");
    }
}

#[test]
fn other_host_names_and_origins_are_let_in_by_name() {
    let (_server, address) = echo(&["--allow-host", "*.example.com", "--allow-host", "example.org:81"]);
    for (host, expected) in [
        ("a.example.com", 101),
        ("example.org:81", 101),
        ("example.org", 403),
        ("localhost", 101),
        ("evil.example", 403),
    ] {
        assert_eq!(status(&address, host, ""), expected, "{host}");
    }
    let (_server, address) = echo(&["--allow-host", "*", "--allow-origin", "https://example.com"]);
    let request = |origin| common::handshake("anything.example", &format!("Origin: {origin}\r\n"));
    assert_eq!(status_of(&address, &request("https://example.com")), 101);
    assert_eq!(status_of(&address, &request("http://anything.example")), 403);
}

#[test]
fn where_others_can_reach_it_it_says_who_is_let_in() {
    let running = Running::start(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(running.err.next().contains("ws://0.0.0.0:"));
    let notice = running.err.next();
    assert!(notice.contains("any host name") && notice.contains("--allow-host"), "{notice}");
}

#[test]
fn the_figures_are_shown_where_they_are_asked_for() {
    let (_server, address) = echo(&["--metrics"]);
    let (_, mut stream) = upgrade(&address, "");
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let get = |address: &str| http(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let page = get(&address);
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{page}");
    for line in [
        // The stream, and the one that asks.
        "ws13_connections_open 2",
        "ws13_messages_total{direction=\"received\"} 1",
        "ws13_wire_bytes_total{direction=\"sent\"} 4",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
    let (_server, address) = echo(&[]);
    assert!(get(&address).starts_with("HTTP/1.1 404 "));
}

#[test]
fn limits_on_connections_are_options() {
    let (_server, address) = echo(&["--max-per-address", "1"]);
    let (head, held) = upgrade(&address, "");
    assert!(head.starts_with("HTTP/1.1 101 "));
    assert!(upgrade(&address, "").0.starts_with("HTTP/1.1 503 "));
    drop(held);
    let (_server, address) = echo(&["--max-connections", "1"]);
    let _held = upgrade(&address, "");
    assert!(upgrade(&address, "").0.starts_with("HTTP/1.1 503 "));
}

#[test]
fn trusted_proxies_tell_the_client() {
    let trusted = ["--trust-proxy", "127.0.0.1", "--max-per-address", "1"];
    let (_server, address) = echo(&[&trusted[..], &["--x-forwarded"]].concat());
    let from = |client: &str| upgrade(&address, &format!("X-Forwarded-For: {client}\r\n"));
    let held = from("192.0.2.1");
    assert!(held.0.starts_with("HTTP/1.1 101 "));
    assert!(from("192.0.2.1").0.starts_with("HTTP/1.1 503 "));
    assert!(from("192.0.2.2").0.starts_with("HTTP/1.1 101 "));

    let (_server, address) = echo(&[&trusted[..], &["--proxy-protocol"]].concat());
    let request = format!("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n{}", common::handshake(&address, ""));
    assert_eq!(status_of(&address, &request), 101);
    for arguments in [
        &["serve", "--trust-proxy", "127.0.0.1"][..],
        &["serve", "--x-forwarded"],
        &["serve", "--trust-proxy", "everybody", "--forwarded"],
        &["serve", "--trust-proxy", "::1", "--forwarded", "--x-forwarded"],
    ] {
        assert_eq!(run(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
}

/// A `ws13` that a shell prepares something for.
struct Prepared {
    child: Child,
    err: Lines,
}

impl Prepared {
    fn start(script: &str, arguments: &[&str], stdin: impl Into<Stdio>) -> Prepared {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{script}; exec \"$@\"")).arg("sh").arg(env!("CARGO_BIN_EXE_ws13"));
        let mut child = command
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let err = Lines::of(child.stderr.take().unwrap());
        Prepared { child, err }
    }

    fn address(&self) -> String {
        let line = self.err.next();
        let address = line.split("ws://").nth(1).and_then(|rest| rest.split("/ ").next());
        address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned()
    }

    /// Processor time that it has used, in hundredths of a second.
    #[cfg(target_os = "linux")]
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_descriptors_it_keeps_serving_and_does_not_spin() {
    // More connections are allowed than there are descriptors.
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--max-connections", "1000", "--metrics"];
    let server = Prepared::start("ulimit -n 40", &arguments, Stdio::null());
    let address = server.address();
    let (_, mut first) = upgrade(&address, "");
    let crowd: Vec<_> = (0..60).map(|_| TcpStream::connect(&address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let ticks = server.ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = server.ticks() - ticks;
    assert!(used < 20, "it used {used} hundredths of a second in one");
    let hi = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
    first.write_all(&hi).unwrap();
    first.read_exact(&mut [0; 4]).unwrap();
    drop(crowd);
    let start = Instant::now();
    let mut page = String::new();
    while !page.starts_with("HTTP/1.1 200 ") {
        assert!(start.elapsed() < PATIENCE, "{page}");
        page = http(&address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    }
    let errors = page.lines().find_map(|line| line.strip_prefix("ws13_accept_errors_total ")).unwrap();
    assert!((1..100).contains(&errors.parse::<u32>().unwrap()), "{errors}");
}

#[test]
fn the_descriptors_are_the_limit_by_default() {
    // Of few, 32 are spared, so that who is refused gets an answer; of more, a tenth.
    for (descriptors, taken) in [(60, 28), (400, 360)] {
        let limit = format!("ulimit -n {descriptors}");
        let server = Prepared::start(&limit, &["serve", "--listen", "127.0.0.1:0"], Stdio::null());
        let address = server.address();
        let mut held = Vec::new();
        let mut refused = 0;
        for _ in 0..taken + 10 {
            let (head, stream) = upgrade(&address, "");
            match &head[9..12] {
                "101" => held.push(stream),
                "503" => refused += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!((held.len(), refused), (taken, 10), "of {descriptors}");
    }
}

/// A socket at descriptor 3, and the environment that says so, as systemd leaves them.
const ACTIVATED: &str = "exec 3<&0; export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web";

#[test]
fn systemd_passes_a_socket_on() {
    for (options, named) in
        [(&[][..], true), (&["--listen", "fd:web"], true), (&["--listen", "fd:other"], false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let arguments = [&["serve", "--threads", "2"], options].concat();
        let mut server = Prepared::start(ACTIVATED, &arguments, OwnedFd::from(listener));
        if !named {
            assert_eq!(server.child.wait().unwrap().code(), Some(2));
            assert!(server.err.next().contains("\"web\""));
            continue;
        }
        assert_eq!(server.address(), address);
        for _ in 0..4 {
            assert!(upgrade(&address, "").0.starts_with("HTTP/1.1 101 "));
        }
    }
}

#[test]
fn systemd_passes_a_unix_socket_on() {
    let path = std::env::temp_dir().join(format!("ws13-activated-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let server = Prepared::start(ACTIVATED, &["serve"], OwnedFd::from(listener));
    assert!(server.err.next().contains("listening"));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(common::handshake("localhost", "").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn it_listens_on_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("ws13-serve-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let place = format!("unix:{}", path.display());
    let running = Running::start(&["serve", "--listen", &place, "--threads", "2"]);
    assert!(running.err.next().contains("listening"));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(common::handshake("localhost", "").as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start[9..], b"101");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_stop_can_be_spread() {
    let (mut server, address) = echo(&["--drain-spread", "400ms", "--threads", "2"]);
    let clients: Vec<_> = (0..20).map(|_| upgrade(&address, "").1).collect();
    let start = Instant::now();
    server.signal("TERM");
    let told = clients.into_iter().map(|mut stream| {
        std::thread::spawn(move || {
            let mut close = [0; 4];
            stream.read_exact(&mut close).unwrap();
            let at = start.elapsed();
            stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).unwrap();
            at
        })
    });
    let told: Vec<_> = told.collect();
    let last = told.into_iter().map(|client| client.join().unwrap()).max().unwrap();
    assert!(last > Duration::from_millis(200), "{last:?}");
    assert_eq!(server.exit_code(), 0);
}

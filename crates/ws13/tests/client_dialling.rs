//! Dialling: addresses that race (RFC 8305), resolvers, TCP options, credentials, Unix sockets; by both drivers.
#![cfg(feature = "tokio")]

#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Blackhole, Scripted, accept, both_failed, by_each_driver, dead, field, runtime, say};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use ws13::{ConnectError, Phase, TcpOptions};

/// Connects to a name with these addresses by each driver; gives what came of each, and how long it took.
fn race(
    addresses: &[SocketAddr],
    options: &TcpOptions,
    timeout: Duration,
) -> [(Result<(), ConnectError>, Duration); 2] {
    let (url, addresses) = ("ws://example.test:80/", addresses.to_vec());
    let start = Instant::now();
    let found = addresses.clone();
    let resolve = move |_, _| {
        let found = found.clone();
        async move { Ok(found) }
    };
    let client = ws13::Client::new(url).unwrap().resolver(resolve).tcp(options.clone()).timeout(timeout);
    let tokio = runtime().block_on(client.connect()).map(drop);
    let took = start.elapsed();
    let start = Instant::now();
    let client = ws13::blocking::Client::new(url).unwrap().resolver(move |_, _| Ok(addresses.clone()));
    let blocking = client.tcp(options.clone()).timeout(timeout).connect().map(drop);
    [(tokio, took), (blocking, start.elapsed())]
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_dead_first_address_costs_a_quarter_of_a_second() {
    let (blackhole, server) = (Blackhole::new(), Scripted::opening());
    for (result, took) in race(&[blackhole.address, server.address], &TcpOptions::default(), PATIENCE) {
        result.unwrap();
        assert!((Duration::from_millis(240)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

#[test]
fn the_delay_between_addresses_can_be_set() {
    let (one, two, server) = (Blackhole::new(), Blackhole::new(), Scripted::opening());
    let options = TcpOptions { attempt_delay: Duration::from_millis(600), ..TcpOptions::default() };
    for (result, took) in race(&[one.address, two.address, server.address], &options, PATIENCE) {
        result.unwrap();
        assert!((Duration::from_millis(1190)..Duration::from_secs(8)).contains(&took), "{took:?}");
    }
    let options = TcpOptions { attempt_delay: Duration::MAX, ..TcpOptions::default() };
    for (result, _) in race(&[one.address, server.address], &options, Duration::from_millis(300)) {
        assert!(matches!(result, Err(ConnectError::Timeout(_))), "{result:?}");
    }
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() {
    let server = Scripted::opening();
    let options = TcpOptions { attempt_delay: Duration::from_secs(60), ..TcpOptions::default() };
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, dead().port()));
    for (result, took) in race(&[six, dead(), dead(), server.address], &options, PATIENCE) {
        result.unwrap();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn ipv6_and_ipv4_take_turns() {
    // Two dead addresses of the preferred family, yet the other family's only address comes second.
    let (blackhole, server) = (Blackhole::new(), Scripted::opening());
    let options = TcpOptions { attempt_delay: Duration::from_millis(500), ..TcpOptions::default() };
    let Ok(six) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("this machine has no IPv6: the order alone is tested, in attempts.rs");
        return;
    };
    drop(six);
    let server_six = Scripted::on((Ipv6Addr::LOCALHOST, 0).into(), |head, stream| say(stream, &accept(head)));
    let addresses = [blackhole.address, server.address, server_six.address];
    for (result, took) in race(&addresses, &options, PATIENCE) {
        result.unwrap();
        assert!((Duration::from_millis(490)..Duration::from_secs(8)).contains(&took), "{took:?}");
    }
    assert_eq!((server.heads().len(), server_six.heads().len()), (0, 2));
}

#[test]
fn every_address_and_what_it_said_is_in_the_error() {
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, dead().port()));
    let addresses = [dead(), six, dead()];
    for (result, _) in race(&addresses, &TcpOptions::default(), PATIENCE) {
        let error = result.unwrap_err();
        let ConnectError::Dial { to, attempts } = &error else { panic!("{error}") };
        assert_eq!(to, "example.test:80");
        let mut tried: Vec<_> = attempts.iter().map(|attempt| attempt.to.clone()).collect();
        let mut expected = addresses.map(|address| address.to_string()).to_vec();
        tried.sort();
        expected.sort();
        assert_eq!(tried, expected);
        let text = error.to_string();
        assert!(expected.iter().all(|address| text.contains(address)), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}

#[test]
fn one_deadline_is_over_all_of_it_and_tells_who_did_not_answer() {
    let (one, two) = (Blackhole::new(), Blackhole::new());
    let options = TcpOptions { attempt_delay: Duration::from_millis(50), ..TcpOptions::default() };
    for (result, took) in race(&[one.address, two.address, dead()], &options, Duration::from_millis(500)) {
        let error = result.unwrap_err();
        let ConnectError::Timeout(late) = &error else { panic!("{error}") };
        assert_eq!((late.phase, late.attempts.len()), (Phase::Dialling, 3), "{error}");
        assert!(error.to_string().contains(&format!("{}: no answer", one.address)), "{error}");
        assert!((Duration::from_millis(490)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
    // One address, which the blocking driver dials without a thread.
    for (result, _) in race(&[one.address], &options, Duration::from_millis(100)) {
        assert!(matches!(result, Err(ConnectError::Timeout(_))), "{result:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_lost_the_race_is_dropped() {
    let (one, two, server) = (Blackhole::new(), Blackhole::new(), Scripted::opening());
    let addresses = vec![one.address, two.address, server.address];
    let client = ws13::blocking::Client::new("ws://example.test/").unwrap();
    let client = client.resolver(move |_, _| Ok(addresses.clone())).timeout(Duration::from_secs(60));
    let options = TcpOptions { attempt_delay: Duration::from_millis(20), ..TcpOptions::default() };
    let before = (dialling(one.address), dialling(two.address));
    let _socket = client.tcp(options).connect().unwrap();
    // The timeout is a minute away.
    let start = Instant::now();
    while (dialling(one.address), dialling(two.address)) != before {
        assert!(start.elapsed() < Duration::from_secs(10), "they still dial");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many sockets wait for an answer of this address (state SYN_SENT), as the system tells.
#[cfg(target_os = "linux")]
fn dialling(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let waiting = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        words.next().is_some_and(|to| to.ends_with(&port)) && words.next() == Some("02")
    };
    table.lines().filter(waiting).count()
}

#[test]
fn resolvers_that_find_nothing_or_take_too_long() {
    let (url, short) = ("ws://example.test/", Duration::from_millis(200));
    let tokio = |client: ws13::Client| runtime().block_on(client.connect()).unwrap_err();
    let client = || ws13::Client::new(url).unwrap().timeout(short);
    let none = tokio(client().resolver(|_, _| async { Ok(Vec::new()) }));
    let failing =
        tokio(client().resolver(|host, _| async move { Err(io::Error::other(format!("no {host}"))) }));
    let never = tokio(client().resolver(|_, _| std::future::pending()));
    let blocking = || ws13::blocking::Client::new(url).unwrap().timeout(short);
    let none_too = blocking().resolver(|_, _| Ok(Vec::new())).connect().unwrap_err();
    let failing_too = blocking().resolver(|host, _| Err(io::Error::other(format!("no {host}"))));
    let never_too = blocking().resolver(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        Ok(Vec::new())
    });
    let (failing_too, never_too) = (failing_too.connect().unwrap_err(), never_too.connect().unwrap_err());
    for (none, failing, never) in [(none, failing, never), (none_too, failing_too, never_too)] {
        assert_eq!(none.to_string(), "cannot find the host example.test: it has no address");
        assert_eq!(failing.to_string(), "cannot find the host example.test: no example.test");
        let ConnectError::Timeout(late) = &never else { panic!("{never}") };
        assert_eq!(late.phase, Phase::Resolving);
    }
    // The system's own, for a name that no resolver knows (RFC 6761 section 6.4).
    for error in both_failed(by_each_driver!("ws://nobody.invalid/", |client| client)) {
        assert!(matches!(&error, ConnectError::Resolve { host, .. } if host == "nobody.invalid"), "{error}");
    }
}

#[test]
fn local_address_and_tcp_options() {
    let (told, peers) = std::sync::mpsc::channel();
    let server = Scripted::start(move |head, stream| {
        told.send(stream.peer_addr().unwrap().ip()).unwrap();
        say(stream, &accept(head));
    });
    let local = IpAddr::from([127, 0, 0, 2]);
    let options = TcpOptions {
        local_address: Some(local),
        nodelay: false,
        keepalive: Some(Duration::from_secs(77)),
        send_buffer: Some(64 << 10),
        receive_buffer: Some(96 << 10),
        ..TcpOptions::default()
    };
    for result in by_each_driver!(server.url("/"), |client| client.tcp(options.clone())) {
        result.unwrap();
        assert_eq!(peers.recv().unwrap(), local);
    }
    let six = TcpOptions { local_address: Some(Ipv6Addr::LOCALHOST.into()), ..TcpOptions::default() };
    for error in both_failed(by_each_driver!(server.url("/"), |client| client.tcp(six.clone()))) {
        assert!(error.to_string().contains("other family"), "{error}");
    }
}

#[test]
fn credentials_of_the_url_go_out_as_basic_authentication() {
    let server = Scripted::opening();
    let url = format!("ws://Aladdin:open%20sesame@{}/", server.address);
    for result in by_each_driver!(url, |client| client) {
        result.unwrap();
    }
    for result in by_each_driver!(url, |client| client.bearer("token")) {
        result.unwrap();
    }
    for result in
        by_each_driver!(server.url("/"), |client| client.header("Cookie", "a=b").bearer("x").bearer("y"))
    {
        result.unwrap();
    }
    let heads = server.heads();
    let sent: Vec<_> = heads.iter().map(|head| field(head, "authorization").unwrap()).collect();
    let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(sent, [basic, basic, "Bearer token", "Bearer token", "Bearer y", "Bearer y"]);
    assert_eq!(field(&heads[5], "cookie"), Some("a=b"));
    assert_eq!(heads[5].matches("Authorization").count(), 1);
}

#[test]
fn secrets_are_in_no_debug_output_and_no_error() {
    let dead = dead();
    let url = format!("ws://me:hidden1@{dead}/");
    let proxy = || ws13::proxy::Proxy::new(&format!("http://me:hidden2@{dead}")).unwrap();
    let shown = |client: &dyn std::fmt::Debug, error: ConnectError| {
        let shown = format!("{client:?} {error} {error:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    };
    let client =
        ws13::Client::new(&url).unwrap().bearer("hidden3").header("Cookie", "hidden4").proxy(proxy());
    shown(&client, runtime().block_on(client.clone().connect()).unwrap_err());
    let client = ws13::blocking::Client::new(&url).unwrap().bearer("hidden3").header("Cookie", "hidden4");
    let client = client.proxy(proxy());
    shown(&client, client.clone().connect().unwrap_err());
    let wrong = ws13::Client::new("ws://a/").unwrap().bearer("hidden\r\nX: y");
    shown(&wrong, runtime().block_on(wrong.clone().connect()).unwrap_err());
}

#[cfg(unix)]
#[test]
fn a_unix_socket_by_its_url() {
    use std::io::Read;
    use std::os::unix::net::UnixListener;
    let dir = std::env::temp_dir().join(format!("ws13 dialling:{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let heads = std::thread::spawn(move || {
        (0..2)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                io::Write::write_all(&mut stream, accept(&head).as_bytes()).unwrap();
                head
            })
            .collect::<Vec<_>>()
    });
    let written = path.to_str().unwrap().replace(':', "%3A").replace(' ', "%20");
    for result in by_each_driver!(format!("ws+unix:{written}:/chat?a=b"), |client| client) {
        result.unwrap();
    }
    for head in heads.join().unwrap() {
        assert!(head.starts_with("GET /chat?a=b HTTP/1.1\r\nHost: localhost\r\n"), "{head}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
    for error in both_failed(by_each_driver!(format!("ws+unix:{written}"), |client| client)) {
        assert!(matches!(&error, ConnectError::Dial { to, .. } if *to == path.to_str().unwrap()), "{error}");
    }
}

//! `ws13 serve`, as its users see it.

mod common;

use common::{PATIENCE, Running, handshake, http, run, upgrade};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn echo(arguments: &[&str]) -> (Running, String) {
    Running::listening(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
}

#[test]
fn the_same_port_answers_plain_http() {
    let (_server, address) = echo(&[]);
    let get = |path: &str| http(&address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let page = get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains("\r\nContent-Type: text/html; charset=utf-8\r\n")
            || page.contains("content-type: text/html")
    );
    assert!(page.to_lowercase().contains("content-security-policy: default-src 'none'"));
    assert!(page.contains("</html>"));
    assert!(get("/healthz").ends_with("\r\n\r\nok\n"));
    assert!(get("/favicon.ico").starts_with("HTTP/1.1 404 "));
    let post = http(&address, &format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n"));
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let head = http(&address, &format!("HEAD / HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn without_an_address_it_listens_on_loopback_alone() {
    let mut server = common::ws13(&["serve"]);
    let server = Running::of(server.env_remove("LISTEN_FDS").env_remove("LISTEN_PID"));
    let said = server.err.next();
    // Another program may have the port; it is this one that was asked for all the same.
    let listens = said.contains("listening on ws://127.0.0.1:12345/");
    assert!(listens || said.contains("cannot listen on 127.0.0.1:12345: "), "{said}");
}

#[test]
fn only_its_own_pages_are_let_in_and_programs_without_origin() {
    let (_server, address) = echo(&[]);
    let answer = |origin: &str| http_status(&address, origin);
    assert_eq!(answer(""), 101);
    assert_eq!(answer(&format!("Origin: http://{address}\r\n")), 101);
    for foreign in
        ["https://example.com", "null", "http://127.0.0.1:1", &format!("http://{address}.evil.com")]
    {
        assert_eq!(answer(&format!("Origin: {foreign}\r\n")), 403, "{foreign}");
    }
    let (_server, address) = echo(&["--origin", "https://example.com"]);
    assert_eq!(http_status(&address, "Origin: https://example.com\r\n"), 101);
    assert_eq!(http_status(&address, "Origin: https://example.org\r\n"), 403);
    let (_server, address) = echo(&["--origin", "*"]);
    assert_eq!(http_status(&address, "Origin: https://example.org\r\n"), 101);
}

fn http_status(address: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(handshake(address, headers).as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

#[test]
fn the_first_subprotocol_that_both_speak_is_chosen() {
    let (_server, address) = echo(&["--subprotocol", "me-want-cookies", "--subprotocol", "second"]);
    let (head, _) = upgrade(&address, "Sec-WebSocket-Protocol: other, second, me-want-cookies\r\n");
    assert!(head.to_lowercase().contains("sec-websocket-protocol: me-want-cookies\r\n"), "{head}");
    let (head, _) = upgrade(&address, "Sec-WebSocket-Protocol: other\r\n");
    assert!(!head.to_lowercase().contains("sec-websocket-protocol"), "{head}");
}

#[test]
fn a_message_over_the_limit_is_answered_with_1009() {
    let (_server, address) = echo(&["--max-message", "1KiB"]);
    let (_, mut stream) = upgrade(&address, "");
    // A header that declares 1,025 bytes, and not one of them.
    stream.write_all(&[0x82, 0xfe, 0x04, 0x01, 0, 0, 0, 0]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..4], [0x88, 0x02, 0x03, 0xf1]);
}

#[test]
fn it_pings_by_interval() {
    let (_server, address) = echo(&["--ping-interval", "100ms"]);
    let (_, mut stream) = upgrade(&address, "");
    let mut ping = [0; 2];
    stream.read_exact(&mut ping).unwrap();
    assert_eq!(ping[0], 0x89);
}

#[test]
fn broadcast_sends_what_one_says_to_all_the_others() {
    let (_server, address) = Running::listening(&["serve", "broadcast", "--listen", "127.0.0.1:0"]);
    let url = format!("ws://{address}/");
    let mut one = Running::start(&["connect", &url]);
    let mut two = Running::start(&["connect", &url]);
    let three = Running::start(&["connect", &url]);
    // Until all are connected, what is said may miss somebody.
    let start = Instant::now();
    let mut heard = (false, false);
    while heard != (true, true) {
        assert!(start.elapsed() < PATIENCE);
        one.type_line("anybody?");
        std::thread::sleep(Duration::from_millis(50));
        heard.0 |= !two.out.nothing_for(Duration::from_millis(10));
        heard.1 |= !three.out.nothing_for(Duration::from_millis(10));
    }
    two.type_line("from two");
    assert_eq!(one.out.next(), "from two", "one hears nothing of what it said itself");
    assert!(std::iter::repeat_with(|| three.out.next()).take(1000).any(|line| line == "from two"));
}

#[test]
fn signals_close_all_connections_with_1001_and_end_it() {
    for signal in ["INT", "TERM"] {
        let (mut server, address) = echo(&[]);
        let (_, mut stream) = upgrade(&address, "");
        server.signal(signal);
        let mut close = [0; 4];
        stream.read_exact(&mut close).unwrap();
        assert_eq!(close, [0x88, 0x02, 0x03, 0xe9], "1001");
        // The answer, masked with zeros.
        stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).unwrap();
        assert_eq!(server.exit_code(), 0);
    }
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let (_server, address) = echo(&[]);
    let second = run(&["serve", "--listen", &address], b"");
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains(&address) && told.contains("--listen"), "{told}");
}

#[test]
fn bad_arguments_are_usage_errors() {
    for arguments in [
        &["serve", "dance"][..],
        &["serve", "--max-message", "much"],
        &["serve", "--origin", "not an origin"],
        &["serve", "--subprotocol", "two words"],
        &["serve", "--threads", "0"],
        &["serve", "--ping-interval", "sometimes"],
    ] {
        assert_eq!(run(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn threads_are_as_many_as_asked() {
    for threads in ["1", "3"] {
        let (_server, address) = echo(&["--threads", threads]);
        let talk = run(&["connect", "--count", "1", &format!("ws://{address}")], b"hi\n");
        assert_eq!(talk.stdout, b"hi\n");
    }
}

#[test]
fn what_compression_saves_is_told() {
    let (_server, address) = echo(&["--compress"]);
    let told = || http(&address, &format!("GET /compression HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(told().ends_with("{\"messages\":0,\"wire\":0}"), "{}", told());
    let line = "the same words again and again, ".repeat(50);
    let url = format!("ws://{address}/");
    let output = run(
        &["connect", "--compress", "-v", "--count", "3", &url],
        format!("{line}\n{line}\n{line}\n").as_bytes(),
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("agreed on permessage-deflate\n"), "{said}");
    assert!(
        said.contains(&format!(" bytes on the wire for {} bytes of messages: ", 6 * line.len())),
        "{said}"
    );
    let percent = said.rsplit(": ").next().unwrap().trim().trim_end_matches(" %");
    assert!(percent.parse::<u64>().unwrap() < 20, "{said}");
    let told = told();
    let (_, wire) = told.split_once(&format!("{{\"messages\":{},\"wire\":", 6 * line.len())).expect(&told);
    assert!(wire.trim_end_matches('}').parse::<usize>().unwrap() < line.len(), "{told}");
    // Without it nothing is said, and nothing is counted.
    let output = run(&["connect", "-v", "--count", "1", &url], format!("{line}\n").as_bytes());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! `ws13 connect` and `ws13 peer`, as their users see them.

mod common;

use common::{PATIENCE, Running, run};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn echo(arguments: &[&str]) -> (Running, String) {
    let (server, address) = Running::listening(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    (server, format!("ws://{address}/"))
}

/// A server for one connection: gets the request's head, does what it likes.
fn server(serve: impl FnOnce(String, TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        serve(String::from_utf8(head).unwrap(), stream);
    });
    url
}

#[test]
fn compresses_where_both_are_asked_to() {
    let lines: String = (0..200)
        .map(|i| format!("{{\"id\":{},\"name\":\"sensor-{}\"}}{}\n", i * 7919, i % 13, "ä".repeat(i)))
        .collect();
    for (serve, connect) in
        [(&["--compress"][..], &["--compress"][..]), (&["--compress"], &[]), (&[], &["--compress"])]
    {
        let (_server, url) = echo(serve);
        let ran = run(&[&["connect", "--count", "200"], connect, &[&url[..]]].concat(), lines.as_bytes());
        assert_eq!((ran.status.code(), &ran.stdout[..]), (Some(0), lines.as_bytes()));
    }
    let (told, offer) = std::sync::mpsc::channel();
    for connect in [&["connect", "--compress"][..], &["connect"]] {
        let told = told.clone();
        let url = server(move |head, _| told.send(head).unwrap());
        let _ = run(&[connect, &[&url[..]]].concat(), b"");
    }
    let line = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    assert!(offer.recv().unwrap().contains(line));
    assert!(!offer.recv().unwrap().contains("Sec-WebSocket-Extensions"));
}

/// Accepts the handshake by the RFC's letter, then writes `frames`, and reads until the client ends.
fn accepting(frames: &'static [u8]) -> String {
    server(move |head, mut stream| {
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        let accept = ws13::handshake::Key::parse(key.unwrap().as_bytes()).unwrap().accept();
        write!(
            stream,
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(frames).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn works_in_a_pipe() {
    let (_server, url) = echo(&[]);
    let counted = run(&["connect", "--count", "2", &url], b"a\nb\n");
    assert_eq!((counted.status.code(), &counted.stdout[..]), (Some(0), &b"a\nb\n"[..]));
    assert_eq!(counted.stderr, b"");
    // Without a count, the end of the input begins the close, and every answer still comes.
    let lines: String = (0..5000).map(|number| format!("line {number} ÄÖÜ\n")).collect();
    let all = run(&["connect", &url], lines.as_bytes());
    assert_eq!((all.status.code(), all.stdout), (Some(0), lines.into_bytes()));
}

#[test]
fn binary_takes_any_bytes_and_text_only_utf8() {
    let (_server, url) = echo(&[]);
    let binary = run(&["connect", "--binary", &url], b"\xff\x00\xfe\n");
    assert_eq!((binary.status.code(), &binary.stdout[..]), (Some(0), &b"\xff\x00\xfe\n"[..]));
    let text = run(&["connect", &url], b"good\n\xff\nalso good\n");
    assert_eq!((text.status.code(), &text.stdout[..]), (Some(0), &b"good\nalso good\n"[..]));
    assert!(String::from_utf8(text.stderr).unwrap().contains("--binary"));
}

#[test]
fn headers_and_subprotocols_go_out() {
    let url = server(|head, mut stream| {
        let head = head.to_lowercase();
        assert!(
            head.contains("\r\nx-token: a b\r\n")
                && head.contains("\r\nsec-websocket-protocol: one, two\r\n")
        );
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nseen both").unwrap();
    });
    let arguments = ["connect", "-H", "X-Token: a b", "--subprotocol", "one", "--subprotocol", "two", &url];
    let refused = run(&arguments, b"");
    assert_eq!(refused.status.code(), Some(4));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("401") && told.contains("seen both"), "{told}");
}

#[test]
fn cannot_connect_is_3() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failed = run(&["connect", &format!("ws://{closed}/")], b"");
    assert_eq!(failed.status.code(), Some(3));
    assert!(String::from_utf8(failed.stderr).unwrap().contains(&closed.to_string()));
}

#[test]
fn usage_is_2() {
    for arguments in [
        &["connect"][..],
        &["connect", "http//nonsense"],
        &["connect", "ftp://127.0.0.1/"],
        &["connect", "-H", "no colon", "ws://127.0.0.1:1/"],
        &["connect", "-H", "Upgrade: mine", "ws://127.0.0.1:1/"],
        &["connect", "--subprotocol", "two words", "ws://127.0.0.1:1/"],
    ] {
        assert_eq!(run(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_protocol_error_is_5() {
    // A reserved opcode; a wrong Sec-WebSocket-Accept.
    let frame = run(&["connect", "--count", "1", &accepting(&[0x83, 0x00])], b"");
    assert_eq!(frame.status.code(), Some(5), "{frame:?}");
    let wrong = server(|_, mut stream| {
        let answer = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(run(&["connect", &wrong], b"").status.code(), Some(5));
}

#[test]
fn an_abnormal_close_is_6_and_shows_the_code_and_reason() {
    let cut = run(&["connect", "--count", "1", &accepting(b"\x81\x02hi")], b"");
    assert_eq!(cut.status.code(), Some(0), "the message had come");
    let cut = run(&["connect", "--count", "2", &accepting(b"\x81\x02hi")], b"");
    assert_eq!((cut.status.code(), &cut.stdout[..]), (Some(6), &b"hi\n"[..]));
    let failed = run(&["connect", "--count", "1", &accepting(b"\x88\x07\x03\xf3later")], b"");
    assert_eq!(failed.status.code(), Some(6));
    let told = String::from_utf8(failed.stderr).unwrap();
    assert!(told.contains("1011") && told.contains("later"), "{told}");
    let early = run(&["connect", "--count", "1", &accepting(&[0x88, 0x02, 0x03, 0xe8])], b"");
    assert_eq!(early.status.code(), Some(6), "a clean close, but a message was counted on");
}

#[test]
fn a_timeout_is_7_for_all_of_it() {
    let (_server, url) = echo(&[]);
    let start = Instant::now();
    let late = run(&["connect", "--count", "1", "--timeout", "300ms", &url], b"");
    assert_eq!(late.status.code(), Some(7));
    assert!(start.elapsed() < PATIENCE / 2);
    let silent = server(|_, mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let never = run(&["connect", "--timeout", "300ms", &silent], b"");
    assert_eq!(never.status.code(), Some(7));
}

#[test]
fn an_interrupt_closes_cleanly() {
    let (_server, url) = echo(&[]);
    let mut talk = Running::start(&["connect", &url]);
    talk.type_line("there?");
    assert_eq!(talk.out.next(), "there?");
    talk.signal("INT");
    assert_eq!(talk.exit_code(), 0);
}

#[test]
fn by_hand_each_line_is_answered_at_once() {
    let (_server, url) = echo(&[]);
    let mut talk = Running::start(&["connect", &url]);
    for line in ["one", "two", "", "four"] {
        talk.type_line(line);
        assert_eq!(talk.out.next(), line);
    }
    talk.end_input();
    assert_eq!(talk.exit_code(), 0);
}

#[test]
fn two_peers_talk_whoever_dialled() {
    let (mut one, address) = Running::listening(&["peer", "--listen", "127.0.0.1:0"]);
    let (mut two, _) = Running::listening(&["peer", "--listen", "127.0.0.1:0", &format!("ws://{address}/")]);
    assert!(two.err.next().starts_with("connected to"));
    two.type_line("from the one who dialled");
    assert_eq!(one.out.next(), "from the one who dialled");
    one.type_line("from the one who listened");
    assert_eq!(two.out.next(), "from the one who listened");
}

#[test]
fn a_line_reaches_every_peer_once_in_a_ring_too() {
    let (mut one, first) = Running::listening(&["peer"]);
    let (two, second) = Running::listening(&["peer", &format!("ws://{first}/")]);
    let (three, _) = Running::listening(&["peer", &format!("ws://{first}/"), &format!("ws://{second}/")]);
    for connected in [&two, &three, &three] {
        assert!(connected.err.next().starts_with("connected to"));
    }
    one.type_line("round");
    assert_eq!(two.out.next(), "round");
    assert_eq!(three.out.next(), "round");
    for peer in [&one, &two, &three] {
        assert!(peer.out.nothing_for(Duration::from_millis(200)));
    }
}

#[test]
fn a_peer_dials_again_when_the_other_comes_later() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (mut early, _) = Running::listening(&["peer", &format!("ws://{address}/")]);
    assert!(early.err.next().contains("trying on"));
    let (late, _) = Running::listening(&["peer", "--listen", &address]);
    assert!(early.err.next().starts_with("connected to"));
    early.type_line("at last");
    assert_eq!(late.out.next(), "at last");
}

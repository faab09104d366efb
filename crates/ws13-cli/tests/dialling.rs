//! The way `ws13 connect` takes to a server: proxies by option and by environment, redirects, connecting again.

mod common;

use common::{Running, run, ws13};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

fn echo() -> (Running, String) {
    Running::listening(&["serve", "--listen", "127.0.0.1:0", "--allow-host", "echo.test"])
}

/// Answers each request in a thread of its own; gives its address, and the heads that came.
fn server(answer: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(Vec::new())));
    let (kept, answer) = (Arc::clone(&heads), Arc::new(answer));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                kept.lock().unwrap().push(head.clone());
                answer(&head, stream);
            });
        }
    });
    (address, heads)
}

/// A proxy that finds `echo.test` on this machine.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    server(|head, mut stream| {
        let to = head.split(' ').nth(1).unwrap().replace("echo.test", "127.0.0.1");
        let server = TcpStream::connect(to).unwrap();
        stream.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").unwrap();
        let (mut from, mut back) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut back);
            let _ = back.shutdown(std::net::Shutdown::Write);
        });
        let mut server = server;
        let _ = std::io::copy(&mut stream, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    })
}

fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = ws13(arguments);
    command
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended before.
    let _ = child.stdin.take().unwrap().write_all(b"hi\n");
    child.wait_with_output().unwrap()
}

#[test]
fn proxies_by_option_and_by_environment() {
    let ((_echo, echo), (proxy, heads)) = (echo(), proxy());
    let named = format!("ws://echo.test:{}/", echo.split(':').nth(1).unwrap());
    let with_user = format!("http://me:pw@{proxy}");
    let through = |variables: &[(&str, &str)], arguments: &[&str]| {
        let ran = run_with(variables, &[&["connect", "--count", "1"], arguments].concat());
        assert_eq!(ran.status.code(), Some(0), "{variables:?} {arguments:?} {ran:?}");
        assert_eq!(ran.stdout, b"hi\n");
        std::mem::take(&mut *heads.lock().unwrap())
    };
    let asked = through(&[], &["--proxy", &with_user, &named]);
    assert!(asked[0].contains("\r\nProxy-Authorization: Basic bWU6cHc=\r\n"), "{asked:?}");
    assert_eq!(through(&[("http_proxy", &proxy)], &[&named]).len(), 1);
    assert_eq!(through(&[("ALL_PROXY", &proxy)], &[&named]).len(), 1);
    // An option wins over what the environment says, exceptions included.
    let nowhere = ("HTTP_PROXY", "http://127.0.0.1:1");
    assert_eq!(through(&[nowhere, ("NO_PROXY", "*")], &["--proxy", &with_user, &named]).len(), 1);
    let direct = format!("ws://{echo}/");
    assert_eq!(through(&[nowhere], &[&direct]).len(), 0, "this machine needs none");
    assert_eq!(through(&[nowhere], &["--no-proxy", &direct]).len(), 0);
    assert_eq!(through(&[], &["--proxy", &with_user, &direct]).len(), 1, "but has one where it is told");

    let failed = run_with(&[nowhere], &["connect", &named]);
    assert_eq!(failed.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("127.0.0.1:1"), "{failed:?}");
}

#[test]
fn a_wrong_proxy_is_told_without_its_password() {
    for (variables, arguments) in [
        (&[][..], &["connect", "--proxy", "ftp://me:hidden@a", "ws://a/"][..]),
        (&[], &["connect", "--proxy", "http://me:hidden@", "ws://a/"]),
        (&[("HTTP_PROXY", "http://me:hidden@a b")], &["connect", "ws://a/"]),
    ] {
        let failed = run_with(variables, arguments);
        let told = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(2), "{told}");
        assert!(told.contains("invalid proxy") && !told.contains("hidden"), "{told}");
    }
    assert_eq!(run(&["connect", "--proxy", "a", "--no-proxy", "ws://a/"], b"").status.code(), Some(2));
    let (refusing, _) = server(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n").unwrap();
    });
    let failed = run(&["connect", "--proxy", &format!("http://me:hidden@{refusing}"), "ws://a/"], b"");
    let told = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(3));
    assert!(
        told.contains("does not accept the user name and the password") && !told.contains("hidden"),
        "{told}"
    );
}

#[test]
fn redirects_are_followed_where_it_is_asked() {
    let (_echo, echo) = echo();
    let (redirecting, _) = server(move |_, mut stream| {
        write!(stream, "HTTP/1.1 302 x\r\nLocation: http://{echo}/\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let url = format!("ws://{redirecting}/");
    let refused = run(&["connect", "--count", "1", &url], b"hi\n");
    assert_eq!(refused.status.code(), Some(4));
    for option in ["-L", "--location"] {
        let followed = run(&["connect", "--count", "1", option, &url], b"hi\n");
        assert_eq!((followed.status.code(), &followed.stdout[..]), (Some(0), &b"hi\n"[..]));
    }
    let (circle, _) = server(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let failed = run(&["connect", "-L", &format!("ws://{circle}/")], b"");
    assert_eq!(failed.status.code(), Some(4));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("circle"));
}

#[test]
fn it_connects_again_and_sends_what_was_typed_meanwhile() {
    let (server, address) = echo();
    let mut talk = Running::start(&["connect", "--reconnect", &format!("ws://{address}/")]);
    assert_eq!(talk.err.next(), "connected");
    talk.type_line("one");
    assert_eq!(talk.out.next(), "one");
    drop(server);
    assert!(talk.err.next().contains("trying again in"));
    talk.type_line("two");
    talk.type_line("three");
    let (_server, _) = Running::listening(&["serve", "--listen", &address]);
    assert_eq!((talk.out.next(), talk.out.next()), ("two".into(), "three".into()));
    talk.end_input();
    assert_eq!(talk.exit_code(), 0);
}

#[test]
fn reconnecting_ends_by_count_and_at_a_final_answer() {
    let (_echo, address) = echo();
    let counted = run(&["connect", "--reconnect", "--count", "2", &format!("ws://{address}/")], b"a\nb\n");
    assert_eq!((counted.status.code(), &counted.stdout[..]), (Some(0), &b"a\nb\n"[..]));
    let all = run(&["connect", "--reconnect", &format!("ws://{address}/")], b"a\nb\n");
    assert_eq!((all.status.code(), &all.stdout[..]), (Some(0), &b"a\nb\n"[..]));
    let (refusing, heads) = server(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let refused = run(&["connect", "--reconnect", &format!("ws://{refusing}/")], b"");
    assert_eq!((refused.status.code(), heads.lock().unwrap().len()), (Some(4), 1));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let late = run(&["connect", "--reconnect", "--timeout", "500ms", &format!("ws://{nobody}/")], b"hi\n");
    assert_eq!(late.status.code(), Some(7));
}

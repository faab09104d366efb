//! `ws13 check`, as its users see it.

mod common;

use common::{Running, run};

fn echo() -> (Running, String) {
    let (running, address) = Running::listening(&["serve", "--compress", "--listen", "127.0.0.1:0"]);
    (running, format!("ws://{address}/"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn our_own_server_passes_every_case_strictly() {
    let (_server, url) = echo();
    let output = run(&["check", "server", "--strict", &url], b"");
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.ends_with("0 failed, 0 skipped\n"), "{report}");
}

#[test]
fn patterns_choose_and_verbose_shows_the_bytes() {
    let (_server, url) = echo();
    let only = ["check", "server", "--only", "frames.length", "--skip", "*.binary", "-v", &url];
    let report = text(&run(&only, b"").stdout);
    assert!(report.contains("ok            frames.length.125.text  (RFC 6455 5.2)\n"), "{report}");
    assert!(!report.contains("binary") && report.contains("      -> 81 fd"), "{report}");
    assert!(report.contains("15 cases in "), "{report}");
}

#[test]
fn json_and_junit_are_written() {
    let (_server, url) = echo();
    let file = std::env::temp_dir().join(format!("ws13-check-{}.xml", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    let output = run(&["check", "server", "--only", "messages.ping", "--json", "--junit", &path, &url], b"");
    let (json, xml) = (text(&output.stdout), std::fs::read_to_string(&file).unwrap());
    std::fs::remove_file(&file).unwrap();
    assert!(json.starts_with("{\"role\":\"server\",\"target\":\"ws://"), "{json}");
    assert!(json.contains("\"id\":\"messages.ping.125\"") && json.ends_with("]}\n"), "{json}");
    assert!(xml.contains("<testcase classname=\"messages\" name=\"messages.ping.125\""), "{xml}");
}

#[test]
fn the_cases_are_listed_without_a_server() {
    let list = |role| text(&run(&["check", role, "--list", "--only", "*mask*"], b"").stdout);
    assert!(list("server").contains("frames.unmasked.text"), "{}", list("server"));
    assert!(list("client").contains("frames.masked.text") && !list("client").contains("unmasked"));
}

#[test]
fn nothing_to_test_is_2() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}/");
    for arguments in [
        &["check", "server", &url][..],
        &["check", "server"],
        &["check", "server", "--only", "nonsense", &url],
        &["check", "client", "--listen", "127.0.0.1:0", "--idle", "50ms"],
        &["check", "client", "--listen", "nonsense"],
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_failure_is_1() {
    // A program that answers everything with 200 is no WebSocket server.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let output = run(&["check", "server", "--only", "handshake.plain", "--only", "frames.length", &url], b"");
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains("seen      \"HTTP/1.1 200 OK\""), "{report}");
    assert!(report.contains("30 skipped: no connection"), "{report}");
    assert_eq!(text(&output.stderr), "ws13: 1 cases failed\n");
}

//! `wss://` with the command, as its users see it.

#[path = "../../ws13/tests/common/certificates.rs"]
mod certificates;
mod common;

use certificates::{Ca, Folder, Pair};
use common::{Running, run, ws13};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A `ws13 serve` over TLS, and its URL.
fn serve(arguments: &[&str]) -> (Running, String) {
    let server = Running::start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    let line = server.err.next();
    let url = line.split_whitespace().find(|word| word.starts_with("wss://")).expect("it tells its URL");
    (server, url.to_owned())
}

/// A certificate of ours in two files, as arguments.
struct Files {
    folder: Folder,
    ca: Ca,
}

impl Files {
    fn new() -> Files {
        let files = Files { folder: Folder::new(), ca: Ca::new("us") };
        files.folder.write("ca.pem", &files.ca.pem);
        files.put("server", &files.ca.issue(&["localhost", "127.0.0.1"]));
        files
    }

    fn put(&self, name: &str, pair: &Pair) {
        self.folder.write(&format!("{name}.pem"), &pair.chain);
        self.folder.write(&format!("{name}.key"), &pair.key);
    }

    fn path(&self, name: &str) -> String {
        self.folder.0.join(name).to_str().unwrap().to_owned()
    }

    fn serve(&self, more: &[&str]) -> (Running, String) {
        let (cert, key) = (self.path("server.pem"), self.path("server.key"));
        serve(&[&["--cert", &cert, "--key", &key], more].concat())
    }
}

fn connect(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    told(run(&[&["connect", "--count", "1", url], arguments].concat(), b"hi\n"))
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn works((code, printed, told): (Option<i32>, String, String)) -> String {
    assert_eq!((code, &printed[..]), (Some(0), "hi\n"), "{told}");
    told
}

fn fails((code, printed, told): (Option<i32>, String, String), with: i32, words: &str) {
    assert_eq!((code, &printed[..]), (Some(with), ""), "{told}");
    assert!(told.contains(words), "{words:?} is not in {told:?}");
}

#[test]
fn a_certificate_is_made_for_development_and_trusted_by_its_fingerprint() {
    let (server, url) = serve(&["--tls"]);
    let said: Vec<String> = (0..3).map(|_| server.err.next()).collect();
    let fingerprint = said[1].trim();
    assert!(said[2].contains(&format!("ws13 connect --fingerprint {fingerprint} {url}")), "{said:?}");
    works(connect(&url, &["--fingerprint", fingerprint]));
    works(connect(&url.replace("127.0.0.1", "localhost"), &["--fingerprint", &fingerprint.replace(':', "")]));
    let other = fingerprint.replace(|c: char| c.is_ascii_digit(), "A");
    fails(connect(&url, &["--fingerprint", &other]), 3, "another fingerprint");
    let warned = works(connect(&url, &["--insecure"]));
    assert!(warned.contains("WARNING"), "{warned}");
}

#[test]
fn nobody_is_trusted_without_a_reason() {
    let files = Files::new();
    let (_server, url) = files.serve(&[]);
    let mine = files.path("ca.pem");
    fails(connect(&url, &["--ca", &files.path("no.pem")]), 1, "no.pem");
    // The machine's own roots; the second line is for machines without any.
    let (code, _, told) = connect(&url, &[]);
    assert!(
        code == Some(3) && told.contains("--ca FILE") || told.contains("root certificates cannot be had")
    );
    assert_eq!(works(connect(&url, &["--ca", &mine])), "");
    fails(
        connect(&url, &["--ca", &mine, "--server-name", "example.com"]),
        3,
        "not for the name that was dialled",
    );
    works(connect(&url, &["--ca", &mine, "--server-name", "localhost"]));
    fails(connect(&url.replace("wss:", "ws:"), &[]), 4, "use https:// or wss://");
    let (_plain, address) = Running::listening(&["serve", "--listen", "127.0.0.1:0"]);
    fails(connect(&format!("wss://{address}/"), &["--ca", &mine]), 3, "does not speak TLS");
}

/// What the operating system trusts: OpenSSL's variable names another file for it.
#[test]
#[cfg(target_os = "linux")]
fn what_the_machine_trusts_is_trusted() {
    let files = Files::new();
    let (_server, url) = files.serve(&[]);
    let mut command = ws13(&["connect", "--count", "1", &url]);
    command.env("SSL_CERT_FILE", files.path("ca.pem")).env_remove("SSL_CERT_DIR");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hi\n").unwrap();
    works(told(child.wait_with_output().unwrap()));
}

#[test]
fn the_page_comes_by_https() {
    let (_server, url) = serve(&["--tls"]);
    let address = url.trim_start_matches("wss://").trim_end_matches('/');
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = openssl.stdin.take().unwrap();
    write!(input, "GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let page = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("</html>"));
    drop(input);
    let origin = url.replace("wss:", "https:");
    let origin = format!("Origin: {}", origin.trim_end_matches('/'));
    works(connect(&url, &["--insecure", "-H", &origin]));
    fails(connect(&url, &["--insecure", "-H", &origin.replace("https", "http")]), 4, "403");
}

#[test]
fn a_renewed_certificate_is_read_when_it_is_there_and_on_a_signal() {
    let files = Files::new();
    let (server, url) = files.serve(&[]);
    let ca = files.path("ca.pem");
    let mut open = Running::start(&["connect", &url, "--ca", &ca]);
    open.type_line("one");
    assert_eq!(open.out.next(), "one");
    std::thread::sleep(Duration::from_millis(20));
    files.put("server", &files.ca.issue(&["localhost", "127.0.0.1"]));
    // It may look between the two files.
    let mut line = server.err.next();
    while line.contains("stays as it was") {
        line = server.err.next();
    }
    let fingerprint = line.split_whitespace().last().unwrap().to_owned();
    works(connect(&url, &["--fingerprint", &fingerprint]));
    files.folder.write("server.key", "nonsense");
    server.signal("HUP");
    assert!(server.err.next().contains("no private key in the PEM"));
    works(connect(&url, &["--fingerprint", &fingerprint]));
    open.type_line("two");
    assert_eq!(open.out.next(), "two", "a connection goes on");
}

#[test]
fn clients_are_asked_for_certificates() {
    let files = Files::new();
    files.put("client", &files.ca.issue(&["me"]));
    let ca = files.path("ca.pem");
    let (_server, url) = files.serve(&["--client-ca", &ca]);
    let (cert, key) = (files.path("client.pem"), files.path("client.key"));
    works(connect(&url, &["--ca", &ca, "--cert", &cert, "--key", &key]));
    fails(connect(&url, &["--ca", &ca]), 3, "wants to be shown a certificate");
    fails(connect(&url, &["--ca", &ca, "--cert", &cert]), 2, "--key");
}

/// Both ends write the same secrets, where Wireshark looks for them.
#[test]
fn the_keys_are_logged_where_the_environment_says() {
    let files = Files::new();
    let (cert, key, ca) = (files.path("server.pem"), files.path("server.key"), files.path("ca.pem"));
    let logs = [files.path("server.log"), files.path("client.log")];
    let mut server = ws13(&["serve", "--listen", "127.0.0.1:0", "--cert", &cert, "--key", &key]);
    let server = Running::of(server.env("SSLKEYLOGFILE", &logs[0]));
    let line = server.err.next();
    let url = line.split_whitespace().find(|word| word.starts_with("wss://")).unwrap().to_owned();
    let mut client = ws13(&["connect", &url, "--ca", &ca]);
    client.env("SSLKEYLOGFILE", &logs[1]).stdin(Stdio::null());
    assert!(client.status().unwrap().success());
    let [theirs, ours] = logs.map(|log| std::fs::read_to_string(log).unwrap());
    assert!(ours.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{ours}");
    let sorted = |log: &str| {
        let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn peers_talk_through_tls() {
    let files = Files::new();
    let (cert, key, ca) = (files.path("server.pem"), files.path("server.key"), files.path("ca.pem"));
    let mut one = Running::start(&["peer", "--cert", &cert, "--key", &key]);
    let line = one.err.next();
    let url = line.split_whitespace().find(|word| word.starts_with("wss://")).unwrap().to_owned();
    let mut two = Running::start(&["peer", "--ca", &ca, &url]);
    while !two.err.next().starts_with("connected to wss://") {}
    two.type_line("from two");
    assert_eq!(one.out.next(), "from two");
    one.type_line("from one");
    assert_eq!(two.out.next(), "from one");
}

#[test]
fn bad_arguments_are_told() {
    let url = "wss://127.0.0.1:1/";
    for arguments in [
        &["connect", "--fingerprint", "AB:CD", url][..],
        &["connect", "--insecure", "--ca", "x.pem", url],
        &["serve", "--cert", "x.pem"],
    ] {
        assert_eq!(run(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    assert!(!Path::new("no/such.pem").exists());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--cert", "no/such.pem", "--key", "no/such.key"];
    fails(told(run(&arguments, b"")), 1, "no/such.pem");
}

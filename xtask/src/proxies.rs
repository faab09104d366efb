//! Real proxies between `ws13` and npm's ws: tinyproxy for CONNECT, squid for CONNECT over TLS, microsocks for SOCKS5, with
//! and without a user.

use crate::checks::{blocking_proxy, ws13};
use crate::dial::{Dial, run_all};
use crate::foreign::{node_modules, node_script};
use crate::front::program;
use crate::tls::{Files, openssl, wss};
use crate::tools::{self, Outcome, Served, command, emptied, folder, free_port, output, write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a proxy may take until it listens.
const START: Duration = Duration::from_secs(20);

pub(crate) fn check() -> Outcome {
    let node = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    let server = Served::start(&mut node_script(&node, "server.mjs"))?;
    let port = server.address().rsplit(':').next().unwrap_or_default().to_owned();
    let dir = folder("proxies")?;
    emptied(&dir)?;
    let open = tinyproxy(&dir, "open", "")?;
    let closed = tinyproxy(&dir, "closed", "BasicAuth me pass-word\n")?;
    let filtered = tinyproxy(&dir, "filtered", "ConnectPort 443\n")?;
    let socks = microsocks(&[])?;
    let socks_user = microsocks(&["-u", "me", "-P", "pass-word"])?;

    let (http, with_user) = (open.url("http", ""), closed.url("http", "me:pass%2Dword@"));
    let (anonymous, wrong) = (closed.url("http", ""), closed.url("http", "me:hidden@"));
    let mut runs = Vec::new();
    for proxy in [
        http,
        with_user.clone(),
        socks.url("socks5h", ""),
        socks.url("socks5", ""),
        socks.url("socks5h", "me:unasked@"),
        socks_user.url("socks5h", "me:pass%2Dword@"),
        socks_user.url("socks5", "me:pass%2Dword@"),
    ] {
        // By name, so that it matters who resolves it.
        runs.push(echoed(format!("ws://localhost:{port}/"), proxy));
    }
    openssl()?;
    let files = Files::make()?;
    let mut secure = node_script(&node, "server.mjs");
    let secure = Served::start(secure.env("TLS_CERT", &files.cert).env("TLS_KEY", &files.key))?;
    for proxy in [with_user.clone(), socks_user.url("socks5h", "me:pass%2Dword@")] {
        let (url, mut dial) = echoed(wss(&secure), proxy);
        dial.name = format!("wss {}", dial.name);
        dial.options.extend(["--ca".into(), files.ca.clone()]);
        runs.push((url, dial));
    }
    let squid = squid(&dir, &files)?;
    let (over_tls, unknown) = (squid.named("https", "me:pass%2Dword@"), squid.named("https", "me:hidden@"));
    let trusted = || ["--proxy-ca".to_owned(), files.ca.clone()];
    for url in [format!("ws://localhost:{port}/"), wss(&secure)] {
        let (url, mut dial) = echoed(url, over_tls.clone());
        dial.name = format!("{} {}", url.split(':').next().unwrap_or_default(), dial.name);
        dial.options.extend(["--ca".into(), files.ca.clone()]);
        dial.options.extend(trusted());
        runs.push((url, dial));
    }
    let url = format!("ws://127.0.0.1:{port}/");
    let (_, mut of_squid) = refused(&url, unknown, "does not accept the user name and the password");
    of_squid.options.extend(trusted());
    runs.push((url.clone(), of_squid));
    runs.push(refused(&url, over_tls.clone(), "(--proxy-ca FILE)"));
    runs.push(refused(&url, anonymous, "wants a user name and a password"));
    runs.push(refused(&url, wrong, "does not accept the user name and the password"));
    runs.push(refused(&url, filtered.url("http", ""), "403 Forbidden: it does not allow"));
    runs.push(refused(&url, socks_user.url("socks5h", ""), "wants a user name and a password"));
    runs.push(refused(&url, socks_user.url("socks5h", "me:hidden@"), "does not accept"));
    let nobody = format!("ws://127.0.0.1:{}/", free_port()?);
    runs.push(refused(&nobody, with_user, "did not reach the server"));
    runs.push(refused(&nobody, socks.url("socks5h", ""), "the server refused its connection"));
    run_all(&ws13()?, &runs, &[])?;

    for proxy in [
        open.url("http", ""),
        closed.url("http", "me:pass%2Dword@"),
        socks.url("socks5h", ""),
        socks_user.url("socks5", "me:pass%2Dword@"),
        over_tls,
    ] {
        let mut dial = command(blocking_proxy()?);
        // Which the platform's verifier reads on Linux.
        dial.env("SSL_CERT_FILE", &files.ca);
        let said = output(dial.arg(format!("ws://localhost:{port}/")).arg(&proxy))?;
        if said.trim() != "hello" {
            return Err(format!("the blocking driver through {proxy} got {said:?}"));
        }
        println!("ok - blocking: {}", shown(&proxy));
    }
    Ok(())
}

/// Lines that come back through a proxy.
fn echoed(url: String, proxy: String) -> (String, Dial) {
    let (input, name) = ("one\ngrüße\n".to_owned(), format!("through {}", shown(&proxy)));
    let options = vec!["--count".into(), "2".into(), "--proxy".into(), proxy];
    (url, Dial { name, options, printed: input.clone(), input, ..Dial::default() })
}

/// A proxy that opens no tunnel, and the words that say why.
fn refused(url: &str, proxy: String, told: &'static str) -> (String, Dial) {
    let name = format!("{}: {told}", shown(&proxy));
    let dial =
        Dial { name, options: vec!["--proxy".into(), proxy], code: 3, told: vec![told], ..Dial::default() };
    (url.to_owned(), Dial { untold: vec!["hidden", "pass-word"], ..dial })
}

/// A proxy's URL without its port, which differs from run to run.
fn shown(proxy: &str) -> &str {
    proxy.rsplit_once(':').map_or(proxy, |(url, _)| url)
}

fn tinyproxy(dir: &Path, name: &str, more: &str) -> Result<Running, String> {
    let program = program("tinyproxy", "tinyproxy-bin")?;
    let (port, config) = (free_port()?, dir.join(format!("{name}.conf")));
    write(&config, &format!("Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 50\n{more}"))?;
    Running::start(command(program).args(["-d", "-c"]).arg(&config), port)
}

/// A proxy that is itself dialled by TLS, and wants a user.
fn squid(dir: &Path, files: &Files) -> Result<Running, String> {
    let program = program("squid", "squid-openssl")?;
    let (port, config) = (free_port()?, dir.join("squid.conf"));
    // Started by root it reads this as somebody else, who may not look into this folder.
    let users = std::env::temp_dir().join(format!("ws13-squid-{}.users", std::process::id()));
    let hash = output(command("openssl").args(["passwd", "-5", "pass-word"]))?;
    write(&users, &format!("me:{hash}"))?;
    let checker = "/usr/lib/squid/basic_ncsa_auth";
    write(
        &config,
        &format!(
            "https_port 127.0.0.1:{port} tls-cert={} tls-key={}\n\
             auth_param basic program {checker} {}\nauth_param basic realm squid\n\
             acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n\
             cache deny all\ncache_log stdio:/dev/null\naccess_log none\npid_filename none\n\
             shutdown_lifetime 0 seconds\ncoredump_dir none\npinger_enable off\n",
            files.cert,
            files.key,
            users.display()
        ),
    )?;
    let mut squid = Running::start(command(program).args(["-N", "-f"]).arg(&config), port)?;
    squid.file = Some(users);
    Ok(squid)
}

fn microsocks(options: &[&str]) -> Result<Running, String> {
    let (program, port) = (program("microsocks", "microsocks")?, free_port()?);
    let mut microsocks = command(program);
    Running::start(microsocks.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(options), port)
}

/// A proxy in a process of its own, killed when dropped.
struct Running {
    child: Child,
    port: u16,
    /// Goes with it.
    file: Option<PathBuf>,
}

impl Running {
    /// Waits until somebody listens at the port.
    fn start(command: &mut Command, port: u16) -> Result<Self, String> {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
        let running = Running { child, port, file: None };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > START {
                return Err(format!("{:?} does not listen", command.get_program()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    fn url(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}127.0.0.1:{}", self.port)
    }

    /// The same by name, which a certificate may have.
    fn named(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}localhost:{}", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.file.as_ref().map(std::fs::remove_file);
    }
}

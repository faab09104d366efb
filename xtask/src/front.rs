//! Real proxies in front of the `ws13` command: nginx, plain and ending TLS, and haproxy with the PROXY protocol; systemd's
//! own launcher of passed sockets; and nginx between our client and npm's ws.

use crate::checks::ws13;
use crate::dial::dial_with;
use crate::foreign::{node_modules, node_script, serve_echo};
use crate::tls::{Files, openssl};
use crate::tools::{
    self, Outcome, Served, apt_install, command, folder, found, free_port, read, run_within, write,
};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);

/// How long a proxy may take until it listens.
const START: Duration = Duration::from_secs(30);

/// They believe a proxy of this machine, and take one connection from each address.
const BELIEVES: [&str; 4] = ["--trust-proxy", "127.0.0.1/32", "--max-per-address", "1"];

pub(crate) fn proxies() -> Outcome {
    let dir = folder("front")?;
    let scripts = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    let check = |kind: &str, ports: &[u16]| {
        let mut script = node_script(&scripts, "front.mjs");
        run_within(PATIENCE, script.arg(kind).args(ports.iter().map(u16::to_string)))
    };
    nginx(&dir, check)?;
    haproxy(&dir, check)?;
    systemd()
}

fn nginx(dir: &Path, check: impl Fn(&str, &[u16]) -> Outcome) -> Outcome {
    let nginx = program("nginx", "nginx")?;
    openssl()?;
    let files = Files::make()?;
    let scripts = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    let theirs = Served::start(&mut node_script(&scripts, "server.mjs"))?;
    let ping = ["--ping-interval", "1s"];
    let pinging = serve_echo(&[&BELIEVES[..], &ping, &["--x-forwarded"]].concat())?;
    let standard = serve_echo(&[&BELIEVES[..], &ping, &["--forwarded"]].concat())?;
    let silent = serve_echo(&["--ping-interval", "off"])?;
    let ports = [free_port()?, free_port()?];
    let values = [
        ("PLAIN", ports[0].to_string()),
        ("TLS", ports[1].to_string()),
        ("PINGING", port(pinging.address())),
        ("STANDARD", port(standard.address())),
        ("SILENT", port(silent.address())),
        ("THEIRS", port(theirs.address())),
        ("CERTIFICATE", files.cert.clone()),
        ("PRIVATE_KEY", files.key.clone()),
    ];
    let configuration = configured(dir, "nginx.conf", &values)?;
    let mut started = command(nginx);
    let _nginx = Proxy::start(started.arg("-p").arg(dir).arg("-c").arg(configuration), &ports)?;
    check("nginx", &ports)?;
    for (scheme, port) in [("ws", ports[0]), ("wss", ports[1])] {
        dial_with(&ws13()?, &format!("{scheme}://127.0.0.1:{port}/theirs/"), &["--ca", &files.ca])?;
    }
    Ok(())
}

fn haproxy(dir: &Path, check: impl Fn(&str, &[u16]) -> Outcome) -> Outcome {
    let haproxy = program("haproxy", "haproxy")?;
    let plain = [&BELIEVES[..], &["--proxy-protocol", "--metrics"]].concat();
    let with_tls = [&plain[..], &["--tls"]].concat();
    let (plain, with_tls) = (serve_echo(&plain)?, serve_echo(&with_tls)?);
    let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
    let values = [
        ("VERSION1", ports[0].to_string()),
        ("VERSION2", ports[1].to_string()),
        ("SECURE1", ports[2].to_string()),
        ("SECURE2", ports[3].to_string()),
        ("PLAIN", port(plain.address())),
        ("WITH_TLS", port(with_tls.address())),
    ];
    let configuration = configured(dir, "haproxy.cfg", &values)?;
    let _haproxy = Proxy::start(command(haproxy).arg("-db").arg("-f").arg(configuration), &ports)?;
    check("haproxy", &ports)
}

/// The launcher listens, and starts the command with the first connection.
fn systemd() -> Outcome {
    let launcher = program("systemd-socket-activate", "systemd")?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut started = command(launcher);
    started.args(["--fdname=web", "-l", &address]).arg(ws13()?).args(["serve", "--listen", "fd:web"]);
    let _launched = Proxy::start(&mut started, &[port])?;
    let mut talk = command("sh");
    talk.arg("-c")
        .arg(format!("echo hi | {} connect --count 1 ws://{address}/ | grep -qx hi", ws13()?.display()));
    run_within(PATIENCE, &mut talk)
}

/// A configuration with its names in capitals filled in.
fn configured(dir: &Path, name: &str, values: &[(&str, String)]) -> Result<PathBuf, String> {
    let mut text = read(&tools::root().join("tests/foreign/front").join(name))?;
    text = text.replace("DIR", &dir.to_string_lossy());
    for (name, value) in values {
        text = text.replace(name, value);
    }
    let file = dir.join(name);
    write(&file, &text)?;
    Ok(file)
}

/// Where a program is; Debian keeps servers where only root's path leads.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf, String> {
    let there =
        || found(name).or_else(|| Some(Path::new("/usr/sbin").join(name)).filter(|file| file.is_file()));
    if there().is_none() {
        apt_install(package)?;
    }
    there().ok_or_else(|| format!("Debian's {package} is installed, but there is no {name}"))
}

fn port(address: &str) -> String {
    address.rsplit(':').next().unwrap_or_default().to_owned()
}

/// Somebody else's server, killed when dropped.
struct Proxy(Child);

impl Proxy {
    /// Starts it, and waits until it listens on these ports.
    fn start(command: &mut Command, ports: &[u16]) -> Result<Proxy, String> {
        println!("$ {command:?} &");
        let child = command.spawn().map_err(|e| format!("cannot run {command:?}: {e}"))?;
        let mut proxy = Proxy(child);
        let start = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
            if let Ok(Some(status)) = proxy.0.try_wait() {
                return Err(format!("{command:?} ended with {status}"));
            }
            if start.elapsed() > START {
                return Err(format!("{command:?} does not listen on {ports:?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked first, so that its workers go, too.
        let _ = command("kill").arg(self.0.id().to_string()).status();
        let _ = tools::wait(&mut self.0, Duration::from_secs(5));
    }
}

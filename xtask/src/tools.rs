//! Folders, child processes, and what is installed below `target/xtask`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What a step ends in: nothing to say, or one sentence of what is wrong.
pub(crate) type Outcome = Result<(), String>;

/// How long a server may take until it says where it listens.
const START: Duration = Duration::from_secs(30);

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the checkout")
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target/`.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A folder below `target/xtask`, made if it is missing.
pub(crate) fn folder(name: &str) -> Result<PathBuf, String> {
    let dir = target().join("xtask").join(name);
    fs::create_dir_all(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
    Ok(dir)
}

/// Runs `make` in the emptied folder, unless it has finished there before with the same recipe.
///
/// The recipe is whatever the result depends on, such as the text of a requirements file.
pub(crate) fn once(dir: &Path, recipe: &str, make: impl FnOnce() -> Outcome) -> Outcome {
    let stamp = dir.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == recipe) {
        return Ok(());
    }
    emptied(dir)?;
    make()?;
    write(&stamp, recipe)
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Starts afresh: the folder is there afterwards, and empty.
pub(crate) fn emptied(dir: &Path) -> Outcome {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(|e| format!("cannot empty {}: {e}", dir.display()))?;
    }
    fs::create_dir_all(dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))
}

/// The cargo that runs this program, in the checkout.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split_whitespace());
    command
}

pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // This program's own environment by `cargo run` is no business of its children.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Says what is run, runs it to its end, and wants it to succeed.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().map_err(|e| format!("cannot run `{shown}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}`: {status}")) }
}

/// The same for what might hang: it is ended after `limit`.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Outcome {
    let shown = shown(command);
    println!("$ {shown}");
    let mut child = command.spawn().map_err(|e| format!("cannot run `{shown}`: {e}"))?;
    let status =
        wait(&mut child, limit).ok_or_else(|| format!("`{shown}` took over {} s", limit.as_secs()))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}`: {status}")) }
}

/// What a command prints on its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command.output().map_err(|e| format!("cannot run `{shown}`: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{shown}`: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for the end of a child; a child that is late is killed, and gives `None`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Where on the path a program of this name is.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Brings apt's lists up to date, which takes root.
pub(crate) fn apt_update() -> Outcome {
    println!("Debian's lists of packages are brought up to date");
    run(command("apt-get").args(["update", "-qq"]))
}

/// Installs a Debian package on the machine itself. Only for what cannot live below `target/xtask`.
pub(crate) fn apt_install(package: &str) -> Outcome {
    let missing =
        || format!("{package} is missing: install it, on Debian by `apt-get install {package}`, as root");
    let root = output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || found("apt-get").is_none() {
        return Err(missing());
    }
    println!("{package} is missing, so Debian's package of it is installed on this machine");
    apt_update()?;
    let mut install = command("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", package]);
    // A service that comes along is not started.
    run(install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
        .map_err(|why| format!("{}: {why}", missing()))
}

/// A port of loopback that is free, for a server that cannot choose one itself.
pub(crate) fn free_port() -> Result<u16, String> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    socket.map(|address| address.port()).map_err(|e| format!("no free port: {e}"))
}

fn shown(command: &Command) -> String {
    // A path of this checkout is shown whole, another program's name alone.
    let program = Path::new(command.get_program());
    let program = if program.starts_with(root()) { Some(program.as_os_str()) } else { program.file_name() };
    let words = program.into_iter().chain(command.get_args()).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ").replace(&format!("{}/", root().display()), "")
}

/// A server in a process of its own, killed when dropped.
pub(crate) struct Served {
    child: Child,
    /// `ws://127.0.0.1:PORT/`
    pub(crate) url: String,
}

impl Served {
    /// Starts a server and waits until a line of its output holds its address or its bare port.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let shown = shown(command);
        println!("$ {shown} &");
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|e| format!("cannot run `{shown}`: {e}"))?;
        let (lines, heard) = mpsc::channel();
        listen(child.stdout.take().expect("piped"), lines.clone());
        listen(child.stderr.take().expect("piped"), lines);
        let mut served = Self { child, url: String::new() };
        let start = Instant::now();
        let mut said = String::new();
        while let Ok(line) = heard.recv_timeout(START.saturating_sub(start.elapsed())) {
            if let Some(port) = port(&line) {
                served.url = format!("ws://127.0.0.1:{port}/");
                return Ok(served);
            }
            said = line;
        }
        Err(format!("`{shown}` did not say where it listens; its last words: {said:?}"))
    }

    /// Waits for its end, and wants it to succeed.
    pub(crate) fn finish(mut self, limit: Duration) -> Outcome {
        match wait(&mut self.child, limit) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("it ended with {status}")),
            None => Err(format!("it took over {} s", limit.as_secs())),
        }
    }

    /// `http://127.0.0.1:PORT/`
    pub(crate) fn http(&self) -> String {
        self.url.replacen("ws:", "http:", 1)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches('/')
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes the lines on, and goes on reading when nobody hears them, so that the writer never stalls.
fn listen(stream: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}

fn port(line: &str) -> Option<u16> {
    let tail = line.split("127.0.0.1:").nth(1).unwrap_or(line);
    let digits = tail.split(|c: char| !c.is_ascii_digit()).next()?;
    // A bare port stands alone; a number within other words is none.
    (line.contains("127.0.0.1:") || digits == line.trim()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn a_server_tells_its_port_alone_or_in_an_address() {
        assert_eq!(port("4711"), Some(4711));
        assert_eq!(port("ws13: listening on ws://127.0.0.1:4711/"), Some(4711));
        assert_eq!(port("12 threads"), None);
        assert_eq!(port("listening soon"), None);
        assert_eq!(port("127.0.0.1:99999"), None);
    }
}

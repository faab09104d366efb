//! One measurement: a server on one core, the load generator on the other.

use crate::servers::{Server, beside};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use ws13_bench::{
    process::Guarded,
    scenario::{CHURN_CONNECTIONS, IDLE_CONNECTIONS, Scenario},
};

/// What the load generator found in a scenario.
#[derive(Deserialize, Clone, Copy)]
pub struct Load {
    pub messages: f64,
    pub cpu_us_per_message: f64,
    /// The share of the window in which the server used its core.
    pub server_busy: f64,
    /// The share of the window in which the server or the load generator waited for its core.
    pub disturbed: f64,
    /// Messages a second.
    pub rate: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

/// What it found with silent connections.
#[derive(Deserialize, Clone, Copy)]
pub struct Idle {
    pub bytes_per_connection: f64,
}

/// What it found with connections that come and go.
#[derive(Deserialize, Clone, Copy)]
pub struct Churn {
    pub cpu_us_per_handshake: f64,
    pub rate: f64,
    /// Bytes that the server grew by, from after a tenth of the connections to after all.
    pub grown: f64,
}

impl Load {
    /// The least disturbed of a few tries; of one, on a quiet machine.
    pub fn measure(running: &Running, scenario: &Scenario, window: f64) -> io::Result<Self> {
        let mut best = Self::measure_once(running, scenario, window)?;
        for _ in 1..TRIES {
            // More than all of the window: threads of one server, which wait for each other every time.
            if best.disturbed <= TOLERATED || best.disturbed > 1.0 {
                break;
            }
            match Self::measure_once(running, scenario, window) {
                Ok(other) if other.disturbed < best.disturbed => best = other,
                _ => {}
            }
        }
        Ok(best)
    }

    fn measure_once(running: &Running, scenario: &Scenario, window: f64) -> io::Result<Self> {
        running.measure(arguments(scenario, window), Duration::from_secs_f64(window) + PATIENCE)
    }

    /// While `perf` counts, which listens on the fifos in a directory.
    pub fn counted(running: &Running, scenario: &Scenario, window: f64, fifos: &Path) -> io::Result<Self> {
        let mut arguments = arguments(scenario, window);
        arguments.extend(["--perf".into(), fifos.display().to_string()]);
        running.measure(arguments, Duration::from_secs_f64(window) + PATIENCE)
    }
}

fn arguments(scenario: &Scenario, window: f64) -> Vec<String> {
    let options = [
        ("--connections", scenario.connections.to_string()),
        ("--size", scenario.size.to_string()),
        ("--depth", scenario.depth.to_string()),
        ("--kind", scenario.kind.name().into()),
        ("--window", window.to_string()),
    ];
    options.iter().flat_map(|(name, value)| [name.to_string(), value.clone()]).collect()
}

impl Idle {
    pub fn measure(server: &Server, home: &Path) -> io::Result<Self> {
        let connections = IDLE_CONNECTIONS.to_string();
        let arguments = ["--idle", "--size", "64", "--connections", &connections].map(String::from).to_vec();
        Running::start(server, home, SMALL_READ_BUFFER)?.measure(arguments, PATIENCE)
    }
}

impl Churn {
    pub fn measure(server: &Server, home: &Path) -> io::Result<Self> {
        let arguments = ["--churn", &CHURN_CONNECTIONS.to_string()].map(String::from).to_vec();
        Running::start(server, home, SMALL_READ_BUFFER)?.measure(arguments, PATIENCE)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} µs a message, disturbed {:.0} %", self.cpu_us_per_message, self.disturbed * 100.0)
    }
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} µs a handshake, {:+.0} KiB", self.cpu_us_per_handshake, self.grown / 1024.0)
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} B a connection", self.bytes_per_connection)
    }
}

/// A server in a process of its own.
pub struct Running {
    process: Guarded,
    address: String,
    parses_nothing: bool,
}

impl Running {
    pub fn start(server: &Server, home: &Path, read_buffer: usize) -> io::Result<Self> {
        let mut command = Command::new(server.file(home));
        command
            .args(server.arguments(read_buffer))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Guarded::spawn(&mut command, SERVER_CORE)?;
        let address = address_of(&mut process)?;
        Ok(Self { process, address, parses_nothing: server.parses_nothing() })
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn measure<T: DeserializeOwned>(&self, mut arguments: Vec<String>, patience: Duration) -> io::Result<T> {
        arguments.extend(["--connect".into(), self.address.clone(), "--pid".into(), self.pid().to_string()]);
        arguments.extend(self.parses_nothing.then(|| "--masked-replies".into()));
        let mut command = Command::new(beside("load"));
        let mut load = Guarded::spawn(command.args(arguments).stdout(Stdio::piped()), LOAD_CORE)?;
        if !load.wait(patience)?.success() {
            return Err(io::Error::other("the load generator gave up"));
        }
        let mut line = String::new();
        load.0.stdout.take().expect("piped").read_to_string(&mut line)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

/// Waits for the line `listening on …:PORT`, on either of the server's outputs.
fn address_of(server: &mut Guarded) -> io::Result<String> {
    let (sender, receiver) = mpsc::channel();
    let outputs: [Box<dyn Read + Send>; 2] =
        [Box::new(server.0.stdout.take().expect("piped")), Box::new(server.0.stderr.take().expect("piped"))];
    for output in outputs {
        let sender = sender.clone();
        // Reads on after the line, so that the server never waits for us; ends with the server.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = sender.send(port_of(address));
                }
            }
        });
    }
    drop(sender);
    let port = receiver.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the server does not listen"))?;
    Ok(format!("127.0.0.1:{port}"))
}

/// `127.0.0.1:80`, `ws://127.0.0.1:80/`: what stands after the last colon, as far as it is digits.
fn port_of(address: &str) -> String {
    let after = address.rsplit(':').next().unwrap_or_default();
    after.chars().take_while(char::is_ascii_digit).collect()
}

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
const SMALL_READ_BUFFER: usize = 8 * 1024;
const TRIES: usize = 3;
const TOLERATED: f64 = 0.05;
/// The longest that anything here may take, beside the window itself.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_port() {
        assert_eq!(port_of("127.0.0.1:4711"), "4711");
        assert_eq!(port_of("ws://127.0.0.1:4711/"), "4711");
    }
}

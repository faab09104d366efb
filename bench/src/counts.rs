//! System calls and allocations a message, counted by the kernel while the load runs.

use crate::{
    measure::{Load, Running},
    servers::Server,
};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use ws13_bench::scenario::Scenario;

/// What a server did for a message.
#[derive(Clone, Copy)]
pub struct Counts {
    pub system_calls: f64,
    /// `None` where the kernel cannot be asked.
    pub allocations: Option<f64>,
}

/// Probes on the allocator; they go when this does.
pub struct Probes(bool);

impl Probes {
    /// Needs root and `perf`; without them allocations are not counted.
    pub fn set() -> Self {
        let set = ALLOCATING.iter().all(|function| {
            let probe = format!("{function}={function}");
            quietly(Command::new("perf").args(["probe", "-q", "-f", "-x", LIBC, &probe]))
        });
        Self(set)
    }

    fn events(&self) -> Vec<String> {
        let allocations =
            ALLOCATING.iter().filter(|_| self.0).map(|function| format!("probe_libc:{function}"));
        std::iter::once("raw_syscalls:sys_enter".to_owned()).chain(allocations).collect()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        quietly(Command::new("perf").args(["probe", "-q", "-d", "probe_libc:*"]));
    }
}

impl Counts {
    pub fn measure(server: &Server, home: &Path, scenario: &Scenario, probes: &Probes) -> io::Result<Self> {
        let running = Running::start(server, home, scenario.read_buffer())?;
        let fifos = Fifos::make()?;
        let control = format!("fifo:{0}/control,{0}/answers", fifos.0.display());
        let counting = Command::new("perf")
            .args(["stat", "-x,", "--delay=-1", "--control", &control, "-e", &probes.events().join(",")])
            .args(["-p", &running.pid().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let load = Load::counted(&running, scenario, WINDOW, &fifos.0);
        quietly(Command::new("kill").args(["-INT", &counting.id().to_string()]));
        let said = counting.wait_with_output()?;
        let load = load?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let count = |name: &str| -> Option<f64> {
            let line = said.lines().find(|line| line.contains(name))?;
            line.split(',').next()?.parse().ok()
        };
        let messages = load.messages;
        let system_calls = count("sys_enter").ok_or_else(|| io::Error::other(said.clone()))? / messages;
        let allocations =
            ALLOCATING.iter().map(|function| count(&format!("probe_libc:{function},"))).sum::<Option<f64>>();
        Ok(Self { system_calls, allocations: allocations.map(|all| all / messages).filter(|_| probes.0) })
    }
}

/// A directory with the two fifos by which `perf` is told when to count; it goes when this does.
struct Fifos(PathBuf);

impl Fifos {
    fn make() -> io::Result<Self> {
        let fifos = Self(std::env::temp_dir().join(format!("ws13-bench-{}", std::process::id())));
        fs::create_dir_all(&fifos.0)?;
        match quietly(Command::new("mkfifo").args(["control", "answers"]).current_dir(&fifos.0)) {
            true => Ok(fifos),
            false => Err(io::Error::other(format!("no fifo can be made in {}", fifos.0.display()))),
        }
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} system calls", self.system_calls)?;
        self.allocations.map_or(Ok(()), |all| write!(f, ", {all:.3} allocations"))
    }
}

fn quietly(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What the C library's allocator is asked for by programs in Rust.
const ALLOCATING: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
/// Seconds.
const WINDOW: f64 = 1.0;

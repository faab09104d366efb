//! Processes: pinning, CPU time, memory, and children that cannot outlive us.

use std::{
    fs, io,
    net::TcpStream,
    os::fd::AsRawFd,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

/// What all threads of a process together have had of the CPU.
#[derive(Clone, Copy)]
pub struct CpuTime {
    /// Nanoseconds on a core.
    pub used: u64,
    /// Nanoseconds ready to run, but waiting for a core.
    pub waited: u64,
}

pub fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let mut total = CpuTime { used: 0, waited: 0 };
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two calls.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let mut fields = text.split_whitespace().map_while(|field| field.parse::<u64>().ok());
        total.used += fields.next().unwrap_or(0);
        total.waited += fields.next().unwrap_or(0);
    }
    Ok(total)
}

/// Nanoseconds of the CPU that a process has had, those of threads that have ended among them, to a hundredth of a second.
pub fn cpu_time_of_all(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything; user and system time are the 14th and 15th field, it is the second.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    // SAFETY: no memory is involved.
    let per_second = check(unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as libc::c_int)?;
    Ok(ticks.sum::<u64>() * 1_000_000_000 / per_second as u64)
}

impl std::ops::Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// Bytes of memory a process has resident. `smaps_rollup` walks the pages; `statm` may lag behind.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or(io::Error::other("smaps_rollup has no Rss"))
}

/// Keeps the calling thread, and those it starts from now on, on one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: `set` is plain data that lives through the call, and is passed with its size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    check(result).map(drop)
}

/// Allows as many open files as the system lets us; children inherit it.
pub fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives through both calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit)).map(drop)
    }
}

/// Has a stream end with a reset when it is dropped, so that neither side remembers it.
pub fn reset_on_drop(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, len) = ((&raw const linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: `linger` lives through the call, and `len` is its size.
    let set = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, len) };
    check(set).map(drop)
}

/// A child that is killed when this value is dropped, or when the thread that started it ends.
pub struct Guarded(pub Child);

impl Guarded {
    /// Starts `command` on one core.
    pub fn spawn(command: &mut Command, core: usize) -> io::Result<Self> {
        // SAFETY: the closure makes a few system calls and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                // However we end, by Ctrl-C or by a crash, the kernel ends the child too.
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                // A session of its own is a scheduling group of its own, where the kernel groups by session.
                check(libc::setsid())?;
                libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY);
                pin(core)
            });
        }
        let child = command.spawn().map(Self)?;
        // The priority is granted to root only; without it other work on the machine disturbs more.
        let _ = fs::write(format!("/proc/{}/autogroup", child.pid()), PRIORITY.to_string());
        Ok(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the end, at most `patience`; an error of kind `TimedOut` after that.
    pub fn wait(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only where the child has gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The error of the last system call, where it failed.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Ahead of ordinary work (0), without starving it.
const PRIORITY: i32 = -10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_figures() {
        let pid = std::process::id();
        assert!(cpu_time(pid).unwrap().used > 0);
        let spin = move || while cpu_time_of_all(pid).unwrap() < 50_000_000 {};
        std::thread::spawn(spin).join().unwrap();
        let gone = cpu_time_of_all(pid).unwrap();
        assert!((50_000_000..5_000_000_000).contains(&gone), "{gone}");
        assert!(resident_bytes(pid).unwrap() > 100_000);
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = Guarded::spawn(Command::new("sleep").arg("60"), 0).unwrap();
        let pid = child.pid();
        drop(child);
        assert!(cpu_time(pid).is_err());
    }

    #[test]
    fn waiting_is_bounded() {
        let mut child = Guarded::spawn(Command::new("sleep").arg("60"), 0).unwrap();
        let error = child.wait(Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

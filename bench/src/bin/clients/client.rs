//! What every client does: three loops over the same few verbs, and a meter.

use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};
use ws13_bench::{
    process::{CpuTime, cpu_time},
    upgrade,
};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Send,
    Receive,
    Ask,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Send => "send",
            Mode::Receive => "receive",
            Mode::Ask => "ask",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        [Mode::Send, Mode::Receive, Mode::Ask].into_iter().find(|mode| mode.name() == name).ok_or(())
    }
}

/// What a client is to do.
#[derive(Clone, Copy)]
pub struct Case {
    pub mode: Mode,
    /// Bytes of payload of each message.
    pub size: usize,
    /// Messages that are fed before they are flushed; with `Ask`, as many replies are waited for.
    pub batch: usize,
}

/// What a library's client does here.
pub trait Client {
    /// Takes a message to be sent; may write it, or what was fed before.
    async fn feed(&mut self, message: &'static [u8]) -> Result<()>;
    async fn flush(&mut self) -> Result<()>;
    /// Waits for messages, lets each be checked, and gives their number; at least one.
    async fn receive(&mut self, check: &Check) -> Result<usize>;
}

/// What each message must be: its length is compared always, its bytes during the warm-up.
pub struct Check {
    payload: &'static [u8],
    bytes: bool,
}

impl Check {
    pub fn message(&self, payload: &[u8]) -> Result<()> {
        let right = if self.bytes { payload == self.payload } else { payload.len() == self.payload.len() };
        if right { Ok(()) } else { Err("a message is not what was sent".into()) }
    }
}

/// A stream on which the opening handshake is over, and not a byte more was read.
pub fn dial(address: SocketAddr, case: Case) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let path = match case.mode {
        Mode::Send => "/sink".to_owned(),
        Mode::Receive => format!("/source/{}", case.size),
        Mode::Ask => "/echo".to_owned(),
    };
    upgrade::ask(&mut stream, &upgrade::request().replacen(" / ", &format!(" {path} "), 1))?;
    Ok(stream)
}

pub async fn run(mut client: impl Client, case: Case, window: Duration) -> Result<Measured> {
    let payload: &'static [u8] = crate::payload(case.size).leak();
    let mut check = Check { payload, bytes: true };
    let mut meter = Meter::new(case, window);
    loop {
        let messages = match case.mode {
            Mode::Receive => client.receive(&check).await?,
            Mode::Send | Mode::Ask => {
                for _ in 0..case.batch {
                    client.feed(payload).await?;
                }
                client.flush().await?;
                case.batch
            }
        };
        let mut due = if case.mode == Mode::Ask { case.batch } else { 0 };
        while due > 0 {
            due = due.checked_sub(client.receive(&check).await?).ok_or("more replies than messages")?;
        }
        if let Some(measured) = meter.count(messages)? {
            return Ok(measured);
        }
        check.bytes = meter.is_warming_up();
    }
}

/// One line of the results.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub struct Measured {
    /// CPU time a message.
    pub us: f64,
    pub messages_per_second: f64,
    /// Share of the window that this process was on its core.
    pub busy: f64,
    /// Share of the time that it, or the server, was ready, but had to wait for its core.
    pub disturbed: f64,
}

/// Counts messages, and takes the time of a window behind a warm-up.
struct Meter {
    messages: usize,
    /// The clock is looked at when this many have been counted.
    look_at: usize,
    look_every: usize,
    until: Instant,
    window: Duration,
    begun: Option<(Instant, usize, u64, CpuTime)>,
}

impl Meter {
    fn new(case: Case, window: Duration) -> Self {
        let until = Instant::now() + WARM_UP;
        Self { messages: 0, look_at: 0, look_every: case.batch, until, window, begun: None }
    }

    fn is_warming_up(&self) -> bool {
        self.begun.is_none()
    }

    #[inline]
    fn count(&mut self, messages: usize) -> Result<Option<Measured>> {
        self.messages += messages;
        if self.messages < self.look_at {
            return Ok(None);
        }
        self.look()
    }

    fn look(&mut self) -> Result<Option<Measured>> {
        self.look_at = self.messages + self.look_every;
        let now = Instant::now();
        if now < self.until {
            return Ok(None);
        }
        let scheduled = cpu_time(std::process::id())?;
        let Some((since, messages, used, before)) = self.begun else {
            self.until = Instant::now() + self.window;
            self.begun = Some((Instant::now(), self.messages, own_time(), scheduled));
            return Ok(None);
        };
        let seconds = (now - since).as_secs_f64();
        let used = (own_time() - used) as f64 / 1e9;
        let messages = (self.messages - messages) as f64;
        Ok(Some(Measured {
            us: used * 1e6 / messages,
            messages_per_second: messages / seconds,
            busy: used / seconds,
            disturbed: (scheduled - before).waited as f64 / 1e9 / seconds,
        }))
    }
}

/// CPU time of this process, in nanoseconds; the scheduler's own count moves only now and then.
fn own_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

const WARM_UP: Duration = Duration::from_millis(300);

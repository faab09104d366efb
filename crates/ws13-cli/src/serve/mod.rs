//! `ws13 serve`: a WebSocket server with a console page on the same port.

mod access;
mod capacity;
mod http;
mod listen;
mod room;
pub(crate) mod tls;

use crate::exit::Failure;
use crate::values::{self, Interval};
use access::Access;
use capacity::Capacity;
use clap::{Args, ValueEnum};
use room::Room;
use std::time::Duration;
use ws13::handshake::{Request, Subprotocol};
use ws13::{Config, Deflate, Error, Event, LocalAddr, Server, Stream, WebSocket};

/// What `ws13 serve` is asked.
#[derive(Args)]
pub(crate) struct Serve {
    /// What to do with messages
    #[arg(value_enum, default_value_t = Mode::Echo)]
    mode: Mode,
    /// Where to listen: 127.0.0.1:12345 if nothing is said, or the first socket that systemd passes on. Port 0 lets the
    /// system choose one, which is then printed; unix:PATH is a Unix socket, fd:NAME or fd:0 one of systemd's
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Speak a subprotocol; may be given several times, the preferred one first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<Subprotocol>,
    /// The largest message that is taken, such as 16MiB
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = values::size)]
    max_message: usize,
    /// Compress messages with clients that offer it (permessage-deflate)
    #[arg(long)]
    compress: bool,
    /// How often a connection is pinged, such as 20s, or off
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = values::interval)]
    ping_interval: Interval,
    /// Threads to serve with, each on its own; by default as many as there are processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    tls: tls::Tls,
    #[command(flatten)]
    capacity: Capacity,
    #[command(flatten)]
    access: Access,
    /// Show what it has done so far at /metrics, as Prometheus reads it: to clients of this machine, or by a name of
    /// --allow-host
    #[arg(long)]
    metrics: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Send each message back
    Echo,
    /// Send what one says to all the others
    Broadcast,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // Where it cannot be raised, the limit on connections follows the limit that there is.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.serve());
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended
    }

    async fn serve(self) -> Result<(), Failure> {
        let server = listen::bind(self.listen.as_deref()).await?;
        let address = server.local_addr()?;
        let metrics = server.metrics();
        let config = self.config();
        let room = Room::new(&config);
        let server = self.access.apply(self.capacity.apply(server.config(config)), &address);
        let mut server = server.on_http(http::answer(metrics, self.metrics, self.access.shows_figures()));
        let tls = self.tls.settings(self.listen.as_deref().unwrap_or_default())?;
        if let Some(tls) = &tls {
            server = server.tls(tls.clone());
        }
        for subprotocol in &self.subprotocol {
            server = server.subprotocol(subprotocol.clone());
        }
        let stop = stop_signal()?;
        announce(self.mode, &address, tls.is_some());
        if let Some(tls) = tls {
            self.tls.look_after(tls, &address)?;
        }
        if let Some(notice) = self.access.notice(&address) {
            eprintln!("ws13: {notice}");
        }
        match self.mode {
            Mode::Echo => {
                self.run_on_cores(server, |_, socket| echo(socket), stop).await?;
            }
            Mode::Broadcast => {
                let member = move |_, socket| room.clone().member(socket);
                self.run_on_cores(server, member, stop).await?;
            }
        }
        Ok(())
    }

    async fn run_on_cores<H, F>(
        &self,
        server: Server,
        handler: H,
        stop: impl Future<Output = ()>,
    ) -> std::io::Result<()>
    where
        H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
    {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.threads.map_or_else(all, usize::from) {
            1 => server.serve_until(handler, stop).await,
            cores => server.serve_on_cores(cores, handler, stop).await,
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.limits.max_message = self.max_message;
        // One message in, one out: what may come may also be queued.
        config.limits.queue_cap = config.limits.queue_cap.max(self.max_message);
        config.keepalive.ping_interval = self.ping_interval.0;
        config.deflate = self.compress.then(Deflate::default);
        config
    }
}

/// Sends each message back, out of the buffer that it came in.
async fn echo(mut socket: WebSocket<Stream>) -> Result<(), Error> {
    while let Some(mut lent) = socket.receive_ref().await? {
        while let Some((event, mut output)) = lent.next_event() {
            if let Event::Message(message) = event {
                output.send(message)?;
            }
        }
    }
    Ok(())
}

fn announce(mode: Mode, address: &LocalAddr, secure: bool) {
    let mode = if mode == Mode::Echo { "echo" } else { "broadcast" };
    let s = if secure { "s" } else { "" };
    eprintln!(
        "ws13 {mode} is listening on ws{s}://{address}/ (open http{s}://{address}/ in a browser; Ctrl-C ends it)"
    );
}

/// Ready at the first SIGINT or SIGTERM; a second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        eprintln!("ws13: closing all connections; once more to end at once");
        tokio::spawn(async move {
            next().await;
            std::process::exit(130);
        });
    })
}

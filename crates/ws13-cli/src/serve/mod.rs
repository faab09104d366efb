//! `ws13 serve`: a WebSocket server with a console page on the same port.

mod http;
mod room;
mod tally;
pub(crate) mod tls;

use crate::exit::Failure;
use crate::values::{self, Interval};
use clap::{Args, ValueEnum};
use room::Room;
use std::time::Duration;
use tally::Tally;
use ws13::handshake::{Origin, OriginPolicy, Request, Subprotocol};
use ws13::{Config, Deflate, Error, Event, LocalAddr, Server, Stream, WebSocket};

/// What `ws13 serve` is asked.
#[derive(Args)]
pub(crate) struct Serve {
    /// What to do with messages
    #[arg(value_enum, default_value_t = Mode::Echo)]
    mode: Mode,
    /// Where to listen; port 0 lets the system choose one, which is then printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:12345")]
    listen: String,
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
    /// Let in the web pages of this origin, such as https://example.com, or * for any; may be given several times.
    /// Without it only this server's own pages are let in. Programs, which send no Origin, always are
    #[arg(long, value_name = "ORIGIN", value_parser = allowed_origin)]
    origin: Vec<AllowedOrigin>,
    /// Threads to serve with; by default as many as there are processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    tls: tls::Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Send each message back
    Echo,
    /// Send what one says to all the others
    Broadcast,
}

#[derive(Clone, Debug)]
enum AllowedOrigin {
    Any,
    This(Origin),
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = match self.threads {
            Some(1) => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            threads => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                if let Some(threads) = threads {
                    builder.worker_threads(usize::from(threads));
                }
                builder.enable_all().build()?
            }
        };
        let ended = runtime.block_on(self.serve());
        runtime.shutdown_timeout(Duration::from_millis(100));
        ended
    }

    async fn serve(self) -> Result<(), Failure> {
        let cannot_listen = |error| {
            Failure::Local(format!("cannot listen on {}: {error}; try --listen 127.0.0.1:0", self.listen))
        };
        let mut server = Server::bind(&*self.listen).await.map_err(cannot_listen)?;
        let address = server.local_addr()?;
        let tls = self.tls.settings(&self.listen)?;
        if let Some(tls) = &tls {
            server = server.tls(tls.clone());
        }
        let config = self.config();
        let room = Room::new(&config);
        let tally = Tally::default();
        let counts = tally.clone();
        let answer = move |request: &Request| http::answer(request, &counts);
        server = server.config(config).origins(self.origins()).on_http(answer);
        for subprotocol in &self.subprotocol {
            server = server.subprotocol(subprotocol.clone());
        }
        let stop = stop_signal()?;
        announce(self.mode, &address, tls.is_some());
        if let Some(tls) = tls {
            self.tls.look_after(tls, &address)?;
        }
        match self.mode {
            Mode::Echo => server.serve_until(move |_, socket| echo(socket, tally.clone()), stop).await?,
            Mode::Broadcast => {
                server.serve_until(move |_, socket| room.clone().member(socket, tally.clone()), stop).await?;
            }
        }
        Ok(())
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

    fn origins(&self) -> OriginPolicy {
        if self.origin.is_empty() {
            return OriginPolicy::same_origin();
        }
        let listed = self.origin.iter().map(|allowed| match allowed {
            AllowedOrigin::Any => None,
            AllowedOrigin::This(origin) => Some(origin.clone()),
        });
        listed.collect::<Option<Vec<Origin>>>().map_or_else(OriginPolicy::any, OriginPolicy::list)
    }
}

/// Sends each message back, out of the buffer that it came in.
async fn echo(mut socket: WebSocket<Stream>, tally: Tally) -> Result<(), Error> {
    if socket.extensions().is_some() {
        return echo_and_count(socket, tally).await;
    }
    while let Some(mut lent) = socket.receive_ref().await? {
        while let Some((event, mut output)) = lent.next_event() {
            if let Event::Message(message) = event {
                output.send(message)?;
            }
        }
    }
    Ok(())
}

/// The same, and counts what compression saves.
async fn echo_and_count(mut socket: WebSocket<Stream>, tally: Tally) -> Result<(), Error> {
    let mut tally = tally.connection();
    loop {
        match socket.receive_ref().await? {
            None => return Ok(()),
            Some(mut lent) => {
                while let Some((event, mut output)) = lent.next_event() {
                    if let Event::Message(message) = event {
                        tally.messages(2 * message.as_bytes().len());
                        output.send(message)?;
                    }
                }
            }
        }
        tally.wire(socket.bytes_read() + socket.bytes_written() + socket.queued() as u64);
    }
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

fn allowed_origin(text: &str) -> Result<AllowedOrigin, String> {
    match text {
        "*" => Ok(AllowedOrigin::Any),
        text => Origin::new(text).map(AllowedOrigin::This).map_err(|error| error.to_string()),
    }
}

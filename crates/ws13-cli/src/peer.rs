//! `ws13 peer`: listens and dials; a line typed at one peer reaches all the others, whoever dialled whom.
//!
//! Peers that agree on the subprotocol `ws13-peer` put a random number before each line, and pass on lines with a
//! number that they have not seen: so a line reaches everybody once, in a chain, a star or a ring. Others, such as a
//! browser, just send and get lines.

use crate::exit::Failure;
use crate::lines;
use crate::serve::tls::Tls;
use crate::tls::Trust;
use clap::Args;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ws13::handshake::{OriginPolicy, Subprotocol};
use ws13::{Client, Error, Message, Receiver, Sender, Server, Stream, WebSocket};

/// What `ws13 peer` is asked.
#[derive(Args)]
pub(crate) struct Peer {
    /// Where to listen; port 0 lets the system choose one, which is then printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Whom to dial, and to dial again when the connection is lost
    urls: Vec<String>,
    #[command(flatten)]
    tls: Tls,
    #[command(flatten)]
    trust: Trust,
}

const SUBPROTOCOL: &str = "ws13-peer";

/// How long to wait before dialling again: doubled from the first to the last.
const REDIAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

impl Peer {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.peer());
        // The thread that reads standard input may still wait for a line.
        runtime.shutdown_background();
        ended
    }

    async fn peer(self) -> Result<(), Failure> {
        let cannot_listen = |error| Failure::Local(format!("cannot listen on {}: {error}", self.listen));
        let server = Server::bind(&*self.listen).await.map_err(cannot_listen)?;
        // What cannot be dialled at all is told before anything starts.
        let dialled: Result<Vec<Client>, Failure> = self.urls.iter().map(|url| self.client(url)).collect();
        let dialled = dialled?;
        let subprotocol = Subprotocol::new(SUBPROTOCOL).map_err(|error| Failure::Usage(error.to_string()))?;
        let server = server.subprotocol(subprotocol).origins(OriginPolicy::same_origin());
        let address = server.local_addr()?;
        let (server, tls) = match self.tls.settings(&self.listen)? {
            Some(tls) => (server.tls(tls.clone()), Some(tls)),
            None => (server, None),
        };
        eprintln!(
            "ws13 peer is listening on ws{}://{address}/ (type lines; Ctrl-C ends it)",
            if tls.is_some() { "s" } else { "" }
        );
        if let Some(tls) = tls {
            self.tls.look_after(tls, &address)?;
        }

        let mesh = Arc::new(Mesh::default());
        for (url, client) in self.urls.into_iter().zip(dialled) {
            tokio::spawn(Arc::clone(&mesh).stay_connected(url, client));
        }
        tokio::spawn(Arc::clone(&mesh).say_lines());
        let stop = async {
            // When the signal cannot be had, the default action ends the process.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        };
        let serving = Arc::clone(&mesh);
        server
            .drain_timeout(Duration::from_secs(2))
            .serve_until(move |_, socket| Arc::clone(&serving).talk(socket), stop)
            .await?;
        Ok(())
    }

    fn client(&self, url: &str) -> Result<Client, Failure> {
        self.trust.apply(Client::new(url)?.subprotocol(SUBPROTOCOL).proxy_from_env(), url, false, None)
    }
}

/// All connections of this peer.
#[derive(Default)]
struct Mesh(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    links: HashMap<u64, Link>,
    seen: Seen,
}

#[derive(Clone)]
struct Link {
    sender: Sender<Stream>,
    /// Whether the other end is a `ws13 peer`, which numbers its lines.
    numbered: bool,
}

impl Mesh {
    /// Dials, talks, and dials again.
    async fn stay_connected(self: Arc<Self>, url: String, client: Client) {
        let mut wait = REDIAL.0;
        let mut told = false;
        loop {
            match client.clone().connect().await {
                Ok(socket) => {
                    (wait, told) = (REDIAL.0, false);
                    eprintln!("connected to {url}");
                    let ended = Arc::clone(&self).talk(socket).await;
                    let why = ended.err().map(|error| format!(": {error}")).unwrap_or_default();
                    eprintln!("the connection to {url} has ended{why}");
                }
                Err(error) if !told => {
                    eprintln!("{error}; trying on");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(some_of(wait)).await;
            wait = (wait * 2).min(REDIAL.1);
        }
    }

    /// Talks with one other peer until the connection ends.
    async fn talk(self: Arc<Self>, socket: WebSocket<Stream>) -> Result<(), Error> {
        let numbered = socket.subprotocol() == Some(SUBPROTOCOL);
        let (sender, receiver) = socket.split();
        let key = self.enter(Link { sender, numbered });
        let ended = self.listen(key, numbered, receiver).await;
        self.lock().links.remove(&key);
        ended
    }

    async fn listen(&self, key: u64, numbered: bool, mut receiver: Receiver<Stream>) -> Result<(), Error> {
        while let Some(message) = receiver.receive().await? {
            let Message::Text(text) = message else { continue };
            match text.split_once(' ') {
                Some((number, line)) if numbered => self.pass_on(Some(key), number, line),
                _ => self.pass_on(Some(key), &fresh_number(), &text),
            }
        }
        Ok(())
    }

    /// Sends the lines of standard input to everybody.
    async fn say_lines(self: Arc<Self>) {
        let mut input = lines::input();
        while let Some(Ok(line)) = input.recv().await {
            match String::from_utf8(line) {
                Ok(line) => self.pass_on(None, &fresh_number(), &line),
                Err(_) => eprintln!("ws13: a line of the input is not UTF-8, and was not sent"),
            }
        }
    }

    /// Shows a line that came from somebody, and sends it to all the others; a line that was here before, to nobody.
    fn pass_on(&self, from: Option<u64>, number: &str, line: &str) {
        if !self.lock().seen.insert(number) {
            return;
        }
        if from.is_some() && lines::print(&Message::from(line)).is_err() {
            std::process::exit(0);
        }
        for (key, link) in self.links() {
            if Some(key) == from {
                continue;
            }
            let sent = if link.numbered {
                link.sender.try_send(format!("{number} {line}"))
            } else {
                link.sender.try_send(line)
            };
            if let Err(error @ Error::Misuse(_)) = sent {
                eprintln!("ws13: a peer did not get a line: {error}");
            }
        }
    }

    fn enter(&self, link: Link) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let key = state.next;
        state.links.insert(key, link);
        key
    }

    fn links(&self) -> Vec<(u64, Link)> {
        self.lock().links.iter().map(|(key, link)| (*key, link.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number for a line that nobody else has given.
fn fresh_number() -> String {
    let number = getrandom::u64().expect("the operating system gives random bytes");
    format!("{number:016x}")
}

/// Between half and all of a time, by chance: peers that lost a server do not come back in one wave (RFC 6455 section
/// 7.2.3).
fn some_of(time: Duration) -> Duration {
    let chance = getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX));
    time.mul_f64(0.5 + chance / 2.0)
}

/// The numbers of the latest lines.
#[derive(Default)]
struct Seen {
    numbers: HashSet<String>,
    order: VecDeque<String>,
}

/// Lines that are remembered: more than can be under way between peers at once.
const REMEMBERED: usize = 4096;

/// The longest number that is taken from a peer.
const LONGEST: usize = 64;

impl Seen {
    /// Whether the number is new.
    fn insert(&mut self, number: &str) -> bool {
        if number.len() > LONGEST || !self.numbers.insert(number.to_owned()) {
            return false;
        }
        self.order.push_back(number.to_owned());
        if self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.numbers.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redialling_waits_a_random_time_7_2_3() {
        let whole = Duration::from_secs(1);
        let times: HashSet<Duration> = (0..100).map(|_| some_of(whole)).collect();
        assert!(times.len() > 50 && times.iter().all(|time| (whole / 2..=whole).contains(time)));
    }

    #[test]
    fn a_line_is_passed_on_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        assert!(seen.insert("a"));
        assert!(!seen.insert("a"));
        assert!(!seen.insert(&"x".repeat(LONGEST + 1)));
        for number in 0..REMEMBERED {
            assert!(seen.insert(&number.to_string()));
        }
        assert_eq!(seen.numbers.len(), REMEMBERED);
        assert!(seen.insert("a"), "it was forgotten");
    }
}

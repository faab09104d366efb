//! A run against a server: many cases at once, reported in the order of the list.

use super::case::{Case, Found, Run};
use super::cases::server_cases;
use super::http::{self, Head, Lines};
use super::inflate::Agreed;
use super::link::{Event, Link, Message};
use super::report::{Outcome, Report, Role, Verdict};
use super::trace::Trace;
use super::wire::Frame;
use super::{Error, Options};
use crate::handshake::Url;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tests the server at `url`, such as `ws://127.0.0.1:12345/echo`, which should echo messages: cases that need an echo
/// are skipped where there is none.
///
/// It opens several hundred connections, [`Options::jobs`] at once, and takes a few seconds with a good server.
///
/// # Errors
/// [`Error`] where there is nothing to test. What the server does wrong is in the report.
pub fn server(url: &str, options: &Options) -> Result<Report, Error> {
    let start = Instant::now();
    let target = Target::new(url, options)?;
    let cases: Vec<Case> = server_cases().into_iter().filter(|case| options.chooses(&case.id)).collect();
    if cases.is_empty() {
        return Err(Error::NoCase);
    }
    let state = State::of(&target);
    let target = Target { echoes: state.echoes, ..target };
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, 256) {
            scope.spawn(|| {
                while let Some((nth, case)) = take(&cases, &next) {
                    let outcome = run(case, &target, &state);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((nth, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(nth, _)| *nth);
    let mut outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    if options.chooses("alive") && state.opens.is_ok() {
        outcomes.push(run(&alive(), &target, &state));
    }
    Ok(Report { role: Role::Server, target: url.to_owned(), outcomes, time: start.elapsed() })
}

/// Cases that take long come last in the list, and are begun first.
fn take<'a>(cases: &'a [Case], next: &AtomicUsize) -> Option<(usize, &'a Case)> {
    let nth = cases.len().checked_sub(next.fetch_add(1, Ordering::Relaxed) + 1)?;
    cases.get(nth).map(|case| (nth, case))
}

/// After everything else, the server has to be as good as before.
fn alive() -> Case {
    Case::open(
        "alive",
        "10.4",
        "after all other cases, one more connection",
        "a Pong to a Ping, as in the beginning",
        |link| super::judge::goes_on(link, "it still serves"),
    )
}

fn run(case: &Case, target: &Target, state: &State) -> Outcome {
    let start = Instant::now();
    let trace = Trace::default();
    let found = state.why_not(case).map_or_else(|| play(case, target, &trace), Found::skipped);
    outcome(case, found, start.elapsed(), &trace)
}

/// A case's outcome, in either role.
pub(super) fn outcome(case: &Case, found: Found, time: Duration, trace: &Trace) -> Outcome {
    Outcome {
        id: case.id.clone(),
        section: case.section.clone(),
        title: case.title.clone(),
        expected: case.expected.clone(),
        seen: found.seen,
        verdict: found.verdict,
        time,
        bytes: trace.lines(),
    }
}

/// A rule that is broken by the way makes the case a failure, whatever it was about.
pub(super) fn with_watch(found: Found, link: &Link) -> Found {
    match &link.watch.fault {
        Some(fault) if found.verdict != Verdict::Failed => Found::failed(format!("{fault}; {}", found.seen)),
        _ => found,
    }
}

fn play(case: &Case, target: &Target, trace: &Trace) -> Found {
    let (offer, play) = match &case.run {
        Run::Ask(asking) => return asking(target, trace),
        Run::Answer(_) => return Found::skipped("it is for clients"),
        Run::Open(play) => (None, play),
        Run::Deflate(play) => (Some(OFFER), play),
    };
    match target.open(trace, offer) {
        Ok((mut link, head)) => {
            match agreed(&head) {
                Some(Ok(agreed)) => link.agree(agreed),
                Some(Err(why)) => return Found::failed(why),
                None => {}
            }
            with_watch(play(&mut link), &link)
        }
        Err(why) => Found::failed(why),
    }
}

/// What every case of permessage-deflate offers that does not say otherwise.
pub(super) const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// What a server's answer agreed on; an error where it is not legal for [`OFFER`] or anything smaller.
pub(super) fn agreed(head: &Head) -> Option<Result<Agreed, String>> {
    let elements = head.deflate();
    let first = elements.first()?;
    let mut agreed = Agreed { peer_bits: 15, peer_keeps_window: true, our_bits: 15, we_keep_window: true };
    for (nth, (name, value)) in first.iter().enumerate() {
        if first[..nth].iter().any(|(other, _)| other == name) {
            return Some(Err(format!("the answer has {name} twice (RFC 7692 7)")));
        }
        let bits = value.as_deref().and_then(window_bits);
        match (name.as_str(), value, bits) {
            ("server_no_context_takeover", None, _) => agreed.peer_keeps_window = false,
            ("client_no_context_takeover", None, _) => agreed.we_keep_window = false,
            ("server_max_window_bits", Some(_), Some(bits)) => agreed.peer_bits = bits,
            ("client_max_window_bits", Some(_), Some(bits)) => agreed.our_bits = bits,
            _ => return Some(Err(format!("the answer has {name} with {value:?} (RFC 7692 7)"))),
        }
    }
    if elements.len() > 1 {
        return Some(Err("the answer has permessage-deflate twice (RFC 7692 5)".into()));
    }
    Some(Ok(agreed))
}

/// 8 to 15, without a leading zero (RFC 7692 7.1.2).
pub(super) fn window_bits(text: &str) -> Option<u32> {
    (8..=15).find(|bits| bits.to_string() == text)
}

/// What the server turned out to do before the cases ran.
struct State {
    opens: Result<(), String>,
    echoes: bool,
    deflates: bool,
}

impl State {
    fn of(target: &Target) -> State {
        let trace = Trace::default();
        let (opens, echoes) = match target.open(&trace, None) {
            Ok((mut link, _)) => (Ok(()), is_echo(&mut link)),
            Err(why) => (Err(why), false),
        };
        let deflates = target.open(&trace, Some(OFFER)).is_ok_and(|(_, head)| !head.deflate().is_empty());
        State { opens, echoes, deflates }
    }

    /// Why a case cannot run.
    fn why_not(&self, case: &Case) -> Option<String> {
        match (&self.opens, &case.run) {
            (_, Run::Ask(_) | Run::Answer(_)) | (Ok(()), _) => {}
            (Err(why), _) => return Some(format!("no connection: {why}")),
        }
        if case.needs_deflate && !self.deflates {
            return Some("the server does not agree to permessage-deflate".into());
        }
        (case.needs_echo && !self.echoes).then(|| "the server does not echo messages".into())
    }
}

/// Whether a message comes back; what a server says on its own before is let pass.
fn is_echo(link: &mut Link) -> bool {
    let probe = Message::text("ws13 check: are you an echo?");
    link.send(&[Frame::text(&probe.payload)]);
    for _ in 0..10 {
        match link.next() {
            Event::Message(message) if message.says(&probe) => return true,
            Event::Message(_) | Event::Pong(_) => {}
            _ => return false,
        }
    }
    false
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    address: SocketAddr,
    host: String,
    path: String,
    pub(super) timeout: Duration,
    pub(super) echoes: bool,
}

impl Target {
    fn new(url: &str, options: &Options) -> Result<Target, Error> {
        let url: Url = url.parse().map_err(Error::Url)?;
        if url.secure() {
            return Err(Error::Secure);
        }
        let unreachable = |why: std::io::Error| Error::Unreachable(url.to_string(), why);
        let addresses = (url.host(), url.port()).to_socket_addrs().map_err(unreachable)?;
        let mut why = std::io::ErrorKind::NotFound.into();
        for address in addresses {
            match TcpStream::connect_timeout(&address, options.timeout) {
                Ok(_) => {
                    let (host, path) = (url.host_header().to_owned(), url.path_and_query().to_owned());
                    return Ok(Target { address, host, path, timeout: options.timeout, echoes: true });
                }
                Err(error) => why = error,
            }
        }
        Err(unreachable(why))
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The request that any server has to take (RFC 6455 4.1).
    pub(super) fn request(&self) -> Lines {
        self.request_with_key(&http::key(0))
    }

    pub(super) fn request_with_key(&self, key: &str) -> Lines {
        let line = format!("GET {} HTTP/1.1", self.path);
        let fields = [
            ("Host", self.host.as_str()),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", "13"),
        ];
        Lines::new(&line, &fields)
    }

    /// A TCP connection, without any handshake.
    pub(super) fn connect(&self, trace: &Trace) -> Result<Link, String> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout);
        let link = stream.and_then(|stream| Link::new(stream, Role::Server, self.timeout, trace.clone()));
        let mut link = link.map_err(|error| format!("no TCP connection: {error}"))?;
        link.echoes = self.echoes;
        link.target = Some(self.clone());
        Ok(link)
    }

    /// A connection after the opening handshake.
    pub(super) fn open(&self, trace: &Trace, extensions: Option<&str>) -> Result<(Link, Head), String> {
        let mut link = self.connect(trace)?;
        let mut request = self.request();
        if let Some(extensions) = extensions {
            request.add(format!("Sec-WebSocket-Extensions: {extensions}"));
        }
        link.send_bytes(&request.bytes());
        match link.read_head() {
            Ok(head) if head.status() == 101 => Ok((link, head)),
            Ok(head) => Err(format!("the handshake was answered with {:?}", head.first)),
            Err(event) => Err(format!("the handshake was answered with {event}")),
        }
    }

    /// Whether the server serves somebody else meanwhile.
    pub(super) fn serves_others(&self) -> Result<(), String> {
        let (mut link, _) = self.open(&Trace::default(), None)?;
        let found = super::judge::goes_on(&mut link, "another connection");
        if found.is_ok() { Ok(()) } else { Err(found.seen) }
    }
}

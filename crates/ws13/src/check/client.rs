//! A run against a client, by the protocol that Autobahn's fuzzing server has: the client asks how many cases there
//! are, connects once for each and echoes, and then asks for the report.

use super::case::{Case, Found, Run};
use super::cases::client_cases;
use super::http::{Head, Lines, accept};
use super::inflate::Agreed;
use super::judge::says_goodbye;
use super::link::{Event, Link};
use super::report::{Outcome, Report, Role, Verdict};
use super::server::{outcome, window_bits, with_watch};
use super::trace::Trace;
use super::wire::Frame;
use super::{Error, Options};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A server that tests its clients.
///
/// A client under test does what clients do for Autobahn's `wstest -m fuzzingserver`, one connection after the other:
/// 1. `/getCaseCount`: receive a text message with the number of cases.
/// 2. `/runCase?case=N&agent=NAME` (or `/case/N`) for each number from 1: send every message back, until the connection
///    ends, well or badly.
/// 3. `/updateReports?agent=NAME`: the run is over.
///
/// `/getCaseInfo?case=N` and `/getCaseStatus?case=N` tell a case's id, and what came of it.
#[derive(Debug)]
pub struct ClientCheck {
    listener: TcpListener,
    options: Options,
}

impl ClientCheck {
    /// Listens, such as on `127.0.0.1:9002`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(address: impl ToSocketAddrs, options: Options) -> io::Result<ClientCheck> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(ClientCheck { listener, options })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves one client until it asks for the report, or does not come for [`Options::idle`].
    ///
    /// A case that the client never asked for has failed.
    ///
    /// # Errors
    /// [`Error::NoClient`] when none came, [`Error::NoCase`] when no case was chosen.
    pub fn run(self) -> Result<Report, Error> {
        let start = Instant::now();
        let cases: Vec<Case> =
            client_cases().into_iter().filter(|case| self.options.chooses(&case.id)).collect();
        if cases.is_empty() {
            return Err(Error::NoCase);
        }
        let run = ClientRun { cases, timeout: self.options.timeout, state: Mutex::default() };
        std::thread::scope(|scope| {
            let mut last = Instant::now();
            while !run.state().over && last.elapsed() < self.options.idle {
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        scope.spawn(|| run.serve(stream));
                        last = Instant::now();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    // Such as a connection that was reset before it was accepted.
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        run.report(start.elapsed())
    }
}

struct ClientRun {
    cases: Vec<Case>,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    agent: Option<String>,
    came: bool,
    outcomes: BTreeMap<usize, Outcome>,
    over: bool,
}

impl ClientRun {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, from its request to its end.
    fn serve(&self, stream: TcpStream) {
        let trace = Trace::default();
        let prepared = stream.set_nonblocking(false);
        let link = prepared.and_then(|()| Link::new(stream, Role::Client, self.timeout, trace.clone()));
        let Ok(mut link) = link else { return };
        let Ok(head) = link.read_head() else { return };
        self.state().came = true;
        if let Some(agent) = head.query("agent") {
            self.state().agent = Some(agent.to_owned());
        }
        let status = |outcome: &Outcome| format!("{{\"behavior\":\"{}\"}}", behaviour(outcome.verdict));
        match (head.path(), self.number(&head)) {
            ("/getCaseCount", _) => tell(&mut link, &head, &self.cases.len().to_string()),
            ("/getCaseInfo", Some(nth)) => {
                let case = &self.cases[nth];
                tell(&mut link, &head, &format!("{{\"id\":\"{}\",\"description\":\"\"}}", case.id));
            }
            ("/getCaseStatus", Some(nth)) => {
                let text = self.state().outcomes.get(&nth).map_or_else(|| "{}".to_owned(), status);
                tell(&mut link, &head, &text);
            }
            ("/updateReports", _) => {
                tell(&mut link, &head, "");
                self.state().over = true;
            }
            (_, Some(nth)) => self.play(nth, &mut link, &head, &trace),
            _ => link.send_bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        }
    }

    /// Which case a path asks for: counted from 1 on the wire, from 0 here.
    fn number(&self, head: &Head) -> Option<usize> {
        let text = head.path().strip_prefix("/case/").or_else(|| head.query("case"))?;
        let nth = text.parse::<usize>().ok()?.checked_sub(1)?;
        (nth < self.cases.len()).then_some(nth)
    }

    fn play(&self, nth: usize, link: &mut Link, head: &Head, trace: &Trace) {
        let case = &self.cases[nth];
        let start = Instant::now();
        trace.note(format!("<- {}", head.first));
        let found = play(case, link, head);
        let found = with_watch(found, link);
        let outcome = outcome(case, found, start.elapsed(), trace);
        self.state().outcomes.insert(nth, outcome);
    }

    fn report(self, time: Duration) -> Result<Report, Error> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !state.came {
            return Err(Error::NoClient);
        }
        let outcomes = self.cases.iter().enumerate().map(|(nth, case)| {
            let missing = || Found::failed("the client never asked for this case");
            let came = state.outcomes.remove(&nth);
            came.unwrap_or_else(|| outcome(case, missing(), Duration::ZERO, &Trace::default()))
        });
        let outcomes = outcomes.collect();
        let target = state.agent.unwrap_or_else(|| "a client".to_owned());
        Ok(Report { role: Role::Client, target, outcomes, time })
    }
}

fn play(case: &Case, link: &mut Link, head: &Head) -> Found {
    let mut answer = answer(head);
    match &case.run {
        Run::Ask(_) => Found::skipped("it is for servers"),
        Run::Answer(answering) => answering(link, head, answer),
        Run::Open(play) => {
            link.send_bytes(&answer.bytes());
            play(link)
        }
        Run::Deflate(play) => match agreement(head) {
            Some((field, agreed)) => {
                answer.add(field);
                link.send_bytes(&answer.bytes());
                link.agree(agreed);
                play(link)
            }
            None => {
                link.send_bytes(&answer.bytes());
                says_goodbye(link, "");
                Found::skipped("the client does not offer permessage-deflate")
            }
        },
    }
}

/// The answer that any client has to take (RFC 6455 4.2.2).
fn answer(head: &Head) -> Lines {
    let key = head.all("sec-websocket-key").first().copied().unwrap_or_default();
    let accept = accept(key);
    let fields =
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.as_str())];
    Lines::new("HTTP/1.1 101 Switching Protocols", &fields)
}

/// The field that takes the client's first offer of permessage-deflate, changing as little as it allows.
fn agreement(head: &Head) -> Option<(String, Agreed)> {
    let offers = head.deflate();
    let offer = offers.first()?;
    let mut field = "Sec-WebSocket-Extensions: permessage-deflate".to_owned();
    let mut agreed = Agreed { peer_bits: 15, peer_keeps_window: true, our_bits: 15, we_keep_window: true };
    for (name, value) in offer {
        match (name.as_str(), value.as_deref().and_then(window_bits)) {
            ("server_no_context_takeover", _) => {
                field += "; server_no_context_takeover";
                agreed.we_keep_window = false;
            }
            ("server_max_window_bits", Some(bits)) => {
                field += &format!("; server_max_window_bits={bits}");
                agreed.our_bits = bits;
            }
            _ => {}
        }
    }
    Some((field, agreed))
}

/// Opens, says one thing and closes: what is not a case.
fn tell(link: &mut Link, head: &Head, text: &str) {
    link.send_bytes(&answer(head).bytes());
    if !text.is_empty() {
        link.send(&[Frame::text(text)]);
    }
    link.send(&[Frame::close_with(1000, "")]);
    while !matches!(link.next(), Event::Close(_) | Event::End(_) | Event::Silence(_)) {}
}

/// A verdict in Autobahn's words.
fn behaviour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "OK",
        Verdict::NonStrict => "NON-STRICT",
        Verdict::Informational => "INFORMATIONAL",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "UNIMPLEMENTED",
    }
}

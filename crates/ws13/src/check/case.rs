//! What a case is: what it does, which section asks for it, what has to come, and how it is judged.

use super::Verdict;
use super::http::{Head, Lines};
use super::link::Link;
use super::server::Target;
use super::trace::Trace;

/// One case.
pub(super) struct Case {
    pub(super) id: String,
    /// `RFC 6455 5.1`
    pub(super) section: String,
    /// What is done.
    pub(super) title: String,
    /// What has to come.
    pub(super) expected: String,
    /// Whether it needs a peer that echoes messages.
    pub(super) needs_echo: bool,
    /// Whether it says nothing of a server that never agrees to permessage-deflate.
    pub(super) needs_deflate: bool,
    pub(super) run: Run,
}

/// What is done, from which point on.
pub(super) enum Run {
    /// After the opening handshake, in either role.
    Open(Play),
    /// After a handshake that agreed on permessage-deflate.
    Deflate(Play),
    /// From the TCP connection on: what we ask a server.
    Ask(Asking),
    /// After a client's request: what we answer.
    Answer(Answering),
}

pub(super) type Play = Box<dyn Fn(&mut Link) -> Found + Send + Sync>;
pub(super) type Asking = Box<dyn Fn(&Target, &Trace) -> Found + Send + Sync>;
pub(super) type Answering = Box<dyn Fn(&mut Link, &Head, Lines) -> Found + Send + Sync>;

/// What was seen, and what it is worth.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) seen: String,
}

impl Case {
    fn new(id: &str, section: &str, title: &str, expected: &str, run: Run) -> Case {
        let section =
            if section.starts_with("RFC") { section.to_owned() } else { format!("RFC 6455 {section}") };
        let (id, title, expected) = (id.to_owned(), title.to_owned(), expected.to_owned());
        let needs_deflate = matches!(run, Run::Deflate(_));
        Case { id, section, title, expected, needs_echo: false, needs_deflate, run }
    }

    /// A case after the opening handshake.
    pub(super) fn open<F>(id: &str, section: &str, title: &str, expected: &str, play: F) -> Case
    where
        F: Fn(&mut Link) -> Found + Send + Sync + 'static,
    {
        Case::new(id, section, title, expected, Run::Open(Box::new(play)))
    }

    pub(super) fn deflate<F>(id: &str, section: &str, title: &str, expected: &str, play: F) -> Case
    where
        F: Fn(&mut Link) -> Found + Send + Sync + 'static,
    {
        Case::new(id, section, title, expected, Run::Deflate(Box::new(play)))
    }

    pub(super) fn ask<F>(id: &str, section: &str, title: &str, expected: &str, asking: F) -> Case
    where
        F: Fn(&Target, &Trace) -> Found + Send + Sync + 'static,
    {
        Case::new(id, section, title, expected, Run::Ask(Box::new(asking)))
    }

    pub(super) fn answer<F>(id: &str, section: &str, title: &str, expected: &str, answering: F) -> Case
    where
        F: Fn(&mut Link, &Head, Lines) -> Found + Send + Sync + 'static,
    {
        Case::new(id, section, title, expected, Run::Answer(Box::new(answering)))
    }

    pub(super) fn with_deflate(mut self) -> Case {
        self.needs_deflate = true;
        self
    }

    pub(super) fn with_echo(mut self) -> Case {
        self.needs_echo = true;
        self
    }
}

impl Found {
    pub(super) fn new(verdict: Verdict, seen: impl Into<String>) -> Found {
        Found { verdict, seen: seen.into() }
    }

    pub(super) fn ok(seen: impl Into<String>) -> Found {
        Found::new(Verdict::Ok, seen)
    }

    pub(super) fn failed(seen: impl Into<String>) -> Found {
        Found::new(Verdict::Failed, seen)
    }

    pub(super) fn weak(seen: impl Into<String>) -> Found {
        Found::new(Verdict::NonStrict, seen)
    }

    pub(super) fn told(seen: impl Into<String>) -> Found {
        Found::new(Verdict::Informational, seen)
    }

    pub(super) fn skipped(why: impl Into<String>) -> Found {
        Found::new(Verdict::Skipped, why)
    }

    /// Whether this went well enough to look further.
    pub(super) fn is_ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }
}

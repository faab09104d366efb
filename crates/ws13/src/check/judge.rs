//! What comes is compared with what has to come.

use super::case::Found;
use super::link::{End, Event, Link, Message, close_code};
use super::wire::Frame;
use super::{Role, Verdict};
use std::time::Duration;

/// How strongly the RFC asks for a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Not to do it is a failure.
    Must,
    /// Not to do it is allowed, and weak.
    Should,
}

impl Level {
    /// The verdict for who does not do it.
    pub(super) fn missed(self) -> Verdict {
        match self {
            Level::Must => Verdict::Failed,
            Level::Should => Verdict::NonStrict,
        }
    }
}

/// The messages have to come back, in this order, and nothing else.
pub(super) fn echoes(link: &mut Link, messages: &[Message]) -> Found {
    for (nth, wanted) in messages.iter().enumerate() {
        match link.next() {
            Event::Message(came) if came.says(wanted) => {}
            other => return Found::failed(format!("{other} in place of echo {} ({wanted})", nth + 1)),
        }
    }
    let count = messages.len();
    let seen = if count == 1 { "the echo".to_owned() } else { format!("{count} echoes") };
    says_goodbye(link, &seen)
}

/// Closes; a message that nobody asked for is a failure. How well the peer closes is other cases' business.
pub(super) fn says_goodbye(link: &mut Link, seen: &str) -> Found {
    link.send(&[Frame::close_with(1000, "")]);
    loop {
        match link.next() {
            Event::Message(message) if link.echoes => {
                return Found::failed(format!("{seen}, and then {message}, which nobody sent"));
            }
            Event::Message(_) | Event::Pong(_) => {}
            Event::Close(_) | Event::End(_) => return Found::ok(seen),
            silence @ Event::Silence(_) => {
                return Found::failed(format!("{seen}, then {silence} after a Close"));
            }
        }
    }
}

/// The connection is as good as before: a Ping is answered.
pub(super) fn goes_on(link: &mut Link, seen: &str) -> Found {
    link.send(&[Frame::ping(PROBE)]);
    loop {
        match link.next() {
            Event::Pong(payload) if payload == PROBE => return says_goodbye(link, seen),
            Event::Pong(_) => {}
            Event::Message(_) if !link.echoes => {}
            other => return Found::failed(format!("{seen}; {other} in place of a Pong")),
        }
    }
}

/// What a peer has to do that is given something wrong.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    /// Codes that fit; the first one is meant by the RFC.
    pub(super) codes: &'static [u16],
    pub(super) level: Level,
    /// Messages that were whole before, whose echoes may come.
    pub(super) before: Vec<Message>,
    /// Whether a Ping can tell that the peer went on. Where a frame is not complete, it cannot.
    pub(super) probe: bool,
    /// Whether a Close frame was among what was sent: an answer that is none of an error then says that it was taken.
    pub(super) close_sent: bool,
}

impl Failing {
    pub(super) fn with(codes: &'static [u16], level: Level) -> Failing {
        Failing { codes, level, before: Vec::new(), probe: true, close_sent: false }
    }

    pub(super) fn after(mut self, before: &[Message]) -> Failing {
        self.before = before.to_vec();
        self
    }

    pub(super) fn without_probe(mut self) -> Failing {
        self.probe = false;
        self
    }

    pub(super) fn sending(mut self, frames: &[Frame]) -> Failing {
        self.close_sent = frames.iter().any(Frame::is_close);
        self
    }

    /// What is expected, for people.
    pub(super) fn expected(&self) -> String {
        let codes: Vec<String> = self.codes.iter().map(u16::to_string).collect();
        format!("the connection fails, with a Close of {}", codes.join(" or "))
    }

    pub(super) fn judge(&self, link: &mut Link) -> Found {
        let mut before = self.before.iter();
        let (mut probed, mut answered) = (!self.probe, false);
        loop {
            let patience = match (probed, answered) {
                (false, _) => Duration::from_millis(150),
                (true, false) => link.timeout,
                (true, true) => link.timeout.min(Duration::from_secs(2)),
            };
            match link.next_within(patience) {
                Event::Silence(_) if !probed => {
                    link.send(&[Frame::ping(PROBE)]);
                    probed = true;
                }
                Event::Silence(_) if answered => {
                    return Found::new(self.level.missed(), "it took it, and answered a Ping afterwards");
                }
                Event::Message(message) if link.echoes => {
                    if !before.next().is_some_and(|wanted| wanted.says(&message)) {
                        return Found::new(self.level.missed(), format!("it took it: {message} came back"));
                    }
                }
                // Where Pings are answered by another task than messages, the failure may still be on its way.
                Event::Pong(payload) if payload == PROBE => answered = true,
                Event::Message(_) | Event::Pong(_) => {}
                Event::Close(payload) => return self.closed(link, &payload),
                Event::End(end) => return Found::weak(format!("{end} without a Close frame")),
                silence @ Event::Silence(_) => return Found::new(self.level.missed(), format!("{silence}")),
            }
        }
    }

    fn closed(&self, link: &mut Link, payload: &[u8]) -> Found {
        let seen = Event::Close(payload.to_vec()).to_string();
        let fits = close_code(payload).is_some_and(|code| self.codes.contains(&code));
        let harmless = matches!(close_code(payload), None | Some(1000));
        if harmless && self.close_sent {
            return Found::new(self.level.missed(), format!("it took it: {seen} came back"));
        }
        let ended = ends(link, payload, &seen);
        match (fits, ended.is_ok()) {
            (true, _) => ended,
            (false, true) => Found::weak(format!("{seen}, which is not the code for it")),
            (false, false) => ended,
        }
    }
}

/// After the peer's Close frame: ours goes back, and TCP has to end.
pub(super) fn ends(link: &mut Link, payload: &[u8], seen: &str) -> Found {
    link.send(&[Frame::close(payload.get(..2).unwrap_or_default())]);
    tcp_ends(link, seen)
}

/// Both Close frames are there. A server has to end TCP now (RFC 6455 7.1.1); a client may wait for us to.
pub(super) fn tcp_ends(link: &mut Link, seen: &str) -> Found {
    if link.peer == Role::Client {
        link.finish();
    }
    match link.next() {
        Event::End(End::Fin | End::Reset) => Found::ok(seen),
        Event::Silence(_) if link.peer == Role::Client => {
            Found::weak(format!("{seen}, but it keeps TCP open"))
        }
        Event::Silence(_) => Found::failed(format!("{seen}, but it keeps TCP open")),
        Event::Pong(_) => tcp_ends(link, seen),
        other => Found::failed(format!("{seen}, and then {other}")),
    }
}

/// The payload of the Ping that asks whether all is well.
pub(super) const PROBE: &[u8] = b"still there?";

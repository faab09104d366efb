//! The same bytes to ws13, tungstenite and fastwebsockets: each disagreement has a reason that is listed, or is a bug of
//! one of them.

mod fast;
mod reasons;
mod script;
mod tungstenite;

use crate::common::{End, Seen, connection};
use reasons::Reason;
use script::Script;
use ws13::{CloseCause, Config, Fault, Inbox, Kind, Limits, Outbox, Role};

/// The limit that all three have, in bytes.
const MAX: usize = 64 << 10;

/// What somebody made of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) messages: Vec<(Kind, Vec<u8>)>,
    pub(crate) end: Ending,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A Close frame came; its code, 1005 for none.
    Close(u16),
    /// The bytes were refused.
    Refused,
    /// They are used up.
    MoreNeeded,
}

pub fn check(data: &[u8]) {
    let Some((first, script)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let (ours, fault) = ours(role, script);
    for (name, theirs) in
        [("tungstenite", tungstenite::run(role, script)), ("fastwebsockets", fast::run(role, script))]
    {
        if theirs == ours {
            continue;
        }
        let bytes = Script::read(script);
        let reason = reasons::of(name, &ours, fault.as_ref(), &theirs)
            .filter(|reason| reasons::is_in(*reason, &bytes, role));
        assert_ne!(reason, None::<Reason>, "{name} has {theirs:?}, ws13 {ours:?} for {fault:?}");
    }
}

fn ours(role: Role, script: &[u8]) -> (Told, Option<Fault>) {
    let config = Config {
        limits: Limits { max_message: MAX, max_control_frames: u32::MAX, ..Limits::default() },
        ..Config::default()
    };
    let mut end = End { connection: connection(role, config), inbox: Inbox::new(), outbox: Outbox::new() };
    let messages = end.feed(script).into_iter().filter_map(|event| match event {
        Seen::Message(kind, bytes) => Some((kind, bytes)),
        _ => None,
    });
    let messages = messages.collect();
    let (ending, fault) = match end.connection.closed() {
        None => (Ending::MoreNeeded, None),
        Some(closed) => match closed.cause() {
            CloseCause::Fault(fault) => (Ending::Refused, Some(fault)),
            _ => (Ending::Close(closed.code()), None),
        },
    };
    (Told { messages, end: ending }, fault)
}

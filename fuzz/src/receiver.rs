//! The receiver, in every role, with and without compression: whatever arrives, the same for every split, as whole
//! messages and in parts, in memory that follows what arrived.

use crate::common::{CountedKeys, End, Seen};
use crate::{cuts, within};
use ws13::connection::LEASE;
use ws13::deflate::Agreed;
use ws13::{
    CloseCause, Config, Connection, Fault, Inbox, Kind, LimitHit, Limits, MaskKeys, Outbox, Quirks, Role,
    Violation,
};

/// How the bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Parts,
}

/// What a connection is like, by the first bytes of an input.
#[derive(Clone, Copy, Debug)]
struct Setting {
    role: Role,
    deflate: Option<Agreed>,
    any_mask: bool,
    max_message: usize,
}

impl Setting {
    fn new(first: u8, second: u8) -> Setting {
        let agreed = Agreed {
            server_context_takeover: first & 4 == 0,
            client_context_takeover: first & 4 == 0,
            server_max_window_bits: 8 + (second & 7),
            client_max_window_bits: 8 + (second & 7),
        };
        Setting {
            role: if first & 1 == 0 { Role::Server } else { Role::Client },
            deflate: (first & 2 == 2).then_some(agreed),
            any_mask: first & 8 == 8,
            max_message: [100, 5_000, 20_000, 70_000][usize::from(second >> 3 & 3)],
        }
    }

    fn end(&self) -> End {
        let config = Config {
            limits: Limits { max_message: self.max_message, max_control_frames: 100, ..Limits::default() },
            quirks: Quirks {
                accept_unmasked_frames: self.any_mask,
                accept_masked_frames: self.any_mask,
                ..Quirks::default()
            },
            ..Config::default()
        };
        let keys = (self.role == Role::Client).then(|| Box::new(CountedKeys(1)) as Box<dyn MaskKeys>);
        let mut connection = Connection::with_keys(keys, config, 7);
        if let Some(agreed) = self.deflate {
            connection = connection.with_deflate(agreed);
        }
        End { connection, inbox: Inbox::new(), outbox: Outbox::new() }
    }

    /// What may be allocated for so many bytes.
    fn memory(&self, len: usize) -> usize {
        // A lease, the owned copies of the events that are compared, the list of events.
        let plain = LEASE + 4096 + 200 * len;
        // The decoder that the thread keeps, a window, the output twice while it grows, and its copy.
        plain + if self.deflate.is_some() { 400 * 1024 + 4 * self.max_message } else { 0 }
    }
}

/// All that can be told of a connection from outside.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    events: Vec<Seen>,
    written: Vec<u8>,
    open: bool,
}

pub fn check(data: &[u8]) {
    let [first, second, seed, script @ ..] = data else { return };
    let setting = Setting::new(*first, *second);
    let limit = setting.memory(script.len());
    let run = |pieces: &[&[u8]], way, leased| {
        // In parts a message has no limit: what is joined here is the test's.
        match way {
            Way::Whole => within(limit, || run(&setting, pieces, way, leased)),
            Way::Parts => run(&setting, pieces, way, leased),
        }
    };
    let whole = run(&[script], Way::Whole, false);
    let parts = run(&[script], Way::Parts, false);
    if setting.deflate.is_some() && parts != whole {
        // A short compressed message waits for its end before it is looked at; its parts are judged as they come.
        let (last, before) = parts.events.split_last().expect("there is an end");
        assert!(whole.events.starts_with(before) || whole.events.iter().any(over_limit));
        assert!(in_compressed(last) || whole.events.iter().any(over_limit), "{parts:?} {whole:?}");
    } else if !whole.events.iter().any(over_limit) {
        assert_eq!(parts, whole, "whole messages and parts");
    }
    let bytewise = if script.len() <= 200 { script.chunks(1).collect() } else { Vec::new() };
    for pieces in [cuts(script, *seed), bytewise] {
        if pieces.is_empty() || pieces.len() > 2_000 {
            continue;
        }
        assert_eq!(run(&pieces, Way::Whole, seed & 1 == 0), whole, "the split changes nothing");
        assert_eq!(run(&pieces, Way::Parts, seed & 1 == 1), parts, "the split changes nothing in parts");
    }
}

/// A fault that is found when a compressed message is inflated.
fn in_compressed(event: &Seen) -> bool {
    let Seen::Closed { cause: CloseCause::Fault(fault), .. } = event else { return false };
    matches!(
        fault,
        Fault::Violation(Violation::Compression | Violation::Utf8)
            | Fault::Limit(LimitHit::FinalBlocks { .. })
    )
}

fn over_limit(event: &Seen) -> bool {
    matches!(event, Seen::Closed { cause: CloseCause::Fault(Fault::Limit(_)), .. })
}

fn run(setting: &Setting, pieces: &[&[u8]], way: Way, leased: bool) -> Trace {
    let mut end = setting.end();
    let mut events = Joined::default();
    for piece in pieces {
        if leased {
            end.read(piece);
        } else {
            end.inbox.extend_from_slice(piece);
        }
        events.take(&mut end, way);
        if leased {
            end.inbox.park();
        }
        assert!(end.inbox.bytes().len() <= setting.max_message + LEASE || way == Way::Parts);
    }
    let open = end.connection.is_open();
    let written = end.written();
    end.connection.receive_eof(&mut end.outbox);
    events.take(&mut end, way);
    assert_eq!(end.event(), None, "nothing follows the end");
    let ends = events.all.iter().filter(|event| matches!(event, Seen::Closed { .. })).count();
    assert!(
        ends == 1 && matches!(events.all.last(), Some(Seen::Closed { .. })),
        "one end, and it comes last"
    );
    let steps = pieces.concat().len() + events.bytes / 1024 + 2;
    assert!(events.count <= steps, "{} events of {steps} steps", events.count);
    Trace { events: events.all, written, open }
}

/// Events, with parts joined to messages where their last part came.
#[derive(Default)]
struct Joined {
    all: Vec<Seen>,
    message: Option<(Kind, Vec<u8>)>,
    count: usize,
    bytes: usize,
}

impl Joined {
    fn take(&mut self, end: &mut End, way: Way) {
        while let Some(event) = if way == Way::Whole { end.event() } else { end.part() } {
            self.count += 1;
            let Seen::Part { kind, bytes, first, last } = event else {
                self.all.push(event);
                continue;
            };
            assert_eq!(first, self.message.is_none(), "first is set on the first part alone");
            assert!(last || !bytes.is_empty(), "only a last part may be empty");
            self.bytes += bytes.len();
            let (begun_as, so_far) = self.message.get_or_insert((kind, Vec::new()));
            assert_eq!(*begun_as, kind);
            so_far.extend(bytes);
            if last {
                self.all.extend(self.message.take().map(|(kind, bytes)| Seen::Message(kind, bytes)));
            }
        }
    }
}

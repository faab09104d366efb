//! A conformance suite for any implementation of WebSocket version 13, over real sockets (feature `check`).
//!
//! [`server`] tests a server, [`ClientCheck`] a client. Each case names the section that it comes from and tells what was
//! expected, what was seen, and the bytes. It looks at what Autobahn's suite leaves out, too: the masking bit, the
//! opening handshake, what a peer's own frames look like, the order and the timing of the end, floods and lengths that
//! never come, and offers of permessage-deflate.
//!
//! ```no_run
//! use ws13::check::{self, Options, Verdict};
//!
//! let report = check::server("ws://127.0.0.1:12345/", &Options::default())?;
//! print!("{report}");
//! for outcome in report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed) {
//!     println!("{} ({}): {}", outcome.id, outcome.section, outcome.seen);
//! }
//! # Ok::<(), check::Error>(())
//! ```
//!
//! # What the verdicts mean
//! - **ok**: as it should be.
//! - **failed**: a MUST was broken.
//! - **non-strict**: allowed, and weak. A SHOULD was not done, such as a Close frame before TCP is ended; or something
//!   that a sender must not send was taken, where no MUST tells the receiver to fail.
//! - **informational**: there is no right or wrong.
//! - **skipped**: not run, such as compressed messages where permessage-deflate was not agreed on.
//!
//! # What it asks of the peer
//! An endpoint that sends each message back. Without an echo, the cases that need it are skipped.
//!
//! The suite writes and reads its own frames and heads: it shares no code with this crate's connections, so that a
//! mistake there cannot hide itself here.

mod case;
mod cases;
mod client;
mod deflate;
mod export;
mod http;
mod inflate;
mod judge;
mod link;
mod options;
mod puff;
mod report;
mod server;
mod trace;
mod watch;
mod wire;

pub use client::ClientCheck;
pub use options::Options;
pub use report::{Outcome, Report, Role, Verdict};
pub use server::server;

use crate::handshake::InvalidUrl;
use std::fmt;

/// Every case for a role: its id, its section, and what is done.
///
/// ```
/// use ws13::check::{Role, cases};
/// assert!(cases(Role::Server).iter().any(|(id, section, _)| id == "frames.unmasked.text" && section == "RFC 6455 5.1"));
/// ```
#[must_use]
pub fn cases(role: Role) -> Vec<(String, String, String)> {
    let cases = match role {
        Role::Server => cases::server_cases(),
        Role::Client => cases::client_cases(),
    };
    cases.into_iter().map(|case| (case.id, case.section, case.title)).collect()
}

/// Why nothing was tested.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL is none.
    Url(InvalidUrl),
    /// The URL is `wss:`, and the suite looks at bytes.
    Secure,
    /// Nobody answers at the URL's address.
    Unreachable(String, std::io::Error),
    /// No client came.
    NoClient,
    /// The patterns of [`Options`] chose no case.
    NoCase,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(error) => error.fmt(f),
            Error::Secure => {
                f.write_str("wss: cannot be checked: test the server behind its TLS, by a ws: URL")
            }
            Error::Unreachable(url, why) => write!(f, "cannot connect to {url}: {why}"),
            Error::NoClient => f.write_str("no client came"),
            Error::NoCase => f.write_str("the patterns choose no case; the list of cases has their ids"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Url(error) => Some(error),
            Error::Unreachable(_, error) => Some(error),
            Error::Secure | Error::NoClient | Error::NoCase => None,
        }
    }
}

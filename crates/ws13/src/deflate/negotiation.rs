//! Offer, answer, and the check of the answer (RFC 7692 sections 5 and 7.1), as pure functions.

use super::{Agreed, Deflate, NAME, WINDOW_BITS};
use crate::extension::{Extension, Parameter};
use core::fmt;
use std::borrow::ToOwned;
use std::string::String;

const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";
const LARGEST: u8 = *WINDOW_BITS.end();

/// What a client offers.
///
/// ```
/// use ws13::{Deflate, deflate};
/// let offer = deflate::offer(&Deflate::default());
/// assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits");
/// ```
pub fn offer(ours: &Deflate) -> Extension<'static> {
    let (server_bits, client_bits) = ours.window_bits();
    let mut offer = Extension::new(NAME);
    if !ours.server_context_takeover {
        offer = offer.flag(SERVER_NO_TAKEOVER);
    }
    if !ours.client_context_takeover {
        offer = offer.flag(CLIENT_NO_TAKEOVER);
    }
    if server_bits < LARGEST {
        offer = offer.with(SERVER_WINDOW, server_bits);
    }
    match client_bits {
        _ if !ours.offer_client_max_window_bits => offer,
        LARGEST => offer.flag(CLIENT_WINDOW),
        bits => offer.with(CLIENT_WINDOW, bits),
    }
}

/// What a server answers to a client's offers: the first that it can accept wins; `None` when there is none. "A server
/// MUST decline an extension negotiation offer" with a parameter that is unknown, is there twice or has a value that
/// it may not have (7); the next one is looked at then.
///
/// ```
/// use ws13::{Deflate, deflate, extension};
/// let offers = extension::parse("permessage-deflate; odd, permessage-deflate; client_max_window_bits")?;
/// let ours = Deflate { client_max_window_bits: 12, ..Deflate::default() };
/// let (answer, agreed) = deflate::answer(&ours, &offers).unwrap();
/// assert_eq!(answer.to_string(), "permessage-deflate; client_max_window_bits=12");
/// assert_eq!(agreed.client_max_window_bits, 12);
/// # Ok::<(), ws13::extension::Malformed>(())
/// ```
pub fn answer(ours: &Deflate, offers: &[Extension<'_>]) -> Option<(Extension<'static>, Agreed)> {
    offers.iter().filter(|offer| offer.name == NAME).find_map(|offer| {
        let asked = Parameters::read(&offer.parameters, Sender::Client).ok()?;
        Some(accept(ours, &asked))
    })
}

fn accept(ours: &Deflate, asked: &Parameters) -> (Extension<'static>, Agreed) {
    let (server_bits, client_bits) = ours.window_bits();
    let agreed = Agreed {
        server_context_takeover: ours.server_context_takeover && !asked.server_no_takeover,
        client_context_takeover: ours.client_context_takeover && !asked.client_no_takeover,
        server_max_window_bits: asked.server_window.unwrap_or(LARGEST).min(server_bits),
        // Only a client that says so can be held to a smaller window (7.1.2.2).
        client_max_window_bits: match asked.client_window {
            Window::Absent => LARGEST,
            Window::Bare => client_bits,
            Window::Bits(bits) => bits.min(client_bits),
        },
    };
    let mut answer = Extension::new(NAME);
    if !agreed.server_context_takeover {
        answer = answer.flag(SERVER_NO_TAKEOVER);
    }
    if !agreed.client_context_takeover {
        answer = answer.flag(CLIENT_NO_TAKEOVER);
    }
    // "A server accepts an extension negotiation offer with this parameter by including" it (7.1.2.1), also at 15.
    if asked.server_window.is_some() || agreed.server_max_window_bits < LARGEST {
        answer = answer.with(SERVER_WINDOW, agreed.server_max_window_bits);
    }
    if agreed.client_max_window_bits < LARGEST {
        answer = answer.with(CLIENT_WINDOW, agreed.client_max_window_bits);
    }
    (answer, agreed)
}

/// What a client makes of the server's answer: `None` when the extension is not in it.
///
/// What we asked of the server's own window it has to promise. What we said of ours was a hint, and need not be answered
/// (7.1.1.2, 7.1.2.2).
///
/// # Errors
/// [`Refused`] for an answer that does not fit the offer: the client "MUST _Fail the WebSocket Connection_" (7).
pub fn check(ours: &Deflate, answer: &[Extension<'_>]) -> Result<Option<Agreed>, Refused> {
    let mut named = answer.iter().filter(|extension| extension.name == NAME);
    let Some(accepted) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        return Err(Refused::Twice(NAME.to_owned()));
    }
    let told = Parameters::read(&accepted.parameters, Sender::Server)?;
    let (server_bits, client_bits) = ours.window_bits();
    let client_window = match told.client_window {
        Window::Absent => LARGEST,
        _ if !ours.offer_client_max_window_bits => {
            return Err(Refused::NotOffered(CLIENT_WINDOW.to_owned()));
        }
        Window::Bits(bits) if bits <= client_bits => bits,
        // A server answers "with a value equal to or smaller than the received value" (7.1.2.2).
        Window::Bits(_) | Window::Bare => return Err(Refused::Value(CLIENT_WINDOW.to_owned())),
    };
    // "A server accepts an extension negotiation offer" with these "by including" them (7.1.1.1, 7.1.2.1): an answer
    // without them is one to another offer.
    if !ours.server_context_takeover && !told.server_no_takeover {
        return Err(Refused::Missing(SERVER_NO_TAKEOVER.to_owned()));
    }
    let server_window = match told.server_window {
        None if server_bits < LARGEST => return Err(Refused::Missing(SERVER_WINDOW.to_owned())),
        Some(bits) if bits > server_bits => return Err(Refused::Value(SERVER_WINDOW.to_owned())),
        bits => bits.unwrap_or(LARGEST),
    };
    Ok(Some(Agreed {
        server_context_takeover: !told.server_no_takeover,
        // What we offered not to do, we do not do.
        client_context_takeover: ours.client_context_takeover && !told.client_no_takeover,
        server_max_window_bits: server_window,
        client_max_window_bits: client_window.min(client_bits),
    }))
}

/// Why a server's answer is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The extension or one of its parameters is there twice.
    Twice(String),
    /// A parameter that RFC 7692 does not know.
    Unknown(String),
    /// A parameter that was not offered.
    NotOffered(String),
    /// A parameter that the server was asked for is not there.
    Missing(String),
    /// A parameter has a value that it may not have, or lacks one.
    Value(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Twice(name) => write!(f, "{name:?} is there twice"),
            Refused::Unknown(name) => write!(f, "the parameter {name:?} is unknown"),
            Refused::NotOffered(name) => write!(f, "the parameter {name:?} was not offered"),
            Refused::Missing(name) => write!(f, "the parameter {name:?}, which was asked for, is not there"),
            Refused::Value(name) => write!(f, "the parameter {name:?} has a value that it may not have"),
        }
    }
}

impl core::error::Error for Refused {}

/// Who wrote the parameters: `client_max_window_bits` without a value is for clients (7.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// The parameters of an offer or of an answer, each valid by itself.
#[derive(Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_window: Option<u8>,
    client_window: Window,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Window {
    #[default]
    Absent,
    Bare,
    Bits(u8),
}

impl Parameters {
    fn read(parameters: &[Parameter<'_>], sender: Sender) -> Result<Self, Refused> {
        let mut read = Parameters::default();
        for Parameter { name, value } in parameters {
            let value = value.as_deref();
            let wrong = || Refused::Value((*name).to_owned());
            let fresh = match *name {
                SERVER_NO_TAKEOVER => flag(&mut read.server_no_takeover, value).ok_or_else(wrong)?,
                CLIENT_NO_TAKEOVER => flag(&mut read.client_no_takeover, value).ok_or_else(wrong)?,
                SERVER_WINDOW => {
                    let bits = value.and_then(window_bits).ok_or_else(wrong)?;
                    read.server_window.replace(bits).is_none()
                }
                CLIENT_WINDOW => {
                    let window = match value {
                        None if sender == Sender::Client => Window::Bare,
                        value => Window::Bits(value.and_then(window_bits).ok_or_else(wrong)?),
                    };
                    core::mem::replace(&mut read.client_window, window) == Window::Absent
                }
                unknown => return Err(Refused::Unknown(unknown.to_owned())),
            };
            if !fresh {
                return Err(Refused::Twice((*name).to_owned()));
            }
        }
        Ok(read)
    }
}

/// Sets a parameter that has no value; says whether it was not set before.
fn flag(flag: &mut bool, value: Option<&str>) -> Option<bool> {
    value.is_none().then(|| !core::mem::replace(flag, true))
}

fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| WINDOW_BITS.contains(bits))?;
    // `parse` takes a plus sign and leading zeros.
    value.starts_with(|first: char| matches!(first, '1'..='9')).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::parse;
    use std::format;
    use std::string::ToString;

    /// (takeover of the server, of the client, bits of the server, of the client)
    fn agreed(server: bool, client: bool, server_bits: u8, client_bits: u8) -> Agreed {
        Agreed {
            server_context_takeover: server,
            client_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    }

    fn ours(server: bool, client: bool, server_bits: u8, client_bits: u8) -> Deflate {
        Deflate {
            server_context_takeover: server,
            client_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            ..Deflate::default()
        }
    }

    fn any() -> Deflate {
        Deflate::default()
    }

    #[test]
    fn rfc_7692_7_1_the_offer() {
        for (ours, text) in [
            (any(), "permessage-deflate; client_max_window_bits"),
            (
                ours(false, true, 15, 15),
                "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            ),
            (
                ours(true, false, 15, 9),
                "permessage-deflate; client_no_context_takeover; client_max_window_bits=9",
            ),
            (ours(true, true, 8, 15), "permessage-deflate; server_max_window_bits=8; client_max_window_bits"),
            (Deflate { offer_client_max_window_bits: false, ..any() }, "permessage-deflate"),
            (
                Deflate { offer_client_max_window_bits: false, ..ours(true, true, 10, 10) },
                "permessage-deflate; server_max_window_bits=10",
            ),
            // Out of range is taken as the nearest.
            (ours(true, true, 0, 99), "permessage-deflate; server_max_window_bits=8; client_max_window_bits"),
        ] {
            assert_eq!(offer(&ours).to_string(), text);
            assert!(parse(text).is_ok());
        }
    }

    #[test]
    fn rfc_7692_7_1_the_answer_to_each_offer() {
        for (ours, asked, answered, holds) in [
            (any(), "", "", agreed(true, true, 15, 15)),
            (any(), "; client_max_window_bits", "", agreed(true, true, 15, 15)),
            (any(), "; client_max_window_bits=10", "; client_max_window_bits=10", agreed(true, true, 15, 10)),
            (
                any(),
                "; client_max_window_bits=\"10\"",
                "; client_max_window_bits=10",
                agreed(true, true, 15, 10),
            ),
            (any(), "; server_max_window_bits=10", "; server_max_window_bits=10", agreed(true, true, 10, 15)),
            (any(), "; server_max_window_bits=15", "; server_max_window_bits=15", agreed(true, true, 15, 15)),
            (
                any(),
                "; server_max_window_bits=8; client_max_window_bits=8",
                "; server_max_window_bits=8; client_max_window_bits=8",
                agreed(true, true, 8, 8),
            ),
            (
                any(),
                "; server_no_context_takeover",
                "; server_no_context_takeover",
                agreed(false, true, 15, 15),
            ),
            (
                any(),
                "; client_no_context_takeover",
                "; client_no_context_takeover",
                agreed(true, false, 15, 15),
            ),
            // What we want without being asked.
            (
                ours(false, false, 15, 15),
                "",
                "; server_no_context_takeover; client_no_context_takeover",
                agreed(false, false, 15, 15),
            ),
            (
                ours(true, true, 12, 12),
                "; client_max_window_bits",
                "; server_max_window_bits=12; client_max_window_bits=12",
                agreed(true, true, 12, 12),
            ),
            (
                ours(true, true, 12, 12),
                "; client_max_window_bits=14; server_max_window_bits=14",
                "; server_max_window_bits=12; client_max_window_bits=12",
                agreed(true, true, 12, 12),
            ),
            (
                ours(true, true, 12, 12),
                "; client_max_window_bits=9; server_max_window_bits=9",
                "; server_max_window_bits=9; client_max_window_bits=9",
                agreed(true, true, 9, 9),
            ),
            // A client that does not name it cannot be held to it.
            (ours(true, true, 12, 12), "", "; server_max_window_bits=12", agreed(true, true, 12, 15)),
        ] {
            let (asked, answered) = (format!("{NAME}{asked}"), format!("{NAME}{answered}"));
            let (said, held) = answer(&ours, &parse(&asked).unwrap()).unwrap();
            assert_eq!((said.to_string(), held), (answered, holds), "{asked}");
        }
    }

    #[test]
    fn offers_that_are_declined() {
        for asked in [
            "; unknown",
            "; server_no_context_takeover=1",
            "; client_no_context_takeover=true",
            "; server_no_context_takeover; server_no_context_takeover",
            "; client_max_window_bits; client_max_window_bits",
            "; client_max_window_bits; client_max_window_bits=10",
            "; server_max_window_bits",
            "; server_max_window_bits=7",
            "; server_max_window_bits=16",
            "; server_max_window_bits=1000",
            "; server_max_window_bits=08",
            "; server_max_window_bits=+9",
            "; server_max_window_bits=x",
            "; server_max_window_bits=9; server_max_window_bits=9",
            "; client_max_window_bits=7",
            "; client_max_window_bits=16",
            "; client_max_window_bits=010",
        ] {
            let bad = format!("{NAME}{asked}");
            assert_eq!(answer(&any(), &parse(&bad).unwrap()), None, "{bad}");
            // The next offer is looked at.
            let (said, _) = answer(&any(), &parse(&format!("{bad}, x, {NAME}")).unwrap()).unwrap();
            assert_eq!(said.to_string(), NAME);
        }
        for other in ["", "x-webkit-deflate-frame", "Permessage-Deflate", "permessage-bzip2"] {
            assert_eq!(answer(&any(), &parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_accepted_wins() {
        let offers = format!("{NAME}; server_max_window_bits=9, {NAME}; server_max_window_bits=10, {NAME}");
        let (said, _) = answer(&any(), &parse(&offers).unwrap()).unwrap();
        assert_eq!(said.to_string(), format!("{NAME}; server_max_window_bits=9"));
    }

    #[test]
    fn rfc_7692_7_1_the_check_of_the_answer() {
        for (ours, told, holds) in [
            (any(), "", agreed(true, true, 15, 15)),
            (any(), "; server_no_context_takeover", agreed(false, true, 15, 15)),
            (any(), "; client_no_context_takeover", agreed(true, false, 15, 15)),
            (any(), "; server_max_window_bits=8", agreed(true, true, 8, 15)),
            (any(), "; client_max_window_bits=8", agreed(true, true, 15, 8)),
            (any(), "; client_max_window_bits=15", agreed(true, true, 15, 15)),
            (
                ours(true, true, 12, 12),
                "; server_max_window_bits=12; client_max_window_bits=11",
                agreed(true, true, 12, 11),
            ),
            (ours(true, true, 12, 12), "; server_max_window_bits=9", agreed(true, true, 9, 12)),
            (ours(false, true, 15, 15), "; server_no_context_takeover", agreed(false, true, 15, 15)),
            // We hold to what we offered, which the server need not repeat.
            (ours(true, true, 15, 12), "", agreed(true, true, 15, 12)),
            (ours(true, false, 15, 15), "", agreed(true, false, 15, 15)),
            (
                Deflate { offer_client_max_window_bits: false, ..any() },
                "; server_max_window_bits=9",
                agreed(true, true, 9, 15),
            ),
        ] {
            let told = format!("{NAME}{told}");
            assert_eq!(check(&ours, &parse(&told).unwrap()), Ok(Some(holds)), "{told}");
        }
        assert_eq!(check(&any(), &[]), Ok(None));
        assert_eq!(check(&any(), &parse("foo").unwrap()), Ok(None));
    }

    #[test]
    fn answers_that_fail_the_connection() {
        let value = |name: &str| Refused::Value(name.to_owned());
        let twice = |name: &str| Refused::Twice(name.to_owned());
        let missing = |name: &str| Refused::Missing(name.to_owned());
        let bare = Deflate { offer_client_max_window_bits: false, ..any() };
        for (ours, told, error) in [
            (any(), "; foo", Refused::Unknown("foo".to_owned())),
            (any(), "; server_no_context_takeover=0", value(SERVER_NO_TAKEOVER)),
            (any(), "; server_max_window_bits", value(SERVER_WINDOW)),
            (any(), "; server_max_window_bits=7", value(SERVER_WINDOW)),
            (any(), "; server_max_window_bits=16", value(SERVER_WINDOW)),
            (any(), "; server_max_window_bits=1000", value(SERVER_WINDOW)),
            (any(), "; server_max_window_bits=08", value(SERVER_WINDOW)),
            (any(), "; server_max_window_bits=9; server_max_window_bits=9", twice(SERVER_WINDOW)),
            (ours(true, true, 10, 15), "; server_max_window_bits=11", value(SERVER_WINDOW)),
            (ours(true, true, 14, 15), "", missing(SERVER_WINDOW)),
            (ours(false, true, 15, 15), "; client_no_context_takeover", missing(SERVER_NO_TAKEOVER)),
            (ours(false, true, 12, 15), "; server_max_window_bits=12", missing(SERVER_NO_TAKEOVER)),
            (any(), "; client_max_window_bits", value(CLIENT_WINDOW)),
            (any(), "; client_max_window_bits=7", value(CLIENT_WINDOW)),
            (ours(true, true, 15, 10), "; client_max_window_bits=11", value(CLIENT_WINDOW)),
            (bare, "; client_max_window_bits=10", Refused::NotOffered(CLIENT_WINDOW.to_owned())),
            (any(), ", permessage-deflate", twice(NAME)),
        ] {
            let told = format!("{NAME}{told}");
            assert_eq!(check(&ours, &parse(&told).unwrap()), Err(error), "{told}");
        }
    }

    #[test]
    fn both_sides_agree_whatever_is_set() {
        let settings = || {
            [(true, true), (true, false), (false, true), (false, false)].into_iter().flat_map(|(a, b)| {
                [8, 9, 12, 15].into_iter().flat_map(move |c| [8, 11, 15].map(move |d| ours(a, b, c, d)))
            })
        };
        for client in settings() {
            for server in settings() {
                for offer_client_max_window_bits in [true, false] {
                    let client = Deflate { offer_client_max_window_bits, ..client.clone() };
                    let offered = offer(&client).to_string();
                    let (said, held) = answer(&server, &parse(&offered).unwrap()).unwrap();
                    let checked = check(&client, &parse(&said.to_string()).unwrap()).unwrap().unwrap();
                    // A client may keep itself to less than it was told.
                    assert!(checked.client_max_window_bits <= held.client_max_window_bits);
                    assert_eq!(
                        Agreed { client_max_window_bits: held.client_max_window_bits, ..checked },
                        held
                    );
                }
            }
        }
    }
}

//! How permessage-deflate is negotiated (RFC 7692 5 and 7.1).

use super::answers::{refused, taken};
use crate::check::Verdict;
use crate::check::case::{Case, Found};
use crate::check::http::Head;
use crate::check::server::{Target, agreed, window_bits};
use crate::check::trace::Trace;

/// An answer's parameters.
type Parameters = Vec<(String, Option<String>)>;

pub(super) fn for_servers() -> Vec<Case> {
    let mut cases = good_offers();
    cases.extend(bad_offers());
    // Who declines everything has declined nothing for its faults.
    cases.into_iter().map(Case::with_deflate).collect()
}

/// The answer to an offer: `None` where it was declined.
fn offer(target: &Target, trace: &Trace, value: &str) -> Result<Option<Parameters>, Found> {
    let (_, head) = target.open(trace, Some(value)).map_err(Found::failed)?;
    if let Some(Err(wrong)) = agreed(&head) {
        return Err(Found::failed(wrong));
    }
    let unknown = head
        .list("sec-websocket-extensions")
        .into_iter()
        .find(|element| element.split(';').next().map(str::trim) != Some("permessage-deflate"));
    match unknown {
        Some(element) => Err(Found::failed(format!("the answer has {element:?}, which was not offered"))),
        None => Ok(head.deflate().into_iter().next()),
    }
}

fn shown(parameters: &Parameters) -> String {
    let parameters = parameters.iter().map(|(name, value)| match value {
        Some(value) => format!("; {name}={value}"),
        None => format!("; {name}"),
    });
    format!("permessage-deflate{}", parameters.collect::<String>())
}

fn bits_of(parameters: &Parameters, wanted: &str) -> Option<u32> {
    let value = parameters.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.as_deref());
    value.and_then(window_bits)
}

fn good_offers() -> Vec<Case> {
    type Judge = Box<dyn Fn(&Parameters) -> Option<String> + Send + Sync>;
    let case = |id: &str, section: &str, value: &str, judge: Judge| {
        let id = format!("deflate.offer.{id}");
        let (title, value) = (format!("the offer {value}"), value.to_owned());
        let expected = "an answer that fits the offer, or none";
        Case::ask(&id, &format!("RFC 7692 {section}"), &title, expected, move |target, trace| {
            match offer(target, trace, &value) {
                Ok(Some(parameters)) => match judge(&parameters) {
                    None => Found::ok(shown(&parameters)),
                    Some(wrong) => Found::failed(format!("{}: {wrong}", shown(&parameters))),
                },
                Ok(None) => Found::skipped("the server declines it"),
                Err(found) => found,
            }
        })
    };
    // A window of the client's can be named only where the client said that it can (7.1.2.2).
    let unasked = |parameters: &Parameters| {
        let named = parameters.iter().any(|(name, _)| name == "client_max_window_bits");
        named.then(|| "client_max_window_bits was not offered".to_owned())
    };
    let takeover = |parameters: &Parameters| {
        let agreed = parameters.iter().any(|(name, _)| name == "server_no_context_takeover");
        (!agreed).then(|| "server_no_context_takeover was not agreed to".to_owned())
    };
    let mut cases = vec![
        case("bare", "7.1.2.2", "permessage-deflate", Box::new(unasked)),
        case("client-bits", "7.1.2.2", "permessage-deflate; client_max_window_bits", Box::new(|_| None)),
        case(
            "client-bits-10",
            "7.1.2.2",
            "permessage-deflate; client_max_window_bits=10",
            Box::new(|_| None),
        ),
        case(
            "client-no-takeover",
            "7.1.1.2",
            "permessage-deflate; client_no_context_takeover",
            Box::new(unasked),
        ),
        case(
            "server-no-takeover",
            "7.1.1.1",
            "permessage-deflate; server_no_context_takeover",
            Box::new(takeover),
        ),
        case("quoted", "5.2", "permessage-deflate; client_max_window_bits=\"12\"", Box::new(|_| None)),
        case("behind-unknown", "5.1", "x-ws13-check; a, permessage-deflate", Box::new(unasked)),
        case("tight", "5.2", "permessage-deflate;client_max_window_bits", Box::new(|_| None)),
        case(
            "everything",
            "7.1",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             client_max_window_bits=15; server_max_window_bits=15",
            Box::new(takeover),
        ),
    ];
    for bits in 8..=15 {
        let value = format!("permessage-deflate; server_max_window_bits={bits}");
        let judge: Judge = Box::new(move |parameters| match bits_of(parameters, "server_max_window_bits") {
            Some(given) if given <= bits => None,
            given => Some(format!("server_max_window_bits is {given:?}")),
        });
        cases.push(case(&format!("server-bits-{bits}"), "7.1.2.1", &value, judge));
    }
    cases
}

/// Offers that a server must decline (RFC 7692 7); the second one of a pair it may take.
fn bad_offers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (id, parameters) in [
        ("server-bits-7", "server_max_window_bits=7"),
        ("server-bits-16", "server_max_window_bits=16"),
        ("server-bits-1000", "server_max_window_bits=1000"),
        ("server-bits-08", "server_max_window_bits=08"),
        ("server-bits-negative", "server_max_window_bits=-10"),
        ("server-bits-none", "server_max_window_bits"),
        ("server-bits-text", "server_max_window_bits=a"),
        ("server-bits-twice", "server_max_window_bits=10; server_max_window_bits=10"),
        ("client-bits-7", "client_max_window_bits=7"),
        ("client-bits-16", "client_max_window_bits=16"),
        ("client-bits-08", "client_max_window_bits=08"),
        ("client-bits-twice", "client_max_window_bits; client_max_window_bits=10"),
        ("takeover-value", "server_no_context_takeover=1"),
        ("takeover-twice", "client_no_context_takeover; client_no_context_takeover"),
        ("unknown", "x_ws13_check"),
        ("unknown-value", "x_ws13_check=1"),
    ] {
        let value = format!("permessage-deflate; {parameters}");
        let title = format!("the offer {value}");
        let id = format!("deflate.bad-offer.{id}");
        cases.push(Case::ask(&id, "RFC 7692 7", &title, "101 without an extension", move |target, trace| {
            match offer(target, trace, &value) {
                Ok(None) => Found::ok("declined"),
                Ok(Some(parameters)) => Found::failed(shown(&parameters)),
                Err(found) if found.seen.contains("answered with") => {
                    Found::weak(format!("{}: not declined, but refused", found.seen))
                }
                Err(found) => found,
            }
        }));
    }
    let title = "an offer that must be declined, and a good one behind it";
    cases.push(Case::ask(
        "deflate.bad-offer.fallback",
        "RFC 7692 5.1",
        title,
        "the second one, or none",
        |target, trace| {
            let value = "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover";
            match offer(target, trace, value) {
                Ok(None) => Found::ok("declined"),
                Ok(Some(parameters)) if parameters.iter().any(|(name, _)| name == "server_no_context_takeover") => {
                    Found::ok(shown(&parameters))
                }
                Ok(Some(parameters)) => Found::failed(shown(&parameters)),
                Err(found) if found.seen.contains("answered with") => {
                    Found::weak(format!("{}: not declined, but refused", found.seen))
                }
                Err(found) => found,
            }
        },
    ));
    cases
}

/// Answers that a client may not take (RFC 7692 7), and some that it has to.
pub(super) fn for_clients() -> Vec<Case> {
    let mut cases = Vec::new();
    for (id, parameters) in [
        ("server-bits-7", "; server_max_window_bits=7"),
        ("server-bits-16", "; server_max_window_bits=16"),
        ("server-bits-08", "; server_max_window_bits=08"),
        ("server-bits-none", "; server_max_window_bits"),
        ("server-bits-twice", "; server_max_window_bits=10; server_max_window_bits=10"),
        ("client-bits-7", "; client_max_window_bits=7"),
        ("client-bits-16", "; client_max_window_bits=16"),
        ("client-bits-none", "; client_max_window_bits"),
        ("takeover-value", "; server_no_context_takeover=1"),
        ("takeover-twice", "; client_no_context_takeover; client_no_context_takeover"),
        ("unknown", "; x_ws13_check"),
        ("twice", ", permessage-deflate"),
    ] {
        let value = format!("permessage-deflate{parameters}");
        let title = format!("the answer {value}");
        let id = format!("deflate.bad-answer.{id}");
        cases.push(Case::answer(
            &id,
            "RFC 7692 7",
            &title,
            "the connection fails",
            move |link, head, mut answer| {
                if head.deflate().is_empty() {
                    return not_offered(link, &answer);
                }
                answer.add(format!("Sec-WebSocket-Extensions: {value}"));
                refused(link, &answer)
            },
        ));
    }
    cases.push(Case::answer(
        "deflate.bad-answer.client-bits-unasked",
        "RFC 7692 7.1.2.2",
        "the answer permessage-deflate; client_max_window_bits=10, and the client did not offer it",
        "the connection fails",
        |link, head, mut answer| {
            if head.deflate().is_empty() || offers_client_bits(head) {
                return not_offered(link, &answer);
            }
            answer.add("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10");
            refused(link, &answer)
        },
    ));
    for (id, parameters) in [
        ("bare", ""),
        ("server-no-takeover", "; server_no_context_takeover"),
        ("client-no-takeover", "; client_no_context_takeover"),
        ("server-bits-9", "; server_max_window_bits=9"),
    ] {
        let value = format!("permessage-deflate{parameters}");
        let title = format!("the answer {value}");
        let id = format!("deflate.answer.{id}");
        let expected = "a connection that works";
        cases.push(Case::answer(&id, "RFC 7692 7", &title, expected, move |link, head, mut answer| {
            if head.deflate().is_empty() {
                return not_offered(link, &answer);
            }
            answer.add(format!("Sec-WebSocket-Extensions: {value}"));
            if let Some(Ok(agreed)) = agreed_for_client(&value) {
                link.agree(agreed);
            }
            taken(link, &answer, Verdict::Failed)
        }));
    }
    cases
}

/// An answer of ours, seen from the other side.
fn agreed_for_client(value: &str) -> Option<Result<crate::check::inflate::Agreed, String>> {
    let head = Head::parse(format!("HTTP/1.1 101\r\nSec-WebSocket-Extensions: {value}\r\n\r\n").as_bytes());
    agreed(&head).map(|agreed| {
        agreed.map(|agreed| crate::check::inflate::Agreed {
            peer_bits: agreed.our_bits,
            peer_keeps_window: agreed.we_keep_window,
            our_bits: agreed.peer_bits,
            we_keep_window: agreed.peer_keeps_window,
        })
    })
}

fn offers_client_bits(head: &Head) -> bool {
    head.deflate().iter().flatten().any(|(name, _)| name == "client_max_window_bits")
}

fn not_offered(link: &mut crate::check::link::Link, answer: &crate::check::http::Lines) -> Found {
    link.send_bytes(&answer.bytes());
    crate::check::judge::says_goodbye(link, "");
    Found::skipped("the client's offer is another one, or none")
}

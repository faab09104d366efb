//! A request as it arrives: the same decision for every split, in memory that follows it.

use crate::{cuts, within};
use ws13::Deflate;
use ws13::handshake::client;
use ws13::handshake::server::{Accept, Options, ReadRequest, Received};

/// What a request turned out to be, as far as it can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    More,
    Plain(String, usize),
    Upgrade(Vec<u8>, usize),
    Refused(Vec<u8>),
}

pub fn check(data: &[u8]) {
    let Some((settings, text)) = data.split_first() else { return };
    let options = || Options {
        accept_missing_host: settings & 1 == 1,
        subprotocols: if settings & 2 == 2 { vec!["chat".parse().unwrap()] } else { Vec::new() },
        require_subprotocol: settings & 4 == 4,
        deflate: (settings & 8 == 8).then(Deflate::default),
        ..Options::default()
    };
    // A header of a few bytes takes some hundred in a map of headers.
    let limit = 32 * 1024 + 64 * text.len();
    let whole = within(limit, || decide(options(), &[text]));
    assert_eq!(
        within(limit, || decide(options(), &cuts(text, settings >> 4))),
        whole,
        "the split changes nothing"
    );
}

fn decide(options: Options, pieces: &[&[u8]]) -> Decision {
    let mut reading = ReadRequest::new(options);
    let mut received = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        match reading.receive(&received) {
            Ok(None) => {}
            Ok(Some((Received::Plain(request), used))) => {
                assert!(request.path().starts_with('/') || request.path() == "*");
                return Decision::Plain(format!("{request:?}"), used);
            }
            Ok(Some((Received::Upgrade(upgrade), used))) => {
                let accepted =
                    upgrade.accept(Accept::new()).expect("nothing was chosen that was not offered");
                check_response(&accepted.response);
                return Decision::Upgrade(accepted.response, used);
            }
            Err(reject) => {
                let status = reject.status();
                assert!(status.is_client_error() || status.is_server_error());
                return Decision::Refused(reject.encode());
            }
        }
    }
    Decision::More
}

/// Whatever was asked, the answer is one head: nothing of the request can end it early.
fn check_response(response: &[u8]) {
    let end = response.windows(4).position(|window| window == b"\r\n\r\n");
    assert_eq!(end, Some(response.len() - 4));
    let mut head = ws13::handshake::http1::ReadResponse::new(Default::default());
    let read: Result<Option<(client::Response, usize)>, _> = head.receive(response);
    assert!(matches!(read, Ok(Some((_, used))) if used == response.len()));
}

//! An answer as it arrives: the same verdict for every split, in memory that follows it.

use crate::{cuts, within};
use ws13::Deflate;
use ws13::handshake::ClientError;
use ws13::handshake::client::{Request, Upgrade};

pub fn check(data: &[u8]) {
    let Some((settings, text)) = data.split_first() else { return };
    // So that the fuzzer need not find the key's answer: some inputs are what follows it.
    let known = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let text = if settings & 1 == 1 { [known, text].concat() } else { text.to_vec() };
    let limit = 64 * 1024 + 64 * text.len();
    let whole = within(limit, || judge(*settings, &[&text]));
    assert_eq!(
        within(limit, || judge(*settings, &cuts(&text, settings >> 4))),
        whole,
        "the split changes nothing"
    );
}

/// What came of it, as far as it can be compared, and how many bytes it took.
fn judge(settings: u8, pieces: &[&[u8]]) -> String {
    let request = Request::for_host("example.com", "/").unwrap();
    let request = request.subprotocol("chat".parse().unwrap()).require_subprotocol(settings & 2 == 2);
    let request = request.deflate((settings & 4 == 4).then(Deflate::default)).body_limit(1_000);
    let (mut upgrade, _) = Upgrade::new(request, *b"the sample nonce").unwrap();
    let mut received = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        match upgrade.receive(&received) {
            Ok(None) => {}
            Ok(Some((accepted, used))) => return format!("{accepted:?} {used}"),
            Err(error) => return told(error),
        }
    }
    match upgrade.receive_eof(&received) {
        Ok((accepted, used)) => format!("{accepted:?} {used}"),
        Err(error) => told(error),
    }
}

fn told(error: ClientError) -> String {
    if let ClientError::Refused(response) = &error {
        assert!(response.body.len() <= 1_000);
        assert_ne!(response.status.as_u16(), 101);
    }
    format!("{error:?} {error}")
}

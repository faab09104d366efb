//! The value of Sec-WebSocket-Extensions, and the negotiation of permessage-deflate.

use crate::within;
use ws13::Deflate;
use ws13::deflate::{answer, check as judge, offer};
use ws13::extension::parse;

pub fn check(data: &[u8]) {
    let Some((settings, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    // An extension of one byte makes one of some 48 bytes, and the list doubles.
    within(1024 + 200 * text.len(), || read(*settings, text));
}

fn read(settings: u8, text: &str) {
    let Ok(offers) = parse(text) else { return };
    let written: Vec<String> = offers.iter().map(ToString::to_string).collect();
    assert_eq!(parse(&written.join(", ")).as_ref(), Ok(&offers), "what is written is read as the same");
    let bits = |shift: u8| 8 + (settings >> shift) % 8;
    let ours = Deflate {
        server_context_takeover: settings & 1 == 0,
        client_context_takeover: settings & 2 == 0,
        server_max_window_bits: bits(2),
        client_max_window_bits: bits(5),
        ..Deflate::default()
    };
    if let Some((answer, agreed)) = answer(&ours, &offers) {
        assert!((8..=15).contains(&agreed.server_max_window_bits));
        assert!((8..=15).contains(&agreed.client_max_window_bits));
        // Our own client, which offers as little as can be, takes what our server answers to it.
        let text = answer.to_string();
        assert_eq!(parse(&text), Ok(vec![answer]));
    }
    // Whatever a server answers, a client takes it as agreed within what it offered, or fails; a server that leaves
    // out what it was asked for does no harm.
    if let Ok(Some(agreed)) = judge(&ours, &offers) {
        assert!((8..=ours.client_max_window_bits).contains(&agreed.client_max_window_bits));
        assert!(ours.client_context_takeover || !agreed.client_context_takeover);
        let bits = agreed.server_max_window_bits;
        assert!(bits == 15 || (8..=ours.server_max_window_bits).contains(&bits));
    }
    // Our two sides understand each other, whatever their settings are.
    let other = Deflate { server_max_window_bits: bits(3), client_max_window_bits: bits(1), ..ours.clone() };
    let asked = offer(&other);
    let (answered, agreed) = answer(&ours, std::slice::from_ref(&asked)).expect("our own offer is accepted");
    assert_eq!(judge(&other, &[answered]), Ok(Some(agreed)));
}

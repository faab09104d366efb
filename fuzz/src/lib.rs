//! What is fuzzed, and what must hold: one function a target, so that a corpus can also be run without a fuzzer.
//!
//! The oracles: no panic; memory within a constant and a multiple of the input, counted by the allocator; a number of
//! steps within the same; the same result for every split of the input; what somebody else's code says.

#[allow(dead_code)]
#[path = "../../crates/ws13/tests/common/mod.rs"]
pub mod common;
#[path = "../../crates/ws13/tests/common/sim/mod.rs"]
mod sim;
#[path = "../../crates/ws13/tests/common/zlib.rs"]
mod zlib;

pub mod client_server;
pub mod deflate;
pub mod differential;
pub mod extension;
pub mod frame;
pub mod handshake_client;
pub mod handshake_server;
pub mod inflate;
pub mod receiver;

use common::allocation::{Cost, Counting, measure};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("frame", frame::check),
    ("handshake_server", handshake_server::check),
    ("handshake_client", handshake_client::check),
    ("extension", extension::check),
    ("receiver", receiver::check),
    ("inflate", inflate::check),
    ("deflate", deflate::check),
    ("client_server", client_server::check),
    ("differential", differential::check),
];

/// Does the work, and holds what it allocated against a limit in bytes.
fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let (value, Cost { peak, .. }) = measure(work);
    assert!(peak <= limit, "{peak} bytes were allocated where {limit} are allowed");
    value
}

/// Where an input is cut: made from a number, the same for the same number.
fn cuts(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut dice = sim::dice::Dice::seeded(seed.into());
    let longest = dice.pick(&[1, 3, 16, 300]);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(dice.within(1..=longest).min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

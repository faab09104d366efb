//! The cases, theme by theme. An id stays what it is once it is published.

mod answers;
mod closing;
mod compressed;
mod frames;
mod limits;
mod messages;
mod offers;
mod requests;
mod utf8;

use super::Role;
use super::case::Case;
use super::judge::{Failing, Level, echoes};
use super::link::Message;
use super::wire::Frame;

/// All cases for a server. Those that take long come last.
pub(super) fn server_cases() -> Vec<Case> {
    let handshake = requests::cases().into_iter().chain(offers::for_servers());
    handshake.chain(after_the_handshake(Role::Server)).collect()
}

/// All cases for a client.
pub(super) fn client_cases() -> Vec<Case> {
    let handshake = answers::cases().into_iter().chain(offers::for_clients());
    handshake.chain(after_the_handshake(Role::Client)).collect()
}

fn after_the_handshake(peer: Role) -> Vec<Case> {
    let themes = [
        frames::cases(peer),
        messages::cases(),
        utf8::cases(),
        closing::cases(peer),
        compressed::cases(),
        limits::cases(peer),
    ];
    themes.into_iter().flatten().collect()
}

/// The frames come back as these messages.
fn echo(id: &str, section: &str, title: &str, frames: Vec<Frame>, messages: Vec<Message>) -> Case {
    let expected = if messages.len() == 1 { "its echo" } else { "the echoes, in order" };
    let play = move |link: &mut super::link::Link| {
        link.send(&frames);
        echoes(link, &messages)
    };
    Case::open(id, section, title, expected, play).with_echo()
}

/// The frames make the connection fail.
fn fails(
    id: &str,
    section: &str,
    title: &str,
    level: Level,
    codes: &'static [u16],
    frames: Vec<Frame>,
) -> Case {
    failing(id, section, title, Failing::with(codes, level), frames)
}

fn failing(id: &str, section: &str, title: &str, failing: Failing, frames: Vec<Frame>) -> Case {
    let failing = failing.sending(&frames);
    let expected = failing.expected();
    Case::open(id, section, title, &expected, move |link| {
        link.send(&frames);
        failing.judge(link)
    })
}

/// Some text of this length.
fn letters(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}

/// What most mistakes of a peer have to be answered with (RFC 6455 7.4.1).
const PROTOCOL: &[u16] = &[1002];
/// Text that is no UTF-8.
const INVALID: &[u16] = &[1007];
/// More than one wants to take.
const TOO_BIG: &[u16] = &[1009];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_id_is_there_once_and_is_well_formed() {
        for cases in [server_cases(), client_cases()] {
            let mut ids = HashSet::new();
            for case in &cases {
                let id = &case.id;
                assert!(ids.insert(id), "{id} is there twice");
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
                assert!(id.contains('.') && id.chars().all(good), "{id}");
                assert!(case.section.starts_with("RFC "), "{id}: {}", case.section);
                assert!(!case.title.is_empty() && !case.expected.is_empty(), "{id}");
            }
            assert!(cases.len() > 300, "{} cases", cases.len());
        }
    }
}

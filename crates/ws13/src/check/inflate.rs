//! What was agreed of permessage-deflate, and the inflating of what the peer sends within it.

use super::puff::Puff;

/// The parameters in use (RFC 7692 7.1), seen from us: "ours" is what we send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) peer_bits: u32,
    pub(super) peer_keeps_window: bool,
    pub(super) our_bits: u32,
    pub(super) we_keep_window: bool,
}

/// Inflates the peer's messages, strictly within the window that was agreed.
#[derive(Default)]
pub(super) struct Inflater {
    puff: Option<Puff>,
    keeps_window: bool,
}

impl Inflater {
    pub(super) fn new(agreed: &Agreed) -> Inflater {
        Inflater { puff: Some(Puff::new(1 << agreed.peer_bits)), keeps_window: agreed.peer_keeps_window }
    }

    /// A message's bytes, inflated.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub(super) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let Some(puff) = &mut self.puff else {
            return Err("it sent a compressed message without an agreement (RFC 7692 6)".into());
        };
        if !self.keeps_window {
            puff.forget();
        }
        if payload.len() > LONGEST {
            return Ok(Vec::new());
        }
        puff.message(&[payload, &[0, 0, 0xff, 0xff]].concat()).map_err(|wrong| {
            format!(
                "it sent a message that does not inflate within the agreed window ({wrong:?}; RFC 7692 7.2)"
            )
        })
    }
}

/// Bytes of a compressed message that are looked into: the inflater is slow, and no case needs more.
const LONGEST: usize = 1 << 18;

//! What both sides agreed on.

use crate::connection::Role;

/// The parameters that hold for a connection (RFC 7692 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The server may compress with its earlier messages as a dictionary.
    pub server_context_takeover: bool,
    /// The client may compress with its earlier messages as a dictionary.
    pub client_context_takeover: bool,
    /// How far back the server looks: 2 to this power bytes, 8 to 15.
    pub server_max_window_bits: u8,
    /// How far back the client looks: 2 to this power bytes, 8 to 15.
    pub client_max_window_bits: u8,
}

impl Default for Agreed {
    /// What holds where no parameter is given.
    fn default() -> Self {
        Agreed {
            server_context_takeover: true,
            client_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

/// What holds for the messages of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Half {
    pub(crate) takeover: bool,
    pub(crate) window_bits: u8,
}

impl Agreed {
    /// What holds for the messages that this role sends.
    pub(crate) fn sent_by(&self, role: Role) -> Half {
        match role {
            Role::Server => {
                Half { takeover: self.server_context_takeover, window_bits: self.server_max_window_bits }
            }
            Role::Client => {
                Half { takeover: self.client_context_takeover, window_bits: self.client_max_window_bits }
            }
        }
    }
}

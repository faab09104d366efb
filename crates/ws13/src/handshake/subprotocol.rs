//! The name of a subprotocol (RFC 6455, sections 1.9 and 11.5), valid by construction.

use crate::extension::is_token_byte;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a subprotocol: a token such as `chat` or `mqtt`. Case matters. Cloning is cheap.
///
/// ```
/// use ws13::handshake::Subprotocol;
/// let chat: Subprotocol = "chat".parse()?;
/// assert_eq!(chat.as_ref(), "chat");
/// assert!("two words".parse::<Subprotocol>().is_err());
/// # Ok::<(), ws13::handshake::InvalidSubprotocol>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subprotocol(Arc<str>);

impl Subprotocol {
    /// Checks a name. RFC 6455, 4.1: not empty, and only token characters.
    ///
    /// # Errors
    /// [`InvalidSubprotocol`] when the name is empty or has a blank, a separator, a control character or
    /// anything that is not ASCII.
    pub fn new(name: &str) -> Result<Self, InvalidSubprotocol> {
        if !name.is_empty() && name.bytes().all(is_token_byte) {
            Ok(Subprotocol(name.into()))
        } else {
            Err(InvalidSubprotocol(name.to_owned()))
        }
    }

    /// A name that is written in the program.
    ///
    /// # Panics
    /// When it is no token: a mistake that the program's first run finds. What comes from outside is
    /// [`new`](Subprotocol::new)'s.
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        match Subprotocol::new(name) {
            Ok(subprotocol) => subprotocol,
            Err(error) => panic!("{error}"),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subprotocol {
    type Err = InvalidSubprotocol;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Subprotocol::new(name)
    }
}

impl TryFrom<&str> for Subprotocol {
    type Error = InvalidSubprotocol;
    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Subprotocol::new(name)
    }
}

impl TryFrom<String> for Subprotocol {
    type Error = InvalidSubprotocol;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Subprotocol::new(&name)
    }
}

impl AsRef<str> for Subprotocol {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Subprotocol {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Subprotocol {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no name of a subprotocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSubprotocol(String);

impl fmt::Display for InvalidSubprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no subprotocol name: use letters, digits and !#$%&'*+-.^_`|~ only, at least one",
            self.0
        )
    }
}

impl core::error::Error for InvalidSubprotocol {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_names() {
        for name in ["chat", "v12.stomp", "graphql-transport-ws", "a!#$%&'*+-.^_`|~Z9"] {
            assert_eq!(Subprotocol::new(name).unwrap(), name);
        }
    }

    #[test]
    fn cr_lf_nul_in_a_subprotocol_is_an_error() {
        for name in ["", " ", "a b", "a,b", "a\r\nX: y", "a\0", "ä", "a/b", "a=b", "\"a\"", "a\t"] {
            let error = Subprotocol::new(name).unwrap_err();
            assert!(error.to_string().contains("no subprotocol name"), "{name:?}");
            assert!(!error.to_string().contains('\n'));
        }
    }
}

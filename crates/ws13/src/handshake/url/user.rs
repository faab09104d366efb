//! The user name and the password in a URL (RFC 3986, section 3.2.1), and their way into a header (RFC 7617).

use super::{InvalidUrl, decode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The user name and the password of a URL, percent-decoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct User {
    name: String,
    password: Option<String>,
}

impl User {
    /// The user name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password, where there is a colon behind the name.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The value of a header that authenticates by these (RFC 7617, section 2): `Basic` and base64.
    #[must_use]
    pub fn basic(&self) -> String {
        let password = self.password().unwrap_or_default();
        format!("Basic {}", STANDARD.encode(format!("{}:{password}", self.name)))
    }

    /// Reads what stands before the `@`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let (name, password) = match text.split_once(':') {
            Some((name, password)) => (name, Some(password)),
            None => (text, None),
        };
        let name = clean(name)?;
        // RFC 7617, 2: a user name with a colon cannot be sent by Basic authentication.
        if name.contains(':') {
            return Err(InvalidUrl::User);
        }
        Ok(User { name, password: password.map(clean).transpose()? })
    }
}

/// Without the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Percent-decodes, and lets no control character through.
fn clean(text: &str) -> Result<String, InvalidUrl> {
    decode(text).filter(|decoded| !decoded.chars().any(char::is_control)).ok_or(InvalidUrl::User)
}

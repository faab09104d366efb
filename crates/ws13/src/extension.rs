//! Extensions (RFC 6455 section 9): how they are named in a handshake, agreed on, and what they claim of a frame.
//!
//! permessage-deflate is one, and built in. One of your own implements [`Negotiate`].
//!
//! ```
//! use ws13::extension::{self, Extension};
//!
//! let offers = extension::parse("foo; bits=\"10\"; bare, foo")?;
//! assert_eq!(offers.len(), 2);
//! assert_eq!(offers[0].name, "foo");
//! assert_eq!(offers[0].parameters[0].value.as_deref(), Some("10"));
//! assert_eq!(offers[0].parameters[1].value, None);
//! assert_eq!(Extension::new("foo").flag("bare").with("bits", 9).to_string(), "foo; bare; bits=9");
//! # Ok::<(), ws13::extension::Malformed>(())
//! ```

mod claims;
mod negotiate;

pub use claims::Claims;
pub(crate) use claims::Meaning;
pub use negotiate::Negotiate;
#[cfg(feature = "std")]
pub(crate) use negotiate::{answers, check, offers};

use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Reads the value of `Sec-WebSocket-Extensions`, its lines joined by commas: each extension that is offered, in the
/// order of preference, one name as often as it is there. One pass over the text, whatever it is.
///
/// ```text
/// extension-list = 1#extension
/// extension      = extension-token *( ";" extension-param )
/// extension-param = token [ "=" (token | quoted-string) ]
/// ```
///
/// # Errors
/// [`Malformed`].
pub fn parse(value: &str) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut cursor = Cursor { rest: value };
    let mut extensions = Vec::new();
    loop {
        // RFC 9110, 5.6.1.2: a recipient accepts empty elements in a list.
        while cursor.skip_blanks().take(',') {}
        if cursor.rest.is_empty() {
            return Ok(extensions);
        }
        let mut extension = Extension::new(cursor.token()?);
        while cursor.skip_blanks().take(';') {
            extension.parameters.push(cursor.parameter()?);
        }
        if !cursor.rest.is_empty() && !cursor.rest.starts_with(',') {
            return Err(Malformed);
        }
        extensions.push(extension);
    }
}

/// An extension with its parameters, as it is offered or accepted; displayed as it stands in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The registered name, such as `permessage-deflate`.
    pub name: &'a str,
    /// The parameters in their order, one name as often as it is there.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name, a token.
    pub name: &'a str,
    /// The value, a token, its quotes taken off; `None` where there is no `=`.
    pub value: Option<Cow<'a, str>>,
}

impl<'a> Extension<'a> {
    /// An extension without parameters.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Extension { name, parameters: Vec::new() }
    }

    /// Adds a parameter without a value.
    #[must_use]
    pub fn flag(mut self, name: &'a str) -> Self {
        self.parameters.push(Parameter { name, value: None });
        self
    }

    /// Adds a parameter with a value.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: impl fmt::Display) -> Self {
        self.parameters.push(Parameter { name, value: Some(value.to_string().into()) });
        self
    }
}

impl fmt::Display for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for Parameter { name, value } in &self.parameters {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// The value of a `Sec-WebSocket-Extensions` header does not follow RFC 6455, section 9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no list of extensions: write it as 'name; parameter=value, name'")
    }
}

impl core::error::Error for Malformed {}

/// Whether the byte may stand in a token: tchar of RFC 9110, section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) -> &mut Self {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self
    }

    fn take(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let end = self.rest.bytes().position(|b| !is_token_byte(b)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).ok_or(Malformed)?;
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, Malformed> {
        let name = self.skip_blanks().token()?;
        if !self.skip_blanks().take('=') {
            return Ok(Parameter { name, value: None });
        }
        let value = if self.skip_blanks().take('"') { self.quoted()? } else { self.token()?.into() };
        Ok(Parameter { name, value: Some(value) })
    }

    /// RFC 6455, 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF."
    fn quoted(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let mut bytes = self.rest.bytes().enumerate();
        let mut value = String::new();
        while let Some((at, byte)) = bytes.next() {
            let byte = match byte {
                b'"' if value.is_empty() => return Err(Malformed),
                b'"' => {
                    // Without an escape it stands in the header as it is.
                    let verbatim = self.rest.get(..at).filter(|quoted| *quoted == value);
                    self.rest = self.rest.get(at + 1..).ok_or(Malformed)?;
                    return Ok(verbatim.map_or(Cow::Owned(value), Cow::Borrowed));
                }
                b'\\' => bytes.next().ok_or(Malformed)?.1,
                _ => byte,
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(char::from(byte));
        }
        Err(Malformed)
    }
}

/// The names in a header value, in order.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "for the handshake"))]
pub(crate) fn names(value: &str) -> Result<Vec<String>, Malformed> {
    Ok(parse(value)?.into_iter().map(|extension| extension.name.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    #[test]
    fn quoted_parameters_repeated_headers_duplicate_parameters_unknown_names() {
        for (value, read) in [
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                &["permessage-deflate; client_max_window_bits; server_max_window_bits=10"][..],
            ),
            ("a;x=\"10\" , b ; y = \"\\1\\0\";y,,c,", &["a; x=10", "b; y=10; y", "c"]),
            ("foo; x; x, foo", &["foo; x; x", "foo"]),
            ("", &[]),
            (" , ,", &[]),
        ] {
            let again: Vec<_> = parse(value).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(again, read);
            assert_eq!(parse(&again.join(",")), parse(value), "what is written is read as the same");
        }
        assert_eq!(names("foo; x, bar"), Ok(vec!["foo".to_owned(), "bar".to_owned()]));
    }

    #[test]
    fn malformed_values_are_refused() {
        for value in [
            "a b",
            "a;",
            "a;;b",
            ";a",
            "a;=1",
            "a;x=",
            "a;x=\"",
            "a;x=\"\"",
            "a;x=\"1 0\"",
            "a;x=\"1\\",
            "a;x=\"1\"2",
            "a/b",
            "ä",
            "a;x=\"ä\"",
            "a=1",
            "\"a\"",
        ] {
            assert_eq!(parse(value), Err(Malformed), "{value:?}");
        }
    }

    #[test]
    fn blanks_and_an_unclosed_quote_in_an_extension_header() {
        assert_eq!(parse(&format!("b{}x", " ".repeat(32_000))), Err(Malformed));
        assert_eq!(parse(&format!("b; x=\"{}", "\\c".repeat(32_000))), Err(Malformed));
        assert_eq!(parse(&",".repeat(64_000)), Ok(vec![]));
    }
}

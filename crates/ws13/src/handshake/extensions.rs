//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455, section 9.1): checked here, negotiated elsewhere.

use super::head::is_token_byte;

/// The value of a `Sec-WebSocket-Extensions` header does not follow RFC 6455, section 9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The names of the extensions in a joined header value, in order. One pass over the text, whatever it is.
///
/// ```text
/// extension-list = 1#extension
/// extension      = extension-token *( ";" extension-param )
/// extension-param = token [ "=" (token | quoted-string) ]
/// ```
pub(super) fn names(value: &str) -> Result<Vec<&str>, Malformed> {
    let mut cursor = Cursor { rest: value };
    let mut names = Vec::new();
    loop {
        // RFC 9110, 5.6.1.2: a recipient accepts empty elements in a list.
        while cursor.skip_blanks().take(',') {}
        if cursor.rest.is_empty() {
            return Ok(names);
        }
        names.push(cursor.token()?);
        while cursor.skip_blanks().take(';') {
            cursor.parameter()?;
        }
        if !cursor.rest.is_empty() && !cursor.rest.starts_with(',') {
            return Err(Malformed);
        }
    }
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

    fn parameter(&mut self) -> Result<(), Malformed> {
        self.skip_blanks().token()?;
        if !self.skip_blanks().take('=') {
            return Ok(());
        }
        if self.skip_blanks().take('"') { self.quoted() } else { self.token().map(|_| ()) }
    }

    /// RFC 6455, 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF."
    fn quoted(&mut self) -> Result<(), Malformed> {
        let mut bytes = self.rest.bytes().enumerate();
        let mut empty = true;
        while let Some((at, byte)) = bytes.next() {
            let byte = match byte {
                b'"' if empty => return Err(Malformed),
                b'"' => {
                    self.rest = self.rest.get(at + 1..).ok_or(Malformed)?;
                    return Ok(());
                }
                b'\\' => bytes.next().ok_or(Malformed)?.1,
                _ => byte,
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            empty = false;
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parameters_repeated_headers_duplicate_parameters_unknown_names() {
        let one = "permessage-deflate; client_max_window_bits; server_max_window_bits=10";
        assert_eq!(names(one), Ok(vec!["permessage-deflate"]));
        assert_eq!(names("a;x=\"10\" , b ; y = \"\\1\\0\";y,,c,"), Ok(vec!["a", "b", "c"]));
        assert_eq!(names("foo; x; x, foo"), Ok(vec!["foo", "foo"]));
        assert_eq!(names(""), Ok(vec![]));
        assert_eq!(names(" , ,"), Ok(vec![]));
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
            assert_eq!(names(value), Err(Malformed), "{value:?}");
        }
    }

    #[test]
    fn blanks_and_an_unclosed_quote_in_an_extension_header() {
        assert_eq!(names(&format!("b{}x", " ".repeat(32_000))), Err(Malformed));
        assert_eq!(names(&format!("b; x=\"{}", "\\c".repeat(32_000))), Err(Malformed));
        assert_eq!(names(&",".repeat(64_000)), Ok(vec![]));
    }
}

//! What a reference such as `../chat` means, seen from a URL (RFC 3986, section 5.2).

use super::{InvalidUrl, Url, encode_path, is_scheme};

impl Url {
    /// The URL that a reference means here (RFC 3986, section 5.2), such as the Location of a redirect.
    ///
    /// A fragment is left out: it never goes to a server, and means nothing to a WebSocket (RFC 6455, section 3). The
    /// user name and the password stay where the reference names no host.
    ///
    /// ```
    /// use ws13::handshake::Url;
    /// let url = Url::new("ws://example.com/rooms/9/chat?name=a")?;
    /// assert_eq!(url.join("../10")?.to_string(), "ws://example.com/rooms/10");
    /// assert_eq!(url.join("//other/x#top")?.to_string(), "ws://other/x");
    /// assert_eq!(url.join("https://other/")?.to_string(), "wss://other/");
    /// # Ok::<(), ws13::handshake::InvalidUrl>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidUrl`], as [`Url::new`] has it.
    pub fn join(&self, reference: &str) -> Result<Self, InvalidUrl> {
        let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
        if has_scheme(reference) {
            return Url::new(reference).map(Url::without_dots);
        }
        if reference.starts_with("//") {
            // What begins so names a host, and a socket has none.
            let scheme = if self.socket.is_some() { "ws" } else { self.scheme() };
            return Url::new(&format!("{scheme}:{reference}")).map(Url::without_dots);
        }
        if let Some(wrong) = reference.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidUrl::Character(wrong));
        }
        let merged = self.merge(reference);
        Ok(Url { path_and_query: encode_path(&merged), ..self.clone() }.without_dots())
    }

    /// Path and query for a reference without a host: section 5.2.2, its inner branches, and 5.2.3.
    fn merge(&self, reference: &str) -> String {
        let base = self.path_and_query.split('?').next().unwrap_or_default();
        match reference.as_bytes().first() {
            None => self.path_and_query.clone(),
            Some(b'?') => format!("{base}{reference}"),
            Some(b'/') => reference.to_owned(),
            Some(_) => {
                let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
                format!("{folder}{reference}")
            }
        }
    }

    fn without_dots(self) -> Self {
        let (path, query) =
            self.path_and_query.split_at(self.path_and_query.find('?').unwrap_or(self.path_and_query.len()));
        Url { path_and_query: format!("{}{query}", remove_dot_segments(path)), ..self }
    }
}

/// Whether it begins with a scheme: only a colon ahead of the first `/` and `?` ends one.
fn has_scheme(reference: &str) -> bool {
    let first = reference.split(['/', '?']).next().unwrap_or_default();
    first.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// RFC 3986, section 5.2.4, for a path that begins with `/`.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> String {
        Url::new(base).unwrap().join(reference).unwrap().to_string()
    }

    /// All examples of 5.4.1 and 5.4.2 that end in a URL of ours; fragments are left out, `http` is `ws`.
    #[test]
    fn rfc_3986_5_4_examples() {
        for (reference, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g/"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x", "ws://a/b/c/g;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("../../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            (".g", "ws://a/b/c/.g"),
            ("g..", "ws://a/b/c/g.."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g;x=1/./y", "ws://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/./x", "ws://a/b/c/g?y/./x"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("g#s/./x", "ws://a/b/c/g"),
            ("g#s/../x", "ws://a/b/c/g"),
        ] {
            assert_eq!(joined("http://a/b/c/d;p?q", reference), expected, "{reference:?}");
        }
        // "g:h" is absolute, of a scheme that is none of ours; "http:g" is the same, read strictly.
        let base = Url::new("http://a/b/c/d;p?q").unwrap();
        for reference in ["g:h", "http:g"] {
            assert!(base.join(reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn rfc_3986_5_2_4_dots_are_removed() {
        for (path, expected) in [
            ("/a/b/c/./../../g", "/a/g"),
            ("/", "/"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a//../b", "/a/b"),
            ("//a", "//a"),
            ("/a/b/..", "/a/"),
        ] {
            assert_eq!(remove_dot_segments(path), expected, "{path}");
        }
    }

    #[test]
    fn other_hosts_schemes_and_odd_references() {
        assert_eq!(joined("ws://a/b", "https://c:444/../d?e/../f"), "wss://c:444/d?e/../f");
        assert_eq!(joined("wss://a/b", "//c/d"), "wss://c/d");
        assert_eq!(joined("ws://a/b", "./c:d"), "ws://a/c:d");
        assert_eq!(joined("ws://a/b", "é{}"), "ws://a/%C3%A9%7B%7D");
        assert_eq!(joined("ws+unix:/s:/a/b", "../c"), "ws+unix:/s:/c");
        assert_eq!(joined("ws+unix:/s:/a/b", "//c/d"), "ws://c/d");
        let base = Url::new("ws://me:pw@a/b").unwrap();
        for wrong in ["c d", "c\r\nX: y", "\0", "//", "//a b", "ftp://a", "//a:b", "javascript:1"] {
            assert!(base.join(wrong).is_err(), "{wrong:?}");
        }
        let password = |reference| base.join(reference).unwrap().user().map(|user| user.name().to_owned());
        assert_eq!(password("/c"), Some("me".into()));
        assert_eq!(password("//a/c"), None);
    }
}

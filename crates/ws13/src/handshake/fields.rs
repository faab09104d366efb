//! Reading header values that are lists of tokens, over one or several lines.

use http::{HeaderMap, HeaderName};

/// A header has bytes outside visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAscii;

/// Whether a comma-separated list, possibly over several lines, has this token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The values of all lines of a header, joined by commas. Empty values count as absent.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, NotAscii> {
    let mut joined = String::new();
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| NotAscii)?.trim();
        if !joined.is_empty() && !value.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    Ok(Some(joined).filter(|value| !value.is_empty()))
}

/// The items of a joined list, without blanks around them and without the empty ones.
pub(super) fn items(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The value of a header that must stand exactly once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::{CONNECTION, UPGRADE};

    fn map(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn connection_is_a_token_list_in_any_case_over_several_lines() {
        for values in
            [&["keep-alive, Upgrade"][..], &["UPGRADE"], &["keep-alive", "x,\tupgrade ,y"], &["Upgrade,"]]
        {
            assert!(has_token(&map(CONNECTION, values), &CONNECTION, "upgrade"), "{values:?}");
        }
        for values in [&["notupgrade"][..], &["upgraded"], &["keep-alive"], &[""], &[], &["up, grade"]] {
            assert!(!has_token(&map(CONNECTION, values), &CONNECTION, "upgrade"), "{values:?}");
        }
    }

    #[test]
    fn joining_leaves_out_what_is_empty() {
        assert_eq!(joined(&map(UPGRADE, &["a", "", " b ,c"]), &UPGRADE), Ok(Some("a, b ,c".into())));
        assert_eq!(joined(&map(UPGRADE, &["", " "]), &UPGRADE), Ok(None));
        assert_eq!(joined(&map(UPGRADE, &[]), &UPGRADE), Ok(None));
        let mut odd = HeaderMap::new();
        odd.insert(UPGRADE, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(joined(&odd, &UPGRADE), Err(NotAscii));
        assert_eq!(items("a,, b ,").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn single_is_single() {
        assert_eq!(single(&map(UPGRADE, &[" a "]), &UPGRADE), Some(&b"a"[..]));
        assert_eq!(single(&map(UPGRADE, &["a", "a"]), &UPGRADE), None);
        assert_eq!(single(&map(UPGRADE, &[]), &UPGRADE), None);
    }
}

//! `Forwarded` (RFC 7239) and the `X-Forwarded-…` headers: what proxies say about a request's way.

use super::authority::Authority;
use super::network::Trusted;
use core::net::{IpAddr, SocketAddr};
use http::{HeaderMap, HeaderName};

/// One proxy's word about whom it got the request from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None` when it does not say, or hides it ("unknown", "_hidden").
    pub(super) client: Option<SocketAddr>,
    pub(super) secure: Option<bool>,
    pub(super) host: Option<Authority>,
}

/// The hops of the header `Forwarded`, the nearest proxy's last. What is malformed says nothing.
pub(super) fn standard(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for value in headers.get_all(http::header::FORWARDED) {
        let value = value.to_str().unwrap_or_default();
        hops.extend(split(value, ',').map(|element| {
            let mut hop = Hop::default();
            for pair in split(element, ';') {
                let (name, value) = pair.split_once('=').unwrap_or_default();
                let value = unquoted(value.trim());
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.client = address(&value),
                    "proto" => hop.secure = scheme(&value),
                    "host" => hop.host = Authority::new(&value).ok(),
                    _ => {}
                }
            }
            hop
        }));
    }
    hops
}

/// The same of `X-Forwarded-For`, `-Proto` and `-Host`.
pub(super) fn common(headers: &HeaderMap) -> Vec<Hop> {
    let clients = items(headers, "x-forwarded-for");
    let (schemes, hosts) = (items(headers, "x-forwarded-proto"), items(headers, "x-forwarded-host"));
    let hops = clients.len().max(1);
    let hop = |at| Hop {
        client: clients.get(at).copied().and_then(address),
        secure: beside(&schemes, at, hops).and_then(scheme),
        host: beside(&hosts, at, hops).and_then(|host| Authority::new(host).ok()),
    };
    (0..hops).map(hop).collect()
}

/// Walks from the nearest proxy on, as long as who speaks is trusted: the last trusted word that was said.
pub(super) fn last_trusted(hops: Vec<Hop>, peer: Option<IpAddr>, trusted: &Trusted) -> Option<Hop> {
    let mut speaker = peer;
    let mut told = None;
    for hop in hops.into_iter().rev() {
        if !trusted.includes(speaker) {
            break;
        }
        let client = hop.client;
        told = Some(hop);
        match client {
            Some(client) => speaker = Some(client.ip()),
            None => break,
        }
    }
    told
}

fn items<'a>(headers: &'a HeaderMap, name: &'static str) -> Vec<&'a str> {
    let values = headers.get_all(HeaderName::from_static(name)).iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim).collect()
}

/// The item for this hop, where each proxy added one; else the last, which the nearest proxy has set.
fn beside<'a>(items: &[&'a str], at: usize, hops: usize) -> Option<&'a str> {
    if items.len() == hops { items.get(at).copied() } else { items.last().copied() }
}

/// `1.2.3.4`, `1.2.3.4:56`, `::1` or `[::1]:56`; the port is 0 where it is not told.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|_| text.parse()).ok()
}

fn scheme(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// What stands between separators that are not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let within = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !within
    })
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    let kept = inner.chars().filter(|&c| {
        escaped = c == '\\' && !escaped;
        !escaped
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for &(name, value) in lines {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    fn client(lines: &[(&'static str, &'static str)]) -> Option<String> {
        let hops = if lines[0].0 == "forwarded" { standard } else { common }(&headers(lines));
        let trusted = Trusted::networks(["10.0.0.0/8".parse().unwrap()]);
        let told = last_trusted(hops, Some("10.0.0.1".parse().unwrap()), &trusted)?;
        told.client.map(|client| client.to_string())
    }

    #[test]
    fn the_client_is_the_last_whom_a_trusted_proxy_names() {
        for (value, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1:0")),
            ("for=192.0.2.1:4711;proto=https", Some("192.0.2.1:4711")),
            ("For=\"[2001:db8::1]:4711\"", Some("[2001:db8::1]:4711")),
            ("for=\"[2001:db8::1]\"", Some("[2001:db8::1]:0")),
            ("for=6.6.6.6, for=192.0.2.1, for=10.0.0.2", Some("192.0.2.1:0")),
            ("for=6.6.6.6, for=192.0.2.1", Some("192.0.2.1:0")),
            ("for=192.0.2.1, for=unknown", None),
            ("for=_hidden", None),
            ("by=\"a,b;for=6.6.6.6\";for=192.0.2.1", Some("192.0.2.1:0")),
            ("for=\"192\\.0.2.1\"", Some("192.0.2.1:0")),
            ("for=\"192.0.2.1", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(client(&[("forwarded", value)]).as_deref(), expected, "{value}");
        }
        assert_eq!(
            client(&[("forwarded", "for=6.6.6.6"), ("forwarded", "for=192.0.2.1")]).unwrap(),
            "192.0.2.1:0"
        );
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1:0")),
            ("6.6.6.6, 192.0.2.1", Some("192.0.2.1:0")),
            ("6.6.6.6,192.0.2.1,10.9.9.9", Some("192.0.2.1:0")),
            ("::1", Some("[::1]:0")),
            ("[::1]:80", Some("[::1]:80")),
            ("192.0.2.1, ", None),
            ("unknown", None),
        ] {
            assert_eq!(client(&[("x-forwarded-for", value)]).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        let hops = standard(&headers(&[("forwarded", "for=6.6.6.6")]));
        let trusted = Trusted::networks(["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(last_trusted(hops, Some("11.0.0.1".parse().unwrap()), &trusted), None);
    }

    #[test]
    fn scheme_and_host_are_those_that_the_client_used() {
        let hops = standard(&headers(&[(
            "forwarded",
            "for=192.0.2.1;proto=https;host=\"example.com:81\", for=10.0.0.2;proto=http",
        )]));
        let trusted = Trusted::networks(["10.0.0.0/8".parse().unwrap()]);
        let hop = last_trusted(hops, Some("10.0.0.1".parse().unwrap()), &trusted).unwrap();
        assert_eq!((hop.secure, hop.host.unwrap().as_str()), (Some(true), "example.com:81"));

        let lines = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.com"),
        ];
        let hops = common(&headers(&lines));
        assert_eq!(hops[0].secure, Some(true));
        assert_eq!(hops[0].host.as_ref().unwrap().as_str(), "example.com");
        let lines = [("x-forwarded-for", "192.0.2.1, 10.0.0.2"), ("x-forwarded-proto", "https, http")];
        let secure: Vec<_> = common(&headers(&lines)).into_iter().map(|hop| hop.secure).collect();
        assert_eq!(secure, [Some(true), Some(false)]);
        assert_eq!(common(&headers(&[("x-forwarded-proto", "https")]))[0].secure, Some(true));
    }
}

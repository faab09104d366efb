use super::*;
use crate::handshake::{HeadError, InvalidAuthority, Url};
use std::ffi::OsString;

fn proxy(url: &str) -> Proxy {
    Proxy::new(url).unwrap()
}

fn url(text: &str) -> Url {
    Url::new(text).unwrap()
}

#[test]
fn proxies_are_read_from_urls() {
    for (text, host, port, shown) in [
        ("http://a:3128", "a", 3128, "http://a:3128"),
        ("HTTP://A/", "a", 80, "http://a:80"),
        ("a:3128", "a", 3128, "http://a:3128"),
        ("me:pw@a:3128", "a", 3128, "http://a:3128"),
        ("https://a", "a", 443, "https://a:443"),
        ("socks5://[::1]", "::1", 1080, "socks5://[::1]:1080"),
        ("socks5h://me@10.0.0.1:9050", "10.0.0.1", 9050, "socks5h://10.0.0.1:9050"),
    ] {
        let proxy = proxy(text);
        assert_eq!((proxy.host(), proxy.port(), proxy.to_string().as_str()), (host, port, shown), "{text}");
    }
    assert!(proxy("https://a").secure() && !proxy("http://a").secure());
    assert!(proxy("socks5://a").wants_addresses() && !proxy("socks5h://a").wants_addresses());
    let long = "x".repeat(256);
    for (text, error) in [
        ("ftp://a".to_owned(), InvalidProxy::Scheme),
        ("socks4://a".to_owned(), InvalidProxy::Scheme),
        ("http://".to_owned(), InvalidProxy::Host(InvalidAuthority::Empty)),
        ("http://a:0".to_owned(), InvalidProxy::Host(InvalidAuthority::Port)),
        ("http://a/b".to_owned(), InvalidProxy::Host(InvalidAuthority::Character('/'))),
        ("http://a b".to_owned(), InvalidProxy::Host(InvalidAuthority::Character(' '))),
        ("http://a\r\nX: y".to_owned(), InvalidProxy::Host(InvalidAuthority::Character('\r'))),
        ("http://a%3Ab:c@d".to_owned(), InvalidProxy::User),
        ("http://%0d%0a:b@c".to_owned(), InvalidProxy::User),
        (format!("socks5://{long}:b@c"), InvalidProxy::User),
        (format!("socks5://a:{long}@c"), InvalidProxy::User),
    ] {
        assert_eq!(Proxy::new(&text), Err(error), "{text:?}");
    }
    assert!(Proxy::new(&format!("http://{long}:b@c")).is_ok(), "only SOCKS5 has lengths of one byte");
}

#[test]
fn credentials_are_in_no_error_and_no_debug_output() {
    let secret = "hidden";
    let base64 = "bWU6aGlkZGVu";
    for scheme in ["http", "https", "socks5", "socks5h"] {
        let proxy = proxy(&format!("{scheme}://me:{secret}@a:1"));
        let mut tunnel = Tunnel::new(&proxy, &url("ws://b"));
        let mut shown = format!("{proxy} {proxy:?} {:?} {tunnel:?}", Proxies::all(proxy.clone()));
        shown += &format!("{:?} {tunnel:?}", tunnel.step());
        assert!(!shown.contains(secret) && !shown.contains(base64), "{shown}");
        let bytes = format!("{:?}", secret.as_bytes());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
    for wrong in ["hidden://a", "http://me:hidden@", "http://me:hid%den@a", "http://me:hidden@a/b"] {
        let variables = |name: &str| (name == "all_proxy").then(|| OsString::from(wrong));
        let error = Proxies::from_variables(variables).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("all_proxy") && !shown.contains("hidden") && !shown.contains("hid%"),
            "{shown}"
        );
    }
}

/// What comes of a talk in which the proxy gives these answers, each to one request, read in pieces of `piece`
/// bytes; with what it was asked, and how many bytes of the answers were left alone.
fn talk(
    mut tunnel: Tunnel,
    answers: &[&[u8]],
    piece: usize,
) -> (Result<(), ProxyError>, Vec<Vec<u8>>, usize) {
    let (mut asked, mut next, mut answer) = (Vec::new(), answers.iter(), &b""[..]);
    loop {
        match tunnel.step() {
            Ok(Step::Write(bytes)) => {
                assert!(answer.is_empty(), "an answer was not read to its end");
                asked.push(bytes);
                answer = next.next().copied().unwrap_or_default();
            }
            Ok(Step::Read(most)) => {
                assert!(most > 0);
                if answer.is_empty() {
                    return (Err(ProxyError::Ended), asked, 0);
                }
                let (bytes, rest) = answer.split_at(most.min(piece).min(answer.len()));
                tunnel.receive(bytes);
                answer = rest;
            }
            Ok(Step::Open) => return (Ok(()), asked, answer.len()),
            Err(error) => {
                assert_eq!(tunnel.step(), Err(error.clone()), "an error repeats itself");
                return (Err(error), asked, 0);
            }
        }
    }
}

/// The same for every size of pieces.
fn talked(tunnel: impl Fn() -> Tunnel, answers: &[&[u8]]) -> (Result<(), ProxyError>, Vec<Vec<u8>>, usize) {
    let whole = talk(tunnel(), answers, usize::MAX);
    for piece in 1..=64 {
        assert_eq!(talk(tunnel(), answers, piece), whole, "in pieces of {piece} bytes");
    }
    whole
}

fn http(answer: &[u8]) -> (Result<(), ProxyError>, usize) {
    let (result, asked, left) = talked(|| Tunnel::new(&proxy("http://a"), &url("ws://b:81/c")), &[answer]);
    assert_eq!(asked, [b"CONNECT b:81 HTTP/1.1\r\nHost: b:81\r\n\r\n"]);
    (result, left)
}

#[test]
fn connect_is_asked_with_basic_authentication() {
    let asked = |proxy_url, target| {
        let Ok(Step::Write(asked)) = Tunnel::new(&proxy(proxy_url), &url(target)).step() else { panic!() };
        String::from_utf8(asked).unwrap()
    };
    assert_eq!(
        asked("https://Aladdin:open%20sesame@a", "wss://[::1]/x"),
        "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
         Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
    );
    let to_address = Tunnel::to_address(&proxy("http://a"), ([127, 0, 0, 1], 9).into()).step();
    assert!(matches!(to_address, Ok(Step::Write(asked)) if asked.starts_with(b"CONNECT 127.0.0.1:9 ")));
}

#[test]
fn proxy_answers_connect_with_http_1_0_or_1_1_and_any_2xx() {
    for answer in [
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 299 Odd\r\nVia: x\r\n\r\n",
        "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(http(answer.as_bytes()), (Ok(()), 0), "{answer:?}");
    }
}

#[test]
fn bytes_that_come_early_are_not_read() {
    for early in [&b"\r\n\r\n"[..], b"\x16\x03", b"HTTP/1.1 101 x\r\n\r\n", b"x"] {
        let answer = [b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", early].concat();
        assert_eq!(http(&answer), (Ok(()), early.len()));
    }
}

#[test]
fn refusals_of_a_proxy_are_explained() {
    for (answer, told, temporary) in [
        ("HTTP/1.1 403 Filtered\r\nContent-Length: 9\r\n\r\n", "403 Forbidden: it does not allow", false),
        ("HTTP/1.1 405 x\r\n\r\n", "knows no CONNECT", false),
        ("HTTP/1.1 502 x\r\n\r\n", "502 Bad Gateway: it failed, or did not reach the server", true),
        ("HTTP/1.1 101 Switching\r\n\r\n", "it answered 101", false),
        ("HTTP/1.1 599 odd\u{7}\r\n\r\n", "control character", false),
        ("HTTP/1.1 302 x\r\nLocation: /\r\n\r\n", "it answered 302", false),
    ] {
        let error = http(answer.as_bytes()).0.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.is_temporary(), temporary, "{error}");
    }
}

#[test]
fn a_407_is_explained() {
    let answer =
        b"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n";
    let without = http(answer).0.unwrap_err();
    assert!(without.to_string().contains("wants a user name and a password"), "{without}");
    assert!(without.to_string().contains("Negotiate, Basic"), "{without}");
    let authenticated = || Tunnel::new(&proxy("http://me:hidden@a"), &url("ws://b"));
    let with = talked(authenticated, &[answer]).0.unwrap_err();
    assert!(with.to_string().contains("does not accept the user name and the password"), "{with}");
    assert!(!with.to_string().contains("hidden") && !with.is_temporary());
    let odd = b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"tinyproxy\"\r\n\r\n";
    assert!(matches!(http(odd).0, Err(ProxyError::Authentication { sent: false, wanted: Some(_) })));
}

#[test]
fn answers_of_an_attackers_proxy_are_bounded_and_judged() {
    let endless = |line: &str| [b"HTTP/1.1 200 OK\r\n", line.repeat(20_000).as_bytes()].concat();
    for (answer, error) in [
        (endless("A: b\r\n"), HeadError::TooManyHeaders { limit: 100 }),
        (endless("a"), HeadError::TooLong { limit: 16 * 1024 }),
        (b"HTTP/1.1 100 x\r\n\r\n".repeat(5_000), HeadError::TooLong { limit: 16 * 1024 }),
        (b"HTTP/1.1 200 OK\r\n<!DOCTYPE html>\r\n\r\n".to_vec(), HeadError::HeaderName),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n".to_vec(), HeadError::HeaderName),
        (b"HTTP/1.1 200 OK\nA: b\n\n".to_vec(), HeadError::BareLineFeed),
        (b"HTTP/2 200 OK\r\n\r\n".to_vec(), HeadError::StartLine),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), HeadError::StartLine),
        (b"\x05\x00".to_vec(), HeadError::ControlCharacter(5)),
        (b"\r\n".repeat(20_000), HeadError::TooLong { limit: 16 * 1024 }),
    ] {
        let mut tunnel = Tunnel::new(&proxy("http://a"), &url("ws://b"));
        let (result, ..) = talk(tunnel, &[&answer], usize::MAX);
        let told = result.unwrap_err();
        let expected = ProxyError::Head(error);
        if matches!(expected, ProxyError::Head(HeadError::StartLine)) {
            assert!(matches!(told, ProxyError::Head(_)), "{told}");
        } else {
            assert_eq!(told, expected, "{told}");
        }
        tunnel = Tunnel::new(&proxy("http://a"), &url("ws://b"));
        let (bytewise, ..) = talk(tunnel, &[&answer], 1);
        assert_eq!(bytewise, Err(told));
    }
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r"] {
        assert_eq!(http(answer.as_bytes()).0, Err(ProxyError::Ended));
    }
}

const GRANTED: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

fn socks(proxy_url: &str, target: &str, answers: &[&[u8]]) -> (Result<(), ProxyError>, Vec<Vec<u8>>, usize) {
    talked(|| Tunnel::new(&proxy(proxy_url), &url(target)), answers)
}

#[test]
fn rfc_1928_without_authentication() {
    let (result, asked, left) = socks("socks5h://a", "ws://b.example:258", &[&[5, 0], GRANTED]);
    assert_eq!((result, left), (Ok(()), 0));
    assert_eq!(asked, [vec![5, 1, 0], [&[5, 1, 0, 3, 9], &b"b.example"[..], &[1, 2]].concat()]);
    let (_, asked, _) = socks("socks5://a", "ws://127.0.0.1", &[&[5, 0], GRANTED]);
    assert_eq!(asked[1], [5, 1, 0, 1, 127, 0, 0, 1, 0, 80]);
    let (_, asked, _) = socks("socks5://a", "ws://[::1]", &[&[5, 0], GRANTED]);
    assert_eq!(asked[1], [&[5, 1, 0, 4][..], &[0; 15], &[1, 0, 80]].concat());
}

#[test]
fn rfc_1929_user_name_and_password() {
    let url = "socks5h://me:p%20w@a";
    let (result, asked, _) = socks(url, "ws://b", &[&[5, 2], &[1, 0], GRANTED]);
    assert_eq!(result, Ok(()));
    assert_eq!(asked[..2], [vec![5, 2, 0, 2], b"\x01\x02me\x03p w".to_vec()]);
    // A proxy that asks for none gets none.
    assert_eq!(socks(url, "ws://b", &[&[5, 0], GRANTED]).1.len(), 2);
    let wrong = socks(url, "ws://b", &[&[5, 2], &[1, 1]]).0;
    assert_eq!(wrong, Err(ProxyError::Authentication { sent: true, wanted: None }));
    let wanted = socks("socks5h://a", "ws://b", &[&[5, 0xff]]).0;
    assert_eq!(wanted, Err(ProxyError::Authentication { sent: false, wanted: None }));
}

#[test]
fn answers_of_any_kind_of_address_are_read_to_their_end_and_no_further() {
    let name = [&[5, 0, 0, 3, 3][..], b"abc", &[0, 1]].concat();
    let empty_name = [5, 0, 0, 3, 0, 0, 1];
    let six = [&[5, 0, 0, 4][..], &[0; 16], &[0, 1]].concat();
    for answer in [GRANTED, &name, &empty_name, &six] {
        for early in [&b""[..], b"x", b"early"] {
            let answer = [answer, early].concat();
            let (result, _, left) = socks("socks5h://a", "ws://b", &[&[5, 0], &answer]);
            assert_eq!((result, left), (Ok(()), early.len()));
        }
    }
}

#[test]
fn socks5_failures_are_explained() {
    for (answers, error) in [
        (&[&b"HTTP/1.1 400 Bad\r\n\r\n"[..]][..], ProxyError::NotSocks5(b'H')),
        (&[&[4, 0]], ProxyError::NotSocks5(4)),
        (&[&[5, 1]], ProxyError::Malformed("it chose a method of authentication that was not offered")),
        (&[&[5, 2]], ProxyError::Malformed("it chose a method of authentication that was not offered")),
        (&[&[5, 0], &[5, 2]], ProxyError::Socks(2)),
        (&[&[5, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]], ProxyError::Socks(5)),
        (&[&[5, 0], &[5, 99]], ProxyError::Socks(99)),
        (
            &[&[5, 0], &[5, 0, 0, 2, 0]],
            ProxyError::Malformed("its answer has a kind of address that is none"),
        ),
        (&[&[5, 0], &GRANTED[..9]], ProxyError::Ended),
        (&[&[5]], ProxyError::Ended),
    ] {
        let whole = talk(Tunnel::new(&proxy("socks5h://a"), &url("ws://b")), answers, usize::MAX).0;
        let bytewise = talk(Tunnel::new(&proxy("socks5h://a"), &url("ws://b")), answers, 1).0;
        assert_eq!((whole, bytewise), (Err(error.clone()), Err(error)), "{answers:?}");
    }
    for code in 1..=9 {
        assert!(!ProxyError::Socks(code).to_string().is_empty());
    }
    assert!(ProxyError::Socks(5).is_temporary() && !ProxyError::Socks(2).is_temporary());
}

fn chosen(variables: &[(&str, &str)], target: &str) -> Option<String> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(OsString::from(found.1))
    };
    Proxies::from_variables(variable).unwrap().choose(&url(target)).map(|proxy| proxy.host().to_owned())
}

#[test]
fn the_environment_chooses() {
    let (ws, wss) = ("ws://x/", "wss://x/");
    for (variables, plain, secure) in [
        (&[][..], None, None),
        (&[("HTTP_PROXY", "a")], Some("a"), None),
        (&[("http_proxy", "a"), ("HTTP_PROXY", "b")], Some("a"), None),
        (&[("http_proxy", ""), ("HTTP_PROXY", "b")], Some("b"), None),
        (&[("HTTPS_PROXY", "a")], None, Some("a")),
        (&[("https_proxy", "http://a"), ("ALL_PROXY", "socks5h://b")], Some("b"), Some("a")),
        (&[("ALL_PROXY", "a"), ("all_proxy", "b")], Some("b"), Some("b")),
        (&[("ALL_PROXY", "a"), ("NO_PROXY", "x")], None, None),
        (&[("ALL_PROXY", "a"), ("no_proxy", "y"), ("NO_PROXY", "x")], Some("a"), Some("a")),
        (&[("ALL_PROXY", "a"), ("NO_PROXY", "x:443")], Some("a"), None),
        (&[("ALL_PROXY", "   ")], None, None),
        // httpoxy: a CGI program gets HTTP_PROXY from its client.
        (&[("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")], None, None),
        (&[("HTTP_PROXY", "evil"), ("http_proxy", "a"), ("REQUEST_METHOD", "GET")], Some("a"), None),
        (&[("HTTP_PROXY", "evil"), ("ALL_PROXY", "a"), ("REQUEST_METHOD", "")], Some("a"), Some("a")),
    ] {
        let found = (chosen(variables, ws), chosen(variables, wss));
        assert_eq!((found.0.as_deref(), found.1.as_deref()), (plain, secure), "{variables:?}");
    }
    for direct in ["ws+unix:/s:/", "ws://localhost:1/", "wss://a.localhost", "ws://127.9.9.9/", "ws://[::1]/"]
    {
        assert_eq!(chosen(&[("ALL_PROXY", "a")], direct), None, "{direct}");
    }
    let not_unicode = |name: &str| (name == "http_proxy").then(|| OsString::from("http://\u{fffd}"));
    assert!(Proxies::from_variables(not_unicode).is_err());
}

#[test]
fn no_proxy_matches() {
    for (list, matching, others) in [
        ("*", &["ws://a", "wss://10.0.0.1", "ws://[::1]"][..], &[][..]),
        (
            "example.com",
            &["ws://example.com", "ws://EXAMPLE.com:81", "ws://a.b.example.com"],
            &["ws://notexample.com", "ws://example.com.evil", "ws://com"],
        ),
        (
            ".example.com",
            &["ws://example.com", "ws://a.example.com", "ws://a.example.com."],
            &["ws://anexample.com"],
        ),
        ("*.Example.com", &["ws://a.example.com"], &["ws://example.org"]),
        ("example.com:8080", &["ws://a.example.com:8080"], &["ws://example.com"]),
        ("10.1.2.3", &["ws://10.1.2.3"], &["ws://10.1.2.4", "ws://a10.1.2.3"]),
        ("10.1.2.3:80", &["ws://10.1.2.3"], &["wss://10.1.2.3"]),
        ("10.0.0.0/8", &["ws://10.255.0.1", "ws://[::ffff:10.0.0.1]"], &["ws://11.0.0.1", "ws://10.example"]),
        ("10.1.2.3/0", &["ws://192.168.0.1"], &["ws://[::1]", "ws://a"]),
        ("::1", &["ws://[::1]"], &["ws://[::2]", "ws://0.0.0.1"]),
        ("[::1]:80", &["ws://[::1]"], &["wss://[::1]"]),
        ("fe80::/10", &["ws://[febf::1]"], &["ws://[fec0::1]"]),
        ("::ffff:10.0.0.0/104", &["ws://10.0.0.1"], &["ws://11.0.0.1"]),
        ("a, b\tc,,d", &["ws://a", "ws://b", "ws://c", "ws://d"], &["ws://e"]),
        ("10.0.0.0/33, a:b, /8, x/8", &[], &["ws://10.0.0.1", "ws://a", "ws://x"]),
        ("", &[], &["ws://a"]),
    ] {
        let proxies = Proxies::all(proxy("p")).except(list);
        for text in matching {
            assert!(proxies.choose(&url(text)).is_none(), "{list:?} has {text}");
        }
        for text in others {
            assert!(proxies.choose(&url(text)).is_some(), "{list:?} does not have {text}");
        }
    }
}

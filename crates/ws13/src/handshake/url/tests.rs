use super::*;

#[test]
fn urls_are_taken_apart() {
    for (text, secure, host, port, header, path) in [
        ("ws://a", false, "a", 80, "a", "/"),
        ("WS://A:80/", false, "a", 80, "a", "/"),
        ("wss://a:443?b", true, "a", 443, "a", "/?b"),
        ("wss://a:80/b/c?d=e&f", true, "a", 80, "a:80", "/b/c?d=e&f"),
        ("http://127.0.0.1:12345/x", false, "127.0.0.1", 12345, "127.0.0.1:12345", "/x"),
        ("https://[::1]/x", true, "::1", 443, "[::1]", "/x"),
        ("ws://[::1]:9001", false, "::1", 9001, "[::1]:9001", "/"),
        ("ws://a/b@c:d", false, "a", 80, "a", "/b@c:d"),
        ("ws://a/%zz%20", false, "a", 80, "a", "/%zz%20"),
        ("ws://a/é{\"}", false, "a", 80, "a", "/%C3%A9%7B%22%7D"),
        ("ws://a?http://b/", false, "a", 80, "a", "/?http://b/"),
    ] {
        let url = Url::new(text).unwrap();
        assert_eq!((url.secure(), url.host(), url.port()), (secure, host, port), "{text}");
        assert_eq!((url.host_header(), url.path_and_query()), (header, path), "{text}");
        assert_eq!(Url::new(&url.to_string()).unwrap(), url);
    }
}

#[test]
fn cr_lf_nul_and_other_faults_are_errors() {
    for (text, error) in [
        ("", InvalidUrl::NoScheme),
        ("localhost:9001", InvalidUrl::NoScheme),
        ("//a", InvalidUrl::NoScheme),
        ("://a", InvalidUrl::NoScheme),
        ("ftp://a", InvalidUrl::Scheme("ftp".into())),
        ("me:secret@host://a", InvalidUrl::NoScheme),
        ("ws://a/#b", InvalidUrl::Fragment),
        ("ws://a#", InvalidUrl::Fragment),
        ("ws://a/b c", InvalidUrl::Character(' ')),
        (" ws://a", InvalidUrl::Character(' ')),
        ("ws://a/\r\nX: y", InvalidUrl::Character('\r')),
        ("ws://a/\0", InvalidUrl::Character('\0')),
        ("ws://a/\u{a0}", InvalidUrl::Character('\u{a0}')),
        ("ws://", InvalidUrl::Host(InvalidAuthority::Empty)),
        ("ws:///a", InvalidUrl::Host(InvalidAuthority::Empty)),
        ("ws://a:0", InvalidUrl::Host(InvalidAuthority::Port)),
        ("ws://a:65536", InvalidUrl::Host(InvalidAuthority::Port)),
        ("ws://[::1", InvalidUrl::Host(InvalidAuthority::Address)),
        ("ws://a\\b", InvalidUrl::Host(InvalidAuthority::Character('\\'))),
        ("ws://bücher.example", InvalidUrl::Host(InvalidAuthority::NotAscii)),
    ] {
        assert_eq!(Url::new(text), Err(error), "{text:?}");
    }
    let idn = Url::new("ws://bücher.example").unwrap_err().to_string();
    assert!(idn.contains("punycode"), "{idn}");
}

#[test]
fn user_names_and_passwords_are_kept_apart_and_out_of_logs() {
    let url = Url::new("wss://us%40er:p%3aw@evil@good.com/").unwrap();
    let user = url.user().unwrap();
    assert_eq!((user.name(), user.password(), url.host()), ("us@er", Some("p:w@evil"), "good.com"));
    assert_eq!(url.host_header(), "good.com");
    let logged = format!("{url} {url:?} {user:?}");
    assert!(!logged.contains("p:w") && !logged.contains("p%3aw"), "{logged}");
    assert_eq!(Url::new("ws://me@a").unwrap().user().unwrap().password(), None);
    for text in ["ws://%0d%0a@a", "ws://a:%00@b", "ws://%ff@a", "ws://%4@a", "ws://%zz@a", "ws://a%3Ab@c"] {
        assert_eq!(Url::new(text), Err(InvalidUrl::User), "{text}");
    }
}

#[test]
fn same_origin_needs_scheme_host_and_port() {
    let url = |text| Url::new(text).unwrap();
    assert!(url("ws://a/b").same_origin(&url("http://A:80/c")));
    for other in ["wss://a/b", "ws://a:81/b", "ws://b/b", "ws://a.b/"] {
        assert!(!url("ws://a/b").same_origin(&url(other)), "{other}");
    }
}

#[test]
fn unix_sockets_are_written_as_npms_ws_has_it() {
    for (text, socket, path, shown) in [
        ("ws+unix:/run/app.sock", "/run/app.sock", "/", "ws+unix:/run/app.sock:/"),
        ("WS+UNIX:/run/app.sock:/chat?a:b", "/run/app.sock", "/chat?a:b", "ws+unix:/run/app.sock:/chat?a:b"),
        ("ws+unix:///run/app.sock:/chat", "/run/app.sock", "/chat", "ws+unix:/run/app.sock:/chat"),
        ("ws+unix:/a%3Ab%20c%25:?d", "/a:b c%", "/?d", "ws+unix:/a%3Ab%20c%25:/?d"),
        ("ws+unix:/é:/", "/é", "/", "ws+unix:/%C3%A9:/"),
    ] {
        let url = Url::new(text).unwrap();
        assert_eq!((url.socket(), url.path_and_query()), (Some(Path::new(socket)), path), "{text}");
        assert_eq!((url.to_string().as_str(), url.host_header()), (shown, "localhost"), "{text}");
        assert_eq!(Url::new(shown).unwrap(), url);
    }
    for text in [
        "ws+unix:",
        "ws+unix:/",
        "ws+unix:a",
        "ws+unix://a/b",
        "ws+unix:/a:b",
        "ws+unix:/a?b:/c",
        "ws+unix:/%00",
        "ws+unix:/%zz",
    ] {
        assert_eq!(Url::new(text), Err(InvalidUrl::Socket), "{text}");
    }
    assert_eq!(Url::new("ws+unix:/a:/b#c"), Err(InvalidUrl::Fragment));
    let url = |text| Url::new(text).unwrap();
    assert!(url("ws+unix:/a:/b").same_origin(&url("ws+unix:/a:/c")));
    assert!(!url("ws+unix:/a:/b").same_origin(&url("ws+unix:/b:/b")));
    assert!(!url("ws+unix:/a:/b").same_origin(&url("ws://localhost/b")));
}

#[test]
fn rfc_7617_2_basic_authentication() {
    let basic = |text| Url::new(text).unwrap().user().unwrap().basic();
    assert_eq!(basic("ws://Aladdin:open%20sesame@a"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(basic("ws://me@a"), "Basic bWU6");
}

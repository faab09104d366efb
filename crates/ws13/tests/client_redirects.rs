//! Redirects over real sockets, by both drivers: off by default, counted, without credentials across origins.
#![cfg(feature = "tokio")]

#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Scripted, accept, both_failed, by_each_driver, field, say};
use ws13::{ConnectError, RedirectError};

/// A server whose path tells what it does: `/to/URL` redirects there, anything else opens.
fn server() -> Scripted {
    Scripted::start(|head, stream| {
        let path = head.split(' ').nth(1).unwrap();
        match path.strip_prefix("/to/") {
            Some(to) => {
                say(stream, &format!("HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\nthis"))
            }
            None => say(stream, &accept(head)),
        }
    })
}

fn first_lines(server: &Scripted) -> Vec<String> {
    server.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect()
}

#[test]
fn a_302_is_not_followed_by_default() {
    let server = server();
    for error in both_failed(by_each_driver!(server.url("/to//there"), |client| client)) {
        let response = error.response().unwrap();
        assert_eq!((response.status.as_u16(), response.header("location")), (302, Some("/there")));
        assert!(error.to_string().contains("redirects to \"/there\""), "{error}");
    }
    assert_eq!(server.heads().len(), 2);
}

#[test]
fn relative_and_absolute_locations_are_followed() {
    let (one, other) = (server(), server());
    for to in [
        "/there?a=b",
        "../there?a=b",
        "//HOST/there?a=b",
        "ws://HOST/there?a=b",
        "http://HOST/x/../there?a=b",
    ] {
        let to = to.replace("HOST", &other.address.to_string());
        for result in by_each_driver!(one.url(&format!("/to/{to}")), |client| client.redirects(1)) {
            result.unwrap();
        }
        let at = if to.contains("//") { &other } else { &one };
        let lines = first_lines(at);
        assert_eq!(lines.last().map(String::as_str), Some("GET /there?a=b HTTP/1.1"), "{to}");
        one.heads();
    }
}

#[test]
fn circles_end_at_the_limit_and_the_error_has_the_way() {
    let circle = Scripted::saying("HTTP/1.1 308 x\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n");
    for error in both_failed(by_each_driver!(circle.url("/"), |client| client.redirects(3))) {
        let ConnectError::Redirected { asked, error: last } = &error else { panic!("{error}") };
        let asked: Vec<_> = asked.iter().map(|url| url.path_and_query().to_owned()).collect();
        assert_eq!(asked, ["/", "/round", "/round"]);
        assert!(matches!(&**last, ConnectError::Redirect(RedirectError::TooMany { max: 3, .. })), "{last}");
        assert_eq!(error.response().unwrap().status, 308);
        assert!(error.to_string().contains(&format!("redirected from {} from", circle.url("/"))), "{error}");
    }
    assert_eq!(circle.heads().len(), 8, "the first and three more, by each driver");
}

#[test]
fn a_302_to_another_host_or_scheme_has_credentials_stripped() {
    let (one, other) = (server(), server());
    let url = |to: &str| format!("ws://me:pw@{}/to/{to}", one.address);
    for result in by_each_driver!(url(&other.url("/x")), |client| client.redirects(5).header("Cookie", "a=b"))
    {
        result.unwrap();
    }
    for head in other.heads() {
        assert_eq!((field(&head, "authorization"), field(&head, "cookie")), (None, None), "{head}");
        assert_eq!(field(&head, "host"), Some(other.address.to_string().as_str()));
    }
    // There and back again: what was stripped stays stripped.
    let back = format!("http://{}/to/{}", other.address, one.url("/x"));
    for result in by_each_driver!(url(&back), |client| client.redirects(5).bearer("token")) {
        result.unwrap();
    }
    let heads = one.heads();
    let last: Vec<_> = heads.iter().filter(|head| head.starts_with("GET /x ")).collect();
    assert_eq!(last.len(), 2);
    assert!(last.iter().all(|head| field(head, "authorization").is_none()), "{last:?}");
    // Within the origin they go along.
    for result in by_each_driver!(url("/x"), |client| client.redirects(5).header("Cookie", "a=b")) {
        result.unwrap();
    }
    for head in one.heads() {
        assert_eq!(
            (field(&head, "authorization"), field(&head, "cookie")),
            (Some("Basic bWU6cHc="), Some("a=b"))
        );
    }
}

#[test]
fn failures_behind_a_redirect_name_it() {
    let (one, dead) = (server(), scripted::dead());
    let to = format!("ws://{dead}/");
    for error in both_failed(by_each_driver!(one.url(&format!("/to/{to}")), |client| client.redirects(2))) {
        assert!(matches!(error.cause(), ConnectError::Dial { .. }), "{error}");
        assert!(error.to_string().contains(&format!("redirected from {}", one.url("/to/"))), "{error}");
    }
    for to in ["ftp://a/", "http://", "javascript:1", "ws+unix:/run/docker.sock:/"] {
        for error in both_failed(by_each_driver!(one.url(&format!("/to/{to}")), |client| client.redirects(2)))
        {
            assert!(matches!(error.cause(), ConnectError::Redirect(_)), "{to}: {error}");
        }
    }
    let slow = Scripted::start(|_, _| std::thread::sleep(std::time::Duration::from_secs(2)));
    let late = by_each_driver!(one.url(&format!("/to/{}", slow.url("/"))), |client| {
        client.redirects(2).timeout(std::time::Duration::from_millis(500))
    });
    for error in both_failed(late) {
        assert!(matches!(error.cause(), ConnectError::Timeout(_)), "{error}");
        assert!(matches!(&error, ConnectError::Redirected { asked, .. } if asked.len() == 1), "{error}");
    }
}

//! The plain HTTP that `ws13 serve` answers beside its WebSockets.

use super::tally::Tally;
use ws13::Metrics;
use ws13::handshake::{Reply, Request};

/// The console page: one file, without anything from elsewhere.
const CONSOLE: &str = include_str!("console.html");

/// `/` is the console page, `/healthz` is `ok`, `/compression` tells what compression saves, `/metrics` the figures where
/// they are shown; anything else is a 404.
pub(super) fn answer(
    metrics: Option<Metrics>,
    shows_figures: impl Fn(&Request) -> bool + Send + Sync + 'static,
    tally: Tally,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| match (&metrics, request.path()) {
        (Some(metrics), "/metrics") if shows_figures(request) => metrics.reply(),
        (Some(_), "/metrics") => {
            Reply::forbidden("the figures are shown to this machine, or by a name of --allow-host")
        }
        _ => page_or_health(request, &tally),
    }
}

fn page_or_health(request: &Request, tally: &Tally) -> Reply {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return Reply::method_not_allowed();
    }
    match request.path() {
        "/" => page().unwrap_or_else(|_| Reply::internal_error()),
        "/healthz" => Reply::text(ws13::http::StatusCode::OK, "ok"),
        "/compression" => compression(tally).unwrap_or_else(|_| Reply::internal_error()),
        _ => Reply::not_found(),
    }
}

fn compression(tally: &Tally) -> Result<Reply, ws13::handshake::Invalid> {
    Reply::new(ws13::http::StatusCode::OK)
        .header("Cache-Control", "no-store")?
        .body("application/json", tally.json())
}

fn page() -> Result<Reply, ws13::handshake::Invalid> {
    Reply::new(ws13::http::StatusCode::OK)
        .header("Content-Security-Policy", POLICY)?
        .header("Referrer-Policy", "no-referrer")?
        .header("X-Content-Type-Options", "nosniff")?
        .header("X-Frame-Options", "DENY")?
        .header("Cache-Control", "no-cache")?
        .body("text/html; charset=utf-8", CONSOLE)
}

/// Nothing is loaded from anywhere but this server's counts; connections may go to any WebSocket, which is what the page is
/// for.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

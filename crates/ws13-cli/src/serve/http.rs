//! The plain HTTP that `ws13 serve` answers beside its WebSockets.

use ws13::Metrics;
use ws13::handshake::{Reply, Request};

/// The console page: one file, without anything from elsewhere.
const CONSOLE: &str = include_str!("console.html");

/// `/` is the console page, `/healthz` is `ok`, `/compression` tells what compression saves, `/metrics` the figures where
/// they are shown; anything else is a 404.
pub(super) fn answer(
    metrics: Metrics,
    shown: bool,
    shows_figures: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| match request.path() {
        "/metrics" if shown && shows_figures(request) => metrics.reply(),
        "/metrics" if shown => {
            Reply::forbidden("the figures are shown to this machine, or by a name of --allow-host")
        }
        _ => page_or_health(request, &metrics),
    }
}

fn page_or_health(request: &Request, metrics: &Metrics) -> Reply {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return Reply::method_not_allowed();
    }
    match request.path() {
        "/" => page().unwrap_or_else(|_| Reply::internal_error()),
        "/healthz" => Reply::text(ws13::http::StatusCode::OK, "ok"),
        "/compression" => compression(metrics).unwrap_or_else(|_| Reply::internal_error()),
        _ => Reply::not_found(),
    }
}

/// As JSON: bytes of all messages that were compressed, both ways, and what they were on the wire.
fn compression(metrics: &Metrics) -> Result<Reply, ws13::handshake::Invalid> {
    let now = metrics.snapshot();
    let (messages, wire) = (now.inflated_to + now.deflated_from, now.inflated_from + now.deflated_to);
    Reply::new(ws13::http::StatusCode::OK)
        .header("Cache-Control", "no-store")?
        .body("application/json", format!("{{\"messages\":{messages},\"wire\":{wire}}}"))
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

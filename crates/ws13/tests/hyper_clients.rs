//! Who the client is, in services on hyper and in axum: by trusted proxies, by TLS, and what the handler sees of it.
#![cfg(all(feature = "axum", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;

use axum::extract::ConnectInfo as Peer;
use axum::routing::any;
use axum::{Extension, Router};
use certificates::Ca;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use net::{dial, soon};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use ws13::axum::WebSocketUpgrade;
use ws13::handshake::{self, ConnectInfo, Proxies, Trusted};
use ws13::hyper::{Upgrader, WebSocket};
use ws13::tls::{ClientTls, ServerTls, TlsInfo, TlsVersion};
use ws13::{Client, Error};

fn believing(network: &str) -> Proxies {
    Proxies::trusted(Trusted::networks([network.parse().unwrap()])).x_forwarded()
}

fn described(request: &handshake::Request) -> String {
    let info = request.connect_info();
    format!(
        "{} secure={}",
        info.client().map_or("-".to_owned(), |client| client.ip().to_string()),
        info.is_secure()
    )
}

/// A service that believes the proxies of this network, and tells who the client is.
async fn hyper_behind(network: &'static str) -> SocketAddr {
    let upgrader = Upgrader::new().behind(believing(network)).hosts(["own".parse().unwrap()]);
    each_connection(move |stream, peer| {
        let upgrader = upgrader.clone();
        async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo::from(peer));
                let response = tell(&upgrader, &mut request);
                async { Ok::<_, Infallible>(response) }
            });
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        }
    })
    .await
}

fn tell(upgrader: &Upgrader, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    match upgrader.upgrade(request) {
        Ok((response, upgrade)) => {
            let told = described(upgrade.request());
            upgrade.serve(|mut socket| async move { socket.send(told).await });
            response
        }
        Err(refused) => refused.response(),
    }
}

async fn axum_behind(network: &'static str) -> SocketAddr {
    let handler = move |Peer(peer): Peer<SocketAddr>, upgrade: WebSocketUpgrade| async move {
        let upgrade = upgrade.connect_info(peer).behind(believing(network)).hosts(["own".parse().unwrap()]);
        let (response, upgrade) = upgrade.accept()?;
        let told = described(upgrade.request());
        upgrade.serve(|mut socket: WebSocket| async move { socket.send(told).await });
        Ok::<_, ws13::axum::Refused>(response)
    };
    let app = Router::new().route("/chat", any(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

async fn each_connection<F>(serve: impl Fn(TcpStream, SocketAddr) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::spawn(serve(stream, peer));
        }
    });
    address
}

/// What the server tells of a client by way of a proxy, or the status of its refusal.
async fn asked(address: SocketAddr, headers: &str) -> Result<String, String> {
    let more = format!("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: own\r\n{headers}");
    let (mut wire, head) = soon(dial(address, &more)).await;
    match head.get(9..12) {
        Some("101") => {
            let told = soon(net::read_frame(&mut wire)).await.unwrap();
            Ok(String::from_utf8(told.payload).unwrap())
        }
        status => Err(status.unwrap_or_default().to_owned()),
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is_and_that_it_came_by_tls() {
    let https = "X-Forwarded-Proto: https\r\nOrigin: https://own\r\n";
    let http = "X-Forwarded-Proto: http\r\nOrigin: https://own\r\n";
    for address in [hyper_behind("127.0.0.0/8").await, axum_behind("127.0.0.0/8").await] {
        assert_eq!(asked(address, https).await.as_deref(), Ok("192.0.2.1 secure=true"));
        assert_eq!(asked(address, http).await, Err("403".into()), "the page is of another scheme");
        assert_eq!(asked(address, "").await.as_deref(), Ok("192.0.2.1 secure=false"));
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_not_believed() {
    let https = "X-Forwarded-Proto: https\r\nOrigin: https://own\r\n";
    for address in [hyper_behind("10.0.0.0/8").await, axum_behind("10.0.0.0/8").await] {
        assert_eq!(asked(address, https).await, Err("403".into()));
        // Nor is the name that the proxy would have told.
        assert_eq!(asked(address, "").await, Err("403".into()));
    }
}

#[tokio::test]
async fn the_host_has_to_be_one_of_the_list() {
    let listed = |upgrade: WebSocketUpgrade| async move {
        upgrade
            .hosts(["own".parse().unwrap()])
            .on_upgrade(|mut socket: WebSocket| async move { socket.send("hi").await })
    };
    let app = Router::new().route("/chat", any(listed));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert_eq!(asked(address, "").await, Err("403".into()));
    let (mut socket, _) = {
        let stream = TcpStream::connect(address).await.unwrap();
        soon(Client::new("ws://own/chat").unwrap().connect_on(stream)).await.unwrap()
    };
    assert_eq!(soon(socket.receive()).await.unwrap(), Some("hi".into()));
}

/// What the handler sees of TLS: from the extensions, where who accepts the connection has put it.
async fn seen(
    Extension(tls): Extension<TlsInfo>,
    upgrade: WebSocketUpgrade,
) -> Result<axum::response::Response, ws13::axum::Refused> {
    let (response, upgrade) = upgrade.accept()?;
    let alpn = tls.alpn.map(|alpn| String::from_utf8(alpn).unwrap());
    let (names, shown) = (tls.server_name, tls.peer_certificates.len());
    let told = format!(
        "{:?} {alpn:?} {names:?} {shown} secure={}",
        tls.version,
        upgrade.request().connect_info().is_secure()
    );
    upgrade.serve(|mut socket: WebSocket| async move {
        socket.send(told).await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    });
    Ok(response)
}

#[tokio::test]
async fn the_handler_sees_what_tls_agreed_on() {
    let ca = Ca::new("of both sides");
    let (pair, mine) = (ca.issue(&["localhost"]), ca.issue(&["me"]));
    let tls = ServerTls::builder_pem(pair.chain, pair.key).unwrap().client_roots_pem(&ca.pem).unwrap();
    let tls = tls.client_certificate_optional().build().unwrap();
    let app = Router::new().route("/", any(seen));
    let address = each_connection(move |stream, peer| {
        let (app, acceptor) = (app.clone(), TlsAcceptor::from(tls.config()));
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let info = TlsInfo::of_server(stream.get_ref().1).unwrap();
            assert_eq!(info.version, TlsVersion::Tls13);
            let app = app.layer(Extension(info)).layer(Extension(ConnectInfo::from(peer).secure(true)));
            let service = TowerToHyperService::new(app);
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        }
    })
    .await;
    let plain = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let showing = ClientTls::builder().roots_pem(&ca.pem).unwrap();
    let showing = showing.certificate_pem(mine.chain, mine.key).unwrap();
    for (tls, shown) in [(plain, 0), (showing, 1)] {
        let url = format!("wss://localhost:{}/", address.port());
        let origin = format!("https://localhost:{}", address.port());
        let client = Client::new(&url).unwrap().tls(tls.build().unwrap()).header("Origin", &origin);
        let mut socket = soon(client.connect()).await.unwrap();
        let told = soon(socket.receive()).await.unwrap().unwrap();
        let expected = format!("Tls13 Some(\"http/1.1\") Some(\"localhost\") {shown} secure=true");
        assert_eq!(told.as_text(), Some(&*expected));
        soon(socket.send("hi")).await.unwrap();
        assert_eq!(soon(socket.receive()).await.unwrap(), Some("hi".into()));
    }
}

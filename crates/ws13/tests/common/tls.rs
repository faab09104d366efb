//! Servers and clients over TLS, of both drivers.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::certificates::Ca;
use crate::net::soon;
use std::net::SocketAddr;
use ws13::handshake::Request;
use ws13::tls::{ClientTls, ServerTls};
use ws13::{Client, ConnectError, Error, LocalAddr, Server, Stream, WebSocket, blocking};

pub fn trusting(ca: &Ca) -> ClientTls {
    ClientTls::builder().roots_pem(&ca.pem).unwrap().build().unwrap()
}

pub async fn echo(_: Request, socket: WebSocket<Stream>) -> Result<(), Error> {
    echo_all(socket).await
}

pub async fn echo_all(mut socket: WebSocket<Stream>) -> Result<(), Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// An echo server on tokio.
pub async fn serve(tls: ServerTls) -> SocketAddr {
    start(Server::bind("127.0.0.1:0").await.unwrap().tls(tls)).await
}

pub async fn serve_plain() -> SocketAddr {
    start(Server::bind("127.0.0.1:0").await.unwrap()).await
}

async fn start(server: Server) -> SocketAddr {
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    tokio::spawn(server.serve(echo));
    address
}

/// An echo server on threads.
pub fn serve_blocking(tls: ServerTls) -> SocketAddr {
    let server = blocking::Server::bind("127.0.0.1:0").unwrap().tls(tls);
    let LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it is TCP") };
    std::thread::spawn(move || {
        server.serve(|_, mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok::<(), Error>(())
        })
    });
    address
}

/// Dials with both drivers, sends a message and wants it back, and closes.
pub async fn both(url: &str, tls: &ClientTls) -> [Result<(), ConnectError>; 2] {
    let client = Client::new(url).unwrap().tls(tls.clone());
    let one = soon(async {
        let mut socket = client.connect().await?;
        socket.send("hi").await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().as_text(), Some("hi"));
        socket.close(ws13::CloseCode::NORMAL, "").await.unwrap();
        Ok(())
    })
    .await;
    let client = blocking::Client::new(url).unwrap().tls(tls.clone());
    let two = tokio::task::spawn_blocking(move || {
        let mut socket = client.connect()?;
        socket.send("hi").unwrap();
        assert_eq!(socket.receive().unwrap().unwrap().as_text(), Some("hi"));
        socket.close(ws13::CloseCode::NORMAL, "").unwrap();
        Ok(())
    });
    [one, soon(two).await.unwrap()]
}

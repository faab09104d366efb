//! An echo in a service on hyper: `cargo run --example hyper_echo --features hyper [ADDRESS]`; 127.0.0.1:12345 if none is
//! given.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use ws13::hyper::WebSocket;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = connection.with_upgrades().await {
                println!("a connection failed: {error}");
            }
        });
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match ws13::hyper::upgrade(&mut request) {
        Ok((response, upgrade)) => {
            upgrade.serve(echo);
            response
        }
        Err(refused) => {
            println!("{} was refused: {refused}", request.uri());
            refused.response()
        }
    })
}

async fn echo(mut socket: WebSocket) -> Result<(), ws13::Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

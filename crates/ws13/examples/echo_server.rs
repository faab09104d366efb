//! An echo server: `cargo run --example echo_server [ADDRESS]`; 127.0.0.1:12345 if none is given.

use ws13::{Error, Server};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let server = Server::bind(address).await?;
    println!("listening on ws://{}/", server.local_addr()?);
    server
        .serve(|request, mut socket| async move {
            println!("{} was opened", request.path());
            let ended: Result<(), Error> = async {
                // `None` is a clean close. An error is a peer that broke the protocol or a limit, or has gone.
                while let Some(message) = socket.receive().await? {
                    socket.send(message).await?;
                }
                Ok(())
            }
            .await;
            match (ended, socket.closed()) {
                (Err(error), _) => println!("{} failed: {error}", request.path()),
                (Ok(()), Some(closed)) => println!("{} was closed: {closed}", request.path()),
                (Ok(()), None) => {}
            }
        })
        .await
}

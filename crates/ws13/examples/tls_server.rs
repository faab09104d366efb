//! An echo server over TLS: `cargo run --example tls_server CHAIN.pem KEY.pem [ADDRESS]`; 127.0.0.1:12345 if none is
//! given. It looks every few seconds whether the files were renewed. (`ws13 serve --tls` makes a certificate itself.)

use std::time::Duration;
use ws13::tls::ServerTls;
use ws13::{Error, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(chain), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tls_server CHAIN.pem KEY.pem [ADDRESS]".into());
    };
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:12345".to_owned());

    let tls = ServerTls::from_pem_files(chain, key)?;
    let renewing = tls.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            match renewing.reload_if_changed() {
                Ok(true) => println!("the certificate was renewed"),
                Ok(false) => {}
                Err(error) => println!("the certificate stays as it was: {error}"),
            }
        }
    });

    let server = Server::bind(address).await?.tls(tls);
    println!("listening on wss://{}/", server.local_addr()?);
    server
        .serve(|_, mut socket| async move {
            if let Some(tls) = socket.tls() {
                println!("{:?}, for {}", tls.version, tls.server_name.as_deref().unwrap_or("no name"));
            }
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok::<(), Error>(())
        })
        .await?;
    Ok(())
}

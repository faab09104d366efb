//! `wss://` in a program whose other dependencies have rustls built with two providers of cryptography: rustls then has
//! no default, and panics where one is asked for. Here none is, by either driver, before and after one is installed.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::error::Error;
use ws13::tls::{ClientTls, ServerTls, TlsError};
use ws13::{Client, ConnectError, LocalAddr, Message, Server, blocking};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    std::panic::set_hook(Box::new(|_| {}));
    let asked = std::panic::catch_unwind(rustls::ClientConfig::builder);
    let _ = std::panic::take_hook();
    assert!(asked.is_err(), "rustls has a default provider, so that this proves nothing");
    talk().await?;
    println!("ok - wss:// with two providers, and none installed");
    aws_lc_rs::default_provider().install_default().map_err(|_| "a provider is installed already")?;
    talk().await?;
    println!("ok - wss:// with another provider installed than ours");
    assert!(CryptoProvider::get_default().is_some());
    Ok(())
}

async fn talk() -> Result<(), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let tls = ServerTls::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;
    let fingerprint = tls.fingerprint().ok_or("no certificate")?;
    let trusting = ClientTls::builder().fingerprint(fingerprint).build()?;
    let ported = |address| match address {
        LocalAddr::Tcp(address) => address.port(),
        other => unreachable!("{other} is no TCP"),
    };

    let server = Server::bind("127.0.0.1:0").await?.tls(tls.clone());
    let one = ported(server.local_addr()?);
    let serving = tokio::spawn(server.serve(|_, mut socket| async move {
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok::<(), ws13::Error>(())
    }));
    let server = blocking::Server::bind("127.0.0.1:0")?.tls(tls);
    let (two, stop) = (ported(server.local_addr()?), server.stop_handle());
    let threads = std::thread::spawn(move || {
        server.serve(|_, mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok::<(), ws13::Error>(())
        })
    });
    for port in [one, two] {
        let url = format!("wss://localhost:{port}/");
        let mut socket = Client::new(&url)?.tls(trusting.clone()).connect().await?;
        socket.send("hi").await?;
        assert_eq!(socket.receive().await?, Some(Message::from("hi")));
        // As the operating system judges: nobody vouches for it.
        let refused = ws13::connect(&url).await;
        assert!(matches!(refused, Err(ConnectError::Tls(TlsError::UnknownIssuer))), "{refused:?}");
        let trusting = trusting.clone();
        let talk = move || -> Result<Option<Message>, Box<dyn Error + Send + Sync>> {
            let mut socket = blocking::Client::new(&url)?.tls(trusting).connect()?;
            socket.send("hi")?;
            Ok(socket.receive()?)
        };
        let answer = tokio::task::spawn_blocking(talk).await?.map_err(|error| error.to_string())?;
        assert_eq!(answer, Some(Message::from("hi")));
    }
    stop.stop();
    threads.join().map_err(|_| "the server on threads panicked")??;
    serving.abort();
    Ok(())
}

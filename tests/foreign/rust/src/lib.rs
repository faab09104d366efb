//! What the echo servers share: a listener on loopback, whose address is printed, and a task for each connection.

mod moving;

use tokio::net::{TcpListener, TcpStream};

/// Accepts for ever. How a connection ends is between the peers.
pub fn run<F>(echo: fn(TcpStream) -> F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(echo(stream));
        }
    })
}

//! A client on threads, through a proxy: connects, sends a message, prints the answer, closes.
//!
//! `cargo run --example blocking_proxy URL [PROXY]`; without one, the environment (HTTP_PROXY and the like) chooses.

use ws13::CloseCode;
use ws13::blocking::Client;
use ws13::proxy::Proxy;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: blocking_proxy URL [PROXY]")?;
    let client = Client::new(&url)?;
    let client = match args.next() {
        Some(proxy) => client.proxy(Proxy::new(&proxy)?),
        None => client.proxy_from_env(),
    };
    let mut socket = client.connect()?;
    socket.send("hello")?;
    match socket.receive()? {
        Some(message) => println!("{}", message.as_text().unwrap_or("(bytes)")),
        None => println!("the server closed first"),
    }
    socket.close(CloseCode::NORMAL, "done")?;
    Ok(())
}

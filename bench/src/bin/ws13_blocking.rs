//! Echo with the blocking driver of ws13: a thread for each connection.

use std::io::{self, Write};
use std::net::SocketAddr;
use ws13::blocking::{Server, Stream, WebSocket};
use ws13::{Config, Error, Event, Limits};
use ws13_bench::args::Args;

fn main() -> io::Result<()> {
    let address = Args::from_env().require::<SocketAddr>("--listen");
    let config =
        Config { limits: Limits { max_message: 16 << 20, ..Limits::default() }, ..Config::default() };
    let server = Server::bind(address)?.config(config);
    println!("listening on {}", server.local_addr()?);
    io::stdout().flush()?;
    server.serve(|_, socket| echo(socket))
}

fn echo(mut socket: WebSocket<Stream>) -> Result<(), Error> {
    while let Some(mut lent) = socket.receive_ref()? {
        while let Some((event, mut output)) = lent.next_event() {
            if let Event::Message(message) = event {
                output.send(message)?;
            }
        }
    }
    Ok(())
}

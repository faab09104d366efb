//! The core without a driver: first two connections in memory, then a driver of one's own over `std::net`.
//!
//! `cargo run --example sans_io`

use bytes::Buf;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use ws13::handshake::{client, server};
use ws13::{CloseCode, Closed, Config, Connection, Event, Inbox, Message, Outbox, Role, Timestamp};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    in_memory()?;
    over_tcp()
}

/// Bytes go from one outbox into the other's inbox: the network of a test, or of a fuzzer.
fn in_memory() -> Result<(), Failure> {
    let mut client = Connection::new(Role::Client, Config::default());
    let mut server = Connection::new(Role::Server, Config::default());
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());

    client.send("hello", &mut outbox)?;
    while outbox.has_remaining() {
        let chunk = outbox.chunk();
        println!("on the wire: {chunk:02x?}");
        inbox.extend_from_slice(chunk);
        outbox.advance(chunk.len());
    }
    while let Some(event) = server.receive(&mut inbox, &mut Outbox::new()) {
        if let Event::Message(message) = event {
            println!("the server received {:?}", message.as_text());
        }
    }
    Ok(())
}

/// An echo server in a thread, and a client, both on the same loop.
fn over_tcp() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let inbox = accept(&mut stream)?;
        let connection = Connection::new(Role::Server, Config::default());
        Ok::<_, Failure>(drive(stream, connection, inbox, Outbox::new(), Some)?)
    });

    let mut stream = TcpStream::connect(address)?;
    let inbox = connect(&mut stream, &format!("ws://{address}/"))?;
    let (mut connection, mut outbox) = (Connection::new(Role::Client, Config::default()), Outbox::new());
    connection.send("over TCP", &mut outbox)?;
    let closed = drive(stream, connection, inbox, outbox, |message| {
        println!("the client received {:?}", message.as_text());
        None
    })?;
    println!("the client: {closed}");
    println!("the server: {}", serving.join().expect("the server does not panic")?);
    Ok(())
}

/// The driver: receive, write, sleep until the deadline or until there is something to read. `answer` gives the
/// message to send back, or `None` to close.
fn drive(
    mut stream: TcpStream,
    mut connection: Connection,
    mut inbox: Inbox,
    mut outbox: Outbox,
    mut answer: impl FnMut(Message) -> Option<Message>,
) -> io::Result<Closed> {
    let start = Instant::now();
    let mut buffer = vec![0; 16 << 10];
    loop {
        while let Some(event) = connection.receive(&mut inbox, &mut outbox) {
            match event {
                Event::Message(message) => match answer(message.into_message()) {
                    Some(message) => connection.send(message, &mut outbox).map_err(io::Error::other)?,
                    None => connection.close(Some(CloseCode::NORMAL.into()), &mut outbox),
                },
                Event::Closed(closed) => return Ok(*closed),
                // Pings have been answered already.
                Event::Ping(_) | Event::Pong(_) | Event::Part(_) | Event::Extended(_) => {}
            }
        }
        while connection.wants_write(&mut outbox) {
            let len = stream.write(outbox.chunk())?;
            outbox.advance(len);
        }
        if connection.wants_shutdown(&outbox) {
            stream.shutdown(Shutdown::Write)?;
            connection.shut_down();
            continue;
        }
        let now = Timestamp::from(start.elapsed());
        if connection.tick(now, &inbox, &mut outbox) {
            continue; // a Ping to write, or a peer that has been silent for too long
        }
        let patience = connection.deadline().map(|deadline| deadline.since(now));
        stream.set_read_timeout(patience.map(|time| time.max(Duration::from_millis(1))))?;
        match stream.read(&mut buffer) {
            Ok(0) => connection.receive_eof(&mut outbox),
            Ok(len) => inbox.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {} // the deadline has come
            Err(error) => return Err(error),
        }
    }
}

/// The server's opening handshake. What came after it belongs to the connection.
fn accept(stream: &mut TcpStream) -> Result<Inbox, Failure> {
    let mut reading = server::ReadRequest::new(server::Options::default());
    let mut received = Vec::new();
    loop {
        read_more(stream, &mut received)?;
        match reading.receive(&received) {
            Ok(None) => {}
            Ok(Some((server::Received::Upgrade(upgrade), used))) => {
                stream.write_all(&upgrade.accept(server::Accept::new())?.response)?;
                return Ok(inbox_of(&received[used..]));
            }
            Ok(Some((server::Received::Plain(_), _))) => return Err("no WebSocket was asked for".into()),
            Err(reject) => {
                stream.write_all(&reject.encode())?;
                return Err(reject.status().to_string().into());
            }
        }
    }
}

/// The client's opening handshake.
fn connect(stream: &mut TcpStream, url: &str) -> Result<Inbox, Failure> {
    let (mut upgrade, request) = client::Upgrade::start(client::Request::new(&url.parse()?))?;
    stream.write_all(&request)?;
    let mut received = Vec::new();
    loop {
        read_more(stream, &mut received)?;
        if let Some((_, used)) = upgrade.receive(&received)? {
            return Ok(inbox_of(&received[used..]));
        }
    }
}

fn inbox_of(early: &[u8]) -> Inbox {
    let mut inbox = Inbox::new();
    inbox.extend_from_slice(early);
    inbox
}

fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        len => {
            received.extend_from_slice(&buffer[..len]);
            Ok(())
        }
    }
}

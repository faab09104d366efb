//! The server of a broadcast: how each row sends.

use crate::{Served, copies, now};
use serde_json::to_string;
use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use ws13::Lagging;
use ws13_bench::{
    args::{Args, fail},
    process::{cpu_time, resident_bytes},
    stats::median,
};

/// How a row sends: gives a message to all.
type Send = Box<dyn FnMut(&str) -> Sent>;

/// What came of a message.
#[derive(Default)]
struct Sent {
    /// How often it was compressed.
    compressions: usize,
    dropped: usize,
    disconnected: usize,
}

pub fn serve(args: &Args) -> io::Result<()> {
    let (connections, size) = (args.require::<usize>("--connections"), args.require::<usize>("--size"));
    let (row, messages) = (args.require::<String>("--row"), args.require::<usize>("--messages"));
    let (deflate, pause) = (args.has("--deflate"), Duration::from_millis(args.require("--pause")));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let joined = Arc::new(Mutex::new(0));
        let mut send = by_row(&row, deflate, &joined).await?;
        while *joined.lock().unwrap() < connections {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // So that what the handshakes left behind is over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut served = Served::default();
        let (before, copied) = (cpu_time(std::process::id())?, copies::so_far());
        let mut compressions = Vec::new();
        for number in 0..messages {
            let text = message(number, size);
            let next = Instant::now() + pause;
            served.begun.push(now());
            let sent = send(&text);
            compressions.push(sent.compressions as f64);
            served.dropped += sent.dropped;
            served.disconnected += sent.disconnected;
            tokio::time::sleep_until(next.into()).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let each = |all: u64| all as f64 / (messages * connections) as f64;
        served.copied = copies::so_far().zip(copied).map(|(after, before)| each(after - before));
        served.cpu_us = each((cpu_time(std::process::id())? - before).used) / 1e3;
        served.compressions = median(&compressions);
        served.resident = resident_bytes(std::process::id())?;
        println!("{}", to_string(&served).map_err(io::Error::other)?);
        Ok(())
    })
}

async fn by_row(row: &str, deflate: bool, joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
    match row {
        "ws13 Broadcast" => ours::broadcast(deflate, Lagging::DropOldest, joined).await,
        "drop oldest" => ours::broadcast(deflate, Lagging::DropOldest, joined).await,
        "drop newest" => ours::broadcast(deflate, Lagging::DropNewest, joined).await,
        "keep latest" => ours::broadcast(deflate, Lagging::KeepLatest, joined).await,
        "disconnect" => ours::broadcast(deflate, Lagging::Disconnect, joined).await,
        "ws13 one by one" => ours::one_by_one(deflate, joined).await,
        "tokio-tungstenite" => theirs::tungstenite(joined).await,
        "fastwebsockets" => theirs::fastwebsockets(joined).await,
        _ => fail("no such row"),
    }
}

/// Rows of a table, as a room of dashboards would be sent: alike, but not the same.
fn message(number: usize, size: usize) -> String {
    let mut text = String::new();
    for i in 0.. {
        if text.len() >= size {
            break;
        }
        let n = number * 31 + i;
        text += &format!(
            "{{\"id\":{},\"name\":\"sensor-{}\",\"value\":{}.{:02},\"unit\":\"celsius\"}},",
            n * 7919,
            n % 13,
            n * 37 % 100,
            n % 97
        );
    }
    text.truncate(size);
    text
}

fn say(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()
}

mod ours {
    use super::{Send, Sent, say};
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use ws13::{Broadcast, Channel, Config, Deflate, Error, Lagging, LocalAddr, Sender, Server, Stream};

    /// Messages that wait for who lags.
    const BACKLOG: usize = 8;

    type Senders = Arc<Mutex<Vec<Sender<Stream>>>>;

    fn config(deflate: bool) -> Config {
        Config { deflate: deflate.then(Deflate::default), ..Config::default() }
    }

    async fn listen(config: Config) -> io::Result<Server> {
        let server = Server::bind("127.0.0.1:0").await?.config(config);
        if let LocalAddr::Tcp(address) = server.local_addr()? {
            say(address)?;
        }
        Ok(server)
    }

    pub async fn broadcast(deflate: bool, lagging: Lagging, joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let everyone = Broadcast::new(&config(deflate)).lagging(lagging).backlog(BACKLOG);
        let (members, joined) = (everyone.clone(), Arc::clone(joined));
        tokio::spawn(listen(config(deflate)).await?.serve(move |_, socket| {
            let (members, joined) = (members.clone(), Arc::clone(&joined));
            async move {
                let (sender, mut receiver) = socket.split();
                let _subscription = members.subscribe(&sender);
                *joined.lock().unwrap() += 1;
                while receiver.receive().await?.is_some() {}
                Ok::<(), Error>(())
            }
        }));
        let mut channel = Channel::new(&config(deflate));
        Ok(Box::new(move |text| {
            let prepared = channel.prepare(text);
            let delivery = everyone.send(&prepared);
            let compressions = prepared.compressions();
            Sent { compressions, dropped: delivery.dropped, disconnected: delivery.disconnected }
        }))
    }

    pub async fn one_by_one(deflate: bool, joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let senders = Senders::default();
        let (members, joined) = (Arc::clone(&senders), Arc::clone(joined));
        tokio::spawn(listen(config(deflate)).await?.serve(move |_, socket| {
            let (members, joined) = (Arc::clone(&members), Arc::clone(&joined));
            async move {
                let (sender, mut receiver) = socket.split();
                members.lock().unwrap().push(sender);
                *joined.lock().unwrap() += 1;
                while receiver.receive().await?.is_some() {}
                Ok::<(), Error>(())
            }
        }));
        Ok(Box::new(move |text| {
            let senders = senders.lock().unwrap();
            let sent = senders.iter().filter(|sender| sender.try_send(text).is_ok()).count();
            Sent { compressions: if deflate { sent } else { 0 }, ..Sent::default() }
        }))
    }
}

/// A task for each connection, fed by tokio's broadcast channel: a loop over all would wait for those who do not read.
mod theirs {
    use super::{Send, Sent, say};
    use fastwebsockets::{Frame, Payload, Role, WebSocket};
    use futures_util::SinkExt;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::broadcast::{Receiver, Sender, channel, error::RecvError},
    };
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, Utf8Bytes, protocol::Role as Side},
    };
    use ws13_bench::upgrade;

    const BACKLOG: usize = 64;

    async fn accept<T, F>(
        joined: &Arc<Mutex<usize>>,
        serve: fn(TcpStream, Receiver<T>) -> F,
    ) -> io::Result<Sender<T>>
    where
        T: Clone + core::marker::Send + 'static,
        F: Future<Output = ()> + core::marker::Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(listener.local_addr()?)?;
        let (sender, _) = channel(BACKLOG);
        let (to_all, joined) = (sender.clone(), Arc::clone(joined));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (to_all, joined) = (to_all.clone(), Arc::clone(&joined));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while upgrade::head_end(&head).is_none() {
                        if stream.read_buf(&mut head).await? == 0 {
                            return Ok(());
                        }
                    }
                    stream.set_nodelay(true)?;
                    stream.write_all(upgrade::response(&head).unwrap_or_default().as_bytes()).await?;
                    *joined.lock().unwrap() += 1;
                    tokio::spawn(serve(stream, to_all.subscribe()));
                    io::Result::Ok(())
                });
            }
        });
        Ok(sender)
    }

    pub async fn tungstenite(joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let sender = accept(joined, |stream, mut messages: Receiver<Utf8Bytes>| async move {
            let mut socket = WebSocketStream::from_raw_socket(stream, Side::Server, None).await;
            loop {
                match messages.recv().await {
                    Ok(text) => {
                        if socket.send(Message::Text(text)).await.is_err() {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        let sender = sender.await?;
        Ok(Box::new(move |text| {
            let _ = sender.send(Utf8Bytes::from(text));
            Sent::default()
        }))
    }

    pub async fn fastwebsockets(joined: &Arc<Mutex<usize>>) -> io::Result<Send> {
        let sender = accept(joined, |stream, mut messages: Receiver<bytes::Bytes>| async move {
            let mut socket = WebSocket::after_handshake(stream, Role::Server);
            loop {
                match messages.recv().await {
                    Ok(text) if socket.write_frame(Frame::text(Payload::Borrowed(&text))).await.is_ok() => {}
                    Err(RecvError::Lagged(_)) => {}
                    _ => return,
                }
            }
        });
        let sender = sender.await?;
        Ok(Box::new(move |text| {
            let _ = sender.send(bytes::Bytes::copy_from_slice(text.as_bytes()));
            Sent::default()
        }))
    }
}

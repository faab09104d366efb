//! What a connection costs while it is idle.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::allocation::{Counting, measure};
use common::masked;
use net::{polled, read_frame};
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use ws13::{Config, Error, Role, Server, WebSocket};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: usize = 200;

/// The allocator counts for each thread, so that a test's runtime has to stay on its own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Bytes for each connection that `make` leaves behind.
fn kept_by<T>(make: impl FnOnce() -> Vec<T>) -> usize {
    let (made, cost) = measure(make);
    let each = cost.kept / made.len() as isize;
    drop(made);
    usize::try_from(each).unwrap()
}

/// What the streams cost by themselves: their buffers are made when they are first written.
fn duplex_alone() -> usize {
    let runtime = runtime();
    kept_by(|| {
        runtime.block_on(futures_util::future::join_all((0..CONNECTIONS).map(|_| traffic(false, None))))
    })
}

/// A connection after traffic, which waits for more; without a socket its stream alone.
async fn traffic(
    split: bool,
    config: Option<Arc<Config>>,
) -> (DuplexStream, Option<Box<dyn std::any::Any>>, Option<DuplexStream>) {
    use tokio::io::AsyncReadExt;
    let (near, mut far) = tokio::io::duplex(1 << 12);
    let message = masked(0x81, &[b'x'; 3000]);
    far.write_all(&message).await.unwrap();
    let Some(config) = config else {
        let mut near = near;
        near.read_exact(&mut vec![0; message.len()]).await.unwrap();
        near.write_all(&[0; 3004]).await.unwrap();
        far.read_exact(&mut vec![0; 3004]).await.unwrap();
        return (far, None, Some(near));
    };
    let mut socket = WebSocket::from_upgraded(near, Role::Server, config);
    let message = socket.receive().await.unwrap().unwrap();
    socket.send(message).await.unwrap();
    far.read_exact(&mut vec![0; 3004]).await.unwrap();
    let held: Box<dyn std::any::Any> = if split {
        let (sender, mut receiver) = socket.split();
        assert!(polled(1, receiver.receive()).await.is_none());
        Box::new((sender, receiver))
    } else {
        assert!(polled(1, socket.receive()).await.is_none());
        Box::new(socket)
    };
    (far, Some(held), None)
}

#[test]
fn an_idle_connection_holds_no_buffers() {
    let alone = duplex_alone();
    for split in [false, true] {
        let runtime = runtime();
        // The first ones fill the thread's stock of buffers.
        let config = Arc::new(Config::default());
        let stock = runtime.block_on(traffic(split, Some(Arc::clone(&config))));
        let with_socket = kept_by(|| {
            runtime.block_on(futures_util::future::join_all(
                (0..CONNECTIONS).map(|_| traffic(split, Some(Arc::clone(&config)))),
            ))
        });
        drop(stock);
        let each = with_socket.saturating_sub(alone);
        assert!(each < 4 << 10, "{each} bytes for each connection, split: {split}");
        assert!(each > 100, "{each}: it was counted");
    }
}

/// Server and clients on one thread: what both ends of a connection cost, the server's task and its handler included.
#[test]
fn an_idle_served_connection_is_small() {
    let runtime = runtime();
    let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
    let ws13::LocalAddr::Tcp(address) = server.local_addr().unwrap() else { panic!("it listens on TCP") };
    runtime.spawn(server.serve(|_, mut socket| async move {
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));
    let open = |count: usize| {
        runtime.block_on(async {
            let mut streams: Vec<TcpStream> = Vec::new();
            for _ in 0..count {
                let (mut stream, _) = net::dial(address, "").await;
                stream.write_all(&masked(0x81, &[b'x'; 3000])).await.unwrap();
                assert_eq!(read_frame(&mut stream).await.unwrap().payload.len(), 3000);
                streams.push(stream);
            }
            // The last handler waits again.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            streams
        })
    };
    let stock = open(20);
    let each = kept_by(|| open(CONNECTIONS));
    drop(stock);
    // A task, a driver, a sleep, two registrations of the socket, and the client's stream.
    assert!(each < 4 << 10, "{each} bytes for each connection");
    assert!(each > 500, "{each}: it was counted");
}

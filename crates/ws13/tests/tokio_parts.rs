//! Messages in parts: `reader()`, `writer()`, and `fragment_size`.
#![cfg(feature = "tokio")]

mod common;
#[path = "common/net.rs"]
mod net;

use common::allocation::{Counting, measure};
use common::masked;
use net::{close_code, polled, read_frame, server_and_wire, socket_and_wire, sockets, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ws13::{CloseCode, Config, Error, Fault, Kind, Role, Violation};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocator counts for each thread, so this runtime stays on its own.
fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_64_mib_message_goes_through_in_bounded_memory() {
    const LEN: usize = 64 << 20;
    let (received, cost) = measure(|| {
        block_on(async {
            let (mut client, mut server) = sockets(1 << 16);
            let writing = async {
                let piece = vec![0x5a; 100_000];
                let mut writer = client.writer(Kind::Binary);
                let mut left = LEN;
                while left > 0 {
                    let len = left.min(piece.len());
                    writer.write(&piece[..len]).await.unwrap();
                    left -= len;
                }
                writer.finish().await.unwrap();
            };
            let reading = async {
                let mut reader = server.reader().await.unwrap().unwrap();
                assert_eq!(reader.kind(), Kind::Binary);
                let (mut received, mut piece) = (0, vec![0; 50_000]);
                loop {
                    match reader.read(&mut piece).await.unwrap() {
                        0 => return received,
                        len => received += len,
                    }
                    assert_eq!(piece[0], 0x5a);
                }
            };
            tokio::join!(writing, reading).1
        })
    });
    assert_eq!(received, LEN);
    assert!(cost.peak < 1 << 20, "{cost:?}");
}

/// One frame of 64 MiB, over the limit on whole messages: parts are not bound by it.
#[test]
fn a_single_large_frame_is_read_in_bounded_memory() {
    const LEN: usize = 64 << 20;
    let (received, cost) = measure(|| {
        block_on(async {
            let (mut client, mut wire) = socket_and_wire(Role::Client, 1 << 16, Config::default());
            let writing = async {
                wire.write_all(&[0x82, 127]).await.unwrap();
                wire.write_u64(LEN as u64).await.unwrap();
                for _ in 0..LEN / 65_536 {
                    wire.write_all(&[9; 65_536]).await.unwrap();
                }
            };
            let reading = async {
                let mut reader = client.reader().await.unwrap().unwrap();
                tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.unwrap()
            };
            tokio::join!(writing, reading).1
        })
    });
    assert_eq!(received, LEN as u64);
    assert!(cost.peak < 1 << 20, "{cost:?}");
}

#[tokio::test]
async fn a_reader_that_is_dropped_half_way_skips_the_rest_of_its_message() {
    for read in [0, 1, 5_000, 65_536] {
        let (mut client, mut server) = sockets(10_000);
        let sending = async {
            client.send(vec![1; 200_000]).await.unwrap();
            let mut writer = client.writer(Kind::Text);
            writer.write(b"the next").await.unwrap();
            writer.flush().await.unwrap();
            writer.write(b" message").await.unwrap();
            writer.finish().await.unwrap();
            client.send("and one more").await.unwrap();
        };
        let receiving = async {
            let mut reader = server.reader().await.unwrap().unwrap();
            let mut begin = Vec::new();
            assert!(!reader.read_to_end(&mut begin, read).await.unwrap());
            assert_eq!(begin, vec![1; read]);
            let mut reader = server.reader().await.unwrap().unwrap();
            assert_eq!(reader.kind(), Kind::Text);
            begin.clear();
            assert!(reader.read_to_end(&mut begin, usize::MAX).await.unwrap());
            assert_eq!(begin, b"the next message");
            assert_eq!(server.receive().await.unwrap(), Some("and one more".into()));
        };
        soon(async { tokio::join!(sending, receiving) }).await;
    }
}

#[tokio::test]
async fn after_a_dropped_reader_receive_gives_the_next_message() {
    let (mut server, mut wire) = server_and_wire();
    wire.write_all(&[masked(0x02, b"first "), masked(0x80, b"message"), masked(0x81, b"second")].concat())
        .await
        .unwrap();
    let mut reader = server.reader().await.unwrap().unwrap();
    assert_eq!(reader.read(&mut [0; 3]).await.unwrap(), 3);
    assert_eq!(server.receive().await.unwrap(), Some("second".into()));
}

#[tokio::test]
async fn a_text_may_be_cut_in_the_middle_of_a_character() {
    let text = "é€𝄞".repeat(100);
    let (mut client, mut server) = sockets(1000);
    let sending = async {
        let mut writer = client.writer(Kind::Text);
        for byte in text.as_bytes() {
            writer.write(&[*byte]).await.unwrap();
            writer.flush().await.unwrap();
        }
        writer.finish().await.unwrap();
        client.send("whole").await.unwrap();
    };
    let receiving = async {
        let mut reader = server.reader().await.unwrap().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes, usize::MAX).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        assert_eq!(server.receive().await.unwrap(), Some("whole".into()));
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn a_reader_fails_at_text_that_is_not_utf_8_and_gives_what_came_before() {
    let (mut server, mut wire) = server_and_wire();
    wire.write_all(&[masked(0x01, b"good"), masked(0x80, b"\xc3\x28")].concat()).await.unwrap();
    let peer = async {
        let close = read_frame(&mut wire).await.unwrap();
        drop(wire);
        close
    };
    let reading = async {
        let mut reader = server.reader().await.unwrap().unwrap();
        let mut piece = [0; 10];
        assert_eq!(reader.read(&mut piece).await.unwrap(), 4);
        reader.read(&mut piece).await
    };
    let (failed, close) = soon(async { tokio::join!(reading, peer) }).await;
    assert!(matches!(failed, Err(Error::Fault(Fault::Violation(Violation::Utf8)))), "{failed:?}");
    assert_eq!(close_code(&close), 1007);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_message_is_an_error_of_its_reader() {
    let (mut server, mut wire) = server_and_wire();
    wire.write_all(&masked(0x02, b"beginning")).await.unwrap();
    drop(wire);
    let mut reader = server.reader().await.unwrap().unwrap();
    let mut bytes = Vec::new();
    assert!(reader.read_to_end(&mut bytes, usize::MAX).await.is_err());
    assert_eq!(bytes, b"beginning");
}

#[tokio::test]
async fn a_close_ends_the_readers() {
    let (mut client, mut server) = sockets(1000);
    let (closed, ended) =
        soon(async { tokio::join!(client.close(CloseCode::NORMAL, ""), server.reader()) }).await;
    closed.unwrap();
    assert!(ended.unwrap().is_none());
}

/// Cancelled reads lose nothing: what arrived is read by the next one.
#[tokio::test]
async fn a_read_that_is_dropped_while_it_waits_loses_nothing() {
    let (mut server, mut wire) = server_and_wire();
    let mut reader_bytes = Vec::new();
    wire.write_all(&masked(0x02, b"ab")).await.unwrap();
    let mut reader = server.reader().await.unwrap().unwrap();
    let mut piece = [0; 1];
    for last in [false, false, true] {
        while let Some(read) = polled(1, reader.read(&mut piece)).await {
            reader_bytes.extend_from_slice(&piece[..read.unwrap()]);
        }
        wire.write_all(&masked(if last { 0x80 } else { 0x00 }, b"cd")).await.unwrap();
    }
    reader.read_to_end(&mut reader_bytes, usize::MAX).await.unwrap();
    assert_eq!(reader_bytes, b"abcdcdcd");
}

#[tokio::test]
async fn fragment_size_cuts_large_messages_and_lets_a_pong_between() {
    let config = Config { fragment_size: Some(10_000), ..Config::default() };
    let (mut server, mut wire) = socket_and_wire(Role::Server, 1000, config);
    wire.write_all(&masked(0x89, b"in between")).await.unwrap();
    server.feed(vec![3; 95_000]).unwrap();
    let peer = async {
        let mut frames = Vec::new();
        loop {
            let frame = read_frame(&mut wire).await.unwrap();
            let last = frame.first & 0x8f == 0x80;
            frames.push(frame);
            if last {
                return frames;
            }
        }
    };
    let frames = tokio::select! {
        received = server.receive() => panic!("{received:?}"),
        frames = soon(peer) => frames,
    };
    let pong = frames.iter().position(|frame| frame.first == 0x8a).expect("the ping is answered");
    assert!(pong < 3, "not after the whole message: {pong}");
    let data: Vec<_> = frames.iter().filter(|frame| frame.first != 0x8a).collect();
    assert_eq!(data.len(), 10);
    assert_eq!((data[0].first, data[1].first, data[9].first), (0x02, 0x00, 0x80));
    assert!(data.iter().all(|frame| frame.payload.len() <= 10_000));
    assert_eq!(data.iter().map(|frame| frame.payload.len()).sum::<usize>(), 95_000);
}

#[tokio::test]
async fn a_writer_collects_small_parts_into_frames_of_the_fragment_size() {
    let config = Config { fragment_size: Some(100), ..Config::default() };
    let (mut server, mut wire) = socket_and_wire(Role::Server, 1 << 16, config);
    let mut writer = server.writer(Kind::Binary);
    for _ in 0..25 {
        writer.write(&[7; 10]).await.unwrap();
    }
    writer.finish().await.unwrap();
    drop(server);
    let frames = net::read_frames(&mut wire).await;
    let lens: Vec<_> = frames.iter().map(|frame| (frame.first, frame.payload.len())).collect();
    assert_eq!(lens, [(0x02, 100), (0x00, 100), (0x80, 50)]);
}

/// A full queue delays a writer; it does not spoil the message.
#[tokio::test]
async fn a_writer_waits_where_the_queue_is_full() {
    let (mut server, mut wire) = socket_and_wire(Role::Server, 1000, Config::default());
    server.feed(vec![1; 2 << 20]).unwrap();
    let reading = async {
        // The message that was fed, and two frames.
        let mut bytes = vec![0; (2 << 20) + 10 + 20_000 + 2 * 4];
        wire.read_exact(&mut bytes).await.map_err(Error::Io)?;
        Ok::<_, Error>(common::parse(&bytes).len())
    };
    let writing = async {
        let mut writer = server.writer(Kind::Binary);
        writer.write(&[2; 20_000]).await?;
        writer.finish().await
    };
    let (frames, ()) = soon(async { tokio::try_join!(reading, writing) }).await.unwrap();
    assert_eq!(frames, 3);
}

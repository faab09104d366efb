//! What permessage-deflate costs in memory: bombs, and connections that are idle.
#![cfg(feature = "deflate")]

mod common;

use common::allocation::{Cost, Counting, measure};
use common::{End, Seen, frame, masked};
use flate2::{Compress, Compression, FlushCompress};
use ws13::deflate::Agreed;
use ws13::{Config, Connection, Deflate, Limits, Role};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bits(bits: u8) -> Agreed {
    Agreed { server_max_window_bits: bits, client_max_window_bits: bits, ..Agreed::default() }
}

fn end(role: Role, max_message: usize, agreed: Agreed) -> End {
    let limits = Limits { max_message, ..Limits::default() };
    let mut end = End::new(role, Config { limits, deflate: Some(Deflate::default()), ..Config::default() });
    end.connection = end.connection.with_deflate(agreed);
    end
}

/// 1 GiB of zeros, about 1 MiB: the same 1 MiB again and again, each time without looking back.
fn bomb() -> Vec<u8> {
    let mut once = Vec::with_capacity(4096);
    let mut encoder = Compress::new(Compression::new(6), false);
    encoder.compress_vec(&vec![0; 1 << 20], &mut once, FlushCompress::Full).unwrap();
    assert_eq!(encoder.total_in(), 1 << 20);
    [once.repeat(1 << 10), vec![0]].concat()
}

/// Reads as a driver does, and parks before each wait.
fn read(end: &mut End, bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for piece in bytes.chunks(64 << 10) {
        end.read(piece);
        seen.extend(end.events());
        drop(end.inbox.park());
    }
    seen
}

#[test]
fn a_bomb_stops_at_the_limit_and_costs_less_than_twice_of_it() {
    let bomb = bomb();
    assert!(bomb.len() > 900 << 10 && bomb.len() < 2 << 20, "{}", bomb.len());
    let whole = masked(0xc2, &bomb);
    let mut fragments = masked(0x42, &bomb[..1000]);
    for piece in bomb[1000..].chunks(9000) {
        fragments.extend(masked(0x00, piece));
    }
    for max in [100_000, 1 << 20, 4 << 20] {
        for bytes in [&whole, &fragments] {
            // So that the thread's own buffers and decoder do not count.
            let mut warm = end(Role::Server, max, Agreed::default());
            let _ = read(&mut warm, &masked(0xc2, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
            let mut receiver = end(Role::Server, max, Agreed::default());
            let (seen, Cost { peak, kept, .. }) = measure(|| read(&mut receiver, bytes));
            assert_eq!((seen, receiver.close_code()), (vec![], Some(1009)));
            assert!(peak < (2 * max).max(max + (200 << 10)), "{peak} for a limit of {max}");
            assert!(kept < 4096, "{kept} bytes are kept");
        }
    }
}

#[test]
fn a_bomb_and_then_an_invalid_block_is_exactly_one_error() {
    let mut payload = bomb();
    payload.extend_from_slice(&[0xff; 64]);
    let mut receiver = end(Role::Server, 1 << 20, Agreed::default());
    let bytes = [masked(0xc2, &payload), masked(0x81, b"after")].concat();
    assert_eq!(read(&mut receiver, &bytes), []);
    assert_eq!(receiver.close_code(), Some(1009));
    assert_eq!(receiver.eof().len(), 1);
}

#[test]
fn a_declared_length_allocates_nothing() {
    let mut receiver = end(Role::Server, 1 << 20, Agreed::default());
    let bytes = &frame(0xc2, Some([0; 4]), &vec![0; 1 << 20])[..14];
    let ((), Cost { peak, .. }) = measure(|| {
        receiver.inbox.extend_from_slice(bytes);
        assert_eq!(receiver.event(), None);
    });
    assert!(peak < 1024, "{peak}");
}

#[test]
fn an_unfinished_message_costs_what_has_arrived_of_it_a_few_times() {
    for arrived in [1, 100, 1000, 10_000, 16_000, 20_000, 60_000] {
        let mut state = 1_u32;
        let noise = (0..arrived).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let len = u16::try_from(arrived).unwrap();
        let stored =
            [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &noise.collect::<Vec<_>>()].concat();
        let mut receiver = end(Role::Server, 1 << 20, bits(15));
        let bytes = masked(0x42, &stored);
        let (seen, Cost { kept, .. }) = measure(|| read(&mut receiver, &bytes));
        assert_eq!(seen, []);
        // From 16 KiB on it has a decoder.
        let decoder = if arrived < 16 << 10 { 0 } else { 48 << 10 };
        assert!(kept < 4 * arrived as isize + decoder + 1024, "{kept} for {arrived}");
    }
}

fn json(i: usize) -> String {
    format!(r#"{{"id":{i},"name":"sensor-{}","value":{},"unit":"celsius","tags":["room"]}}"#, i % 7, i * 31)
        .repeat(4)
}

/// What a server's connection frees when it is dropped, after messages enough to fill its windows.
fn held(agreed: Option<Agreed>, messages: usize) -> isize {
    let make = |role| match agreed {
        Some(agreed) => end(role, 1 << 20, agreed),
        None => End::new(role, Config::default()),
    };
    let (mut server, mut client) = (make(Role::Server), make(Role::Client));
    for i in 0..messages {
        let text = json(i);
        client.connection.send(&text, &mut client.outbox).unwrap();
        assert!(read(&mut server, &client.written()) == [Seen::text(&text)]);
        server.connection.send(&text, &mut server.outbox).unwrap();
        assert!(read(&mut client, &server.written()) == [Seen::text(&text)]);
        drop(server.outbox.park());
    }
    -measure(|| drop(server)).1.kept
}

#[test]
fn an_idle_connection_keeps_window_bytes_and_nothing_else() {
    let neither = Agreed { server_context_takeover: false, client_context_takeover: false, ..bits(15) };
    for (agreed, bar) in [
        (bits(15), 41_100),
        (Agreed { client_max_window_bits: 12, ..bits(15) }, 12_400),
        (bits(11), 4_200),
        (bits(8), 650),
        (neither, 104),
    ] {
        let plain = held(None, 300);
        assert_eq!(held(Some(agreed), 0) - held(None, 0), 0, "before the first use");
        let idle = held(Some(agreed), 300) - plain;
        println!("idle {idle} B with {agreed:?}");
        assert!(idle <= bar, "{idle} over {bar} for {agreed:?}");
    }
}

#[test]
fn a_thread_keeps_a_bounded_number_of_histories_however_many_connections_send() {
    for (histories, level, least, most) in
        [(64, 6, 60 << 10, 88 << 10), (90, 6, 60 << 10, 88 << 10), (64, 1, 24 << 10, 48 << 10), (0, 6, 0, 0)]
    {
        let kept = std::thread::spawn(move || kept_by_a_thread(histories, level)).join().unwrap();
        println!("a thread keeps {kept} B for {histories} at level {level}");
        // So many of them, and one without a history.
        let (fewest, all) = (histories as isize * least, histories as isize * most + (152 << 10));
        assert!(kept > fewest && kept < all, "{kept} for {histories} at level {level}");
    }
}

/// Bytes that it keeps after a hundred connections have sent in turn.
fn kept_by_a_thread(histories: usize, level: u8) -> isize {
    let settings = Deflate { histories, level, ..Deflate::default() };
    let ((), Cost { kept, .. }) = measure(|| {
        let mut all: Vec<_> = (0..100)
            .map(|_| {
                let config = Config { deflate: Some(settings.clone()), ..Config::default() };
                let mut server = End::new(Role::Server, config);
                server.connection = server.connection.with_deflate(bits(15));
                server
            })
            .collect();
        for i in 0..130 {
            for server in &mut all {
                server.connection.send(json(i), &mut server.outbox).unwrap();
                let _ = server.written();
            }
        }
    });
    kept
}

#[test]
fn a_connection_that_is_closed_keeps_no_window() {
    for closing in [masked(0x88, b""), masked(0xc2, &[0xff; 9])] {
        let mut open = end(Role::Server, 1 << 20, Agreed::default());
        for i in 0..200 {
            open.connection.send(json(i), &mut open.outbox).unwrap();
            let _ = open.written();
        }
        let _ = read(&mut open, &masked(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
        let _ = read(&mut open, &closing);
        let _ = open.written();
        drop(open.outbox.park());
        let freed = -measure(|| drop(open)).1.kept;
        assert!(freed < 1000, "{freed} were still held");
    }
}

#[test]
fn a_connection_that_uses_nothing_of_it_stays_small() {
    assert!(size_of::<Connection>() <= 296, "{}", size_of::<Connection>());
}

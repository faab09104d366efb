//! What a connection costs in memory, with its buffers used as a driver uses them.
#![cfg(feature = "std")]

mod common;

use bytes::{Buf, Bytes, BytesMut};
use common::allocation::{Cost, Counting, measure};
use common::{Frame, connection, masked, parse, plain};
use ws13::connection::{LEASE, OutboxBuffer, SHARE_FROM};
use ws13::{Config, Connection, Event, Inbox, Kind, Limits, Message, Outbox, Role};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What bookkeeping may cost beside payloads.
const SLACK: usize = 1024;

/// A driver as they all are: reads into a lease, handles, writes, gives the buffers back before it waits.
struct Driver {
    connection: Connection,
    inbox: Inbox,
    outbox: Outbox,
    leases: Vec<BytesMut>,
    writes: Vec<OutboxBuffer>,
}

impl Driver {
    fn new(role: Role, config: Config) -> Driver {
        Driver {
            connection: connection(role, config),
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            leases: Vec::with_capacity(4),
            writes: Vec::with_capacity(4),
        }
    }

    /// Reads what fits at once; says how much that was.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let leases = &mut self.leases;
        let room = self.inbox.room(|_| leases.pop().unwrap_or_else(|| BytesMut::with_capacity(LEASE)));
        let len = bytes.len().min(room.capacity() - room.len());
        room.extend_from_slice(&bytes[..len]);
        self.inbox.advance_received(len);
        len
    }

    fn write(&mut self, written: &mut Vec<u8>) {
        while self.connection.wants_write(&mut self.outbox) {
            let len = self.outbox.chunk().len();
            written.extend_from_slice(self.outbox.chunk());
            self.outbox.advance(len);
        }
    }

    fn wait(&mut self) {
        if let Some(mut lease) = self.inbox.park() {
            if lease.try_reclaim(LEASE) {
                self.leases.push(lease);
            }
        }
        if let Some(buffer) = self.outbox.park() {
            self.writes.push(buffer);
        }
    }

    fn lease_outbox(&mut self) {
        if self.outbox.is_parked() {
            self.outbox.lease(self.writes.pop().unwrap_or_default());
        }
    }

    /// Reads, echoes lent messages, writes, waits.
    fn echo(&mut self, mut bytes: &[u8], written: &mut Vec<u8>) {
        while !bytes.is_empty() {
            bytes = &bytes[self.read(bytes)..];
            self.lease_outbox();
            while let Some((event, mut output)) =
                self.connection.receive_with_output(&mut self.inbox, &mut self.outbox)
            {
                if let Event::Message(message) = event {
                    output.send(message).unwrap();
                }
            }
            self.write(written);
        }
        self.wait();
    }

    /// Reads to the next message, for keeps, with bytes of `step` at a time.
    fn receive_by(&mut self, bytes: &[u8], step: usize) -> Option<Message> {
        let mut message = None;
        for piece in bytes.chunks(step) {
            let mut piece = piece;
            while !piece.is_empty() {
                piece = &piece[self.read(piece)..];
                if let Some(Event::Message(received)) =
                    self.connection.receive(&mut self.inbox, &mut self.outbox)
                {
                    message = Some(received.into_message());
                }
            }
            self.wait();
        }
        message
    }
}

fn frame_to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    if role == Role::Server { masked(first, payload) } else { plain(first, payload) }
}

/// Messages of one length that come in one read, lent and echoed: once to have buffers, then fifty times.
fn echo_allocates_nothing(role: Role, first: u8, len: usize, together: usize) {
    let mut driver = Driver::new(role, Config::default());
    let frames = frame_to(role, first, &vec![b'a'; len]).repeat(together);
    let mut written = Vec::with_capacity(51 * together * (len + 14));
    driver.echo(&frames, &mut written);
    let ((), cost) = measure(|| {
        for _ in 0..50 {
            driver.echo(&frames, &mut written);
        }
    });
    assert_eq!(cost, Cost { peak: 0, kept: 0, calls: 0 }, "{role:?}, {len} bytes");
    let expected = Frame { first, masked: role == Role::Client, payload: vec![b'a'; len] };
    assert_eq!(parse(&written), vec![expected; 51 * together]);
}

#[test]
fn a_small_message_lent_and_echoed_allocates_nothing() {
    for role in [Role::Server, Role::Client] {
        for (len, first) in [(0, 0x82), (64, 0x82), (64, 0x81), (1024, 0x81), (SHARE_FROM - 1, 0x82)] {
            echo_allocates_nothing(role, first, len, 1);
        }
    }
}

#[test]
fn large_messages_lent_and_echoed_allocate_nothing() {
    for role in [Role::Server, Role::Client] {
        for (len, first) in [(SHARE_FROM, 0x82), (16 << 10, 0x82), (16 << 10, 0x81)] {
            echo_allocates_nothing(role, first, len, 2);
        }
    }
}

#[test]
fn many_small_messages_in_one_read_allocate_nothing() {
    let mut driver = Driver::new(Role::Server, Config::default());
    // Frames lie across the borders of the reads.
    let frames = masked(0x82, &[7; 61]).repeat(4000);
    let mut written = Vec::with_capacity(2 * frames.len());
    driver.echo(&frames, &mut written);
    written.clear();
    let ((), cost) = measure(|| driver.echo(&frames, &mut written));
    assert_eq!(cost.calls, 0, "{cost:?}");
    assert_eq!(parse(&written).len(), 4000);
}

#[test]
fn an_owned_message_costs_one_allocation_at_most() {
    let small = [(Role::Server, 0), (Role::Server, 64), (Role::Client, 64), (Role::Server, SHARE_FROM - 1)];
    for (role, len) in small {
        let mut driver = Driver::new(role, Config::default());
        let frame = frame_to(role, 0x81, &vec![b'a'; len]);
        let mut receive = || driver.receive_by(&frame, frame.len()).unwrap();
        drop(receive());
        for _ in 0..10 {
            let (message, cost) = measure(&mut receive);
            assert!(cost.calls <= 1, "{len} bytes: {cost:?}");
            assert_eq!(message.len(), len);
        }
    }
}

#[test]
fn a_large_owned_message_takes_its_lease_along() {
    let mut driver = Driver::new(Role::Server, Config::default());
    let frame = masked(0x82, &[1; SHARE_FROM]);
    driver.receive_by(&frame, frame.len());
    let (message, cost) = measure(|| driver.receive_by(&frame, frame.len()).unwrap());
    // The count of references, and the next lease where the driver has no other.
    assert!(cost.calls <= 2, "{cost:?}");
    assert_eq!(message.len(), SHARE_FROM);
    // Several messages in one lease share both.
    let frames = frame.repeat(7);
    let (messages, cost) = measure(|| {
        let mut messages = Vec::with_capacity(7);
        driver.read(&frames);
        while let Some(Event::Message(message)) =
            driver.connection.receive(&mut driver.inbox, &mut driver.outbox)
        {
            messages.push(message.into_message());
        }
        messages
    });
    assert!(cost.calls <= 3, "{cost:?}");
    assert_eq!(messages.len(), 7);
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    for len in [0, 100, SHARE_FROM, 60_000, 300_000] {
        for fragmented in [false, true] {
            let mut driver = Driver::new(Role::Server, Config::default());
            let mut frames = masked(if fragmented { 0x02 } else { 0x82 }, &vec![1; len]);
            if fragmented {
                frames.extend(masked(0x80, b"end"));
            }
            let ((), cost) = measure(|| {
                let mut written = Vec::new();
                driver.echo(&frames, &mut written);
                driver.echo(&frames, &mut written);
                // The stock belongs to the driver.
                driver.leases = Vec::new();
                driver.writes = Vec::new();
            });
            assert!(cost.kept <= 0, "{len} bytes, fragmented {fragmented}: {cost:?}");
        }
    }
}

#[test]
fn an_unfinished_small_frame_holds_its_bytes_and_no_lease() {
    for before in [0, 100, SHARE_FROM, 50_000] {
        let mut driver = Driver::new(Role::Server, Config::default());
        let bytes = [masked(0x82, &vec![1; before]), masked(0x82, &[2; 1000])[..900].into()].concat();
        let ((), cost) = measure(|| {
            driver.echo(&bytes, &mut Vec::new());
            driver.leases = Vec::new();
            driver.writes = Vec::new();
        });
        assert!(cost.kept <= 900 + SLACK as isize, "after {before} bytes: {cost:?}");
    }
}

#[test]
fn a_frame_of_1_mib_one_byte_a_read_costs_the_frame_and_64_kib() {
    let payload: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
    for (step, first) in [(1, 0x81), (13, 0x82), (1000, 0x82), (65_536, 0x82), (1 << 21, 0x82)] {
        let frame = masked(first, &payload.iter().map(|byte| byte & 0x7f).collect::<Vec<u8>>());
        let mut driver = Driver::new(Role::Server, Config::default());
        let (message, cost) = measure(|| driver.receive_by(&frame, step));
        assert!(message.is_some_and(|message| message.len() == 1 << 20));
        assert!(cost.peak <= (1 << 20) + LEASE + SLACK, "{step} bytes a read: {cost:?}");
    }
}

#[test]
fn a_frame_of_any_length_costs_its_length_and_64_kib() {
    for len in [70_000, 130_000, 140_000, 300_000, 600_000, 1_040_000] {
        for step in [999, 65_536] {
            let frame = masked(0x82, &vec![7; len]);
            let mut driver = Driver::new(Role::Server, Config::default());
            let (message, cost) = measure(|| driver.receive_by(&frame, step));
            assert!(message.is_some_and(|message| message.len() == len));
            assert!(cost.peak <= len + LEASE + SLACK, "{len} bytes, {step} bytes a read: {cost:?}");
        }
    }
}

#[test]
fn memory_follows_the_bytes_that_came_and_not_the_length_that_was_announced() {
    let limits = Limits { max_message: usize::MAX, ..Limits::default() };
    let header = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let mut driver = Driver::new(Role::Server, Config { limits, ..Config::default() });
    let mut came = 0;
    let piece = [0; 10_000];
    let (_, start) = measure(|| driver.receive_by(&header, 1));
    assert!(start.peak <= LEASE + SLACK, "{start:?}");
    let ((), cost) = measure(|| {
        while came < 3 << 20 {
            assert!(driver.receive_by(&piece, piece.len()).is_none());
            came += piece.len();
        }
    });
    assert!(cost.peak <= 2 * came + LEASE, "{came} bytes came: {cost:?}");
}

#[test]
fn the_work_for_a_large_frame_is_linear() {
    // Every growth of a buffer copies what is in it; their number is that of the doublings, whatever the reads.
    for step in [100, 4096, 100_000] {
        let grown = |len: usize| {
            let limits = Limits { max_message: usize::MAX, ..Limits::default() };
            let frame = masked(0x82, &vec![1; len]);
            let mut driver = Driver::new(Role::Server, Config { limits, ..Config::default() });
            // Beyond what is moved out of a lease while the frame is small.
            driver.receive_by(&frame[..40_000], step);
            measure(|| driver.receive_by(&frame[40_000..], step)).1.calls
        };
        let (once, twice) = (grown(1 << 20), grown(2 << 20));
        assert!(twice <= once + 4, "{step} bytes a read: {once} growths for 1 MiB, {twice} for 2 MiB");
    }
}

#[test]
fn fragments_cost_at_most_twice_their_bytes() {
    let mut driver = Driver::new(Role::Server, Config::default());
    let mut frames = masked(0x02, &[1; 256]);
    for _ in 1..4000 {
        frames.extend(masked(0x00, &[1; 256]));
    }
    let (_, cost) = measure(|| driver.receive_by(&frames, 1000));
    assert!(cost.peak <= 2 * 4000 * 256 + LEASE + SLACK, "{cost:?}");
}

#[test]
fn parts_of_a_message_of_any_length_cost_a_lease() {
    let mut driver = Driver::new(Role::Server, Config::default());
    let frame = masked(0x82, &vec![3; 8 << 20]);
    let mut parts = 0;
    let ((), cost) = measure(|| {
        let mut left = &frame[..];
        while !left.is_empty() {
            left = &left[driver.read(left)..];
            while let Some(Event::Part(part)) =
                driver.connection.receive_part(&mut driver.inbox, &mut driver.outbox)
            {
                assert_eq!(part.kind, Kind::Binary);
                parts += part.bytes.len();
            }
            driver.wait();
        }
    });
    assert_eq!(parts, 8 << 20);
    assert!(cost.peak <= LEASE + SLACK, "{cost:?}");
}

#[test]
fn bytes_given_by_copy_do_not_pile_up_where_frames_lie_across_the_pieces() {
    let mut end = common::End::server();
    let frame = masked(0x82, &[1; 1000]);
    let (head, tail) = frame.split_at(500);
    end.feed(head);
    let ((), cost) = measure(|| {
        for _ in 0..2000 {
            end.inbox.extend_from_slice(tail);
            end.inbox.extend_from_slice(head);
            while end.connection.receive(&mut end.inbox, &mut end.outbox).is_some() {}
        }
    });
    assert!(cost.peak <= 8 * frame.len(), "{cost:?}");
}

#[test]
fn a_large_shared_payload_is_sent_by_a_server_without_a_copy() {
    let mut server = connection(Role::Server, Config::default());
    let mut outbox = Outbox::new();
    outbox.lease(Vec::with_capacity(64).into());
    let payload = Bytes::from(vec![1; 500_000]);
    let ((), cost) = measure(|| server.send(payload.clone(), &mut outbox).unwrap());
    assert!(cost.peak < SLACK, "{cost:?}");
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(outbox.chunks_vectored(&mut slices), 2);
    assert_eq!(slices[1].as_ptr(), payload.as_ptr(), "the payload itself goes to the system");
}

#[test]
fn a_large_payload_is_masked_by_a_client_in_place_or_with_one_copy_5_3() {
    let mut client = connection(Role::Client, Config::default());
    let mut outbox = Outbox::new();
    outbox.lease(Vec::with_capacity(64).into());
    let payload = vec![1; 500_000];
    let kept = Bytes::from(payload.clone());
    let ((), cost) = measure(|| client.send(payload, &mut outbox).unwrap());
    assert!(cost.peak < SLACK, "owned: {cost:?}");
    let ((), cost) = measure(|| client.send(kept.clone(), &mut outbox).unwrap());
    assert!(cost.peak < kept.len() + SLACK, "shared: {cost:?}");
    assert!(kept.iter().all(|byte| *byte == 1), "what the caller keeps is not touched");
    let mut written = Vec::new();
    while outbox.has_remaining() {
        let len = outbox.chunk().len();
        written.extend_from_slice(outbox.chunk());
        outbox.advance(len);
    }
    let expected = Frame { first: 0x82, masked: true, payload: kept.to_vec() };
    assert_eq!(parse(&written), [expected.clone(), expected]);
}

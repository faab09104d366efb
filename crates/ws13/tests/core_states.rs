//! Every (state, frame) pair of RFC 6455, held against an oracle that is written from the RFC alone.
#![cfg(feature = "std")]

mod common;

use common::{End, Frame, KEY, Seen, close_payload, frame, plain};
use ws13::{CloseCause, CloseCode, Config, Kind, Role};

/// What the two halves of a connection remember.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    role: Role,
    send_open: bool,
    receive: Receive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Receive {
    Idle,
    /// Inside a fragmented message, with its bytes so far.
    Inside(Kind, Vec<u8>),
    /// The peer's Close came.
    Closed {
        code: u16,
    },
    /// The peer was failed with this code.
    Failed {
        code: u16,
    },
}

/// A frame as its parts.
#[derive(Clone, Debug)]
struct Input {
    opcode: u8,
    fin: bool,
    rsv: u8,
    masked: bool,
    payload: Vec<u8>,
}

impl Input {
    fn bytes(&self) -> Vec<u8> {
        let first = (u8::from(self.fin) << 7) | self.rsv | self.opcode;
        frame(first, self.masked.then_some(KEY), &self.payload)
    }
}

/// What must come of a frame.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    events: Vec<Seen>,
    /// Frames that go out, as first byte and payload.
    frames: Vec<(u8, Vec<u8>)>,
}

/// RFC 6455 as a function.
fn oracle(state: &State, input: &Input) -> (Answer, State) {
    // 1.4: what follows a Close frame is discarded; 7.1.7: nothing more is handled after a failure.
    if matches!(state.receive, Receive::Closed { .. } | Receive::Failed { .. }) {
        return (Answer::default(), state.clone());
    }
    if violates(state, input) {
        return fail(state, 1002);
    }
    match input.opcode {
        8 => close(state, &input.payload),
        // 5.5.2: a Pong in response; none can follow our Close frame, the last frame that we send.
        9 => {
            let frames = if state.send_open { vec![(0x8a, input.payload.clone())] } else { vec![] };
            (Answer { events: vec![Seen::Ping(input.payload.clone())], frames }, state.clone())
        }
        10 => {
            let events = vec![Seen::Pong(input.payload.clone())];
            (Answer { events, frames: vec![] }, state.clone())
        }
        _ => data(state, input),
    }
}

/// What fails with 1002 whatever the payload says.
fn violates(state: &State, input: &Input) -> bool {
    let control = input.opcode >= 8;
    let inside = matches!(state.receive, Receive::Inside(..));
    let reserved_opcode = matches!(input.opcode, 3..=7 | 11..=15); // 5.2
    let reserved_bit = input.rsv != 0; // 5.2
    let wrong_mask = input.masked != (state.role == Role::Server); // 5.1
    let fragmented_control = control && !input.fin; // 5.5
    let nothing_to_continue = input.opcode == 0 && !inside; // 5.4
    let interleaved = matches!(input.opcode, 1 | 2) && inside; // 5.4
    reserved_opcode || reserved_bit || wrong_mask || fragmented_control || nothing_to_continue || interleaved
}

fn data(state: &State, input: &Input) -> (Answer, State) {
    let (kind, mut bytes) = match &state.receive {
        Receive::Inside(kind, bytes) => (*kind, bytes.clone()),
        _ => (if input.opcode == 1 { Kind::Text } else { Kind::Binary }, Vec::new()),
    };
    bytes.extend_from_slice(&input.payload);
    if kind == Kind::Text {
        // 8.1: 1007, for a cut-off character only at the end of the message.
        match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_some() || input.fin => return fail(state, 1007),
            _ => {}
        }
    }
    if input.fin {
        let events = vec![Seen::Message(kind, bytes)];
        (Answer { events, frames: vec![] }, State { receive: Receive::Idle, ..state.clone() })
    } else {
        (Answer::default(), State { receive: Receive::Inside(kind, bytes), ..state.clone() })
    }
}

/// 5.5.1: the body is empty, or a code (7.4) and a reason in UTF-8; the answer echoes both.
fn close(state: &State, payload: &[u8]) -> (Answer, State) {
    let code = match payload {
        [] => None,
        [_] => return fail(state, 1002),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return fail(state, 1002);
            }
            if std::str::from_utf8(reason).is_err() {
                return fail(state, 1007);
            }
            Some(code)
        }
    };
    let receive = Receive::Closed { code: code.unwrap_or(1005) };
    (closing(state, payload.into()), State { send_open: false, receive, ..state.clone() })
}

/// 7.1.7: a Close frame with the code, unless one was sent already.
fn fail(state: &State, code: u16) -> (Answer, State) {
    let receive = Receive::Failed { code };
    (closing(state, close_payload(code, "")), State { send_open: false, receive, ..state.clone() })
}

fn closing(state: &State, payload: Vec<u8>) -> Answer {
    Answer { events: vec![], frames: if state.send_open { vec![(0x88, payload)] } else { vec![] } }
}

fn states() -> Vec<State> {
    let mut states = Vec::new();
    for role in [Role::Client, Role::Server] {
        for send_open in [true, false] {
            let receives = [
                Receive::Idle,
                Receive::Inside(Kind::Text, b"a".to_vec()),
                Receive::Inside(Kind::Binary, vec![0xff]),
                Receive::Closed { code: 1000 },
            ];
            // A received Close is answered at once: with the receiving half the sending half closes, too.
            let reachable = |receive: &Receive| !send_open || !matches!(receive, Receive::Closed { .. });
            states.extend(receives.into_iter().filter(reachable).map(|receive| State {
                role,
                send_open,
                receive,
            }));
        }
    }
    states
}

fn inputs(role: Role) -> Vec<Input> {
    let payloads: [&[u8]; 6] = [b"", b"h", b"hi", &[0x03, 0xe8], b"\x0b\xb8why", &[0x03, 0xe8, 0xff]];
    let mut inputs = Vec::new();
    for opcode in 0..16 {
        for fin in [false, true] {
            for masked in [role == Role::Server, role == Role::Client] {
                for rsv in [0, 0x40, 0x20, 0x10] {
                    let input = |payload: &[u8]| Input { opcode, fin, rsv, masked, payload: payload.into() };
                    inputs.extend(payloads.map(input));
                }
            }
        }
    }
    inputs
}

/// Frames that tell one state from another.
fn probes(role: Role) -> Vec<Input> {
    let probe = |opcode, payload: &[u8]| Input {
        opcode,
        fin: true,
        rsv: 0,
        masked: role == Role::Server,
        payload: payload.into(),
    };
    vec![probe(0, b"b"), probe(1, b"b"), probe(9, b"p"), probe(8, &[0x0b, 0xb8])]
}

/// A connection brought into a state.
fn enter(state: &State) -> End {
    let mut end = End::new(state.role, Config::default());
    let key = (state.role == Role::Server).then_some(KEY);
    match &state.receive {
        Receive::Inside(kind, bytes) => {
            let opcode = if *kind == Kind::Text { 0x01 } else { 0x02 };
            assert_eq!(end.feed(&frame(opcode, key, bytes)), []);
        }
        Receive::Closed { code } => {
            // On the server's side Closed comes when its direction is ended, which this driver has not done.
            assert_eq!(end.feed(&frame(0x88, key, &close_payload(*code, ""))), []);
        }
        _ => {}
    }
    if !state.send_open {
        end.connection.close(Some(CloseCode::NORMAL.into()), &mut end.outbox);
    }
    end.written();
    end
}

fn check_state(end: &mut End, expected: &State, context: &dyn Fn() -> String) {
    let over = match expected.receive {
        Receive::Closed { code } => Some((code, true)),
        Receive::Failed { .. } => Some((1006, false)),
        _ => None,
    };
    let found = end.connection.closed().map(|closed| (closed.code(), closed.is_clean()));
    assert_eq!(found, over, "{}", context());
    assert_eq!(end.connection.is_open(), expected.send_open, "{}", context());
    // 7.1.1: after a clean close the server ends TCP first; after a failure either side does.
    let shutdown = over.is_some_and(|(_, clean)| !clean || expected.role == Role::Server);
    assert_eq!(end.connection.wants_shutdown(&end.outbox), shutdown, "{}", context());
}

fn check_frame(end: &mut End, state: &State, input: &Input, context: &dyn Fn() -> String) -> State {
    let (expected, after) = oracle(state, input);
    let events = end.feed(&input.bytes());
    let frames = end.frames();
    assert!(frames.iter().all(|frame| frame.masked == (state.role == Role::Client)), "5.1: {}", context());
    let frames = frames.into_iter().map(|frame| (frame.first, frame.payload)).collect();
    assert_eq!(Answer { events, frames }, expected, "{}", context());
    check_state(end, &after, context);
    after
}

/// Ends the stream: exactly one Closed comes, and nothing after it.
fn check_end(mut end: End, state: &State, context: &dyn Fn() -> String) {
    let (code, clean, failed) = match state.receive {
        Receive::Closed { code } => (code, true, None),
        Receive::Failed { code } => (1006, false, Some(code)),
        _ => (1006, false, None),
    };
    match &end.eof()[..] {
        [Seen::Closed { code: found, cause, .. }] => {
            assert_eq!(*found, code, "{}", context());
            assert_eq!(*cause == CloseCause::Handshake, clean, "{}", context());
            let told = match cause {
                CloseCause::Fault(fault) => Some(fault.close_code().get()),
                _ => None,
            };
            assert_eq!(told, failed, "{}", context());
        }
        other => panic!("{other:?} at the end: {}", context()),
    }
    assert_eq!(end.eof(), [], "{}", context());
}

#[test]
fn every_frame_in_every_state_5_and_7() {
    let mut pairs = 0;
    for state in states() {
        for input in inputs(state.role) {
            pairs += 1;
            for probe in probes(state.role) {
                let context = || format!("{state:?} then {input:?} then {probe:?}");
                let mut end = enter(&state);
                check_state(&mut end, &state, &context);
                let after = check_frame(&mut end, &state, &input, &context);
                let after = check_frame(&mut end, &after, &probe, &context);
                check_end(end, &after, &context);
            }
        }
    }
    assert_eq!(pairs, 14 * 16 * 2 * 2 * 4 * 6);
}

#[test]
fn server_must_close_on_unmasked_frame_5_1() {
    let mut server = End::server();
    assert_eq!(server.feed(&plain(0x81, b"Hello")), []);
    assert_eq!(server.close_code(), Some(1002));
}

#[test]
fn client_must_close_on_masked_frame_5_1() {
    let mut client = End::client();
    assert_eq!(client.feed(&common::masked(0x81, b"Hello")), []);
    assert_eq!(client.close_code(), Some(1002));
}

#[test]
fn the_examples_of_the_rfc_5_7() {
    let mut client = End::client();
    let mut server = End::server();
    let hello = [Seen::text("Hello")];
    assert_eq!(client.feed(&common::hex("8105 48656c6c6f")), hello);
    assert_eq!(server.feed(&common::hex("8185 37fa213d 7f9f4d5158")), hello);
    assert_eq!(client.feed(&common::hex("0103 48656c 8002 6c6f")), hello);
    assert_eq!(client.feed(&common::hex("8905 48656c6c6f")), [Seen::Ping(b"Hello".into())]);
    let pong = Frame { first: 0x8a, masked: true, payload: b"Hello".into() };
    assert_eq!(client.frames(), [pong]);
    assert_eq!(server.feed(&common::hex("8a85 37fa213d 7f9f4d5158")), [Seen::Pong(b"Hello".into())]);
    for len in [256, 65_536] {
        let bytes = vec![7; len];
        assert_eq!(client.feed(&plain(0x82, &bytes)), [Seen::binary(&bytes)]);
    }
}

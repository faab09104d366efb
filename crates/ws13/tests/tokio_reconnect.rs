//! A client that stays connected: waves of a thousand, servers that come back, messages kept meanwhile.
#![cfg(feature = "tokio")]

#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Scripted, accept, dead, field, say};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout};
use ws13::reconnect::{Backoff, Delivery, Event, Offline, Reconnecting, SendError, WhenFull, Why};
use ws13::{Client, CloseCode, Error, LocalAddr, Message, Server};

/// Fails the test when it takes too long, instead of hanging for ever.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("it ends in time")
}

/// Waits of some milliseconds, so that tests are quick.
fn quick() -> Backoff {
    Backoff { first: Duration::from_millis(20), cap: Duration::from_millis(100), ..Backoff::default() }
}

fn staying(url: &str) -> Reconnecting {
    Reconnecting::new(Client::new(url).unwrap()).backoff(quick())
}

/// RFC 6455 section 7.2.3: "a random delay", then "truncated binary exponential backoff".
#[tokio::test(start_paused = true)]
async fn a_thousand_clients_do_not_come_back_in_one_wave_7_2_3() {
    const CLIENTS: usize = 1000;
    let start = Instant::now();
    let attempts: Arc<Mutex<Vec<Vec<Duration>>>> = Arc::new(Mutex::new(vec![Vec::new(); CLIENTS]));
    for index in 0..CLIENTS {
        let attempts = Arc::clone(&attempts);
        // The name is looked for once an attempt, and nobody has it: no socket, so that simulated time flies.
        let client = Client::new("ws://example.test/").unwrap().resolver(move |_, _| {
            attempts.lock().unwrap()[index].push(start.elapsed());
            async { Err(io::ErrorKind::HostUnreachable.into()) }
        });
        let mut client = Reconnecting::new(client);
        tokio::spawn(async move { while client.next().await.is_some() {} });
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let attempts = attempts.lock().unwrap();

    // All lost the server at once. The second attempts spread over the first 5 s: 20 are expected in 100 ms.
    let second: Vec<Duration> = attempts.iter().map(|times| times[1]).collect();
    let waves = second.iter().fold([0; 50], |mut waves: [u32; 50], at| {
        waves[usize::try_from(at.as_millis() / 100).unwrap().min(49)] += 1;
        waves
    });
    assert!(second.iter().all(|at| *at <= Duration::from_millis(5001)), "{:?}", second.iter().max());
    assert!(waves.iter().all(|wave| (1..=50).contains(wave)), "{waves:?}");

    // Each wait is anything up to its window, half of it on average; windows double up to a minute.
    for (nth, window) in [5, 10, 20, 40, 60, 60, 60].into_iter().enumerate() {
        let waits: Vec<f64> =
            attempts.iter().map(|times| (times[nth + 1] - times[nth]).as_secs_f64()).collect();
        let (longest, sum) =
            waits.iter().fold((0.0f64, 0.0), |(most, sum), wait| (most.max(*wait), sum + wait));
        let mean = sum / CLIENTS as f64;
        let window = f64::from(window);
        assert!(longest <= window + 0.01 && longest > window * 0.95, "wait {nth}: {longest} of {window}");
        assert!((mean / window - 0.5).abs() < 0.05, "wait {nth}: {mean} of {window} on average");
        assert!(
            waits.iter().filter(|wait| **wait < window / 10.0).count() > 50,
            "full jitter begins at zero"
        );
    }
    // In the long run no second of the ten minutes has more than some 1,000 / 30 and a half of chance.
    let mut later: Vec<u64> =
        attempts.iter().flatten().map(Duration::as_secs).filter(|at| *at > 200).collect();
    later.sort_unstable();
    let most = later.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
    assert!(most < 75, "{most} in one second");
}

/// An echo server on this address that tells what it got, ended by its handle.
async fn echo(address: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<io::Result<()>>) {
    let server = loop {
        // The port of a server that has just ended may be in use for a moment.
        match Server::bind(address).await {
            Ok(server) => break server,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let LocalAddr::Tcp(address) = server.local_addr().unwrap().clone() else { panic!() };
    let serving = tokio::spawn(server.serve(|_, mut socket| async move {
        while let Some(message) = socket.receive().await? {
            if message.as_text() == Some("close me") {
                socket.close(CloseCode::GOING_AWAY, "restart").await?;
                return Ok(());
            }
            socket.send(message).await?;
        }
        Ok::<(), Error>(())
    }));
    (address, serving)
}

/// The next event that matches, past others that are named.
macro_rules! next {
    ($client:expr, $wanted:pat => $value:expr) => {
        match soon($client.next()).await {
            Some($wanted) => $value,
            other => panic!("{other:?}"),
        }
    };
}

#[tokio::test]
async fn it_comes_back_subscribes_again_and_sends_what_was_kept() {
    let (address, serving) = echo(([127, 0, 0, 1], 0).into()).await;
    let mut client = staying(&format!("ws://{address}/")).on_connected(|mut socket| async move {
        socket.send("subscribe").await?;
        Ok::<_, Error>(socket)
    });
    let outlet = client.outlet();
    assert!(!outlet.is_connected());
    assert_eq!(outlet.send("early").await.unwrap(), Delivery::Kept);

    next!(client, Event::Connecting { attempt: 1 } => ());
    let status = next!(client, Event::Connected { response } => response.status.as_u16());
    assert_eq!(status, 101);
    for expected in ["subscribe", "early"] {
        assert_eq!(next!(client, Event::Message(message) => message), Message::from(expected));
    }
    assert!(outlet.is_connected());
    assert_eq!(client.send("now").await.unwrap(), Delivery::Sent);
    assert_eq!(next!(client, Event::Message(message) => message), Message::from("now"));

    // A close by the server, whatever its code, is followed by a new connection.
    outlet.send("close me").await.unwrap();
    let why = next!(client, Event::Disconnected { why, .. } => why);
    assert!(matches!(&why, Why::Closed(closed) if closed.reason() == "restart"), "{why}");
    assert!(!outlet.is_connected());
    for number in 0..100 {
        assert_eq!(outlet.send(format!("kept {number}")).await.unwrap(), Delivery::Kept);
    }
    // The server is away for two attempts at least.
    serving.abort();
    let _ = serving.await;
    let mut failed = 0;
    while failed < 2 {
        match soon(client.next()).await.unwrap() {
            Event::Disconnected { why: Why::Connect(_), .. } => failed += 1,
            Event::Connecting { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let (_, _serving) = echo(address).await;
    let connected = async { while !matches!(client.next().await.unwrap(), Event::Connected { .. }) {} };
    soon(connected).await;
    assert_eq!(next!(client, Event::Message(message) => message), Message::from("subscribe"));
    for number in 0..100 {
        let expected = Message::from(format!("kept {number}"));
        assert_eq!(next!(client, Event::Message(message) => message), expected, "in order, once");
    }
    assert_eq!((outlet.kept(), outlet.dropped()), (0, 0));

    client.start_close(CloseCode::NORMAL, "bye").unwrap();
    assert!(soon(client.next()).await.is_none());
    assert!(matches!(outlet.send("late").await, Err(SendError::Over)));
}

#[tokio::test]
async fn more_than_the_queue_holds_is_kept_and_sent_while_it_receives() {
    let mut client = staying(&format!("ws://{}/", dead()));
    drop(client);
    let (address, _serving) = echo(([127, 0, 0, 1], 0).into()).await;
    client = staying(&format!("ws://{address}/")).offline(Offline::Keep {
        messages: 10_000,
        bytes: 64 << 20,
        full: WhenFull::Refuse,
    });
    // An echo that sends back as much as it gets blocks who does not receive while it sends.
    let large = "x".repeat(100_000);
    for _ in 0..200 {
        client.send(large.as_str()).await.unwrap();
    }
    next!(client, Event::Connecting { .. } => ());
    next!(client, Event::Connected { .. } => ());
    for _ in 0..200 {
        assert_eq!(next!(client, Event::Message(message) => message.len()), large.len());
    }
    assert!(client.outlet().is_connected());
}

#[tokio::test]
async fn final_answers_end_it_and_the_judge_may_differ() {
    for status in ["401 x", "403 x", "404 x", "200 OK", "302 x\r\nLocation: /"] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let server = Scripted::start(move |_, stream| say(stream, &text));
        let mut client = staying(&server.url("/"));
        next!(client, Event::Connecting { attempt: 1 } => ());
        let why = next!(client, Event::GaveUp(why) => why);
        assert!(matches!(&why, Why::Connect(error) if error.response().is_some()), "{why}");
        assert!(soon(client.next()).await.is_none() && soon(client.next()).await.is_none());
        assert!(matches!(client.send("x").await, Err(SendError::Over)));
    }
    let server = Scripted::saying("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
    let mut client = staying(&server.url("/")).retry_if(|_, attempts| attempts < 3);
    let mut events = Vec::new();
    while let Some(event) = soon(client.next()).await {
        events.push(match event {
            Event::Connecting { attempt } => format!("{attempt}"),
            Event::Disconnected { .. } => "-".to_owned(),
            Event::GaveUp(_) => "over".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(events.join(" "), "1 - 2 - 3 over");
}

#[tokio::test]
async fn retry_after_of_503_and_429_is_waited_for() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    for (status, value, least) in [(503, "300", 300), (429, "200", 200), (503, date.as_str(), 590)] {
        let text = format!("HTTP/1.1 {status} x\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let server = Scripted::start(move |_, stream| say(stream, &text));
        let mut client = staying(&server.url("/"));
        next!(client, Event::Connecting { .. } => ());
        let retry_in = next!(client, Event::Disconnected { retry_in, .. } => retry_in);
        assert!((least..least + 12).contains(&retry_in.as_secs()), "{value}: {retry_in:?}");
    }
}

#[tokio::test]
async fn each_attempt_has_a_fresh_request() {
    let server = Scripted::saying("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
    let (url, tokens) = (server.url("/"), AtomicU32::new(0));
    let mut client = staying(&url).renew(move || {
        let (url, token) = (url.clone(), tokens.fetch_add(1, Ordering::Relaxed));
        async move {
            if token == 1 {
                return Err("no token now".into());
            }
            Client::new(&url)
                .map(|client| client.bearer(&token.to_string()))
                .map_err(ws13::reconnect::HookError::from)
        }
    });
    for _ in 0..3 {
        next!(client, Event::Connecting { .. } => ());
        let why = next!(client, Event::Disconnected { why, .. } => why);
        assert!(!matches!(why, Why::Renew(_)) || why.to_string().contains("no token now"), "{why}");
    }
    let heads = server.heads();
    let sent: Vec<_> = heads.iter().map(|head| field(head, "authorization").unwrap()).collect();
    assert_eq!(sent, ["Bearer 0", "Bearer 2"]);
}

#[tokio::test]
async fn a_failed_subscription_is_a_failed_attempt_and_only_stable_connections_count() {
    let server = Scripted::start(|head, stream| {
        say(stream, &accept(head));
        std::thread::sleep(Duration::from_millis(50));
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let mut client = staying(&server.url("/")).on_connected(|_| async { Err("not subscribed") });
    next!(client, Event::Connecting { attempt: 1 } => ());
    assert!(matches!(next!(client, Event::Disconnected { why, .. } => why), Why::OnConnected(_)));
    next!(client, Event::Connecting { attempt: 2 } => ());

    // Connections of 50 ms are not stable by default, and are where 10 ms are enough.
    for (stable, attempt) in [(Duration::from_secs(30), 2), (Duration::from_millis(10), 1)] {
        let mut client = staying(&server.url("/")).backoff(Backoff { stable, ..quick() });
        next!(client, Event::Connecting { attempt: 1 } => ());
        next!(client, Event::Connected { .. } => ());
        assert!(matches!(next!(client, Event::Disconnected { why, .. } => why), Why::Lost(_)));
        assert_eq!(next!(client, Event::Connecting { attempt } => attempt), attempt);
    }
}

#[tokio::test]
async fn next_can_be_dropped_at_every_await() {
    let (address, _serving) = echo(([127, 0, 0, 1], 0).into()).await;
    let mut client = staying(&format!("ws://{address}/"));
    let outlet = client.outlet();
    outlet.send("0").await.unwrap();
    let (mut received, mut connected, mut dropped) = (0, 0, 0);
    let start = Instant::now();
    while received < 50 {
        assert!(start.elapsed() < Duration::from_secs(20));
        // Polled once, and dropped.
        let event = {
            let mut next = std::pin::pin!(client.next());
            std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await
        };
        match event {
            std::task::Poll::Ready(Some(Event::Message(message))) => {
                assert_eq!(message, Message::from(received.to_string()));
                received += 1;
                outlet.send(received.to_string()).await.unwrap();
            }
            std::task::Poll::Ready(Some(Event::Connected { .. })) => connected += 1,
            std::task::Poll::Ready(_) => {}
            std::task::Poll::Pending => {
                dropped += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(connected == 1 && dropped > 0);
}

/// Polled once, and dropped: the whole message was handed on, or nothing of it.
#[tokio::test]
async fn a_send_can_be_dropped() {
    let (address, _serving) = echo(([127, 0, 0, 1], 0).into()).await;
    let mut client = staying(&format!("ws://{address}/"));
    let outlet = client.outlet();
    next!(client, Event::Connecting { .. } => ());
    next!(client, Event::Connected { .. } => ());
    for number in 0..50 {
        let mut sending = std::pin::pin!(outlet.send(number.to_string()));
        std::future::poll_fn(|cx| std::task::Poll::Ready(sending.as_mut().poll(cx).is_ready())).await;
    }
    outlet.send("the last").await.unwrap();
    let mut numbers = Vec::new();
    loop {
        let message = next!(client, Event::Message(message) => message);
        match message.as_text().unwrap() {
            "the last" => break,
            number => numbers.push(number.parse::<u32>().unwrap()),
        }
    }
    assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[tokio::test]
async fn while_it_waits_policies_hold_and_close_ends_it() {
    let mut client = staying(&format!("ws://{}/", dead())).offline(Offline::Drop);
    assert_eq!(client.send("x").await.unwrap(), Delivery::Dropped);
    assert_eq!(client.outlet().dropped(), 1);
    next!(client, Event::Connecting { .. } => ());
    next!(client, Event::Disconnected { .. } => ());
    client.start_close(CloseCode::NORMAL, "").unwrap();
    assert!(soon(client.next()).await.is_none());
    let client = staying("ws://127.0.0.1:1/").offline(Offline::Refuse);
    let outlet = client.outlet();
    assert!(matches!(outlet.send("x").await, Err(SendError::Offline)));
    drop(client);
    assert!(matches!(outlet.send("x").await, Err(SendError::Over)), "nobody will send it");
}

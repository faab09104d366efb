//! Two sockets of the tokio driver on a simulated network: what their users do, and what must come of it.

mod book;
mod stream;
mod users;

use crate::sim::dice::Dice;
use crate::sim::network::{MILLISECOND, Nanos, Pipe, SECOND};
use crate::sim::{Weather, config};
use book::Book;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stream::{Line, SimStream, streams};
use users::{User, use_socket};
use ws13::{Acceptor, Client, Error, Opening, WebSocket};

/// What runs came to, for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub delivered: usize,
    pub clean_ends: usize,
    pub lost_ends: usize,
    pub failed_handshakes: usize,
    pub cancelled: usize,
}

impl Summary {
    pub fn add(&mut self, other: &Summary) {
        self.delivered += other.delivered;
        self.clean_ends += other.clean_ends;
        self.lost_ends += other.lost_ends;
        self.failed_handshakes += other.failed_handshakes;
        self.cancelled += other.cancelled;
    }
}

/// How it ended for one side.
pub struct End {
    result: Result<(), Error>,
    code: u16,
    cancelled: usize,
}

/// Simulated time in which every run is over.
const LONGEST: Duration = Duration::from_secs(250_000);

/// The code of the Close of each side.
const CODES: [u16; 2] = [3001, 3002];

/// Runs a simulation to its end.
///
/// # Panics
/// When something that must hold does not.
pub async fn run(dice: &mut Dice) -> Summary {
    let weather = dice.pick(&[Weather::Calm, Weather::Rough]);
    let capacity = dice.pick(&[1, 64, 1 << 10, 1 << 16, 1 << 20]);
    let delay = dice.pick(&[0, if capacity < 1_000 { MILLISECOND } else { 100 * MILLISECOND }]);
    let pipes = [Pipe::new(capacity, delay), Pipe::new(capacity, delay)];
    let (line, near, far) = streams(pipes, dice);
    let closers = dice.pick(&[[true, false], [false, true], [true, true]]);
    let longest = if capacity < 1_000 { 300 } else { 70_000 };
    let books = Arc::new([Mutex::new(Book::default()), Mutex::new(Book::default())]);
    let (client, server) = (config(weather, dice), config(weather, dice));
    let mut user = |side: usize| User {
        side,
        books: Arc::clone(&books),
        dice: Dice::seeded(dice.number()),
        longest,
        closes: closers[side].then_some(CODES[side]),
        cancelled: 0,
    };
    let (client_user, server_user) = (user(0), user(1));
    let mut client =
        tokio::task::spawn_local(async move { use_if(connect(near, client).await, client_user).await });
    let mut server =
        tokio::task::spawn_local(async move { use_if(accept(far, server).await, server_user).await });
    let accidents =
        tokio::task::spawn_local(accidents(Arc::clone(&line), weather, Dice::seeded(dice.number())));
    let both = async { ((&mut client).await, (&mut server).await) };
    let Ok((client, server)) = tokio::time::timeout(LONGEST, both).await else {
        let waiting = [("client", client.is_finished()), ("server", server.is_finished())];
        panic!(
            "it has no end: {weather:?}, finished: {waiting:?}, closers {closers:?}; {}",
            Line::describe(&line)
        );
    };
    accidents.abort();
    let ends = [client, server]
        .map(|end| end.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())));
    judge(ends, weather, closers, &books)
}

async fn connect(stream: SimStream, config: ws13::Config) -> Option<WebSocket<SimStream>> {
    let client = Client::new("ws://simulated/").unwrap().config(config);
    Some(client.connect_on(stream).await.ok()?.0)
}

async fn accept(stream: SimStream, config: ws13::Config) -> Option<WebSocket<SimStream>> {
    match Acceptor::new().config(config).read(stream).await.ok()? {
        Opening::Upgrade(asked) => asked.accept().await.ok(),
        Opening::Plain(_) => panic!("a WebSocket is asked for"),
    }
}

async fn use_if(socket: Option<WebSocket<SimStream>>, user: User) -> Option<End> {
    Some(use_socket(socket?, user).await)
}

/// What happens to the network.
async fn accidents(line: Arc<Mutex<Line>>, weather: Weather, mut dice: Dice) {
    for _ in 0..dice.below(6) {
        tokio::time::sleep(Duration::from_millis(dice.below(400) as u64)).await;
        let (i, stall) = (dice.below(2), dice.below(2_000) as Nanos * MILLISECOND);
        Line::change(&line, |pipes, now| pipes[i].stall(now + stall));
    }
    if weather == Weather::Calm || dice.one_in(4) {
        return;
    }
    let (i, kind) = (dice.below(2), dice.below(5));
    Line::change(&line, |pipes, now| match kind {
        0 => pipes.iter_mut().for_each(Pipe::reset),
        1 => pipes[i].reset(),
        2 => pipes[i].truncate(&mut dice),
        3 => pipes[i].swallow(),
        _ => pipes[i].stall(now + 100 * SECOND),
    });
}

fn judge(ends: [Option<End>; 2], weather: Weather, closers: [bool; 2], books: &[Mutex<Book>; 2]) -> Summary {
    let mut summary = Summary::default();
    for end in ends {
        let Some(End { result, code, cancelled }) = end else {
            assert_eq!(weather, Weather::Rough, "a handshake fails on a broken network only");
            summary.failed_handshakes += 1;
            continue;
        };
        summary.cancelled += cancelled;
        match result {
            Ok(()) => {
                summary.clean_ends += 1;
                let told = (0..2).any(|side| closers[side] && CODES[side] == code);
                assert!(told, "{code} is the code of nobody who closes");
            }
            Err(Error::Lost(_) | Error::Io(_)) => {
                summary.lost_ends += 1;
                assert_eq!((code, weather), (1006, Weather::Rough), "nothing is lost without a reason");
            }
            Err(other) => panic!("neither side does what it must not: {other}"),
        }
    }
    for book in books {
        let book = book.lock().unwrap();
        summary.delivered += book.delivered;
        if weather == Weather::Calm {
            book.check_all_received();
        }
    }
    summary
}

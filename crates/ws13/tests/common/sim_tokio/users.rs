//! What the users of the two sockets do: send, receive and close in all the ways that there are, and drop their futures
//! half way.

use super::End;
use super::book::Book;
use super::stream::SimStream;
use crate::net::polled;
use crate::sim::dice::Dice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use ws13::{CloseCode, Error, Event, Kind, Message, Misuse, Receiver, Sender, WebSocket};

pub struct User {
    pub side: usize,
    pub books: Arc<[Mutex<Book>; 2]>,
    pub dice: Dice,
    pub longest: usize,
    /// The code with which this side closes, if it does.
    pub closes: Option<u16>,
    pub cancelled: usize,
}

/// A loop of actions ends by itself at the latest after as many.
const MOST_ACTIONS: usize = 60;

/// Polls a future so often at most, and drops it at the latest when nothing has come of it for a second.
async fn for_a_while<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_secs(1), polled(polls, future)).await.ok().flatten()
}

pub async fn use_socket(socket: WebSocket<SimStream>, mut user: User) -> End {
    if user.dice.one_in(2) { user.whole(socket).await } else { user.split(socket).await }
}

impl User {
    fn own(&self) -> MutexGuard<'_, Book> {
        self.books[self.side].lock().unwrap()
    }

    fn received(&self, message: &Message) {
        self.books[1 - self.side].lock().unwrap().receive(message, self.longest);
    }

    /// How often a future is polled before it is dropped.
    fn polls(&mut self) -> usize {
        self.dice.pick(&[0, 1, 2, 5, 50, usize::MAX])
    }

    async fn pause(&mut self) {
        if self.dice.one_in(4) {
            tokio::time::sleep(Duration::from_millis(self.dice.below(300) as u64)).await;
        }
    }

    /// Uses the socket as one.
    async fn whole(&mut self, mut socket: WebSocket<SimStream>) -> End {
        let sender = self.own().sender();
        for _ in 0..self.dice.below(MOST_ACTIONS) {
            self.pause().await;
            let ended = match self.dice.below(6) {
                0 | 1 => self.receive(&mut socket).await,
                2 => self.read(&mut socket).await,
                3 => self.receive_lent(&mut socket).await,
                _ => {
                    self.send(&mut socket, sender).await;
                    None
                }
            };
            if let Some(result) = ended {
                return self.end(socket, result).await;
            }
        }
        if let Some(code) = self.closes {
            socket.start_close(CloseCode::new(code).unwrap(), "").unwrap();
        }
        loop {
            if let Some(result) = self.receive(&mut socket).await {
                return self.end(socket, result).await;
            }
        }
    }

    /// Feeds a message, and flushes for a while.
    async fn send(&mut self, socket: &mut WebSocket<SimStream>, sender: usize) {
        let polls = self.polls();
        if self.dice.one_in(8) {
            let _ = for_a_while(polls, socket.ping(b"ping")).await;
            return;
        }
        if socket.queued() > 64 << 10 {
            self.flush(socket, polls).await;
            return;
        }
        let message = self.own().next(sender, self.longest);
        match socket.feed(&message) {
            Ok(()) => self.own().sent(sender),
            Err(Misuse::Closed | Misuse::QueueFull) => {}
            Err(other) => panic!("{other}"),
        }
        self.flush(socket, polls).await;
    }

    async fn flush(&mut self, socket: &mut WebSocket<SimStream>, polls: usize) {
        match for_a_while(polls, socket.flush()).await {
            None => self.cancelled += 1,
            Some(Ok(()) | Err(Error::Io(_) | Error::Lost(_))) => {}
            Some(Err(other)) => panic!("{other}"),
        }
    }

    /// Receives for a while; `Some` at the end.
    async fn receive(&mut self, socket: &mut WebSocket<SimStream>) -> Option<Result<(), Error>> {
        match for_a_while(self.polls(), socket.receive()).await {
            None => self.cancelled += 1,
            Some(Ok(Some(message))) => self.received(&message),
            Some(Ok(None)) => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(error)),
        }
        None
    }

    async fn receive_lent(&mut self, socket: &mut WebSocket<SimStream>) -> Option<Result<(), Error>> {
        match for_a_while(self.polls(), socket.receive_ref()).await {
            None => self.cancelled += 1,
            Some(Ok(Some(mut lent))) => {
                while let Some((event, _)) = lent.next_event() {
                    if let Event::Message(message) = event {
                        self.received(&message.into_message());
                    }
                }
            }
            Some(Ok(None)) => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(error)),
        }
        None
    }

    /// Reads a message in parts, to its end.
    async fn read(&mut self, socket: &mut WebSocket<SimStream>) -> Option<Result<(), Error>> {
        let mut reader = match for_a_while(self.polls(), socket.reader()).await {
            None => {
                self.cancelled += 1;
                return None;
            }
            Some(Ok(Some(reader))) => reader,
            Some(Ok(None)) => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(error)),
        };
        let (mut whole, mut piece) = (Vec::new(), [0; 700]);
        loop {
            match for_a_while(self.polls(), reader.read(&mut piece)).await {
                None => self.cancelled += 1,
                Some(Ok(0)) => break,
                Some(Ok(len)) => whole.extend_from_slice(&piece[..len]),
                Some(Err(_)) => return None,
            }
        }
        self.received(&match reader.kind() {
            Kind::Text => Message::from(String::from_utf8(whole).unwrap()),
            Kind::Binary => Message::from(whole),
        });
        None
    }

    /// The end stays what it was, however often one asks.
    async fn end(&mut self, mut socket: WebSocket<SimStream>, result: Result<(), Error>) -> End {
        for _ in 0..2 {
            let again = socket.receive().await;
            assert_eq!(again.as_ref().map(Option::is_none).ok(), result.as_ref().map(|()| true).ok());
        }
        let code = socket.closed().expect("it has ended").code();
        End { result, code, cancelled: self.cancelled }
    }

    /// Sends from some tasks, and receives in this one.
    async fn split(&mut self, socket: WebSocket<SimStream>) -> End {
        let (sender, mut receiver) = socket.split();
        let tasks: Vec<_> = (0..self.dice.within(1..=3)).map(|_| self.sending(&sender)).collect();
        let closing = self.closing(sender, tasks);
        let result = self.receive_all(&mut receiver).await;
        self.cancelled +=
            closing.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        for _ in 0..2 {
            let again = receiver.receive().await;
            assert_eq!(again.as_ref().map(Option::is_none).ok(), result.as_ref().map(|()| true).ok());
        }
        let code = receiver.closed().expect("it has ended").code();
        End { result, code, cancelled: self.cancelled }
    }

    async fn receive_all(&mut self, receiver: &mut Receiver<SimStream>) -> Result<(), Error> {
        loop {
            match for_a_while(self.polls(), receiver.receive()).await {
                None => self.cancelled += 1,
                Some(Ok(Some(message))) => self.received(&message),
                Some(Ok(None)) => return Ok(()),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// A task that sends; it gives how many of its futures were dropped.
    fn sending(&mut self, sender: &Sender<SimStream>) -> tokio::task::JoinHandle<usize> {
        let number = self.own().sender();
        let mut task = User {
            side: self.side,
            books: Arc::clone(&self.books),
            dice: Dice::seeded(self.dice.number()),
            longest: self.longest,
            closes: None,
            cancelled: 0,
        };
        let sender = sender.clone();
        tokio::task::spawn_local(async move {
            for _ in 0..task.dice.below(MOST_ACTIONS / 2) {
                task.pause().await;
                if !task.send_by(&sender, number).await {
                    break;
                }
            }
            task.cancelled
        })
    }

    /// Sends one message; whether it makes sense to go on.
    async fn send_by(&mut self, sender: &Sender<SimStream>, number: usize) -> bool {
        let polls = self.polls();
        let message = self.own().next(number, self.longest);
        let sent = if self.dice.one_in(3) {
            Some(sender.try_send(&message))
        } else {
            for_a_while(polls, sender.send(&message)).await
        };
        match sent {
            None => self.cancelled += 1,
            Some(Ok(())) => self.own().sent(number),
            Some(Err(Error::Misuse(Misuse::QueueFull))) => {}
            Some(Err(Error::Misuse(Misuse::Closed) | Error::Io(_) | Error::Lost(_))) => return false,
            Some(Err(other)) => panic!("{other}"),
        }
        true
    }

    /// Closes when all have sent, where this side does.
    fn closing(
        &mut self,
        sender: Sender<SimStream>,
        tasks: Vec<tokio::task::JoinHandle<usize>>,
    ) -> tokio::task::JoinHandle<usize> {
        let (code, polls) = (self.closes, self.polls());
        tokio::task::spawn_local(async move {
            let mut cancelled = 0;
            for task in tasks {
                cancelled +=
                    task.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
            }
            if let Some(code) = code {
                let code = CloseCode::new(code).unwrap();
                // Dropped or not, the Close frame stays queued; unless it was never polled.
                if for_a_while(polls, sender.close(code, "")).await.is_none() {
                    cancelled += 1;
                    sender.start_close(code, "").unwrap();
                }
            }
            cancelled
        })
    }
}

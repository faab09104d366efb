//! `ws13 connect`: lines from standard input go out, messages come to standard output.

use crate::dialling::Dialling;
use crate::exit::Failure;
use crate::staying::Stay;
use crate::tls::{Shown, Trust};
use crate::{lines, values};
use clap::Args;
use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use ws13::{Client, CloseCode, Config, Deflate, Message, Receiver, Sender, Stream};

/// What `ws13 connect` is asked.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 fine, 1 this machine, 2 usage, 3 cannot connect, 4 handshake refused, \
    5 protocol error, 6 closed abnormally, 7 timeout.\n\nExample: printf 'a\\nb\\n' | ws13 connect --count 2 \
    ws://127.0.0.1:12345/"
)]
pub(crate) struct Connect {
    /// Where to, such as ws://127.0.0.1:12345/chat
    url: String,
    /// Send lines as binary messages instead of text
    #[arg(long)]
    binary: bool,
    /// Offer a subprotocol; may be given several times, the preferred one first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Add a header to the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// End after this many messages have come
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Give up when all of it takes longer than this, such as 5s
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    timeout: Option<Duration>,
    /// Offer to compress messages (permessage-deflate)
    #[arg(long)]
    compress: bool,
    /// Say on standard error what was agreed on, and at the end what crossed the wire
    #[arg(short, long)]
    verbose: bool,
    /// The largest message that is taken, such as 16MiB
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = values::size)]
    max_message: usize,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    dialling: Dialling,
    /// Connect again when the connection is lost, and send what was typed meanwhile then
    #[arg(long)]
    reconnect: bool,
}

/// How long nothing must come, after the end of the input, to count as the end of the answers.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// How long the closing handshake may take when the user is done with it.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

impl Connect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.connect());
        // The thread that reads standard input may still wait for a line.
        runtime.shutdown_background();
        ended
    }

    async fn connect(self) -> Result<(), Failure> {
        // A time that no clock can count to is none.
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if self.reconnect {
            let stay = Stay { binary: self.binary, count: self.count, deadline };
            return stay.run(self.client()?).await;
        }
        let mut socket = self.client()?.connect().await?;
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        if interactive {
            let subprotocol = socket.subprotocol().map(|name| format!(" ({name})")).unwrap_or_default();
            eprintln!("connected to {}{subprotocol}; type lines, end with Ctrl-D", self.url);
        }
        if interactive || self.verbose {
            if let Some(agreed) = socket.extensions() {
                eprintln!("agreed on {agreed}");
            }
        }
        let (sender, receiver) = socket.split();
        let mut talk = Talk {
            sender,
            receiver,
            binary: self.binary,
            asked: self.count,
            came: Rc::default(),
            bytes: Rc::default(),
            interactive,
        };
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let ended = tokio::select! {
            ended = talk.run() => ended,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                talk.say_goodbye().await;
                Err(Failure::Timeout(format!("the timeout is over; {}", talk.so_far())))
            }
            _ = &mut interrupt => {
                talk.say_goodbye().await;
                Ok(())
            }
        };
        if interactive || self.verbose {
            talk.tell_compression();
        }
        ended
    }

    fn client(&self) -> Result<Client, Failure> {
        let mut config = Config::default();
        config.limits.max_message = self.max_message;
        config.deflate = self.compress.then(Deflate::default);
        let mut client = Client::new(&self.url)?.config(config);
        for name in &self.subprotocol {
            client = client.subprotocol(name);
        }
        for (name, value) in &self.headers {
            client = client.header(name, value);
        }
        if let Some(timeout) = self.timeout {
            client = client.timeout(timeout.min(Duration::from_secs(10)));
        }
        let redirects = self.dialling.follows_redirects();
        self.dialling.apply(self.trust.apply(client, &self.url, redirects, Some(&self.shown))?)
    }
}

/// A conversation under way.
struct Talk {
    sender: Sender<Stream>,
    receiver: Receiver<Stream>,
    binary: bool,
    /// How many messages are waited for, where they are counted.
    asked: Option<u64>,
    came: Rc<Cell<u64>>,
    /// Bytes of messages, both ways.
    bytes: Rc<Cell<u64>>,
    interactive: bool,
}

impl Talk {
    /// Sends and receives at once, so that neither waits for the other.
    async fn run(&mut self) -> Result<(), Failure> {
        let sender = self.sender.clone();
        // Without a count, the end of the input is the end, once the answers have come.
        let answers = self.asked.is_none().then(|| Rc::clone(&self.came));
        let mut sending = pin!(send_lines(sender, self.binary, answers, Rc::clone(&self.bytes)));
        let mut sent = false;
        let mut receiving = pin!(self.receive());
        loop {
            tokio::select! {
                ended = &mut receiving => return ended,
                result = &mut sending, if !sent => {
                    sent = true;
                    // When the connection is gone, the receiving side says why.
                    if let Err(failure @ Failure::Local(_)) = result {
                        return Err(failure);
                    }
                }
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        while self.asked != Some(self.came.get()) {
            match self.receiver.receive().await? {
                Some(message) => {
                    self.came.set(self.came.get() + 1);
                    self.bytes.set(self.bytes.get() + message.len() as u64);
                    print(&message)?;
                }
                None => return self.ended_by_peer(),
            }
        }
        self.say_goodbye().await;
        Ok(())
    }

    fn ended_by_peer(&mut self) -> Result<(), Failure> {
        let closed = self.receiver.closed();
        if let Some(failure) = Failure::of_end(closed.as_ref()) {
            return Err(failure);
        }
        if self.asked.is_some() {
            return Err(Failure::Closed(format!("the peer closed the connection early; {}", self.so_far())));
        }
        if let (true, Some(closed)) = (self.interactive, closed) {
            eprintln!("closed: {closed}");
        }
        Ok(())
    }

    /// Closes, and waits a moment for the answer; whether it comes no longer matters.
    async fn say_goodbye(&mut self) {
        let goodbye = async {
            let _ = self.sender.close(CloseCode::NORMAL, "").await;
            while let Ok(Some(_)) = self.receiver.receive().await {}
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }

    /// What messages became on the wire, where something was agreed on that changes that.
    fn tell_compression(&mut self) {
        let (messages, wire) = (self.bytes.get(), self.receiver.bytes_read() + self.receiver.bytes_written());
        if self.receiver.extensions().is_some() && messages > 0 {
            let percent = 100 * wire / messages;
            eprintln!("{wire} bytes on the wire for {messages} bytes of messages: {percent} %");
        }
    }

    fn so_far(&self) -> String {
        match self.asked {
            Some(asked) => format!("{} of {asked} messages had come", self.came.get()),
            None => format!("{} messages had come", self.came.get()),
        }
    }
}

/// Sends the lines of standard input. At its end, where `answers` counts what comes, waits until nothing more does, and
/// then begins to close: some servers answer a Close before what came first.
async fn send_lines(
    sender: Sender<Stream>,
    binary: bool,
    answers: Option<Rc<Cell<u64>>>,
    bytes: Rc<Cell<u64>>,
) -> Result<(), Failure> {
    let mut input = lines::input();
    while let Some(line) = input.recv().await {
        match lines::message(line?, binary) {
            Ok(message) => {
                bytes.set(bytes.get() + message.len() as u64);
                sender.send(message).await?;
            }
            Err(complaint) => eprintln!("ws13: {complaint}"),
        }
    }
    if let Some(answers) = answers {
        loop {
            let before = answers.get();
            sleep(QUIET).await;
            if answers.get() == before {
                break;
            }
        }
        sender.close(CloseCode::NORMAL, "").await?;
    }
    Ok(())
}

/// A reader that went away, such as `head`, ends the command without a complaint.
pub(crate) fn print(message: &Message) -> Result<(), Failure> {
    match lines::print(message) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        printed => Ok(printed?),
    }
}

/// `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err("a header is written 'Name: value'".to_owned()),
    }
}

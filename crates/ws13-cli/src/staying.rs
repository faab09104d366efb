//! `ws13 connect --reconnect`: lines go out and messages come in over as many connections as it takes.

use crate::connect::{GOODBYE, QUIET, print};
use crate::exit::Failure;
use crate::lines;
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use ws13::CloseCode;
use ws13::reconnect::{Backoff, Event, Outlet, Reconnecting, SendError, Why};

/// A person waits at a terminal, not a thousand machines.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Lines that wait for the next connection; more are not read meanwhile.
const KEPT: usize = 256;

/// How often it is looked whether there is room for more lines.
const ROOM: Duration = Duration::from_millis(50);

/// What is sent, and how it ends.
pub(crate) struct Stay {
    pub(crate) binary: bool,
    /// End after so many messages.
    pub(crate) count: Option<u64>,
    pub(crate) deadline: Option<Instant>,
}

impl Stay {
    pub(crate) async fn run(self, client: ws13::Client) -> Result<(), Failure> {
        let mut client =
            Reconnecting::new(client).backoff(Backoff { first: FIRST_WAIT, ..Backoff::default() });
        let came = Cell::new(0);
        let deadline = self.deadline;
        let ended = {
            let mut sending = pin!(send_lines(client.outlet(), self.binary, self.count.is_none(), &came));
            let mut sent = false;
            let mut interrupt = pin!(tokio::signal::ctrl_c());
            loop {
                if self.count == Some(came.get()) {
                    break Ok(());
                }
                tokio::select! {
                    event = client.next() => match event {
                        Some(event) => heard(event, &came)?,
                        None => break Ok(()),
                    },
                    result = &mut sending, if !sent => {
                        sent = true;
                        // Without a count, the end of the input is the end, once the answers have come.
                        if result? && self.count.is_none() {
                            break Ok(());
                        }
                    }
                    () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                        break Err(Failure::Timeout(format!("the timeout is over; {} messages had come", came.get())));
                    }
                    _ = &mut interrupt => break Ok(()),
                }
            }
        };
        // Whether the answer to the Close comes no longer matters.
        let _ = client.start_close(CloseCode::NORMAL, "");
        let _ = timeout(GOODBYE, async { while client.next().await.is_some() {} }).await;
        ended
    }
}

fn heard(event: Event, came: &Cell<u64>) -> Result<(), Failure> {
    match event {
        Event::Message(message) => {
            came.set(came.get() + 1);
            print(&message)?;
        }
        Event::Connected { .. } => eprintln!("connected"),
        Event::Disconnected { why, retry_in } => {
            eprintln!("ws13: {why}; trying again in {:.1} s", retry_in.as_secs_f64());
        }
        Event::GaveUp(Why::Connect(error)) => return Err(error.into()),
        Event::GaveUp(why) => return Err(Failure::Closed(why.to_string())),
        _ => {}
    }
    Ok(())
}

/// Sends the lines of standard input; at its end, where `wait`, waits until all are sent and no more answers come.
/// False when there is nobody to send to any more.
async fn send_lines(outlet: Outlet, binary: bool, wait: bool, came: &Cell<u64>) -> Result<bool, Failure> {
    let mut input = lines::input();
    while let Some(line) = input.recv().await {
        while !outlet.is_connected() && outlet.kept() >= KEPT {
            sleep(ROOM).await;
        }
        let message = match lines::message(line?, binary) {
            Ok(message) => message,
            Err(complaint) => {
                eprintln!("ws13: {complaint}");
                continue;
            }
        };
        match outlet.send(message).await {
            Ok(_) => {}
            Err(SendError::Over) => return Ok(false),
            Err(error) => eprintln!("ws13: {error}"),
        }
    }
    loop {
        let before = came.get();
        sleep(QUIET).await;
        if !wait || (outlet.kept() == 0 && outlet.is_connected() && came.get() == before) {
            return Ok(true);
        }
    }
}

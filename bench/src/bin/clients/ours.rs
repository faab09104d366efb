//! ws13's clients: with messages lent or owned, and on a thread without a runtime.

use crate::client::{Check, Client, Result};
use tokio::net::TcpStream;
use ws13::{Config, Event, Limits, Role, WebSocket, blocking};

fn config() -> Config {
    Config { limits: Limits { max_message: crate::LARGEST, ..Limits::default() }, ..Config::default() }
}

/// On tokio, with messages owned or lent.
pub struct OnTokio<const OWNED: bool>(WebSocket<TcpStream>);

pub type Lent = OnTokio<false>;
pub type Owned = OnTokio<true>;

impl<const OWNED: bool> OnTokio<OWNED> {
    pub fn new(stream: TcpStream) -> Self {
        Self(WebSocket::from_upgraded(stream, Role::Client, config()))
    }
}

impl<const OWNED: bool> Client for OnTokio<OWNED> {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(message)?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        if OWNED {
            let message = self.0.receive().await?.ok_or("the server left")?;
            check.message(message.as_bytes())?;
            return Ok(1);
        }
        let mut lent = self.0.receive_ref().await?.ok_or("the server left")?;
        let mut messages = 0;
        while let Some((event, _)) = lent.next_event() {
            if let Event::Message(message) = event {
                check.message(message.as_bytes())?;
                messages += 1;
            }
        }
        Ok(messages)
    }
}

pub struct Blocking(blocking::WebSocket<std::net::TcpStream>);

impl Blocking {
    pub fn new(stream: std::net::TcpStream) -> Self {
        Self(blocking::WebSocket::from_upgraded(stream, Role::Client, config()))
    }
}

impl Client for Blocking {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(message)?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        let mut lent = self.0.receive_ref()?.ok_or("the server left")?;
        let mut messages = 0;
        while let Some((event, _)) = lent.next_event() {
            if let Event::Message(message) = event {
                check.message(message.as_bytes())?;
                messages += 1;
            }
        }
        Ok(messages)
    }
}

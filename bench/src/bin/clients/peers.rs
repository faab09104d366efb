//! The peers' clients, each at its best: messages fed, then flushed.

use crate::client::{Check, Client, Result};
use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::{io::BufWriter, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role as Side, WebSocketConfig},
    },
};

pub struct Tungstenite(WebSocketStream<TcpStream>);

impl Tungstenite {
    pub async fn new(stream: TcpStream) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(crate::READ_BUFFER);
        Self(WebSocketStream::from_raw_socket(stream, Side::Client, Some(config)).await)
    }
}

impl Client for Tungstenite {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(Message::Binary(Bytes::from_static(message))).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        let message = self.0.next().await.ok_or("the server left")??;
        check.message(&message.into_data())?;
        Ok(1)
    }
}

/// It writes every frame by itself, so that a buffered writer below it gathers them; its
/// collector of fragments, which could not be flushed, is left out.
pub struct Fastwebsockets(WebSocket<BufWriter<TcpStream>>);

impl Fastwebsockets {
    pub fn new(stream: TcpStream) -> Self {
        let stream = BufWriter::with_capacity(2 * crate::BATCH, stream);
        let mut socket = WebSocket::after_handshake(stream, Role::Client);
        socket.set_max_message_size(crate::LARGEST);
        Self(socket)
    }
}

impl Client for Fastwebsockets {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.write_frame(Frame::binary(Payload::Borrowed(message))).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        let frame = self.0.read_frame().await?;
        match frame.opcode {
            OpCode::Binary => check.message(&frame.payload)?,
            _ => return Err("the server sends binary messages only".into()),
        }
        Ok(1)
    }
}

pub struct TokioWebsockets(tokio_websockets::WebSocketStream<TcpStream>);

impl TokioWebsockets {
    pub fn new(stream: TcpStream) -> Self {
        let config =
            tokio_websockets::Config::default().frame_size(usize::MAX).flush_threshold(2 * crate::BATCH);
        let builder = tokio_websockets::ClientBuilder::new().config(config);
        Self(builder.limits(tokio_websockets::Limits::unlimited()).take_over(stream))
    }
}

impl Client for TokioWebsockets {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(tokio_websockets::Message::binary(Bytes::from_static(message))).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        let message = self.0.next().await.ok_or("the server left")??;
        check.message(message.as_payload())?;
        Ok(1)
    }
}

pub struct Sockudo(sockudo_ws::WebSocketStream<TcpStream>);

impl Sockudo {
    pub fn new(stream: TcpStream) -> Self {
        sockudo_ws::init_clock();
        // No timers: the other clients have none either.
        let config = sockudo_ws::Config::builder().idle_timeout(0).auto_ping(false).ping_interval(0);
        let config = config.max_payload_length(crate::LARGEST).write_buffer_size(2 * crate::BATCH).build();
        Self(sockudo_ws::WebSocketStream::client(stream, config))
    }
}

impl Client for Sockudo {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(sockudo_ws::Message::Binary(Bytes::from_static(message))).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        match self.0.next().await.ok_or("the server left")?? {
            sockudo_ws::Message::Binary(payload) => check.message(&payload)?,
            _ => return Err("the server sends binary messages only".into()),
        }
        Ok(1)
    }
}

pub struct Yawc(yawc::WebSocket<TcpStream>);

impl Yawc {
    pub fn new(stream: TcpStream) -> Result<Self> {
        let options = yawc::Options::default()
            .with_utf8()
            .with_limits(crate::LARGEST, 2 * crate::LARGEST)
            .with_read_buffer_capacity(crate::READ_BUFFER)
            .with_write_buffer_capacity(2 * crate::BATCH)
            .with_backpressure_boundary(2 * crate::BATCH);
        Ok(Self(yawc::WebSocket::from_stream(stream, yawc::Role::Client, options)?))
    }
}

impl Client for Yawc {
    async fn feed(&mut self, message: &'static [u8]) -> Result<()> {
        Ok(self.0.feed(yawc::frame::Frame::binary(Bytes::from_static(message))).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn receive(&mut self, check: &Check) -> Result<usize> {
        let frame = self.0.next().await.ok_or("the server left")?;
        check.message(frame.payload())?;
        Ok(1)
    }
}

//! The calls of the others that docs/moving-from.md has in its left columns, so that it is known which of them exist: this
//! is compiled, and never run. What has no line here is a type or a name alone.
#![allow(dead_code, clippy::unwrap_used, reason = "it is never run")]

mod from_tokio_tungstenite {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{
        WebSocketStream, accept_async, accept_hdr_async, client_async, connect_async,
        connect_async_with_config,
    };

    async fn opening(url: &str, stream: fn() -> TcpStream, part: Vec<u8>) -> Result<(), Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(1))
            .max_frame_size(Some(1))
            .max_write_buffer_size(1)
            .accept_unmasked_frames(true)
            .read_buffer_size(1)
            .write_buffer_size(1);
        let (_, _) = connect_async(url).await?;
        let (_, _) = connect_async_with_config(url, Some(config), true).await?;
        let (_, _) = client_async(url, stream()).await?;
        let _ = accept_async(stream()).await?;
        let _ = accept_hdr_async(stream(), |_: &Request, response: Response| Ok(response)).await?;
        let _ = WebSocketStream::from_raw_socket(stream(), Role::Client, None).await;
        let _ = WebSocketStream::from_partially_read(stream(), part, Role::Client, None).await;
        Ok(())
    }

    async fn talking(mut stream: WebSocketStream<TcpStream>) -> Result<(), Error> {
        if let Some(message) = stream.next().await {
            let message = message?;
            let _ = message.to_text()?;
            let _ = message.clone().into_text()?;
            let _ = message.into_data();
        }
        stream.send(Message::text("hi")).await?;
        stream.feed(Message::Ping(Vec::new().into())).await?;
        stream.flush().await?;
        stream.send(Message::Close(None)).await?;
        stream.close(None).await?;
        let (_, _) = stream.split();
        Ok(())
    }

    fn errors(error: Error) {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => {}
            Error::Http(response) => drop(response),
            _ => {}
        }
    }
}

mod from_tungstenite {
    use std::net::TcpStream;
    use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, client_with_config};
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketContext};
    use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept, accept_hdr, client, connect};

    fn opening(url: &str, stream: fn() -> TcpStream) -> Option<()> {
        let (_, _) = connect(url).ok()?;
        let (_, _) = client(url, stream()).ok()?;
        let request =
            ClientRequestBuilder::new(url.parse().ok()?).with_header("a", "b").with_sub_protocol("c");
        let (_, _) = client_with_config(request, stream(), None).ok()?;
        accept(stream()).ok()?;
        accept_hdr(stream(), |_: &Request, response: Response| Ok(response)).ok()?;
        Some(())
    }

    fn talking(mut socket: WebSocket<TcpStream>) -> Result<(), Error> {
        let message = socket.read()?;
        socket.send(message)?;
        socket.write(Message::text("hi"))?;
        socket.flush()?;
        let _ = socket.can_read() && socket.can_write();
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "bye".into() }))
    }

    fn without_a_stream() -> WebSocketContext {
        WebSocketContext::new(Role::Server, None)
    }
}

mod from_fastwebsockets {
    use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
    use fastwebsockets::{
        FragmentCollector, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, handshake,
    };
    use http_body_util::Empty;
    use hyper::body::{Bytes, Incoming};
    use hyper::rt::Executor;
    use hyper::{Request, Response};
    use std::pin::Pin;
    use tokio::net::TcpStream;

    struct Spawning;

    impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawning {
        fn execute(&self, future: F) {
            tokio::spawn(future);
        }
    }

    async fn opening(
        mut request: Request<Incoming>,
        ours: Request<Empty<Bytes>>,
        stream: fn() -> TcpStream,
    ) -> Result<(), WebSocketError> {
        let _ = is_upgrade_request(&request);
        let (_, opened): (Response<Empty<Bytes>>, UpgradeFut) = upgrade(&mut request)?;
        let _ = opened.await?;
        let (_, _) = handshake::client(&Spawning, ours, stream()).await?;
        let _ = WebSocket::after_handshake(stream(), Role::Server);
        Ok(())
    }

    async fn talking(stream: fn() -> TcpStream) -> Result<(), WebSocketError> {
        let mut ws = WebSocket::after_handshake(stream(), Role::Server);
        ws.set_auto_close(true);
        ws.set_auto_pong(true);
        ws.set_auto_apply_mask(true);
        ws.set_writev(true);
        ws.set_max_message_size(1);
        let frame = ws.read_frame().await?;
        ws.write_frame(Frame::text(frame.payload)).await?;
        ws.write_frame(Frame::new(false, OpCode::Text, None, Payload::Borrowed(b"a"))).await?;
        ws.write_frame(Frame::close(1000, b"bye")).await?;
        let (mut receiver, _) = ws.split(tokio::io::split);
        type Sent = Pin<Box<dyn Future<Output = Result<(), WebSocketError>>>>;
        let _ = receiver.read_frame(&mut |_: Frame<'_>| -> Sent { Box::pin(async { Ok(()) }) }).await?;
        let _ =
            FragmentCollector::new(WebSocket::after_handshake(stream(), Role::Server)).read_frame().await?;
        Ok(())
    }
}

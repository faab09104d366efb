//! TLS over a stream, on tokio: the handshake of either side, and the stream that comes of it.

use super::accept::{answer_and_end, linger};
use super::net::Stream;
use super::read_ahead::ReadAhead;
use super::websocket::WebSocket;
use crate::accept::only_tls;
use crate::client::ConnectError;
use crate::tls::{ClientTls, ServerTls, TlsError, TlsInfo};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An encrypted stream over another [`Stream`].
#[derive(Debug)]
pub struct TlsStream(tokio_rustls::TlsStream<ReadAhead>);

impl TlsStream {
    /// What was agreed on.
    pub(super) fn info(&self) -> Option<TlsInfo> {
        match &self.0 {
            tokio_rustls::TlsStream::Client(stream) => TlsInfo::of(stream.get_ref().1, None),
            tokio_rustls::TlsStream::Server(stream) => {
                let session = stream.get_ref().1;
                TlsInfo::of(session, session.server_name())
            }
        }
    }

    /// What it runs over.
    pub(super) fn inner(&self) -> &Stream {
        &self.0.get_ref().0.stream
    }

    #[inline]
    pub(super) fn pin(&mut self) -> Pin<&mut tokio_rustls::TlsStream<ReadAhead>> {
        Pin::new(&mut self.0)
    }
}

/// Who ends a stream says so (RFC 8446 section 6.1): where nobody waits any more, as far as it goes at once.
impl Drop for TlsStream {
    fn drop(&mut self) {
        let _ = self.pin().poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

/// Does the client's handshake over a stream that leads to `host`, directly or through a tunnel.
pub(super) async fn secure(
    stream: Stream,
    host: &str,
    settings: Option<&ClientTls>,
) -> Result<Stream, ConnectError> {
    let settings = match settings.cloned().or_else(ClientTls::made) {
        Some(settings) => settings,
        // It reads a hundred files, or one large one.
        None => tokio::task::spawn_blocking(ClientTls::standard).await.map_err(io::Error::from)??,
    };
    let name = settings.name_for(host)?;
    // Box: it is large, and nobody else's future should be.
    let connected =
        Box::pin(TlsConnector::from(settings.config()).connect(name, ReadAhead::new(stream))).await;
    let stream = connected.map_err(TlsError::of_handshake)?;
    Ok(Stream::Tls(Box::new(TlsStream(stream.into()))))
}

/// Does the server's handshake; `None` when it fails, and the client has been told why.
pub(super) async fn accept(stream: Stream, settings: &ServerTls, deadline: Instant) -> Option<Stream> {
    // Box: as above.
    timeout_at(deadline, Box::pin(handshake(stream, settings, deadline))).await.ok()?
}

async fn handshake(mut stream: Stream, settings: &ServerTls, deadline: Instant) -> Option<Stream> {
    if is_plain_http(&stream).await {
        // When it cannot be written, the client has gone.
        let _ = answer_and_end(&mut stream, &only_tls().encode(), deadline).await;
        return None;
    }
    match TlsAcceptor::from(settings.config()).accept(ReadAhead::new(stream)).into_fallible().await {
        Ok(stream) => Some(Stream::Tls(Box::new(TlsStream(stream.into())))),
        Err((_, mut stream)) => {
            // The alert has been written; a reset must not eat it.
            let _ = stream.shutdown().await;
            linger(&mut stream).await;
            None
        }
    }
}

/// Whether a client begins with a method of HTTP: TLS begins with the type of its first record, which is no letter.
async fn is_plain_http(stream: &Stream) -> bool {
    let Stream::Tcp(stream) = stream else { return false };
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

impl WebSocket<Stream> {
    /// What TLS agreed on, where the connection is encrypted: the version, the name that the client asked for, the
    /// certificates that the peer showed.
    pub fn tls(&mut self) -> Option<TlsInfo> {
        self.handle.access().stream.tls()
    }
}

impl AsyncRead for TlsStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().pin().poll_read(cx, target)
    }
}

impl AsyncWrite for TlsStream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().pin().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().pin().poll_write_vectored(cx, slices)
    }

    /// A header and its payload are then one record, or as few as can be.
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().pin().poll_flush(cx)
    }

    /// Sends close_notify, then ends our direction of the stream below.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().pin().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Fingerprint;
    use crate::{Acceptor, Client, CloseCode, Message, Opening};
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    fn certificate() -> (ServerTls, Fingerprint) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let tls = ServerTls::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
        let fingerprint = tls.fingerprint().unwrap();
        (tls, fingerprint)
    }

    /// As through a proxy that is itself dialled by TLS.
    #[tokio::test]
    async fn tls_goes_through_tls() {
        let deadline = Instant::now() + Duration::from_secs(20);
        let ((outer, outer_print), (inner, inner_print)) = (certificate(), certificate());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = accept(Stream::tcp(stream), &outer, deadline).await.unwrap();
            let stream = accept(stream, &inner, deadline).await.unwrap();
            let Opening::Upgrade(asked) = Acceptor::new().read(stream).await.unwrap() else {
                panic!("no upgrade")
            };
            let mut socket = asked.accept().await.unwrap();
            while let Some(message) = socket.receive().await.unwrap() {
                socket.send(message).await.unwrap();
            }
        });
        let mut stream = Stream::tcp(TcpStream::connect(address).await.unwrap());
        for print in [outer_print, inner_print] {
            let trusting = ClientTls::builder().fingerprint(print).build().unwrap();
            stream = secure(stream, "localhost", Some(&trusting)).await.unwrap();
        }
        assert_eq!(stream.peer_addr(), Some(address));
        let (mut socket, _) = Client::new("wss://localhost/").unwrap().connect_on(stream).await.unwrap();
        for len in [0, 5, 300_000] {
            socket.send(vec![7; len]).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(vec![7; len])));
        }
        socket.close(CloseCode::NORMAL, "").await.unwrap();
        serving.await.unwrap();
    }
}

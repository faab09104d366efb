//! A server on all cores: a runtime and a thread for each, and a listening socket of its own where the system spreads
//! connections over several.

use super::net::{Listener, Stream};
use super::server::{Server, Service};
use super::websocket::WebSocket;
use crate::handshake::Request;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::runtime;
use tokio::sync::{mpsc, watch};

/// Connections that wait to be accepted, as tokio has it.
const BACKLOG: i32 = 1024;

impl Server {
    /// As [`bind`](Server::bind), on a port that further sockets of this process can share, for
    /// [`serve_on_cores`](Server::serve_on_cores) (SO_REUSEPORT, on Linux; elsewhere it is the same as `bind`). An address
    /// where somebody listens already is refused all the same.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind_shared(address: impl ToSocketAddrs) -> io::Result<Server> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in tokio::net::lookup_host(address).await? {
            // Shared from here on: who is there already, sharing or not, stands in the way.
            match listen(address, Share::Later).and_then(|listener| TcpListener::from_std(listener.into())) {
                Ok(listener) => return Ok(Server::from_tcp(listener)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// As [`serve_until`](Server::serve_until), on so many threads, each with a runtime of its own. A connection stays on
    /// the thread that accepted it, where nothing has to be shared or stolen; the limits, the figures and the stop are
    /// those of the whole server.
    ///
    /// Where the server was bound by [`bind_shared`](Server::bind_shared), each thread has a listening socket of its own,
    /// and the system spreads new connections evenly; else they all accept from one.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let cores = std::thread::available_parallelism()?.get();
    /// let server = ws13::Server::bind_shared("127.0.0.1:12345").await?;
    /// let handler = |_request, mut socket: ws13::WebSocket<ws13::Stream>| async move {
    ///     while let Some(message) = socket.receive().await? {
    ///         socket.send(message).await?;
    ///     }
    ///     Ok::<(), ws13::Error>(())
    /// };
    /// server.serve_on_cores(cores, handler, std::future::pending()).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a thread, a runtime or a further socket cannot be had.
    ///
    /// # Cancel safety
    /// A dropped future stops the server as `stop` does; its threads end by themselves when the connections are gone.
    pub async fn serve_on_cores<H, F>(
        self,
        cores: usize,
        handler: H,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
    {
        let (listener, service) = self.into_service(handler);
        let listeners = several(listener, cores.max(1))?;
        let (stopping, stopped) = watch::channel(());
        let (ends, mut ended) = mpsc::channel::<()>(1);
        for (core, listener) in listeners.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (service, mut stopped, ends) = (Arc::clone(&service), stopped.clone(), ends.clone());
            thread::Builder::new().name(format!("ws13 {core}")).spawn(move || {
                runtime.block_on(serve(listener, service, async move {
                    // There is nothing to be told but the end of who would tell it.
                    while stopped.changed().await.is_ok() {}
                }));
                drop(ends);
            })?;
        }
        drop((ends, service));
        let mut stop = std::pin::pin!(stop);
        // When all threads are gone by themselves, they panicked.
        let early = std::future::poll_fn(|cx| match stop.as_mut().poll(cx) {
            std::task::Poll::Ready(()) => std::task::Poll::Ready(false),
            std::task::Poll::Pending => ended.poll_recv(cx).map(|_| true),
        })
        .await;
        drop(stopping);
        if early {
            return Err(io::Error::other("the server's threads ended"));
        }
        let _ = ended.recv().await;
        Ok(())
    }
}

async fn serve<H, F>(listener: Plain, service: Arc<Service<H>>, stop: impl Future<Output = ()>)
where
    H: Fn(Request, WebSocket<Stream>) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
{
    // It is non-blocking, and the runtime is there.
    if let Ok(listener) = listener.into_listener() {
        service.run(listener, stop).await;
    }
}

/// A listening socket that belongs to no runtime.
enum Plain {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Plain {
    fn into_listener(self) -> io::Result<Listener> {
        match self {
            Plain::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
            #[cfg(unix)]
            Plain::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Listener::Unix),
        }
    }

    /// Another one for the same connections.
    fn another(&self) -> io::Result<Plain> {
        match self {
            Plain::Tcp(listener) if is_shared(listener) => {
                listen(listener.local_addr()?, Share::Now).map(|socket| Plain::Tcp(socket.into()))
            }
            Plain::Tcp(listener) => listener.try_clone().map(Plain::Tcp),
            #[cfg(unix)]
            Plain::Unix(listener) => listener.try_clone().map(Plain::Unix),
        }
    }
}

/// So many sockets that listen to the same address.
fn several(listener: Listener, count: usize) -> io::Result<Vec<Plain>> {
    let first = match listener {
        Listener::Tcp(listener) => Plain::Tcp(listener.into_std()?),
        #[cfg(unix)]
        Listener::Unix(listener) => Plain::Unix(listener.into_std()?),
    };
    let mut all = vec![first];
    for _ in 1..count {
        all.push(all[0].another()?);
    }
    Ok(all)
}

/// When a port becomes one that others may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// Before it is bound: it joins others.
    Now,
    /// After it is bound: it must be the first.
    Later,
}

fn listen(address: SocketAddr, share: Share) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if share == Share::Now {
        set_shared(&socket)?;
    }
    socket.bind(&address.into())?;
    set_shared(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Linux spreads connections over the sockets that share a port; others would give all of them to one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_shared(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_shared(_: &Socket) -> io::Result<()> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_shared(listener: &std::net::TcpListener) -> bool {
    SockRef::from(listener).reuse_port().unwrap_or(false)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_shared(_: &std::net::TcpListener) -> bool {
    false
}

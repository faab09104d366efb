//! Who asks, and by which way: the addresses of a connection, and the proxies in front of a server.

use super::authority::Authority;
use super::forwarded;
use super::network::Trusted;
use super::proxy_header::ProxyHeader;
use core::net::{IpAddr, SocketAddr};
use http::HeaderMap;

/// Where a request came from. A server fills it in; see [`Request::connect_info`](super::Request::connect_info).
///
/// ```
/// use ws13::handshake::ConnectInfo;
/// let info = ConnectInfo::new(Some("192.0.2.1:56324".parse()?), Some("198.51.100.7:443".parse()?));
/// assert_eq!(info.client(), info.socket_peer()); // nobody is between them
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectInfo {
    client: Option<SocketAddr>,
    socket_peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    secure: bool,
    host: Option<Authority>,
}

impl ConnectInfo {
    /// Of a connection between these addresses; `None` for what is no TCP.
    #[must_use]
    pub fn new(socket_peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        ConnectInfo { client: socket_peer, socket_peer, local, ..ConnectInfo::default() }
    }

    /// Says whether the connection is by TLS.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// The client's address: that of the socket, or what trusted proxies told. Its port is 0 where they tell none.
    /// `None` where the connection is by a Unix socket.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// The address at the other end of the socket: the client's, or the nearest proxy's.
    #[must_use]
    pub fn socket_peer(&self) -> Option<SocketAddr> {
        self.socket_peer
    }

    /// Our own end of the socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether the client came by TLS, be it ended here or at a trusted proxy.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host that the client asked for, where a trusted proxy told one.
    pub(super) fn forwarded_host(&self) -> Option<&Authority> {
        self.host.as_ref()
    }

    /// Takes over what a proxy said by the PROXY protocol.
    pub(crate) fn behind(mut self, header: &ProxyHeader) -> Self {
        self.client = header.client().or(self.client);
        self.secure |= header.is_secure();
        self
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.client.map(|client| client.ip())
    }
}

/// Of a connection from there, as far as is known.
impl From<SocketAddr> for ConnectInfo {
    fn from(peer: SocketAddr) -> Self {
        ConnectInfo::new(Some(peer), None)
    }
}

/// The proxies in front of a server: whom it trusts to say who the client is, and how they say it.
///
/// A header that the proxies do not write themselves reaches the server as the client wrote it. So only what is
/// switched on here is believed, and only from who is trusted.
///
/// ```
/// use ws13::handshake::{Proxies, Trusted};
/// let proxies = Proxies::trusted(Trusted::networks(["127.0.0.1".parse()?])).x_forwarded();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    trusted: Trusted,
    proxy_protocol: bool,
    headers: Option<Headers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Headers {
    Standard,
    Common,
}

impl Proxies {
    /// Trusts these; what they say has to be chosen by another method.
    #[must_use]
    pub fn trusted(trusted: Trusted) -> Self {
        Proxies { trusted, ..Proxies::default() }
    }

    /// They begin each connection with a header of the PROXY protocol, version 1 or 2 (haproxy's `send-proxy`, nginx's
    /// `proxy_protocol on`): a connection of theirs without one is refused. Whoever is not trusted connects without.
    #[must_use]
    pub fn proxy_protocol(mut self) -> Self {
        self.proxy_protocol = true;
        self
    }

    /// They write the header `Forwarded` (RFC 7239): `for`, `proto` and `host`.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        self.headers = Some(Headers::Standard);
        self
    }

    /// They write the headers `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, all of them: one that they
    /// do not write is the client's to choose.
    #[must_use]
    pub fn x_forwarded(mut self) -> Self {
        self.headers = Some(Headers::Common);
        self
    }

    /// Whether a connection from there begins with a header of the PROXY protocol.
    pub(crate) fn expects_header(&self, info: &ConnectInfo) -> bool {
        self.proxy_protocol && self.trusted.includes(info.client_ip())
    }

    /// Whether the request itself may tell another address than what is known.
    pub(crate) fn may_tell_more(&self, info: &ConnectInfo) -> bool {
        self.headers.is_some() && self.trusted.includes(info.client_ip())
    }

    /// Adds what the headers of the request say.
    pub(crate) fn resolve(&self, info: &mut ConnectInfo, headers: &HeaderMap) {
        let hops = match self.headers {
            Some(_) if !self.trusted.includes(info.client_ip()) => return,
            Some(Headers::Standard) => forwarded::standard(headers),
            Some(Headers::Common) => forwarded::common(headers),
            None => return,
        };
        let Some(hop) = forwarded::last_trusted(hops, info.client_ip(), &self.trusted) else { return };
        info.client = hop.client.or(info.client);
        info.secure = hop.secure.unwrap_or(info.secure);
        info.host = hop.host;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proxies() -> Proxies {
        Proxies::trusted(Trusted::networks(["10.0.0.0/8".parse().unwrap()]))
    }

    fn info(peer: &str) -> ConnectInfo {
        ConnectInfo::new(Some(peer.parse().unwrap()), Some("10.0.0.9:80".parse().unwrap()))
    }

    #[test]
    fn headers_count_only_from_who_is_trusted_and_only_those_that_are_chosen() {
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", HeaderValue::from_static("for=192.0.2.1;proto=https"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.2"));
        for (proxies, peer, client, secure) in [
            (proxies(), "10.0.0.1:5", "10.0.0.1:5", false),
            (proxies().forwarded(), "10.0.0.1:5", "192.0.2.1:0", true),
            (proxies().x_forwarded(), "10.0.0.1:5", "192.0.2.2:0", false),
            (proxies().forwarded(), "11.0.0.1:5", "11.0.0.1:5", false),
            (Proxies::default().forwarded(), "10.0.0.1:5", "10.0.0.1:5", false),
        ] {
            let mut info = info(peer);
            proxies.resolve(&mut info, &headers);
            assert_eq!(
                (info.client(), info.is_secure()),
                (Some(client.parse().unwrap()), secure),
                "{proxies:?}"
            );
            assert_eq!(info.socket_peer(), Some(peer.parse().unwrap()));
        }
    }

    #[test]
    fn the_proxy_protocol_is_expected_from_who_is_trusted() {
        let proxies = proxies().proxy_protocol();
        assert!(proxies.expects_header(&info("10.0.0.1:5")));
        assert!(!proxies.expects_header(&info("11.0.0.1:5")));
        assert!(!Proxies::trusted(Trusted::default().and_unix()).expects_header(&ConnectInfo::default()));
        assert!(
            Proxies::trusted(Trusted::default().and_unix())
                .proxy_protocol()
                .expects_header(&ConnectInfo::default())
        );
    }
}

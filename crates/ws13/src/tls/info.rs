//! What TLS agreed on, for those who want to know: version, names, certificates.

use rustls::{CommonState, HandshakeKind, ProtocolVersion, ServerConnection};

/// What the two ends of an encrypted connection agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version.
    pub version: TlsVersion,
    /// The protocol inside (ALPN), where one was agreed on: `http/1.1`.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for (SNI); `None` on the client's side, and where it asked for an address.
    pub server_name: Option<String>,
    /// The certificates that the peer showed, in DER, its own first; empty where it showed none, as clients mostly do.
    pub peer_certificates: Vec<Vec<u8>>,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsInfo {
    /// Of a session of rustls that the program itself has, such as below hyper or axum; `None` while its handshake is
    /// under way. With tokio-rustls it is `stream.get_ref().1`.
    #[must_use]
    pub fn of_server(session: &ServerConnection) -> Option<TlsInfo> {
        TlsInfo::of(session, session.server_name())
    }

    /// What a session knows, once its handshake is done.
    pub(crate) fn of(session: &CommonState, server_name: Option<&str>) -> Option<TlsInfo> {
        let version = match session.protocol_version()? {
            ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        };
        let certificates = session.peer_certificates().unwrap_or_default();
        Some(TlsInfo {
            version,
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
            peer_certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

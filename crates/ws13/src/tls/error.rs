//! Why TLS came to nothing, in sentences for people: who is at fault, and what to do.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why no encrypted connection was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate is for other names than the one that was dialled.
    WrongName {
        /// The name that was dialled.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The certificate has expired.
    Expired {
        /// How long ago, where that is known.
        since: Option<Duration>,
    },
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate was not issued by anybody who is trusted; it may be self-signed.
    UnknownIssuer,
    /// The certificate was revoked.
    Revoked,
    /// The certificate has none of the fingerprints that are trusted.
    Fingerprint,
    /// Something else is wrong with the certificate.
    Certificate(String),
    /// The peer does not speak TLS.
    NotTls,
    /// The peer speaks TLS, and this side did not.
    OnlyTls,
    /// The peer wants a certificate to be shown, and was shown none.
    CertificateRequired,
    /// The peer does not accept the certificate that it was shown.
    CertificateRefused(String),
    /// The two sides have no version or cipher in common.
    NothingShared(String),
    /// The peer gave up, and said why.
    Alert(String),
    /// The stream ended during the handshake.
    Ended,
    /// Reading or writing failed.
    Io(Arc<io::Error>),
    /// Something else went wrong.
    Other(String),
    /// The settings cannot be.
    Setting(InvalidTls),
}

/// Which setting of TLS cannot be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum InvalidTls {
    /// A file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// A text is no PEM.
    Pem(String),
    /// There is no certificate in the PEM.
    NoCertificate,
    /// There is no private key in the PEM.
    NoKey,
    /// The key is not that of the certificate.
    KeyOfAnother,
    /// The key cannot be used.
    Key(String),
    /// A root certificate cannot be used.
    Root(String),
    /// The operating system's own roots cannot be had.
    Platform(String),
    /// What was dialled is neither a name nor an address that a certificate can be for.
    Name(String),
    /// There are no files to read the certificate from again.
    NoFiles,
    /// The settings contradict each other.
    Other(String),
}

impl TlsError {
    /// What an error of a stream says, where it is TLS that says it.
    pub(crate) fn in_io(error: &io::Error) -> Option<TlsError> {
        error.get_ref()?.downcast_ref::<Error>().map(TlsError::from)
    }

    /// What went wrong in a handshake.
    pub(crate) fn of_handshake(error: io::Error) -> TlsError {
        match TlsError::in_io(&error) {
            Some(error) => error,
            None if error.kind() == io::ErrorKind::UnexpectedEof => TlsError::Ended,
            None => TlsError::Io(Arc::new(error)),
        }
    }
}

impl From<&Error> for TlsError {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => TlsError::NotTls,
            Error::AlertReceived(alert) => of_alert(*alert),
            Error::PeerIncompatible(what) => TlsError::NothingShared(format!("{what:?}")),
            Error::NoApplicationProtocol => TlsError::NothingShared("no protocol inside, by ALPN".to_owned()),
            Error::NoCertificatesPresented => TlsError::CertificateRequired,
            error => TlsError::Other(error.to_string()),
        }
    }
}

fn of_certificate(error: &CertificateError) -> TlsError {
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            TlsError::WrongName { expected: expected.to_str().into_owned(), presented: presented.clone() }
        }
        CertificateError::NotValidForName => {
            TlsError::WrongName { expected: String::new(), presented: Vec::new() }
        }
        CertificateError::Expired => TlsError::Expired { since: None },
        CertificateError::ExpiredContext { time, not_after } => {
            let since = time.as_secs().saturating_sub(not_after.as_secs());
            TlsError::Expired { since: Some(Duration::from_secs(since)) }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsError::NotYetValid,
        CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
        CertificateError::Revoked => TlsError::Revoked,
        CertificateError::ApplicationVerificationFailure => TlsError::Fingerprint,
        // webpki's own word for a certificate such as `openssl req -x509` makes when nothing else is said.
        CertificateError::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            TlsError::Certificate("it is one of a CA, and not for a server or client of its own".to_owned())
        }
        error => TlsError::Certificate(error.to_string()),
    }
}

fn of_alert(alert: AlertDescription) -> TlsError {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            TlsError::CertificateRequired
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => TlsError::CertificateRefused(format!("{alert:?}")),
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => TlsError::NothingShared(format!("{alert:?}")),
        alert => TlsError::Alert(format!("{alert:?}")),
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::WrongName { expected, presented } => wrong_name(expected, presented, f),
            TlsError::Expired { since } => {
                f.write_str("the peer's certificate has expired")?;
                if let Some(since) = since {
                    write!(f, " {} ago", in_words(*since))?;
                }
                f.write_str(": it has to be renewed, or the clock here is wrong")
            }
            TlsError::NotYetValid => {
                f.write_str("the peer's certificate is not valid yet: it is for later, or the clock here is wrong")
            }
            TlsError::UnknownIssuer => f.write_str(
                "the peer's certificate was not issued by anybody who is trusted here: it may be self-signed; to \
                 trust it, name its issuer's certificate as a root, or its fingerprint",
            ),
            TlsError::Revoked => f.write_str("the peer's certificate was revoked by its issuer: do not trust it"),
            TlsError::Fingerprint => f.write_str(
                "the peer's certificate has another fingerprint than those that are trusted: it was renewed, or \
                 somebody stands in between",
            ),
            TlsError::Certificate(what) => write!(f, "the peer's certificate cannot be trusted: {what}"),
            TlsError::NotTls => {
                f.write_str("the peer does not speak TLS on this port: try ws:// in place of wss://, or another port")
            }
            TlsError::OnlyTls => f.write_str("the peer speaks TLS on this port: try wss:// in place of ws://"),
            TlsError::CertificateRequired => {
                f.write_str("the peer wants to be shown a certificate, and was shown none")
            }
            TlsError::CertificateRefused(why) => {
                write!(f, "the peer does not accept the certificate that it was shown ({why})")
            }
            TlsError::NothingShared(what) => write!(
                f,
                "the two sides have nothing in common to encrypt with ({what}): TLS 1.2 and 1.3 are spoken here, \
                 with http/1.1 inside"
            ),
            TlsError::Alert(alert) => write!(f, "the peer ended the TLS handshake with the alert {alert}"),
            TlsError::Ended => f.write_str(
                "the peer ended the connection during the TLS handshake: maybe it does not speak TLS on this port",
            ),
            TlsError::Io(error) => write!(f, "the connection broke during the TLS handshake: {error}"),
            TlsError::Other(what) => write!(f, "the TLS handshake failed: {what}"),
            TlsError::Setting(error) => error.fmt(f),
        }
    }
}

fn wrong_name(expected: &str, presented: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the peer's certificate is not for the name that was dialled")?;
    if !expected.is_empty() {
        write!(f, ", {expected}")?;
    }
    // There can be a hundred of them.
    let some: Vec<String> = presented.iter().take(5).map(|name| shown(name)).collect();
    match presented.len() {
        0 => {}
        few @ 0..=5 => write!(f, ", but for {}", some[..few].join(", "))?,
        many => write!(f, ", but for {} and {} more", some.join(", "), many - some.len())?,
    }
    f.write_str(": dial one of its names, or say which name to expect")
}

/// `DnsName("example.com")`, as the verifier has it, without its wrapping.
fn shown(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

fn in_words(time: Duration) -> String {
    let (days, hours) = (time.as_secs() / 86_400, time.as_secs() / 3_600);
    match (days, hours) {
        (2.., _) => format!("{days} days"),
        (_, 2..) => format!("{hours} hours"),
        _ => format!("{} minutes", time.as_secs() / 60),
    }
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidTls::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            InvalidTls::Pem(error) => write!(f, "this is no PEM: {error}"),
            InvalidTls::NoCertificate => f.write_str(
                "there is no certificate in the PEM: it has a section that begins with 'BEGIN CERTIFICATE'",
            ),
            InvalidTls::NoKey => f.write_str(
                "there is no private key in the PEM: it has a section such as 'BEGIN PRIVATE KEY'",
            ),
            InvalidTls::KeyOfAnother => {
                f.write_str("the private key is not that of the certificate: the chain begins with one's own")
            }
            InvalidTls::Key(error) => write!(f, "the certificate and its key cannot be used: {error}"),
            InvalidTls::Root(error) => write!(f, "a root certificate cannot be used: {error}"),
            InvalidTls::Platform(error) => write!(
                f,
                "this machine's own root certificates cannot be had ({error}): install them (Debian's package is \
                 ca-certificates), or name roots"
            ),
            InvalidTls::Name(name) => {
                write!(f, "{name:?} is neither a name nor an address that a certificate can be for")
            }
            InvalidTls::NoFiles => {
                f.write_str("the certificate did not come from files, so none can be read again")
            }
            InvalidTls::Other(error) => write!(f, "the settings of TLS cannot be: {error}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Io(error) => Some(error.as_ref()),
            TlsError::Setting(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for InvalidTls {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InvalidTls::File { error, .. } => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<InvalidTls> for TlsError {
    fn from(error: InvalidTls) -> Self {
        TlsError::Setting(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let presented = |count: usize| (0..count).map(|at| format!("DnsName(\"n{at}.example\")")).collect();
        let told = |count| {
            TlsError::WrongName { expected: "example.com".into(), presented: presented(count) }.to_string()
        };
        assert!(told(0).contains("dialled, example.com: "), "{}", told(0));
        assert!(told(2).contains("but for n0.example, n1.example: "), "{}", told(2));
        assert!(told(9).contains("n4.example and 4 more: "), "{}", told(9));
    }

    #[test]
    fn the_time_since_it_expired_is_told_roughly() {
        for (seconds, words) in [(3 * 86_400, "3 days ago"), (7_200, "2 hours ago"), (90, "1 minutes ago")] {
            let told = TlsError::Expired { since: Some(Duration::from_secs(seconds)) }.to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}

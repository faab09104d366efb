//! A client's side of TLS: whom it trusts, and what it shows.

use super::error::{InvalidTls, TlsError};
use super::fingerprint::Fingerprint;
use super::trust::Trusted;
use super::{ALPN, pem, provider};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, KeyLogFile, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// How a client encrypts. Clones share one configuration, and the sessions that can be taken up again.
///
/// ```
/// use ws13::tls::ClientTls;
/// # fn settings(root: &[u8]) -> Result<(), ws13::tls::InvalidTls> {
/// let tls = ClientTls::builder()
///     .roots_pem(root)? // in place of those of the operating system
///     .server_name("example.com")? // whatever name is dialled
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Settings of one's own; what is not set is as `wss://` has it when nothing is said.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder {
            platform: true,
            roots: RootCertStore::empty(),
            extra_roots: Vec::new(),
            fingerprints: Vec::new(),
            anybody: false,
            certificate: None,
            server_name: None,
            alpn: true,
            key_log: false,
            resumption: true,
        }
    }

    /// A configuration of rustls, taken as it is.
    pub fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        ClientTls { config: config.into(), server_name: None }
    }

    /// What `wss://` uses when nothing is said: made once, as it reads the operating system's roots.
    pub(crate) fn standard() -> Result<ClientTls, TlsError> {
        if let Some(made) = ClientTls::made() {
            return Ok(made);
        }
        let tls = ClientTls::builder().build()?;
        Ok(STANDARD.get_or_init(|| tls).clone())
    }

    /// The same, where it has been made.
    pub(crate) fn made() -> Option<ClientTls> {
        STANDARD.get().cloned()
    }

    /// The same, with nothing to show: for a server that the certificate is not meant for.
    pub(crate) fn without_certificate(&self) -> ClientTls {
        if !self.config.client_auth_cert_resolver.has_certs() {
            return self.clone();
        }
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(Nothing);
        // What was agreed on with the certificate is not taken up again without it.
        config.resumption = Resumption::default();
        ClientTls { config: Arc::new(config), server_name: self.server_name.clone() }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The name to ask for and to expect, when `host` was dialled.
    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => Ok(name(host)?),
        }
    }
}

static STANDARD: OnceLock<ClientTls> = OnceLock::new();

/// Without the roots and the keys.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Builds a [`ClientTls`].
#[must_use]
pub struct ClientTlsBuilder {
    /// Whether the operating system judges.
    platform: bool,
    roots: RootCertStore,
    extra_roots: Vec<CertificateDer<'static>>,
    fingerprints: Vec<Fingerprint>,
    anybody: bool,
    certificate: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    alpn: bool,
    key_log: bool,
    resumption: bool,
}

impl ClientTlsBuilder {
    /// Trusts what these certificates (PEM) have issued, and nobody else; may be called several times.
    ///
    /// # Errors
    /// [`InvalidTls`] where there is no certificate, or one that cannot be a root.
    pub fn roots_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        for certificate in pem::certificates(pem.as_ref())? {
            self.roots.add(certificate).map_err(root)?;
        }
        self.platform = false;
        Ok(self)
    }

    /// Trusts what these certificates (PEM) have issued, besides what the operating system trusts.
    ///
    /// # Errors
    /// [`InvalidTls`] where there is no certificate.
    #[cfg(not(target_os = "android"))]
    pub fn extra_roots_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        self.extra_roots.extend(pem::certificates(pem.as_ref())?);
        Ok(self)
    }

    /// Trusts the roots of the web that are built in, in place of the operating system's.
    #[cfg(feature = "webpki-roots")]
    pub fn webpki_roots(mut self) -> Self {
        self.roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        self.platform = false;
        self
    }

    /// Trusts the server with exactly this certificate, and nobody else, whatever is in it: its names and dates are not
    /// looked at. May be called several times.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprints.push(fingerprint);
        self
    }

    /// Trusts anybody. Who stands in between can then read and change everything: for a look at a machine of one's own
    /// at most. [`fingerprint`](ClientTlsBuilder::fingerprint) is as easy, and safe.
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.anybody = true;
        self
    }

    /// Shows this certificate to servers that ask for one: a chain, the own certificate first, and its key, in PEM.
    ///
    /// # Errors
    /// [`InvalidTls`] where there is no certificate or key, or they do not belong together.
    pub fn certificate_pem(
        mut self,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidTls> {
        self.certificate = Some(pem::certified_key(chain.as_ref(), key.as_ref())?);
        Ok(self)
    }

    /// As [`certificate_pem`](ClientTlsBuilder::certificate_pem), from files.
    ///
    /// # Errors
    /// As there, and where a file cannot be read.
    pub fn certificate_files(
        self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, InvalidTls> {
        self.certificate_pem(pem::read(chain.as_ref())?, pem::read(key.as_ref())?)
    }

    /// As [`roots_pem`](ClientTlsBuilder::roots_pem), from a file.
    ///
    /// # Errors
    /// As there, and where the file cannot be read.
    pub fn roots_file(self, path: impl AsRef<Path>) -> Result<Self, InvalidTls> {
        self.roots_pem(pem::read(path.as_ref())?)
    }

    /// Asks for this name (SNI) and expects it in the certificate, whatever was dialled.
    ///
    /// # Errors
    /// [`InvalidTls::Name`] for what is neither a name nor an address.
    pub fn server_name(mut self, server_name: &str) -> Result<Self, InvalidTls> {
        self.server_name = Some(name(server_name)?);
        Ok(self)
    }

    /// Does not name `http/1.1` as the protocol inside (ALPN), for servers that take offence at it.
    pub fn without_alpn(mut self) -> Self {
        self.alpn = false;
        self
    }

    /// Does not take up earlier sessions again; otherwise that makes further handshakes with a server cheaper.
    pub fn without_resumption(mut self) -> Self {
        self.resumption = false;
        self
    }

    /// Writes the keys to the file that the environment's SSLKEYLOGFILE names, for Wireshark and its like; nothing
    /// without it. Who has that file can read everything.
    pub fn key_log(mut self) -> Self {
        self.key_log = true;
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// [`InvalidTls::Platform`] where the operating system's roots are asked for and cannot be had.
    pub fn build(self) -> Result<ClientTls, InvalidTls> {
        let server_name = self.server_name.clone();
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(other)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier()?);
        let mut config = match self.certificate {
            Some(certificate) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)))
            }
            None => builder.with_no_client_auth(),
        };
        if self.alpn {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(ClientTls { config: Arc::new(config), server_name })
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, InvalidTls> {
        if self.anybody {
            return Ok(Arc::new(Trusted::anybody()));
        }
        if !self.fingerprints.is_empty() {
            return Ok(Arc::new(Trusted::these(self.fingerprints.clone())));
        }
        if self.platform {
            return Ok(Arc::new(self.platform_verifier()?));
        }
        let mut roots = self.roots.clone();
        for certificate in &self.extra_roots {
            roots.add(certificate.clone()).map_err(root)?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Ok(verifier.map_err(|error| InvalidTls::Other(error.to_string()))?)
    }

    #[cfg(not(target_os = "android"))]
    fn platform_verifier(&self) -> Result<Verifier, InvalidTls> {
        Verifier::new_with_extra_roots(self.extra_roots.clone(), provider()).map_err(platform)
    }

    #[cfg(target_os = "android")]
    fn platform_verifier(&self) -> Result<Verifier, InvalidTls> {
        Verifier::new(provider()).map_err(platform)
    }
}

/// Without the roots and the keys.
impl fmt::Debug for ClientTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTlsBuilder").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// No certificate for anybody.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn name(host: &str) -> Result<ServerName<'static>, InvalidTls> {
    ServerName::try_from(host.to_owned()).map_err(|_| InvalidTls::Name(host.to_owned()))
}

fn root(error: rustls::Error) -> InvalidTls {
    InvalidTls::Root(error.to_string())
}

fn platform(error: rustls::Error) -> InvalidTls {
    InvalidTls::Platform(error.to_string())
}

fn other(error: rustls::Error) -> InvalidTls {
    InvalidTls::Other(error.to_string())
}

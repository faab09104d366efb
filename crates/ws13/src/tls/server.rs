//! A server's side of TLS: the certificate it shows, which can be changed while it runs, and whom it asks for one.

use super::error::InvalidTls;
use super::fingerprint::Fingerprint;
use super::{ALPN, pem, provider};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{KeyLogFile, RootCertStore, ServerConfig};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// How a server encrypts. Clones share one configuration, so that a certificate that is reloaded is reloaded for all.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ws13::Server;
/// use ws13::tls::ServerTls;
///
/// let tls = ServerTls::from_pem_files("chain.pem", "key.pem")?;
/// let server = Server::bind("127.0.0.1:12345").await?.tls(tls.clone());
/// // Elsewhere, when the certificate was renewed; connections that are open go on:
/// tls.reload()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// `None` where the configuration is not ours.
    shown: Option<Arc<Shown>>,
}

impl ServerTls {
    /// A server with this certificate: a chain, the own certificate first, and its key, in PEM.
    ///
    /// # Errors
    /// [`InvalidTls`] where there is no certificate or key, or they do not belong together.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<ServerTls, InvalidTls> {
        ServerTls::builder_pem(chain, key)?.build()
    }

    /// As [`from_pem`](ServerTls::from_pem), from files, which [`reload`](ServerTls::reload) reads again.
    ///
    /// # Errors
    /// As there, and where a file cannot be read.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerTls, InvalidTls> {
        ServerTls::builder_files(chain, key)?.build()
    }

    /// Settings of one's own, for a certificate in PEM.
    ///
    /// # Errors
    /// As [`from_pem`](ServerTls::from_pem).
    pub fn builder_pem(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<ServerTlsBuilder, InvalidTls> {
        let certified = pem::certified_key(chain.as_ref(), key.as_ref())?;
        Ok(ServerTlsBuilder::new(Shown { certified: RwLock::new(certified), files: None }))
    }

    /// Settings of one's own, for a certificate in PEM files.
    ///
    /// # Errors
    /// As [`from_pem_files`](ServerTls::from_pem_files).
    pub fn builder_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<ServerTlsBuilder, InvalidTls> {
        let files = Files {
            chain: chain.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
            read: Mutex::new((None, None)),
        };
        // The times first: a change while the files are read is then seen the next time.
        *lock(&files.read) = files.times();
        let certified = RwLock::new(files.read()?);
        Ok(ServerTlsBuilder::new(Shown { certified, files: Some(files) }))
    }

    /// A configuration of rustls, taken as it is.
    pub fn from_rustls(config: impl Into<Arc<ServerConfig>>) -> Self {
        ServerTls { config: config.into(), shown: None }
    }

    /// Reads the certificate and its key again, for the handshakes from now on. Connections go on as they are; when it
    /// fails, the certificate stays the one it was.
    ///
    /// # Errors
    /// As [`from_pem_files`](ServerTls::from_pem_files); [`InvalidTls::NoFiles`] where it did not come from files.
    pub fn reload(&self) -> Result<(), InvalidTls> {
        let (shown, files) = self.files().ok_or(InvalidTls::NoFiles)?;
        let times = files.times();
        *shown.certified.write().unwrap_or_else(PoisonError::into_inner) = files.read()?;
        *lock(&files.read) = times;
        Ok(())
    }

    /// As [`reload`](ServerTls::reload) where a file was written since; says whether one was. Cheap enough to be asked
    /// every second. After a failure it is tried again the next time, as the other file may be still to come.
    ///
    /// # Errors
    /// As [`reload`](ServerTls::reload).
    pub fn reload_if_changed(&self) -> Result<bool, InvalidTls> {
        let (_, files) = self.files().ok_or(InvalidTls::NoFiles)?;
        if *lock(&files.read) == files.times() {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// The fingerprint of the certificate that is shown now; `None` for a configuration of one's own.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let certified = self.shown.as_ref()?.certified();
        certified.cert.first().map(|certificate| Fingerprint::of(certificate))
    }

    /// The same for rustls, where the program itself accepts, such as below hyper or axum.
    /// [`reload`](ServerTls::reload) holds there, too.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn files(&self) -> Option<(&Shown, &Files)> {
        let shown = self.shown.as_ref()?;
        Some((shown, shown.files.as_ref()?))
    }
}

/// Without the key.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// Builds a [`ServerTls`].
#[derive(Debug)]
#[must_use]
pub struct ServerTlsBuilder {
    shown: Shown,
    client_roots: RootCertStore,
    client_optional: bool,
    key_log: bool,
}

impl ServerTlsBuilder {
    fn new(shown: Shown) -> Self {
        ServerTlsBuilder {
            shown,
            client_roots: RootCertStore::empty(),
            client_optional: false,
            key_log: false,
        }
    }

    /// Asks clients for a certificate that was issued by one of these (PEM), and lets nobody in without; may be called
    /// several times. The handler sees the certificate in [`TlsInfo`](super::TlsInfo).
    ///
    /// # Errors
    /// [`InvalidTls`] where there is no certificate, or one that cannot be a root.
    pub fn client_roots_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        for certificate in pem::certificates(pem.as_ref())? {
            self.client_roots.add(certificate).map_err(|error| InvalidTls::Root(error.to_string()))?;
        }
        Ok(self)
    }

    /// Lets in clients that show no certificate, too. One that is shown has to be good all the same.
    pub fn client_certificate_optional(mut self) -> Self {
        self.client_optional = true;
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
    /// [`InvalidTls`] where the clients' roots cannot be used.
    pub fn build(self) -> Result<ServerTls, InvalidTls> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| InvalidTls::Other(error.to_string()))?;
        let builder = if self.client_roots.is_empty() {
            builder.with_no_client_auth()
        } else {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(self.client_roots), provider());
            let verifier = if self.client_optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| InvalidTls::Root(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        };
        let shown = Arc::new(self.shown);
        let mut config = builder.with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN.to_vec()];
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(ServerTls { config: Arc::new(config), shown: Some(shown) })
    }
}

/// The certificate that is shown now.
struct Shown {
    certified: RwLock<Arc<CertifiedKey>>,
    /// Where it came from.
    files: Option<Files>,
}

impl Shown {
    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("files", &self.files).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
    /// When the files had been written that were read.
    read: Mutex<Times>,
}

/// When the chain and the key were written last, where the system tells.
type Times = (Option<SystemTime>, Option<SystemTime>);

impl Files {
    fn read(&self) -> Result<Arc<CertifiedKey>, InvalidTls> {
        pem::certified_key(&pem::read(&self.chain)?, &pem::read(&self.key)?)
    }

    fn times(&self) -> Times {
        let time = |path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        (time(&self.chain), time(&self.key))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Whom the command trusts when it dials `wss://`, and what it shows.

use crate::exit::Failure;
use clap::Args;
use std::path::PathBuf;
use ws13::handshake::Url;
use ws13::tls::{ClientTls, Fingerprint, InvalidTls};
use ws13::{Client, ConnectError};

/// Whom to trust.
#[derive(Args)]
pub(crate) struct Trust {
    /// Trust servers whose certificate was issued by one of these (a PEM file), in place of those this machine trusts
    #[arg(long, value_name = "PEM")]
    ca: Vec<PathBuf>,
    /// Trust the server with exactly this certificate, by its SHA-256, and nobody else
    #[arg(long, value_name = "SHA256", conflicts_with = "ca")]
    fingerprint: Vec<Fingerprint>,
    /// Trust anybody: who stands in between can read and change everything
    #[arg(long, conflicts_with_all = ["ca", "fingerprint"])]
    insecure: bool,
    /// The name to ask for and to expect in the certificate, in place of the URL's
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
}

/// What to show.
#[derive(Args)]
pub(crate) struct Shown {
    /// The certificate to show to servers that ask for one: a PEM file with its chain
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of --cert, in PEM
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

impl Trust {
    /// Sets a client up, where its URL is a secure one, or `redirects` may lead to one. The environment's SSLKEYLOGFILE
    /// is obeyed.
    pub(crate) fn apply(
        &self,
        client: Client,
        url: &str,
        redirects: bool,
        shown: Option<&Shown>,
    ) -> Result<Client, Failure> {
        if !redirects && !Url::new(url).map_err(ConnectError::Url)?.secure() {
            return Ok(client);
        }
        if self.insecure {
            eprintln!("ws13: WARNING: --insecure: nobody checks who answers at {url}");
        }
        Ok(client.tls(self.settings(shown)?))
    }

    fn settings(&self, shown: Option<&Shown>) -> Result<ClientTls, InvalidTls> {
        let mut builder = ClientTls::builder().key_log();
        for path in &self.ca {
            builder = builder.roots_file(path)?;
        }
        for fingerprint in &self.fingerprint {
            builder = builder.fingerprint(*fingerprint);
        }
        if self.insecure {
            builder = builder.danger_accept_any_certificate();
        }
        if let Some(name) = &self.server_name {
            builder = builder.server_name(name)?;
        }
        if let Some(Shown { cert: Some(cert), key: Some(key) }) = shown {
            builder = builder.certificate_files(cert, key)?;
        }
        builder.build()
    }
}

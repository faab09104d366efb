//! The certificate that `ws13 serve` and `ws13 peer` show: from files, read again when they change, or one that is made
//! for the occasion.

use crate::exit::Failure;
use crate::tls::Shown;
use clap::Args;
use rcgen::{CertificateParams, DnType, KeyPair};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use ws13::LocalAddr;
use ws13::tls::{InvalidTls, ServerTls, ServerTlsBuilder};

/// Whether and how to encrypt.
#[derive(Args)]
pub(crate) struct Tls {
    /// Serve wss:// and https://; without --cert, with a certificate that is made for the occasion
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    files: Shown,
    /// Let in only clients that show a certificate which was issued by one of these (a PEM file)
    #[arg(long, value_name = "PEM")]
    client_ca: Vec<PathBuf>,
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

impl Tls {
    /// The settings, where TLS is asked for.
    pub(crate) fn settings(&self, listen: &str) -> Result<Option<ServerTls>, Failure> {
        let builder = match (&self.files.cert, &self.files.key) {
            (Some(cert), Some(key)) => ServerTls::builder_files(cert, key)?,
            _ if self.tls || !self.client_ca.is_empty() => made(listen)?,
            _ => return Ok(None),
        };
        let mut builder = builder.key_log();
        for path in &self.client_ca {
            let pem = std::fs::read(path)
                .map_err(|error| Failure::Local(format!("cannot read {}: {error}", path.display())))?;
            builder = builder.client_roots_pem(pem)?;
        }
        Ok(Some(builder.build()?))
    }

    /// Says how to trust a certificate that was made, and has one of files read again when they change or on SIGHUP.
    pub(crate) fn look_after(&self, tls: ServerTls, address: &LocalAddr) -> Result<(), Failure> {
        if self.files.cert.is_some() {
            let hangup = signal(SignalKind::hangup())?;
            tokio::spawn(keep_fresh(tls, hangup));
        } else if let Some(fingerprint) = tls.fingerprint() {
            eprintln!(
                "ws13: the certificate was made just now, and nobody vouches for it; its SHA-256 fingerprint is\n  \
                 {fingerprint}\nws13: to trust it: ws13 connect --fingerprint {fingerprint} wss://{address}/\n\
                 ws13: in a browser, go past the warning when the certificate shown there has this fingerprint"
            );
        }
        Ok(())
    }
}

/// A certificate for this machine itself, which signs itself.
fn made(listen: &str) -> Result<ServerTlsBuilder, Failure> {
    let failed = |error: rcgen::Error| Failure::Local(format!("no certificate can be made: {error}"));
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host).trim_matches(['[', ']']);
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !matches!(host, "" | "0.0.0.0" | "::") && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "ws13 serve, for development");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(ServerTls::builder_pem(certificate.pem(), key.serialize_pem())?)
}

async fn keep_fresh(tls: ServerTls, mut hangup: tokio::signal::unix::Signal) {
    let mut told = None;
    loop {
        let read = tokio::select! {
            Some(()) = hangup.recv() => { told = None; tls.reload().map(|()| true) }
            () = tokio::time::sleep(LOOK) => tls.reload_if_changed(),
        };
        match read {
            Ok(false) => {}
            Ok(true) => {
                told = None;
                let fingerprint = tls.fingerprint().map(|print| print.to_string()).unwrap_or_default();
                eprintln!("ws13: the certificate was read again; its SHA-256 fingerprint is {fingerprint}");
            }
            Err(error) => tell_once(&error, &mut told),
        }
    }
}

/// A file may be missing, or not fit the other, for as long as it takes to write both.
fn tell_once(error: &InvalidTls, told: &mut Option<String>) {
    let error = error.to_string();
    if told.as_ref() != Some(&error) {
        eprintln!("ws13: the certificate stays as it was: {error}");
        *told = Some(error);
    }
}

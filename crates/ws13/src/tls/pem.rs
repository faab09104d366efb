//! Certificates and keys as they stand in PEM files.

use super::error::InvalidTls;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// All certificates; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(InvalidTls::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(InvalidTls::Pem(error.to_string())),
    }
}

/// A chain, the own certificate first, with its key.
pub(super) fn certified_key(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, InvalidTls> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => InvalidTls::NoKey,
        error => InvalidTls::Pem(error.to_string()),
    })?;
    let certified = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => InvalidTls::KeyOfAnother,
        error => InvalidTls::Key(error.to_string()),
    })?;
    Ok(Arc::new(certified))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, InvalidTls> {
    fs::read(path).map_err(|error| InvalidTls::File { path: path.to_owned(), error: Arc::new(error) })
}

//! Whom a client trusts in place of the usual: certificates by their fingerprint, or anybody.

use super::fingerprint::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;

/// Looks at the server's own certificate alone: not at its names, its dates or its issuer. That the server has the
/// certificate's key is checked all the same.
#[derive(Debug)]
pub(super) struct Trusted {
    /// `None`: anybody.
    fingerprints: Option<Vec<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl Trusted {
    pub(super) fn these(fingerprints: Vec<Fingerprint>) -> Self {
        Trusted { fingerprints: Some(fingerprints), provider: super::provider() }
    }

    pub(super) fn anybody() -> Self {
        Trusted { fingerprints: None, provider: super::provider() }
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.fingerprints {
            Some(trusted) if !trusted.contains(&Fingerprint::of(certificate)) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

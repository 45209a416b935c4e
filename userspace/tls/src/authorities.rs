//! Whom we believe: the certificates of authorities, read once and shared.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::SettingsError;

/// Certificate authorities.
#[derive(Debug)]
pub struct Authorities {
    pub(crate) roots: Arc<RootCertStore>,
    /// SHA-256 of all of them: tells whether they have changed.
    pub(crate) digest: [u8; digest::SHA256_OUTPUT_LEN],
}

impl Authorities {
    /// Of a PEM file: a bundle of our own, or the system's. What cannot be used is refused, so that a broken bundle is not found out by clients.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SettingsError> {
        let mut roots = RootCertStore::empty();
        let mut context = digest::Context::new(&digest::SHA256);
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| SettingsError::BadAuthorities(error.to_string()))?;
            context.update(&certificate);
            roots.add(certificate).map_err(|error| SettingsError::BadAuthorities(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(SettingsError::BadAuthorities("there is none in it".into()));
        }
        let mut digest = [0; digest::SHA256_OUTPUT_LEN];
        digest.copy_from_slice(context.finish().as_ref());
        Ok(Self { roots: Arc::new(roots), digest })
    }
}

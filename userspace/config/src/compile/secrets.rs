//! Secrets: certificates with their keys, authorities, and other bytes that stand outside of the document.

use alloc::sync::Arc;

use tls::{Authorities, Certificate, SettingsError};

use super::Compiler;
use crate::containers::Located;
use crate::contents::{Content, Digest, Kept, secret_digest};
use crate::document::{Root, Secret, Source};
use crate::read::At;
use crate::snapshot::Name;
use crate::suggest;

impl<'a> Compiler<'a> {
    /// Reads what changed among the secrets and takes over the others.
    pub(super) fn compile_secrets(&mut self, root: &Root) {
        for entry in &root.secrets.entries {
            let certificate = self.compile_secret(&entry.value);
            self.secrets.insert(entry.key.clone(), certificate);
        }
        // Those that were refused are there all the same: no reason to refuse who names them.
        self.secrets.extend(root.secrets.refused.iter().map(|name| (name.clone(), None)));
    }

    fn compile_secret(&mut self, secret: &Secret) -> Option<(Digest, Arc<Certificate>)> {
        let (cert, key) = (self.content(&secret.cert), self.content(&secret.key));
        let ocsp = secret.ocsp.as_ref().map(|ocsp| self.content(ocsp));
        let (cert, key) = (cert?, key?);
        let ocsp = if let Some(ocsp) = ocsp { Some(ocsp?) } else { None };
        let digest = secret_digest(cert.digest, key.digest, ocsp.map(|ocsp| ocsp.digest));
        let old = self.kept().find_map(|kept| kept.certificates.get(&digest)).cloned();
        let certificate = match old {
            Some(old) => old,
            None => match Certificate::from_pem(bytes(cert), bytes(key), ocsp.map(|ocsp| bytes(ocsp).to_vec())) {
                Ok(certificate) => Arc::new(certificate),
                Err(error) => {
                    let at = if matches!(error, SettingsError::BadCertificate(_)) { secret.cert.at } else { secret.key.at };
                    self.reader.reject(at, error);
                    return None;
                }
            },
        };
        self.keep.certificates.insert(digest, certificate.clone());
        Some((digest, certificate))
    }

    /// The certificate of a secret that somebody names; `None` when it was refused.
    pub(super) fn certificate(&mut self, name: &Located<Name>) -> Option<(Digest, Arc<Certificate>)> {
        if let Some(certificate) = self.secrets.get(&name.value) {
            return certificate.clone();
        }
        let guess = suggest::nearest(name, self.secrets.keys().map(|name| &**name));
        let guess = guess.map_or(String::new(), |guess| format!(" (did you mean {guess:?}?)"));
        self.reader.reject(name.at, format_args!("there is no secret {:?}{guess}; it has to stand under secrets", name.value));
        None
    }

    /// Authorities from a source, or those of the system, which `at` relies on.
    pub(super) fn authorities(&mut self, source: Option<&Located<Source>>, at: At) -> Option<(Digest, Arc<Authorities>)> {
        let loaded = self.loaded;
        let (source, at) = match (source, loaded.contents.system()) {
            (Some(source), _) => (&source.value, source.at),
            (None, Ok(system)) => (system, at),
            (None, Err(message)) => {
                self.reader.reject(at, message);
                return None;
            }
        };
        let content = self.content_at(source, at)?;
        let old = [&self.keep].into_iter().chain(self.kept()).find_map(|kept| kept.authorities.get(&content.digest)).cloned();
        let authorities = match old.map_or_else(|| Authorities::from_pem(bytes(content)).map(Arc::new), Ok) {
            Ok(authorities) => authorities,
            Err(error) => {
                self.reader.reject(at, error);
                return None;
            }
        };
        self.keep.authorities.insert(content.digest, authorities.clone());
        Some((content.digest, authorities))
    }

    /// What is behind a source.
    pub(super) fn content(&mut self, source: &Located<Source>) -> Option<&'a Content> {
        self.content_at(&source.value, source.at)
    }

    fn content_at(&mut self, source: &Source, at: At) -> Option<&'a Content> {
        let loaded = self.loaded;
        match loaded.contents.get(source) {
            Ok(content) => Some(content),
            Err(message) => {
                self.reader.reject(at, message);
                None
            }
        }
    }

    /// What may be taken over: of the snapshot that the contents were read against, and of the one before this.
    fn kept(&self) -> impl Iterator<Item = &'a Kept> {
        let (loaded, previous) = (self.loaded, self.previous);
        [Some(&*loaded.contents.kept), previous.map(|previous| &*previous.kept)].into_iter().flatten()
    }
}

/// The bytes of a content of which nothing was kept.
pub(super) fn bytes(content: &Content) -> &[u8] {
    content.bytes.as_deref().expect("what is not read again is kept compiled")
}

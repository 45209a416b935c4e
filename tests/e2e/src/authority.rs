//! An authority of its own for each test: certificates for listeners, clients and origins, as files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use tempfile::TempDir;

/// Signs whatever is asked; its folder ends with it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, that nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let pem = params.self_signed(&key).expect("its own key signs it").pem();
        let folder = TempDir::with_prefix("authority-").expect("a folder for certificates");
        fs::write(folder.path().join("ca.pem"), pem).expect("the folder can be written");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Its own certificate's file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names; one with `://` is a URI, and `127.0.0.1` an address.
    pub fn sign(&self, names: &[&str]) -> Pair {
        let stem = names.join("+").replace(['/', ':', '*'], "-");
        let (cert, key) = self.make(names);
        let pair = Pair { cert: self.folder.path().join(format!("{stem}.pem")), key: self.folder.path().join(format!("{stem}.key")) };
        pair.replace(&cert, &key);
        pair
    }

    /// The same as text: certificate, key.
    pub fn make(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.subject_alt_names = names.iter().map(|name| named(name)).collect();
        let cert = params.signed_by(&key, &self.issuer).expect("the authority signs everything");
        (cert.pem(), key.serialize_pem())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// Another certificate and key in the same place, each in one step.
    pub fn replace(&self, cert: &str, key: &str) {
        for (file, text) in [(&self.cert, cert), (&self.key, key)] {
            let draft = file.with_extension("draft");
            fs::write(&draft, text).expect("the folder can be written");
            fs::rename(&draft, file).expect("a file can be replaced");
        }
    }

    /// As a secret in a configuration.
    pub fn secret(&self) -> String {
        let text = |file: &Path| file.display().to_string();
        format!("{{ cert: \"{}\", key: \"{}\" }}", text(&self.cert), text(&self.key))
    }
}

fn named(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        return SanType::IpAddress(address);
    }
    let text = name.try_into().expect("names are ASCII");
    if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) }
}

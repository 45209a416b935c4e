//! An authority of its own for each test: certificates for listeners, clients and origins, as files.

use core::sync::atomic::{AtomicU32, Ordering};
use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use crate::run;

static AUTHORITIES: AtomicU32 = AtomicU32::new(1);

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
        // Of two with one name, a certificate by the wrong one is not a stranger's but a forged one.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Test Authority {number}"));
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

    /// A list, in PEM, on which these stand.
    pub fn revoke(&self, pairs: &[&Pair]) -> PathBuf {
        let (past, future) = (date_time_ymd(2020, 1, 1), date_time_ymd(2050, 1, 1));
        let revoked = pairs.iter().map(|pair| RevokedCertParams {
            serial_number: serial(&pair.cert),
            revocation_time: past,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: past,
            next_update: future,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.folder.path().join("crl.pem");
        fs::write(&file, list.signed_by(&self.issuer).expect("the authority signs everything").pem().expect("PEM")).expect("a folder");
        file
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

/// A certificate's serial number.
fn serial(cert: &Path) -> SerialNumber {
    let said = run("openssl", &["x509", "-noout", "-serial", "-in", &cert.display().to_string()]).stdout;
    let text = String::from_utf8_lossy(&said).trim().trim_start_matches("serial=").to_owned();
    let byte = |pair: &[u8]| str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).expect("hexadecimal");
    text.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>().into()
}

fn named(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        return SanType::IpAddress(address);
    }
    let text = name.try_into().expect("names are ASCII");
    if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) }
}

//! The key of what we send, for a kernel that seals it: the bytes that `setsockopt(SOL_TLS, TLS_TX)` takes, and what a kernel does with them,
//! so that a simulated one can do it too.
//!
//! TLS 1.2's AES-GCM carries half of its nonce in each record, and the kernel counts that half up from where it is told to. Ours were the IV with
//! the sequence number xored in: with its highest bit turned over, the kernel's begin 2^63 away from all of them, and no key protects as many
//! records as would bring the two together (RFC 5288 §3: no nonce twice).

use rustls::ConnectionTrafficSecrets;

use crate::{
    Version,
    cipher::{Cipher, EXPLICIT_NONCE_BYTES},
};

/// `linux/tls.h`: versions and ciphers.
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;
const AES_GCM_128: u16 = 51;
const AES_GCM_256: u16 = 52;
const CHACHA20_POLY1305: u16 = 54;
/// Bytes of an AES-GCM nonce that stand in front of what the kernel calls the IV.
const SALT_BYTES: usize = 4;

/// The key of one direction at one moment.
pub struct KernelKey {
    info: Vec<u8>,
    cipher: Cipher,
    /// The next record's half of the nonce, in TLS 1.2's AES-GCM.
    explicit: u64,
}

impl KernelKey {
    pub(crate) fn new(version: Version, sequence: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let cipher = Cipher::new(version, sequence, secrets)?;
        let (number, key, iv, salt_bytes) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (AES_GCM_128, key, iv, SALT_BYTES),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (AES_GCM_256, key, iv, SALT_BYTES),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (CHACHA20_POLY1305, key, iv, 0),
            _ => return None,
        };
        let (salt, iv) = iv.as_ref().split_at_checked(salt_bytes)?;
        let mut iv = iv.to_vec();
        if version == Version::Tls12 && salt_bytes > 0 {
            iv[0] ^= 0x80;
        }
        let explicit = iv.first_chunk::<EXPLICIT_NONCE_BYTES>().map_or(0, |half| u64::from_be_bytes(*half));
        let version = if version == Version::Tls13 { TLS_1_3 } else { TLS_1_2 };
        let mut info = [version.to_ne_bytes(), number.to_ne_bytes()].concat();
        for part in [&iv[..], key.as_ref(), salt, &sequence.to_be_bytes()] {
            info.extend_from_slice(part);
        }
        Some(Self { info, cipher, explicit })
    }

    /// `struct tls12_crypto_info_*`.
    pub fn info(&self) -> &[u8] {
        &self.info
    }

    /// Bytes that a record is larger than its content.
    pub fn expansion(&self) -> usize {
        self.cipher.expansion()
    }

    /// The number of the next record.
    pub fn sequence(&self) -> u64 {
        self.cipher.sequence()
    }

    /// From that number on the key must not be used any more.
    pub fn sequence_max(&self) -> u64 {
        self.cipher.records_max()
    }

    /// Appends a record of `plain` (at most 16 KiB) as a kernel would.
    pub fn seal(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>) {
        self.cipher.set_explicit_nonce(self.explicit.to_be_bytes());
        self.explicit = self.explicit.wrapping_add(1);
        self.cipher.seal(kind, plain, output);
    }
}

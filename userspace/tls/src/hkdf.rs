//! The key schedule's arithmetic for the suites of TLS 1.3 (RFC 5869, RFC 8446 §7.1), a third cheaper than what rustls brings.
//!
//! A schedule makes about thirty derivations. Those of aws-lc's HKDF prepare the HMAC's key anew for each, and extract again before each expansion;
//! here a key is prepared once and its state copied. Everything else of a suite is rustls' own. (`docs/design/007-tls.md` has the figures.)

use std::sync::LazyLock;

use aws_lc_rs::hmac::{self, Algorithm, Context, HMAC_SHA256, HMAC_SHA384};
use rustls::{
    CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite,
    crypto::{
        aws_lc_rs::DEFAULT_CIPHER_SUITES,
        hash::HashAlgorithm,
        hmac::{Hmac, Key, Tag},
        tls13::HkdfUsingHmac,
    },
};

/// All suites there are, best first.
pub(crate) fn suites() -> Vec<SupportedCipherSuite> {
    let ours = |suite: &SupportedCipherSuite| TLS13.iter().find(|ours| ours.common.suite == suite.suite());
    DEFAULT_CIPHER_SUITES.iter().map(|suite| ours(suite).map_or(*suite, SupportedCipherSuite::Tls13)).collect()
}

static TLS13: LazyLock<Vec<Tls13CipherSuite>> =
    LazyLock::new(|| DEFAULT_CIPHER_SUITES.iter().filter_map(SupportedCipherSuite::tls13).filter_map(with_prepared_keys).collect());

static SHA256: HkdfUsingHmac<'_> = HkdfUsingHmac(&Prepared(&HMAC_SHA256));
static SHA384: HkdfUsingHmac<'_> = HkdfUsingHmac(&Prepared(&HMAC_SHA384));

fn with_prepared_keys(suite: &Tls13CipherSuite) -> Option<Tls13CipherSuite> {
    let hash = suite.common.hash_provider.algorithm();
    let hkdf_provider =
        [(HashAlgorithm::SHA256, &SHA256), (HashAlgorithm::SHA384, &SHA384)].into_iter().find(|(known, _)| *known == hash)?.1;
    let CipherSuiteCommon { suite: number, hash_provider, confidentiality_limit } = suite.common;
    let common = CipherSuiteCommon { suite: number, hash_provider, confidentiality_limit };
    Some(Tls13CipherSuite { common, hkdf_provider, aead_alg: suite.aead_alg, quic: None })
}

struct Prepared(&'static Algorithm);

impl Hmac for Prepared {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(PreparedKey(hmac::Key::new(*self.0, key)))
    }

    fn hash_output_len(&self) -> usize {
        self.0.digest_algorithm().output_len()
    }
}

struct PreparedKey(hmac::Key);

impl Key for PreparedKey {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut context = Context::with_key(&self.0);
        [first]
            .into_iter()
            .chain(middle.iter().copied())
            .chain([last])
            .filter(|part| !part.is_empty())
            .for_each(|part| context.update(part));
        Tag::new(context.sign().as_ref())
    }

    fn tag_len(&self) -> usize {
        self.0.algorithm().digest_algorithm().output_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_schedule_of_tls13_is_ours() {
        let (ours, theirs) = (suites(), DEFAULT_CIPHER_SUITES);
        assert_eq!(
            ours.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>(),
            theirs.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>()
        );
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.tls13().is_some_and(|ours| !core::ptr::eq(ours, theirs.tls13().unwrap())), theirs.tls13().is_some());
        }
    }

    /// What aws-lc's own HKDF gives for the same input, for outputs of one block and of several.
    #[test]
    fn agrees_with_the_one_it_stands_for() {
        for (ours, theirs) in TLS13.iter().zip(DEFAULT_CIPHER_SUITES.iter().filter_map(SupportedCipherSuite::tls13)) {
            for salt in [None, Some([7; 48].as_slice())] {
                let make = |suite: &Tls13CipherSuite| {
                    let mut long = [0; 100];
                    let secret = suite.hkdf_provider.extract_from_secret(salt, &[3; 32]);
                    secret.expand_slice(&[b"some", b"", b"label"], &mut long).unwrap();
                    let block = suite.hkdf_provider.extract_from_zero_ikm(salt).expand_block(&[b"label"]);
                    let next = suite.hkdf_provider.expander_for_okm(&block).expand_block(&[b"next"]);
                    let tag = suite.hkdf_provider.hmac_sign(&block, b"message");
                    (long, block.as_ref().to_vec(), next.as_ref().to_vec(), tag.as_ref().to_vec())
                };
                assert_eq!(make(ours), make(theirs));
            }
        }
    }
}

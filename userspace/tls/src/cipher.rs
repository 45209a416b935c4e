//! One direction of an established connection: its key, its nonces, its sequence number; records sealed and opened.
//!
//! TLS 1.3 (RFC 8446 §5.2-5.3): the nonce is the IV with the sequence number xored in, the header is authenticated, the true type is the last
//! byte that is not zero. TLS 1.2: AES-GCM carries half of its nonce in the record (RFC 5288 §3), `ChaCha20` does as TLS 1.3 does (RFC 7905 §2),
//! and sequence number, type, version and length are authenticated (RFC 5246 §6.2.3.3).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use buf::{Chunk, Output};
use rustls::ConnectionTrafficSecrets;

use crate::{
    outcome::Version,
    record::{self, Alert, HEADER_BYTES, PLAIN_BYTES_MAX, kind},
};

/// Bytes of an authentication tag, the same for every cipher we have.
const TAG_BYTES: usize = 16;

/// Bytes of the nonce that TLS 1.2 sends with each record of AES-GCM.
pub(crate) const EXPLICIT_NONCE_BYTES: usize = 8;

/// Records that one AES-GCM key may protect (RFC 8446 §5.5 allows 2^24.5).
pub(crate) const AES_RECORDS_MAX: u64 = 1 << 24;

/// The keys of one direction.
pub(crate) struct Cipher {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// Records so far.
    sequence: u64,
    form: Form,
}

/// How nonces and types are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tls13,
    Tls12Aes,
    Tls12ChaCha,
}

/// What a record is sealed with.
struct Frame {
    nonce: Nonce,
    header: [u8; HEADER_BYTES],
    /// The type, where it is encrypted behind the content.
    kind: Option<u8>,
}

/// Where the content of an opened record stands, and its type.
pub(crate) struct Opened {
    pub(crate) kind: u8,
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl Cipher {
    /// Of the secrets that a handshake ended with. `None` for a cipher that we never offer.
    pub(crate) fn new(version: Version, sequence: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let (algorithm, key, iv, tls12) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, Form::Tls12Aes),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, Form::Tls12Aes),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv, Form::Tls12ChaCha),
            _ => return None,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
        let form = if version == Version::Tls13 { Form::Tls13 } else { tls12 };
        Some(Self { key, iv: iv.as_ref().try_into().ok()?, sequence, form })
    }

    /// Whether the key has protected half of what it may: time for the next one.
    pub(crate) fn is_worn(&self) -> bool {
        self.sequence >= self.records_max() / 2
    }

    /// Whether the key must not be used any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.sequence >= self.records_max()
    }

    /// Records that the key may protect.
    pub(crate) fn records_max(&self) -> u64 {
        if self.key.algorithm() == &CHACHA20_POLY1305 { u64::MAX } else { AES_RECORDS_MAX }
    }

    #[cfg(test)]
    pub(crate) fn wear(&mut self, records: u64) {
        self.sequence += records;
    }

    /// Records so far.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What a record is larger than its content.
    pub(crate) fn expansion(&self) -> usize {
        let within = match self.form {
            Form::Tls13 => 1,
            Form::Tls12Aes => EXPLICIT_NONCE_BYTES,
            Form::Tls12ChaCha => 0,
        };
        HEADER_BYTES + within + TAG_BYTES
    }

    /// Has the next record of TLS 1.2's AES-GCM carry this as its half of the nonce; the others take no such half.
    pub(crate) fn set_explicit_nonce(&mut self, explicit: [u8; EXPLICIT_NONCE_BYTES]) {
        if self.form == Form::Tls12Aes {
            let wanted = u64::from_be_bytes(explicit) ^ self.sequence;
            self.iv[NONCE_LEN - EXPLICIT_NONCE_BYTES..].copy_from_slice(&wanted.to_be_bytes());
        }
    }

    /// Appends a record of `plain` (at most [`PLAIN_BYTES_MAX`]).
    pub(crate) fn seal(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>) {
        let start = output.len();
        let Frame { nonce, header, kind } = self.frame(kind, plain.len(), output);
        let kind = kind.as_slice();
        let body = output.len();
        output.resize(body + plain.len() + kind.len() + TAG_BYTES, 0);
        let (cipher, end) = output[body..].split_at_mut(plain.len());
        let mut authenticated = [0; AUTHENTICATED_MAX];
        let authenticated = Aad::from(self.authenticated(header, plain.len(), &mut authenticated));
        if self.key.seal_out_of_place_scatter(nonce, authenticated, plain, cipher, kind, end).is_err() {
            // Only wrong lengths can do this. Rather nothing than plain text.
            output.truncate(start);
        }
        self.sequence += 1;
    }

    /// Appends a record of data whose content (at most [`PLAIN_BYTES_MAX`]) is encrypted where it stands; gives it back when others see it too.
    pub(crate) fn seal_in_place(&mut self, mut content: Chunk, output: &mut Output) -> Result<(), Chunk> {
        let length = content.len();
        let Some(bytes) = content.bytes_mut() else { return Err(content) };
        let Frame { nonce, header, kind } = self.frame(kind::DATA, length, output.tail());
        let kind = kind.as_slice();
        let mut end = [0; 1 + TAG_BYTES];
        let end = &mut end[..kind.len() + TAG_BYTES];
        let mut authenticated = [0; AUTHENTICATED_MAX];
        let authenticated = Aad::from(self.authenticated(header, length, &mut authenticated));
        let sealed = self.key.seal_in_place_scatter(nonce, authenticated, bytes, kind, end);
        self.sequence += 1;
        if sealed.is_err() {
            // Only wrong lengths can do this, and the peer cannot go on behind the header alone. Rather that than plain text.
            return Ok(());
        }
        output.push(content);
        output.write(end);
        Ok(())
    }

    /// Appends what stands before a record's body of `length` bytes.
    fn frame(&self, kind: u8, length: usize, output: &mut Vec<u8>) -> Frame {
        let nonce = self.nonce();
        let (outer, kind) = if self.form == Form::Tls13 { (kind::DATA, Some(kind)) } else { (kind, None) };
        let explicit: &[u8] = if self.form == Form::Tls12Aes { &nonce[NONCE_LEN - EXPLICIT_NONCE_BYTES..] } else { &[] };
        let header = record::header(outer, explicit.len() + length + usize::from(kind.is_some()) + TAG_BYTES);
        output.extend_from_slice(&header);
        output.extend_from_slice(explicit);
        Frame { nonce: Nonce::assume_unique_for_key(nonce), header, kind }
    }

    /// Decrypts a whole record where it stands.
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Result<Opened, Alert> {
        let Some((header, body)) = record.split_first_chunk_mut::<HEADER_BYTES>() else { return Err(Alert::DECODE_ERROR) };
        let mut nonce = self.nonce();
        let mut start = HEADER_BYTES;
        let mut sealed = body;
        if self.form == Form::Tls12Aes {
            let Some((explicit, rest)) = sealed.split_first_chunk_mut::<EXPLICIT_NONCE_BYTES>() else { return Err(Alert::BAD_RECORD_MAC) };
            nonce[..NONCE_LEN - EXPLICIT_NONCE_BYTES].copy_from_slice(&self.iv[..NONCE_LEN - EXPLICIT_NONCE_BYTES]);
            nonce[NONCE_LEN - EXPLICIT_NONCE_BYTES..].copy_from_slice(explicit);
            start += EXPLICIT_NONCE_BYTES;
            sealed = rest;
        }
        if self.form == Form::Tls13 && header[0] != kind::DATA {
            // Nothing is sent in the clear any more; ChangeCipherSpec only during the handshake (RFC 8446 §5).
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let Some(length) = sealed.len().checked_sub(TAG_BYTES) else { return Err(Alert::BAD_RECORD_MAC) };
        let mut authenticated = [0; AUTHENTICATED_MAX];
        let authenticated = self.authenticated(*header, length, &mut authenticated);
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(authenticated), sealed);
        let Ok(plain) = opened else { return Err(Alert::BAD_RECORD_MAC) };
        self.sequence += 1;
        let (kind, length) = if self.form == Form::Tls13 { unpad(plain)? } else { (header[0], plain.len()) };
        if length > PLAIN_BYTES_MAX {
            return Err(Alert::RECORD_OVERFLOW);
        }
        Ok(Opened { kind, start, length })
    }

    /// The IV with the sequence number xored into its end.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - size_of::<u64>()..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// What is authenticated beside `length` bytes of content.
    #[expect(clippy::cast_possible_truncation, reason = "a record's content is below 64 KiB")]
    fn authenticated<'a>(&self, header: [u8; HEADER_BYTES], length: usize, space: &'a mut [u8; AUTHENTICATED_MAX]) -> &'a [u8] {
        if self.form == Form::Tls13 {
            space[..HEADER_BYTES].copy_from_slice(&header);
            return &space[..HEADER_BYTES];
        }
        let [kind, major, minor, ..] = header;
        let [high, low] = (length as u16).to_be_bytes();
        space[..8].copy_from_slice(&self.sequence.to_be_bytes());
        space[8..].copy_from_slice(&[kind, major, minor, high, low]);
        space
    }
}

/// Bytes authenticated beside a record of TLS 1.2.
const AUTHENTICATED_MAX: usize = 13;

/// Type and length of a TLS 1.3 record's content: the last byte that is not padding is the type (RFC 8446 §5.4).
fn unpad(plain: &[u8]) -> Result<(u8, usize), Alert> {
    // Padding counts as content here: the limit is on all of it.
    if plain.len() > PLAIN_BYTES_MAX + 1 {
        return Err(Alert::RECORD_OVERFLOW);
    }
    let Some(at) = plain.iter().rposition(|byte| *byte != 0) else { return Err(Alert::UNEXPECTED_MESSAGE) };
    Ok((plain[at], at))
}

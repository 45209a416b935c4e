//! Session tickets without any state of ours (RFC 8446 §4.6.1, RFC 5077): what a session needs, sealed with a key that all workers share and,
//! when it comes from a file, all nodes. The newest key seals, older ones still open.
//!
//! A ticket is bound to the settings for clients' certificates it was written under: whoever was let in under older ones, with another
//! authority, list of revocations or mode, shows a certificate again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::SHA256_OUTPUT_LEN,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};
use rustls::server::ProducesTickets;

use crate::SettingsError;

/// Keys kept, the newest included. Turned every so often, a ticket lives that many turns less one.
pub const TICKET_KEYS_MAX: usize = 8;

/// Keys kept when they are made here.
const ROTATED_KEYS: usize = 3;

/// What clients are told (RFC 8446 §4.6.1 allows a week).
const LIFETIME_SECONDS: u32 = 12 * 60 * 60;

/// Bytes of the secret that name and key are made from.
const SECRET_BYTES: usize = 32;
const NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// The keys of the present moment, shared by every server that writes tickets.
#[derive(Debug)]
pub struct Tickets {
    /// Newest first.
    keys: ArcSwap<Vec<Arc<TicketKey>>>,
}

struct TicketKey {
    name: [u8; NAME_BYTES],
    /// AES-GCM-SIV: nodes that share a key cannot count nonces together, and with this a nonce that two of them draw gives nothing away.
    key: LessSafeKey,
}

impl Tickets {
    /// With a key that nobody else knows: sessions are resumed by this process only.
    pub fn random() -> Result<Self, SettingsError> {
        Ok(Self { keys: ArcSwap::from_pointee(vec![Arc::new(TicketKey::random()?)]) })
    }

    /// With the keys of a file: one a line as 64 hexadecimal digits (`openssl rand -hex 32`), the newest first; empty lines and what follows a
    /// `#` mean nothing.
    pub fn from_text(text: &str) -> Result<Self, SettingsError> {
        Ok(Self { keys: ArcSwap::from_pointee(parse(text)?) })
    }

    /// Takes the keys of a file that has changed. On an error the present ones stay.
    pub fn replace(&self, text: &str) -> Result<(), SettingsError> {
        self.keys.store(Arc::new(parse(text)?));
        Ok(())
    }

    /// A new key seals from now on; the oldest opens nothing any more. To be called every few hours.
    pub fn rotate(&self) -> Result<(), SettingsError> {
        let mut keys = vec![Arc::new(TicketKey::random()?)];
        keys.extend(self.keys.load().iter().take(ROTATED_KEYS - 1).cloned());
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// For a server whose settings for clients' certificates have this digest.
    pub(crate) fn bound_to(self: &Arc<Self>, binding: [u8; SHA256_OUTPUT_LEN]) -> Arc<dyn ProducesTickets> {
        Arc::new(BoundTickets { tickets: Arc::clone(self), binding })
    }

    fn seal(&self, plain: &[u8], binding: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let key = keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let body = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let tag = key.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(binding), body).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], binding: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let length = key.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(binding), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

fn parse(text: &str) -> Result<Vec<Arc<TicketKey>>, SettingsError> {
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let secret = secret(line).ok_or(SettingsError::BadTicketKey(at + 1))?;
            keys.push(Arc::new(TicketKey::new(&secret).ok_or(SettingsError::BadTicketKey(at + 1))?));
        }
    }
    if (1..=TICKET_KEYS_MAX).contains(&keys.len()) { Ok(keys) } else { Err(SettingsError::TicketKeyCount(TICKET_KEYS_MAX)) }
}

fn secret(line: &str) -> Option<[u8; SECRET_BYTES]> {
    let (pairs, []) = line.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

impl TicketKey {
    fn random() -> Result<Self, SettingsError> {
        let mut secret = [0; SECRET_BYTES];
        rand::fill(&mut secret).map_err(|_unspecified| SettingsError::NoRandom)?;
        Self::new(&secret).ok_or(SettingsError::NoRandom)
    }

    fn new(secret: &[u8; SECRET_BYTES]) -> Option<Self> {
        let pseudorandom = Salt::new(HKDF_SHA256, b"sluice session tickets").extract(secret);
        let mut bytes = [0; NAME_BYTES + SECRET_BYTES];
        pseudorandom.expand(&[b"name and key"], Length(NAME_BYTES + SECRET_BYTES)).ok()?.fill(&mut bytes).ok()?;
        let (name, key) = bytes.split_first_chunk()?;
        Some(Self { name: *name, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?) })
    }
}

/// How many bytes HKDF is asked for.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl core::fmt::Debug for TicketKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("TicketKey")
    }
}

#[derive(Debug)]
struct BoundTickets {
    tickets: Arc<Tickets>,
    binding: [u8; SHA256_OUTPUT_LEN],
}

impl ProducesTickets for BoundTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(plain, &self.binding)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(cipher, &self.binding)
    }
}

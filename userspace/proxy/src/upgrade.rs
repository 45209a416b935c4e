//! Requests that ask to speak something else: WebSocket, over any HTTP version on either side (RFC 6455, RFC 8441).
//!
//! HTTP/1 proves by a key and a digest of it that a server has understood; HTTP/2 does without. So each side that wants the proof gets its own.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use exchange::Exchange;
use model::{Cause, Fault, Head, Name};

/// What is appended to a key before the digest (RFC 6455 §1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that is asked for.
pub(crate) struct Upgrade {
    /// What proves that the request was understood.
    proof: String,
    /// Whether the client has asked for the proof: the key is its own then, else ours.
    is_clients: bool,
}

/// What a request asks to speak, if it does; the request gets a key for the origin when it has none.
pub(crate) fn asked(head: &mut Head, random: impl FnOnce() -> [u64; 2]) -> Option<Upgrade> {
    head.request().filter(|line| !line.protocol.is_empty())?;
    if let Some(key) = head.fields.get(Name::SecWebSocketKey) {
        return Some(Upgrade { proof: proof(key), is_clients: true });
    }
    let key = STANDARD.encode(random().map(u64::to_be_bytes).concat());
    head.fields.append_name(Name::SecWebSocketKey, key.as_bytes());
    Some(Upgrade { proof: proof(key.as_bytes()), is_clients: false })
}

impl Upgrade {
    /// Looks at the answer: one that agrees has or gets the proof that the client wants. `proves`: the origin gives one.
    pub(crate) fn answered(&self, head: &mut Head, proves: bool) -> Result<(), Fault> {
        // Where the client asked, it is for the client to judge.
        if head.status() != 101 || (self.is_clients && proves) {
            return Ok(());
        }
        if proves && head.fields.get(Name::SecWebSocketAccept) != Some(self.proof.as_bytes()) {
            return Err(Fault::origin(Cause::MalformedResponse));
        }
        head.fields.remove_name(Name::SecWebSocketAccept);
        if self.is_clients {
            head.fields.append_name(Name::SecWebSocketAccept, self.proof.as_bytes());
        }
        Ok(())
    }
}

/// Whether a client that asked for an upgrade would take an ordinary answer for a yes.
pub(crate) fn is_mistaken(status: u16, down: &Exchange) -> bool {
    down.success_opens_tunnel() && (200..300).contains(&status)
}

fn proof(key: &[u8]) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_proved_as_the_rfc_does_it() {
        // RFC 6455 section 1.3.
        assert_eq!(proof(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

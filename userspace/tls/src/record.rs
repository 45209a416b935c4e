//! The outermost frame of TLS (RFC 8446 §5.1, RFC 5246 §6.2): where a record ends, and the numbers of types and alerts.

/// Bytes of a record's header: type, version, length.
pub(crate) const HEADER_BYTES: usize = 5;

/// Content bytes of one record.
pub(crate) const PLAIN_BYTES_MAX: usize = 16 * 1024;

/// What encryption may add to it: up to 256 in TLS 1.3 (RFC 8446 §5.2), up to 2048 in TLS 1.2 (RFC 5246 §6.2.3) and until the version is known.
pub(crate) const EXPANSION_TLS13_MAX: usize = 256;
pub(crate) const EXPANSION_MAX: usize = 2048;

/// Content types (RFC 8446 §5.1).
pub(crate) mod kind {
    pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const DATA: u8 = 23;
}

/// The description of an alert (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert(pub(crate) u8);

impl Alert {
    pub(crate) const CLOSE_NOTIFY: Self = Self(0);
    pub(crate) const UNEXPECTED_MESSAGE: Self = Self(10);
    pub(crate) const BAD_RECORD_MAC: Self = Self(20);
    pub(crate) const RECORD_OVERFLOW: Self = Self(22);
    pub(crate) const ILLEGAL_PARAMETER: Self = Self(47);
    pub(crate) const DECODE_ERROR: Self = Self(50);
    pub(crate) const PROTOCOL_VERSION: Self = Self(70);
    pub(crate) const INTERNAL_ERROR: Self = Self(80);
    pub(crate) const INAPPROPRIATE_FALLBACK: Self = Self(86);
    pub(crate) const USER_CANCELED: Self = Self(90);
    pub(crate) const NO_RENEGOTIATION: Self = Self(100);
    pub(crate) const UNRECOGNIZED_NAME: Self = Self(112);

    /// Level and description, as they are sent.
    pub(crate) fn bytes(self) -> [u8; 2] {
        let is_warning = matches!(self, Self::CLOSE_NOTIFY | Self::USER_CANCELED | Self::NO_RENEGOTIATION);
        [if is_warning { LEVEL_WARNING } else { LEVEL_FATAL }, self.0]
    }
}

/// Alert levels (RFC 5246 §7.2; TLS 1.3 keeps the byte and ignores it).
pub(crate) const LEVEL_WARNING: u8 = 1;
pub(crate) const LEVEL_FATAL: u8 = 2;

/// Bytes of the record that `bytes` begin with, header included; `None` until its header is there.
pub(crate) fn length(bytes: &[u8], expansion_max: usize) -> Result<Option<usize>, Alert> {
    let Some([kind, major, _minor, high, low]) = bytes.first_chunk() else { return Ok(None) };
    if !(kind::CHANGE_CIPHER_SPEC..=kind::DATA).contains(kind) || *major != 3 {
        return Err(Alert::UNEXPECTED_MESSAGE);
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > PLAIN_BYTES_MAX + expansion_max {
        return Err(Alert::RECORD_OVERFLOW);
    }
    Ok(Some(HEADER_BYTES + length))
}

/// The header of a record whose content has `length` bytes. Its version is TLS 1.2's in either (RFC 8446 §5.1).
#[expect(clippy::cast_possible_truncation, reason = "a record's content is below 64 KiB")]
pub(crate) fn header(kind: u8, length: usize) -> [u8; HEADER_BYTES] {
    let [high, low] = (length as u16).to_be_bytes();
    [kind, 3, 3, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_their_header_says() {
        let over = u8::try_from((PLAIN_BYTES_MAX + EXPANSION_TLS13_MAX) >> 8).unwrap();
        let check = |bytes: &[u8], expected| assert_eq!(length(bytes, EXPANSION_TLS13_MAX), expected, "{bytes:?}");
        check(b"", Ok(None));
        check(b"\x16\x03\x01\x00", Ok(None));
        check(b"\x16\x03\x01\x00\x00", Ok(Some(5)));
        check(b"\x17\x03\x03\x01\x02xyz", Ok(Some(5 + 0x102)));
        check(b"\x18\x03\x03\x00\x01", Err(Alert::UNEXPECTED_MESSAGE));
        check(b"GET /", Err(Alert::UNEXPECTED_MESSAGE));
        check(&[23, 3, 3, over, 0], Ok(Some(5 + PLAIN_BYTES_MAX + EXPANSION_TLS13_MAX)));
        check(&[23, 3, 3, over, 1], Err(Alert::RECORD_OVERFLOW));
        assert_eq!(length(&header(kind::DATA, 300), EXPANSION_MAX), Ok(Some(305)));
    }
}

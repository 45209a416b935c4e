//! What the bytes of names and values may be. Narrower than the grammars where breadth only serves confusion, and the same as the HTTP/1
//! codec asks, so that what came over one can leave over the other.
#![expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are looked at by one instruction")]

/// The largest length we believe: what fits a signed 64-bit number, so that no party behind us can overflow on it.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// Whether a field may stand in a message at all; of a pseudo-header field, whether its value may.
pub(crate) fn is_fair(name: &[u8], value: &[u8]) -> bool {
    (name.first() == Some(&b':') || (is_name(name) && !is_disguised(name))) && is_value(value)
}

/// Whether a field name is a token without upper case (RFC 9113 §8.2.1).
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !has(name, |byte| !is_token_byte(byte) | byte.is_ascii_uppercase())
}

/// Whether a field value has no control bytes in it, and no white space around it (RFC 9113 §8.2.1).
pub(crate) fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !has(value, |byte| (byte < b' ') & (byte != b'\t') | (byte == 0x7f)) && !blank(value.first()) && !blank(value.last())
}

/// Whether a method is a token (RFC 9110 §9.1).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && !has(text, |byte| !is_token_byte(byte))
}

/// Whether there is such a byte. All of them are looked at, which is quicker than stopping at the first: the compiler makes one instruction
/// of many bytes.
pub(crate) fn has(bytes: &[u8], such: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |found, byte| found | u8::from(such(*byte))) != 0
}

fn is_token_byte(byte: u8) -> bool {
    let letter = byte.is_ascii_alphanumeric();
    let sign = (b'#'..=b'\'').contains(&byte) | (b'^'..=b'`').contains(&byte) | (byte == b'!') | (byte == b'*') | (byte == b'+');
    letter | sign | (byte == b'-') | (byte == b'.') | (byte == b'|') | (byte == b'~')
}

/// Whether `path` is a path with or without a query: visible ASCII, no fragment (RFC 9113 §8.3.1).
pub(crate) fn is_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && !has(path, |byte| !(b'!'..=b'~').contains(&byte) | (byte == b'#'))
}

/// `uri-host [":" port]`: no user information, no `,`, no zone identifiers.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some((address, port)) = rest.iter().position(|byte| *byte == b']').and_then(|end| rest.split_at_checked(end)) else {
            return false;
        };
        let plausible = address.len() >= 2 && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        return plausible && address.contains(&b':') && is_port(port.get(1..).unwrap_or_default());
    }
    let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (name, port) = text.split_at_checked(colon).unwrap_or_default();
    !name.is_empty() && is_host_name(name) && is_port(port)
}

fn is_host_name(name: &[u8]) -> bool {
    // Nearly all are of these.
    if !has(name, |byte| !(byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'.'))) {
        return true;
    }
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=', _) => after,
            (byte, _) if byte.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    true
}

/// Nothing, or a colon and at most a port's digits.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => digits.len() <= 5 && parse_length(digits).is_some_and(|port| port <= 65_535),
        _ => false,
    }
}

/// A Content-Length (RFC 9110 §8.6): digits only, and not more than a signed 64-bit number holds.
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let digit = |length: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    };
    value.iter().try_fold(0, digit).filter(|length| *length <= LENGTH_MAX)
}

/// A :status: three digits, 100 to 599 (RFC 9110 §15).
pub(crate) fn parse_status(value: &[u8]) -> Option<u16> {
    let [hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = value else { return None };
    Some(u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
}

/// Whether it is a name that frames or vouches, but for `_` in the place of `-`: CGI-like interfaces take one for the other.
pub(crate) fn is_disguised(name: &[u8]) -> bool {
    const PLAIN: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"];
    let same = |(byte, plain): (&u8, &u8)| byte == plain || (*byte == b'_' && *plain == b'-');
    name.contains(&b'_') && PLAIN.iter().any(|plain| name.len() == plain.len() && name.iter().zip(*plain).all(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for (text, expect) in [
            ("a", true),
            ("shop.example.com:8080", true),
            ("a_b~c%41", true),
            ("[2001:db8::1]:443", true),
            ("a:65535", true),
            ("", false),
            (":80", false),
            ("a:65536", false),
            ("a:080808", false),
            ("a:8o", false),
            ("user@a", false),
            ("a,b", false),
            ("a%4", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[]", false),
            ("[fe80::1%25eth0]", false),
            ("::1", false),
        ] {
            assert_eq!(is_authority(text.as_bytes()), expect, "{text}");
        }
    }

    #[test]
    fn names_values_numbers() {
        for (name, expect) in [("a-b", true), ("", false), ("A", false), ("a b", false), ("a:", false), (":a", false), ("a\u{e9}", false)] {
            assert_eq!(is_name(name.as_bytes()), expect, "{name}");
        }
        for (value, expect) in [
            ("", true),
            ("a b\tc\u{e9}", true),
            (" a", false),
            ("a ", false),
            ("\ta", false),
            ("a\rb", false),
            ("a\0", false),
            ("\x7f", false),
        ] {
            assert_eq!(is_value(value.as_bytes()), expect, "{value:?}");
        }
        for (value, expect) in [("0", Some(0)), ("007", Some(7)), ("+1", None), ("", None), ("9223372036854775808", None), ("1,1", None)] {
            assert_eq!(parse_length(value.as_bytes()), expect, "{value}");
        }
        for (value, expect) in [("200", Some(200)), ("099", None), ("600", None), ("20", None), ("2000", None), ("2x0", None)] {
            assert_eq!(parse_status(value.as_bytes()), expect, "{value}");
        }
        assert!(is_disguised(b"content_length") && is_disguised(b"x_forwarded-for") && !is_disguised(b"content-length"));
    }
}

//! `uri-host [":" port]`, as Host and absolute targets carry it (RFC 9110 §7.2, RFC 3986 §3.2). Narrower than the grammar where breadth
//! only serves confusion: no user information, no `,` (what a party makes of two Host lines), no zone identifiers, no future IP versions.

/// Whether these bytes are a host with or without a port. Not empty.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    if let [b'[', rest @ ..] = bytes {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let (address, after) = rest.split_at(end);
        let plausible = address.len() >= 2 && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        return plausible && memchr::memchr(b':', address).is_some() && is_port(after.get(1..).unwrap_or_default());
    }
    let colon = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
    let (name, port) = bytes.split_at(colon);
    !name.is_empty() && is_name(name) && is_port(port)
}

/// A registered name: unreserved characters, sub-delimiters, whole percent-encodings.
fn is_name(name: &[u8]) -> bool {
    // Nearly all are of these; all of them looked at, because that is quicker than stopping at the first other one.
    if name.iter().fold(true, |plain, byte| plain & (byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.'))) {
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

/// Nothing, or a colon and at most a port's digits (none at all is a port too, RFC 3986 §3.2.3).
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, expect) in [
            ("a", true),
            ("shop.example.com:8080", true),
            ("a_b~c", true),
            ("a%41b", true),
            ("10.0.0.1", true),
            ("[::1]", true),
            ("[2001:db8::1]:443", true),
            ("a:", true),
            ("a:65535", true),
            ("", false),
            (":80", false),
            ("a:65536", false),
            ("a:080808", false),
            ("a:8o", false),
            ("a:-1", false),
            ("a:80:80", false),
            ("user@a", false),
            ("a,b", false),
            ("a b", false),
            ("a/b", false),
            ("a?b", false),
            ("a#b", false),
            ("a\\b", false),
            ("a%4", false),
            ("a%zz", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[]", false),
            ("[a]", false),
            ("[fe80::1%25eth0]", false),
            ("::1", false),
            ("[v1.x:y]", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(is_authority(text.as_bytes()), expect, "{text:?}");
        }
    }
}

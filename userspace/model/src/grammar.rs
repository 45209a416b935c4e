//! What values and names mean in every HTTP version (RFC 9110): one place, so that what came over one version can leave over another.
//! Narrower than the grammars where breadth only serves confusion.

use crate::Name;

/// The largest length we believe: what fits a signed 64-bit number, so that no party behind us can overflow on it.
pub const LENGTH_MAX: u64 = i64::MAX as u64;

/// A Content-Length (RFC 9110 §8.6): digits only, and not above [`LENGTH_MAX`].
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let digit = |length: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    };
    value.iter().try_fold(0, digit).filter(|length| *length <= LENGTH_MAX)
}

/// Whether these bytes are `uri-host [":" port]`, as Host, `:authority` and absolute targets carry it (RFC 9110 §7.2, RFC 3986 §3.2). Not empty, no
/// user information, no `,` (what a party makes of two Host lines), no zone identifiers, no future IP versions.
pub fn is_authority(text: &[u8]) -> bool {
    if let [b'[', rest @ ..] = text {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        let (address, after) = rest.split_at(end);
        let plausible = address.len() >= 2 && address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        return plausible && address.contains(&b':') && is_port(after.get(1..).unwrap_or_default());
    }
    let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (name, port) = text.split_at(colon);
    !name.is_empty() && is_host_name(name) && is_port(port)
}

/// A registered name: unreserved characters, sub-delimiters, whole percent-encodings.
fn is_host_name(name: &[u8]) -> bool {
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
        [b':', digits @ ..] => digits.len() <= 5 && parse_length(digits).is_some_and(|port| port <= 65_535),
        _ => false,
    }
}

/// Whether it is a name that frames or vouches, but for `_` in the place of `-`: CGI-like interfaces take `Content_Length` for
/// Content-Length and `X_Forwarded_For` for X-Forwarded-For.
pub fn is_disguised(name: &[u8]) -> bool {
    const DISGUISES: [Name; 5] =
        [Name::ContentLength, Name::TransferEncoding, Name::XForwardedFor, Name::XForwardedProto, Name::XRequestId];
    let same = |(byte, plain): (&u8, &u8)| byte.eq_ignore_ascii_case(plain) || (*byte == b'_' && *plain == b'-');
    let mut plain = DISGUISES.iter().map(|known| known.as_str().as_bytes());
    name.contains(&b'_') && plain.any(|plain| name.len() == plain.len() && name.iter().zip(plain).all(same))
}

/// Whether a field may not stand in trailers because it would frame, route or authorise (RFC 9110 §6.5.1): those that [`Name`] knows, and these.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 10] = [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"proxy-authorization",
        b"range",
        b"set-cookie",
        b"www-authenticate",
    ];
    Name::of(name) != Name::Other || OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other))
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
            ("a_b~c%41", true),
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

    #[test]
    fn lengths_and_disguises() {
        for (value, expect) in [("0", Some(0)), ("007", Some(7)), ("+1", None), ("", None), ("9223372036854775808", None), ("1,1", None)] {
            assert_eq!(parse_length(value.as_bytes()), expect, "{value}");
        }
        assert!(is_disguised(b"content_length") && is_disguised(b"x_forwarded-for") && !is_disguised(b"content-length"));
    }
}

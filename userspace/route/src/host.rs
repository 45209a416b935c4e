//! Host patterns, and what of a Host field is compared: without port, without the trailing dot, without case.

use alloc::boxed::Box;
use alloc::string::String;

/// The longest host name that can match a pattern by name; DNS allows 253 (RFC 1035 section 2.3.4).
pub(crate) const HOST_BYTES_MAX: usize = 255;

/// What a site answers for. Names are kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host: `shop.example.com`, `192.0.2.1`, `[2001:db8::1]`.
    Exact(Box<str>),
    /// Everything below a name: `*.shop.example.com`, kept with its leading dot.
    Suffix(Box<str>),
    /// `*`: every host that no other site has.
    Any,
}

/// Why a text is no host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("a host is not empty")]
    Empty,
    /// Longer than any host name.
    #[error("a host has at most 255 bytes")]
    TooLong,
    /// It carries a port.
    #[error("a host is written without port: every port of the listener is meant")]
    Port,
    /// A `*` stands elsewhere than as the first label.
    #[error("'*' may only stand alone or be the whole first label, as in *.example.com")]
    Star,
    /// An empty label or a byte that no host has.
    #[error("a host holds letters, digits, '-', '_' and single dots, or is an address ([...] for IPv6)")]
    Byte,
}

impl HostPattern {
    /// Reads `shop.example.com`, `*.shop.example.com`, `[::1]` or `*`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.len() > HOST_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let name: String = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if let Some(rest) = name.strip_prefix('[') {
            return read_ipv6(&name, rest);
        }
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        if labels.contains('*') {
            return Err(HostError::Star);
        }
        if labels.contains(':') {
            return Err(HostError::Port);
        }
        if !labels.split('.').all(is_label) {
            return Err(HostError::Byte);
        }
        Ok(if labels.len() == name.len() { Self::Exact(name.into()) } else { Self::Suffix(name[1..].into()) })
    }
}

fn read_ipv6(name: &str, rest: &str) -> Result<HostPattern, HostError> {
    let (address, after) = rest.split_once(']').ok_or(HostError::Byte)?;
    if !after.is_empty() {
        return Err(HostError::Port);
    }
    if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.') {
        return Err(HostError::Byte);
    }
    Ok(HostPattern::Exact(name.into()))
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The name in a Host field or authority: port and trailing dot taken off. Whether it is a lawful host at all is the
/// caller's business.
pub(crate) fn name_of(host: &[u8]) -> &[u8] {
    let name = if host.first() == Some(&b'[') {
        let end = host.iter().position(|byte| *byte == b']').map_or(host.len(), |place| place + 1);
        &host[..end]
    } else {
        let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
        &host[..end]
    };
    name.strip_suffix(b".").unwrap_or(name)
}

/// `name` in lower case in `room`, or `None` when it is too long to be anybody's.
pub(crate) fn lower<'a>(name: &[u8], room: &'a mut [u8; HOST_BYTES_MAX]) -> Option<&'a [u8]> {
    let room = room.get_mut(..name.len())?;
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_or_say_why_not() {
        for (text, expect) in [
            ("*", Ok(HostPattern::Any)),
            ("Shop.Example.com.", Ok(HostPattern::Exact("shop.example.com".into()))),
            ("*.Example.com", Ok(HostPattern::Suffix(".example.com".into()))),
            ("[::1]", Ok(HostPattern::Exact("[::1]".into()))),
            ("192.0.2.1", Ok(HostPattern::Exact("192.0.2.1".into()))),
            ("", Err(HostError::Empty)),
            (".", Err(HostError::Empty)),
            ("a..b", Err(HostError::Byte)),
            ("a b", Err(HostError::Byte)),
            ("*.", Err(HostError::Star)),
            ("a.*.b", Err(HostError::Star)),
            ("*a.b", Err(HostError::Star)),
            ("a:80", Err(HostError::Port)),
            ("[::1]:80", Err(HostError::Port)),
            ("[::1", Err(HostError::Byte)),
        ] {
            assert_eq!(HostPattern::parse(text), expect, "{text}");
        }
    }

    #[test]
    fn ports_and_trailing_dots_are_taken_off() {
        for (host, expect) in [
            ("a.b", "a.b"),
            ("a.b:80", "a.b"),
            ("a.b.:80", "a.b"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("[::1", "[::1"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(name_of(host.as_bytes()), expect.as_bytes(), "{host}");
        }
    }
}

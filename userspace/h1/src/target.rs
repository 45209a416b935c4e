//! The four forms of a request's target (RFC 9112 §3.2), taken apart into authority and path.

use buf::Chunk;
use model::{Cause, Method, Scheme, Text, grammar::is_authority};

/// A target, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// The absolute form's scheme and authority, which override how the client came and what Host says (RFC 9112 §3.2.2).
    pub(crate) absolute: Option<(Scheme, Text)>,
    /// Path and query, or `*`.
    pub(crate) path: Text,
}

/// Takes `target` apart. It is not empty and has no white space in it.
pub(crate) fn read(method: &Method, target: Text) -> Result<Target, Cause> {
    if *method == Method::Connect {
        return read_authority(&target);
    }
    // A fragment is never sent (RFC 9112 §3.2: absolute-path and query only); everything beyond visible ASCII must be encoded.
    // (A sum of all rather than a search for the first: the compiler makes one instruction of sixteen bytes.)
    if target.iter().map(|byte| u32::from(!matches!(byte, b'!'..=b'~' if *byte != b'#'))).sum::<u32>() > 0 {
        return Err(Cause::BadTarget);
    }
    match target.first() {
        Some(b'/') => Ok(Target { absolute: None, path: target }),
        Some(b'*') if target.len() == 1 && *method == Method::Options => Ok(Target { absolute: None, path: target }),
        _ => read_absolute(method, &target),
    }
}

/// The authority form (RFC 9112 §3.2.3): host and port, both needed (RFC 9110 §9.3.6).
fn read_authority(target: &Text) -> Result<Target, Cause> {
    let port = target.iter().rposition(|byte| *byte == b':').and_then(|colon| target.get(colon + 1..));
    let has_port = port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
    if !has_port || !is_authority(target) {
        return Err(Cause::BadTarget);
    }
    Ok(Target { absolute: Some((Scheme::Http, target.clone())), path: Text::default() })
}

fn read_absolute(method: &Method, target: &Text) -> Result<Target, Cause> {
    let (scheme, start) = match (prefix(target, b"http://"), prefix(target, b"https://")) {
        (true, _) => (Scheme::Http, 7),
        (_, true) => (Scheme::Https, 8),
        _ => return Err(Cause::BadTarget),
    };
    let rest = target.get(start..).unwrap_or_default();
    let end = start + rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = target.slice(start, end);
    if !is_authority(&authority) {
        return Err(Cause::BadTarget);
    }
    let path = match target.get(end) {
        Some(b'/') => target.slice(end, target.len()),
        Some(_) => Chunk::from([b"/", target.get(end..).unwrap_or_default()].concat()),
        None if *method == Method::Options => Text::from("*"), // RFC 9112 §3.2.4
        None => Text::from("/"),
    };
    Ok(Target { absolute: Some((scheme, authority)), path })
}

fn prefix(target: &[u8], scheme: &[u8]) -> bool {
    target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, expect: &str) {
        let method = Method::registered(method.as_bytes()).unwrap();
        let got = match read(&method, Text::from(target)) {
            Ok(Target { absolute: None, path }) => format!("{path:?}"),
            Ok(Target { absolute: Some((scheme, authority)), path }) => format!("{} {authority:?} {path:?}", scheme.as_str()),
            Err(cause) => format!("{cause:?}"),
        };
        assert_eq!(got, expect, "{target:?}");
    }

    #[test]
    fn the_four_forms() {
        for (method, target, expect) in [
            ("GET", "/", r#""/""#),
            ("GET", "/a/../b?c=%20", r#""/a/../b?c=%20""#),
            ("GET", "//a/b", r#""//a/b""#),
            ("OPTIONS", "*", r#""*""#),
            ("GET", "*", "BadTarget"),
            ("OPTIONS", "*/a", "BadTarget"),
            ("GET", "http://a/b?c", r#"http "a" "/b?c""#),
            ("GET", "HTTPS://a:1/", r#"https "a:1" "/""#),
            ("GET", "http://a", r#"http "a" "/""#),
            ("GET", "http://a?b", r#"http "a" "/?b""#),
            ("OPTIONS", "http://a", r#"http "a" "*""#),
            ("GET", "http://", "BadTarget"),
            ("GET", "http:///a", "BadTarget"),
            ("GET", "http://u@a/", "BadTarget"),
            ("GET", "http://a:b/", "BadTarget"),
            ("GET", "ftp://a/", "BadTarget"),
            ("GET", "a", "BadTarget"),
            ("GET", "a:80", "BadTarget"),
            ("GET", "/a#b", "BadTarget"),
            ("GET", "/\u{e9}", "BadTarget"),
            ("GET", "/\u{7f}", "BadTarget"),
            ("CONNECT", "a:443", r#"http "a:443" """#),
            ("CONNECT", "[::1]:443", r#"http "[::1]:443" """#),
            ("CONNECT", "a", "BadTarget"),
            ("CONNECT", "a:", "BadTarget"),
            ("CONNECT", "[::1]", "BadTarget"),
            ("CONNECT", "http://a:1/", "BadTarget"),
            ("CONNECT", "u@a:1", "BadTarget"),
        ] {
            check(method, target, expect);
        }
    }
}

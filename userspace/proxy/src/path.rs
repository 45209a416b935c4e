//! One spelling for each path (RFC 3986 §6.2.2), so that a route and the origin behind it can not read the same request as two different ones.

use std::borrow::Cow;

/// The path in its normal form: unreserved characters decoded, `.` and `..` segments resolved, escapes in upper case. `None` when it climbs
/// above the root or has a broken escape. The query is left as it is.
pub(crate) fn normalise(target: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (path, query) = target.split_at(before_query(target).len());
    let plain = !path.contains(&b'%') && !path.contains(&b'\\') && !path.windows(2).any(|pair| pair == b"/.");
    if plain || path.first() != Some(&b'/') {
        return Some(Cow::Borrowed(target));
    }
    let decoded = decode_unreserved(path)?;
    let mut out: Vec<u8> = Vec::with_capacity(target.len());
    let mut segments = decoded[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." if last => out.push(b'/'),
            b"." => {}
            b".." => {
                let parent = out.iter().rposition(|byte| *byte == b'/')?;
                out.truncate(parent);
                if last {
                    out.push(b'/');
                }
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    out.extend_from_slice(query);
    Some(Cow::Owned(out))
}

/// The path without its query: what routes are about.
pub(crate) fn before_query(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    &target[..end]
}

/// Decodes what an escape need not hide, writes the others in upper case. A backslash, which some origins take for a slash, is refused.
fn decode_unreserved(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'\\' {
            return None;
        }
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let (high, low) = (hex(*rest.next()?)?, hex(*rest.next()?)?);
        let value = high << 4 | low;
        match value {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(value),
            0 => return None,
            _ => out.extend_from_slice(&[b'%', upper_hex(high), upper_hex(low)]),
        }
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn upper_hex(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_spelling() {
        let check = |from: &str, to: Option<&str>| {
            let normal = normalise(from.as_bytes());
            assert_eq!(normal.as_deref().map(|path| str::from_utf8(path).unwrap()), to, "{from}");
        };
        check("/", Some("/"));
        check("/a/b?x=/../y", Some("/a/b?x=/../y"));
        check("/a/./b/../c", Some("/a/c"));
        check("/a/..", Some("/"));
        check("/a/.", Some("/a/"));
        check("/a/../../b", None);
        check("/%2e%2e/x", None);
        check("/a/%2E%2e/b", Some("/b"));
        check("/%61dmin", Some("/admin"));
        check("/a%2fb", Some("/a%2Fb"));
        check("/a%2", None);
        check("/a%zz", None);
        check("/a%00", None);
        check("/a\\b", None);
        check("//a//b", Some("//a//b"));
        check("/...", Some("/..."));
        check("/.a/b.", Some("/.a/b."));
        check("*", Some("*"));
        check("/%2e", Some("/"));
    }
}

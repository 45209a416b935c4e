//! Path patterns: `/a/b` is exact, `/a/*` is whole segments (`/a` and everything below it), and that is all.

use alloc::boxed::Box;

/// What a rule asks of the path (the bytes before `?`, already normalised by the caller).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Every path, also `*` of `OPTIONS *` and the empty path of CONNECT.
    Any,
    /// This path and no other.
    Exact(Box<[u8]>),
    /// This path and everything below it; without the last slash, so `/*` is the empty prefix.
    Prefix(Box<[u8]>),
}

/// Why a text is no path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("a path begins with '/'")]
    NoSlash,
    /// A `*` stands elsewhere than as the whole last segment.
    #[error("'*' may only be the whole last segment, as in /api/*")]
    Star,
    /// It has a byte that no request path can have at this place: `?`, `#`, a space or a control.
    #[error("a path holds no '?', '#', space or control character: it is matched without the query")]
    Byte,
    /// A prefix whose last segment is empty, as in `//*`.
    #[error("a prefix does not end in an empty segment")]
    EmptySegment,
}

impl PathPattern {
    /// Reads `/a/b` or `/a/*`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::NoSlash);
        }
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'?' || byte == b'#') {
            return Err(PathError::Byte);
        }
        let (path, is_prefix) = match text.strip_suffix("/*") {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if path.contains('*') {
            return Err(PathError::Star);
        }
        if is_prefix && path.ends_with('/') {
            return Err(PathError::EmptySegment);
        }
        let bytes = path.as_bytes().into();
        Ok(if is_prefix { Self::Prefix(bytes) } else { Self::Exact(bytes) })
    }

    /// Whether `path` matches: the definition that the table's index has to agree with.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.first() == Some(&b'/') || (rest.is_empty() && !prefix.is_empty()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_or_say_why_not() {
        for (text, expect) in [
            ("/", Ok(PathPattern::Exact(b"/".as_slice().into()))),
            ("/a/b", Ok(PathPattern::Exact(b"/a/b".as_slice().into()))),
            ("/a/", Ok(PathPattern::Exact(b"/a/".as_slice().into()))),
            ("/*", Ok(PathPattern::Prefix(b"".as_slice().into()))),
            ("/a/*", Ok(PathPattern::Prefix(b"/a".as_slice().into()))),
            ("a", Err(PathError::NoSlash)),
            ("", Err(PathError::NoSlash)),
            ("*", Err(PathError::NoSlash)),
            ("/a*", Err(PathError::Star)),
            ("/*/a", Err(PathError::Star)),
            ("/*/*", Err(PathError::Star)),
            ("/a/**", Err(PathError::Star)),
            ("/a?b=1", Err(PathError::Byte)),
            ("/a b", Err(PathError::Byte)),
            ("/a#b", Err(PathError::Byte)),
            ("/a//*", Err(PathError::EmptySegment)),
        ] {
            assert_eq!(PathPattern::parse(text), expect, "{text}");
        }
    }

    #[test]
    fn prefixes_take_whole_segments() {
        for (pattern, path, expect) in [
            ("/api/*", "/api", true),
            ("/api/*", "/api/", true),
            ("/api/*", "/api/v1/x", true),
            ("/api/*", "/apix", false),
            ("/api/*", "/ap", false),
            ("/*", "/", true),
            ("/*", "/x", true),
            ("/*", "*", false),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/", "/a", false),
        ] {
            let matcher = PathPattern::parse(pattern).expect("a good pattern");
            assert_eq!(matcher.matches(path.as_bytes()), expect, "{pattern} on {path}");
        }
    }
}

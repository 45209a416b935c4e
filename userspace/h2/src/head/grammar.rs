//! What the bytes of names and values may be, as HTTP/2 asks it; what every version asks alike is in [`model::grammar`].
#![expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are looked at by one instruction")]

use model::grammar::is_disguised;

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

/// A :status: three digits, 100 to 599 (RFC 9110 §15).
pub(crate) fn parse_status(value: &[u8]) -> Option<u16> {
    let [hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = value else { return None };
    Some(u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (value, expect) in [("200", Some(200)), ("099", None), ("600", None), ("20", None), ("2000", None), ("2x0", None)] {
            assert_eq!(parse_status(value.as_bytes()), expect, "{value}");
        }
    }
}

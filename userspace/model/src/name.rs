//! The field names that some room of ours looks at, recognised once when a head is parsed.

/// Declares [`Name`] and the table behind it: adding a name is one line.
macro_rules! names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// A field name we know, or `Other`. Compared without case (RFC 9110 §5.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "their names are the fields' names")]
        pub enum Name { Other, $($variant),* }

        /// By length and first letter the one name it can be: two that shared both would not compile.
        static CANDIDATES: [[Name; 32]; LENGTH_MAX + 1] = {
            let mut candidates = [[Name::Other; 32]; LENGTH_MAX + 1];
            $({
                let text = $text.as_bytes();
                let candidate = &mut candidates[text.len()][letter(text[0])];
                assert!(matches!(candidate, Name::Other), "a name shares length and first letter with another");
                *candidate = Name::$variant;
            })*
            candidates
        };

        impl Name {
            /// Recognises a name: length and first letter leave one to compare with, if any.
            #[inline]
            pub fn of(name: &[u8]) -> Self {
                let (Some(first), Some(candidates)) = (name.first(), CANDIDATES.get(name.len())) else { return Self::Other };
                let candidate = candidates[letter(*first)];
                let same = |(byte, text): (&u8, &u8)| byte.to_ascii_lowercase() == *text;
                // (Byte by byte: for names this short it is quicker than `eq_ignore_ascii_case`.)
                if candidate != Self::Other && name.iter().zip(candidate.as_str().as_bytes()).all(same) { candidate } else { Self::Other }
            }

            /// As we write it; empty for `Other`.
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::Other => "",
                    $(Self::$variant => $text),*
                }
            }
        }
    };
}

/// Length of the longest name.
const LENGTH_MAX: usize = 20;

/// A number for a letter of either case (other bytes share numbers; the comparison decides).
const fn letter(byte: u8) -> usize {
    (byte & 31) as usize
}

names! {
    Connection = "connection",
    ContentLength = "content-length",
    Expect = "expect",
    Host = "host",
    KeepAlive = "keep-alive",
    MaxForwards = "max-forwards",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Referer = "referer",
    Via = "via",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XRequestId = "x-request-id",
    SecWebSocketKey = "sec-websocket-key",
    SecWebSocketAccept = "sec-websocket-accept",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_without_case() {
        assert_eq!(Name::of(b"Content-LENGTH"), Name::ContentLength);
        assert_eq!(Name::of(b"TE"), Name::Te);
        assert_eq!(Name::of(b"content-lengths"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(Name::XForwardedProto.as_str().as_bytes()), Name::XForwardedProto);
    }
}

//! The field names that some room of ours looks at, recognised once when a head is parsed.

/// Declares [`Name`] and the table behind it: adding a name is one line.
macro_rules! names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// A field name we know, or `Other`. Compared without case (RFC 9110 §5.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "their names are the fields' names")]
        pub enum Name { Other, $($variant),* }

        /// For each length the first letters of the names of that length.
        static SIEVE: [u32; 32] = {
            let mut sieve = [0; 32];
            $(sieve[$text.len()] |= letter($text.as_bytes()[0]);)*
            sieve
        };

        impl Name {
            /// Recognises a name: length and first letter rule nearly all of them out.
            #[inline]
            pub fn of(name: &[u8]) -> Self {
                let Some(first) = name.first() else { return Self::Other };
                let sieve = SIEVE.get(name.len()).copied().unwrap_or_default();
                if sieve & letter(*first) == 0 {
                    return Self::Other;
                }
                $(if name.len() == $text.len() && name.eq_ignore_ascii_case($text.as_bytes()) { return Self::$variant; })*
                Self::Other
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

/// One bit for a letter of either case (other bytes share bits; the comparison decides).
const fn letter(byte: u8) -> u32 {
    1 << (byte & 31)
}

names! {
    Connection = "connection",
    ContentLength = "content-length",
    Expect = "expect",
    Host = "host",
    KeepAlive = "keep-alive",
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

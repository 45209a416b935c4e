//! The field names that some room of ours looks at, recognised once when a head is parsed.

/// Declares [`Name`] and the table behind it: adding a name is one line.
macro_rules! names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// A field name we know, or `Other`. Compared without case (RFC 9110 §5.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "their names are the fields' names")]
        pub enum Name { Other, $($variant),* }

        impl Name {
            /// Recognises a name: the length rules nearly all of them out.
            #[inline]
            pub fn of(name: &[u8]) -> Self {
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

//! The first bytes of a TLS connection, read without taking anything: whom the client asks for, and what it would speak (RFC 8446 §4.1.2).
//! For passing connections through by name, and for choosing settings before a session begins.
//!
//! Tolerant where it does not matter, since whoever answers the hello checks the rest of it; but never past the end of anything.

use crate::record::{self, EXPANSION_MAX, HEADER_BYTES, kind};

/// Bytes of records that a hello may fill. Browsers with post-quantum keys take less than 3 KiB.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// Records it may come in: each of them is walked again whenever one more comes. Nobody needs more than a few.
pub const HELLO_RECORDS_MAX: usize = 64;

/// The handshake message's type and length (RFC 8446 §4).
const MESSAGE_HEADER_BYTES: usize = 4;
const CLIENT_HELLO: u8 = 1;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;
pub(crate) const TLS12: u16 = 0x0303;
pub(crate) const TLS13: u16 = 0x0304;
const FALLBACK_SUITE: [u8; 2] = [0x56, 0x00];

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// The beginning of a hello: more is needed.
    More,
    /// All of a hello.
    Hello(Hello),
    /// Something else.
    NotTls {
        /// It looks like an HTTP request.
        http: bool,
    },
    /// A hello beyond [`HELLO_BYTES_MAX`] or [`HELLO_RECORDS_MAX`].
    TooLarge,
    /// TLS that breaks its own grammar.
    Malformed,
}

/// What is said in a hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The host the client asks for, in lower case, without a dot at its end.
    pub server_name: Option<Box<str>>,
    /// The protocols it would speak, best first.
    pub alpn: Vec<Box<[u8]>>,
    /// The newest version it speaks of those that there are, by its number (0x0304 for TLS 1.3).
    pub version_max: u16,
    /// Whether it speaks an older version than it can, because a newer one has failed (RFC 7507).
    pub is_fallback: bool,
}

/// Reads the first bytes of a connection. The same bytes and more can be given again.
pub fn peek(bytes: &[u8]) -> Peek {
    let Some(first) = bytes.first() else { return Peek::More };
    if *first != kind::HANDSHAKE {
        return if bytes.len() < HEADER_BYTES && is_http_so_far(bytes) { Peek::More } else { Peek::NotTls { http: is_http(bytes) } };
    }
    // The usual hello lies in one record and is read where it stands.
    match message(bytes) {
        Gathered::More if bytes.len() > HELLO_BYTES_MAX => Peek::TooLarge,
        Gathered::More => Peek::More,
        Gathered::TooLarge => Peek::TooLarge,
        Gathered::Malformed => Peek::Malformed,
        Gathered::Whole(message) => hello(message).map_or(Peek::Malformed, Peek::Hello),
        Gathered::Pieces(message) => hello(&message).map_or(Peek::Malformed, Peek::Hello),
    }
}

/// Whether these first bytes are a method that HTTP clients begin with (a space or slash may be beyond the five bytes of a TLS header).
pub(crate) fn is_http(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES && is_http_so_far(bytes)
}

fn is_http_so_far(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8; HEADER_BYTES]; 10] =
        [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"DELET", b"CONNE", b"OPTIO", b"TRACE", b"PATCH", b"PRI *"];
    let length = bytes.len().min(HEADER_BYTES);
    BEGINNINGS.iter().any(|beginning| beginning[..length] == bytes[..length])
}

/// The hello's message out of its records.
enum Gathered<'a> {
    More,
    Whole(&'a [u8]),
    Pieces(Vec<u8>),
    TooLarge,
    Malformed,
}

fn message(bytes: &[u8]) -> Gathered<'_> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for _ in 0..HELLO_RECORDS_MAX {
        let length = match record::length(rest, EXPANSION_MAX) {
            Ok(Some(length)) if rest[0] == kind::HANDSHAKE && length > HEADER_BYTES => length,
            Ok(None) => return Gathered::More,
            Ok(Some(_)) | Err(_) => return Gathered::Malformed,
        };
        let is_whole = rest.len() >= length;
        let content = &rest[HEADER_BYTES..length.min(rest.len())];
        if let (true, Ok(Some(wanted))) = (pieces.is_empty(), wanted(content))
            && content.len() >= wanted
        {
            return Gathered::Whole(&content[MESSAGE_HEADER_BYTES..wanted]);
        }
        pieces.extend_from_slice(content);
        match wanted(&pieces) {
            Err(wrong) => return wrong,
            Ok(Some(wanted)) if pieces.len() >= wanted => {
                pieces.truncate(wanted);
                return Gathered::Pieces(pieces.split_off(MESSAGE_HEADER_BYTES));
            }
            Ok(_) if !is_whole => return Gathered::More,
            Ok(_) => rest = &rest[length..],
        }
    }
    Gathered::TooLarge
}

/// Bytes of the message that begins here, its header included; `None` until that is there.
fn wanted(message: &[u8]) -> Result<Option<usize>, Gathered<'static>> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(Gathered::Malformed);
    }
    let Some([_, high, middle, low]) = message.first_chunk() else { return Ok(None) };
    let wanted = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    if wanted > HELLO_BYTES_MAX { Err(Gathered::TooLarge) } else { Ok(Some(wanted)) }
}

/// The body of a client's hello (RFC 8446 §4.1.2).
fn hello(body: &[u8]) -> Option<Hello> {
    let mut body = Reader(body);
    // (What it says here counts only up to 1.2, RFC 8446 §4.2.1.)
    let mut hello = Hello { version_max: body.number()?.min(TLS12), ..Hello::default() };
    body.take(32)?; // random
    body.prefixed::<1>()?; // legacy_session_id
    hello.is_fallback = body.prefixed::<2>()?.chunks_exact(2).any(|suite| suite == FALLBACK_SUITE);
    body.prefixed::<1>()?; // legacy_compression_methods
    if body.0.is_empty() {
        // TLS 1.2 without extensions.
        return Some(hello);
    }
    let mut extensions = Reader(body.prefixed::<2>()?);
    while !extensions.0.is_empty() {
        let number = extensions.number()?;
        let content = Reader(extensions.prefixed::<2>()?);
        match number {
            SERVER_NAME => server_name(content, &mut hello)?,
            ALPN => hello.alpn = alpn(content)?,
            SUPPORTED_VERSIONS => hello.version_max = version_max(content)?,
            _ => {}
        }
    }
    body.0.is_empty().then_some(hello)
}

/// The host name among the names (RFC 6066 §3).
fn server_name(mut content: Reader<'_>, hello: &mut Hello) -> Option<()> {
    let mut list = Reader(content.prefixed::<2>()?);
    while !list.0.is_empty() {
        let kind = list.take(1)?;
        let name = list.prefixed::<2>()?;
        if kind == [HOST_NAME] {
            let name = core::str::from_utf8(name).ok().filter(|name| name.is_ascii() && !name.is_empty())?;
            hello.server_name = Some(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into());
        }
    }
    Some(())
}

/// The list of protocols (RFC 7301 §3.1).
fn alpn(mut content: Reader<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut list = Reader(content.prefixed::<2>()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        protocols.push(list.prefixed::<1>().filter(|protocol| !protocol.is_empty())?.into());
    }
    Some(protocols)
}

fn version_max(mut content: Reader<'_>) -> Option<u16> {
    let mut versions = Reader(content.prefixed::<1>()?);
    let mut newest = 0;
    while !versions.0.is_empty() {
        // (Beyond them are drafts, and numbers that only test whether a server minds them.)
        newest = newest.max(Some(versions.number()?).filter(|version| *version <= TLS13).unwrap_or(0));
    }
    Some(newest)
}

/// What is left to read of something; every step says `None` rather than go beyond its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// What follows a length of `N` bytes.
    fn prefixed<const N: usize>(&mut self) -> Option<&'a [u8]> {
        let length = self.take(N)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: &[u8]) -> Vec<u8> {
        [&record::header(kind::HANDSHAKE, content.len()), content].concat()
    }

    fn prefixed(width: usize, content: &[u8]) -> Vec<u8> {
        [&content.len().to_be_bytes()[size_of::<usize>() - width..], content].concat()
    }

    fn extension(number: u16, content: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &prefixed(2, content)].concat()
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &prefixed(1, &[1, 2]), &prefixed(2, &[0x13, 1]), &prefixed(1, &[0]), extensions].concat();
        [&[CLIENT_HELLO][..], &prefixed(3, &body)].concat()
    }

    fn usual() -> Vec<u8> {
        let name = extension(SERVER_NAME, &prefixed(2, &[&[HOST_NAME][..], &prefixed(2, b"Shop.Example.com.")].concat()));
        let protocols = extension(ALPN, &prefixed(2, b"\x02h2\x08http/1.1"));
        let versions = extension(SUPPORTED_VERSIONS, &prefixed(1, &[0x0a, 0x0a, 3, 4]));
        message(&prefixed(2, &[name, extension(0x0a0a, b""), protocols, versions].concat()))
    }

    fn expected() -> Peek {
        let alpn = vec![b"h2"[..].into(), b"http/1.1"[..].into()];
        Peek::Hello(Hello { server_name: Some("shop.example.com".into()), alpn, version_max: TLS13, is_fallback: false })
    }

    #[test]
    fn a_hello_says_what_it_says() {
        assert_eq!(peek(&record(&usual())), expected());
        assert_eq!(peek(&[record(&usual()), b"more".to_vec()].concat()), expected());
        let bare = || Peek::Hello(Hello { version_max: TLS12, ..Hello::default() });
        assert_eq!(peek(&record(&message(b""))), bare(), "no extensions at all");
        assert_eq!(peek(&record(&message(&[0, 0]))), bare());
        for (versions, expect) in [(&[3, 3, 3, 4][..], TLS13), (&[3, 2, 3, 3, 0x7f, 0x1c], TLS12), (&[0x0a, 0x0a], 0), (&[3, 1], 0x0301)] {
            let told = peek(&record(&message(&prefixed(2, &extension(SUPPORTED_VERSIONS, &prefixed(1, versions))))));
            assert_eq!(told, Peek::Hello(Hello { version_max: expect, ..Hello::default() }), "{versions:?}");
        }
    }

    #[test]
    fn more_is_asked_for_until_all_is_there() {
        let whole = record(&usual());
        for length in 0..whole.len() {
            assert_eq!(peek(&whole[..length]), Peek::More, "{length}");
        }
        for at in 1..usual().len() {
            let (first, second) = (record(&usual()[..at]), record(&usual()[at..]));
            assert_eq!(peek(&first), Peek::More, "{at}");
            assert_eq!(peek(&[first, second].concat()), expected(), "{at}");
        }
    }

    #[test]
    fn what_is_no_hello_is_told_apart() {
        let check = |bytes: &[u8], expected: Peek| assert_eq!(peek(bytes), expected, "{bytes:?}");
        check(b"GET / HTTP/1.1\r\n", Peek::NotTls { http: true });
        check(b"PRI * HTTP/2.0\r\n", Peek::NotTls { http: true });
        check(b"GET", Peek::More);
        check(b"SSH-2.0", Peek::NotTls { http: false });
        check(b"\x15\x03\x03\x00\x02\x02\x28", Peek::NotTls { http: false });
        check(b"\x16\x02\x00\x00\x01\x01", Peek::Malformed);
        check(&record(&[2, 0, 0, 1, 0]), Peek::Malformed);
        check(&record(b""), Peek::Malformed);
        check(&record(&[1, 0, 0x40, 1]), Peek::TooLarge);
        let pieces: Vec<u8> = usual().iter().flat_map(|byte| record(&[*byte])).collect();
        check(&pieces, Peek::TooLarge);
    }

    #[test]
    fn nothing_is_read_beyond_its_end() {
        let usual = usual();
        for at in 4..usual.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut message = usual.clone();
                message[at] = byte;
                assert!(matches!(peek(&record(&message)), Peek::Hello(_) | Peek::Malformed));
            }
            let mut message = usual[..at].to_vec();
            let length = u8::try_from(at - 4).unwrap();
            message[1..4].copy_from_slice(&[0, 0, length]);
            // (All that was there before the extensions is a hello without any.)
            assert!(
                matches!(peek(&record(&message)), Peek::Malformed | Peek::Hello(Hello { server_name: None, version_max: TLS12, .. })),
                "{at}"
            );
        }
    }
}

//! The chunked transfer coding, decoded (RFC 9112 §7.1). Byte by byte over the short lines, so that every split of the input is the same;
//! content is cut out, never copied. Extensions are read and forgotten: chunks are framed anew on the other side.

use buf::Chunk;
use model::{Cause, grammar::LENGTH_MAX};

/// Bytes of a chunk's size line without its CRLF.
pub const CHUNK_LINE_BYTES_MAX: u16 = 4096;

/// Bytes that size lines may have cost beyond 16 for each chunk and 2 for each byte of content: a flood of extensions ends here.
pub const CHUNK_OVERHEAD_BYTES_MAX: u16 = 16 * 1024;

/// The digits of 2^64 - 1; zeros in front count.
const SIZE_DIGITS_MAX: u16 = 16;

/// Where in the coding the input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoder {
    /// The size read so far, or what is left of the chunk's content.
    left: u64,
    /// Bytes of the present size line.
    line: u16,
    /// What size lines have cost too much, see [`CHUNK_OVERHEAD_BYTES_MAX`].
    overhead: u16,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    /// White space after the size: only an extension may follow (RFC 9112 §7.1.1).
    Space,
    Extension,
    SizeFeed,
    Content,
    ContentReturn,
    ContentFeed,
}

/// What the decoder came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// The input is used up.
    More,
    /// Some content.
    Data(Chunk),
    /// The last chunk's size line; the trailer section is next.
    Last,
}

impl Decoder {
    pub(crate) const NEW: Self = Self { left: 0, line: 0, overhead: 0, at: At::Size };

    pub(crate) fn run(&mut self, input: &mut Chunk) -> Result<Step, Cause> {
        if self.at == At::Content {
            return Ok(self.content(input));
        }
        let mut used = 0;
        for byte in input.iter() {
            used += 1;
            self.framing(*byte)?;
            if self.at == At::Content {
                break;
            }
        }
        input.advance(used);
        if self.at != At::Content {
            return Ok(Step::More);
        }
        Ok(if self.left == 0 { Step::Last } else { self.content(input) })
    }

    fn content(&mut self, input: &mut Chunk) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        let data = input.split_to(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= data.len() as u64;
        if self.left == 0 {
            self.at = At::ContentReturn;
        }
        Step::Data(data)
    }

    /// One byte of what stands between contents.
    fn framing(&mut self, byte: u8) -> Result<(), Cause> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9') => self.digit(byte - b'0')?,
            (At::Size, b'a'..=b'f') => self.digit(byte - b'a' + 10)?,
            (At::Size, b'A'..=b'F') => self.digit(byte - b'A' + 10)?,
            (At::Size, _) if self.line == 0 => return Err(Cause::BadChunk),
            (At::Size | At::Space, b' ' | b'\t') => self.count(At::Space)?,
            (At::Size | At::Space, b';') | (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.count(At::Extension)?,
            (At::Size | At::Extension, b'\r') => At::SizeFeed,
            (At::SizeFeed, b'\n') => self.size_is_known()?,
            (At::ContentReturn, b'\r') => At::ContentFeed,
            (At::ContentFeed, b'\n') => At::Size,
            _ => return Err(Cause::BadChunk),
        };
        Ok(())
    }

    fn digit(&mut self, digit: u8) -> Result<At, Cause> {
        if self.line == SIZE_DIGITS_MAX {
            return Err(Cause::BadChunk);
        }
        self.left = self.left << 4 | u64::from(digit);
        self.count(At::Size)
    }

    fn count(&mut self, at: At) -> Result<At, Cause> {
        self.line += 1;
        if self.line > CHUNK_LINE_BYTES_MAX { Err(Cause::BadChunk) } else { Ok(at) }
    }

    fn size_is_known(&mut self) -> Result<At, Cause> {
        let free = self.left.saturating_mul(2).saturating_add(16);
        let free = u16::try_from(free).unwrap_or(u16::MAX);
        self.overhead = (self.overhead + self.line + 2).saturating_sub(free);
        self.line = 0;
        if self.left > LENGTH_MAX || self.overhead > CHUNK_OVERHEAD_BYTES_MAX {
            return Err(Cause::BadChunk);
        }
        Ok(At::Content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content and how it ended, fed in pieces of `step` bytes.
    fn run(bytes: &[u8], step: usize) -> String {
        let (mut decoder, mut content) = (Decoder::NEW, Vec::new());
        for piece in bytes.chunks(step) {
            let mut input = Chunk::copy_of(piece);
            loop {
                match decoder.run(&mut input) {
                    Ok(Step::Data(data)) => content.extend_from_slice(&data),
                    Ok(Step::More) => break,
                    Ok(Step::Last) => return format!("{}.", content.escape_ascii()),
                    Err(cause) => return format!("{} {cause:?}", content.escape_ascii()),
                }
            }
            assert!(input.is_empty());
        }
        format!("{}...", content.escape_ascii())
    }

    #[test]
    fn sizes_contents_and_line_ends() {
        for (bytes, expect) in [
            ("0\r\n", "."),
            ("000\r\n", "."),
            ("3\r\nabc\r\n0\r\n", "abc."),
            ("A\r\n0123456789\r\n00a\r\n0123456789\r\n0\r\n", "01234567890123456789."),
            ("3;x=y\r\nabc\r\n0;z\r\n", "abc."),
            ("3 \t; x = \"y;z\" \r\nabc\r\n0\r\n", "abc."),
            ("3\r\nab", "ab..."),
            ("0000000000000003\r\nabc\r\n0\r\n", "abc."),
            ("00000000000000003\r\nabc\r\n", " BadChunk"),
            ("7fffffffffffffff\r\na", "a..."),
            ("8000000000000000\r\na", " BadChunk"),
            ("ffffffffffffffff\r\na", " BadChunk"),
            ("10000000000000000\r\na", " BadChunk"),
            ("\r\n", " BadChunk"),
            (";x\r\n", " BadChunk"),
            (" 3\r\nabc\r\n", " BadChunk"),
            ("3 \r\nabc\r\n", " BadChunk"),
            ("3 3\r\nabc\r\n", " BadChunk"),
            ("+3\r\nabc\r\n", " BadChunk"),
            ("-3\r\nabc\r\n", " BadChunk"),
            ("0x3\r\nabc\r\n", " BadChunk"),
            ("3h\r\nabc\r\n", " BadChunk"),
            ("3_0\r\nabc\r\n", " BadChunk"),
            ("3\nabc\r\n", " BadChunk"),
            ("3\r\r\nabc\r\n", " BadChunk"),
            ("3;x\nabc\r\n", " BadChunk"),
            ("3;x\rabc\r\n", " BadChunk"),
            ("3;\0\r\nabc\r\n", " BadChunk"),
            ("3\r\nabc0\r\n", "abc BadChunk"),
            ("3\r\nabc\n0\r\n", "abc BadChunk"),
            ("3\r\nabc\r0\r\n", "abc BadChunk"),
            ("3\r\nabc\rx0\r\n", "abc BadChunk"),
            ("3\r\nabcx\n0\r\n", "abc BadChunk"),
            ("3\r\nabcd\r\n0\r\n", "abc BadChunk"),
        ] {
            for step in 1..=bytes.len() {
                assert_eq!(run(bytes.as_bytes(), step), expect, "{bytes:?} by {step}");
            }
        }
    }

    #[test]
    fn a_size_line_has_an_end() {
        let line = format!("3;{}", "x".repeat(usize::from(CHUNK_LINE_BYTES_MAX) - 2));
        assert_eq!(run(format!("{line}\r\nabc\r\n0\r\n").as_bytes(), 1000), "abc.");
        assert_eq!(run(format!("{line}x\r\nabc\r\n0\r\n").as_bytes(), 1000), " BadChunk");
    }

    #[test]
    fn a_flood_of_extensions_has_an_end() {
        let signed = format!("400;signature={}\r\n{}\r\n", "f".repeat(64), "x".repeat(1024)).repeat(1000);
        assert!(run(format!("{signed}0\r\n").as_bytes(), 9000).ends_with("xxx."));
        let flood = format!("1;{}\r\nx\r\n", "f".repeat(200)).repeat(1000);
        assert!(run(flood.as_bytes(), 9000).ends_with("xxx BadChunk"));
    }
}

//! Finding the end of a head or of a trailer section: the empty line. Resumable, so that bytes are looked at once however small the pieces
//! are in which they come; and strict: a line ends with CRLF and with nothing else (RFC 9112 §2.2 allows to reject a lone LF, and whoever
//! accepts it reads other messages than his neighbour).

use alloc::{boxed::Box, vec::Vec};

use buf::Chunk;

/// A section that came in pieces.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
    scan: Scan,
}

/// What stands at the front of the input.
#[derive(Debug)]
pub(crate) enum Section {
    /// Nothing but the empty line.
    Empty,
    /// So many lines with the empty line behind them, on the heap.
    Whole(Chunk, usize),
}

/// Why there can be no section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A line ended with LF alone.
    BareLf,
    /// `bytes_max` were reached, within so many complete lines.
    TooLarge { lines: usize },
}

/// Takes a whole section off `input`, or gathers all of it and gives `None`. A section that is whole in `input` is found in place and
/// copied once; no receive buffer is held by it.
pub(crate) fn take(gather: &mut Option<Box<Gather>>, input: &mut Chunk, bytes_max: usize) -> Result<Option<Section>, Refused> {
    match gather.take() {
        None => take_in_place(gather, input, bytes_max),
        Some(gathered) => take_gathered(gather, gathered, input, bytes_max),
    }
}

fn take_in_place(gather: &mut Option<Box<Gather>>, input: &mut Chunk, bytes_max: usize) -> Result<Option<Section>, Refused> {
    let mut scan = Scan::default();
    let window = front(input, bytes_max);
    if let Some(end) = scan.run(window)? {
        let section = if scan.lines == 0 { Section::Empty } else { Section::Whole(Chunk::copy_of(front(window, end)), scan.lines) };
        input.advance(end);
        return Ok(Some(section));
    }
    if window.len() >= bytes_max {
        return Err(Refused::TooLarge { lines: scan.lines });
    }
    if !window.is_empty() {
        *gather = Some(Box::new(Gather { bytes: window.to_vec(), scan }));
        *input = Chunk::default();
    }
    Ok(None)
}

fn take_gathered(
    gather: &mut Option<Box<Gather>>,
    mut gathered: Box<Gather>,
    input: &mut Chunk,
    bytes_max: usize,
) -> Result<Option<Section>, Refused> {
    let before = gathered.bytes.len();
    let window = front(input, bytes_max.saturating_sub(before));
    gathered.bytes.extend_from_slice(window);
    if let Some(end) = gathered.scan.run(&gathered.bytes)? {
        input.advance(end.saturating_sub(before));
        let Gather { mut bytes, scan } = *gathered;
        bytes.truncate(end);
        return Ok(Some(if scan.lines == 0 { Section::Empty } else { Section::Whole(Chunk::from(bytes), scan.lines) }));
    }
    if gathered.bytes.len() >= bytes_max {
        return Err(Refused::TooLarge { lines: gathered.scan.lines });
    }
    *input = Chunk::default();
    *gather = Some(gathered);
    Ok(None)
}

fn front(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// How far the search for the empty line has come.
#[derive(Debug, Default)]
struct Scan {
    /// The next byte to look at.
    at: usize,
    /// Where the line begins that it belongs to.
    line: usize,
    /// Complete lines before that.
    lines: usize,
}

impl Scan {
    /// Goes on with the search; gives the end of the empty line.
    fn run(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        while let Some(offset) = memchr::memchr(b'\n', bytes.get(self.at..).unwrap_or_default()) {
            let feed = self.at + offset;
            self.at = feed + 1;
            match bytes.get(self.line..feed).unwrap_or_default() {
                [b'\r'] => return Ok(Some(self.at)),
                [.., b'\r'] => (self.line, self.lines) = (self.at, self.lines + 1),
                _ => return Err(Refused::BareLf),
            }
        }
        self.at = bytes.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pieces: &[&str], bytes_max: usize) -> String {
        let mut gather = None;
        for piece in pieces {
            let mut input = Chunk::from(*piece);
            match take(&mut gather, &mut input, bytes_max) {
                Ok(None) => assert!(input.is_empty()),
                Ok(Some(section)) => return format!("{section:?} + {input:?}"),
                Err(refused) => return format!("{refused:?}"),
            }
        }
        format!("more, {}", gather.map_or(0, |gather| gather.bytes.len()))
    }

    #[test]
    fn the_empty_line_ends_a_section() {
        for (bytes, bytes_max, expect) in [
            ("a\r\nb\r\n\r\nrest", 64, r#"Whole("a\r\nb\r\n\r\n", 2) + "rest""#),
            ("\r\nrest", 64, r#"Empty + "rest""#),
            ("a\r\n\r", 64, "more, 4"),
            ("", 64, "more, 0"),
            ("a\nb", 64, "BareLf"),
            ("a\r\n\n", 64, "BareLf"),
            ("aaaaaaaa\r\n\r\n", 8, "TooLarge { lines: 0 }"),
            ("aaa\r\nbbb\r\n\r\n", 8, "TooLarge { lines: 1 }"),
            ("aaaa\r\n\r\n!", 8, r#"Whole("aaaa\r\n\r\n", 1) + "!""#),
        ] {
            assert_eq!(run(&[bytes], bytes_max), expect, "{bytes:?}");
            for at in 1..bytes.len() {
                let (first, second) = bytes.split_at(at);
                assert!(run(&[first, second], bytes_max).split(" + ").next() == expect.split(" + ").next(), "{bytes:?} at {at}");
            }
        }
    }
}

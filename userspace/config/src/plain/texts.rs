//! Scalars: in quotes, without, and over lines after `|`.

use super::Reading;
use crate::tree::Slice;

impl Reading<'_> {
    pub(super) fn quoted(&mut self, quote: u8) -> Option<()> {
        let (text, end) = match self.scan_quoted(quote) {
            Some(found) => found,
            None if quote == b'"' => self.unescape()?,
            None => return None,
        };
        let begins = self.value_begins();
        self.builder.scalar(text, true, begins);
        self.at = end;
        Some(())
    }

    /// A text over lines after `|`, each with its end, further in than the block it stands in.
    pub(super) fn literal(&mut self, indent: usize) -> Option<()> {
        self.at += 1;
        let (mut text, mut further_in, mut empty_lines) = (Vec::new(), None, 0);
        let mut line_end = self.at;
        let mut begins = self.at;
        while self.bytes.get(line_end)? == &b'\n' && line_end + 1 < self.bytes.len() {
            let rest = &self.bytes[line_end + 1..];
            let line = &rest[..rest.iter().position(|byte| *byte == b'\n')?];
            line_end += 1 + line.len();
            let spaces = line.iter().take_while(|byte| **byte == b' ').count();
            if spaces == line.len() {
                // Only empty lines inside are certain.
                (spaces == 0 && further_in.is_some()).then_some(())?;
                empty_lines += 1;
                continue;
            }
            let first = *further_in.get_or_insert_with(|| {
                begins = line_end - line.len() + spaces;
                spaces
            });
            if spaces < first || first <= indent {
                break;
            }
            text.resize(text.len() + core::mem::take(&mut empty_lines), b'\n');
            text.extend_from_slice(&line[first..]);
            text.push(b'\n');
            self.at = line_end;
        }
        let text = String::from_utf8(text).ok().filter(|text| !text.is_empty())?;
        let text = self.builder.keep(&text);
        self.builder.scalar(text, true, self.named_at.take().unwrap_or(begins));
        Some(())
    }

    /// A text in double quotes with the common escapes, on one line, and the place after it.
    fn unescape(&mut self) -> Option<(Slice, usize)> {
        let mut text = Vec::new();
        let mut at = self.at + 1;
        loop {
            match *self.bytes.get(at)? {
                b'"' => break,
                b'\n' => return None,
                b'\\' => {
                    at += 1;
                    text.push(match *self.bytes.get(at)? {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        same @ (b'"' | b'\\') => same,
                        _ => return None,
                    });
                }
                byte => text.push(byte),
            }
            at += 1;
        }
        let text = String::from_utf8(text).ok()?;
        Some((self.builder.keep(&text), at + 1))
    }

    /// A text in quotes without any escape, on one line: what is inside, and the place after it.
    pub(super) fn scan_quoted(&self, quote: u8) -> Option<(Slice, usize)> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..)?;
        let length = rest.iter().position(|byte| *byte == quote || *byte == b'\\' || *byte == b'\n')?;
        let end = start + length;
        if self.bytes[end] != quote || self.bytes.get(end + 1) == Some(&quote) {
            return None;
        }
        Some((Slice::of_source(start..end), end + 1))
    }

    /// A text without quotes, on one line.
    pub(super) fn plain(&mut self, in_flow: bool) -> Option<()> {
        let start = self.at;
        let mut end = start;
        while let Some(byte) = self.peek() {
            let next = self.peek_second();
            match byte {
                b'\n' => break,
                b'#' if self.at > end => break,
                b',' | b'[' | b']' | b'{' | b'}' if in_flow => break,
                b':' if matches!(next, None | Some(b' ' | b'\n')) => return None,
                b':' if in_flow && matches!(next, Some(b',' | b'[' | b']' | b'{' | b'}')) => return None,
                b' ' => {}
                _ if byte.is_ascii_graphic() => end = self.at + 1,
                _ => return None,
            }
            self.at += 1;
        }
        self.at = start;
        let begins = self.value_begins();
        self.builder.scalar(Slice::of_source(start..end), false, begins);
        self.at = end;
        Some(())
    }
}

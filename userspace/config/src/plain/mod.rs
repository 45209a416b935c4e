//! The plain part of YAML, read at ten times the speed: block maps and lists, flow maps and lists, scalars on one line, literal texts, names.
//!
//! A reload of ten thousand clusters has to be in force in 50 ms, and a general YAML parser alone takes three times
//! that. So this reads what configurations are mostly made of, and gives up (`None`) at the first thing it is not
//! certain of: tags, rare escapes, folded texts, other texts over several lines, odd indentation, everything wrong. The general parser
//! then reads the whole document and has the last word. It must never read something else than that parser would:
//! a property test holds the two against one another.

mod names;
mod texts;

use alloc::sync::Arc;

use hashbrown::HashMap;

use crate::tree::{Builder, DEPTH_MAX, Kind, Slice, Tree};

/// The tree, if the document is plain throughout.
pub(crate) fn parse(source: &Arc<str>) -> Option<Tree> {
    let bytes = source.as_bytes();
    if source.starts_with('\u{feff}') || holds_controls(bytes) {
        return None;
    }
    let mut reading =
        Reading { bytes, at: 0, line_start: 0, builder: Builder::new(source), anchors: HashMap::new(), named_at: None, depth: 0 };
    let indent = reading.next_line()?;
    match reading.peek()? {
        b'{' | b'[' => {
            reading.flow(None)?;
            reading.end_of_line()?;
        }
        _ => reading.block(indent)?,
    }
    if reading.next_line().is_some() {
        return None;
    }
    reading.builder.finish().ok()
}

struct Reading<'a> {
    bytes: &'a [u8],
    at: usize,
    line_start: usize,
    builder: Builder,
    /// The nodes that have a name, the last one of each name.
    anchors: HashMap<&'a [u8], u32>,
    /// Where the name of the value that follows stands, if it has one.
    named_at: Option<usize>,
    depth: usize,
}

impl Reading<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn peek_second(&self) -> Option<u8> {
        self.bytes.get(self.at + 1).copied()
    }

    fn column(&self) -> usize {
        self.at - self.line_start
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Goes to the first character of the next line with something on it, from a place where only white space and
    /// comments may come before; gives its indentation. `None` at the end of the document.
    fn next_line(&mut self) -> Option<usize> {
        loop {
            self.skip_spaces();
            match self.peek()? {
                b'\n' => {
                    self.at += 1;
                    self.line_start = self.at;
                }
                b'#' => self.skip_comment(),
                _ => return Some(self.column()),
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    /// Nothing but white space and a comment may stand on the rest of the line; a comment needs a space before it.
    fn end_of_line(&mut self) -> Option<()> {
        let before = self.at;
        self.skip_spaces();
        match self.peek() {
            None | Some(b'\n') => Some(()),
            Some(b'#') if self.at > before => {
                self.skip_comment();
                Some(())
            }
            Some(_) => None,
        }
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    /// A block map or list whose first line begins here.
    fn block(&mut self, indent: usize) -> Option<()> {
        self.enter()?;
        if self.is_dash() {
            self.block_list(indent)?;
        } else {
            self.block_map(indent)?;
        }
        self.depth -= 1;
        Some(())
    }

    fn is_dash(&self) -> bool {
        self.peek() == Some(b'-') && matches!(self.peek_second(), None | Some(b' ' | b'\n'))
    }

    fn block_map(&mut self, indent: usize) -> Option<()> {
        let begins = self.value_begins();
        self.builder.open(Kind::Map, begins);
        loop {
            self.key()?;
            let after_colon = self.at;
            self.skip_spaces();
            let after = self.anchor(after_colon)?;
            match self.peek() {
                None | Some(b'\n' | b'#') => {
                    self.at = after;
                    self.end_of_line()?;
                    self.block_below(indent, true)?;
                }
                // One node is not another with a name of its own.
                Some(b'*') if after != after_colon => return None,
                Some(_) => {
                    self.inline(indent)?;
                    self.end_of_line()?;
                }
            }
            if !self.continues(indent)? {
                self.builder.close();
                return Some(());
            }
            if self.is_dash() {
                return None;
            }
        }
    }

    fn block_list(&mut self, indent: usize) -> Option<()> {
        let begins = self.value_begins();
        self.builder.open(Kind::List, begins);
        loop {
            let after_dash = self.at + 1;
            self.at = after_dash;
            self.skip_spaces();
            let after = self.anchor(after_dash)?;
            match self.peek() {
                None | Some(b'\n' | b'#') => {
                    self.at = after;
                    self.end_of_line()?;
                    self.block_below(indent, false)?;
                }
                Some(_) if self.is_dash() => return None,
                // A key's anchor is the key's, not the map's.
                Some(_) if after != after_dash && (self.peek() == Some(b'*') || self.is_key()) => return None,
                Some(_) if self.is_key() => {
                    self.enter()?;
                    self.block_map(self.column())?;
                    self.depth -= 1;
                }
                Some(_) => {
                    self.inline(indent)?;
                    self.end_of_line()?;
                }
            }
            if !self.continues(indent)? {
                self.builder.close();
                return Some(());
            }
            if !self.is_dash() {
                // Only the list that is a map's value at the map's own indentation ends like this.
                self.builder.close();
                return Some(());
            }
        }
    }

    /// What stands below a key or dash without a value on its line: a block further in, or nothing.
    fn block_below(&mut self, indent: usize, is_key: bool) -> Option<()> {
        let empty = self.at;
        match self.next_line() {
            Some(below) if below > indent => {
                // A lone scalar on a line of its own is rare enough to be left to the general parser, which is_key sees to.
                if self.is_dash() || self.is_key() { self.block(below) } else { None }
            }
            Some(below) if below == indent && is_key && self.is_dash() => self.block(below),
            _ => {
                let begins = self.named_at.take().unwrap_or(empty);
                self.builder.scalar(Slice::of_source(empty..empty), false, begins);
                Some(())
            }
        }
    }

    /// Whether another line of a block at this indentation follows; what is further in belongs to nobody.
    fn continues(&mut self, indent: usize) -> Option<bool> {
        match self.next_line() {
            Some(next) if next > indent => None,
            Some(next) => Some(next == indent),
            None => Some(false),
        }
    }

    /// Whether a key and its colon stand here.
    fn is_key(&self) -> bool {
        self.scan_key().is_some()
    }

    /// The key here as its text, whether it is quoted, and the place after it.
    fn scan_key_text(&self) -> Option<(Slice, bool, usize)> {
        match self.peek()? {
            quote @ (b'"' | b'\'') => self.scan_quoted(quote).map(|(text, end)| (text, true, end)),
            first if begins_plain(first) => {
                let length = self.bytes[self.at..].iter().position(|byte| !is_plain_key(*byte))?;
                let end = self.at + length;
                Some((Slice::of_source(self.at..end), false, end))
            }
            _ => None,
        }
    }

    /// The key of a block here as its text, whether it is quoted, and the place after its colon.
    fn scan_key(&self) -> Option<(Slice, bool, usize)> {
        let (text, quoted, end) = self.scan_key_text()?;
        let is_colon = self.bytes.get(end) == Some(&b':') && matches!(self.bytes.get(end + 1), None | Some(b' ' | b'\n'));
        is_colon.then_some((text, quoted, end + 1))
    }

    fn key(&mut self) -> Option<()> {
        if self.column() == 0 && (self.bytes[self.at..].starts_with(b"---") || self.bytes[self.at..].starts_with(b"...")) {
            return None;
        }
        let (text, quoted, after) = self.scan_key()?;
        self.builder.scalar(text, quoted, self.at);
        self.at = after;
        Some(())
    }

    /// A value on the line of its key or dash, in a block at this indentation.
    fn inline(&mut self, indent: usize) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.flow(Some(indent)),
            b'*' => self.alias(),
            b'|' => self.literal(indent),
            quote @ (b'"' | b'\'') => self.quoted(quote),
            first if begins_plain(first) => self.plain(false),
            _ => None,
        }
    }

    /// A map or list in braces or brackets; its further lines have to be further in than the block it stands in.
    fn flow(&mut self, indent: Option<usize>) -> Option<()> {
        self.enter()?;
        let (kind, end) = if self.peek()? == b'{' { (Kind::Map, b'}') } else { (Kind::List, b']') };
        let begins = self.value_begins();
        self.builder.open(kind, begins);
        self.at += 1;
        loop {
            self.flow_space(indent)?;
            if self.peek()? == end {
                break;
            }
            if kind == Kind::Map {
                self.flow_key()?;
                self.flow_space(indent)?;
            }
            match self.peek()? {
                b'{' | b'[' => self.flow(indent)?,
                b'*' => self.alias()?,
                quote @ (b'"' | b'\'') => self.quoted(quote)?,
                first if begins_plain(first) => self.plain(true)?,
                _ => return None,
            }
            self.flow_space(indent)?;
            match self.peek()? {
                b',' => self.at += 1,
                byte if byte == end => break,
                _ => return None,
            }
        }
        self.at += 1;
        self.builder.close();
        self.depth -= 1;
        Some(())
    }

    /// A key and its colon; JSON writes none of the space after it.
    fn flow_key(&mut self) -> Option<()> {
        let (text, quoted, end) = self.scan_key_text()?;
        let after = end + 1;
        let is_colon = self.bytes.get(end) == Some(&b':') && (quoted || matches!(self.bytes.get(after), Some(b' ' | b'\n')));
        if !is_colon {
            return None;
        }
        self.builder.scalar(text, quoted, self.at);
        self.at = after;
        Some(())
    }

    /// White space and comments inside a flow, over lines.
    fn flow_space(&mut self, indent: Option<usize>) -> Option<()> {
        let line = self.line_start;
        let before = self.at;
        self.skip_spaces();
        match self.peek()? {
            b'#' if self.at == before => None,
            b'#' | b'\n' => {
                let column = self.next_line()?;
                let is_further_in = indent.is_none_or(|indent| column > indent);
                (self.line_start == line || is_further_in).then_some(())
            }
            _ => Some(()),
        }
    }
}

/// Whether there is any control character but the end of a line.
fn holds_controls(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ') && (byte != b'\n') || (byte == 0x7f);
    // Without an early end inside a block, sixteen bytes are looked at at once.
    bytes.chunks(4_096).any(|block| block.iter().fold(false, |found, byte| found | is_control(*byte)))
}

/// What a text without quotes may begin with, of what it might by the rules.
fn begins_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'$')
}

/// What a key without quotes may hold, of what it might by the rules.
fn is_plain_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'-')
}

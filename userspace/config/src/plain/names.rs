//! `&name` before a value, `*name` in place of one.

use super::Reading;

impl<'a> Reading<'a> {
    /// The name, if one is given to the value that follows in a block; the place after it, or else `after`.
    pub(super) fn anchor(&mut self, after: usize) -> Option<usize> {
        if self.peek() != Some(b'&') {
            return Some(after);
        }
        self.named_at = Some(self.at);
        let name = self.name()?;
        let after = self.at;
        if !matches!(self.peek(), Some(b' ' | b'\n')) {
            return None;
        }
        self.anchors.insert(name, self.builder.next_node());
        self.skip_spaces();
        Some(after)
    }

    /// Where the value here begins: at its name, if it has one.
    pub(super) fn value_begins(&mut self) -> usize {
        self.named_at.take().unwrap_or(self.at)
    }

    /// What a name stands for.
    pub(super) fn alias(&mut self) -> Option<()> {
        let start = self.at;
        let name = self.name()?;
        let node = *self.anchors.get(name)?;
        if self.builder.is_open(node) || !matches!(self.peek(), None | Some(b' ' | b'\n' | b',' | b']' | b'}')) {
            return None;
        }
        self.builder.alias(node, start);
        Some(())
    }

    /// The name after `&` or `*`.
    fn name(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at + 1..];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        self.at += 1 + length;
        (length > 0).then_some(&rest[..length])
    }
}

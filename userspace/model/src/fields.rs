//! Header or trailer fields: their bytes once, in one block, and a list of where each stands. Order and case survive.

use alloc::vec::Vec;
use buf::Chunk;
use core::fmt;

use crate::Name;

/// Room for what is usually added to a head.
const ADDED_BYTES: usize = 192;

/// Fields in their order. Parsed ones point into the block of the head they came in; added ones into `added`.
#[derive(Clone, Default)]
pub struct Fields {
    block: Chunk,
    added: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    name_start: u32,
    value_start: u32,
    value_length: u32,
    name_length: u16,
    known: Name,
    ours: bool,
}

/// A range of a head's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
}

/// One field, borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which one of those we know.
    pub known: Name,
    /// The name as it was written.
    pub name: &'a [u8],
    /// The value without white space around it.
    pub value: &'a [u8],
}

impl Fields {
    /// No fields yet, over `block`, with room for `count`.
    pub fn over(block: Chunk, count: usize) -> Self {
        Self { block, added: Vec::new(), entries: Vec::with_capacity(count) }
    }

    /// Puts the block under fields whose places were noted while it was still being written.
    #[must_use]
    pub fn with_block(self, block: Chunk) -> Self {
        Self { block, ..self }
    }

    /// Adds a field that stands in the block. The codec calls it, having checked both spans and the name's length (below 64 KiB).
    pub fn push_span(&mut self, known: Name, name: Span, value: Span) {
        let name_length = u16::try_from(name.length).unwrap_or(u16::MAX);
        self.entries.push(Entry {
            name_start: name.start,
            name_length,
            value_start: value.start,
            value_length: value.length,
            known,
            ours: false,
        });
    }

    /// Adds a field at the end. `name` must be below 64 KiB, both together below 4 GiB (configuration and our own fields are).
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.append_known(Name::of(name), name, value);
    }

    /// Adds one of the fields we know.
    pub fn append_name(&mut self, name: Name, value: &[u8]) {
        self.append_known(name, name.as_str().as_bytes(), value);
    }

    /// Adds one of the fields we know, its value written by `write`, which only appends.
    pub fn append_with(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        self.append_known(name, name.as_str().as_bytes(), b"");
        let value_start = self.added.len();
        write(&mut self.added);
        if let Some(entry) = self.entries.last_mut() {
            entry.value_length = offset(self.added.len() - value_start);
        }
    }

    fn append_known(&mut self, known: Name, name: &[u8], value: &[u8]) {
        if self.added.capacity() == 0 {
            // What a proxy adds to a request; one allocation instead of several that grow.
            self.added.reserve(ADDED_BYTES);
        }
        let name_start = offset(self.added.len());
        self.added.extend_from_slice(name);
        let value_start = offset(self.added.len());
        self.added.extend_from_slice(value);
        let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        self.entries.push(Entry { name_start, name_length, value_start, value_length: offset(value.len()), known, ours: true });
    }

    /// Replaces all fields of that name by one, in the first one's place (at the end, when there was none).
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let place = self.iter().position(|field| field.name.eq_ignore_ascii_case(name));
        self.append(name, value);
        let Some(place) = place else { return };
        let last = self.entries.len() - 1;
        self.entries.swap(place, last);
        let mut at = 0;
        let (block, added) = (&self.block, &self.added);
        self.entries.retain(|entry| {
            at += 1;
            at - 1 <= place || !entry.field(block, added).name.eq_ignore_ascii_case(name)
        });
    }

    /// Takes out all fields of that name; whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.retain(|field| !field.name.eq_ignore_ascii_case(name))
    }

    /// Takes out all fields of a known name; whether there was one.
    pub fn remove_name(&mut self, name: Name) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.known != name);
        self.entries.len() != before
    }

    /// Keeps the fields that `keep` says yes to; whether any went.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) -> bool {
        let before = self.entries.len();
        let (block, added) = (&self.block, &self.added);
        self.entries.retain(|entry| keep(entry.field(block, added)));
        self.entries.len() != before
    }

    /// The value of the first field of a known name.
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.known == name).map(|entry| entry.field(&self.block, &self.added).value)
    }

    /// The value of the first field of that name.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// All values of a known name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(move |entry| entry.known == name).map(|entry| entry.field(&self.block, &self.added).value)
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.entries.iter().map(|entry| entry.field(&self.block, &self.added))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of all fields that did not come out of the parsed block: what an encoder must still check for line ends.
    pub fn added_bytes(&self) -> &[u8] {
        &self.added
    }

    /// No fewer bytes than all of them need as `name: value` lines.
    pub fn wire_bytes_max(&self) -> usize {
        self.block.len() + self.added.len() + 4 * self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn field<'a>(&self, block: &'a [u8], added: &'a [u8]) -> Field<'a> {
        let home = if self.ours { added } else { block };
        let cut = |start: u32, length: usize| home.get(start as usize..start as usize + length).unwrap_or_default();
        Field {
            known: self.known,
            name: cut(self.name_start, usize::from(self.name_length)),
            value: cut(self.value_start, self.value_length as usize),
        }
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed() -> Fields {
        let block = Chunk::from("Host: a\r\nX-One: 1\r\nx-one: 2\r\nVia: v");
        let mut fields = Fields::over(block, 4);
        let span = |start, length| Span { start, length };
        fields.push_span(Name::Host, span(0, 4), span(6, 1));
        fields.push_span(Name::Other, span(9, 5), span(16, 1));
        fields.push_span(Name::Other, span(19, 5), span(26, 1));
        fields.push_span(Name::Via, span(29, 3), span(34, 1));
        fields
    }

    fn text(fields: &Fields) -> Vec<String> {
        fields.iter().map(|field| alloc::format!("{field:?}")).collect()
    }

    #[test]
    fn order_and_case_survive_edits() {
        let mut fields = parsed();
        assert_eq!(fields.get(Name::Host), Some(&b"a"[..]));
        assert_eq!(fields.get_named(b"X-ONE"), Some(&b"1"[..]));
        fields.set(b"x-One", b"3");
        assert_eq!(text(&fields), ["Host: a", "x-One: 3", "Via: v"]);
        fields.append(b"via", b"w");
        assert_eq!(fields.all(Name::Via).collect::<Vec<_>>(), [b"v", b"w"]);
        assert!(fields.remove(b"VIA"));
        assert!(!fields.remove_name(Name::Via));
        fields.append_with(Name::XForwardedFor, |value| value.extend_from_slice(b"10.0.0.1"));
        assert_eq!(fields.get(Name::XForwardedFor), Some(&b"10.0.0.1"[..]));
        fields.remove_name(Name::XForwardedFor);
        fields.set(b"new", b"");
        assert_eq!(text(&fields), ["Host: a", "x-One: 3", "new: "]);
    }

    #[test]
    fn an_entry_is_sixteen_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }
}

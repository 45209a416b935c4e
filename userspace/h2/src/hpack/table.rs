//! The dynamic table (RFC 7541 §2.3.2, §4): the fields last inserted, newest first, oldest evicted. Their bytes stand in one block that grows
//! as it is needed, so that a connection that has said little holds little.

use alloc::{collections::VecDeque, vec::Vec};

use super::TABLE_BYTES_DEFAULT;

/// What an entry costs beside its bytes (RFC 7541 §4.1).
pub(crate) const ENTRY_BYTES: u32 = 32;

/// The largest table we offer or fill, in bytes.
pub(crate) const TABLE_BYTES_MAX: u32 = 65_535;

/// A dynamic table.
#[derive(Debug)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Bytes dropped from the front of `bytes` since ever, modulo 2^32: an entry's `start` counts from there.
    dropped: u32,
    /// As the RFC counts it.
    size: u32,
    size_max: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name: u16,
    value: u16,
    /// What the table's owner remembers of a field. For the encoder it is the name's hash, which [`Table::find`] looks at before it compares
    /// bytes; for the decoder, what was thought of the field when it came.
    mark: u32,
}

impl Default for Table {
    fn default() -> Self {
        Self { bytes: Vec::new(), entries: VecDeque::new(), dropped: 0, size: 0, size_max: TABLE_BYTES_DEFAULT }
    }
}

impl Table {
    /// The size it may have, in bytes.
    pub(crate) fn size_max(&self) -> u32 {
        self.size_max
    }

    /// Sets the size it may have; evicts what does not fit any more.
    pub(crate) fn resize(&mut self, size_max: u32) {
        self.size_max = size_max.min(TABLE_BYTES_MAX);
        self.evict(self.size_max);
    }

    /// Field `index`, 0 being the newest.
    pub(crate) fn get(&self, index: u32) -> Option<(&[u8], &[u8])> {
        self.entries.get(index as usize).and_then(|entry| self.field(entry))
    }

    /// The mark of field `index`.
    pub(crate) fn mark(&self, index: u32) -> u32 {
        self.entries.get(index as usize).map_or(0, |entry| entry.mark)
    }

    /// Makes room and puts a field in front; one that is larger than the table only empties it (RFC 7541 §4.4).
    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8], mark: u32) {
        let cost = cost(name, value);
        self.evict(self.size_max.saturating_sub(cost));
        let (Ok(name_length), Ok(value_length)) = (u16::try_from(name.len()), u16::try_from(value.len())) else { return };
        if cost > self.size_max {
            return;
        }
        if self.bytes.len() + name.len() + value.len() > self.size_max as usize {
            self.compact();
        }
        let start = self.dropped.wrapping_add(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_front(Entry { start, name: name_length, value: value_length, mark });
        self.size += cost;
    }

    /// The newest entry that is this field; else the newest of this name.
    pub(crate) fn find(&self, name: &[u8], value: &[u8], mark: u32) -> Found {
        let mut found = Found::Nothing;
        for (index, entry) in (0_u32..).zip(&self.entries) {
            if entry.mark != mark {
                continue;
            }
            match self.field(entry) {
                Some(field) if field == (name, value) => return Found::Field(index),
                Some((same, _)) if same == name && found == Found::Nothing => found = Found::Name(index),
                _ => {}
            }
        }
        found
    }

    /// Gives back memory that is not in use.
    pub(crate) fn shrink(&mut self) {
        self.compact();
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Bytes of heap it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn field(&self, entry: &Entry) -> Option<(&[u8], &[u8])> {
        let start = entry.start.wrapping_sub(self.dropped) as usize;
        let bytes = self.bytes.get(start..start + usize::from(entry.name) + usize::from(entry.value))?;
        bytes.split_at_checked(usize::from(entry.name))
    }

    fn evict(&mut self, size: u32) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= u32::from(oldest.name) + u32::from(oldest.value) + ENTRY_BYTES;
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    /// Drops the bytes of entries that are gone.
    fn compact(&mut self) {
        let dead = self.entries.back().map_or(self.bytes.len(), |oldest| oldest.start.wrapping_sub(self.dropped) as usize);
        self.bytes.drain(..dead.min(self.bytes.len()));
        self.dropped = self.dropped.wrapping_add(u32::try_from(dead).unwrap_or(u32::MAX));
    }
}

/// What a lookup gave: indices count from the newest entry, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Field(u32),
    Name(u32),
    Nothing,
}

/// What a field takes of a table.
pub(crate) fn cost(name: &[u8], value: &[u8]) -> u32 {
    u32::try_from(name.len() + value.len()).unwrap_or(u32::MAX).saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(table: &Table) -> String {
        let field = |index| table.get(index).map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        (0..).map_while(field).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut table = Table::default();
        table.resize(3 * 34);
        for (name, value, expect) in [
            ("a", "1", "a=1"),
            ("b", "2", "b=2 a=1"),
            ("c", "3", "c=3 b=2 a=1"),
            ("d", "4", "d=4 c=3 b=2"),
            ("e", "55", "e=55 d=4"),
            ("long", &"x".repeat(66), &format!("long={}", "x".repeat(66))),
            ("longer", &"x".repeat(65), ""),
            ("f", "6", "f=6"),
        ] {
            table.insert(name.as_bytes(), value.as_bytes(), 0);
            assert_eq!(fields(&table), expect);
        }
        table.resize(33);
        assert_eq!(fields(&table), "");
    }

    #[test]
    fn bytes_stay_bounded_and_right_over_many_rounds() {
        let mut table = Table { dropped: u32::MAX - 100, ..Table::default() };
        table.resize(1000);
        for round in 0..5000_u32 {
            let value = format!("{round}{}", "y".repeat((round % 90) as usize));
            table.insert(b"name", value.as_bytes(), 1);
            assert_eq!(table.get(0), Some((&b"name"[..], value.as_bytes())));
            assert_eq!(table.find(b"name", value.as_bytes(), 1), Found::Field(0));
            assert!(table.size <= 1000 && table.bytes.len() <= 1000);
        }
        assert_eq!(table.find(b"name", b"", 1), Found::Name(0));
        assert_eq!(table.find(b"none", b"", 2), Found::Nothing);
        table.shrink();
        assert_eq!(table.bytes.capacity(), table.bytes.len());
    }
}

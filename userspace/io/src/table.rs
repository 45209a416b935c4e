//! A table with an entry for each connection. It grows by segments and gives empty ones back: nothing is copied to grow, thousands of
//! connections have no half-empty list beside them, and a crowd that has left leaves no memory behind.

use core::ops::{Index, IndexMut};

/// Entries of a segment.
const SEGMENT: usize = 64;

type Places<T> = Box<[Option<T>; SEGMENT]>;

/// Entries by number; the number of one that was removed is given again.
pub(crate) struct Table<T> {
    segments: Vec<Segment<T>>,
    /// Numbers to be given again, the last one first: its memory is still warm.
    free: Vec<u32>,
    /// One empty segment is kept, so that a table at the edge of one does not make and drop it for every connection.
    spare: Option<Places<T>>,
}

struct Segment<T> {
    /// `None` when all are free.
    places: Option<Places<T>>,
    taken: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { segments: Vec::new(), free: Vec::new(), spare: None }
    }
}

impl<T> Table<T> {
    /// Adds an entry; gives its number.
    pub(crate) fn insert(&mut self, entry: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| self.grow());
        let segment = &mut self.segments[number as usize / SEGMENT];
        let spare = &mut self.spare;
        let places = segment.places.get_or_insert_with(|| spare.take().unwrap_or_else(empty));
        places[number as usize % SEGMENT] = Some(entry);
        segment.taken += 1;
        number
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let segment = self.segments.get_mut(number as usize / SEGMENT)?;
        let entry = segment.places.as_mut()?[number as usize % SEGMENT].take()?;
        self.free.push(number);
        segment.taken -= 1;
        if segment.taken == 0 {
            self.spare = segment.places.take();
        }
        Some(entry)
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.segments.get(number as usize / SEGMENT)?.places.as_ref()?[number as usize % SEGMENT].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.segments.get_mut(number as usize / SEGMENT)?.places.as_mut()?[number as usize % SEGMENT].as_mut()
    }

    /// One more than the highest number there is.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.segments.len() * SEGMENT).expect("fewer than 4 G entries")
    }

    /// A segment more; its first number is taken, the others are free.
    fn grow(&mut self) -> u32 {
        let first = self.end();
        self.segments.push(Segment { places: None, taken: 0 });
        self.free.extend((first + 1..self.end()).rev());
        first
    }
}

/// Collected rather than written as an array: a segment never stands on the stack.
#[expect(clippy::unnecessary_box_returns, reason = "it is made in its box")]
fn empty<T>() -> Places<T> {
    let places: Box<[Option<T>]> = (0..SEGMENT).map(|_| None).collect();
    places.try_into().ok().expect("as many as a segment has")
}

impl<T> Index<u32> for Table<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        self.get(number).expect("the number of an entry")
    }
}

impl<T> IndexMut<u32> for Table<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.get_mut(number).expect("the number of an entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(table: &Table<u32>) -> usize {
        table.segments.iter().filter(|segment| segment.places.is_some()).count() + usize::from(table.spare.is_some())
    }

    #[test]
    fn numbers_name_entries_until_they_are_removed() {
        let mut table = Table::default();
        let numbers: Vec<u32> = (0..1_000).map(|entry| table.insert(entry)).collect();
        assert!(numbers.iter().zip(0..).all(|(number, entry)| table[*number] == entry));
        assert_eq!((table.remove(numbers[7]), table.remove(numbers[7]), table.get(numbers[7])), (Some(7), None, None));
        assert_eq!(table.insert(2_000), numbers[7], "given again");
        let end = table.end();
        assert!(table.get_mut(end).is_none() && table.remove(end).is_none());
    }

    #[test]
    fn a_crowd_that_leaves_gives_its_memory_back() {
        let mut table = Table::default();
        let numbers: Vec<u32> = (0..10_000).map(|entry| table.insert(entry)).collect();
        assert_eq!(segments(&table), 10_000_usize.div_ceil(SEGMENT));
        for number in &numbers[1..] {
            table.remove(*number);
        }
        assert_eq!((segments(&table), table[numbers[0]]), (2, 0), "the one in use and a spare");
        let again: Vec<u32> = (0..10_000).map(|entry| table.insert(entry)).collect();
        assert!(again.iter().zip(0..).all(|(number, entry)| table[*number] == entry));
        assert!(again.iter().all(|number| (*number as usize) < 10_000 + 2 * SEGMENT), "no number is lost");
    }
}

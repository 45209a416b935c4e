//! Whose turn it is to send data (RFC 9218 §10): the most urgent first; among equals, those of whom a part is of use take turns frame by
//! frame, and one of whom only the whole is goes on until it has nothing to send.

use alloc::collections::VecDeque;

use crate::priority::Urgency;

const LEVELS: usize = 8;

/// The streams that have data and a window for it, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    ready: VecDeque<Entry>,
    /// How many there are of each level.
    counts: [u16; LEVELS],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stream: u32,
    urgency: Urgency,
}

impl Schedule {
    /// Adds a stream, which is not in it.
    pub(crate) fn add(&mut self, stream: u32, urgency: Urgency) {
        self.ready.push_back(Entry { stream, urgency });
        if let Some(count) = self.counts.get_mut(usize::from(urgency.level)) {
            *count += 1;
        }
    }

    /// Takes a stream out, if it is in it.
    pub(crate) fn remove(&mut self, stream: u32) {
        let Some(at) = self.ready.iter().position(|entry| entry.stream == stream) else { return };
        self.take(at);
    }

    /// Whose turn it is.
    pub(crate) fn next(&self) -> Option<u32> {
        self.place().and_then(|at| self.ready.get(at)).map(|entry| entry.stream)
    }

    /// The stream whose turn it was has sent a frame, and has more.
    pub(crate) fn sent(&mut self) {
        let Some(at) = self.place() else { return };
        if self.ready.get(at).is_some_and(|entry| entry.urgency.incremental)
            && let Some(entry) = self.take(at)
        {
            self.add(entry.stream, entry.urgency);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Gives back memory that is not in use.
    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.ready.capacity() * size_of::<Entry>()
    }

    fn place(&self) -> Option<usize> {
        let level = self.counts.iter().position(|count| *count > 0)?;
        self.ready.iter().position(|entry| usize::from(entry.urgency.level) == level)
    }

    fn take(&mut self, at: usize) -> Option<Entry> {
        let entry = self.ready.remove(at)?;
        if let Some(count) = self.counts.get_mut(usize::from(entry.urgency.level)) {
            *count = count.saturating_sub(1);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(entries: &[(u32, &str)], frames: usize) -> Vec<u32> {
        let mut schedule = Schedule::default();
        for (stream, priority) in entries {
            let urgency = if priority.is_empty() { Urgency::DEFAULT } else { Urgency::parse(priority.as_bytes()) };
            schedule.add(*stream, urgency);
        }
        (0..frames)
            .map_while(|_| {
                let stream = schedule.next();
                schedule.sent();
                stream
            })
            .collect()
    }

    #[test]
    fn turns() {
        for (entries, expect) in [
            (&[(1, ""), (3, ""), (5, "")][..], &[1, 3, 5, 1, 3, 5][..]),
            (&[(1, "u=3"), (3, "u=3")], &[1, 1, 1, 1, 1, 1]),
            (&[(1, "u=5,i"), (3, "u=1,i"), (5, "u=1,i")], &[3, 5, 3, 5, 3, 5]),
            (&[(1, "u=7"), (3, ""), (5, "u=0")], &[5, 5, 5, 5, 5, 5]),
            (&[], &[]),
        ] {
            assert_eq!(order(entries, 6), expect, "{entries:?}");
        }
    }

    #[test]
    fn removal_leaves_the_rest_in_order() {
        let mut schedule = Schedule::default();
        for stream in [1, 3, 5] {
            schedule.add(stream, Urgency::DEFAULT);
        }
        schedule.add(7, Urgency { level: 0, incremental: false });
        schedule.remove(7);
        schedule.remove(9);
        schedule.remove(1);
        assert_eq!(schedule.next(), Some(3));
        schedule.sent();
        assert_eq!(schedule.next(), Some(5));
        schedule.remove(5);
        schedule.remove(3);
        assert!(schedule.is_empty() && schedule.next().is_none() && schedule.counts == [0; LEVELS]);
    }
}

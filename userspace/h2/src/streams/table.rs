//! The streams that somebody above knows of, by identifier. Identifiers only grow, so that a list in order of arrival is a sorted one; an empty
//! table holds no memory.

use alloc::{boxed::Box, vec::Vec};

use super::Stream;

/// The streams of a connection.
#[derive(Debug, Default)]
pub(crate) struct Table {
    streams: Vec<(u32, Box<Stream>)>,
    /// How many count as open.
    open: u32,
}

impl Table {
    /// Adds a stream whose identifier is above all others.
    pub(crate) fn add(&mut self, id: u32, stream: Stream) {
        debug_assert!(self.streams.last().is_none_or(|(last, _)| *last < id), "identifiers only grow");
        self.open += 1;
        self.streams.push((id, Box::new(stream)));
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Stream> {
        let at = self.place(id)?;
        self.streams.get(at).map(|(_, stream)| &**stream)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.place(id)?;
        self.streams.get_mut(at).map(|(_, stream)| &mut **stream)
    }

    /// Stops counting a stream that is closed, and forgets it if nobody above knows of it any more. Gives it then.
    pub(crate) fn settle(&mut self, id: u32) -> Option<Box<Stream>> {
        let at = self.place(id)?;
        let (_, stream) = self.streams.get_mut(at)?;
        if !stream.is_closed() {
            return None;
        }
        if core::mem::take(&mut stream.counted) {
            self.open -= 1;
        }
        if !stream.released {
            return None;
        }
        let (_, stream) = self.streams.remove(at);
        if self.streams.is_empty() {
            self.streams = Vec::new();
        }
        Some(stream)
    }

    /// How many count as open.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// How many there are, closed ones that somebody still knows of included.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        self.streams.iter_mut().map(|(id, stream)| (*id, &mut **stream))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let queues = self.streams.iter().map(|(_, stream)| stream.queue.capacity() * size_of::<buf::Chunk>()).sum::<usize>();
        queues + self.streams.capacity() * size_of::<(u32, Box<Stream>)>() + self.streams.len() * size_of::<Stream>()
    }

    fn place(&self, id: u32) -> Option<usize> {
        // The newest is the likeliest.
        match self.streams.last() {
            Some((last, _)) if *last == id => Some(self.streams.len() - 1),
            _ => self.streams.binary_search_by_key(&id, |(id, _)| *id).ok(),
        }
    }
}

//! Streams that are gone, in a few bytes: what came for them before the peer could know is ignored, what comes although it knew is an error
//! (RFC 9113 §5.1).

use alloc::vec::Vec;

/// Streams of ours to remember having reset. More than a peer has on its way when it hears of it, as a rule; beyond, frames are ignored.
const RESETS_MAX: usize = 32;

/// What a frame for a stream that is gone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// We reset it, and the peer may not have known.
    ResetByUs,
    /// The peer had closed it.
    Closed,
    /// It was never used: a later one was opened first (RFC 9113 §5.1.1).
    Skipped,
}

/// The memory of closed streams.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// Newest last.
    resets: Vec<u32>,
    /// The highest that was forgotten.
    forgotten: u32,
    /// The highest that was passed over.
    skipped: u32,
}

impl Closed {
    /// We have reset a stream.
    pub(crate) fn reset(&mut self, stream: u32) {
        if self.resets.len() >= RESETS_MAX {
            self.forgotten = self.forgotten.max(self.resets.remove(0));
        }
        self.resets.push(stream);
    }

    /// The peer opened `stream` after `last`.
    pub(crate) fn opened(&mut self, stream: u32, last: u32) {
        if stream > last.saturating_add(if last == 0 { 1 } else { 2 }) {
            self.skipped = stream - 2;
        }
    }

    /// What a stream was that is not open and not idle.
    pub(crate) fn was(&self, stream: u32) -> Was {
        if self.resets.contains(&stream) || stream <= self.forgotten {
            Was::ResetByUs
        } else if stream <= self.skipped {
            Was::Skipped
        } else {
            Was::Closed
        }
    }

    /// Gives back the memory: what is still on its way is ignored.
    pub(crate) fn shrink(&mut self) {
        self.forgotten = self.resets.iter().fold(self.forgotten, |most, stream| most.max(*stream));
        self.resets = Vec::new();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.resets.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was() {
        let mut closed = Closed::default();
        for (stream, last) in [(1, 0), (3, 1), (9, 3), (11, 9)] {
            closed.opened(stream, last);
        }
        closed.reset(11);
        for (stream, expect) in [(11, Was::ResetByUs), (9, Was::Closed), (7, Was::Skipped), (5, Was::Skipped)] {
            assert_eq!(closed.was(stream), expect, "{stream}");
        }
        for stream in (13..).step_by(2).take(RESETS_MAX) {
            closed.reset(stream);
        }
        assert_eq!((closed.resets.len(), closed.was(9), closed.was(11)), (RESETS_MAX, Was::ResetByUs, Was::ResetByUs));
        closed.shrink();
        assert_eq!((closed.heap_bytes(), closed.was(11 + 64), closed.was(13 + 64)), (0, Was::ResetByUs, Was::Closed));
    }
}

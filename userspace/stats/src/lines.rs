//! Log lines on their way from a worker to the writer: a bounded queue, one for each worker.
//!
//! A worker never waits for the writer and never wakes it: it writes whole lines into its own buffer, hands the buffer over at the end of its
//! turn, and the writer comes by on its own time. When the queue is full, lines are dropped and counted.

use alloc::sync::Arc;
use core::{
    mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crossbeam::queue::ArrayQueue;

use crate::Counter;

/// Bytes that wait for the writer, for each worker.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Batches that wait for the writer, for each worker: as many turns as fit between two visits of the writer on a busy worker.
pub const QUEUE_BATCHES_MAX: usize = 1024;
/// A batch is handed over, or what follows is dropped, from this size on.
pub const BATCH_BYTES_MAX: usize = 64 << 10;

/// Whole lines.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines, each with its newline.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub lines: u64,
}

/// Both ends of a queue.
pub fn lines() -> (Lines, LinesReader) {
    let queue = Arc::new(Queue { batches: ArrayQueue::new(QUEUE_BATCHES_MAX), bytes: AtomicUsize::new(0) });
    (Lines { queue: Arc::clone(&queue) }, LinesReader { queue })
}

#[derive(Debug)]
struct Queue {
    batches: ArrayQueue<Batch>,
    bytes: AtomicUsize,
}

/// The worker's end, before it stands on its worker.
#[derive(Debug)]
pub struct Lines {
    queue: Arc<Queue>,
}

/// The worker's end.
#[derive(Debug)]
pub struct LinesWriter {
    queue: Arc<Queue>,
    batch: Batch,
    dropped: Counter,
}

/// The writer's end.
#[derive(Debug)]
pub struct LinesReader {
    queue: Arc<Queue>,
}

impl Lines {
    /// On the worker's thread; `dropped` counts lines that found the queue full.
    pub fn writer(self, dropped: Counter) -> LinesWriter {
        LinesWriter { queue: self.queue, batch: Batch::default(), dropped }
    }
}

impl LinesWriter {
    /// One line: `write` appends it to what it is given, without its newline.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.batch.bytes.len() >= BATCH_BYTES_MAX && !self.hand_over() {
            self.dropped.increment();
            return;
        }
        write(&mut self.batch.bytes);
        self.batch.bytes.push(b'\n');
        self.batch.lines += 1;
    }

    /// Gives the writer what there is. To be called at the end of each turn; what finds no room waits for the next.
    pub fn flush(&mut self) {
        if self.batch.lines > 0 {
            self.hand_over();
        }
    }

    /// Whether there was room.
    fn hand_over(&mut self) -> bool {
        let size = self.batch.bytes.len();
        if self.queue.bytes.load(Relaxed) + size > QUEUE_BYTES_MAX {
            return false;
        }
        // Counted before it can be taken: the count never goes below nothing.
        self.queue.bytes.fetch_add(size, Relaxed);
        if let Err(batch) = self.queue.batches.push(mem::take(&mut self.batch)) {
            self.queue.bytes.fetch_sub(size, Relaxed);
            self.batch = batch;
            return false;
        }
        true
    }
}

impl LinesReader {
    /// The oldest batch.
    pub fn take(&mut self) -> Option<Batch> {
        let batch = self.queue.batches.pop()?;
        self.queue.bytes.fetch_sub(batch.bytes.len(), Relaxed);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics, stats};

    #[test]
    fn lines_come_out_in_order_and_whole() {
        let (hub, _reader) = stats();
        let (lines, mut reader) = lines();
        let mut writer = lines.writer(hub.page().counter(&metrics::LOG_DROPPED, &[("worker", "0")]));
        writer.flush();
        assert!(reader.take().is_none(), "nothing was written");
        writer.line(|line| line.extend(b"one"));
        assert!(reader.take().is_none(), "the turn goes on");
        writer.line(|line| line.extend(b"two"));
        writer.flush();
        let batch = reader.take().unwrap();
        assert_eq!((batch.bytes.as_slice(), batch.lines), (&b"one\ntwo\n"[..], 2));
        assert!(reader.take().is_none());
    }

    #[test]
    fn what_finds_the_queue_full_is_dropped_and_counted() {
        let (hub, _reader) = stats();
        let dropped = hub.page().counter(&metrics::LOG_DROPPED, &[("worker", "0")]);
        // By bytes: long lines. By batches: a turn for each short line.
        for (length, flush, batches) in [(1_023, false, QUEUE_BYTES_MAX / BATCH_BYTES_MAX), (7, true, QUEUE_BATCHES_MAX)] {
            let (lines, mut reader) = lines();
            let mut writer = lines.writer(dropped.clone());
            let before = dropped.value();
            let mut written = 0_u64;
            while dropped.value() < before + 10 {
                writer.line(|line| line.resize(line.len() + length, b'x'));
                written += 1;
                if flush {
                    writer.flush();
                }
            }
            let mut read = 0;
            for _ in 0..batches {
                read += reader.take().unwrap().lines;
            }
            writer.flush();
            read += reader.take().unwrap().lines;
            assert!(reader.take().is_none());
            assert_eq!(read, written - 10, "what was not dropped is written once there is room");
        }
    }
}

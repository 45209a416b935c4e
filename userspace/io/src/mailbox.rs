//! Letters to a worker: a bounded queue and a bell. Rare by design (snapshots, drain): nothing of a request travels this way.

use core::future::poll_fn;
use crossbeam::queue::ArrayQueue;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Bell, Errno, Ring};

/// Letters that may wait unread.
const LETTERS_MAX: usize = 256;

/// The worker's end.
pub struct Mailbox<T> {
    ring: Ring,
    slot: u32,
    letters: Arc<Letters<T>>,
}

/// The other threads' end.
pub struct Post<T> {
    letters: Arc<Letters<T>>,
    bell: Bell,
}

struct Letters<T> {
    unread: ArrayQueue<T>,
    refused: AtomicU64,
}

/// A mailbox on `ring`, and the post to it.
pub fn mailbox<T>(ring: &Ring) -> Result<(Mailbox<T>, Post<T>), Errno> {
    let bell = ring.with(|reactor| reactor.backend.bell())?;
    let letters = Arc::new(Letters { unread: ArrayQueue::new(LETTERS_MAX), refused: AtomicU64::new(0) });
    let slot = ring.with(|reactor| reactor.watch(bell.clone()));
    Ok((Mailbox { ring: ring.clone(), slot, letters: Arc::clone(&letters) }, Post { letters, bell }))
}

impl<T> Mailbox<T> {
    /// The next letter.
    pub async fn next(&self) -> T {
        poll_fn(|_| {
            let task = self.ring.task();
            loop {
                if let Some(letter) = self.letters.unread.pop() {
                    return core::task::Poll::Ready(letter);
                }
                if self.ring.with(|reactor| reactor.poll_rung(self.slot, task)).is_pending() {
                    return core::task::Poll::Pending;
                }
            }
        })
        .await
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.ring.with(|reactor| reactor.release_watch(self.slot));
    }
}

impl<T> Post<T> {
    /// Posts a letter; gives it back when the box is full.
    pub fn send(&self, letter: T) -> Result<(), T> {
        self.letters.unread.push(letter).inspect_err(|_| {
            self.letters.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        self.bell.ring();
        Ok(())
    }

    /// Letters that nobody has read yet.
    pub fn unread(&self) -> usize {
        self.letters.unread.len()
    }

    /// Letters that were given back because the box was full.
    pub fn refused(&self) -> u64 {
        self.letters.refused.load(Ordering::Relaxed)
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { letters: Arc::clone(&self.letters), bell: self.bell.clone() }
    }
}

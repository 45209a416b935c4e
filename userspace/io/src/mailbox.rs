//! Letters to a worker: a bounded queue and a bell. Rare by design (snapshots, drain): nothing of a request travels this way.

use core::future::poll_fn;
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;

use crate::{Bell, Errno, Ring};

/// Letters that may wait unread.
const LETTERS_MAX: usize = 256;

/// The worker's end.
pub struct Mailbox<T> {
    ring: Ring,
    slot: u32,
    letters: Arc<ArrayQueue<T>>,
}

/// The other threads' end.
pub struct Post<T> {
    letters: Arc<ArrayQueue<T>>,
    bell: Bell,
}

/// A mailbox on `ring`, and the post to it.
pub fn mailbox<T>(ring: &Ring) -> Result<(Mailbox<T>, Post<T>), Errno> {
    let bell = ring.with(|reactor| reactor.backend.bell())?;
    let letters = Arc::new(ArrayQueue::new(LETTERS_MAX));
    let slot = ring.with(|reactor| reactor.watch(bell.clone()));
    Ok((Mailbox { ring: ring.clone(), slot, letters: Arc::clone(&letters) }, Post { letters, bell }))
}

impl<T> Mailbox<T> {
    /// The next letter.
    pub async fn next(&self) -> T {
        poll_fn(|_| {
            let task = self.ring.task();
            loop {
                if let Some(letter) = self.letters.pop() {
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
        self.letters.push(letter)?;
        self.bell.ring();
        Ok(())
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { letters: Arc::clone(&self.letters), bell: self.bell.clone() }
    }
}

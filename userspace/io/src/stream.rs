//! A connected socket, as a task holds it.

use buf::{Chunk, Output};
use core::{future::poll_fn, task::Poll};
use model::Address;
use std::rc::Rc;

use crate::{AtRest, Errno, Fd, Joined, KernelCipher, Layer, ROOM_BYTES, Refused, Ring, reactor::Reactor};

/// The slot of a handle whose socket was given away.
const NO_SLOT: u32 = u32::MAX;

/// A connection. Dropping it sends what the kernel takes at once and closes it (by a reset when something was left).
pub struct Stream {
    ring: Ring,
    slot: u32,
}

impl Stream {
    pub(crate) fn new(ring: &Ring, fd: Fd) -> Self {
        Self { ring: ring.clone(), slot: ring.with(|reactor| reactor.adopt(fd)) }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// The ring it belongs to.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The peer's address.
    pub fn peer(&self) -> Result<Address, Errno> {
        self.ring.with(|reactor| {
            let fd = reactor.fd(self.slot);
            reactor.backend.peer(fd)
        })
    }

    /// Our own address.
    pub fn local(&self) -> Result<Address, Errno> {
        self.ring.with(|reactor| {
            let fd = reactor.fd(self.slot);
            reactor.backend.local(fd)
        })
    }

    /// The next bytes; an empty chunk when the peer has closed its half. Loses nothing when given up.
    #[inline]
    pub fn poll_receive(&self) -> Poll<Result<Chunk, Errno>> {
        let task = self.ring.task();
        self.ring.with(|reactor| reactor.poll_receive(self.slot, task))
    }

    /// [`Stream::poll_receive`] as a future.
    pub async fn receive(&self) -> Result<Chunk, Errno> {
        poll_fn(|_| self.poll_receive()).await
    }

    /// Gives bytes back to the front of what is received.
    pub fn put_back(&self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.ring.with(|reactor| reactor.put_back(self.slot, chunk));
        }
    }

    /// Whether bytes or the peer's end wait to be taken.
    pub fn has_received(&self) -> bool {
        self.ring.with(|reactor| reactor.has_received(self.slot))
    }

    /// Ready when the connection has broken, although nobody waits for its bytes.
    pub fn poll_broken(&self) -> Poll<()> {
        let task = self.ring.task();
        self.ring.with(|reactor| reactor.poll_broken(self.slot, task))
    }

    /// Adds to what is sent when the turn ends. Never waits: ask for room first.
    #[inline]
    pub fn write<R>(&self, write: impl FnOnce(&mut Output) -> R) -> R {
        self.ring.with(|reactor| reactor.write(self.slot, write))
    }

    /// Has `layer` asked for what is to be sent, from now on: after what is written already, and beside what is written later.
    pub fn set_layer(&self, layer: Rc<dyn Layer>) {
        self.ring.with(|reactor| reactor.set_layer(self.slot, layer));
    }

    /// The layer has something to send: it is asked when the turn ends, or when what is being sent has gone.
    pub fn wants_to_send(&self) {
        self.ring.with(|reactor| reactor.mark_dirty(self.slot));
    }

    /// Ready while fewer than [`ROOM_BYTES`] are unsent; an error once sending has failed.
    #[inline]
    pub fn poll_room(&self) -> Poll<Result<(), Errno>> {
        self.poll_unsent_below(ROOM_BYTES)
    }

    /// Ready once everything written is in the kernel's hands.
    pub fn poll_flushed(&self) -> Poll<Result<(), Errno>> {
        self.poll_unsent_below(1)
    }

    /// Ready while fewer than `below` bytes are unsent: none ever, when it is 0.
    pub fn poll_unsent_below(&self, below: usize) -> Poll<Result<(), Errno>> {
        let task = self.ring.task();
        self.ring.with(|reactor| reactor.poll_unsent_below(self.slot, below, task))
    }

    /// [`Stream::poll_room`] as a future.
    pub async fn room(&self) -> Result<(), Errno> {
        poll_fn(|_| self.poll_room()).await
    }

    /// [`Stream::poll_flushed`] as a future.
    pub async fn flushed(&self) -> Result<(), Errno> {
        poll_fn(|_| self.poll_flushed()).await
    }

    /// Bytes written but not yet in the kernel's hands.
    pub fn unsent(&self) -> usize {
        self.ring.with(|reactor| reactor.unsent(self.slot))
    }

    /// Closes our half once everything written is sent.
    pub fn finish(&self) {
        self.ring.with(|reactor| reactor.finish(self.slot));
    }

    /// Nothing will be written any more and nothing is awaited: once everything written is sent the handle may be dropped, and the peer learns
    /// of the end with the last bytes. For a peer that has said that it sends nothing more.
    pub fn end(&self) {
        self.ring.with(|reactor| reactor.end(self.slot));
    }

    /// Closes it at once by a reset.
    pub fn reset(mut self) {
        let slot = core::mem::replace(&mut self.slot, NO_SLOT);
        self.ring.with(|reactor| reactor.release(slot, true));
    }

    /// Waits until no reception is armed, so that bytes stay in the kernel. What came before can still be received.
    pub async fn disarm(&self) {
        poll_fn(|_| {
            let task = self.ring.task();
            self.ring.with(|reactor| reactor.poll_disarmed(self.slot, task))
        })
        .await;
    }

    /// Arms the reception although nobody waits yet: so an idle connection learns of its peer's close.
    pub fn arm(&self) {
        self.ring.with(|reactor| reactor.arm(self.slot));
    }

    /// Takes the connection to where any worker can take it from: only when nothing was received and everything is sent; else it is closed.
    pub async fn rest(mut self) -> Option<AtRest> {
        self.disarm().await;
        let rest = self.ring.with(|reactor| reactor.extract(self.slot).map(|fd| reactor.at_rest(fd)))?;
        self.slot = NO_SLOT;
        Some(rest)
    }

    /// Joins it with another in the kernel. Needs: nothing armed at either, nothing received and not taken, everything written flushed. What waits
    /// in the kernel at either is given to the other first: so many bytes of this one's and of the other's, also where joining is refused.
    pub fn join(&self, other: &Self, backlog_max: u64) -> (Result<Joined, Refused>, [u64; 2]) {
        Joined::join(self, other, backlog_max)
    }

    /// An end was received that is not to be believed yet: of a joined stream whose kept bytes have not all come.
    pub fn forget_end(&self) {
        self.ring.with(|reactor| reactor.forget_end(self.slot));
    }

    /// Moves up to `length` bytes to `to` inside the kernel; 0 when the peer has closed. Needs: nothing armed here, everything received here
    /// already taken, everything written to `to` flushed. Dropping the future cancels it, and the bytes in between are lost: close both then.
    pub async fn splice_to(&self, to: &Self, length: u64) -> Result<u64, Errno> {
        self.ring.with(|reactor| reactor.splice(self.slot, to.slot, length));
        let _cancel = CancelOther { stream: self };
        poll_fn(|_| {
            let task = self.ring.task();
            self.ring.with(|reactor| reactor.poll_done(self.slot, task))
        })
        .await
    }

    /// Has the kernel seal what is sent here from now on: what is written and what is spliced; at [`finish`](Self::finish) or
    /// [`end`](Self::end) it tells the peer. Everything before must be flushed. Refused, nothing has changed.
    pub fn encrypt(&self, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        self.ring.with(|reactor| reactor.encrypt(self.slot, cipher))
    }

    /// Counts a connection that ends because the kernel cannot change the key it was given.
    pub fn count_key_ended(&self) {
        self.ring.with(|reactor| reactor.counts.kernel_tls_ended += 1);
    }

    /// Whether [`Stream::splice_to`] may be used: this kernel has it, and not too many of them wait already.
    pub fn can_splice(&self) -> bool {
        self.ring.with(Reactor::can_splice)
    }
}

struct CancelOther<'a> {
    stream: &'a Stream,
}

impl Drop for CancelOther<'_> {
    fn drop(&mut self) {
        self.stream.ring.with(|reactor| reactor.cancel_other(self.stream.slot));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.slot != NO_SLOT {
            self.ring.with(|reactor| reactor.release(self.slot, false));
        }
    }
}

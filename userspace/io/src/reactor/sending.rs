//! What goes out: all that was written in a turn, in one Send at its end.

use buf::Chunk;
use core::task::Poll;
use std::rc::Rc;

use super::{Reactor, SPARE_BYTES_MAX, SPARES_MAX};
use crate::{Errno, Layer, Op, TaskId, executor::Executor};

impl Reactor {
    /// Lets `write` add to what is sent at the end of the turn.
    #[inline]
    pub(crate) fn write<R>(&mut self, slot: u32, write: impl FnOnce(&mut buf::Output) -> R) -> R {
        self.lend_block(slot);
        let result = write(&mut self.socket(slot).output);
        // Also while a Send is out: what must wait behind it leaves its receive buffers at the end of the turn.
        self.mark_dirty(slot);
        result
    }

    /// Gives a socket's output a spare block to grow in.
    pub(super) fn lend_block(&mut self, slot: u32) {
        let block = if self.socket(slot).output.has_block() { None } else { self.spare_blocks.pop() };
        if let Some(block) = block {
            self.socket(slot).output.reuse(block);
        }
    }

    /// Looks at a socket at the end of the turn: there is something to send, or to be asked of its layer.
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if !socket.flags.dirty {
            socket.flags.dirty = true;
            self.dirty.push(slot);
        }
    }

    pub(crate) fn set_layer(&mut self, slot: u32, layer: Rc<dyn Layer>) {
        self.socket(slot).layer = Some(layer);
    }

    pub(crate) fn unsent(&mut self, slot: u32) -> usize {
        self.socket(slot).unsent()
    }

    /// Ready when fewer than `below` bytes are unsent.
    pub(crate) fn poll_unsent_below(&mut self, slot: u32, below: usize, task: TaskId) -> Poll<Result<(), Errno>> {
        let socket = self.socket(slot);
        if let Some(errno) = socket.send_error {
            return Poll::Ready(Err(errno));
        }
        if socket.unsent() < below {
            return Poll::Ready(Ok(()));
        }
        socket.writer = task;
        Poll::Pending
    }

    pub(super) fn flush(&mut self, slot: u32) {
        self.ask_layer(slot);
        let spare = self.spare_pieces.pop();
        let socket = self.socket(slot);
        if socket.flags.send_out || socket.output.is_empty() || socket.send_error.is_some() {
            self.spare_pieces.extend(spare);
            self.settle(slot);
            return;
        }
        let pieces = socket.output.take(spare.unwrap_or_default());
        socket.sending = u32::try_from(pieces.iter().map(Chunk::len).sum::<usize>()).expect("far below 4 GiB are unsent");
        socket.flags.send_out = true;
        let (fd, last) = (socket.fd, socket.flags.is_last() && socket.sealed.is_none());
        self.start(slot, Op::Send { fd, pieces, wait: false, last });
    }

    /// Asks the socket's layer, if it has one, for what is to be sent: only when it is sent at once, so that what has become urgent meanwhile
    /// goes first.
    fn ask_layer(&mut self, slot: u32) {
        let Some(layer) = self.socket(slot).layer.clone() else { return };
        let socket = self.socket(slot);
        if !socket.flags.send_out && socket.send_error.is_none() && !socket.flags.reset {
            self.lend_block(slot);
            layer.fill(&mut self.socket(slot).output);
        }
        self.counts.heap_moved_bytes += layer.move_to_heap() as u64;
        let socket = self.socket(slot);
        if socket.flags.released && !socket.flags.send_out {
            socket.layer = None;
        }
    }

    pub(super) fn send_completed(&mut self, slot: u32, result: Result<u32, Errno>, mut pieces: Vec<Chunk>, executor: &Executor) {
        let socket = self.socket(slot);
        socket.outstanding -= 1;
        let sent = match result {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(errno) => {
                socket.send_error = Some(errno);
                socket.output.clear();
                socket.sending = 0;
                0
            }
        };
        if socket.sealed.is_some() {
            self.given(slot, u64::from(sent));
        }
        let socket = self.socket(slot);
        let broken = socket.send_error.is_some();
        socket.sending = socket.sending.saturating_sub(sent);
        let left = socket.sending > 0;
        if left && !broken && !socket.flags.released {
            self.send_rest(slot, pieces, sent as usize);
        } else {
            let socket = self.socket(slot);
            if left && socket.flags.released {
                // What comes after the gap must never be sent: the peer could not tell that something is missing.
                socket.flags.reset = true;
                socket.output.clear();
            }
            socket.sending = 0;
            (socket.flags.send_out, socket.flags.send_waits) = (false, false);
            let goes_on = !socket.output.is_empty() || socket.flags.finish || socket.layer.is_some() || socket.owes_goodbye();
            if !socket.flags.dirty && goes_on {
                socket.flags.dirty = true;
                self.dirty.push(slot);
            }
            self.recycle(&mut pieces);
            self.spare(pieces);
        }
        let socket = self.socket(slot);
        executor.wake(core::mem::replace(&mut socket.writer, TaskId::NONE));
        self.ended(slot);
    }

    /// The peer's window is full: the rest leaves the receive buffers and waits.
    fn send_rest(&mut self, slot: u32, mut pieces: Vec<Chunk>, mut sent: usize) {
        let mut done = 0;
        for piece in &mut pieces {
            let length = piece.len();
            piece.advance(sent);
            sent = sent.saturating_sub(length);
            done += usize::from(piece.is_empty());
            self.counts.heap_moved_bytes += piece.move_to_heap() as u64;
        }
        pieces.drain(..done);
        self.counts.short_sends += 1;
        let socket = self.socket(slot);
        socket.flags.send_waits = true;
        let (fd, last) = (socket.fd, socket.flags.is_last() && socket.sealed.is_none() && socket.output.is_empty());
        self.start(slot, Op::Send { fd, pieces, wait: true, last });
    }

    /// Keeps the blocks of sent pieces for the next heads.
    fn recycle(&mut self, pieces: &mut Vec<Chunk>) {
        for piece in pieces.drain(..) {
            if let Some(block) = piece.into_block()
                && self.spare_blocks.len() < SPARES_MAX
                && block.capacity() <= SPARE_BYTES_MAX
            {
                self.spare_blocks.push(block);
            }
        }
    }

    fn spare(&mut self, pieces: Vec<Chunk>) {
        if self.spare_pieces.len() < SPARES_MAX {
            self.spare_pieces.push(pieces);
        }
    }
}

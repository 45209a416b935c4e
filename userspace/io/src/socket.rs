//! One table entry per socket: what has come and waits to be taken, what waits to be sent, who waits for either, which operations are out.
//!
//! The entry outlives its [`Stream`](crate::Stream) handle until the last operation has ended, so that no buffer is ever given back while the
//! kernel may still use it, and no slot is reused while a completion may still come for it.

use buf::{Chunk, Output};
use std::{collections::VecDeque, rc::Rc};

use crate::{
    Errno, Fd, Kind, Layer, TaskId,
    cipher::{CLOSE_NOTIFY, Goodbye, Sealed},
};

/// A socket's entry.
pub(crate) struct Socket {
    pub(crate) fd: Fd,
    pub(crate) inbox: Inbox,
    pub(crate) output: Output,
    pub(crate) reader: TaskId,
    pub(crate) writer: TaskId,
    /// Operations whose last completion has not come.
    pub(crate) outstanding: u8,
    pub(crate) receive: Receive,
    /// How the peer's direction ended, if it did.
    pub(crate) received_end: Option<Ended>,
    /// Why nothing can be sent any more.
    pub(crate) send_error: Option<Errno>,
    /// Bytes the kernel still holds of the Send that is out.
    pub(crate) sending: u32,
    /// The result of the one Connect, Splice or Accept cancelled, for the task that waits for it.
    pub(crate) done: Option<Result<u64, Errno>>,
    /// The Connect or Splice that is out, and the other socket it uses.
    pub(crate) other: Option<(Kind, u32)>,
    /// What is asked for what is to be sent.
    pub(crate) layer: Option<Rc<dyn Layer>>,
    /// The kernel seals what is sent.
    pub(crate) sealed: Option<Box<Sealed>>,
    pub(crate) flags: Flags,
}

/// Booleans of an entry, in one place.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a hidden state machine")]
pub(crate) struct Flags {
    /// It stands in the reactor's list of those with something to send.
    pub(crate) dirty: bool,
    /// A Send is out.
    pub(crate) send_out: bool,
    /// The Send that is out waits for the peer.
    pub(crate) send_waits: bool,
    /// Our half is closed once the output is empty.
    pub(crate) finish: bool,
    /// Our half is closed.
    pub(crate) finished: bool,
    /// Nothing more is written or awaited.
    pub(crate) ending: bool,
    /// Nobody holds a handle: close when the output is empty and nothing is out.
    pub(crate) released: bool,
    /// Close by a reset, dropping what is unsent.
    pub(crate) reset: bool,
    /// It is joined in the kernel, and what comes is for us all the same.
    pub(crate) kept: bool,
    /// Close is out.
    pub(crate) closing: bool,
}

impl Flags {
    /// Whether nothing will be written any more, so that our half closes after what is there.
    pub(crate) fn is_last(self) -> bool {
        self.finish || self.ending || self.released
    }
}

/// The state of a socket's reception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// No Receive is out.
    Off,
    /// One is out.
    Armed,
    /// One is out and its cancel too.
    Cancelling,
    /// None is out because the arena ran dry; armed again when buffers come back.
    Parked,
}

/// How the peer's direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It closed its half.
    Closed,
    /// The connection broke.
    Broken(Errno),
}

/// Received chunks: nearly always none or one.
#[derive(Default)]
pub(crate) struct Inbox {
    first: Chunk,
    #[expect(clippy::box_collection, reason = "a pointer in every entry instead of four words that nearly none needs")]
    rest: Option<Box<VecDeque<Chunk>>>,
}

impl Inbox {
    pub(crate) fn push(&mut self, chunk: Chunk) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }

    pub(crate) fn put_back(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        let first = core::mem::replace(&mut self.first, chunk);
        if !first.is_empty() {
            self.rest.get_or_insert_default().push_front(first);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Chunk> {
        if self.first.is_empty() {
            return None;
        }
        let next = match &mut self.rest {
            None => Chunk::default(),
            Some(rest) => rest.pop_front().unwrap_or_else(|| {
                self.rest = None;
                Chunk::default()
            }),
        };
        Some(core::mem::replace(&mut self.first, next))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(crate) fn move_to_heap(&mut self) -> usize {
        self.first.move_to_heap() + self.rest.iter_mut().flat_map(|rest| rest.iter_mut()).map(Chunk::move_to_heap).sum::<usize>()
    }
}

impl Socket {
    pub(crate) fn new(fd: Fd) -> Self {
        Self {
            fd,
            inbox: Inbox::default(),
            output: Output::default(),
            reader: TaskId::NONE,
            writer: TaskId::NONE,
            outstanding: 0,
            receive: Receive::Off,
            received_end: None,
            send_error: None,
            sending: 0,
            done: None,
            other: None,
            layer: None,
            sealed: None,
            flags: Flags::default(),
        }
    }

    /// Moves to the heap what the turn leaves in receive buffers; gives the bytes copied.
    pub(crate) fn move_to_heap(&mut self) -> usize {
        self.inbox.move_to_heap() + self.layer.as_ref().map_or(0, |layer| layer.move_to_heap())
    }

    /// Bytes not yet taken by the kernel's socket buffer.
    pub(crate) fn unsent(&self) -> usize {
        let farewell = if self.owes_goodbye() || self.has_said(Goodbye::Out) { CLOSE_NOTIFY.1.len() } else { 0 };
        self.output.len() + self.sending as usize + farewell
    }

    /// Whether the kernel is to tell the peer that nothing more comes, once all is sent.
    pub(crate) fn owes_goodbye(&self) -> bool {
        let ends = self.flags.finish || self.flags.ending;
        self.has_said(Goodbye::Owed) && ends && self.send_error.is_none() && !self.flags.reset
    }

    /// Whether the kernel seals, and has come so far in telling the peer.
    pub(crate) fn has_said(&self, goodbye: Goodbye) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| sealed.goodbye == goodbye)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inbox_keeps_order() {
        let mut inbox = Inbox::default();
        for text in ["a", "b", "c"] {
            inbox.push(Chunk::from(text));
        }
        let first = inbox.pop().unwrap();
        inbox.put_back(first);
        inbox.push(Chunk::from("d"));
        let order: Vec<u8> = core::iter::from_fn(|| inbox.pop()).flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(order, b"abcd");
        assert!(inbox.is_empty() && inbox.rest.is_none());
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Socket>() <= 192, "{}", size_of::<Socket>());
    }
}

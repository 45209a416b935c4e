//! Connected sockets from their beginning to their end; what comes in and what goes out stand beside this.

use core::task::Poll;

use super::{Entry, Reactor};
use crate::{
    Errno, Fd, Kind, Op, TaskId, Token,
    cipher::Goodbye,
    executor::Executor,
    socket::{Receive, Socket},
};

impl Reactor {
    /// Takes over a connected (or not yet connected) socket.
    pub(crate) fn adopt(&mut self, fd: Fd) -> u32 {
        self.insert(Entry::Socket(Socket::new(fd)))
    }

    pub(crate) fn fd(&mut self, slot: u32) -> Fd {
        self.socket(slot).fd
    }

    pub(crate) fn connect(&mut self, slot: u32, address: model::Address) {
        let socket = self.socket(slot);
        socket.other = Some((Kind::Connect, slot));
        let fd = socket.fd;
        self.start(slot, Op::Connect { fd, address });
    }

    pub(crate) fn splice(&mut self, from: u32, to: u32, length: u64) {
        let to_fd = self.socket(to).fd;
        // The operation uses both descriptors: neither may be closed before it has ended.
        self.socket(to).outstanding += 1;
        let socket = self.socket(from);
        socket.other = Some((Kind::Splice, to));
        let fd = socket.fd;
        self.start(from, Op::Splice { from: fd, to: to_fd, length });
    }

    pub(crate) fn cancel_other(&mut self, slot: u32) {
        if let Some((kind, _)) = self.socket(slot).other {
            self.start(slot, Op::Cancel { target: Token { kind, slot } });
        }
    }

    pub(crate) fn poll_done(&mut self, slot: u32, task: TaskId) -> Poll<Result<u64, Errno>> {
        let socket = self.socket(slot);
        if let Some(result) = socket.done.take() {
            return Poll::Ready(result);
        }
        socket.writer = task;
        Poll::Pending
    }

    /// Closes our half when everything written has been sent.
    pub(crate) fn finish(&mut self, slot: u32) {
        let socket = self.socket(slot);
        socket.flags.finish = true;
        if !socket.flags.dirty && !socket.flags.send_out {
            socket.flags.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Nothing is written any more, nor awaited.
    pub(crate) fn end(&mut self, slot: u32) {
        let socket = self.socket(slot);
        socket.flags.ending = true;
        if socket.receive == Receive::Armed {
            self.cancel_receive(slot);
        }
        if self.socket(slot).owes_goodbye() {
            self.mark_dirty(slot);
        }
    }

    /// The handle is gone: what the kernel takes at once is sent, then the socket is closed; by a reset if `reset` or if something is left.
    pub(crate) fn release(&mut self, slot: u32, reset: bool) {
        let socket = self.socket(slot);
        socket.flags.released = true;
        socket.flags.reset |= reset || socket.flags.send_waits;
        (socket.reader, socket.writer) = (TaskId::NONE, TaskId::NONE);
        socket.inbox = crate::socket::Inbox::default();
        if socket.flags.reset {
            socket.output.clear();
        }
        if socket.receive == Receive::Armed {
            self.cancel_receive(slot);
        }
        let socket = self.socket(slot);
        if socket.flags.send_waits {
            self.start(slot, Op::Cancel { target: Token { kind: Kind::Send, slot } });
        }
        let socket = self.socket(slot);
        if let Some((kind, _)) = socket.other {
            self.start(slot, Op::Cancel { target: Token { kind, slot } });
        }
        if self.socket(slot).has_said(Goodbye::Out) {
            self.start(slot, Op::Cancel { target: Token { kind: Kind::Goodbye, slot } });
        }
        self.mark_dirty(slot);
    }

    /// Takes the socket out of the table; only when it is disarmed, drained and flushed.
    pub(crate) fn extract(&mut self, slot: u32) -> Option<Fd> {
        let socket = self.socket(slot);
        let quiet = socket.outstanding == 0 && socket.unsent() == 0 && socket.inbox.is_empty() && socket.received_end.is_none();
        if !quiet || socket.flags.dirty || socket.flags.finish || socket.layer.is_some() {
            return None;
        }
        let fd = socket.fd;
        self.remove(slot);
        Some(fd)
    }

    /// What follows when nothing is being sent: our half is closed, or the socket.
    pub(super) fn settle(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.flags.send_out {
            // The rest of what was written while a Send was out must not keep receive buffers.
            let moved = socket.output.move_to_heap() as u64;
            self.counts.heap_moved_bytes += moved;
            return;
        }
        if socket.owes_goodbye() {
            return self.say_goodbye(slot);
        }
        if socket.has_said(Goodbye::Out) {
            return;
        }
        if socket.flags.finish && !socket.flags.finished && socket.send_error.is_none() && !socket.flags.released {
            socket.flags.finished = true;
            let fd = socket.fd;
            self.backend.finish(fd);
        }
        let socket = self.socket(slot);
        if socket.flags.released && socket.outstanding == 0 && !socket.flags.closing {
            socket.flags.closing = true;
            let (fd, reset) = (socket.fd, socket.flags.reset);
            self.start(slot, Op::Close { fd, reset });
        }
    }

    pub(super) fn done(&mut self, kind: Kind, slot: u32, result: Result<u64, Errno>, executor: &Executor) {
        if kind == Kind::Forget {
            return;
        }
        let socket = self.socket(slot);
        socket.outstanding -= 1;
        match kind {
            Kind::Close => return self.remove(slot),
            Kind::Connect | Kind::Splice | Kind::Hangup => {
                socket.done = Some(result);
                let other = socket.other.take();
                executor.wake(core::mem::replace(&mut socket.writer, TaskId::NONE));
                if let Some((Kind::Splice, to)) = other {
                    let to_socket = self.socket(to);
                    to_socket.outstanding -= 1;
                    if to_socket.sealed.is_some() {
                        let moved = result.unwrap_or(0);
                        self.counts.kernel_tls_bytes += moved;
                        self.given(to, moved);
                    }
                    self.ended(to);
                }
            }
            Kind::Goodbye => return self.goodbye_said(slot, result, executor),
            Kind::Accept | Kind::Receive | Kind::Send | Kind::Watch | Kind::Cancel | Kind::Forget => {}
        }
        self.ended(slot);
    }

    /// After each last completion: a released socket may be closed now.
    pub(super) fn ended(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.flags.released && socket.outstanding == 0 && !socket.flags.dirty {
            self.settle(slot);
        }
    }
}

//! Connected sockets: what streams ask of them, and what the completions of their operations do.

use buf::Chunk;
use core::task::Poll;
use std::rc::Rc;

use super::{CREDIT_BYTES, Entry, Reactor, SPARE_BYTES_MAX, SPARES_MAX};
use crate::{
    Errno, Fd, KernelCipher, Kind, Layer, Op, TaskId, Token,
    cipher::{Goodbye, Sealed},
    executor::Executor,
    socket::{Ended, Receive, Socket},
};

impl Reactor {
    /// Takes over a connected (or not yet connected) socket.
    pub(crate) fn adopt(&mut self, fd: Fd) -> u32 {
        self.insert(Entry::Socket(Socket::new(fd)))
    }

    pub(crate) fn fd(&mut self, slot: u32) -> Fd {
        self.socket(slot).fd
    }

    pub(crate) fn poll_receive(&mut self, slot: u32, task: TaskId) -> Poll<Result<Chunk, Errno>> {
        let socket = self.socket(slot);
        if let Some(chunk) = socket.inbox.pop() {
            return Poll::Ready(Ok(chunk));
        }
        match socket.received_end {
            Some(Ended::Closed) => return Poll::Ready(Ok(Chunk::default())),
            Some(Ended::Broken(errno)) => return Poll::Ready(Err(errno)),
            None => {}
        }
        socket.reader = task;
        if socket.receive == Receive::Off {
            self.arm(slot);
        }
        Poll::Pending
    }

    pub(crate) fn arm(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.receive != Receive::Off || socket.received_end.is_some() {
            return;
        }
        socket.receive = Receive::Armed;
        let fd = socket.fd;
        self.start(slot, Op::Receive { fd, credit: CREDIT_BYTES });
    }

    /// Ends the Receive that is out; ready when its last completion was seen.
    pub(crate) fn poll_disarmed(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let socket = self.socket(slot);
        match socket.receive {
            Receive::Off => return Poll::Ready(()),
            Receive::Parked => {
                socket.receive = Receive::Off;
                self.parked.retain(|parked| *parked != slot);
                return Poll::Ready(());
            }
            Receive::Cancelling => socket.reader = task,
            Receive::Armed => {
                socket.reader = task;
                self.cancel_receive(slot);
            }
        }
        Poll::Pending
    }

    fn cancel_receive(&mut self, slot: u32) {
        self.socket(slot).receive = Receive::Cancelling;
        self.start(slot, Op::Cancel { target: Token { kind: Kind::Receive, slot } });
    }

    pub(crate) fn poll_broken(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let socket = self.socket(slot);
        if matches!(socket.received_end, Some(Ended::Broken(_))) {
            return Poll::Ready(());
        }
        socket.reader = task;
        Poll::Pending
    }

    pub(crate) fn put_back(&mut self, slot: u32, chunk: Chunk) {
        self.socket(slot).inbox.put_back(chunk);
        self.received.push(slot);
    }

    /// Whether bytes, or the peer's end, wait to be taken.
    pub(crate) fn has_received(&mut self, slot: u32) -> bool {
        let socket = self.socket(slot);
        !socket.inbox.is_empty() || socket.received_end.is_some()
    }

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
    fn lend_block(&mut self, slot: u32) {
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

    /// What follows when nothing is being sent: our half is closed, or the socket.
    fn settle(&mut self, slot: u32) {
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

    /// Has the kernel seal what is sent from now on.
    pub(crate) fn encrypt(&mut self, slot: u32, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        let socket = self.socket(slot);
        if socket.unsent() > 0 || socket.flags.send_out || socket.sealed.is_some() {
            return Err(Errno::BUSY);
        }
        let (fd, sealed) = (socket.fd, Sealed::new(&*cipher));
        let given = self.backend.encrypt(fd, cipher);
        if given.is_ok() {
            self.socket(slot).sealed = Some(Box::new(sealed));
            self.counts.kernel_tls += 1;
        } else {
            self.counts.kernel_tls_refused += 1;
        }
        given
    }

    /// The kernel was given so many bytes to seal. What a spent key would protect is not sent any more.
    fn given(&mut self, slot: u32, bytes: u64) {
        let socket = self.socket(slot);
        let fd = socket.fd;
        let Some(sealed) = &mut socket.sealed else { return };
        if !sealed.give(bytes) {
            return;
        }
        let sequence = self.backend.sealed_sequence(fd).unwrap_or(u64::MAX);
        let socket = self.socket(slot);
        if socket.sealed.as_mut().is_some_and(|sealed| sealed.is_spent_at(sequence)) {
            socket.send_error.get_or_insert(Errno::KEYEXPIRED);
            socket.output.clear();
            self.counts.kernel_tls_ended += 1;
        }
    }

    fn say_goodbye(&mut self, slot: u32) {
        let socket = self.socket(slot);
        let Some(sealed) = &mut socket.sealed else { return };
        sealed.goodbye = Goodbye::Out;
        let (fd, given, wait) = (socket.fd, sealed.given, !socket.flags.released);
        self.start(slot, Op::Goodbye { fd, given, wait });
    }

    fn goodbye_said(&mut self, slot: u32, result: Result<u64, Errno>, executor: &Executor) {
        let socket = self.socket(slot);
        if let Some(sealed) = &mut socket.sealed {
            sealed.goodbye = Goodbye::Said;
        }
        if let Err(errno) = result {
            // Something was left that the peer will not get: it must not take what it has for the whole.
            socket.flags.reset |= socket.flags.released;
            socket.send_error.get_or_insert(errno);
        }
        executor.wake(core::mem::replace(&mut socket.writer, TaskId::NONE));
        if !socket.flags.dirty {
            self.settle(slot);
        }
    }

    pub(super) fn receive_completed(&mut self, slot: u32, result: Result<Chunk, Errno>, more: bool, executor: &Executor) {
        let socket = self.socket(slot);
        if !more {
            socket.outstanding -= 1;
            socket.receive = Receive::Off;
        }
        let mut parked = false;
        match result {
            Ok(chunk) if chunk.is_empty() => socket.received_end = Some(Ended::Closed),
            Ok(chunk) => {
                if !socket.flags.released {
                    socket.inbox.push(chunk);
                    self.received.push(slot);
                }
            }
            // (Part of its credit may be here already: who takes that asks again.)
            Err(Errno::NOBUFS) => parked = !socket.flags.released && socket.inbox.is_empty(),
            Err(Errno::CANCELED) => {}
            Err(errno) => socket.received_end = Some(Ended::Broken(errno)),
        }
        if parked {
            let socket = self.socket(slot);
            socket.receive = Receive::Parked;
            self.parked.push_back(slot);
            self.counts.parked += 1;
        }
        let socket = self.socket(slot);
        executor.wake(core::mem::replace(&mut socket.reader, TaskId::NONE));
        self.ended(slot);
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
    fn ended(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.flags.released && socket.outstanding == 0 && !socket.flags.dirty {
            self.settle(slot);
        }
    }
}

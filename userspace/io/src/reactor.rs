//! The reactor: the table of sockets, and what each completion does to it.
//!
//! A turn ends by three promises. Everything written during the turn goes out as one Send per socket. Nothing that is still queued stands in
//! a receive buffer any more: it moves to the heap, so that stalled peers cannot dry the arena up. And a Receive is armed only when a task
//! waits for bytes, with a credit: that is all the back-pressure there is.

use buf::Chunk;
use core::task::Poll;
use model::Instant;
use std::collections::VecDeque;

use crate::{
    AtRest, Bell, Completion, Descriptor, Errno, Fd, Kind, Op, Outcome, Shutdown, TaskId, Token,
    backend::Backend,
    executor::Executor,
    socket::{Ended, Receive, Socket},
    wheel::{TimerId, Wheel},
};

/// A stream takes more to send while fewer bytes than this are unsent.
pub const ROOM_BYTES: usize = 64 * 1024;
/// Bytes that one armed Receive may bring.
const CREDIT_BYTES: u32 = 64 * 1024;
/// Blocks and piece lists kept for reuse.
const SPARES_MAX: usize = 1024;
/// A larger block is not kept.
const SPARE_BYTES_MAX: usize = 16 * 1024;
/// Accepted connections not yet taken, per listener.
const ACCEPTED_MAX: usize = 1024;

/// What a worker counts about its ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Turns of the loop.
    pub turns: u64,
    /// Completions handled.
    pub completions: u64,
    /// Receptions that found the arena dry.
    pub parked: u64,
    /// Sends that the peer's window cut short.
    pub short_sends: u64,
    /// Bytes moved from receive buffers to the heap because their turn ended.
    pub heap_moved_bytes: u64,
    /// Times that accepting stopped because descriptors or memory ran out.
    pub accept_paused: u64,
}

pub(crate) struct Reactor {
    pub(crate) backend: Backend,
    entries: Vec<Entry>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    received: Vec<u32>,
    parked: Vec<u32>,
    spare_pieces: Vec<Vec<Chunk>>,
    spare_blocks: Vec<Vec<u8>>,
    pub(crate) timers: Wheel<Alarm>,
    pub(crate) counts: Counts,
    open: usize,
}

/// What a timer carries.
#[derive(Clone, Copy)]
pub(crate) struct Alarm {
    /// When it is wanted: may be later than what it is armed for.
    pub(crate) wanted: Instant,
    /// Whom to wake.
    pub(crate) task: TaskId,
}

enum Entry {
    Free,
    Socket(Socket),
    Listening(Box<Listening>),
    Watching(Box<Watching>),
}

struct Listening {
    descriptor: Option<Descriptor>,
    fd: Fd,
    accepted: VecDeque<Fd>,
    error: Option<Errno>,
    armed: bool,
    released: bool,
    task: TaskId,
}

struct Watching {
    bell: Bell,
    armed: bool,
    rung: bool,
    released: bool,
    task: TaskId,
}

impl Reactor {
    pub(crate) fn new(backend: Backend) -> Self {
        let timers = Wheel::new(backend.now());
        Self {
            backend,
            entries: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            received: Vec::new(),
            parked: Vec::new(),
            spare_pieces: Vec::new(),
            spare_blocks: Vec::new(),
            timers,
            counts: Counts::default(),
            open: 0,
        }
    }

    /// Sockets, listeners and bells that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        self.open += 1;
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            return slot;
        }
        self.entries.push(entry);
        u32::try_from(self.entries.len() - 1).expect("fewer than 4 G sockets")
    }

    fn remove(&mut self, slot: u32) {
        self.open -= 1;
        self.entries[slot as usize] = Entry::Free;
        self.free.push(slot);
    }

    /// The entry of a live handle, or of an operation that is out.
    fn socket(&mut self, slot: u32) -> &mut Socket {
        match &mut self.entries[slot as usize] {
            Entry::Socket(socket) => socket,
            Entry::Free | Entry::Listening(_) | Entry::Watching(_) => {
                unreachable!("slot {slot} is a socket's while its handle or an operation lives")
            }
        }
    }

    fn start(&mut self, slot: u32, op: Op) {
        self.socket(slot).outstanding += 1;
        self.backend.submit(slot, op);
    }

    // ---- what streams ask ----

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
        let block = if self.socket(slot).output.has_block() { None } else { self.spare_blocks.pop() };
        let socket = self.socket(slot);
        if let Some(block) = block {
            socket.output.reuse(block);
        }
        let result = write(&mut socket.output);
        // Also while a Send is out: what must wait behind it leaves its receive buffers at the end of the turn.
        if !socket.flags.dirty {
            socket.flags.dirty = true;
            self.dirty.push(slot);
        }
        result
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
        let socket = self.socket(slot);
        if !socket.flags.dirty {
            socket.flags.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Takes the socket out of the table; only when it is disarmed, drained and flushed.
    pub(crate) fn extract(&mut self, slot: u32) -> Option<Fd> {
        let socket = self.socket(slot);
        let quiet = socket.outstanding == 0 && socket.unsent() == 0 && socket.inbox.is_empty() && socket.received_end.is_none();
        if !quiet || socket.flags.dirty || socket.flags.finish {
            return None;
        }
        let fd = socket.fd;
        self.remove(slot);
        Some(fd)
    }

    // ---- connect and splice: one result each ----

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

    // ---- listeners and bells ----

    pub(crate) fn listen(&mut self, descriptor: Descriptor) -> u32 {
        let fd = descriptor.fd();
        let listening = Listening {
            descriptor: Some(descriptor),
            fd,
            accepted: VecDeque::new(),
            error: None,
            armed: false,
            released: false,
            task: TaskId::NONE,
        };
        self.insert(Entry::Listening(Box::new(listening)))
    }

    fn listening(&mut self, slot: u32) -> &mut Listening {
        match &mut self.entries[slot as usize] {
            Entry::Listening(listening) => listening,
            Entry::Free | Entry::Socket(_) | Entry::Watching(_) => {
                unreachable!("slot {slot} is a listener's while its handle or an operation lives")
            }
        }
    }

    pub(crate) fn poll_accept(&mut self, slot: u32, task: TaskId) -> Poll<Result<Fd, Errno>> {
        let listening = self.listening(slot);
        if let Some(fd) = listening.accepted.pop_front() {
            return Poll::Ready(Ok(fd));
        }
        if let Some(errno) = listening.error.take() {
            return Poll::Ready(Err(errno));
        }
        listening.task = task;
        if !listening.armed {
            listening.armed = true;
            let fd = listening.fd;
            self.backend.submit(slot, Op::Accept { fd });
        }
        Poll::Pending
    }

    pub(crate) fn release_listener(&mut self, slot: u32) {
        let listening = self.listening(slot);
        listening.released = true;
        let accepted = core::mem::take(&mut listening.accepted);
        let armed = listening.armed;
        for fd in accepted {
            self.close_unowned(fd);
        }
        if armed {
            self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Accept, slot } });
        } else {
            self.remove(slot);
        }
    }

    /// Closes a connection that nobody has taken.
    fn close_unowned(&mut self, fd: Fd) {
        let slot = self.adopt(fd);
        self.release(slot, true);
    }

    pub(crate) fn watch(&mut self, bell: Bell) -> u32 {
        self.insert(Entry::Watching(Box::new(Watching { bell, armed: false, rung: false, released: false, task: TaskId::NONE })))
    }

    fn watching(&mut self, slot: u32) -> &mut Watching {
        match &mut self.entries[slot as usize] {
            Entry::Watching(watching) => watching,
            Entry::Free | Entry::Socket(_) | Entry::Listening(_) => {
                unreachable!("slot {slot} is a bell's while its handle or an operation lives")
            }
        }
    }

    pub(crate) fn poll_rung(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let watching = self.watching(slot);
        if core::mem::take(&mut watching.rung) {
            return Poll::Ready(());
        }
        watching.task = task;
        if !watching.armed {
            watching.armed = true;
            let bell = watching.bell.clone();
            self.backend.submit(slot, Op::Watch { bell });
        }
        Poll::Pending
    }

    pub(crate) fn release_watch(&mut self, slot: u32) {
        let watching = self.watching(slot);
        watching.released = true;
        if watching.armed {
            self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Watch, slot } });
        } else {
            self.remove(slot);
        }
    }

    // ---- the end of a turn ----

    /// Sends what was written, moves what stays queued to the heap, and arms what was parked if buffers came back.
    pub(crate) fn end_turn(&mut self) {
        while let Some(slot) = self.received.pop() {
            if let Entry::Socket(socket) = &mut self.entries[slot as usize] {
                self.counts.heap_moved_bytes += socket.inbox.move_to_heap() as u64;
            }
        }
        let mut dirty = core::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            if let Entry::Socket(socket) = &mut self.entries[slot as usize] {
                socket.flags.dirty = false;
                self.flush(slot);
            }
        }
        // What `flush` marks again (never itself) stays for the next turn.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
        if !self.parked.is_empty() && self.backend.has_buffers() {
            for slot in core::mem::take(&mut self.parked) {
                if let Entry::Socket(socket) = &mut self.entries[slot as usize]
                    && socket.receive == Receive::Parked
                    && !socket.flags.released
                {
                    socket.receive = Receive::Off;
                    self.arm(slot);
                }
            }
        }
    }

    fn flush(&mut self, slot: u32) {
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
        let fd = socket.fd;
        self.start(slot, Op::Send { fd, pieces, wait: false });
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
        if socket.flags.finish && !socket.flags.finished && socket.send_error.is_none() && !socket.flags.released {
            socket.flags.finished = true;
            let fd = socket.fd;
            self.start(slot, Op::Shutdown { fd, how: Shutdown::Send });
        }
        let socket = self.socket(slot);
        if socket.flags.released && socket.outstanding == 0 && !socket.flags.closing {
            socket.flags.closing = true;
            let (fd, reset) = (socket.fd, socket.flags.reset);
            self.start(slot, Op::Close { fd, reset });
        }
    }

    // ---- what happened ----

    pub(crate) fn complete(&mut self, completion: Completion, executor: &Executor) {
        let Completion { token: Token { kind, slot }, outcome, more } = completion;
        match (kind, outcome) {
            (Kind::Accept, Outcome::Accepted(result)) => self.accepted(slot, result, more, executor),
            (Kind::Watch, _) => self.rung(slot, more, executor),
            (_, Outcome::Received(result)) => self.receive_completed(slot, result, more, executor),
            (_, Outcome::Sent(result, pieces)) => self.send_completed(slot, result, pieces, executor),
            (kind, Outcome::Done(result)) => self.done(kind, slot, result, executor),
            (_, Outcome::Accepted(_)) => unreachable!("only Accept gives connections"),
        }
    }

    fn receive_completed(&mut self, slot: u32, result: Result<Chunk, Errno>, more: bool, executor: &Executor) {
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
            Err(Errno::NOBUFS) => parked = !socket.flags.released,
            Err(Errno::CANCELED) => {}
            Err(errno) => socket.received_end = Some(Ended::Broken(errno)),
        }
        if parked {
            let socket = self.socket(slot);
            socket.receive = Receive::Parked;
            self.parked.push(slot);
            self.counts.parked += 1;
        }
        let socket = self.socket(slot);
        executor.wake(core::mem::replace(&mut socket.reader, TaskId::NONE));
        self.ended(slot);
    }

    fn send_completed(&mut self, slot: u32, result: Result<u32, Errno>, mut pieces: Vec<Chunk>, executor: &Executor) {
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
            if !socket.flags.dirty && (!socket.output.is_empty() || socket.flags.finish) {
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
        let fd = socket.fd;
        self.start(slot, Op::Send { fd, pieces, wait: true });
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

    fn done(&mut self, kind: Kind, slot: u32, result: Result<u64, Errno>, executor: &Executor) {
        if kind == Kind::Forget {
            return;
        }
        let socket = self.socket(slot);
        socket.outstanding -= 1;
        match kind {
            Kind::Close => return self.remove(slot),
            Kind::Connect | Kind::Splice => {
                socket.done = Some(result);
                let other = socket.other.take();
                executor.wake(core::mem::replace(&mut socket.writer, TaskId::NONE));
                if let Some((Kind::Splice, to)) = other {
                    self.socket(to).outstanding -= 1;
                    self.ended(to);
                }
            }
            Kind::Accept | Kind::Receive | Kind::Send | Kind::Watch | Kind::Shutdown | Kind::Cancel | Kind::Forget => {}
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

    fn accepted(&mut self, slot: u32, result: Result<Fd, Errno>, more: bool, executor: &Executor) {
        let listening = self.listening(slot);
        listening.armed = more;
        let released = listening.released;
        match result {
            Ok(fd) if released || listening.accepted.len() >= ACCEPTED_MAX => self.close_unowned(fd),
            Ok(fd) => listening.accepted.push_back(fd),
            Err(Errno::CANCELED) => {}
            Err(errno) => {
                listening.error = Some(errno);
                self.counts.accept_paused += 1;
            }
        }
        let listening = self.listening(slot);
        executor.wake(core::mem::replace(&mut listening.task, TaskId::NONE));
        if released && !more {
            drop(listening.descriptor.take());
            self.remove(slot);
        }
    }

    fn rung(&mut self, slot: u32, more: bool, executor: &Executor) {
        let watching = self.watching(slot);
        watching.armed = more;
        watching.rung = true;
        executor.wake(core::mem::replace(&mut watching.task, TaskId::NONE));
        if watching.released && !more {
            self.remove(slot);
        }
    }

    // ---- timers ----

    pub(crate) fn fire(&mut self, now: Instant, executor: &Executor) {
        self.timers.advance(now, |alarm| {
            if alarm.wanted > now {
                return (alarm.wanted != Instant::NEVER).then_some(alarm.wanted);
            }
            executor.wake(alarm.task);
            None
        });
    }

    pub(crate) fn set_timer(&mut self, id: TimerId, wanted: Instant, task: TaskId) {
        *self.timers.carried(id) = Alarm { wanted, task };
        if wanted != Instant::NEVER && !self.timers.is_armed_by(id, wanted) {
            self.timers.arm(id, wanted);
        }
    }

    /// What a connection at rest takes with it.
    pub(crate) fn at_rest(&self, fd: Fd) -> AtRest {
        AtRest::new(self.backend.descriptor(fd))
    }
}

//! The reactor: the table of sockets, and what each completion does to it.
//!
//! A turn ends by three promises. Everything written during the turn goes out as one Send per socket. Nothing that is still queued stands in
//! a receive buffer any more: it moves to the heap, so that stalled peers cannot dry the arena up. And a Receive is armed only when a task
//! waits for bytes, with a credit: that is all the back-pressure there is.

mod doors;
pub(crate) mod joined;
mod receiving;
mod sealed;
mod sending;
mod sockets;

use buf::Chunk;
use model::Instant;
use std::collections::VecDeque;

use crate::{
    AtRest, Completion, Fd, Kind, Op, Outcome, TaskId, Token,
    backend::Backend,
    executor::Executor,
    socket::{Receive, Socket},
    table::Table,
    wheel::{TimerId, Wheel},
};
use doors::{Listening, Watching};

/// A stream takes more to send while fewer bytes than this are unsent.
pub const ROOM_BYTES: usize = 64 * 1024;
/// Bytes that one armed Receive may bring.
const CREDIT_BYTES: u32 = 64 * 1024;
/// Parked receptions that are tried again in one turn: more than a turn's buffers serve, but not all of thousands in vain, turn after turn.
const RETRIES_A_TURN_MAX: usize = 16;
/// Blocks and piece lists kept for reuse.
const SPARES_MAX: usize = 1024;
/// A larger block is not kept.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// What a worker counts about its ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Turns of the loop.
    pub turns: u64,
    /// Completions handled.
    pub completions: u64,
    /// Receptions that found no buffer: this turn's were taken, or the arena is dry.
    pub parked: u64,
    /// Sends that the peer's window cut short.
    pub short_sends: u64,
    /// Bytes moved from receive buffers to the heap because their turn ended.
    pub heap_moved_bytes: u64,
    /// Times that accepting stopped because descriptors or memory ran out.
    pub accept_paused: u64,
    /// Times that accepting stopped because too many waited to be taken.
    pub accept_held: u64,
    /// Looks for a way inside the kernel that found all of them taken.
    pub lanes_full: u64,
    /// Connections whose records the kernel began to seal.
    pub kernel_tls: u64,
    /// Connections whose records it would not seal.
    pub kernel_tls_refused: u64,
    /// Bytes it sealed that never came to userspace.
    pub kernel_tls_bytes: u64,
    /// Connections that ended because they needed another key than the kernel had.
    pub kernel_tls_ended: u64,
}

pub(crate) struct Reactor {
    pub(crate) backend: Backend,
    entries: Table<Entry>,
    dirty: Vec<u32>,
    received: Vec<u32>,
    /// First come, first served.
    parked: VecDeque<u32>,
    spare_pieces: Vec<Vec<Chunk>>,
    spare_blocks: Vec<Vec<u8>>,
    pub(crate) timers: Wheel<Alarm>,
    pub(crate) counts: Counts,
    open: usize,
    joins: joined::Joins,
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
    Socket(Socket),
    Listening(Box<Listening>),
    Watching(Box<Watching>),
}

impl Reactor {
    pub(crate) fn new(backend: Backend) -> Self {
        let timers = Wheel::new(backend.now());
        Self {
            backend,
            entries: Table::default(),
            dirty: Vec::new(),
            received: Vec::new(),
            parked: VecDeque::new(),
            spare_pieces: Vec::new(),
            spare_blocks: Vec::new(),
            timers,
            counts: Counts::default(),
            open: 0,
            joins: joined::Joins::default(),
        }
    }

    /// Sockets, listeners and bells that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        self.open += 1;
        self.entries.insert(entry)
    }

    fn remove(&mut self, slot: u32) {
        self.open -= 1;
        self.entries.remove(slot);
    }

    /// The entry of a live handle, or of an operation that is out.
    fn socket(&mut self, slot: u32) -> &mut Socket {
        match self.entries.get_mut(slot) {
            Some(Entry::Socket(socket)) => socket,
            Some(Entry::Listening(_) | Entry::Watching(_)) | None => {
                unreachable!("slot {slot} is a socket's while its handle or an operation lives")
            }
        }
    }

    fn start(&mut self, slot: u32, op: Op) {
        self.socket(slot).outstanding += 1;
        self.backend.submit(slot, op);
    }

    /// Sends what was written, moves what stays queued to the heap, and arms what was parked if buffers came back.
    pub(crate) fn end_turn(&mut self) {
        let mut dirty = core::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            if let Some(Entry::Socket(socket)) = self.entries.get_mut(slot) {
                socket.flags.dirty = false;
                self.flush(slot);
            }
        }
        // What `flush` marks again (never itself) stays for the next turn.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
        while let Some(slot) = self.received.pop() {
            if let Some(Entry::Socket(socket)) = self.entries.get_mut(slot) {
                self.counts.heap_moved_bytes += socket.move_to_heap() as u64;
            }
        }
        if self.may_retry() {
            self.retry();
        }
    }

    /// Whether a parked reception might find a buffer: then no turn may block.
    pub(crate) fn may_retry(&self) -> bool {
        !self.parked.is_empty() && self.backend.has_buffers()
    }

    fn retry(&mut self) {
        let mut armed = 0;
        while armed < RETRIES_A_TURN_MAX
            && let Some(slot) = self.parked.pop_front()
        {
            if let Some(Entry::Socket(socket)) = self.entries.get_mut(slot)
                && socket.receive == Receive::Parked
                && !socket.flags.released
            {
                socket.receive = Receive::Off;
                self.arm(slot);
                armed += 1;
            }
        }
    }

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

    pub(crate) fn can_splice(&mut self) -> bool {
        let splices = self.backend.splices();
        let can = splices && self.backend.has_lane();
        self.counts.lanes_full += u64::from(splices && !can);
        can
    }

    /// What a connection at rest takes with it.
    pub(crate) fn at_rest(&self, fd: Fd) -> AtRest {
        AtRest::new(self.backend.descriptor(fd))
    }
}

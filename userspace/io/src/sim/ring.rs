//! One simulated ring: what `Backend` calls.

use core::{
    mem::take,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use buf::{Arena, Chunk};
use model::{Address, Instant};

use super::{
    Host, World,
    world::{Inner, Operation, RingState, Running, State},
};
use crate::{Bell, Completion, Descriptor, Errno, Fd, KernelCipher, Kind, Op, Token, passed::Passed};

/// The virtual clock's zero, in seconds since 1970: 2026-01-01.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// Turns a ring may take without any completion and without the clock being advanced: beyond, it spins.
const IDLE_TURNS_MAX: u32 = 100_000;

/// One ring of a simulated host.
pub struct Sim {
    world: World,
    ring: usize,
}

impl Sim {
    /// A ring of `host`, with as many receive buffers as the world's [`Chaos`](super::Chaos) says.
    pub fn new(world: &World, host: Host) -> Self {
        let (buffers, buffer_bytes) = {
            let inner = world.0.borrow();
            (inner.chaos.buffers, inner.chaos.buffer_bytes)
        };
        Self::with_buffers(world, host, buffers, buffer_bytes)
    }

    /// A ring of `host` with `buffers` receive buffers of `buffer_bytes` each.
    pub fn with_buffers(world: &World, host: Host, buffers: u16, buffer_bytes: u32) -> Self {
        let mut inner = world.0.borrow_mut();
        inner.rings.push(RingState {
            host: host.0,
            alive: true,
            arena: Arena::new(buffers, buffer_bytes),
            provided: VecDeque::new(),
            queued: Vec::new(),
            operations: BTreeMap::new(),
            slots: BTreeMap::new(),
            ready: Vec::new(),
            parked: None,
            idle_turns: 0,
        });
        Self { world: world.clone(), ring: inner.rings.len() - 1 }
    }

    /// The world it is part of.
    pub fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn submit(&mut self, slot: u32, op: Op) {
        // Checked in `wait`, outside of any task: the executor would take a panic in here for the task's own.
        self.world.0.borrow_mut().rings[self.ring].queued.push((slot, op));
    }

    pub(crate) fn wait(&mut self, block: bool, deadline: Instant, completions: &mut Vec<Completion>) {
        let inner = &mut *self.world.0.borrow_mut();
        let turn = Duration::from_micros(inner.random.within(&inner.chaos.turn_micros));
        inner.now = inner.now + turn;
        inner.close_dropped();
        inner.provide(self.ring);
        for (slot, op) in take(&mut inner.rings[self.ring].queued) {
            inner.start(self.ring, slot, op);
        }
        inner.happen();
        if block && inner.rings.iter().filter(|ring| ring.alive).count() == 1 {
            inner.sleep(self.ring, deadline);
        }
        let delivered = inner.deliver(self.ring, completions);
        let ring = &mut inner.rings[self.ring];
        ring.parked = (block && delivered == 0).then_some(deadline);
        ring.idle_turns = if delivered > 0 { 0 } else { ring.idle_turns + 1 };
        assert!(ring.idle_turns < IDLE_TURNS_MAX, "a ring spins, or nobody calls World::advance:\n{}", inner.report());
        if let Some(violation) = &inner.violation {
            panic!("{violation}\n{}\n{}", inner.trace.text(), inner.report());
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.now()
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        Duration::from_secs(EPOCH_SECONDS) + Duration::from_nanos(self.now().0)
    }

    /// The descriptor as something that may leave the ring.
    pub(crate) fn descriptor(&self, fd: Fd) -> Descriptor {
        Descriptor::Simulated(self.world.0.borrow().hold(fd))
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "the kernel's half of the enum needs it")]
    pub(crate) fn socket(&mut self, _address: &Address) -> Result<Fd, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        inner.open(inner.rings[self.ring].host, State::Fresh)
    }

    pub(crate) fn peer(&self, fd: Fd) -> Result<Address, Errno> {
        self.address(fd, |side| 1 - side)
    }

    pub(crate) fn local(&self, fd: Fd) -> Result<Address, Errno> {
        self.address(fd, |side| side)
    }

    fn address(&self, fd: Fd, whose: impl FnOnce(usize) -> usize) -> Result<Address, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, fd, format_args!("asked for an address"));
        let (connection, side) = inner.place(fd).ok_or(Errno(libc::ENOTCONN))?;
        let sides = &inner.connections[connection].sides;
        if sides[side].dead {
            return Err(Errno(libc::ENOTCONN));
        }
        Ok(sides[whose(side)].address.clone())
    }

    pub(crate) fn finish(&mut self, fd: Fd) {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, fd, format_args!("asked to close its half"));
        inner.finish(fd);
    }

    pub(crate) fn encrypt(&mut self, fd: Fd, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        self.world.0.borrow_mut().encrypt(self.ring, fd, cipher)
    }

    pub(crate) fn sealed_sequence(&self, fd: Fd) -> Result<u64, Errno> {
        let inner = self.world.0.borrow();
        let sealed = inner.sockets.get(&fd).and_then(|socket| socket.sealed.as_ref());
        sealed.map(|sealed| sealed.cipher.sequence()).ok_or(Errno(libc::ENOPROTOOPT))
    }

    pub(crate) fn is_quiet(&self, fd: Fd) -> bool {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, fd, format_args!("asked whether it is quiet"));
        inner.redirect(fd);
        inner.place(fd).is_some_and(|(connection, side)| !inner.connections[connection].sides[side].is_readable())
    }

    pub(crate) fn written(&self, fd: Fd) -> Result<u64, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, fd, format_args!("asked what was written to it"));
        inner.written(fd)
    }

    pub(crate) fn unacknowledged(&self, fd: Fd) -> Result<u64, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, fd, format_args!("asked what its peer has acknowledged"));
        inner.unacknowledged(fd)
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "the kernel's half of the enum needs it")]
    pub(crate) fn pass(&mut self, from: Fd, to: Fd, bytes_max: u64) -> Passed {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, from, format_args!("received from at once"));
        inner.check_descriptor(self.ring, to, format_args!("sent to at once"));
        inner.pass(from, to, bytes_max)
    }

    pub(crate) fn refuse_handshakes(&mut self, listener: Fd) {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, listener, format_args!("told to refuse handshakes"));
        if let Some(State::Listening { is_deaf, .. }) = inner.sockets.get_mut(&listener).map(|socket| &mut socket.state) {
            *is_deaf = true;
        }
    }

    pub(crate) fn accept_waiting(&mut self, listener: Fd) -> Result<Fd, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        inner.check_descriptor(self.ring, listener, format_args!("asked who waits"));
        inner.accept_waiting(self.ring, listener)
    }

    pub(crate) fn has_buffers(&self) -> bool {
        let inner = &mut *self.world.0.borrow_mut();
        inner.provide(self.ring);
        !inner.rings[self.ring].provided.is_empty()
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "the kernel's half of the enum needs it"
    )]
    pub(crate) fn bell(&mut self) -> Result<Bell, Errno> {
        Ok(Bell::Flag(Arc::new(AtomicBool::new(false))))
    }

    pub(crate) fn splices(&self) -> bool {
        self.world.0.borrow().chaos.splice
    }

    #[expect(clippy::unused_self, reason = "the kernel's half of the enum needs it")]
    pub(crate) fn has_lane(&self) -> bool {
        true
    }
}

impl Drop for Sim {
    /// What the kernel does with a ring that is closed: all of its operations end, unseen.
    fn drop(&mut self) {
        let inner = &mut *self.world.0.borrow_mut();
        for socket in inner.sockets.values_mut() {
            socket.users.retain(|(ring, _)| *ring != self.ring);
        }
        let ring = &mut inner.rings[self.ring];
        ring.alive = false;
        ring.queued.clear();
        ring.operations.clear();
        ring.slots.clear();
        ring.ready.clear();
        ring.provided.clear();
    }
}

impl RingState {
    /// Whether a bell that it watches was rung.
    pub(super) fn is_rung(&self) -> bool {
        let rung =
            |running: &Running| matches!(&running.operation, Operation::Watch { bell: Bell::Flag(flag) } if flag.load(Ordering::Acquire));
        self.watches().any(|(_, running)| rung(running))
    }

    /// The bells that are watched.
    pub(super) fn watches(&self) -> impl Iterator<Item = (&Token, &Running)> {
        let token = |slot| Token { kind: Kind::Watch, slot };
        self.operations.range(token(0)..=token(u32::MAX))
    }
}

impl Inner {
    /// Takes back every buffer that nobody holds.
    pub(super) fn provide(&mut self, ring: usize) {
        let ring = &mut self.rings[ring];
        while let Some(index) = ring.arena.give() {
            ring.provided.push_back((index, 0));
        }
    }

    /// A lone ring blocks: turns the clock until something is there for it or `deadline` has come.
    fn sleep(&mut self, ring: usize, deadline: Instant) {
        while self.rings[ring].ready.is_empty() && self.now < deadline {
            let target = deadline.min(self.next_event().unwrap_or(Instant::NEVER));
            assert!(target != Instant::NEVER, "nothing can move and no timer is set:\n{}\n{}", self.trace.text(), self.report());
            self.now = self.now.max(target);
            self.happen();
        }
        self.rings[ring].idle_turns = 0;
    }

    /// Hands completions over: all of them in their order, or some in any order, but those of one operation always in order.
    fn deliver(&mut self, ring: usize, completions: &mut Vec<Completion>) -> usize {
        let mut count = self.rings[ring].ready.len();
        if self.chaos.reorder && count > 1 {
            count = 1 + self.random.below(count);
        }
        for _ in 0..count {
            let ready = &self.rings[ring].ready;
            let drawn = if self.chaos.reorder { self.random.below(ready.len()) } else { 0 };
            let token = ready[drawn].token;
            let first = ready.iter().position(|completion| completion.token == token).unwrap_or(drawn);
            let completion = self.rings[ring].ready.remove(first);
            if !completion.more {
                self.forget(ring, token);
            }
            self.trace.note(self.now, format_args!("ring {ring}: {} {:?}", token.slot, Told(&completion)));
            completions.push(completion);
        }
        count
    }
}

/// A completion without its bytes.
struct Told<'a>(&'a Completion);

impl core::fmt::Debug for Told<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use crate::Outcome;
        let more = if self.0.more { ", more" } else { "" };
        match &self.0.outcome {
            Outcome::Accepted(result) => write!(out, "accepted {result:?}{more}"),
            Outcome::Received(result) => write!(out, "received {:?}{more}", result.as_ref().map(Chunk::len)),
            Outcome::Sent(result, _) => write!(out, "sent {result:?}"),
            Outcome::Done(result) => write!(out, "{:?} {result:?}{more}", self.0.token.kind),
        }
    }
}

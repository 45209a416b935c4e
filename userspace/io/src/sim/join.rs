//! Sockets that the simulated kernel joins, as the program of `redirect: sockmap` has the real one do: what one receives goes into a queue
//! before the other, at once and without back-pressure, until the backlog is full; what follows is kept for whoever receives.
//!
//! Faithful where code could come to rely on more: bytes come while two sockets are being joined, and wait there until somebody looks or more
//! come; the kernel refuses both or one; what is queued is sent later; an end overtakes what is kept.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use super::{
    Chance, World,
    world::{Event, Inner},
};
use crate::{End, Errno, Fd, Moved, Redirect, Ways, passed::Passed, socket::Ended};

/// Microseconds that pass at most while two sockets are being joined.
const JOIN_MICROS_MAX: u64 = 300;

/// Joins sockets of simulated hosts.
pub struct Joiner {
    world: World,
    /// Two sockets are not joined although they could be.
    refuses: Chance,
    /// Kept bytes find no room at first where they are received from.
    overtakes: Chance,
    /// Whom it has joined: other workers' are told to them.
    own: BTreeSet<Fd>,
}

/// One direction of two joined sockets, under the descriptor where its bytes arrive.
pub(super) struct Joint {
    to: Fd,
    /// Bytes written to the target before.
    start: u64,
    backlog_max: u64,
    moved: Moved,
    is_told: bool,
    /// Taken over, and not yet given to the target to send.
    queue: VecDeque<u8>,
    /// Bytes ever arrived that the program has seen; `None` where it does not run.
    seen: Option<u64>,
    /// Kept bytes that cannot be received yet.
    hidden: VecDeque<u8>,
    overtakes: Chance,
}

impl Joiner {
    /// One for a ring of that world: how often two sockets are not joined although they could be, and how often kept bytes find no room at
    /// first where they are received from.
    pub fn new(world: &World, refuses: Chance, overtakes: Chance) -> Self {
        Self { world: world.clone(), refuses, overtakes, own: BTreeSet::new() }
    }
}

impl Redirect for Joiner {
    fn join(&mut self, ends: [End; 2], backlog_max: u64) -> Result<Ways, Errno> {
        let inner = &mut *self.world.0.borrow_mut();
        let [first, second] = ends;
        inner.time_passes();
        if inner.random.happens(self.refuses) || !ends.iter().all(|end| inner.is_established(end.fd)) {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        for (source, target) in [(first, second), (second, first)] {
            let joint = Joint {
                to: target.fd,
                start: target.written,
                backlog_max,
                moved: Moved::default(),
                is_told: false,
                queue: VecDeque::new(),
                seen: None,
                hidden: VecDeque::new(),
                overtakes: self.overtakes,
            };
            inner.joints.insert(source.fd, joint);
        }
        inner.time_passes();
        if !inner.begin_to_redirect(first.fd) {
            ends.iter().map(|end| end.fd).for_each(|fd| drop(inner.joints.remove(&fd)));
            return Err(Errno(libc::EOPNOTSUPP));
        }
        inner.time_passes();
        self.own.extend([first.fd, second.fd]);
        Ok(if inner.begin_to_redirect(second.fd) { Ways::Both } else { Ways::First })
    }

    fn moved(&self, cookie: u64) -> Moved {
        let inner = self.world.0.borrow();
        descriptor(cookie).and_then(|fd| inner.joints.get(&fd)).map(|joint| joint.moved).unwrap_or_default()
    }

    fn leave(&mut self, cookies: [u64; 2]) {
        let inner = &mut *self.world.0.borrow_mut();
        for fd in cookies.into_iter().filter_map(descriptor) {
            self.own.remove(&fd);
            inner.joints.remove(&fd);
        }
    }

    fn full(&mut self, cookies: &mut Vec<u64>) {
        let inner = &mut *self.world.0.borrow_mut();
        for (fd, joint) in inner.joints.iter_mut().filter(|(fd, _)| self.own.contains(fd)) {
            if joint.moved.kept > 0 && !core::mem::replace(&mut joint.is_told, true) {
                cookies.push(cookie(*fd));
            }
        }
    }
}

/// Descriptors are never numbered anew here.
pub(crate) fn cookie(fd: Fd) -> u64 {
    u64::from(fd.0.unsigned_abs())
}

fn descriptor(cookie: u64) -> Option<Fd> {
    i32::try_from(cookie).ok().map(Fd)
}

impl Inner {
    fn time_passes(&mut self) {
        self.now = self.now + Duration::from_micros(self.random.within(&(0..=JOIN_MICROS_MAX)));
        self.happen();
    }

    fn is_established(&self, fd: Fd) -> bool {
        let Some((connection, side)) = self.place(fd) else { return false };
        let ours = &self.connections[connection].sides[side];
        !ours.dead && ours.error.is_none() && !ours.incoming.end_arrived
    }

    /// From now on the program sees what arrives at `fd`; not what waits there, before somebody asks. Whether the kernel does it.
    fn begin_to_redirect(&mut self, fd: Fd) -> bool {
        let is_established = self.is_established(fd);
        let Some((connection, side)) = self.place(fd) else { return false };
        let incoming = &self.connections[connection].sides[side].incoming;
        let before = incoming.received() - incoming.arrived.len() as u64;
        if let Some(joint) = self.joints.get_mut(&fd).filter(|_| is_established) {
            joint.seen = Some(before);
        }
        is_established
    }

    /// Bytes ever given to the kernel for `fd` to send.
    pub(super) fn written(&self, fd: Fd) -> Result<u64, Errno> {
        let (connection, side) = self.place(fd).ok_or(Errno(libc::ENOTCONN))?;
        let sides = &self.connections[connection].sides;
        if sides[side].dead { Err(Errno::CONNRESET) } else { Ok(sides[1 - side].incoming.sent) }
    }

    /// Those of them that have not arrived.
    pub(super) fn unacknowledged(&self, fd: Fd) -> Result<u64, Errno> {
        let written = self.written(fd)?;
        let (connection, side) = self.place(fd).ok_or(Errno(libc::ENOTCONN))?;
        Ok(written - self.connections[connection].sides[1 - side].incoming.received())
    }

    /// Gives what waits at one socket to another, as far as that takes it.
    pub(super) fn pass(&mut self, from: Fd, to: Fd, bytes_max: u64) -> Passed {
        let Some((connection, side)) = self.place(from) else { return Passed::default() };
        let ours = &mut self.connections[connection].sides[side];
        let most = ours.incoming.arrived.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        if most == 0 && ours.is_readable() {
            return Passed { ended: Some(ours.error.take().map_or(Ended::Closed, Ended::Broken)), ..Passed::default() };
        }
        let mut bytes: Vec<u8> = ours.incoming.arrived.drain(..most).collect();
        let is_empty = ours.incoming.arrived.is_empty();
        self.window_opened(connection, side);
        match self.sending_room(to) {
            Ok(room) => {
                let rest = bytes.split_off(room.min(bytes.len()));
                self.transmit(to, &bytes);
                Passed { moved: bytes.len() as u64, is_empty: is_empty && rest.is_empty(), rest, ..Passed::default() }
            }
            Err(errno) => {
                self.forget_error(to);
                Passed { broken: Some(errno), ..Passed::default() }
            }
        }
    }

    /// The program, at what has arrived since it last ran.
    pub(super) fn redirect(&mut self, fd: Fd) {
        let Some((connection, side)) = self.place(fd) else { return };
        if self.connections[connection].sides[side].dead {
            return;
        }
        let incoming = &mut self.connections[connection].sides[side].incoming;
        let received = incoming.received();
        let Some(seen) = self.joints.get_mut(&fd).and_then(|joint| joint.seen.as_mut()) else { return };
        let fresh = usize::try_from(received - core::mem::replace(seen, received)).unwrap_or(usize::MAX);
        let mut fresh = incoming.arrived.split_off(incoming.arrived.len().saturating_sub(fresh));
        while !fresh.is_empty() {
            let length = usize::try_from(self.random.within(&self.chaos.segment_bytes)).unwrap_or(usize::MAX).clamp(1, fresh.len());
            let rest = fresh.split_off(length);
            self.judge(fd, (connection, side), core::mem::replace(&mut fresh, rest));
        }
    }

    /// Hands one packet on, or keeps it.
    fn judge(&mut self, fd: Fd, (connection, side): (usize, usize), packet: VecDeque<u8>) {
        let Some(to) = self.joints.get(&fd).map(|joint| joint.to) else { return };
        let acknowledged = self.place(to).map_or(0, |(pair, end)| self.connections[pair].sides[1 - end].incoming.received());
        let (carries_at, room_at) = (self.now + self.delay(), self.now + self.delay());
        let Some(joint) = self.joints.get_mut(&fd) else { return };
        let (length, moved) = (packet.len() as u64, &mut joint.moved);
        let backlog = (joint.start + moved.redirected + length).saturating_sub(acknowledged);
        if moved.kept == 0 && backlog <= joint.backlog_max {
            moved.redirected += length;
            joint.queue.extend(packet);
            self.schedule(carries_at, Event::Carry(fd));
            return self.window_opened(connection, side);
        }
        moved.kept += length;
        if joint.hidden.is_empty() && !self.random.happens(joint.overtakes) {
            return self.connections[connection].sides[side].incoming.arrived.extend(packet);
        }
        joint.hidden.extend(packet);
        self.schedule(room_at, Event::Unhide(fd));
    }

    /// There is room again to send from a target.
    pub(super) fn carry_to(&mut self, target: Fd) {
        if let Some(source) = self.joints.get(&target).map(|joint| joint.to) {
            self.carry(source);
        }
    }

    /// Gives a queue to its target, as far as there is room.
    pub(super) fn carry(&mut self, fd: Fd) {
        let Some(to) = self.joints.get(&fd).filter(|joint| !joint.queue.is_empty()).map(|joint| joint.to) else { return };
        let room = match self.sending_room(to) {
            Ok(room) => room,
            Err(Errno::PIPE) if self.is_established(to) => {
                return self.breach(format!("{to:?} has closed its half with bytes of {fd:?} still to be sent"));
            }
            Err(_broken) => 0,
        };
        let Some(joint) = self.joints.get_mut(&fd) else { return };
        let bytes: Vec<u8> = joint.queue.drain(..room.min(joint.queue.len())).collect();
        self.transmit(to, &bytes);
    }

    /// There is room for kept bytes where they are received from.
    pub(super) fn unhide(&mut self, fd: Fd) {
        let Some((connection, side)) = self.place(fd) else { return };
        let Some(joint) = self.joints.get_mut(&fd) else { return };
        self.connections[connection].sides[side].incoming.arrived.append(&mut joint.hidden);
        self.progress(fd);
    }
}

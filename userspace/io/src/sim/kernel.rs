//! What the kernel does with operations: starts them, carries them on when something has changed, ends them. And what it may demand of the
//! reactor: every breach of the contract in `op` is found here.

use core::{mem::replace, sync::atomic::Ordering, time::Duration};

use buf::Chunk;

use super::world::{Event, Inner, Operation, Running, State};
use crate::{Bell, Completion, Errno, Fd, Kind, Op, Outcome, Token};

/// A connect that nobody answers ends after so many seconds: Linux' six retries of a SYN.
const CONNECT_SECONDS: u64 = 127;

impl Inner {
    // ---- starting ----

    /// Starts an operation that a ring has queued.
    pub(super) fn start(&mut self, ring: usize, slot: u32, op: Op) {
        let token = op.token(slot);
        self.trace.note(self.now, format_args!("ring {ring}: {slot} {}", Asked(&op)));
        let uses = uses(&op);
        self.check_operation(ring, token, uses);
        if token.kind != Kind::Forget {
            self.rings[ring].slots.entry(slot).or_insert((uses[0], 0)).1 += 1;
        }
        for fd in uses.into_iter().flatten() {
            if let Some(socket) = self.sockets.get_mut(&fd) {
                socket.users.push((ring, token));
            }
        }
        let operation = match op {
            Op::Accept { fd } => Operation::Accept { fd },
            Op::Receive { fd, credit } => Operation::Receive { fd, credit },
            Op::Send { fd, pieces, wait, last } => {
                self.check_last(ring, fd, last);
                Operation::Send { fd, pieces, wait, sent: 0 }
            }
            Op::Connect { fd, address } => Operation::Connect { fd, address },
            Op::Splice { from, to, length } => Operation::Splice { from, to, length },
            Op::Hangup { fd } => Operation::Hangup { fd },
            Op::Goodbye { fd, given, wait } => Operation::Goodbye { fd, given, wait },
            Op::Watch { bell } => Operation::Watch { bell },
            Op::Close { fd, reset } => {
                self.close(fd, reset);
                return self.done_at_once(ring, token, uses, Ok(0));
            }
            Op::Cancel { target } => {
                // What is due has happened before the cancel is looked at: it may come too late.
                let found = self.cancel(ring, target);
                return self.post(ring, token, Outcome::Done(if found { Ok(0) } else { Err(Errno(libc::ENOENT)) }), false);
            }
        };
        if self.violation.is_some() {
            return;
        }
        let connecting = matches!(operation, Operation::Connect { .. });
        self.rings[ring].operations.insert(token, Running { operation, uses });
        if connecting {
            return self.begin_connect(ring, token);
        }
        self.carry_on(ring, token);
    }

    fn done_at_once(&mut self, ring: usize, token: Token, uses: [Option<Fd>; 2], result: Result<u64, Errno>) {
        self.rings[ring].operations.insert(token, Running { operation: Operation::Ended, uses });
        self.post(ring, token, Outcome::Done(result), false);
    }

    fn begin_connect(&mut self, ring: usize, token: Token) {
        let Some(Operation::Connect { fd, .. }) = self.operation(ring, token) else { return };
        let fd = *fd;
        if self.random.happens(self.chaos.unanswered) {
            return self.schedule(self.now + Duration::from_secs(CONNECT_SECONDS), Event::ConnectFails(fd, Errno::TIMEDOUT));
        }
        let arrives = self.now + self.delay();
        self.schedule(arrives, Event::Knock(fd, 0));
    }

    /// Ends another operation; whether it was still under way.
    fn cancel(&mut self, ring: usize, target: Token) -> bool {
        let Some(operation) = self.operation(ring, target) else { return false };
        if matches!(operation, Operation::Ended) {
            return false;
        }
        let outcome = match replace(operation, Operation::Ended) {
            Operation::Accept { .. } => Outcome::Accepted(Err(Errno::CANCELED)),
            Operation::Receive { .. } => Outcome::Received(Err(Errno::CANCELED)),
            Operation::Send { pieces, sent, .. } => Outcome::Sent(if sent > 0 { Ok(count(sent)) } else { Err(Errno::CANCELED) }, pieces),
            Operation::Connect { .. }
            | Operation::Splice { .. }
            | Operation::Hangup { .. }
            | Operation::Goodbye { .. }
            | Operation::Watch { .. }
            | Operation::Ended => Outcome::Done(Err(Errno::CANCELED)),
        };
        self.post(ring, target, outcome, false);
        true
    }

    // ---- carrying on ----

    /// Something has changed about a socket: carries on whatever waits for it.
    pub(super) fn progress(&mut self, fd: Fd) {
        self.pass_on(fd);
        let Some(socket) = self.sockets.get(&fd) else { return };
        for (ring, token) in socket.users.clone() {
            self.carry_on(ring, token);
        }
    }

    fn carry_on(&mut self, ring: usize, token: Token) {
        match self.operation(ring, token) {
            Some(Operation::Accept { fd }) => {
                let fd = *fd;
                self.accept(ring, token, fd);
            }
            Some(Operation::Receive { fd, .. }) => {
                let fd = *fd;
                self.receive(ring, token, fd);
            }
            Some(Operation::Send { fd, .. }) => {
                let fd = *fd;
                self.send(ring, token, fd);
            }
            Some(Operation::Splice { from, to, length }) => {
                let (from, to, length) = (*from, *to, *length);
                self.splice(ring, token, (from, to, length));
            }
            Some(Operation::Hangup { fd }) => {
                let fd = *fd;
                if self.is_over(fd) {
                    self.end(ring, token, Outcome::Done(Ok(1)));
                }
            }
            Some(Operation::Goodbye { fd, given, wait }) => {
                let parting = (*fd, *given, *wait);
                self.goodbye(ring, token, parting);
            }
            // A connect is carried on by its events, a bell when it is looked at.
            Some(Operation::Connect { .. } | Operation::Watch { .. } | Operation::Ended) | None => {}
        }
    }

    fn accept(&mut self, ring: usize, token: Token, listener: Fd) {
        loop {
            match self.accept_waiting(ring, listener) {
                Err(Errno::AGAIN) => return,
                Err(errno) => return self.end(ring, token, Outcome::Accepted(Err(errno))),
                Ok(fd) => {
                    let more = !self.random.happens(self.chaos.early_end);
                    self.post(ring, token, Outcome::Accepted(Ok(fd)), more);
                    if !more {
                        return;
                    }
                }
            }
        }
    }

    pub(super) fn accept_waiting(&mut self, ring: usize, listener: Fd) -> Result<Fd, Errno> {
        let Some(State::Listening { queue, .. }) = self.sockets.get(&listener).map(|socket| &socket.state) else {
            return Err(Errno::AGAIN);
        };
        let connection = queue.front().copied().ok_or(Errno::AGAIN)?;
        let fd = self.open(self.rings[ring].host, State::Connected { connection, side: 1 })?;
        self.take_from_queue(listener, connection, fd);
        Ok(fd)
    }

    fn receive(&mut self, ring: usize, token: Token, fd: Fd) {
        let Some((connection, side)) = self.place(fd) else {
            return self.end(ring, token, Outcome::Received(Err(Errno(libc::ENOTCONN))));
        };
        self.redirect(fd);
        while self.connections[connection].sides[side].is_readable() {
            if self.rings[ring].provided.is_empty() {
                // The kernel picks a buffer before it looks what there is: an end is not told either while there is none.
                return self.end(ring, token, Outcome::Received(Err(Errno::NOBUFS)));
            }
            let ours = &mut self.connections[connection].sides[side];
            if ours.incoming.arrived.is_empty() {
                let outcome = ours.error.take().map_or_else(|| Ok(Chunk::default()), Err);
                return self.end(ring, token, Outcome::Received(outcome));
            }
            let Some(Operation::Receive { credit, .. }) = self.operation(ring, token) else { return };
            let credit = *credit;
            let chunk = self.fill(ring, (connection, side), credit);
            let left = credit - count(chunk.len());
            if let Some(Operation::Receive { credit, .. }) = self.operation(ring, token) {
                *credit = left;
            }
            let more = left > 0 && self.chaos.receive_credit && !self.random.happens(self.chaos.early_end);
            self.post(ring, token, Outcome::Received(Ok(chunk)), more);
            self.window_opened(connection, side);
            if !more {
                return;
            }
        }
    }

    /// Writes what has arrived into the ring's first buffer, at most `credit` bytes of it.
    fn fill(&mut self, ring: usize, (connection, side): (usize, usize), credit: u32) -> Chunk {
        let arrived = &mut self.connections[connection].sides[side].incoming.arrived;
        let ring = &mut self.rings[ring];
        let Some((index, used)) = ring.provided.front_mut() else { return Chunk::default() };
        let (contiguous, _) = arrived.as_slices();
        let written = ring.arena.write(*index, &contiguous[..contiguous.len().min(credit as usize)]);
        arrived.drain(..written as usize);
        let chunk = ring.arena.lease(*index, written);
        *used += written;
        if !self.chaos.incremental || *used == ring.arena.buffer_bytes() {
            ring.arena.finished(*index);
            ring.provided.pop_front();
        }
        chunk
    }

    fn send(&mut self, ring: usize, token: Token, fd: Fd) {
        let Some(Operation::Send { pieces, wait, sent, .. }) = self.operation(ring, token) else { return };
        let (wait, before) = (*wait, *sent);
        let all: usize = pieces.iter().map(Chunk::len).sum();
        let room = match self.sending_room(fd) {
            Ok(room) => room,
            Err(_) if before > 0 => return self.end_send(ring, token, Ok(count(before))),
            Err(errno) => {
                self.forget_error(fd);
                return self.end_send(ring, token, Err(errno));
            }
        };
        let mut now = room.min(all - before);
        if !wait && self.random.happens(self.chaos.short_send) {
            now = self.random.below(now + 1);
        }
        if now > 0 {
            let Some(Operation::Send { pieces, sent, .. }) = self.operation(ring, token) else { return };
            *sent += now;
            let bytes = cut(pieces, before, now);
            self.transmit(fd, &bytes);
        }
        let is_sealed = self.sockets.get(&fd).is_some_and(|socket| socket.sealed.is_some());
        match (wait && !(is_sealed && before + now > 0), before + now) {
            (_, sent) if sent == all => self.end_send(ring, token, Ok(count(sent))),
            (true, _) => {}
            (false, 0) => self.end_send(ring, token, Err(Errno::AGAIN)),
            (false, sent) => self.end_send(ring, token, Ok(count(sent))),
        }
    }

    fn end_send(&mut self, ring: usize, token: Token, result: Result<u32, Errno>) {
        let Some(Operation::Send { pieces, .. }) = self.operation(ring, token).map(|operation| replace(operation, Operation::Ended)) else {
            return;
        };
        self.post(ring, token, Outcome::Sent(result, pieces), false);
    }

    fn splice(&mut self, ring: usize, token: Token, (from, to, length): (Fd, Fd, u64)) {
        let room = match self.sending_room(to) {
            Ok(room) => room,
            Err(errno) => {
                self.forget_error(to);
                return self.end(ring, token, Outcome::Done(Err(errno)));
            }
        };
        let Some((connection, side)) = self.place(from) else {
            return self.end(ring, token, Outcome::Done(Err(Errno(libc::ENOTCONN))));
        };
        let ours = &mut self.connections[connection].sides[side];
        if !ours.is_readable() {
            return;
        }
        if ours.incoming.arrived.is_empty() {
            let result = ours.error.take().map_or(Ok(0), Err);
            return self.end(ring, token, Outcome::Done(result));
        }
        let most = room.min(ours.incoming.arrived.len()).min(usize::try_from(length).unwrap_or(usize::MAX));
        if most == 0 {
            return;
        }
        let moved: Vec<u8> = ours.incoming.arrived.drain(..most).collect();
        self.transmit(to, &moved);
        self.end(ring, token, Outcome::Done(Ok(most as u64)));
        self.window_opened(connection, side);
    }

    /// Looks which watched bells were rung.
    pub(super) fn look_at_bells(&mut self) {
        for ring in 0..self.rings.len() {
            let rung = |running: &Running| matches!(&running.operation, Operation::Watch { bell: Bell::Flag(flag) } if flag.swap(false, Ordering::AcqRel));
            let tokens: Vec<Token> = self.rings[ring].watches().filter(|(_, running)| rung(running)).map(|(token, _)| *token).collect();
            for token in tokens {
                let more = !self.random.happens(self.chaos.early_end);
                self.post(ring, token, Outcome::Done(Ok(1)), more);
            }
        }
    }

    // ---- ending ----

    fn operation(&mut self, ring: usize, token: Token) -> Option<&mut Operation> {
        self.rings[ring].operations.get_mut(&token).map(|running| &mut running.operation)
    }

    pub(super) fn end(&mut self, ring: usize, token: Token, outcome: Outcome) {
        self.post(ring, token, outcome, false);
    }

    /// The connect that is under way on `fd`, if any, is over.
    pub(super) fn end_connect(&mut self, fd: Fd, result: Result<u64, Errno>) {
        let user = self.sockets.get(&fd).and_then(|socket| socket.users.iter().find(|(_, token)| token.kind == Kind::Connect)).copied();
        if let Some((ring, token)) = user {
            self.end(ring, token, Outcome::Done(result));
        }
    }

    /// The address that `fd` is being connected to, while it is.
    pub(super) fn connecting_to(&mut self, fd: Fd) -> Option<model::Address> {
        let (ring, token) = self.sockets.get(&fd)?.users.iter().find(|(_, token)| token.kind == Kind::Connect).copied()?;
        match self.operation(ring, token)? {
            Operation::Connect { address, .. } => Some(address.clone()),
            Operation::Accept { .. }
            | Operation::Receive { .. }
            | Operation::Send { .. }
            | Operation::Splice { .. }
            | Operation::Hangup { .. }
            | Operation::Goodbye { .. }
            | Operation::Watch { .. }
            | Operation::Ended => None,
        }
    }

    fn post(&mut self, ring: usize, token: Token, outcome: Outcome, more: bool) {
        if !more && let Some(operation) = self.operation(ring, token) {
            *operation = Operation::Ended;
        }
        self.rings[ring].ready.push(Completion { token, outcome, more });
    }

    /// The last completion of an operation is being delivered.
    pub(super) fn forget(&mut self, ring: usize, token: Token) {
        if let Some(running) = self.rings[ring].operations.remove(&token) {
            for fd in running.uses.into_iter().flatten() {
                if let Some(socket) = self.sockets.get_mut(&fd) {
                    socket.users.retain(|user| *user != (ring, token));
                }
            }
        }
        let slots = &mut self.rings[ring].slots;
        if token.kind != Kind::Forget
            && let Some((_, outstanding)) = slots.get_mut(&token.slot)
        {
            *outstanding -= 1;
            if *outstanding == 0 {
                slots.remove(&token.slot);
            }
        }
    }

    // ---- what the reactor owes the kernel ----

    fn check_operation(&mut self, ring: usize, token: Token, uses: [Option<Fd>; 2]) {
        for fd in uses.into_iter().flatten() {
            self.check_descriptor(ring, fd, format_args!("used by {token:?}"));
        }
        if matches!(token.kind, Kind::Cancel | Kind::Forget) {
            return;
        }
        let running = &self.rings[ring];
        if running.operations.contains_key(&token) {
            self.breach(format!("ring {ring}: {token:?} is outstanding already"));
        } else if let Some((owner, outstanding)) = running.slots.get(&token.slot).copied()
            && owner != uses[0]
        {
            self.breach(format!(
                "ring {ring}: slot {} is reused for {:?} with {outstanding} operations of {owner:?} outstanding",
                token.slot, uses[0]
            ));
        }
        for fd in uses.into_iter().flatten() {
            let Some(socket) = self.sockets.get(&fd) else { continue };
            if let Some((_, other)) = socket.users.iter().find(|(_, other)| excludes(token.kind, other.kind, fd, uses)) {
                let other = *other;
                self.breach(format!("ring {ring}: {token:?} on {fd:?} while {other:?} is outstanding on it"));
            }
        }
    }

    /// What follows a last Send would wait in the kernel for an end that does not come.
    fn check_last(&mut self, ring: usize, fd: Fd, last: bool) {
        let Some(socket) = self.sockets.get_mut(&fd) else { return };
        if last && socket.sealed.is_some() {
            self.breach(format!("ring {ring}: a last Send on {fd:?}, whose record would stay open"));
        } else if replace(&mut socket.last_sent, last) && !last {
            self.breach(format!("ring {ring}: a Send on {fd:?} after its last one"));
        }
    }

    /// A descriptor must be open and belong to the ring's host.
    pub(super) fn check_descriptor(&mut self, ring: usize, fd: Fd, what: core::fmt::Arguments<'_>) {
        let host = self.rings[ring].host;
        match self.sockets.get(&fd) {
            None => self.breach(format!("ring {ring}: {fd:?} is not open, but {what}")),
            Some(socket) if socket.host != host => self.breach(format!("ring {ring}: {fd:?} is another host's, but {what}")),
            Some(_) => {}
        }
    }

    /// Whether the peer of `fd` has closed its half, or the connection is broken.
    fn is_over(&self, fd: Fd) -> bool {
        self.place(fd).is_none_or(|(connection, side)| {
            let ours = &self.connections[connection].sides[side];
            ours.dead || ours.error.is_some() || ours.incoming.end_arrived
        })
    }

    /// Closes the sending half of `fd`.
    pub(super) fn finish(&mut self, fd: Fd) {
        let Some((connection, side)) = self.place(fd) else { return };
        if !self.connections[connection].sides[side].dead {
            self.transmit_end(connection, side);
            self.progress(fd);
        }
    }
}

/// The sockets an operation uses, its own first.
fn uses(op: &Op) -> [Option<Fd>; 2] {
    match op {
        Op::Accept { fd }
        | Op::Receive { fd, .. }
        | Op::Send { fd, .. }
        | Op::Connect { fd, .. }
        | Op::Hangup { fd }
        | Op::Goodbye { fd, .. }
        | Op::Close { fd, .. } => [Some(*fd), None],
        Op::Splice { from, to, .. } => [Some(*from), Some(*to)],
        Op::Watch { .. } | Op::Cancel { .. } => [None, None],
    }
}

/// Whether an operation of kind `new` must not begin on `fd` while one of kind `old` is outstanding there.
fn excludes(new: Kind, old: Kind, fd: Fd, uses: [Option<Fd>; 2]) -> bool {
    match (new, old) {
        (Kind::Close, _) | (_, Kind::Close) | (Kind::Send, Kind::Goodbye) | (Kind::Goodbye, Kind::Send) => true,
        (Kind::Splice, Kind::Receive) => uses[0] == Some(fd),
        (Kind::Splice, Kind::Send | Kind::Goodbye) => uses[1] == Some(fd),
        (new, old) => new == old && new != Kind::Splice,
    }
}

/// The `length` bytes of `pieces` from `start` on.
fn cut(pieces: &[Chunk], mut start: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    for piece in pieces {
        let part = piece.get(start..).unwrap_or_default();
        start = start.saturating_sub(piece.len());
        bytes.extend_from_slice(&part[..part.len().min(length - bytes.len())]);
    }
    bytes
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("one operation is far below 4 GiB")
}

/// An operation without its bytes.
struct Asked<'a>(&'a Op);

impl core::fmt::Display for Asked<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Op::Send { fd, pieces, wait, .. } => {
                write!(out, "Send {fd:?} {} bytes, wait {wait}", pieces.iter().map(Chunk::len).sum::<usize>())
            }
            Op::Watch { .. } => out.write_str("Watch"),
            Op::Accept { .. }
            | Op::Receive { .. }
            | Op::Connect { .. }
            | Op::Splice { .. }
            | Op::Hangup { .. }
            | Op::Goodbye { .. }
            | Op::Close { .. }
            | Op::Cancel { .. } => {
                write!(out, "{:?}", self.0)
            }
        }
    }
}

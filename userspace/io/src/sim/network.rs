//! What happens between hosts: handshakes, segments, resets, and what chaos does to them.

use core::time::Duration;
use std::collections::VecDeque;

use model::Address;

use super::{
    connection::{Broken, Connection, Holder, Segment, Side},
    world::{Event, Inner, State},
};
use crate::{Errno, Fd};

/// A knock that found a full queue is repeated so often, each time after twice as long, from a second on: Linux' `tcp_syn_retries`.
const KNOCKS_MAX: u32 = 6;

/// Segments one send is cut into at most, so that tiny segments do not make a large body endless.
const SEGMENTS_MAX: u64 = 64;

/// Seconds after which a sender gives up on a peer that does not acknowledge.
const SILENCE_SECONDS: core::ops::RangeInclusive<u64> = 30..=900;

impl Inner {
    pub(super) fn perform(&mut self, event: Event) {
        match event {
            Event::Arrival(connection, side) => self.arrive(connection, side),
            Event::Reset(connection, side) => self.reset_arrives(connection, side, Errno::CONNRESET),
            Event::Break(connection, how) => self.break_apart(connection, how),
            Event::TimedOut(connection, side) => self.reset_arrives(connection, side, Errno::TIMEDOUT),
            Event::Knock(fd, times) => self.knock(fd, times),
            Event::ConnectFails(fd, errno) => self.end_connect(fd, Err(errno)),
            Event::Knocked(listener, connection) => self.stand_in_queue(listener, connection),
            Event::Carry(fd) => self.carry(fd),
            Event::Unhide(fd) => self.unhide(fd),
        }
    }

    // ---- handshakes ----

    fn knock(&mut self, fd: Fd, times: u32) {
        let Some(address) = self.connecting_to(fd) else { return };
        let listeners: Vec<(Fd, usize)> =
            self.sockets.iter().filter_map(|(fd, socket)| Some((*fd, waiting(&socket.state, &address)?))).collect();
        if listeners.is_empty() || self.random.happens(self.chaos.refuse) {
            let at = self.now + self.delay();
            return self.schedule(at, Event::ConnectFails(fd, Errno::CONNREFUSED));
        }
        let (listener, queued) = self.random.pick(&listeners);
        if queued >= self.chaos.backlog {
            let again = self.now + Duration::from_secs(1 << times);
            let event = if times < KNOCKS_MAX { Event::Knock(fd, times + 1) } else { Event::ConnectFails(fd, Errno::TIMEDOUT) };
            return self.schedule(again, event);
        }
        let connection = self.establish(fd, listener, address);
        let at = self.now + self.delay();
        self.schedule(at, Event::Knocked(listener, connection));
        self.end_connect(fd, Ok(0));
    }

    fn establish(&mut self, fd: Fd, listener: Fd, address: Address) -> usize {
        let connection = self.connections.len();
        let host = self.sockets.get(&fd).map_or(0, |socket| socket.host);
        let ours = match &address {
            Address::Tcp(_) => self.fresh_address(host),
            // The connecting end of a UNIX socket has no name.
            Address::Unix(_) => Address::Unix("".into()),
        };
        let mut window = || usize::try_from(self.random.within(&self.chaos.window_bytes)).unwrap_or(usize::MAX).max(1);
        let sides = [Side::new(ours, Holder::Open(fd), window()), Side::new(address, Holder::Listener(listener), window())];
        self.connections.push(Connection { sides, broken: None });
        if let Some(socket) = self.sockets.get_mut(&fd) {
            socket.state = State::Connected { connection, side: 0 };
        }
        if let Some(State::Listening { coming, .. }) = self.sockets.get_mut(&listener).map(|socket| &mut socket.state) {
            *coming += 1;
        }
        let fate = if self.random.happens(self.chaos.reset) {
            Some(Broken::Reset)
        } else {
            self.random.happens(self.chaos.silence).then_some(Broken::Silent)
        };
        if let Some(how) = fate {
            let at = self.now + Duration::from_micros(self.random.within(&self.chaos.life_micros));
            self.schedule(at, Event::Break(connection, how));
        }
        connection
    }

    fn stand_in_queue(&mut self, listener: Fd, connection: usize) {
        if self.connections[connection].sides[1].holder != Holder::Listener(listener) {
            return;
        }
        if let Some(State::Listening { queue, coming, .. }) = self.sockets.get_mut(&listener).map(|socket| &mut socket.state) {
            *coming -= 1;
            queue.push_back(connection);
        }
        self.progress(listener);
    }

    pub(super) fn take_from_queue(&mut self, listener: Fd, connection: usize, fd: Fd) {
        if let Some(State::Listening { queue, .. }) = self.sockets.get_mut(&listener).map(|socket| &mut socket.state) {
            queue.pop_front();
        }
        self.connections[connection].sides[1].holder = Holder::Open(fd);
    }

    // ---- bytes ----

    /// Bytes that may be sent on `fd` now, or why none ever will.
    pub(super) fn sending_room(&self, fd: Fd) -> Result<usize, Errno> {
        // What is sealed already goes first.
        self.room(fd).map(|room| if self.holds_back(fd) { 0 } else { room })
    }

    /// Bytes that TCP may take now, or why it never will.
    pub(super) fn room(&self, fd: Fd) -> Result<usize, Errno> {
        let (connection, side) = self.place(fd).ok_or(Errno(libc::ENOTCONN))?;
        let sides = &self.connections[connection].sides;
        match (sides[side].error, sides[side].dead || sides[1 - side].incoming.end_sent) {
            (Some(errno), _) => Err(errno),
            (None, true) => Err(Errno::PIPE),
            (None, false) => Ok(sides[1 - side].incoming.room()),
        }
    }

    /// An error is told once.
    pub(super) fn forget_error(&mut self, fd: Fd) {
        if let Some((connection, side)) = self.place(fd) {
            self.connections[connection].sides[side].error = None;
        }
    }

    /// Puts bytes on their way.
    pub(super) fn transmit_bytes(&mut self, fd: Fd, mut bytes: &[u8]) {
        let Some((connection, side)) = self.place(fd) else { return };
        self.wait_for_the_silent(connection, side);
        let least = (bytes.len() as u64 / SEGMENTS_MAX).max(1);
        while !bytes.is_empty() {
            let length = usize::try_from(self.random.within(&self.chaos.segment_bytes).max(least)).unwrap_or(usize::MAX);
            let (segment, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            let arrives = self.now + self.delay();
            let at = self.connections[connection].sides[1 - side].incoming.send(arrives, Segment::Bytes(segment.to_vec()));
            self.schedule(at, Event::Arrival(connection, 1 - side));
        }
    }

    /// Closes the sending half of `side`, once.
    pub(super) fn transmit_end(&mut self, connection: usize, side: usize) {
        if self.connections[connection].sides[1 - side].incoming.end_sent {
            return;
        }
        self.wait_for_the_silent(connection, side);
        let arrives = self.now + self.delay();
        let at = self.connections[connection].sides[1 - side].incoming.send(arrives, Segment::End);
        self.schedule(at, Event::Arrival(connection, 1 - side));
    }

    /// Who sends to a peer that has fallen silent gives up some day.
    fn wait_for_the_silent(&mut self, connection: usize, side: usize) {
        if self.connections[connection].broken == Some(Broken::Silent) {
            let at = self.now + Duration::from_secs(self.random.within(&SILENCE_SECONDS));
            self.schedule(at, Event::TimedOut(connection, side));
        }
    }

    fn arrive(&mut self, connection: usize, side: usize) {
        let pair = &mut self.connections[connection];
        if pair.broken == Some(Broken::Silent) || pair.sides[side].dead {
            return;
        }
        let bytes = pair.sides[side].incoming.arrive(self.now);
        match pair.sides[side].holder {
            Holder::Open(fd) => {
                self.redirect(fd);
                self.progress(fd);
            }
            // Nobody will ever read it: the kernel says so.
            Holder::Closed if bytes => self.send_reset(connection, side),
            Holder::Listener(_) | Holder::Closed => {}
        }
    }

    /// Bytes of `side`'s incoming pipe were taken: its peer may send more.
    pub(super) fn window_opened(&mut self, connection: usize, side: usize) {
        if let Holder::Open(peer) = self.connections[connection].sides[1 - side].holder {
            self.carry_to(peer);
            self.progress(peer);
        }
    }

    // ---- ends ----

    /// Closes a descriptor. A connection with unread bytes is reset, as by Linux.
    pub(super) fn close(&mut self, fd: Fd, reset: bool) {
        let Some(socket) = self.sockets.get(&fd) else { return };
        // Its own Close is the only one that may be outstanding.
        if socket.users.iter().any(|(_, token)| token.kind != crate::Kind::Close) {
            let users = socket.users.clone();
            return self.breach(format!("{fd:?} is closed with {users:?} outstanding"));
        }
        if self.joints.contains_key(&fd) {
            return self.breach(format!("{fd:?} is closed while it is joined"));
        }
        let Some(socket) = self.sockets.remove(&fd) else { return };
        self.hosts[socket.host].descriptors -= 1;
        match socket.state {
            State::Fresh => {}
            State::Listening { queue, .. } => self.close_listener(fd, &queue),
            State::Connected { connection, side } => {
                let pair = &mut self.connections[connection];
                pair.sides[side].holder = Holder::Closed;
                let unread = !pair.sides[side].incoming.arrived.is_empty();
                if pair.sides[side].dead {
                    return;
                }
                if reset || unread {
                    return self.send_reset(connection, side);
                }
                self.transmit_end(connection, side);
            }
        }
    }

    /// Resets what nobody has accepted. The world counts those as broken whose handshake was still under way, since no program can prevent it.
    fn close_listener(&mut self, listener: Fd, queue: &VecDeque<usize>) {
        let waits = |connection: &Connection| connection.sides[1].holder == Holder::Listener(listener);
        let waiting: Vec<usize> = (0..self.connections.len()).filter(|at| waits(&self.connections[*at])).collect();
        for connection in waiting {
            self.connections[connection].sides[1].holder = Holder::Closed;
            if !queue.contains(&connection) {
                self.connections[connection].broken = Some(Broken::Reset);
            }
            self.send_reset(connection, 1);
        }
    }

    /// `side` is gone; its peer will learn of it.
    fn send_reset(&mut self, connection: usize, side: usize) {
        let ours = &mut self.connections[connection].sides[side];
        ours.dead = true;
        ours.incoming.ground();
        ours.incoming.arrived.clear();
        let at = self.now + self.delay();
        self.schedule(at, Event::Reset(connection, 1 - side));
    }

    fn reset_arrives(&mut self, connection: usize, side: usize, errno: Errno) {
        let pair = &mut self.connections[connection];
        if pair.sides[side].dead || (pair.broken == Some(Broken::Silent) && errno != Errno::TIMEDOUT) {
            return;
        }
        let lose = self.random.happens(self.chaos.reset_loses_unread);
        self.trace.note(self.now, format_args!("connection {connection}, side {side}: {errno:?}"));
        let ours = &mut self.connections[connection].sides[side];
        ours.kill(errno, lose);
        if let Holder::Open(fd) = ours.holder {
            self.progress(fd);
        }
    }

    fn break_apart(&mut self, connection: usize, how: Broken) {
        let pair = &mut self.connections[connection];
        if pair.sides.iter().all(|side| side.dead || side.holder == Holder::Closed) {
            return;
        }
        pair.broken = Some(how);
        self.trace.note(self.now, format_args!("chaos: connection {connection} {how:?}"));
        for side in [0, 1] {
            match how {
                Broken::Reset => {
                    let at = self.now + self.delay();
                    self.schedule(at, Event::Reset(connection, side));
                }
                Broken::Silent if !self.connections[connection].sides[1 - side].incoming.is_empty() => {
                    self.wait_for_the_silent(connection, side);
                }
                Broken::Silent => {}
            }
        }
    }
}

/// Connections waiting at a socket that listens on `address`; a deaf one hears of no more.
fn waiting(state: &State, address: &Address) -> Option<usize> {
    match state {
        State::Listening { address: listening, queue, coming, is_deaf } if listens_for(listening, address) => {
            Some(if *is_deaf { usize::MAX } else { queue.len() + coming })
        }
        State::Listening { .. } | State::Fresh | State::Connected { .. } => None,
    }
}

/// Whether who listens on `listening` hears a connect to `wanted`: an unspecified IP address is every address.
fn listens_for(listening: &Address, wanted: &Address) -> bool {
    match (listening, wanted) {
        (Address::Tcp(listening), Address::Tcp(wanted)) => {
            listening == wanted || (listening.ip().is_unspecified() && listening.port() == wanted.port())
        }
        (Address::Unix(listening), Address::Unix(wanted)) => listening == wanted,
        (Address::Tcp(_), Address::Unix(_)) | (Address::Unix(_), Address::Tcp(_)) => false,
    }
}

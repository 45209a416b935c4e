//! One simulated connection: two sides, and for each a pipe of segments on their way and bytes that have arrived. Plain state; `kernel` moves it.

use model::{Address, Instant};
use std::collections::VecDeque;

use crate::{Errno, Fd};

/// Both ends of a connection.
pub(super) struct Connection {
    pub(super) sides: [Side; 2],
    /// What chaos, or a listener's end, did to it, if anything.
    pub(super) broken: Option<Broken>,
}

/// How chaos broke a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Reset,
    Silent,
}

/// One end.
pub(super) struct Side {
    pub(super) address: Address,
    pub(super) holder: Holder,
    pub(super) incoming: Pipe,
    /// Told once, by the next operation that has nothing else to tell.
    pub(super) error: Option<Errno>,
    /// Reset or timed out: nothing goes in or out any more.
    pub(super) dead: bool,
}

/// Who has a side's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// It waits to be accepted.
    Listener(Fd),
    Open(Fd),
    Closed,
}

/// One direction, seen from the receiver.
pub(super) struct Pipe {
    /// Ready to be read.
    pub(super) arrived: VecDeque<u8>,
    flying: VecDeque<(Instant, Segment)>,
    flying_bytes: usize,
    /// Bytes ever put on their way.
    pub(super) sent: u64,
    capacity: usize,
    last_arrival: Instant,
    /// The sender has closed its half.
    pub(super) end_sent: bool,
    /// ... and the receiver knows.
    pub(super) end_arrived: bool,
}

/// What travels.
pub(super) enum Segment {
    Bytes(Vec<u8>),
    End,
}

impl Side {
    pub(super) fn new(address: Address, holder: Holder, capacity: usize) -> Self {
        Self { address, holder, incoming: Pipe::new(capacity), error: None, dead: false }
    }

    /// Whether a read would not wait.
    pub(super) fn is_readable(&self) -> bool {
        !self.incoming.arrived.is_empty() || self.error.is_some() || self.dead || self.incoming.end_arrived
    }

    /// Nothing goes in or out any more; `error` is what the next operation is told.
    pub(super) fn kill(&mut self, error: Errno, lose_unread: bool) {
        self.dead = true;
        self.error = Some(error);
        self.incoming.ground();
        if lose_unread {
            self.incoming.arrived.clear();
        }
    }
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self {
            arrived: VecDeque::new(),
            flying: VecDeque::new(),
            flying_bytes: 0,
            sent: 0,
            capacity,
            last_arrival: Instant(0),
            end_sent: false,
            end_arrived: false,
        }
    }

    /// Bytes a sender may add.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.arrived.len() + self.flying_bytes)
    }

    /// Bytes ever arrived.
    pub(super) fn received(&self) -> u64 {
        self.sent - self.flying_bytes as u64
    }

    /// Whether nothing is on its way or unread.
    pub(super) fn is_empty(&self) -> bool {
        self.flying.is_empty() && self.arrived.is_empty()
    }

    /// Puts a segment on its way, to arrive at `at` or right after the one before it. Gives the time.
    pub(super) fn send(&mut self, at: Instant, segment: Segment) -> Instant {
        self.last_arrival = self.last_arrival.max(at);
        match &segment {
            Segment::Bytes(bytes) => {
                self.flying_bytes += bytes.len();
                self.sent += bytes.len() as u64;
            }
            Segment::End => self.end_sent = true,
        }
        self.flying.push_back((self.last_arrival, segment));
        self.last_arrival
    }

    /// Lets arrive what is due; whether any of it was bytes.
    pub(super) fn arrive(&mut self, now: Instant) -> bool {
        let before = self.arrived.len();
        while self.flying.front().is_some_and(|(at, _)| *at <= now) {
            match self.flying.pop_front() {
                Some((_, Segment::Bytes(bytes))) => {
                    self.flying_bytes -= bytes.len();
                    self.arrived.extend(bytes);
                }
                Some((_, Segment::End)) => self.end_arrived = true,
                None => {}
            }
        }
        self.arrived.len() > before
    }

    /// Forgets what is on its way.
    pub(super) fn ground(&mut self) {
        self.flying.clear();
        self.flying_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_arrive_in_order_and_fill_the_window() {
        let mut pipe = Pipe::new(8);
        assert_eq!(pipe.send(Instant(50), Segment::Bytes(b"abc".to_vec())), Instant(50));
        assert_eq!(pipe.send(Instant(20), Segment::Bytes(b"de".to_vec())), Instant(50), "never before the one ahead");
        assert_eq!(pipe.send(Instant(60), Segment::End), Instant(60));
        assert_eq!(pipe.room(), 3);
        assert!(!pipe.arrive(Instant(49)));
        assert!(pipe.arrive(Instant(50)));
        assert_eq!((pipe.arrived.len(), pipe.room(), pipe.end_arrived), (5, 3, false));
        assert!(!pipe.arrive(Instant(60)), "an end is no bytes");
        assert!(pipe.end_arrived);
        pipe.arrived.clear();
        assert_eq!(pipe.room(), 8);
    }
}

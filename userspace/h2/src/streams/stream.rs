//! One stream: how far each direction has come, its windows, and what waits to be sent on it.

use alloc::{boxed::Box, collections::VecDeque};

use buf::Chunk;
use model::{Fields, Method, RequestLine};

use super::{ReceiveWindow, SendWindow};
use crate::priority::Urgency;

/// A length nobody has told.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// A stream that somebody above knows of.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Stream {
    /// Content still to come, or [`UNKNOWN`].
    pub(crate) content_in: u64,
    /// Content still owed, or [`UNKNOWN`].
    pub(crate) content_out: u64,
    pub(crate) queue: VecDeque<Chunk>,
    /// Bytes in `queue`.
    pub(crate) queued: u32,
    /// To be sent behind it.
    pub(crate) trailers: Option<Box<Fields>>,
    pub(crate) window_in: ReceiveWindow,
    pub(crate) window_out: SendWindow,
    pub(crate) receiving: Receiving,
    pub(crate) sending: Sending,
    pub(crate) urgency: Urgency,
    /// Interim responses received.
    pub(crate) interim: u8,
    /// The request is HEAD: its response has no content.
    pub(crate) head_only: bool,
    /// The request is CONNECT: nothing but data flows (RFC 9113 §8.5).
    pub(crate) connect: bool,
    /// What the tunnel is to speak was asked for (RFC 8441): the answer that agrees is 101 above, and 200 on the wire.
    pub(crate) upgrade: bool,
    /// It stands in the schedule.
    pub(crate) scheduled: bool,
    /// Somebody waits for room.
    pub(crate) wants_room: bool,
    /// Nobody above knows of it any more.
    pub(crate) released: bool,
    /// It counts as open.
    pub(crate) counted: bool,
}

/// How far the message being received has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// The response's head is awaited.
    Head,
    /// Content, then perhaps trailers.
    Body,
    /// It has no content; only its end is awaited.
    Nothing,
    /// Nobody wants the rest.
    Dropped,
    Done,
}

/// How far the message being sent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The response's head is awaited.
    Head,
    Body,
    /// It has no content: what is given as such is dropped.
    Nothing,
    /// All is here, not all is sent.
    Ending,
    Done,
}

impl Stream {
    pub(crate) fn new(window_in: ReceiveWindow, window_out: SendWindow) -> Self {
        Self {
            content_in: UNKNOWN,
            content_out: UNKNOWN,
            queue: VecDeque::new(),
            queued: 0,
            trailers: None,
            window_in,
            window_out,
            receiving: Receiving::Head,
            sending: Sending::Head,
            urgency: Urgency::DEFAULT,
            interim: 0,
            head_only: false,
            connect: false,
            upgrade: false,
            scheduled: false,
            wants_room: false,
            released: false,
            counted: true,
        }
    }

    /// What a request lets follow.
    pub(crate) fn asked(&mut self, line: &RequestLine) {
        self.head_only = line.method == Method::Head;
        self.upgrade = !line.protocol.is_empty();
        self.connect = self.upgrade || line.method == Method::Connect;
    }

    /// Whether nothing comes or goes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.receiving == Receiving::Done && self.sending == Sending::Done
    }

    /// Nothing comes or goes from here on.
    pub(crate) fn close(&mut self) {
        (self.receiving, self.sending) = (Receiving::Done, Sending::Done);
        self.queue = VecDeque::new();
        self.queued = 0;
        self.trailers = None;
    }

    /// Whether it has data and a window for it.
    pub(crate) fn is_ready(&self) -> bool {
        self.queued > 0 && self.window_out.open() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_small() {
        println!("a stream is {} bytes", size_of::<Stream>());
        assert_eq!(size_of::<Stream>(), 88);
    }
}

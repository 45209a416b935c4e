//! One HTTP/2 connection: who we are, what both sides have agreed on, which streams there are. The files beside this one say what happens to
//! it: `receive` (bytes come), `control` (frames about the connection), `streams/recv` and `streams/send` (frames about a stream, commands),
//! `transmit` (bytes go).

use alloc::{boxed::Box, rc::Rc, vec::Vec};

use model::{Blame, Cause, Fault, HeadLimits, Part, Retry, Scope, StreamId};

use crate::{
    code::ErrorCode,
    frame::{self, HEAD_BYTES, Kind, PREFACE, PeerSettings, Setting, WINDOW_DEFAULT, WINDOW_MAX},
    hpack::{Decoder, Encoder, TABLE_BYTES_DEFAULT, TABLE_BYTES_MAX},
    limits::{Limit, Nuisance, Patience, Rates},
    reading::{Gather, Reading},
    streams::{Closed, ReceiveWindow, Schedule, SendWindow, Stream, Table},
};

/// Bytes of answers that may wait for a peer that does not read (see [`Limit::Unread`]).
pub const UNREAD_BYTES_MAX: usize = 16 * 1024;

/// What a connection is told by its listener or cluster; shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How large a head (or a trailer section) may be, decoded.
    pub limits: HeadLimits,
    /// Streams open at once: those the peer may open, or those we open if it allows that many.
    pub streams_max: u32,
    /// What may come on one stream before somebody has consumed it, in bytes.
    pub stream_window: u32,
    /// What may come on the whole connection before somebody has consumed it, in bytes: with it a connection's memory is bounded.
    pub connection_window: u32,
    /// What our decoder remembers of the peer's fields, in bytes; at most 65 535.
    pub decoder_table_bytes: u32,
    /// What our encoder remembers of our fields, if the peer's decoder does too, in bytes; at most 65 535.
    pub encoder_table_bytes: u32,
    /// Whether clients may ask for tunnels with a protocol (RFC 8441). Means nothing on the client side.
    pub connect_protocol: bool,
    /// How often a peer may do what is of no use.
    pub rates: Rates,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: HeadLimits::default(),
            streams_max: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            decoder_table_bytes: TABLE_BYTES_DEFAULT,
            encoder_table_bytes: TABLE_BYTES_DEFAULT,
            connect_protocol: true,
            rates: Rates::default(),
        }
    }
}

/// What happened.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a head in a box would be one more allocation for each request")]
pub enum Event {
    /// A stream's message goes on. A request's head is the first that is heard of its stream, which from then on is known until it is
    /// [released](Connection::release).
    Part(StreamId, Part),
    /// A request's head, or its trailers, were understood and are refused: it can be answered with the cause's status. Content still to come is
    /// dropped.
    Refused(StreamId, Fault),
    /// A known stream is over before its time: nothing more comes, nothing can be sent. It is still to be released.
    Reset(StreamId, Fault),
    /// A request was refused by a reset before anybody heard of its stream: there is nothing to do but to count it.
    Rejected(StreamId, Fault),
    /// A limit was reached.
    Reached(Limit),
    /// The peer takes no new streams.
    Draining,
}

/// The codec of one connection.
#[derive(Debug)]
pub struct Connection {
    pub(crate) settings: Rc<Settings>,
    pub(crate) side: Side,
    pub(crate) reading: Reading,
    pub(crate) gather: Option<Box<Gather>>,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) peer: PeerSettings,
    /// The peer's first SETTINGS have come.
    pub(crate) greeted: bool,
    /// The peer has acknowledged ours.
    pub(crate) acknowledged: bool,
    pub(crate) streams: Table,
    pub(crate) closed: Closed,
    pub(crate) schedule: Schedule,
    pub(crate) window_in: ReceiveWindow,
    pub(crate) window_out: SendWindow,
    /// The last stream the peer opened; on the client side, the last we did.
    pub(crate) last: u32,
    /// Everything that goes before data.
    pub(crate) front: Vec<u8>,
    /// Bytes of answers in `front`.
    pub(crate) answers: usize,
    pub(crate) leaving: Leaving,
    /// The peer's GOAWAY: the last stream it handles.
    pub(crate) peer_leaving: Option<u32>,
    pub(crate) patience: Patience,
    pub(crate) pending: Pending,
    /// Streams that have room again.
    pub(crate) roomy: Vec<StreamId>,
}

/// Which streams are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer opens streams.
    Server,
    /// We do.
    Client,
}

/// How far we are in taking our leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    Not,
    /// The peer is being told; what it has sent meanwhile is still taken.
    Announced,
    /// Streams above this one are not handled.
    After(u32),
}

/// What has happened and was not told yet, in the order in which it is told.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) reached: Option<Limit>,
    pub(crate) rejected: Option<(u32, Fault)>,
    /// A message is complete.
    pub(crate) end: Option<u32>,
    pub(crate) draining: bool,
    pub(crate) resets: Vec<(u32, Fault)>,
    /// The connection's end.
    pub(crate) fault: Option<Fault>,
}

impl Pending {
    pub(crate) fn next(&mut self) -> Option<Event> {
        if let Some(limit) = self.reached.take() {
            return Some(Event::Reached(limit));
        }
        if let Some((stream, fault)) = self.rejected.take() {
            return Some(Event::Rejected(stream_id(stream), fault));
        }
        if let Some(stream) = self.end.take() {
            return Some(Event::Part(stream_id(stream), Part::End));
        }
        if core::mem::take(&mut self.draining) {
            return Some(Event::Draining);
        }
        let (stream, fault) = self.resets.pop()?;
        if self.resets.is_empty() {
            self.resets = Vec::new();
        }
        Some(Event::Reset(stream_id(stream), fault))
    }
}

/// What the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Connection(ErrorCode),
    /// A limit behind which the connection ends.
    Flood(Limit),
    Stream(u32, ErrorCode, Cause),
}

impl From<ErrorCode> for Broken {
    fn from(code: ErrorCode) -> Self {
        Self::Connection(code)
    }
}

impl Connection {
    /// The peer opens streams and sends requests: a downstream connection.
    pub fn server(settings: Rc<Settings>) -> Self {
        Self::new(Side::Server, settings)
    }

    /// We open streams and send requests: an upstream connection.
    pub fn client(settings: Rc<Settings>) -> Self {
        Self::new(Side::Client, settings)
    }

    fn new(side: Side, settings: Rc<Settings>) -> Self {
        let mut front = Vec::new();
        if side == Side::Client {
            front.extend_from_slice(PREFACE);
        }
        greet(&mut front, side, &settings);
        let window = settings.connection_window.clamp(WINDOW_DEFAULT, WINDOW_MAX);
        if window > WINDOW_DEFAULT {
            frame::write(&mut front, Kind::WindowUpdate, 0, 0, &(window - WINDOW_DEFAULT).to_be_bytes());
        }
        Self {
            side,
            reading: if side == Side::Server { Reading::Preface(0) } else { Reading::NEXT },
            gather: None,
            decoder: Decoder::default(),
            encoder: Encoder::new(settings.encoder_table_bytes.min(TABLE_BYTES_MAX)),
            peer: PeerSettings::default(),
            greeted: false,
            acknowledged: false,
            streams: Table::default(),
            closed: Closed::default(),
            schedule: Schedule::default(),
            window_in: ReceiveWindow::new(window),
            window_out: SendWindow::new(WINDOW_DEFAULT),
            last: 0,
            front,
            answers: 0,
            leaving: Leaving::Not,
            peer_leaving: None,
            patience: Patience::default(),
            pending: Pending::default(),
            roomy: Vec::new(),
            settings,
        }
    }

    /// Whether we receive requests.
    pub fn is_server(&self) -> bool {
        self.side == Side::Server
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> u32 {
        self.streams.open()
    }

    /// How many streams are known above: open, or not [released](Self::release) yet.
    pub fn known_streams(&self) -> usize {
        self.streams.len()
    }

    /// How many more streams we may open now. None on the server side, once either side leaves, or when identifiers have run out.
    pub fn capacity(&self) -> u32 {
        let gone = self.peer_leaving.is_some() || self.leaving != Leaving::Not || self.has_failed() || self.last >= WINDOW_MAX - 1;
        if self.side == Side::Server || gone {
            return 0;
        }
        self.settings.streams_max.min(self.peer.streams_max).saturating_sub(self.streams.open())
    }

    /// Whether the server takes extended CONNECT (RFC 8441); known once its settings have come.
    pub fn takes_connect_protocol(&self) -> bool {
        self.peer.connect_protocol
    }

    /// Whether the peer's settings have come.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Whether the connection has ended by a fault: what is still to be transmitted says why, then it is closed.
    pub fn has_failed(&self) -> bool {
        matches!(self.reading, Reading::Failed)
    }

    /// Whether it has nothing more to do: a side has taken its leave, the last stream is gone, everything is transmitted.
    pub fn is_over(&self) -> bool {
        let left = match self.side {
            Side::Server => matches!(self.leaving, Leaving::After(_)),
            Side::Client => self.leaving != Leaving::Not || self.peer_leaving.is_some(),
        };
        self.front.is_empty() && (self.has_failed() || (left && self.schedule.is_empty() && self.streams.open() == 0))
    }

    /// Whether part of a frame or header block has come and the rest has not (for a timeout).
    pub fn in_frame(&self) -> bool {
        self.gather.is_some() || !self.reading.is_between()
    }

    /// Bytes of heap that this connection holds.
    pub fn heap_bytes(&self) -> usize {
        let lists = self.front.capacity() + self.pending.resets.capacity() * size_of::<(u32, Fault)>();
        let gather = self.gather.as_ref().map_or(0, |gather| gather.heap_bytes());
        let tables = self.decoder.heap_bytes() + self.encoder.heap_bytes() + self.closed.heap_bytes() + self.schedule.heap_bytes();
        lists + gather + tables + self.streams.heap_bytes() + self.roomy.capacity() * size_of::<StreamId>()
    }

    /// Gives back the memory an idle connection can be without. To be called when it has been quiet for a while.
    pub fn shrink(&mut self) {
        self.front.shrink_to_fit();
        self.decoder.shrink();
        self.encoder.shrink();
        self.closed.shrink();
        self.schedule.shrink();
        self.roomy.shrink_to_fit();
    }

    // ---- for the files beside this one ----

    pub(crate) fn nuisance(&mut self, nuisance: Nuisance) -> Result<(), Broken> {
        if self.patience.spend(nuisance, &self.settings.rates) { Ok(()) } else { Err(Broken::Flood(nuisance.limit())) }
    }

    /// Answers a frame. The peer decides how many answers there are, so they have an end.
    pub(crate) fn answer(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Broken> {
        self.answers += HEAD_BYTES + payload.len();
        if self.answers > UNREAD_BYTES_MAX {
            return Err(Broken::Flood(Limit::Unread));
        }
        frame::write(&mut self.front, kind, flags, stream, payload);
        Ok(())
    }

    /// The connection ends: the peer is told, and nothing more is read.
    pub(crate) fn fail(&mut self, code: ErrorCode, fault: Fault) {
        self.goaway(self.last_handled(), code);
        self.reading = Reading::Failed;
        self.gather = None;
        self.pending.fault = Some(fault);
    }

    /// The last stream of the peer's that we do something about.
    pub(crate) fn last_handled(&self) -> u32 {
        match (self.side, self.leaving) {
            (Side::Client, _) => 0,
            (Side::Server, Leaving::After(last)) => last,
            (Side::Server, Leaving::Not | Leaving::Announced) => self.last,
        }
    }

    pub(crate) fn goaway(&mut self, last: u32, code: ErrorCode) {
        let payload = (u64::from(last) << 32 | u64::from(code.number())).to_be_bytes();
        frame::write(&mut self.front, Kind::GoAway, 0, 0, &payload);
    }

    /// The peer's fault, by which this stream or the connection ends.
    pub(crate) fn peers_fault(&self, cause: Cause, scope: Scope) -> Fault {
        match self.side {
            Side::Server => Fault { scope, ..Fault::client(cause) },
            Side::Client => Fault { scope, ..Fault::origin(Cause::MalformedResponse) },
        }
    }

    /// What a stream is that the peer never looked at.
    pub(crate) fn refused_fault() -> Fault {
        Fault { cause: Cause::StreamRefused, scope: Scope::Stream, blame: Blame::Origin, retry: Retry::Safe }
    }

    pub(crate) fn new_stream(&self) -> Stream {
        let window = if self.acknowledged { self.settings.stream_window } else { WINDOW_DEFAULT };
        Stream::new(ReceiveWindow::new(window), SendWindow::new(self.peer.window))
    }
}

/// Our SETTINGS: what differs from what would hold without them.
fn greet(front: &mut Vec<u8>, side: Side, settings: &Settings) {
    let mut list = Vec::with_capacity(8);
    if settings.decoder_table_bytes != TABLE_BYTES_DEFAULT {
        list.push((Setting::TableBytes, settings.decoder_table_bytes.min(TABLE_BYTES_MAX)));
    }
    list.push((Setting::Window, settings.stream_window.min(WINDOW_MAX)));
    list.push((Setting::ListBytes, settings.limits.head_bytes_max));
    match side {
        Side::Client => list.push((Setting::Push, 0)),
        Side::Server => {
            list.push((Setting::Streams, settings.streams_max));
            if settings.connect_protocol {
                list.push((Setting::ConnectProtocol, 1));
            }
            list.push((Setting::NoOldPriorities, 1));
        }
    }
    frame::write_settings(front, &list);
}

pub(crate) fn stream_id(stream: u32) -> StreamId {
    StreamId(u64::from(stream))
}

/// The number of a stream that we gave out; 0, which is no stream, for what we never did.
pub(crate) fn stream_number(id: StreamId) -> u32 {
    u32::try_from(id.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        println!("a connection is {} bytes", size_of::<Connection>());
        assert_eq!(size_of::<Connection>(), 560);
    }
}

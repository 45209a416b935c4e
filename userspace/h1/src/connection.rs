//! One HTTP/1 connection at rest and between its messages: who we are, how far each direction has come, what the one must know of the other.

use alloc::boxed::Box;

use model::{HeadLimits, Method, Scheme, Start};

use crate::{chunked, section::Gather};

/// What a connection is told by its listener or cluster.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How large a head (or a trailer section) may be.
    pub limits: HeadLimits,
    /// How clients reach us; an absolute target overrides it. Means nothing on the client side.
    pub scheme: Scheme,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: HeadLimits::default(), scheme: Scheme::Http }
    }
}

/// The codec of one connection. Exchanges follow one another; within one, both directions move independently.
#[derive(Debug)]
pub struct Connection {
    pub(crate) receiving: Receiving,
    pub(crate) sending: Sending,
    /// A head or trailer section that did not come whole.
    pub(crate) gather: Option<Box<Gather>>,
    pub(crate) settings: Settings,
    pub(crate) side: Side,
    /// Whether another exchange may follow this one, as far as is known.
    pub(crate) persistent: bool,
    pub(crate) exchange: Exchange,
    /// Empty lines skipped before this head.
    pub(crate) empty_lines: u8,
    /// Interim responses received in this exchange.
    pub(crate) interim: u8,
}

/// What one direction of an exchange must know of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The version the client speaks (server side only).
    pub(crate) version: Version,
    pub(crate) asks: Asks,
    /// The client waits for 100 (Continue) before it sends its content.
    pub(crate) expects_continue: bool,
    /// The client has said that it sends no further request (RFC 9112 §9.6).
    pub(crate) last: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// A response.
    Response,
    /// A response without content: it is HEAD.
    HeadOnly,
    /// To speak something else (RFC 9110 §7.8).
    Upgrade,
    /// A tunnel (RFC 9110 §9.3.6).
    Connect,
    /// That was agreed to: bytes follow, both ways, until each side closes its half.
    Tunnel,
}

impl Exchange {
    pub(crate) const NEW: Self = Self { version: Version::Http11, asks: Asks::Response, expects_continue: false, last: false };
}

impl Exchange {
    pub(crate) fn is_head_only(self) -> bool {
        self.asks == Asks::HeadOnly
    }
}

impl Asks {
    pub(crate) fn of(start: &Start) -> Self {
        match start {
            Start::Request(line) if line.method == Method::Head => Self::HeadOnly,
            Start::Request(line) if !line.protocol.is_empty() => Self::Upgrade,
            Start::Request(line) if line.method == Method::Connect => Self::Connect,
            Start::Request(_) | Start::Response(_) => Self::Response,
        }
    }
}

/// Which requests and which responses are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// We receive requests.
    Server,
    /// We receive responses.
    Client,
}

/// What the peer can read. Later minor versions are handled as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Version {
    /// Of a minor version that httparse takes: 0 or 1.
    pub(crate) fn of(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }
}

/// How far the message being received has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// Its head is awaited.
    Head,
    /// So many bytes of content are to come; 0 when only the End is to be told.
    Known(u64),
    Chunked(chunked::Decoder),
    /// Trailers may follow the last chunk.
    Trailers,
    /// The trailers are told, the End is not.
    Ending,
    /// What follows depends on the answer to an upgrade.
    Held,
    /// Content until the connection closes.
    UntilClose,
    Done,
    /// The peer broke the protocol: nothing more is read.
    Failed,
}

/// How far the message being sent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Its head is awaited.
    Head,
    /// So many bytes are still owed.
    Known(u64),
    Chunked,
    UntilClose,
    /// What may follow depends on the answer to an upgrade.
    Held,
    /// A response without content: what is given as such is dropped.
    Nothing,
    Done,
    /// It cannot be completed any more.
    Failed,
}

impl Connection {
    /// We receive requests and send responses: a downstream connection.
    pub fn server(settings: Settings) -> Self {
        Self::new(Side::Server, settings)
    }

    /// We send requests and receive responses: an upstream connection.
    pub fn client(settings: Settings) -> Self {
        Self::new(Side::Client, settings)
    }

    fn new(side: Side, settings: Settings) -> Self {
        Self {
            receiving: Receiving::Head,
            sending: Sending::Head,
            gather: None,
            settings,
            side,
            persistent: true,
            exchange: Exchange::NEW,
            empty_lines: 0,
            interim: 0,
        }
    }

    /// Whether the peer's message of this exchange is complete.
    pub fn receiving_done(&self) -> bool {
        self.receiving == Receiving::Done
    }

    /// Whether our message of this exchange is complete.
    pub fn sending_done(&self) -> bool {
        self.sending == Sending::Done
    }

    /// Whether the peer has all of our message by its framing, although its End was not sent: what was announced is there (RFC 9112 §8).
    pub fn owes_only_end(&self) -> bool {
        matches!(self.sending, Sending::Known(0) | Sending::Nothing)
    }

    /// Whether our message lasts to the connection's end and has not come to its own: then a close would say that this was all.
    pub fn lasts(&self) -> bool {
        self.sending == Sending::UntilClose
    }

    /// Whether no exchange is under way: none has begun, or the last one is complete in both directions.
    pub fn at_rest(&self) -> bool {
        match (self.receiving, self.sending) {
            (Receiving::Head, Sending::Head) => self.gather.is_none(),
            (receiving, sending) => receiving == Receiving::Done && sending == Sending::Done,
        }
    }

    /// Whether the connection is at rest and may carry another exchange.
    pub fn can_reuse(&self) -> bool {
        self.persistent && self.at_rest()
    }

    /// Whether no exchange can follow the present one: once it is over the connection is closed.
    pub fn must_close(&self) -> bool {
        !self.persistent
    }

    /// Whether the client has said that it sends no further request, and the present one has come whole (server side only).
    pub fn peer_has_ended(&self) -> bool {
        self.exchange.last && self.receiving == Receiving::Done
    }

    /// Whether [`receive`](Self::receive) takes nothing because the present exchange must be completed first: it is a pipelined
    /// request's place in the queue, and the reason to stop reading from the socket. Or because it has failed: then nothing is read any more.
    pub fn is_waiting(&self) -> bool {
        let next =
            self.side == Side::Server && matches!(self.receiving, Receiving::Done | Receiving::Held) && self.sending != Sending::Done;
        next || matches!(self.receiving, Receiving::Failed)
    }

    /// Whether nothing may be sent before the origin has answered.
    pub fn is_held(&self) -> bool {
        self.sending == Sending::Held
    }

    /// Whether our half of a connection that speaks something else is over: then it is to be closed.
    pub fn half_is_over(&self) -> bool {
        self.exchange.asks == Asks::Tunnel && self.sending == Sending::Done
    }

    /// Whether the client waits for a 100 (Continue), and nobody has answered yet (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.exchange.expects_continue
    }

    /// Whether part of a head has arrived and the rest has not (for the request-head timeout).
    pub fn in_head(&self) -> bool {
        self.receiving == Receiving::Head && self.gather.is_some()
    }

    /// The present exchange is the last: the head still to be sent says so.
    pub fn close_after(&mut self) {
        self.persistent = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_a_cache_line() {
        assert!(size_of::<Connection>() <= 64, "{}", size_of::<Connection>());
    }
}

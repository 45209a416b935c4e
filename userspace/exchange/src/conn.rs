//! A connection that speaks HTTP, downstream or upstream: a codec on a stream. Which version it speaks shows only here and in the two files
//! beside it.

use core::task::Poll;
use h2::PREFACE;
use io::AtRest;
use model::{Fault, HeadLimits, Scheme, StreamId};
use std::rc::Rc;

use crate::{Exchange, Transport, multiplex::Multiplex, serial::Serial};

/// HTTP/2 among application protocols (RFC 9113 §3.1).
const ALPN_H2: &[u8] = b"h2";

/// What a connection is told by its listener or cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How large a head may be.
    pub limits: HeadLimits,
    /// How clients reach us. Means nothing on the client side.
    pub scheme: Scheme,
    /// What HTTP/2 wants to know besides.
    pub h2: Rc<h2::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: HeadLimits::default(), scheme: Scheme::Http, h2: Rc::default() }
    }
}

impl Settings {
    fn h1(&self) -> h1::Settings {
        h1::Settings { limits: self.limits, scheme: self.scheme }
    }
}

/// A connection.
pub struct Conn {
    pub(crate) transport: Transport,
    pub(crate) http: Http,
}

pub(crate) enum Http {
    /// One exchange after the other (HTTP/1): whoever asks for the next Part drives it.
    Serial(Serial),
    /// Many at once (HTTP/2): the connection's task drives it.
    Multiplex(Rc<Multiplex>),
}

/// What has come on a connection that carries many exchanges.
pub enum Arrival {
    /// A request.
    Exchange(Exchange),
    /// A request that was refused before it became an exchange, or a limit that was reached: to be counted.
    Rejected(Fault),
    /// A limit was reached, by its name: to be counted.
    Reached(&'static str),
    /// An upstream connection takes more exchanges than before.
    Room,
    /// The connection is over; by a fault, if there is one.
    Over(Option<Fault>),
}

impl Conn {
    /// A downstream connection: the peer sends requests. What was agreed on in a handshake holds; else they come one after the other, unless the
    /// first bytes [say otherwise](Self::may_be_multiplexed).
    pub fn server(transport: Transport, settings: &Settings) -> Rc<Self> {
        if transport.has_agreed_on(ALPN_H2) {
            return Self::multiplexed(transport, h2::Connection::server(Rc::clone(&settings.h2)));
        }
        Rc::new(Self { transport, http: Http::Serial(Serial::new(h1::Connection::server(settings.h1()))) })
    }

    /// An upstream connection: the peer answers requests; one after the other, unless something else was agreed on in a handshake.
    pub fn client(transport: Transport, settings: &Settings) -> Rc<Self> {
        if transport.has_agreed_on(ALPN_H2) {
            return Self::multiplexed_client(transport, settings);
        }
        Rc::new(Self { transport, http: Http::Serial(Serial::new(h1::Connection::client(settings.h1()))) })
    }

    /// An upstream connection that carries many exchanges at once. Somebody has to [drive](Self::poll_arrival) it.
    pub fn multiplexed_client(transport: Transport, settings: &Settings) -> Rc<Self> {
        Self::multiplexed(transport, h2::Connection::client(Rc::clone(&settings.h2)))
    }

    fn multiplexed(transport: Transport, codec: h2::Connection) -> Rc<Self> {
        let multiplex = Multiplex::new(codec, &transport);
        transport.set_layer(Rc::clone(&multiplex) as Rc<dyn io::Layer>);
        Rc::new(Self { transport, http: Http::Multiplex(multiplex) })
    }

    /// What a downstream connection is, now that its first bytes have come: one that carries many exchanges, if they are such a one's (RFC 9113
    /// §3.4). Waits while there are too few bytes to tell.
    pub async fn sniff(self: Rc<Self>, settings: &Settings) -> Rc<Self> {
        let mut gathered = buf::Chunk::default();
        loop {
            let Ok(chunk) = self.transport.receive().await else { break };
            let ended = chunk.is_empty();
            gathered = if gathered.is_empty() { chunk } else { buf::Chunk::from([&gathered[..], &chunk[..]].concat()) };
            if ended || gathered.len() >= PREFACE.len() || !PREFACE.starts_with(&gathered) {
                break;
            }
            // A receive buffer is never kept.
            gathered.move_to_heap();
        }
        let multiplexed = gathered.starts_with(PREFACE);
        self.transport.put_back(gathered);
        if !multiplexed {
            return self;
        }
        match Rc::try_unwrap(self) {
            Ok(conn) => Self::multiplexed(conn.transport, h2::Connection::server(Rc::clone(&settings.h2))),
            Err(shared) => shared,
        }
    }

    /// Whether the first bytes that have come may begin a connection with many exchanges: then it is to be [looked at](Self::sniff).
    pub fn may_be_multiplexed(&self) -> bool {
        let Http::Serial(_) = &self.http else { return false };
        let Poll::Ready(Ok(chunk)) = self.transport.poll_receive() else { return false };
        let common = chunk.len().min(PREFACE.len());
        let may = common > 0 && chunk[..common] == PREFACE[..common];
        self.transport.put_back(chunk);
        may
    }

    /// Whether it carries many exchanges at once.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self.http, Http::Multiplex(_))
    }

    /// What it stands on.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How many exchanges there have been.
    pub fn exchanges(&self) -> u64 {
        match &self.http {
            Http::Serial(serial) => serial.exchanges(),
            Http::Multiplex(multiplex) => multiplex.exchanges(),
        }
    }

    /// How many exchanges are under way, on a connection that carries many.
    pub fn under_way(&self) -> usize {
        match &self.http {
            Http::Serial(_) => 0,
            Http::Multiplex(multiplex) => multiplex.under_way(),
        }
    }

    /// How many more exchanges an upstream connection takes now, beside those under way.
    pub fn capacity(&self) -> u32 {
        match &self.http {
            Http::Serial(serial) => u32::from(serial.can_reuse()),
            Http::Multiplex(multiplex) => multiplex.capacity(),
        }
    }

    /// Waits until the peer has said what it can do, where it says so at all: for what not every peer can.
    pub async fn greeted(&self) {
        if let Http::Multiplex(multiplex) = &self.http {
            multiplex.greeted().await;
        }
    }

    /// Ready when the next request's first bytes are there (`true`) or the peer has closed (`false`).
    pub fn poll_readable(&self) -> Poll<bool> {
        match self.transport.poll_receive() {
            Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                self.transport.put_back(chunk);
                Poll::Ready(true)
            }
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The next exchange: of a downstream connection the one whose first bytes are there, of an upstream one a request to be sent.
    pub fn exchange(self: &Rc<Self>) -> Exchange {
        let id = match &self.http {
            Http::Serial(serial) => serial.begin(),
            Http::Multiplex(_) => StreamId(0),
        };
        Exchange::new(Rc::clone(self), id)
    }

    /// Drives a connection that carries many exchanges: ready when something has come that its owner must know.
    pub fn poll_arrival(self: &Rc<Self>) -> Poll<Arrival> {
        let Http::Multiplex(multiplex) = &self.http else { return Poll::Ready(Arrival::Over(None)) };
        multiplex.poll_arrival(&self.transport).map(|arrival| match arrival {
            Ok((id, inlet)) => Arrival::Exchange(Exchange::arrived(Rc::clone(self), id, inlet)),
            Err(other) => other,
        })
    }

    /// Lets a connection that carries many exchanges take no more of them, and end with the last; `at_once`: without listening for those that
    /// are on their way.
    pub fn leave(&self, at_once: bool) {
        if let Http::Multiplex(multiplex) = &self.http {
            multiplex.leave(at_once);
            self.transport.wants_to_send();
        }
    }

    /// Gives back memory that an idle connection can be without.
    pub fn shrink(&self) {
        if let Http::Multiplex(multiplex) = &self.http {
            multiplex.shrink();
        }
    }

    /// Whether another exchange may follow: everything so far is complete in both directions.
    pub fn can_reuse(&self) -> bool {
        match &self.http {
            Http::Serial(serial) => serial.can_reuse() && !self.transport.has_received(),
            Http::Multiplex(multiplex) => multiplex.capacity() > 0,
        }
    }

    /// Whether a further request may be read from the client.
    pub fn can_accept(&self) -> bool {
        match &self.http {
            Http::Serial(serial) => serial.can_reuse(),
            Http::Multiplex(_) => true,
        }
    }

    /// Whether the client has said that it sends nothing more, and sent nothing more: then nothing is lost by closing without listening.
    pub fn peer_has_ended(&self) -> bool {
        match &self.http {
            Http::Serial(serial) => serial.peer_has_ended() && !self.transport.has_received(),
            Http::Multiplex(_) => false,
        }
    }

    /// Whether an upstream connection that has been idle is still silent and open.
    pub fn is_quiet(&self) -> bool {
        match &self.http {
            Http::Serial(_) => !self.transport.has_received(),
            Http::Multiplex(multiplex) => multiplex.capacity() > 0,
        }
    }

    /// Whether part of a head (or of a frame) has come, but not all.
    pub fn in_head(&self) -> bool {
        match &self.http {
            Http::Serial(serial) => serial.in_head(),
            Http::Multiplex(multiplex) => multiplex.in_frame(),
        }
    }

    /// Lets the next response say that it is the last one. What carries many exchanges [leaves](Self::leave) instead.
    pub fn close_after(&self) {
        if let Http::Serial(serial) = &self.http {
            serial.close_after();
        }
    }

    /// Whether the peer would take a close for the end of a message that was cut short: one that lasts as long as its connection does (tunnels, and
    /// responses of unknown length over HTTP/1.0).
    pub fn is_cut_short(&self) -> bool {
        match &self.http {
            Http::Serial(serial) => serial.lasts(),
            Http::Multiplex(_) => false,
        }
    }

    /// Closes it at whatever point it is; by a reset where it [is cut short](Self::is_cut_short).
    pub fn abandon(self: Rc<Self>) {
        if self.is_cut_short()
            && let Ok(conn) = Rc::try_unwrap(self)
        {
            conn.transport.reset();
        }
    }

    /// Takes an idle upstream connection to where other workers can take it.
    pub async fn rest(self: Rc<Self>) -> Option<AtRest> {
        let conn = Rc::try_unwrap(self).ok()?;
        conn.transport.rest().await
    }
}

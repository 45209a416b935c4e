//! One request and its response on one connection.

use core::{
    cell::{Cell, OnceCell},
    future::poll_fn,
    task::Poll,
};
use model::{Cause, Fault, Head, Part, StreamId};
use std::rc::Rc;

use crate::{Conn, conn::Http, inlet::Inlet};

/// All that the rooms know of a connection. Dropping it before both directions are complete is its reset: a connection that carries one
/// exchange at a time is then unfit for another.
pub struct Exchange {
    conn: Rc<Conn>,
    id: Cell<StreamId>,
    /// What has come for it, on a connection that carries many; of a request still to be sent there is none.
    inlet: OnceCell<Rc<Inlet>>,
}

impl Exchange {
    /// The next one of a connection that carries one at a time, or one to be opened by its head.
    pub(crate) fn new(conn: Rc<Conn>, id: StreamId) -> Self {
        Self { conn, id: Cell::new(id), inlet: OnceCell::new() }
    }

    /// A request that has come on a connection that carries many.
    pub(crate) fn arrived(conn: Rc<Conn>, id: StreamId, inlet: Rc<Inlet>) -> Self {
        Self { conn, id: Cell::new(id), inlet: OnceCell::from(inlet) }
    }

    /// Which exchange of its connection it is.
    pub fn id(&self) -> StreamId {
        self.id.get()
    }

    /// The connection.
    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    /// The peer's next Part. Pending for ever once its message is complete. Loses nothing when given up.
    #[inline]
    pub fn poll_next(&self) -> Poll<Result<Part, Fault>> {
        match (&self.conn.http, self.inlet.get()) {
            (Http::Serial(serial), _) => serial.poll_next(&self.conn.transport),
            (Http::Multiplex(multiplex), Some(inlet)) => multiplex.poll_next(&self.conn.transport, self.id(), inlet),
            (Http::Multiplex(_), None) => Poll::Pending,
        }
    }

    /// [`Exchange::poll_next`] as a future.
    pub async fn next(&self) -> Result<Part, Fault> {
        poll_fn(|_| self.poll_next()).await
    }

    /// Ready when another Part may be sent.
    #[inline]
    pub fn poll_room(&self) -> Poll<Result<(), Fault>> {
        match (&self.conn.http, self.inlet.get()) {
            (Http::Serial(serial), _) => serial.poll_room(&self.conn.transport),
            (Http::Multiplex(multiplex), Some(inlet)) => multiplex.poll_room(self.id(), inlet),
            (Http::Multiplex(_), None) => Poll::Ready(Ok(())),
        }
    }

    /// [`Exchange::poll_room`] as a future.
    pub async fn room(&self) -> Result<(), Fault> {
        poll_fn(|_| self.poll_room()).await
    }

    /// Sends a Part at the end of the turn. Never waits.
    #[inline]
    pub fn send(&self, part: Part) -> Result<(), Fault> {
        match (&self.conn.http, part) {
            (Http::Serial(serial), part) => serial.send(&self.conn.transport, part),
            (Http::Multiplex(_), Part::Head(head)) => self.send_head(&head),
            (Http::Multiplex(multiplex), part) => multiplex.send(&self.conn.transport, self.id(), part),
        }
    }

    /// Sends a head that the caller keeps, to try another endpoint with it. A request's opens the exchange where many share a connection.
    pub fn send_head(&self, head: &Head) -> Result<(), Fault> {
        let transport = &self.conn.transport;
        match (&self.conn.http, self.inlet.get()) {
            (Http::Serial(serial), _) => serial.send_head(transport, head),
            (Http::Multiplex(multiplex), Some(_)) => multiplex.send_head(transport, self.id(), head),
            (Http::Multiplex(multiplex), None) => {
                let (id, inlet) = multiplex.open(transport, head)?;
                self.id.set(id);
                self.inlet.get_or_init(|| inlet);
                Ok(())
            }
        }
    }

    /// Ready when the peer has reset the exchange, although nothing is awaited from it.
    pub fn poll_broken(&self) -> Poll<()> {
        match (&self.conn.http, self.inlet.get()) {
            (Http::Serial(_), _) => self.conn.transport.poll_broken(),
            (Http::Multiplex(multiplex), Some(inlet)) => multiplex.poll_broken(inlet),
            (Http::Multiplex(_), None) => Poll::Pending,
        }
    }

    /// Whether a client that asks for a tunnel takes every answer of success for a yes (RFC 8441 §5), not 101 alone.
    pub fn success_opens_tunnel(&self) -> bool {
        matches!(self.conn.http, Http::Multiplex(_))
    }

    /// Whether an origin that agrees to WebSocket proves that it has understood (RFC 6455 §4.2.2); else the protocol beneath does (RFC 8441 §5).
    pub fn proves_upgrade(&self) -> bool {
        matches!(self.conn.http, Http::Serial(_))
    }

    /// Whether the peer's message is complete.
    pub fn received(&self) -> bool {
        match &self.conn.http {
            Http::Serial(serial) => serial.received(),
            Http::Multiplex(_) => self.inlet.get().is_some_and(|inlet| inlet.has_ended()),
        }
    }

    /// Whether the peer has all of our message although its End was not sent: so it is over HTTP/1 when the length that was announced is reached.
    /// Over HTTP/2 only the End makes a message complete (RFC 9113 §8.1).
    pub fn owes_only_end(&self) -> bool {
        match &self.conn.http {
            Http::Serial(serial) => serial.owes_only_end(),
            Http::Multiplex(_) => false,
        }
    }

    /// Bytes of body that may go past both codecs, when both know its length and are in the middle of it.
    fn raw_length(&self, to: &Self) -> Option<u64> {
        let (Http::Serial(from), Http::Serial(to)) = (&self.conn.http, &to.conn.http) else { return None };
        from.raw_length(to)
    }

    /// A way past both codecs for the rest of the body that comes here and goes to `to`: HTTP/1, plain (or sealed by the kernel where it goes),
    /// length known, at least `least` bytes.
    pub fn lane(&self, to: &Self, least: u64) -> Option<u64> {
        self.raw_length(to).filter(|left| *left >= least && self.conn.transport.can_splice(&to.conn.transport))
    }

    /// Moves up to `length` bytes of body by the lane, and gives how many: none when there turned out to be no lane. A fault when the peer ended
    /// early.
    pub async fn move_raw(&self, to: &Self, length: u64) -> Result<u64, Fault> {
        self.conn.transport.disarm().await;
        // What came before the reception ended goes the ordinary way first.
        let mut first = 0;
        while self.conn.transport.has_received() {
            match self.poll_next() {
                Poll::Ready(Ok(Part::Data(data))) => {
                    first += data.len() as u64;
                    to.send(Part::Data(data))?;
                }
                Poll::Ready(Err(fault)) => return Err(fault),
                Poll::Ready(Ok(_)) | Poll::Pending => break,
            }
        }
        if first > 0 {
            return Ok(first);
        }
        if !to.conn.transport.clear_lane().await.map_err(|_errno| Fault::client(Cause::DownstreamReset))? {
            return Ok(0);
        }
        let moved = self.conn.transport.splice_to(&to.conn.transport, length).await;
        match moved {
            Ok(moved) if moved > 0 => {
                self.moved(to, moved);
                Ok(moved)
            }
            // Which of the two broke shows when the ordinary way is taken again; a close before the end is the peer's.
            Ok(_) | Err(_) => Err(Fault::origin(Cause::UpstreamReset)),
        }
    }

    fn moved(&self, to: &Self, count: u64) {
        if let (Http::Serial(from), Http::Serial(to)) = (&self.conn.http, &to.conn.http) {
            from.moved(to, count);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let (Http::Multiplex(multiplex), Some(_)) = (&self.conn.http, self.inlet.get()) {
            multiplex.release(&self.conn.transport, self.id());
        }
    }
}

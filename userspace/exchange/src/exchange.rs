//! One request and its response on one connection.

use core::{future::poll_fn, task::Poll};
use model::{Cause, Fault, Head, Part, StreamId};
use std::rc::Rc;

use crate::Conn;

/// All that the rooms know of a connection. Dropping it before both directions are complete leaves the connection unfit for another.
pub struct Exchange {
    conn: Rc<Conn>,
    id: StreamId,
}

impl Exchange {
    pub(crate) fn new(conn: Rc<Conn>, id: StreamId) -> Self {
        Self { conn, id }
    }

    /// Which exchange of its connection it is.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The connection.
    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    /// The peer's next Part. Pending for ever once its message is complete. Loses nothing when given up.
    #[inline]
    pub fn poll_next(&self) -> Poll<Result<Part, Fault>> {
        self.conn.poll_next()
    }

    /// [`Exchange::poll_next`] as a future.
    pub async fn next(&self) -> Result<Part, Fault> {
        poll_fn(|_| self.poll_next()).await
    }

    /// Ready when another Part may be sent.
    #[inline]
    pub fn poll_room(&self) -> Poll<Result<(), Fault>> {
        self.conn.poll_room()
    }

    /// [`Exchange::poll_room`] as a future.
    pub async fn room(&self) -> Result<(), Fault> {
        poll_fn(|_| self.poll_room()).await
    }

    /// Sends a Part at the end of the turn. Never waits.
    #[inline]
    pub fn send(&self, part: Part) -> Result<(), Fault> {
        self.conn.send(part)
    }

    /// Sends a head that the caller keeps, to try another endpoint with it.
    pub fn send_head(&self, head: &Head) -> Result<(), Fault> {
        self.conn.send_head(head)
    }

    /// Ready when the peer has reset the connection.
    pub fn poll_broken(&self) -> Poll<()> {
        self.conn.poll_broken()
    }

    /// Whether the peer's message is complete.
    pub fn received(&self) -> bool {
        self.conn.is_waiting_for_us()
    }

    /// Whether part of a head has come, but not all.
    pub fn in_head(&self) -> bool {
        self.conn.in_head()
    }

    /// Whether both messages are complete.
    pub fn is_complete(&self) -> bool {
        self.conn.is_complete()
    }

    /// Whether the connection closes after this exchange.
    pub fn must_close(&self) -> bool {
        self.conn.must_close()
    }

    /// A way past both codecs for the rest of the body that comes here and goes to `to`: HTTP/1, plain, length known, at least `least` bytes.
    pub fn lane(&self, to: &Self, least: u64) -> Option<u64> {
        self.conn.raw_length(&to.conn).filter(|left| *left >= least && self.conn.stream().can_splice())
    }

    /// Moves up to `length` bytes of body by the lane, and gives how many. A fault when the peer ended early.
    pub async fn move_raw(&self, to: &Self, length: u64) -> Result<u64, Fault> {
        self.conn.stream().disarm().await;
        // What came before the reception ended goes the ordinary way first.
        let mut first = 0;
        while self.conn.stream().has_received() {
            match self.conn.poll_next() {
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
        to.conn.flushed().await?;
        let moved = self.conn.stream().splice_to(to.conn.stream(), length).await;
        match moved {
            Ok(moved) if moved > 0 => {
                self.conn.moved(&to.conn, moved);
                Ok(moved)
            }
            // Which of the two broke shows when the ordinary way is taken again; a close before the end is the peer's.
            Ok(_) | Err(_) => Err(Fault::origin(Cause::UpstreamReset)),
        }
    }
}

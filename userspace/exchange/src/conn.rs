//! A connection that speaks HTTP: a codec on a stream. Whoever asks for the next Part drives it; HTTP/1 needs no task of its own.

use core::{cell::RefCell, future::poll_fn, task::Poll};
use io::{AtRest, Stream};
use model::{Cause, Fault, Head, Part, StreamId};
use std::rc::Rc;

use crate::{Codec, Exchange};

/// A connection, downstream or upstream.
pub struct Conn {
    stream: Stream,
    state: RefCell<State>,
}

struct State {
    codec: Codec,
    exchanges: u64,
}

impl Conn {
    /// A downstream connection: the peer sends requests.
    pub fn server(stream: Stream, settings: h1::Settings) -> Rc<Self> {
        Self::new(stream, Codec::H1(h1::Connection::server(settings)))
    }

    /// An upstream connection: the peer answers requests.
    pub fn client(stream: Stream, settings: h1::Settings) -> Rc<Self> {
        Self::new(stream, Codec::H1(h1::Connection::client(settings)))
    }

    fn new(stream: Stream, codec: Codec) -> Rc<Self> {
        Rc::new(Self { stream, state: RefCell::new(State { codec, exchanges: 0 }) })
    }

    /// The stream beneath.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// How many exchanges there have been.
    pub fn exchanges(&self) -> u64 {
        self.state.borrow().exchanges
    }

    /// Ready when the next request's first bytes are there (`true`) or the peer has closed (`false`).
    pub fn poll_readable(&self) -> Poll<bool> {
        match self.stream.poll_receive() {
            Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                self.stream.put_back(chunk);
                Poll::Ready(true)
            }
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The next exchange: of a downstream connection the one whose first bytes are there, of an upstream one a request to be sent.
    pub fn exchange(self: &Rc<Self>) -> Exchange {
        let mut state = self.state.borrow_mut();
        state.exchanges += 1;
        Exchange::new(Rc::clone(self), StreamId(state.exchanges - 1))
    }

    /// Whether another exchange may follow: everything so far is complete in both directions.
    pub fn can_reuse(&self) -> bool {
        self.state.borrow().codec.can_reuse() && !self.stream.has_received()
    }

    /// Whether a further request may be read from the client.
    pub fn can_accept(&self) -> bool {
        self.state.borrow().codec.can_reuse()
    }

    /// Whether the client has said that it sends nothing more, and sent nothing more: then nothing is lost by closing without listening.
    pub fn peer_has_ended(&self) -> bool {
        self.state.borrow().codec.peer_has_ended() && !self.stream.has_received()
    }

    /// Whether an upstream connection that has been idle is still silent and open.
    pub fn is_quiet(&self) -> bool {
        !self.stream.has_received()
    }

    /// Lets the next response say that it is the last one.
    pub fn close_after(&self) {
        self.state.borrow_mut().codec.close_after();
    }

    /// Takes an idle upstream connection to where other workers can take it.
    pub async fn rest(self: Rc<Self>) -> Option<AtRest> {
        let conn = Rc::try_unwrap(self).ok()?;
        conn.stream.rest().await
    }

    /// Throws away what the client still sends until it closes, up to `bytes_max`: closing a socket with unread bytes would reset the
    /// connection and could destroy the response on its way (RFC 9112 §9.6).
    pub async fn drain(&self, bytes_max: usize) {
        let mut drained = 0;
        while drained < bytes_max {
            match self.stream.receive().await {
                Ok(chunk) if !chunk.is_empty() => drained += chunk.len(),
                Ok(_) | Err(_) => return,
            }
        }
    }

    // ---- for the exchange ----

    pub(crate) fn poll_next(&self) -> Poll<Result<Part, Fault>> {
        let mut state = self.state.borrow_mut();
        loop {
            // Once an exchange is complete in both directions, what comes is the next one's.
            if state.codec.is_waiting() || (state.codec.receiving_done() && !state.codec.can_reuse()) {
                return Poll::Pending;
            }
            let received = match self.stream.poll_receive() {
                Poll::Ready(received) => received,
                Poll::Pending => {
                    // A message may be complete, or owe its End, without another byte.
                    let mut nothing = buf::Chunk::default();
                    return match state.codec.receive(&mut nothing) {
                        Ok(None) => Poll::Pending,
                        Ok(Some(part)) => Poll::Ready(Ok(part)),
                        Err(fault) => Poll::Ready(Err(fault)),
                    };
                }
            };
            let Ok(mut chunk) = received else {
                return Poll::Ready(Err(broken(&state.codec)));
            };
            let closed = chunk.is_empty();
            let part = state.codec.receive(&mut chunk);
            if !chunk.is_empty() {
                self.stream.put_back(chunk);
            }
            match part {
                Ok(Some(part)) => return Poll::Ready(Ok(part)),
                Ok(None) if closed => return Poll::Ready(Self::closed(&mut state.codec)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(fault)),
            }
        }
    }

    fn closed(codec: &mut Codec) -> Result<Part, Fault> {
        match codec.eof() {
            Ok(Some(part)) => Ok(part),
            Ok(None) => Err(broken(codec)),
            Err(fault) => Err(fault),
        }
    }

    /// Ready when the peer has reset the connection, although nothing is awaited from it.
    pub(crate) fn poll_broken(&self) -> Poll<()> {
        self.stream.poll_broken()
    }

    pub(crate) fn poll_room(&self) -> Poll<Result<(), Fault>> {
        self.stream.poll_room().map(|room| room.map_err(|_errno| broken(&self.state.borrow().codec)))
    }

    pub(crate) fn send(&self, part: Part) -> Result<(), Fault> {
        let mut state = self.state.borrow_mut();
        self.stream.write(|output| state.codec.send(part, output))
    }

    pub(crate) fn send_head(&self, head: &Head) -> Result<(), Fault> {
        let mut state = self.state.borrow_mut();
        self.stream.write(|output| state.codec.send_head(head, output))
    }

    pub(crate) fn is_complete(&self) -> bool {
        let state = self.state.borrow();
        state.codec.receiving_done() && state.codec.sending_done() || state.codec.can_reuse()
    }

    pub(crate) fn is_waiting_for_us(&self) -> bool {
        self.state.borrow().codec.receiving_done()
    }

    pub(crate) fn in_head(&self) -> bool {
        self.state.borrow().codec.in_head()
    }

    pub(crate) fn must_close(&self) -> bool {
        self.state.borrow().codec.must_close()
    }

    /// Bytes of body that may go past both codecs, when both know its length and are in the middle of it.
    pub(crate) fn raw_length(&self, to: &Self) -> Option<u64> {
        let left = self.state.borrow().codec.raw_receive()?;
        (to.state.borrow().codec.raw_send()? == left).then_some(left)
    }

    pub(crate) fn moved(&self, to: &Self, count: u64) {
        self.state.borrow_mut().codec.moved_in(count);
        to.state.borrow_mut().codec.moved_out(count);
    }

    /// Waits until everything written is in the kernel's hands.
    pub(crate) async fn flushed(&self) -> Result<(), Fault> {
        poll_fn(|_| self.stream.poll_flushed()).await.map_err(|_errno| broken(&self.state.borrow().codec))
    }
}

/// The connection broke or ended between messages.
fn broken(codec: &Codec) -> Fault {
    match codec {
        Codec::H1(codec) if codec.is_server() => Fault::client(Cause::DownstreamReset),
        Codec::H1(_) => Fault::origin(Cause::UpstreamReset),
    }
}

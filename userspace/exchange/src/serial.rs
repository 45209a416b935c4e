//! HTTP/1 on a stream: one exchange after the other. Whoever asks for the next Part drives it; it needs no task of its own.

use core::{
    cell::{Cell, RefCell},
    task::Poll,
};
use model::{Cause, Fault, Head, Part, StreamId};

use crate::Transport;

/// The codec, and how often it was used.
pub(crate) struct Serial {
    codec: RefCell<h1::Connection>,
    exchanges: Cell<u64>,
}

impl Serial {
    pub(crate) fn new(codec: h1::Connection) -> Self {
        Self { codec: RefCell::new(codec), exchanges: Cell::new(0) }
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.get()
    }

    pub(crate) fn begin(&self) -> StreamId {
        StreamId(self.exchanges.replace(self.exchanges.get() + 1))
    }

    pub(crate) fn can_reuse(&self) -> bool {
        self.codec.borrow().can_reuse()
    }

    pub(crate) fn peer_has_ended(&self) -> bool {
        self.codec.borrow().peer_has_ended()
    }

    pub(crate) fn in_head(&self) -> bool {
        self.codec.borrow().in_head()
    }

    pub(crate) fn received(&self) -> bool {
        self.codec.borrow().receiving_done()
    }

    pub(crate) fn owes_only_end(&self) -> bool {
        self.codec.borrow().owes_only_end()
    }

    pub(crate) fn lasts(&self) -> bool {
        self.codec.borrow().lasts()
    }

    pub(crate) fn close_after(&self) {
        self.codec.borrow_mut().close_after();
    }

    pub(crate) fn poll_next(&self, transport: &Transport) -> Poll<Result<Part, Fault>> {
        let mut codec = self.codec.borrow_mut();
        loop {
            // Once an exchange is complete in both directions, what comes is the next one's.
            if is_waiting(&codec) || (codec.receiving_done() && !codec.can_reuse()) {
                return Poll::Pending;
            }
            let received = match transport.poll_receive() {
                Poll::Ready(received) => received,
                Poll::Pending => {
                    return match owed(&mut codec) {
                        Ok(None) => Poll::Pending,
                        Ok(Some(part)) => Poll::Ready(Ok(part)),
                        Err(fault) => Poll::Ready(Err(fault)),
                    };
                }
            };
            let Ok(mut chunk) = received else {
                // What broke behind a message's last byte does not make it any less complete.
                return Poll::Ready(owed(&mut codec)?.ok_or_else(|| broken(&codec)));
            };
            let closed = chunk.is_empty();
            let part = codec.receive(&mut chunk);
            if !chunk.is_empty() {
                transport.put_back(chunk);
            }
            match part {
                Ok(Some(part)) => return Poll::Ready(Ok(part)),
                Ok(None) if closed => return Poll::Ready(Self::closed(&mut codec)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(fault)),
            }
        }
    }

    fn closed(codec: &mut h1::Connection) -> Result<Part, Fault> {
        match codec.eof() {
            Ok(Some(part)) => Ok(part),
            Ok(None) => Err(broken(codec)),
            Err(fault) => Err(fault),
        }
    }

    pub(crate) fn poll_room(&self, transport: &Transport) -> Poll<Result<(), Fault>> {
        if self.codec.borrow().is_held() {
            // What came from the peer decides, and whoever takes that asks again.
            return Poll::Pending;
        }
        transport.poll_room().map(|room| room.map_err(|_errno| self.broken()))
    }

    pub(crate) fn send(&self, transport: &Transport, part: Part) -> Result<(), Fault> {
        let mut codec = self.codec.borrow_mut();
        transport.write(|output| codec.send(part, output))?;
        if codec.half_is_over() {
            transport.finish();
        }
        Ok(())
    }

    pub(crate) fn send_head(&self, transport: &Transport, head: &Head) -> Result<(), Fault> {
        let mut codec = self.codec.borrow_mut();
        transport.write(|output| codec.send_head(head, output)).map(drop)
    }

    /// Bytes of the body coming here that may go past both codecs to `to`.
    pub(crate) fn raw_length(&self, to: &Self) -> Option<u64> {
        let left = self.codec.borrow().raw_receive()?;
        (to.codec.borrow().raw_send()? == left).then_some(left)
    }

    pub(crate) fn moved(&self, to: &Self, count: u64) {
        self.codec.borrow_mut().moved_in(count);
        to.codec.borrow_mut().moved_out(count);
    }

    /// The connection broke or ended between messages.
    pub(crate) fn broken(&self) -> Fault {
        broken(&self.codec.borrow())
    }
}

/// A message may be complete, or owe its End, without another byte.
fn owed(codec: &mut h1::Connection) -> Result<Option<Part>, Fault> {
    codec.receive(&mut buf::Chunk::default())
}

/// Whether nothing more may be read before our side of the exchange is complete, or before another begins.
fn is_waiting(codec: &h1::Connection) -> bool {
    codec.is_waiting() || !codec.is_server() && codec.receiving_done()
}

fn broken(codec: &h1::Connection) -> Fault {
    if codec.is_server() { Fault::client(Cause::DownstreamReset) } else { Fault::origin(Cause::UpstreamReset) }
}

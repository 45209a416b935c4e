//! Commands on streams: Parts are taken in at once, heads encoded in their order, content queued until its turn comes. A Part that does not fit
//! what was announced breaks its stream, never the connection.

use alloc::{boxed::Box, vec::Vec};

use buf::Chunk;
use model::{Body, Cause, Fault, Fields, Head, Part, Scope, Start, StreamId};

use crate::{
    Connection,
    code::ErrorCode,
    connection::{Side, stream_id, stream_number},
    frame::{self, HEAD_BYTES, Kind},
    head,
    receive::number,
    streams::{Receiving, Sending, Stream, UNKNOWN},
};

/// Content that may wait on one stream before [`Connection::room`] says that there is none, in bytes. One Part may go beyond it.
pub(crate) const QUEUE_BYTES_MAX: u32 = 64 * 1024;

/// What became of a Part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Written,
    /// The message has no place for it (content of a response to HEAD), or its stream is over already.
    Dropped,
}

impl Connection {
    /// Opens a stream with a request's head. Without [capacity](Self::capacity) the fault says that it is safe to try elsewhere.
    pub fn open(&mut self, head: &Head) -> Result<StreamId, Fault> {
        let Start::Request(line) = &head.start else { return Err(Fault::us(Cause::Internal)) };
        if self.capacity() == 0 {
            return Err(Fault { scope: Scope::Stream, ..Fault::us(Cause::StreamRefused) }.safe());
        }
        if !head::block_is_clean(head) {
            return Err(Fault::us(Cause::Internal));
        }
        if !line.protocol.is_empty() && !self.peer.connect_protocol {
            return Err(Fault::us(Cause::NotImplemented));
        }
        let mut stream = self.new_stream();
        stream.asked(line);
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        let id = self.last;
        self.streams.add(id, stream);
        self.write_block(id, head.end, |connection, front| head::write_head(&mut connection.encoder, head, false, front));
        self.announced(id, head);
        Ok(stream_id(id))
    }

    /// Sends one Part on a stream. A fault means that the Parts contradict each other: the stream is reset.
    pub fn send(&mut self, id: StreamId, part: Part) -> Result<Sent, Fault> {
        match part {
            Part::Info(head) | Part::Head(head) => self.send_head(id, &head),
            Part::Data(data) => self.send_data(id, data),
            Part::Trailers(fields) => self.send_trailers(id, fields),
            Part::End => self.send_end(id),
        }
    }

    /// Sends a response's head, interim or final, which the caller keeps.
    pub fn send_head(&mut self, id: StreamId, head: &Head) -> Result<Sent, Fault> {
        let stream = stream_number(id);
        let Some(found) = self.streams.get(stream).filter(|found| found.sending != Sending::Done) else { return Ok(Sent::Dropped) };
        let (head_only, connect, upgrade) = (found.head_only, found.connect, found.upgrade);
        let agreed = agreed(head, upgrade);
        if upgrade && agreed.is_none() && (200..300).contains(&head.status()) {
            // The peer would take it for a tunnel.
            return Err(self.contradiction(stream));
        }
        let head = agreed.as_ref().unwrap_or(head);
        let status = head.status();
        let interim = status < 200;
        let fits = self.side == Side::Server && found.sending == Sending::Head && status >= 100 && status != 101;
        // RFC 9113 section 8.1: an interim response never ends a stream, though it has no content.
        let end = head.end && !interim;
        if !fits || !head::block_is_clean(head) {
            return Err(self.contradiction(stream));
        }
        if let (Body::Known(length), true) = (head.body, head.end)
            && length > 0
            && !head_only
        {
            return Err(self.contradiction(stream));
        }
        self.write_block(stream, end, |connection, front| head::write_head(&mut connection.encoder, head, head_only, front));
        if !interim {
            if connect
                && status >= 300
                && let Some(found) = self.streams.get_mut(stream)
            {
                found.connect = false;
            }
            self.announced(stream, head);
        }
        Ok(Sent::Written)
    }

    /// Queues content. There should have been [room](Self::room).
    pub fn send_data(&mut self, id: StreamId, data: Chunk) -> Result<Sent, Fault> {
        let stream = stream_number(id);
        let Some(found) = self.streams.get_mut(stream) else { return Ok(Sent::Dropped) };
        match found.sending {
            Sending::Done | Sending::Nothing => return Ok(Sent::Dropped),
            Sending::Body if found.content_out >= data.len() as u64 => {}
            Sending::Body | Sending::Head | Sending::Ending => return Err(self.contradiction(stream)),
        }
        if data.is_empty() {
            return Ok(Sent::Written);
        }
        if found.content_out != UNKNOWN {
            found.content_out -= data.len() as u64;
        }
        found.queued = found.queued.saturating_add(number(data.len()));
        found.queue.push_back(data);
        if found.is_ready() && !found.scheduled {
            found.scheduled = true;
            let urgency = found.urgency;
            self.schedule.add(stream, urgency);
        }
        Ok(Sent::Written)
    }

    /// Sends trailers, behind what is queued. [`Part::End`] follows.
    pub fn send_trailers(&mut self, id: StreamId, fields: Fields) -> Result<Sent, Fault> {
        let stream = stream_number(id);
        let Some(found) = self.streams.get_mut(stream) else { return Ok(Sent::Dropped) };
        match found.sending {
            Sending::Done | Sending::Nothing => return Ok(Sent::Dropped),
            Sending::Body if matches!(found.content_out, 0 | UNKNOWN) && !found.connect && head::fields_are_clean(&fields) => {}
            Sending::Body | Sending::Head | Sending::Ending => return Err(self.contradiction(stream)),
        }
        found.trailers = (!fields.is_empty()).then(|| Box::new(fields));
        found.content_out = 0;
        Ok(Sent::Written)
    }

    /// Completes the message; of a tunnel, our direction of it.
    pub fn send_end(&mut self, id: StreamId) -> Result<Sent, Fault> {
        let stream = stream_number(id);
        let Some(found) = self.streams.get_mut(stream) else { return Ok(Sent::Dropped) };
        match found.sending {
            Sending::Done => return Ok(Sent::Dropped),
            Sending::Nothing => {}
            Sending::Body if matches!(found.content_out, 0 | UNKNOWN) => {}
            Sending::Body | Sending::Head | Sending::Ending => return Err(self.contradiction(stream)),
        }
        found.sending = Sending::Ending;
        if found.queued > 0 {
            return Ok(Sent::Written); // it goes with the last of the data
        }
        match found.trailers.take() {
            Some(trailers) => {
                self.write_block(stream, true, |connection, front| head::write_trailers(&mut connection.encoder, &trailers, front));
            }
            None => frame::write(&mut self.front, Kind::Data, frame::END_STREAM, stream, &[]),
        }
        self.sent_all(stream);
        Ok(Sent::Written)
    }

    /// Bytes of content that a stream takes now. When there are none, [`Connection::next_with_room`] tells when there are.
    pub fn room(&mut self, id: StreamId) -> usize {
        let Some(found) = self.streams.get_mut(stream_number(id)) else { return QUEUE_BYTES_MAX as usize };
        let room = QUEUE_BYTES_MAX.saturating_sub(found.queued);
        found.wants_room = room == 0;
        room as usize
    }

    /// Bytes of content that wait for windows or their turn.
    pub fn queued(&self, id: StreamId) -> usize {
        self.streams.get(stream_number(id)).map_or(0, |found| found.queued as usize)
    }

    /// The next stream that had no room and has some now.
    pub fn next_with_room(&mut self) -> Option<StreamId> {
        self.roomy.pop()
    }

    /// Resets a stream, both ways. It is still to be released.
    pub fn reset(&mut self, id: StreamId, code: ErrorCode) {
        let stream = stream_number(id);
        if self.streams.get(stream).is_none_or(Stream::is_closed) {
            return;
        }
        frame::write(&mut self.front, Kind::Reset, 0, stream, &code.number().to_be_bytes());
        self.closed.reset(stream);
        self.close_stream(stream);
    }

    /// Nobody asks for a stream any more. A message that was sent completely still goes out; the rest of what the peer sends is not wanted.
    pub fn release(&mut self, id: StreamId) {
        let stream = stream_number(id);
        let Some(found) = self.streams.get_mut(stream) else { return };
        found.released = true;
        found.wants_room = false;
        if self.pending.end == Some(stream) {
            self.pending.end = None;
        }
        self.pending.resets.retain(|(reset, _)| *reset != stream);
        match (found.sending, found.receiving) {
            (Sending::Ending, Receiving::Body | Receiving::Nothing) if self.side == Side::Server => found.receiving = Receiving::Dropped,
            (Sending::Ending, Receiving::Dropped) if self.side == Side::Server => {}
            (Sending::Done | Sending::Ending, Receiving::Done) => {}
            (Sending::Done, _) if self.side == Side::Server => return self.reset(id, ErrorCode::NoError),
            _ => return self.reset(id, ErrorCode::Cancel),
        }
        self.settle(stream);
    }

    /// Moves what still stands in receive buffers to the heap; gives the bytes copied.
    pub fn move_to_heap(&mut self) -> usize {
        self.streams.iter_mut().flat_map(|(_, stream)| stream.queue.iter_mut()).map(Chunk::move_to_heap).sum()
    }

    /// The last frame of our message stands in the output.
    pub(crate) fn sent_all(&mut self, stream: u32) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        found.sending = Sending::Done;
        let unwanted = found.released && found.receiving == Receiving::Dropped;
        if unwanted {
            // The response is whole; the rest of the request serves nothing (RFC 9113 §8.1).
            return self.reset(stream_id(stream), ErrorCode::NoError);
        }
        self.settle(stream);
    }

    /// What a head that was just written lets follow.
    fn announced(&mut self, stream: u32, head: &Head) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let status = head.status();
        let bodiless = status > 0 && (found.head_only || matches!(status, 204 | 304));
        found.content_out = match head.body {
            Body::Known(length) => length,
            Body::None | Body::Unknown => UNKNOWN,
        };
        found.sending = match head.body {
            _ if bodiless => Sending::Nothing,
            Body::None => Sending::Nothing,
            Body::Known(_) | Body::Unknown => Sending::Body,
        };
        if head.end {
            self.sent_all(stream);
        }
    }

    /// Writes the frames of a header block.
    fn write_block(&mut self, stream: u32, end: bool, write: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let mut front = core::mem::take(&mut self.front);
        let start = front.len();
        front.extend_from_slice(&[0; HEAD_BYTES]);
        write(self, &mut front);
        frame::close_block(&mut front, start, stream, end, frame::PAYLOAD_BYTES_MAX as usize);
        self.front = front;
    }

    /// What was asked of us cannot be written without lying to the peer.
    fn contradiction(&mut self, stream: u32) -> Fault {
        self.reset(stream_id(stream), ErrorCode::InternalError);
        Fault::us(Cause::Internal)
    }
}

/// The answer that agrees to a tunnel's protocol, as it is written (RFC 8441 §5: 200 in place of 101).
fn agreed(head: &Head, upgrade: bool) -> Option<Head> {
    if !upgrade || head.status() != 101 {
        return None;
    }
    let mut head = head.clone();
    if let Start::Response(line) = &mut head.start {
        line.status = 200;
    }
    Some(head)
}

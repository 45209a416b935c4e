//! Frames about a stream: heads, content, trailers, resets. The stream's state decides what each of them may be (RFC 9113 §5.1, §8.1).

use buf::Chunk;
use model::{Blame, Body, Cause, Fault, Head, Part, Retry, Scope, Start, StreamId};

use crate::{
    Connection, Event,
    code::ErrorCode,
    connection::{Broken, Leaving, Side, stream_id, stream_number},
    frame::{self, FrameHead, Kind},
    head::{self, List, ListLimits, Problem},
    limits::{Limit, Nuisance},
    priority::Urgency,
    reading::{Block, Reading},
    receive::{Step, number},
    streams::{Receiving, Sending, UNKNOWN, closed::Was},
};

/// Interim responses to one request.
pub const INTERIM_RESPONSES_MAX: u8 = 32;

/// Closed streams that nobody has released yet, beside the open ones there may be: so many again.
const KNOWN_FACTOR: usize = 2;

impl Connection {
    /// Somebody has consumed so many bytes of a stream's content; the peer may send so many more.
    pub fn consumed(&mut self, id: StreamId, bytes: usize) {
        let stream = stream_number(id);
        let Some(found) = self.streams.get_mut(stream) else { return };
        let bytes = found.window_in.consume(number(bytes));
        self.window_in.discard(bytes);
        self.grant(stream);
    }

    /// A whole header block: a request, a response, or trailers.
    pub(crate) fn block_came(&mut self, block: &Block, bytes: &[u8]) -> Result<Step, Broken> {
        // Whatever becomes of it, the compression's state goes on (RFC 9113 §4.3).
        let list = List::decode(&mut self.decoder, bytes, ListLimits::from(&self.settings.limits))
            .map_err(|_broken| ErrorCode::CompressionError)?;
        let stream = block.stream;
        if block.depends_on == Some(stream) {
            self.note_stream(stream);
            return Err(Broken::Stream(stream, ErrorCode::ProtocolError, Cause::Http2Protocol));
        }
        match self.streams.get(stream).map(|found| found.receiving) {
            Some(Receiving::Head) => self.response_came(stream, list, block.end_stream),
            Some(Receiving::Body | Receiving::Nothing) => self.trailers_came(stream, list, block.end_stream),
            Some(Receiving::Dropped) => {
                if block.end_stream {
                    self.received_all(stream);
                }
                Ok(Step::Again)
            }
            Some(Receiving::Done) => self.came_after_end(stream).map(|()| Step::Again),
            None if !self.is_idle(stream) => self.came_for_gone(stream),
            None if self.side == Side::Client || stream.is_multiple_of(2) => Err(ErrorCode::ProtocolError.into()),
            None => self.request_came(stream, list, block.end_stream),
        }
    }

    fn note_stream(&mut self, stream: u32) {
        if self.side == Side::Server && stream > self.last && !stream.is_multiple_of(2) {
            self.closed.opened(stream, self.last);
            self.last = stream;
        }
    }

    fn request_came(&mut self, stream: u32, list: List, end: bool) -> Result<Step, Broken> {
        if matches!(self.leaving, Leaving::After(_)) {
            // The peer knows which stream was the last one.
            self.nuisance(Nuisance::Chatter)?;
            self.closed.opened(stream, self.last);
            self.last = stream;
            self.closed.reset(stream);
            return Ok(Step::Again);
        }
        self.note_stream(stream);
        let max = self.settings.streams_max;
        if self.streams.open() >= max || self.streams.len() >= KNOWN_FACTOR * max as usize {
            self.pending.reached = Some(Limit::Streams);
            return Err(Broken::Stream(stream, ErrorCode::RefusedStream, Cause::StreamRefused));
        }
        let urgency = list.priority.map_or(Urgency::DEFAULT, |value| Urgency::parse(list.at(value)));
        let limits = self.settings.limits;
        let mut new = self.new_stream();
        new.urgency = urgency;
        new.receiving = if end { Receiving::Done } else { Receiving::Dropped };
        match head::request(list, end, &limits, self.settings.connect_protocol) {
            Ok(head) => {
                if let Some(line) = head.request() {
                    new.asked(line);
                }
                if !end {
                    new.receiving = Receiving::Body;
                    new.content_in = content(&head);
                }
                self.streams.add(stream, new);
                Ok(Step::Told(Event::Part(stream_id(stream), Part::Head(head))))
            }
            Err(Problem::Refused(cause)) => {
                if matches!(cause, Cause::HeadTooLarge | Cause::TargetTooLong) {
                    self.pending.reached = Some(Limit::Head);
                }
                self.streams.add(stream, new);
                Ok(Step::Told(Event::Refused(stream_id(stream), Fault { scope: Scope::Stream, ..Fault::client(cause) })))
            }
            Err(Problem::Malformed) => Err(Broken::Stream(stream, ErrorCode::ProtocolError, Cause::MalformedHead)),
        }
    }

    fn response_came(&mut self, stream: u32, list: List, end: bool) -> Result<Step, Broken> {
        let malformed = Broken::Stream(stream, ErrorCode::ProtocolError, Cause::MalformedResponse);
        let Some(found) = self.streams.get_mut(stream) else { return Ok(Step::Again) };
        let mut head = head::response(list, end, found.head_only, found.connect).map_err(|_problem| malformed)?;
        if head.status() < 200 {
            found.interim += 1;
            return if found.interim > INTERIM_RESPONSES_MAX {
                Err(malformed)
            } else {
                Ok(Step::Told(Event::Part(stream_id(stream), Part::Info(head))))
            };
        }
        found.connect &= head.status() < 300;
        if let (true, true, Start::Response(line)) = (found.connect, found.upgrade, &mut head.start) {
            line.status = 101;
        }
        found.content_in = content(&head);
        found.receiving = if head.body == Body::None { Receiving::Nothing } else { Receiving::Body };
        if end {
            self.received_all(stream);
        }
        Ok(Step::Told(Event::Part(stream_id(stream), Part::Head(head))))
    }

    fn trailers_came(&mut self, stream: u32, list: List, end: bool) -> Result<Step, Broken> {
        let malformed = |cause| Broken::Stream(stream, ErrorCode::ProtocolError, cause);
        let Some(found) = self.streams.get(stream) else { return Ok(Step::Again) };
        if !end || found.connect {
            return Err(malformed(Cause::Http2Protocol));
        }
        if !matches!(found.content_in, 0 | UNKNOWN) {
            return Err(malformed(Cause::BadFraming));
        }
        let fields = match head::trailers(list) {
            Ok(fields) => fields,
            Err(Problem::Malformed) => return Err(malformed(Cause::Http2Protocol)),
            Err(Problem::Refused(cause)) if self.side == Side::Client => return Err(malformed(cause)),
            Err(Problem::Refused(cause)) => {
                self.pending.reached = Some(Limit::Head);
                self.received_all(stream);
                return Ok(Step::Told(Event::Refused(stream_id(stream), Fault { scope: Scope::Stream, ..Fault::client(cause) })));
            }
        };
        self.received_all(stream);
        self.pending.end = Some(stream);
        if fields.is_empty() {
            return Ok(Step::Again);
        }
        Ok(Step::Told(Event::Part(stream_id(stream), Part::Trailers(fields))))
    }

    /// A frame behind the peer's last one of that stream (RFC 9113 §5.1), unless it crossed our reset.
    fn came_after_end(&mut self, stream: u32) -> Result<(), Broken> {
        if self.closed.was(stream) == Was::ResetByUs {
            return self.nuisance(Nuisance::Chatter);
        }
        let open = self.streams.get(stream).is_some_and(|found| !found.is_closed());
        if open {
            return Err(Broken::Stream(stream, ErrorCode::StreamClosed, Cause::Http2Protocol));
        }
        Err(ErrorCode::StreamClosed.into())
    }

    fn came_for_gone(&mut self, stream: u32) -> Result<Step, Broken> {
        match self.closed.was(stream) {
            Was::ResetByUs => self.nuisance(Nuisance::Chatter).map(|()| Step::Again),
            Was::Closed => Err(ErrorCode::StreamClosed.into()),
            Was::Skipped => Err(ErrorCode::ProtocolError.into()),
        }
    }

    /// DATA: its whole payload counts against both windows (RFC 9113 §6.1, §6.9.1).
    pub(crate) fn begin_data(&mut self, head: FrameHead) -> Result<(), Broken> {
        let FrameHead { stream, length, .. } = head;
        self.window_in.receive(length).map_err(|_exceeded| ErrorCode::FlowControlError)?;
        if self.is_idle(stream) {
            return Err(ErrorCode::ProtocolError.into());
        }
        // Until it proves to be wanted.
        self.reading = if length == 0 { Reading::NEXT } else { Reading::Skip(length) };
        let verdict = self.check_data(head);
        if verdict != Ok(true) {
            self.window_in.discard(length);
            self.grant(0);
            if verdict.is_ok() && head.end_stream() {
                self.received_all(stream);
            }
            return verdict.map(|_| ());
        }
        if length == 0 && !head.end_stream() {
            self.nuisance(Nuisance::EmptyData)?;
        }
        if head.padded() {
            self.reading = Reading::Padding(head);
            return Ok(());
        }
        self.data_announced(stream, length, 0, head.end_stream())
    }

    /// Content is counted when its frame begins, so that all or nothing of a frame is told (RFC 9113 §8.1.1).
    fn data_announced(&mut self, stream: u32, data: u32, padding: u8, end: bool) -> Result<(), Broken> {
        self.reading = Reading::Data { stream, data, padding, end };
        let Some(found) = self.streams.get_mut(stream).filter(|found| found.content_in != UNKNOWN) else { return Ok(()) };
        if let Some(left) = found.content_in.checked_sub(u64::from(data)) {
            found.content_in = left;
            return Ok(());
        }
        // (What nobody wants any more is given back as it comes.)
        self.reading = Reading::Data { stream, data, padding, end: false };
        Err(Broken::Stream(stream, ErrorCode::ProtocolError, Cause::BadFraming))
    }

    /// Whether somebody wants it.
    fn check_data(&mut self, head: FrameHead) -> Result<bool, Broken> {
        let FrameHead { stream, length, .. } = head;
        let Some(found) = self.streams.get_mut(stream) else {
            return self.came_for_gone(stream).map(|_| false);
        };
        let broken = |code| Err(Broken::Stream(stream, code, Cause::Http2Protocol));
        match found.receiving {
            Receiving::Done => self.came_after_end(stream).map(|()| false),
            Receiving::Head => broken(ErrorCode::ProtocolError),
            Receiving::Dropped => Ok(false),
            Receiving::Nothing if length > 0 => broken(ErrorCode::ProtocolError),
            Receiving::Body | Receiving::Nothing => {
                if found.window_in.receive(length).is_err() {
                    return broken(ErrorCode::FlowControlError);
                }
                Ok(true)
            }
        }
    }

    pub(crate) fn padding(&mut self, head: FrameHead, input: &mut Chunk) -> Result<Step, Broken> {
        let padding = input.first().copied().unwrap_or_default();
        input.advance(1);
        // (The frame's head was checked: there is at least this byte.)
        let data = (head.length - 1).checked_sub(u32::from(padding)).ok_or(ErrorCode::ProtocolError)?;
        let overhead = u32::from(padding) + 1;
        self.window_in.discard(overhead);
        if let Some(found) = self.streams.get_mut(head.stream) {
            found.window_in.discard(overhead);
        }
        self.grant(head.stream);
        self.data_announced(head.stream, data, padding, head.end_stream())?;
        if data == 0 && !head.end_stream() {
            self.nuisance(Nuisance::EmptyData)?;
        }
        Ok(Step::Again)
    }

    pub(crate) fn data(&mut self, input: &mut Chunk) -> Result<Step, Broken> {
        let Reading::Data { stream, data, padding, end } = self.reading else { return Ok(Step::Again) };
        if data == 0 {
            self.reading = if padding == 0 { Reading::NEXT } else { Reading::Skip(u32::from(padding)) };
            if end {
                self.end_came(stream)?;
            }
            return Ok(Step::Again);
        }
        if input.is_empty() {
            return Ok(Step::More);
        }
        let piece = input.split_to(data as usize);
        let length = number(piece.len());
        self.reading = Reading::Data { stream, data: data - length, padding, end };
        let wanted = self.streams.get_mut(stream).filter(|found| found.receiving == Receiving::Body);
        let Some(found) = wanted else {
            self.window_in.discard(length);
            self.grant(0);
            return Ok(Step::Again);
        };
        found.window_in.tell(length);
        Ok(Step::Told(Event::Part(stream_id(stream), Part::Data(piece))))
    }

    /// The last DATA frame is complete.
    fn end_came(&mut self, stream: u32) -> Result<(), Broken> {
        let Some(found) = self.streams.get(stream) else { return Ok(()) };
        match found.receiving {
            Receiving::Done | Receiving::Head => {}
            Receiving::Dropped => self.received_all(stream),
            Receiving::Body | Receiving::Nothing => {
                if !matches!(found.content_in, 0 | UNKNOWN) && found.receiving == Receiving::Body {
                    return Err(Broken::Stream(stream, ErrorCode::ProtocolError, Cause::BadFraming));
                }
                self.received_all(stream);
                self.pending.end = Some(stream);
            }
        }
        Ok(())
    }

    fn received_all(&mut self, stream: u32) {
        if let Some(found) = self.streams.get_mut(stream) {
            found.receiving = Receiving::Done;
        }
        self.settle(stream);
    }

    pub(crate) fn reset_came(&mut self, stream: u32, code: u32) -> Result<Step, Broken> {
        if self.is_idle(stream) {
            return Err(ErrorCode::ProtocolError.into());
        }
        let Some(found) = self.streams.get(stream).filter(|found| !found.is_closed()) else {
            self.nuisance(Nuisance::Chatter)?;
            return Ok(Step::Again);
        };
        let complete = found.receiving == Receiving::Done;
        if self.side == Side::Server {
            self.nuisance(Nuisance::Reset)?;
            self.end_stream(stream, Fault { scope: Scope::Stream, ..Fault::client(Cause::DownstreamReset) });
            return Ok(Step::Again);
        }
        let fault = if code == ErrorCode::RefusedStream.number() {
            Self::refused_fault()
        } else {
            Fault { cause: Cause::UpstreamReset, scope: Scope::Stream, blame: Blame::Origin, retry: Retry::Unsafe }
        };
        if complete && code == ErrorCode::NoError.number() {
            // The response is whole, and the rest of the request not wanted (RFC 9113 §8.1).
            self.close_stream(stream);
        } else {
            self.end_stream(stream, fault);
        }
        Ok(Step::Again)
    }

    /// Resets a stream because of what the peer did on it.
    pub(crate) fn break_stream(&mut self, stream: u32, code: ErrorCode, cause: Cause) -> Result<(), Broken> {
        let fault = self.peers_fault(cause, Scope::Stream);
        let known = self.streams.get(stream).is_some_and(|found| !found.released);
        if known {
            self.end_stream(stream, fault);
        } else {
            self.close_stream(stream);
            self.pending.rejected = Some((stream, fault));
        }
        self.closed.reset(stream);
        self.answer(Kind::Reset, 0, stream, &code.number().to_be_bytes())?;
        // Made-you-reset: who makes us reset streams is no better than who does it himself.
        if self.side == Side::Server { self.nuisance(Nuisance::ProvokedReset) } else { Ok(()) }
    }

    /// A stream is over before its time, and whoever knows of it is told.
    pub(crate) fn end_stream(&mut self, stream: u32, fault: Fault) {
        let known = self.streams.get(stream).is_some_and(|found| !found.released);
        self.close_stream(stream);
        if self.pending.end == Some(stream) {
            self.pending.end = None;
        }
        if known {
            self.pending.resets.push((stream, fault));
        }
    }

    /// Nothing comes or goes on a stream any more.
    pub(crate) fn close_stream(&mut self, stream: u32) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        found.close();
        if core::mem::take(&mut found.scheduled) {
            self.schedule.remove(stream);
        }
        self.settle(stream);
    }

    /// A stream may be closed and forgotten: then what was given out and is not consumed counts as consumed.
    pub(crate) fn settle(&mut self, stream: u32) {
        let Some(gone) = self.streams.settle(stream) else { return };
        self.window_in.discard(gone.window_in.outstanding());
        self.grant(0);
    }

    /// Tells the peer what it may send again, if that has become worth a frame.
    pub(crate) fn grant(&mut self, stream: u32) {
        if let Some(bytes) = self.window_in.grant(self.settings.connection_window) {
            frame::write(&mut self.front, Kind::WindowUpdate, 0, 0, &bytes.to_be_bytes());
        }
        let size = self.settings.stream_window;
        let Some(found) = self.streams.get_mut(stream) else { return };
        if found.receiving != Receiving::Body || found.sending == Sending::Done && found.released {
            return;
        }
        if let Some(bytes) = found.window_in.grant(size) {
            frame::write(&mut self.front, Kind::WindowUpdate, 0, stream, &bytes.to_be_bytes());
        }
    }
}

/// The content a head announces.
fn content(head: &Head) -> u64 {
    match head.body {
        Body::Known(length) => length,
        Body::None => 0,
        Body::Unknown => UNKNOWN,
    }
}

//! What happened: bytes came, or the peer closed. Bytes become frames here; each call gives at most one [`Event`], so that nothing is queued
//! that the one above has no room for.

use alloc::{boxed::Box, vec::Vec};

use buf::Chunk;
use model::{Cause, Fault, Instant, Scope};

use crate::{
    Connection, Event,
    code::ErrorCode,
    connection::{Broken, Side},
    frame::{self, FrameHead, HEAD_BYTES, Kind, PAYLOAD_BYTES_MAX, PREFACE},
    limits::{Limit, Nuisance},
    reading::{Block, Gather, Reading},
};

/// CONTINUATION frames of one header block.
pub const CONTINUATIONS_MAX: u8 = 16;

/// What one step gave.
#[expect(clippy::large_enum_variant, reason = "a head in a box would be one more allocation for each request")]
pub(crate) enum Step {
    Told(Event),
    /// Look at what is pending, then go on.
    Again,
    /// The input is used up.
    More,
}

impl Connection {
    /// Takes one event off the front of `input`. `None`: more is needed, and `input` is used up. After a fault, which is the connection's
    /// end, nothing more is read; what [is transmitted](Self::transmit) tells the peer why.
    pub fn receive(&mut self, input: &mut Chunk, now: Instant) -> Result<Option<Event>, Fault> {
        self.patience.advance(now, &self.settings.rates);
        loop {
            if let Some(event) = self.pending.next() {
                return Ok(Some(event));
            }
            if let Some(fault) = self.pending.fault.take() {
                return Err(fault);
            }
            match self.step(input) {
                Ok(Step::Told(event)) => return Ok(Some(event)),
                Ok(Step::Again) => {}
                Ok(Step::More) => return Ok(None),
                Err(broken) => self.broken(broken),
            }
        }
    }

    /// They closed their side. Between frames and without open streams that is an end like any other.
    pub fn eof(&mut self) -> Result<(), Fault> {
        let quiet = self.has_failed() || (self.streams.open() == 0 && !self.in_frame());
        self.reading = Reading::Failed;
        self.gather = None;
        match self.side {
            _ if quiet => Ok(()),
            Side::Server => Err(Fault::client(Cause::DownstreamReset)),
            Side::Client => Err(Fault::origin(Cause::UpstreamReset)),
        }
    }

    fn broken(&mut self, broken: Broken) {
        let broken = match broken {
            Broken::Stream(stream, code, cause) => self.break_stream(stream, code, cause).err(),
            Broken::Connection(_) | Broken::Flood(_) => Some(broken),
        };
        match broken {
            Some(Broken::Connection(code)) => self.fail(code, self.peers_fault(Cause::Http2Protocol, Scope::Connection)),
            Some(Broken::Flood(limit)) => {
                self.pending.reached = Some(limit);
                self.fail(ErrorCode::EnhanceYourCalm, self.peers_fault(Cause::Http2Flood, Scope::Connection));
            }
            Some(Broken::Stream(..)) | None => {}
        }
    }

    fn step(&mut self, input: &mut Chunk) -> Result<Step, Broken> {
        match self.reading {
            Reading::Failed => {
                *input = Chunk::default();
                Ok(Step::More)
            }
            Reading::Head(..) | Reading::Preface(_) | Reading::Padding(_) if input.is_empty() => Ok(Step::More),
            Reading::Preface(seen) => self.preface(usize::from(seen), input),
            Reading::Head(bytes, seen) => self.frame_head(bytes, usize::from(seen), input),
            Reading::Payload(head) if input.is_empty() && head.length > 0 => Ok(Step::More),
            Reading::Payload(head) => self.payload(head, input),
            Reading::Padding(head) => self.padding(head, input),
            Reading::Data { .. } => self.data(input),
            Reading::Skip(left) => {
                let skipped = input.len().min(left as usize);
                input.advance(skipped);
                let left = left - number(skipped);
                self.reading = if left == 0 { Reading::NEXT } else { Reading::Skip(left) };
                Ok(if left == 0 { Step::Again } else { Step::More })
            }
        }
    }

    /// A client begins with a fixed text, which no other protocol takes for its own (RFC 9113 §3.4).
    fn preface(&mut self, seen: usize, input: &mut Chunk) -> Result<Step, Broken> {
        let expected = PREFACE.get(seen..).unwrap_or_default();
        let length = expected.len().min(input.len());
        if expected.get(..length) != input.get(..length) {
            return Err(ErrorCode::ProtocolError.into());
        }
        input.advance(length);
        let seen = seen + length;
        self.reading = if seen == PREFACE.len() { Reading::NEXT } else { Reading::Preface(u8::try_from(seen).unwrap_or_default()) };
        Ok(Step::Again)
    }

    fn frame_head(&mut self, mut bytes: [u8; HEAD_BYTES], seen: usize, input: &mut Chunk) -> Result<Step, Broken> {
        let length = (HEAD_BYTES - seen).min(input.len());
        if let (Some(place), Some(came)) = (bytes.get_mut(seen..seen + length), input.get(..length)) {
            place.copy_from_slice(came);
        }
        input.advance(length);
        if seen + length < HEAD_BYTES {
            self.reading = Reading::Head(bytes, u8::try_from(seen + length).unwrap_or_default());
            return Ok(Step::More);
        }
        let head = FrameHead::parse(bytes);
        self.reading = Reading::NEXT;
        self.check_order(head)?;
        head.check()?;
        match head.kind {
            Kind::Data => self.begin_data(head)?,
            Kind::Unknown => {
                self.nuisance(Nuisance::Chatter)?;
                self.reading = if head.length == 0 { Reading::NEXT } else { Reading::Skip(head.length) };
            }
            Kind::Headers
            | Kind::Priority
            | Kind::Reset
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::PriorityUpdate => self.reading = Reading::Payload(head),
        }
        Ok(Step::Again)
    }

    /// SETTINGS come first (RFC 9113 §3.4), and nothing comes between the frames of a header block (§4.3).
    fn check_order(&self, head: FrameHead) -> Result<(), Broken> {
        let block = self.gather.as_ref().and_then(|gather| gather.block.as_ref());
        let fits = match block {
            _ if !self.greeted => head.kind == Kind::Settings && !head.ack(),
            Some(block) => head.kind == Kind::Continuation && head.stream == block.stream,
            None => head.kind != Kind::Continuation,
        };
        if fits { Ok(()) } else { Err(ErrorCode::ProtocolError.into()) }
    }

    fn payload(&mut self, head: FrameHead, input: &mut Chunk) -> Result<Step, Broken> {
        let length = head.length as usize;
        let gathered = self.gather.as_ref().map_or(0, |gather| gather.payload.len());
        if gathered == 0 && input.len() >= length {
            let payload = input.split_to(length);
            self.reading = Reading::NEXT;
            return self.frame(head, payload.get(..length).unwrap_or_default());
        }
        let piece = input.split_to(length - gathered);
        let gather = self.gather.get_or_insert_default();
        gather.payload.extend_from_slice(&piece);
        if gather.payload.len() < length {
            return Ok(Step::More);
        }
        let payload = core::mem::take(&mut gather.payload);
        if gather.block.is_none() {
            self.gather = None;
        }
        self.reading = Reading::NEXT;
        self.frame(head, &payload)
    }

    fn frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        match head.kind {
            Kind::Headers => self.headers(head, payload),
            Kind::Continuation => self.continuation(head, payload),
            Kind::Reset => self.reset_came(head.stream, frame::word(payload)),
            Kind::Settings => self.settings_came(head, payload),
            Kind::Ping => self.ping_came(head, payload),
            Kind::GoAway => self.goaway_came(payload),
            Kind::WindowUpdate => self.window_update_came(head.stream, payload),
            Kind::Priority => self.priority_came(head, payload),
            Kind::PriorityUpdate => self.priority_update_came(payload),
            // We never allow pushes (RFC 9113 §8.4), and data is not handled as a whole.
            Kind::PushPromise | Kind::Data | Kind::Unknown => Err(ErrorCode::ProtocolError.into()),
        }
    }

    fn headers(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        let trimmed = frame::trim(head, payload)?;
        let depends_on = trimmed.priority.map(|priority| priority.depends_on);
        let block = Block { stream: head.stream, end_stream: head.end_stream(), depends_on, bytes: Vec::new(), continuations: 0 };
        if head.end_headers() {
            return self.block_came(&block, trimmed.block);
        }
        let bytes = trimmed.block.to_vec();
        self.gather = Some(Box::new(Gather { payload: Vec::new(), block: Some(Block { bytes, ..block }) }));
        Ok(Step::Again)
    }

    fn continuation(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        let bytes_max = self.settings.limits.head_bytes_max.max(PAYLOAD_BYTES_MAX) as usize;
        let Some(block) = self.gather.as_mut().and_then(|gather| gather.block.as_mut()) else {
            return Err(ErrorCode::ProtocolError.into());
        };
        block.continuations += 1;
        if block.continuations > CONTINUATIONS_MAX {
            return Err(Broken::Flood(Limit::Continuations));
        }
        if block.bytes.len() + payload.len() > bytes_max {
            return Err(Broken::Flood(Limit::BlockBytes));
        }
        block.bytes.extend_from_slice(payload);
        if !head.end_headers() {
            return Ok(Step::Again);
        }
        let Some(mut block) = self.gather.take().and_then(|gather| gather.block) else { return Ok(Step::Again) };
        let bytes = core::mem::take(&mut block.bytes);
        self.block_came(&block, &bytes)
    }
}

pub(crate) fn number(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

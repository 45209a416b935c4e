//! What to send next: answers, updates and heads first, then content, stream by stream as the schedule has it, as far as the windows and the
//! one who asks allow. What is not taken now is decided anew later, so that what has become urgent goes first.

use alloc::vec::Vec;

use buf::{Chunk, Output};

use crate::{
    Connection,
    connection::stream_id,
    frame::{self, END_STREAM, FrameHead, HEAD_BYTES, Kind, PAYLOAD_BYTES_MAX},
    head,
    limits::Nuisance,
    streams::{QUEUE_BYTES_MAX, Sending},
};

/// A DATA frame from this size on is worth two `WINDOW_UPDATE`s, in bytes.
const WORTH_AN_UPDATE: usize = 256;

impl Connection {
    /// Whether [`Connection::transmit`] would give anything.
    pub fn has_output(&self) -> bool {
        !self.front.is_empty() || self.may_send_data()
    }

    /// Appends frames to `output` until it holds `bytes_max` or nothing more can be sent. To be called when what it gave before has gone out,
    /// or nearly so: an unread answer counts against [`Limit::Unread`](crate::Limit::Unread).
    pub fn transmit(&mut self, output: &mut Output, bytes_max: usize) {
        self.answers = 0;
        if !self.front.is_empty() {
            output.write(&self.front);
            self.front.clear();
        }
        while output.len() < bytes_max && self.may_send_data() {
            let Some(stream) = self.schedule.next() else { break };
            self.transmit_data(stream, output);
        }
        if !self.front.is_empty() {
            // A stream came to its end, and its peer is to be told something.
            output.write(&self.front);
            self.front.clear();
        }
        if self.streams.len() == 0 {
            self.front = Vec::new();
            self.schedule.shrink();
        }
    }

    fn may_send_data(&self) -> bool {
        !self.schedule.is_empty() && self.window_out.open() > 0 && !self.has_failed()
    }

    /// One DATA frame, and what follows it when it is the last one.
    fn transmit_data(&mut self, stream: u32, output: &mut Output) {
        let Some(found) = self.streams.get_mut(stream).filter(|found| found.is_ready()) else {
            debug_assert!(false, "only streams with data and a window stand in the schedule");
            return self.schedule.remove(stream);
        };
        let payload_max = self.peer.payload_bytes_max.min(PAYLOAD_BYTES_MAX) as usize;
        let length = (found.queued as usize).min(found.window_out.open()).min(self.window_out.open()).min(payload_max);
        found.window_out.take(length);
        self.window_out.take(length);
        found.queued -= u32::try_from(length).unwrap_or(found.queued);
        let last = found.queued == 0 && found.sending == Sending::Ending;
        let end = if last && found.trailers.is_none() { END_STREAM } else { 0 };
        output.tail().extend_from_slice(&FrameHead::new(Kind::Data, end, stream, length).bytes());
        let mut left = length;
        while left > 0
            && let Some(front) = found.queue.front_mut()
        {
            let piece: Chunk = front.split_to(left);
            left -= piece.len();
            if front.is_empty() {
                found.queue.pop_front();
            }
            output.push(piece);
        }
        let ready = found.is_ready();
        found.scheduled = ready;
        if found.wants_room && found.queued <= QUEUE_BYTES_MAX / 2 {
            found.wants_room = false;
            self.roomy.push(stream_id(stream));
        }
        let trailers = if last { found.trailers.take() } else { None };
        if ready {
            self.schedule.sent();
        } else {
            self.schedule.remove(stream);
        }
        if length >= WORTH_AN_UPDATE {
            self.patience.pay_back(Nuisance::Chatter, 2);
        }
        if let Some(trailers) = trailers {
            let tail = output.tail();
            let start = tail.len();
            tail.extend_from_slice(&[0; HEAD_BYTES]);
            head::write_trailers(&mut self.encoder, &trailers, tail);
            frame::close_block(tail, start, stream, true, PAYLOAD_BYTES_MAX as usize);
        }
        if last {
            self.sent_all(stream);
        }
    }
}

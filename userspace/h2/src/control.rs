//! Frames about the connection: SETTINGS, PING, GOAWAY, `WINDOW_UPDATE`, priorities; and the commands that lead to them.

use alloc::vec::Vec;

use crate::{
    Connection,
    code::ErrorCode,
    connection::{Broken, Leaving, Side},
    frame::{self, ACK, FrameHead, Kind, PeerSettings, Priority, WINDOW_DEFAULT, WINDOW_MAX},
    limits::Nuisance,
    priority::Urgency,
    receive::Step,
};

use model::Cause;

/// What our PING says when it is to tell us that the peer has read our GOAWAY.
const LEAVING_PING: &[u8; 8] = b"leaving!";

impl Connection {
    /// Takes our leave without losing a request: the peer is told that we are about to, and once it must have heard it, which stream is the
    /// last (RFC 9113 §6.8). A client just opens no more.
    pub fn drain(&mut self) {
        if self.leaving != Leaving::Not || self.has_failed() {
            return;
        }
        if self.side == Side::Client {
            self.leaving = Leaving::After(0);
            return self.goaway(0, ErrorCode::NoError);
        }
        self.leaving = Leaving::Announced;
        self.goaway(WINDOW_MAX, ErrorCode::NoError);
        frame::write(&mut self.front, Kind::Ping, 0, 0, LEAVING_PING);
    }

    /// Takes our leave now: what the peer opens from here on is not handled, and it knows.
    pub fn drain_now(&mut self) {
        if self.has_failed() || matches!(self.leaving, Leaving::After(_)) {
            return;
        }
        let last = self.last_handled();
        self.leaving = Leaving::After(last);
        self.goaway(last, ErrorCode::NoError);
    }

    pub(crate) fn settings_came(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        self.nuisance(Nuisance::Settings)?;
        if head.ack() {
            self.settings_acknowledged();
            return Ok(Step::Again);
        }
        let before = self.peer;
        self.peer.apply(payload, self.side == Side::Client)?;
        self.greeted = true;
        if self.peer.table_bytes != before.table_bytes {
            self.encoder.set_peer_limit(self.peer.table_bytes);
        }
        self.shift_send_windows(before)?;
        self.answer(Kind::Settings, ACK, 0, &[])?;
        Ok(Step::Again)
    }

    /// A new first window counts for open streams too (RFC 9113 §6.9.2).
    fn shift_send_windows(&mut self, before: PeerSettings) -> Result<(), Broken> {
        let by = i64::from(self.peer.window) - i64::from(before.window);
        if by == 0 {
            return Ok(());
        }
        for (id, stream) in self.streams.iter_mut() {
            stream.window_out.shift(by).map_err(|_exceeded| ErrorCode::FlowControlError)?;
            match (stream.is_ready(), stream.scheduled) {
                (true, false) => self.schedule.add(id, stream.urgency),
                (false, true) => self.schedule.remove(id),
                (true, true) | (false, false) => {}
            }
            stream.scheduled = stream.is_ready();
        }
        Ok(())
    }

    /// From here on the peer goes by our settings (RFC 9113 §6.5.3).
    fn settings_acknowledged(&mut self) {
        if core::mem::replace(&mut self.acknowledged, true) {
            return;
        }
        self.decoder.set_limit(self.settings.decoder_table_bytes);
        let by = i64::from(self.settings.stream_window.min(WINDOW_MAX)) - i64::from(WINDOW_DEFAULT);
        self.streams.iter_mut().for_each(|(_, stream)| stream.window_in.shift(by));
    }

    pub(crate) fn ping_came(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        if !head.ack() {
            self.nuisance(Nuisance::Ping)?;
            self.answer(Kind::Ping, ACK, 0, payload)?;
        } else if self.leaving == Leaving::Announced && payload == LEAVING_PING {
            self.drain_now();
        } else {
            self.nuisance(Nuisance::Ping)?;
        }
        Ok(Step::Again)
    }

    /// Streams above the last one it names were not looked at: they may be tried elsewhere (RFC 9113 §6.8).
    pub(crate) fn goaway_came(&mut self, payload: &[u8]) -> Result<Step, Broken> {
        self.nuisance(Nuisance::Chatter)?;
        let (last, _code) = frame::goaway(payload);
        let last = self.peer_leaving.map_or(last, |before| before.min(last));
        self.pending.draining |= self.peer_leaving.is_none();
        self.peer_leaving = Some(last);
        if self.side == Side::Client {
            let refused: Vec<u32> =
                self.streams.iter_mut().filter(|(id, stream)| *id > last && !stream.is_closed()).map(|(id, _)| id).collect();
            for id in refused {
                self.end_stream(id, Self::refused_fault());
            }
        }
        Ok(Step::Again)
    }

    pub(crate) fn window_update_came(&mut self, stream: u32, payload: &[u8]) -> Result<Step, Broken> {
        self.nuisance(Nuisance::Chatter)?;
        let increment = frame::window_increment(payload);
        if stream == 0 {
            if increment == 0 {
                return Err(ErrorCode::ProtocolError.into());
            }
            self.window_out.shift(i64::from(increment)).map_err(|_exceeded| ErrorCode::FlowControlError)?;
            return Ok(Step::Again);
        }
        if self.is_idle(stream) {
            return Err(ErrorCode::ProtocolError.into());
        }
        let Some(found) = self.streams.get_mut(stream).filter(|found| !found.is_closed()) else { return Ok(Step::Again) };
        if increment == 0 {
            return Err(Broken::Stream(stream, ErrorCode::ProtocolError, Cause::Http2Protocol));
        }
        if found.window_out.shift(i64::from(increment)).is_err() {
            return Err(Broken::Stream(stream, ErrorCode::FlowControlError, Cause::Http2Protocol));
        }
        if found.is_ready() && !found.scheduled {
            found.scheduled = true;
            self.schedule.add(stream, found.urgency);
        }
        Ok(Step::Again)
    }

    /// Priorities of RFC 7540 are checked and forgotten (RFC 9113 §5.3.2, §6.3).
    pub(crate) fn priority_came(&mut self, head: FrameHead, payload: &[u8]) -> Result<Step, Broken> {
        self.nuisance(Nuisance::Chatter)?;
        let code = match Priority::parse(payload) {
            None => ErrorCode::FrameSizeError,
            Some(priority) if priority.depends_on == head.stream => ErrorCode::ProtocolError,
            Some(_) => return Ok(Step::Again),
        };
        let open = self.streams.get(head.stream).is_some_and(|stream| !stream.is_closed());
        // A stream that is not open cannot be reset; whoever writes such frames is not to be talked to further.
        Err(if open { Broken::Stream(head.stream, code, Cause::Http2Protocol) } else { code.into() })
    }

    /// RFC 9218 §7.1. Of a stream that has not begun yet it is forgotten: the head says it again.
    pub(crate) fn priority_update_came(&mut self, payload: &[u8]) -> Result<Step, Broken> {
        self.nuisance(Nuisance::Chatter)?;
        let (stream, value) = frame::priority_update(payload);
        if self.side == Side::Client || stream.is_multiple_of(2) {
            return Err(ErrorCode::ProtocolError.into());
        }
        if let Some(found) = self.streams.get_mut(stream) {
            found.urgency = Urgency::parse(value);
            if found.scheduled {
                self.schedule.remove(stream);
                self.schedule.add(stream, found.urgency);
            }
        }
        Ok(Step::Again)
    }

    /// Whether nobody has opened that stream yet (RFC 9113 §5.1).
    pub(crate) fn is_idle(&self, stream: u32) -> bool {
        stream.is_multiple_of(2) || stream > self.last
    }
}

//! Sockets that are joined in the kernel, in the reactor's table.

use buf::Chunk;
use std::collections::HashMap;

use super::Reactor;
use crate::{
    End, Errno, Fd, Kind, Moved, Op, Redirect, Refused, TaskId, Ways,
    socket::{Ended, Receive},
};

/// Bytes given from one socket to the other, at most, when both are joined: the other connections wait meanwhile.
const PASSED_BYTES_MAX: u64 = 256 * 1024;

/// Who joins them, and which they are.
#[derive(Default)]
pub(super) struct Joins {
    redirect: Option<Box<dyn Redirect>>,
    slots: HashMap<u64, u32>,
    is_looking: bool,
}

impl Reactor {
    pub(crate) fn set_redirect(&mut self, redirect: Box<dyn Redirect>) {
        self.joins.redirect = Some(redirect);
    }

    /// Joins two; whether somebody has to begin to look for what is kept. `passed`: the bytes that waited at each and were given to the other first.
    pub(crate) fn join(&mut self, slots: [u32; 2], backlog_max: u64, passed: &mut [u64; 2]) -> Result<([End; 2], bool), Refused> {
        if self.joins.redirect.is_none() {
            return Err(Refused::Without);
        }
        let ([first, second], [there, back]) = (slots, passed);
        self.settled(first)?;
        self.settled(second)?;
        self.empty_into(first, second, there)?;
        self.empty_into(second, first, back)?;
        let ends = [self.end_to_join(first, backlog_max)?, self.end_to_join(second, backlog_max)?];
        let redirect = self.joins.redirect.as_mut().ok_or(Refused::Without)?;
        let ways = redirect.join(ends, backlog_max).map_err(Refused::Kernel)?;
        self.socket(slots[1]).flags.kept = ways == Ways::First;
        for (slot, end) in slots.into_iter().zip(&ends) {
            self.joins.slots.insert(end.cookie, slot);
            // What came while they were being joined is looked at when somebody asks for it.
            let _asked = self.backend.is_quiet(end.fd);
        }
        Ok((ends, !core::mem::replace(&mut self.joins.is_looking, true)))
    }

    /// Gives everything that waits at one socket to the other, and counts it. Refused where that is too much at once.
    fn empty_into(&mut self, from: u32, to: u32, count: &mut u64) -> Result<(), Refused> {
        let (from_fd, to_fd) = (self.socket(from).fd, self.socket(to).fd);
        let passed = self.backend.pass(from_fd, to_fd, PASSED_BYTES_MAX);
        *count = passed.moved + passed.rest.len() as u64;
        self.socket(from).received_end = passed.ended;
        self.socket(to).send_error = passed.broken;
        if passed.broken.is_none() && !passed.rest.is_empty() {
            self.write(to, |output| output.push(Chunk::from(passed.rest)));
        }
        match (passed.is_empty, passed.ended.is_some() || passed.broken.is_some()) {
            (true, _) => Ok(()),
            (false, true) => Err(Refused::Over),
            (false, false) => Err(Refused::Unsettled),
        }
    }

    /// A socket of which nothing is between the kernel and us. A packet of which we have received a part would be redirected as a whole: since it
    /// was last empty only whole ones have come.
    fn end_to_join(&mut self, slot: u32, backlog_max: u64) -> Result<End, Refused> {
        let fd = self.settled(slot)?;
        // Of one that is slow already the backlog would be full at once.
        if self.backend.unacknowledged(fd).map_err(Refused::Kernel)? > backlog_max / 2 {
            return Err(Refused::Unsettled);
        }
        let refused = |errno| if errno == Errno::AGAIN { Refused::Unsettled } else { Refused::Kernel(errno) };
        let written = self.backend.written(fd).map_err(refused)?;
        let cookie = self.backend.cookie(fd).map_err(Refused::Kernel)?;
        Ok(End { fd, cookie, written })
    }

    /// A socket of which nothing of ours is under way.
    fn settled(&mut self, slot: u32) -> Result<Fd, Refused> {
        let socket = self.socket(slot);
        if socket.received_end.is_some() || socket.send_error.is_some() || socket.flags.finish {
            return Err(Refused::Over);
        }
        let is_at_rest = socket.outstanding == 0 && socket.unsent() == 0 && socket.inbox.is_empty() && !socket.flags.dirty;
        if is_at_rest { Ok(socket.fd) } else { Err(Refused::Unsettled) }
    }

    pub(crate) fn moved(&self, cookie: u64) -> Moved {
        self.joins.redirect.as_ref().map(|redirect| redirect.moved(cookie)).unwrap_or_default()
    }

    pub(crate) fn leave(&mut self, cookies: [u64; 2]) {
        for cookie in &cookies {
            self.joins.slots.remove(cookie);
        }
        if let Some(redirect) = &mut self.joins.redirect {
            redirect.leave(cookies);
        }
    }

    pub(crate) fn is_kept(&mut self, slot: u32) -> bool {
        self.socket(slot).flags.kept
    }

    pub(crate) fn await_hangup(&mut self, slot: u32) {
        let socket = self.socket(slot);
        socket.other = Some((Kind::Hangup, slot));
        let fd = socket.fd;
        self.start(slot, Op::Hangup { fd });
    }

    /// Bytes ever given to the kernel for this socket to send, by whoever.
    pub(crate) fn written(&mut self, slot: u32) -> Result<u64, Errno> {
        let fd = self.socket(slot).fd;
        self.backend.written(fd)
    }

    /// Whom to wake because bytes are kept; whether nobody is joined any more.
    pub(crate) fn look_for_kept(&mut self) -> (Vec<TaskId>, bool) {
        let mut cookies = Vec::new();
        if let Some(redirect) = &mut self.joins.redirect {
            redirect.full(&mut cookies);
        }
        let slots: Vec<u32> = cookies.iter().filter_map(|cookie| self.joins.slots.get(cookie).copied()).collect();
        let woken = slots.into_iter().map(|slot| self.keep(slot)).collect();
        self.joins.is_looking = !self.joins.slots.is_empty();
        (woken, !self.joins.is_looking)
    }

    /// What it receives is for us from now on; whom to wake.
    fn keep(&mut self, slot: u32) -> TaskId {
        let socket = self.socket(slot);
        socket.flags.kept = true;
        core::mem::replace(&mut socket.writer, TaskId::NONE)
    }

    /// Bytes may come after an end that was told too early; the next look decides.
    pub(crate) fn forget_end(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.receive == Receive::Off && socket.received_end == Some(Ended::Closed) {
            socket.received_end = None;
        }
    }
}

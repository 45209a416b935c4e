//! Sockets that are joined in the kernel, in the reactor's table.

use std::collections::HashMap;

use super::Reactor;
use crate::{
    End, Errno, Kind, Moved, Op, Redirect, Refused, TaskId, Ways,
    socket::{Ended, Receive, Socket},
};

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

    /// Joins two; whether somebody has to begin to look for what is kept.
    pub(crate) fn join(&mut self, slots: [u32; 2], backlog_max: u64) -> Result<([End; 2], bool), Refused> {
        if self.joins.redirect.is_none() {
            return Err(Refused::Without);
        }
        let ends = [self.end_to_join(slots[0])?, self.end_to_join(slots[1])?];
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

    /// A socket of which nothing is between the kernel and us. What the kernel has given us a part of it would redirect as a whole.
    fn end_to_join(&mut self, slot: u32) -> Result<End, Refused> {
        let socket = self.socket(slot);
        let is_open = |socket: &Socket| socket.received_end.is_none() && socket.send_error.is_none() && !socket.flags.finish;
        let is_at_rest = |socket: &Socket| socket.outstanding == 0 && socket.unsent() == 0 && socket.inbox.is_empty();
        if !is_open(socket) {
            return Err(Refused::Over);
        }
        if !is_at_rest(socket) || socket.flags.dirty {
            return Err(Refused::Unsettled);
        }
        let fd = socket.fd;
        if !self.backend.is_quiet(fd) {
            return Err(Refused::Unread);
        }
        let written = self.backend.written(fd).map_err(Refused::Kernel)?;
        let cookie = self.backend.cookie(fd).map_err(Refused::Kernel)?;
        Ok(End { fd, cookie, written })
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

//! Moving a body from socket to socket inside the kernel: `splice(2)` through a pipe, with polls on the ring where it would wait.
//!
//! Measured against `IORING_OP_SPLICE`, which hands each call to a kernel thread, the plain call wins. Both sockets are made non-blocking
//! for the moment of the calls only: the flag belongs to the open file, and the ring's other operations on it must go on waiting.

use io_uring::{opcode, types};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno as Word,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};
use std::os::fd::OwnedFd;

use super::{Uring, borrow};
use crate::{Completion, Errno, Fd, Kind, Outcome, Token};

/// Bytes a pipe is asked to hold; the kernel may give less.
const PIPE_BYTES: usize = 256 * 1024;
/// Splices that may wait for a socket at once: each holds a pipe, which is two descriptors and up to [`PIPE_BYTES`] of the kernel's memory. A
/// crowd of stalled readers must not use those up; beyond this many, bodies are copied.
pub(super) const WAITING_MAX: usize = 256;
/// Pipes kept for reuse.
const SPARE_PIPES_MAX: usize = 64;

pub(super) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

/// A splice that is out.
pub(super) struct Splice {
    from: Fd,
    to: Fd,
    left: u64,
    moved: u64,
    pipe: Pipe,
    in_pipe: usize,
    /// Nobody wants it any more: a poll that has answered before its cancel must not be followed by another.
    given_up: bool,
}

/// What a step came to.
enum Step {
    Done(Result<u64, Errno>),
    Poll(Fd, libc::c_short),
}

impl Uring {
    pub(super) fn begin_splice(&mut self, slot: u32, from: Fd, to: Fd, length: u64) {
        let pipe = match self.spare_pipes.pop().map_or_else(Pipe::open, Ok) {
            Ok(pipe) => pipe,
            Err(errno) => return self.splice_done(slot, Err(errno)),
        };
        let splice = Splice { from, to, left: length, moved: 0, pipe, in_pipe: 0, given_up: false };
        self.step_splice(slot, splice);
    }

    /// A poll has answered.
    pub(super) fn continue_splice(&mut self, slot: u32, polled: Result<u64, Errno>) {
        let Some(splice) = self.splices.remove(&slot) else { return };
        match polled {
            Ok(_) if splice.given_up => self.splice_done(slot, Err(Errno::CANCELED)),
            Ok(_) => self.step_splice(slot, splice),
            Err(errno) => self.splice_done(slot, Err(errno)),
        }
    }

    fn step_splice(&mut self, slot: u32, mut splice: Splice) {
        match splice.step() {
            Step::Done(result) => {
                if splice.in_pipe == 0 && self.spare_pipes.len() < SPARE_PIPES_MAX {
                    self.spare_pipes.push(splice.pipe);
                }
                self.splice_done(slot, result);
            }
            Step::Poll(fd, events) => {
                self.splices.insert(slot, splice);
                let entry = opcode::PollAdd::new(types::Fd(fd.0), u32::from(events.unsigned_abs())).build();
                self.push(&entry, Token { kind: Kind::Splice, slot });
            }
        }
    }

    fn splice_done(&mut self, slot: u32, result: Result<u64, Errno>) {
        self.ready.push(Completion { token: Token { kind: Kind::Splice, slot }, outcome: Outcome::Done(result), more: false });
    }
}

impl Splice {
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Moves what can be moved now. It ends or waits with an empty pipe, except when `to` is full.
    fn step(&mut self) -> Step {
        set_blocking(self.from, false);
        set_blocking(self.to, false);
        let step = self.shovel();
        set_blocking(self.from, true);
        set_blocking(self.to, true);
        step
    }

    fn shovel(&mut self) -> Step {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            if self.in_pipe > 0 {
                match splice(&self.pipe.out, None, borrow(self.to), None, self.in_pipe, flags) {
                    Ok(count) => {
                        self.in_pipe -= count;
                        self.moved += count as u64;
                        self.left = self.left.saturating_sub(count as u64);
                    }
                    Err(Word::AGAIN) => return Step::Poll(self.to, libc::POLLOUT),
                    Err(errno) => return Step::Done(Err(Errno(errno.raw_os_error()))),
                }
                continue;
            }
            if self.left == 0 {
                return Step::Done(Ok(self.moved));
            }
            let length = usize::try_from(self.left).unwrap_or(PIPE_BYTES).min(PIPE_BYTES);
            match splice(borrow(self.from), None, &self.pipe.into, None, length, flags) {
                Ok(0) => return Step::Done(Ok(self.moved)),
                Ok(count) => self.in_pipe = count,
                Err(Word::AGAIN) if self.moved > 0 => return Step::Done(Ok(self.moved)),
                Err(Word::AGAIN) => return Step::Poll(self.from, libc::POLLIN),
                Err(errno) => return Step::Done(Err(Errno(errno.raw_os_error()))),
            }
        }
    }
}

impl Pipe {
    fn open() -> Result<Self, Errno> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|errno| Errno(errno.raw_os_error()))?;
        // A smaller pipe only means more steps.
        let _granted = fcntl_setpipe_size(&into, PIPE_BYTES);
        Ok(Self { out, into })
    }
}

fn set_blocking(fd: Fd, blocking: bool) {
    let Ok(flags) = fcntl_getfl(borrow(fd)) else { return };
    let flags = if blocking { flags - OFlags::NONBLOCK } else { flags | OFlags::NONBLOCK };
    // Cannot fail on an open socket.
    let _set = fcntl_setfl(borrow(fd), flags);
}

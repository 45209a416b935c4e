//! Listening sockets and bells.

use core::{mem::replace, task::Poll};
use std::collections::VecDeque;

use super::{Entry, Reactor};
use crate::{Bell, Descriptor, Errno, Fd, Kind, Op, TaskId, Token, executor::Executor};

/// Accepted connections not yet taken at which a listener accepts no more for now: the others wait in the kernel. What one turn brings beyond
/// it is kept.
const ACCEPTED_MAX: usize = 1024;

pub(super) struct Listening {
    descriptor: Option<Descriptor>,
    fd: Fd,
    accepted: VecDeque<Fd>,
    error: Option<Errno>,
    accepting: Accepting,
    /// No more is accepted; what was is still given out.
    stopped: bool,
    released: bool,
    task: TaskId,
}

/// The state of a listener's Accept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepting {
    /// None is out.
    Off,
    /// One is out.
    Armed,
    /// One is out and its cancel too, because too many were not taken.
    Held,
}

pub(super) struct Watching {
    bell: Bell,
    armed: bool,
    rung: bool,
    released: bool,
    task: TaskId,
}

impl Reactor {
    pub(crate) fn listen(&mut self, descriptor: Descriptor) -> u32 {
        let fd = descriptor.fd();
        let listening = Listening {
            descriptor: Some(descriptor),
            fd,
            accepted: VecDeque::new(),
            error: None,
            accepting: Accepting::Off,
            stopped: false,
            released: false,
            task: TaskId::NONE,
        };
        self.insert(Entry::Listening(Box::new(listening)))
    }

    fn listening(&mut self, slot: u32) -> &mut Listening {
        match self.entries.get_mut(slot) {
            Some(Entry::Listening(listening)) => listening,
            Some(Entry::Socket(_) | Entry::Watching(_)) | None => {
                unreachable!("slot {slot} is a listener's while its handle or an operation lives")
            }
        }
    }

    pub(crate) fn poll_accept(&mut self, slot: u32, task: TaskId) -> Poll<Result<Fd, Errno>> {
        let listening = self.listening(slot);
        if let Some(fd) = listening.accepted.pop_front() {
            return Poll::Ready(Ok(fd));
        }
        if let Some(errno) = listening.error.take() {
            return Poll::Ready(Err(errno));
        }
        let fd = listening.fd;
        if listening.stopped && listening.accepting == Accepting::Off {
            // A cancelled Accept leaves in the kernel's queue who came just before.
            let waiting = self.backend.accept_waiting(fd);
            return Poll::Ready(waiting.map_err(|errno| if errno == Errno::AGAIN { Errno::CANCELED } else { errno }));
        }
        listening.task = task;
        if listening.accepting == Accepting::Off {
            listening.accepting = Accepting::Armed;
            self.backend.submit(slot, Op::Accept { fd });
        }
        Poll::Pending
    }

    pub(crate) fn refuse_handshakes(&mut self, slot: u32) {
        let fd = self.listening(slot).fd;
        self.backend.refuse_handshakes(fd);
    }

    /// Accepts no more. What the kernel has accepted, and what it holds to be accepted, is given out first, then `ECANCELED`.
    pub(crate) fn stop_accepting(&mut self, slot: u32) {
        let listening = self.listening(slot);
        if !replace(&mut listening.stopped, true) && listening.accepting == Accepting::Armed {
            self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Accept, slot } });
        }
    }

    pub(crate) fn release_listener(&mut self, slot: u32) {
        let listening = self.listening(slot);
        listening.released = true;
        let accepted = core::mem::take(&mut listening.accepted);
        let (accepting, stopped) = (listening.accepting, listening.stopped);
        for fd in accepted {
            self.close_unowned(fd);
        }
        match (accepting, stopped) {
            (Accepting::Armed, false) => self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Accept, slot } }),
            // Its end is on the way.
            (Accepting::Armed, true) | (Accepting::Held, _) => {}
            (Accepting::Off, _) => self.remove(slot),
        }
    }

    /// Closes a connection that nobody has taken.
    fn close_unowned(&mut self, fd: Fd) {
        let slot = self.adopt(fd);
        self.release(slot, true);
    }

    pub(crate) fn watch(&mut self, bell: Bell) -> u32 {
        self.insert(Entry::Watching(Box::new(Watching { bell, armed: false, rung: false, released: false, task: TaskId::NONE })))
    }

    fn watching(&mut self, slot: u32) -> &mut Watching {
        match self.entries.get_mut(slot) {
            Some(Entry::Watching(watching)) => watching,
            Some(Entry::Socket(_) | Entry::Listening(_)) | None => {
                unreachable!("slot {slot} is a bell's while its handle or an operation lives")
            }
        }
    }

    pub(crate) fn poll_rung(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let watching = self.watching(slot);
        if core::mem::take(&mut watching.rung) {
            return Poll::Ready(());
        }
        watching.task = task;
        if !watching.armed {
            watching.armed = true;
            let bell = watching.bell.clone();
            self.backend.submit(slot, Op::Watch { bell });
        }
        Poll::Pending
    }

    pub(crate) fn release_watch(&mut self, slot: u32) {
        let watching = self.watching(slot);
        watching.released = true;
        if watching.armed {
            self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Watch, slot } });
        } else {
            self.remove(slot);
        }
    }

    pub(super) fn accepted(&mut self, slot: u32, result: Result<Fd, Errno>, more: bool, executor: &Executor) {
        let listening = self.listening(slot);
        if !more {
            listening.accepting = Accepting::Off;
        }
        let released = listening.released;
        match result {
            Ok(fd) if released => self.close_unowned(fd),
            Ok(fd) => {
                listening.accepted.push_back(fd);
                let ending = listening.stopped || listening.accepting != Accepting::Armed;
                if listening.accepted.len() >= ACCEPTED_MAX && !ending {
                    listening.accepting = Accepting::Held;
                    self.counts.accept_held += 1;
                    self.backend.submit(slot, Op::Cancel { target: Token { kind: Kind::Accept, slot } });
                }
            }
            Err(Errno::CANCELED) => {}
            Err(errno) => {
                listening.error = Some(errno);
                self.counts.accept_paused += 1;
            }
        }
        let listening = self.listening(slot);
        executor.wake(replace(&mut listening.task, TaskId::NONE));
        if released && !more {
            drop(listening.descriptor.take());
            self.remove(slot);
        }
    }

    pub(super) fn rung(&mut self, slot: u32, more: bool, executor: &Executor) {
        let watching = self.watching(slot);
        watching.armed = more;
        watching.rung = true;
        executor.wake(replace(&mut watching.task, TaskId::NONE));
        if watching.released && !more {
            self.remove(slot);
        }
    }
}

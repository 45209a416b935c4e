//! What comes in: a socket's reception is armed when a task waits for bytes, and brings no more than its credit.

use buf::Chunk;
use core::task::Poll;

use super::{CREDIT_BYTES, Reactor};
use crate::{
    Errno, Kind, Op, TaskId, Token,
    executor::Executor,
    socket::{Ended, Receive},
};

impl Reactor {
    pub(crate) fn poll_receive(&mut self, slot: u32, task: TaskId) -> Poll<Result<Chunk, Errno>> {
        let socket = self.socket(slot);
        if let Some(chunk) = socket.inbox.pop() {
            return Poll::Ready(Ok(chunk));
        }
        match socket.received_end {
            Some(Ended::Closed) => return Poll::Ready(Ok(Chunk::default())),
            Some(Ended::Broken(errno)) => return Poll::Ready(Err(errno)),
            None => {}
        }
        socket.reader = task;
        if socket.receive == Receive::Off {
            self.arm(slot);
        }
        Poll::Pending
    }

    pub(crate) fn arm(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.receive != Receive::Off || socket.received_end.is_some() {
            return;
        }
        socket.receive = Receive::Armed;
        let fd = socket.fd;
        self.start(slot, Op::Receive { fd, credit: CREDIT_BYTES });
    }

    /// Ends the Receive that is out; ready when its last completion was seen.
    pub(crate) fn poll_disarmed(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let socket = self.socket(slot);
        match socket.receive {
            Receive::Off => return Poll::Ready(()),
            Receive::Parked => {
                socket.receive = Receive::Off;
                self.parked.retain(|parked| *parked != slot);
                return Poll::Ready(());
            }
            Receive::Cancelling => socket.reader = task,
            Receive::Armed => {
                socket.reader = task;
                self.cancel_receive(slot);
            }
        }
        Poll::Pending
    }

    pub(super) fn cancel_receive(&mut self, slot: u32) {
        self.socket(slot).receive = Receive::Cancelling;
        self.start(slot, Op::Cancel { target: Token { kind: Kind::Receive, slot } });
    }

    pub(crate) fn poll_broken(&mut self, slot: u32, task: TaskId) -> Poll<()> {
        let socket = self.socket(slot);
        if matches!(socket.received_end, Some(Ended::Broken(_))) {
            return Poll::Ready(());
        }
        socket.reader = task;
        Poll::Pending
    }

    pub(crate) fn put_back(&mut self, slot: u32, chunk: Chunk) {
        self.socket(slot).inbox.put_back(chunk);
        self.received.push(slot);
    }

    /// Whether bytes, or the peer's end, wait to be taken.
    pub(crate) fn has_received(&mut self, slot: u32) -> bool {
        let socket = self.socket(slot);
        !socket.inbox.is_empty() || socket.received_end.is_some()
    }

    pub(super) fn receive_completed(&mut self, slot: u32, result: Result<Chunk, Errno>, more: bool, executor: &Executor) {
        let socket = self.socket(slot);
        if !more {
            socket.outstanding -= 1;
            socket.receive = Receive::Off;
        }
        let mut parked = false;
        match result {
            Ok(chunk) if chunk.is_empty() => socket.received_end = Some(Ended::Closed),
            Ok(chunk) => {
                if !socket.flags.released {
                    socket.inbox.push(chunk);
                    self.received.push(slot);
                }
            }
            // (Part of its credit may be here already: who takes that asks again.)
            Err(Errno::NOBUFS) => parked = !socket.flags.released && socket.inbox.is_empty(),
            Err(Errno::CANCELED) => {}
            Err(errno) => socket.received_end = Some(Ended::Broken(errno)),
        }
        if parked {
            let socket = self.socket(slot);
            socket.receive = Receive::Parked;
            self.parked.push_back(slot);
            self.counts.parked += 1;
        }
        let socket = self.socket(slot);
        executor.wake(core::mem::replace(&mut socket.reader, TaskId::NONE));
        self.ended(slot);
    }
}

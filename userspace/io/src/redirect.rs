//! Two sockets joined in the kernel: what one receives the other sends, and no byte comes here.
//!
//! Who does the joining is not known here ([`Redirect`]). What is: when userspace has to look at a direction ([`Joined::ended`]), when its end is
//! to be believed ([`Joined::receive`]), and when everything that the kernel took over has been sent ([`Joined::drained`]), for what userspace
//! sends must not overtake it. Both sockets stay as they are until they are closed: whoever takes one out of the kernel's hands while bytes may come
//! loses some.

use buf::Chunk;
use core::{cell::Cell, future::poll_fn, task::Poll, time::Duration};

use crate::{Errno, Fd, Ring, Stream};

/// How often it is looked whether bytes are kept for userspace.
const KEPT_LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often it is looked whether everything redirected has been sent: at first, and at most.
const DRAINED_LOOK: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(20)];
/// How often it is looked for kept bytes that an end has overtaken.
const OVERTAKEN_LOOK_EVERY: Duration = Duration::from_millis(1);

/// Joins sockets in the kernel.
pub trait Redirect {
    /// Joins two connected sockets with nothing half read and nothing unsent; at most `backlog_max` bytes wait for the acknowledgement of either's
    /// peer.
    fn join(&mut self, ends: [End; 2], backlog_max: u64) -> Result<Ways, Errno>;
    /// What the direction that begins at this socket has come to.
    fn moved(&self, cookie: u64) -> Moved;
    /// Forgets both, right before they are closed.
    fn leave(&mut self, cookies: [u64; 2]);
    /// Adds the cookies of sockets whose bytes have begun to be kept since the last call.
    fn full(&mut self, cookies: &mut Vec<u64>);
}

/// One of two sockets that are to be joined.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Its descriptor, open for the time of the call.
    pub fd: Fd,
    /// Its number, which no other socket ever has.
    pub cookie: u64,
    /// Bytes ever given to the kernel for it to send.
    pub written: u64,
}

/// Which ways of two sockets the kernel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// Both.
    Both,
    /// From the first to the second: the kernel would not take what the second receives (whose end had come meanwhile, for example).
    First,
}

/// What a direction has come to, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Handed on in the kernel.
    pub redirected: u64,
    /// Kept for userspace, and all that follow: the backlog was full.
    pub kept: u64,
}

/// Why two sockets are not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This process has not the means.
    Without,
    /// One of them has ended.
    Over,
    /// Something is still under way with one of them, or more waits before one of them than it takes at once: it may go better soon.
    Unsettled,
    /// The kernel would not.
    Kernel(Errno),
}

/// Two streams of one ring that are joined, for as long as it lives. Drop it before the streams, and only when both directions have ended or
/// nobody wants them: what is still queued in the kernel is lost.
pub struct Joined {
    ring: Ring,
    slots: [u32; 2],
    ends: [End; 2],
    /// Bytes received of what was kept.
    received: [Cell<u64>; 2],
}

impl Joined {
    pub(crate) fn join(first: &Stream, second: &Stream, backlog_max: u64) -> (Result<Self, Refused>, [u64; 2]) {
        let (ring, slots) = (first.ring().clone(), [first.slot(), second.slot()]);
        let mut passed = [0; 2];
        let joined = ring.with(|reactor| reactor.join(slots, backlog_max, &mut passed)).map(|(ends, is_first)| {
            if is_first {
                ring.spawn(look_for_kept(ring.clone()));
            }
            Self { ring, slots, ends, received: Default::default() }
        });
        (joined, passed)
    }

    /// What the direction that begins at the first stream (0) or at the second (1) has come to.
    pub fn moved(&self, from: usize) -> Moved {
        self.ring.with(|reactor| reactor.moved(self.ends[from].cookie))
    }

    /// Waits until userspace has something to receive from a stream: kept bytes, its end, its break.
    pub async fn ended(&self, from: usize) {
        let slot = self.slots[from];
        self.ring.with(|reactor| reactor.await_hangup(slot));
        let _cancel = Unwatched { joined: self, slot };
        poll_fn(|_| {
            let task = self.ring.task();
            self.ring.with(|reactor| match reactor.poll_done(slot, task) {
                Poll::Pending if !reactor.is_kept(slot) => Poll::Pending,
                Poll::Pending | Poll::Ready(_) => Poll::Ready(()),
            })
        })
        .await;
    }

    /// The next bytes of a stream of which [`Joined::ended`] has said that there is something to receive, or its end. From the first answer on nothing
    /// more of this direction is redirected.
    pub async fn receive(&self, from: usize, stream: &Stream) -> Result<Chunk, Errno> {
        loop {
            let chunk = stream.receive().await?;
            let received = self.received[from].get() + chunk.len() as u64;
            self.received[from].set(received);
            if !chunk.is_empty() || received >= self.moved(from).kept {
                return Ok(chunk);
            }
            // The end overtakes kept bytes for which the kernel had no room yet.
            stream.forget_end();
            self.ring.sleep(OVERTAKEN_LOOK_EVERY).await;
        }
    }

    /// Waits until the other stream has sent everything that was redirected from this one. Only once nothing more is redirected.
    pub async fn drained(&self, from: usize) -> Result<(), Errno> {
        let (to, due) = (1 - from, self.ends[1 - from].written + self.moved(from).redirected);
        let [mut wait, wait_max] = DRAINED_LOOK;
        loop {
            match self.ring.with(|reactor| reactor.written(self.slots[to])) {
                Ok(written) if written >= due => return Ok(()),
                // (Or it does not hold still.)
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno),
            }
            self.ring.sleep(wait).await;
            wait = (wait * 2).min(wait_max);
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.ring.with(|reactor| reactor.leave(self.ends.map(|end| end.cookie)));
    }
}

/// Nobody waits for a stream's end any more.
struct Unwatched<'a> {
    joined: &'a Joined,
    slot: u32,
}

impl Drop for Unwatched<'_> {
    fn drop(&mut self) {
        self.joined.ring.with(|reactor| reactor.cancel_other(self.slot));
    }
}

/// Lets those go on whose bytes have begun to be kept, as long as anybody is joined: a look costs no system call.
async fn look_for_kept(ring: Ring) {
    loop {
        ring.sleep(KEPT_LOOK_EVERY).await;
        let (woken, is_last) = ring.with(crate::reactor::Reactor::look_for_kept);
        for task in woken {
            ring.wake(task);
        }
        if is_last {
            return;
        }
    }
}

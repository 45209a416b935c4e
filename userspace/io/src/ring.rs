//! The loop of one worker: run the tasks that can go on, send what they wrote, wait for completions, hand them out, fire timers.

use core::{
    cell::{Cell, RefCell},
    future::Future,
    time::Duration,
};
use model::{Address, Instant};
use std::rc::Rc;

use crate::{
    AtRest, Completion, Counts, Descriptor, Errno, Listener, Redirect, Stream, TaskId, Timer, backend::Backend, connect,
    executor::Executor, reactor::Reactor, sim::Sim, uring::Uring,
};

/// A worker's ring: a cheap handle, never leaving its thread.
#[derive(Clone)]
pub struct Ring(Rc<Inner>);

struct Inner {
    executor: Executor,
    reactor: RefCell<Reactor>,
    now: Cell<Instant>,
    scratch: RefCell<Scratch>,
}

/// Lists reused from turn to turn.
#[derive(Default)]
struct Scratch {
    round: Vec<TaskId>,
    completions: Vec<Completion>,
}

impl Ring {
    /// Over the kernel. The calling thread becomes the only one that may use it.
    pub fn uring(uring: Uring) -> Self {
        Self::new(Backend::Uring(Box::new(uring)))
    }

    /// Over a simulated kernel.
    pub fn sim(sim: Sim) -> Self {
        Self::new(Backend::Sim(Box::new(sim)))
    }

    fn new(backend: Backend) -> Self {
        let now = Cell::new(backend.now());
        Self(Rc::new(Inner {
            executor: Executor::default(),
            reactor: RefCell::new(Reactor::new(backend)),
            now,
            scratch: RefCell::default(),
        }))
    }

    /// Turns until `stop` says so after a turn.
    pub fn run(&self, mut stop: impl FnMut() -> bool) {
        while !stop() {
            self.turn(Instant::NEVER);
        }
    }

    /// One turn of the loop; waits for something to happen when no task can go on, until `latest` at the longest.
    pub fn turn(&self, latest: Instant) {
        let inner = &*self.0;
        let scratch = &mut *inner.scratch.borrow_mut();
        inner.executor.run(&mut scratch.round);
        let mut reactor = inner.reactor.borrow_mut();
        reactor.end_turn();
        let deadline = reactor.timers.deadline().min(latest);
        let idle = !inner.executor.is_ready() && !reactor.may_retry();
        reactor.backend.wait(idle, deadline, &mut scratch.completions);
        inner.now.set(reactor.backend.now());
        reactor.counts.turns += 1;
        reactor.counts.completions += scratch.completions.len() as u64;
        for completion in scratch.completions.drain(..) {
            reactor.complete(completion, &inner.executor);
        }
        reactor.fire(inner.now.get(), &inner.executor);
    }

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(task);
    }

    /// Drops every task, and turns until their operations have ended or `latest` is reached. Gives the sockets still open.
    pub fn shut_down(&self, latest: Instant) -> usize {
        self.0.executor.clear();
        while self.open() > 0 && self.now() < latest {
            self.turn(latest);
        }
        self.open()
    }

    /// The time at which this turn began: the worker's clock.
    #[inline]
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// Time since 1970, read now.
    pub fn wall_clock(&self) -> Duration {
        self.0.reactor.borrow().backend.wall_clock()
    }

    /// What the loop has counted so far.
    pub fn counts(&self) -> Counts {
        self.0.reactor.borrow().counts
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.0.executor.alive()
    }

    /// Tasks that ended by a panic.
    pub fn panics(&self) -> u64 {
        self.0.executor.panics()
    }

    /// Sockets, listeners and bells that have not ended.
    pub fn open(&self) -> usize {
        self.0.reactor.borrow().open()
    }

    /// A timer, not set yet.
    pub fn timer(&self) -> Timer {
        Timer::new(self)
    }

    /// Waits.
    pub async fn sleep(&self, wait: Duration) {
        let timer = self.timer();
        timer.set(self.now() + wait);
        timer.expired().await;
    }

    /// Lets the other tasks and the ring go first.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        core::future::poll_fn(|_| {
            if core::mem::replace(&mut yielded, true) {
                return core::task::Poll::Ready(());
            }
            self.0.executor.yield_current();
            core::task::Poll::Pending
        })
        .await;
    }

    /// Connects to `address`. Dropping the future gives the attempt up.
    pub async fn connect(&self, address: &Address) -> Result<Stream, Errno> {
        connect::connect(self, address).await
    }

    /// Begins to accept on a listening socket.
    pub fn listen(&self, descriptor: Descriptor) -> Listener {
        Listener::new(self, descriptor)
    }

    /// Whether a connection at rest is still silent and open.
    pub fn is_quiet(&self, rest: &AtRest) -> bool {
        self.0.reactor.borrow().backend.is_quiet(rest.fd())
    }

    /// Takes in a connection that was at rest; `None` when it did not stay silent and open.
    pub fn adopt(&self, rest: AtRest) -> Option<Stream> {
        let descriptor = rest.into_descriptor();
        let quiet = self.0.reactor.borrow().backend.is_quiet(descriptor.fd());
        let stream = Stream::new(self, descriptor.into_fd());
        if quiet { Some(stream) } else { None }
    }

    /// Takes in a connection that somebody else has made.
    pub fn take(&self, descriptor: Descriptor) -> Stream {
        Stream::new(self, descriptor.into_fd())
    }

    /// From now on streams of this ring can be joined.
    pub fn set_redirect(&self, redirect: Box<dyn Redirect>) {
        self.with(|reactor| reactor.set_redirect(redirect));
    }

    /// The task that is running.
    pub(crate) fn task(&self) -> TaskId {
        self.0.executor.current()
    }

    pub(crate) fn wake(&self, task: TaskId) {
        self.0.executor.wake(task);
    }

    /// Wakes every task, so that each looks at what has changed around it: a drain, a removed listener.
    pub fn wake_all(&self) {
        self.0.executor.wake_all();
    }

    /// The reactor, for the handles of this crate.
    #[inline]
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Reactor) -> R) -> R {
        act(&mut self.0.reactor.borrow_mut())
    }
}

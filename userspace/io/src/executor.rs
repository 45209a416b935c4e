//! The single-threaded executor: a table of boxed futures and a queue of those that may go on.
//!
//! A task is woken by its [`TaskId`], never through the `Context`: everything it can wait for stands in this crate, remembers the id of the
//! task that asked, and puts it in the queue when its answer is there. So a wake-up is a push to a `Vec`, without a vtable, an atomic or
//! `unsafe`. A task that panics ends alone: its poll is caught, it is dropped, counted, and its streams close themselves.

use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::table::Table;

/// Rounds of one turn: a task that was woken by another goes on in the same turn, so that a request need not wait for the ring between the
/// connection that brought it and the task that serves it.
const ROUNDS_MAX: usize = 4;

/// Names a task, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u32);

impl TaskId {
    /// No task: the loop itself.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
pub(crate) struct Executor {
    tasks: RefCell<Table<Slot>>,
    ready: RefCell<Vec<TaskId>>,
    /// Those that let the ring go first.
    yielded: RefCell<Vec<TaskId>>,
    current: Cell<u32>,
    alive: Cell<usize>,
    panics: Cell<u64>,
}

struct Slot {
    /// `None` while it runs.
    task: Option<Task>,
    queued: bool,
}

impl Executor {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        let task: Task = Box::pin(task);
        let id = TaskId(self.tasks.borrow_mut().insert(Slot { task: Some(task), queued: false }));
        self.alive.set(self.alive.get() + 1);
        self.wake(id);
        id
    }

    /// The task that is running.
    pub(crate) fn current(&self) -> TaskId {
        TaskId(self.current.get())
    }

    /// Lets a task go on in the next round. Waking one that has ended, or twice, is harmless.
    pub(crate) fn wake(&self, id: TaskId) {
        self.queue(id, &self.ready);
    }

    /// Lets the running task go on in the next turn.
    pub(crate) fn yield_current(&self) {
        self.queue(self.current(), &self.yielded);
    }

    fn queue(&self, id: TaskId, list: &RefCell<Vec<TaskId>>) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.get_mut(id.0) else { return };
        if !slot.queued {
            slot.queued = true;
            list.borrow_mut().push(id);
        }
    }

    /// Lets every task go on.
    pub(crate) fn wake_all(&self) {
        let end = self.tasks.borrow().end();
        (0..end).for_each(|id| self.wake(TaskId(id)));
    }

    /// Whether any task can go on.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn alive(&self) -> usize {
        self.alive.get()
    }

    /// How many tasks ended by a panic.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Polls the tasks that are ready, and for a few rounds those woken meanwhile: tasks which wake each other cannot keep the ring waiting.
    /// `round` is reused for its memory.
    pub(crate) fn run(&self, round: &mut Vec<TaskId>) {
        for _ in 0..ROUNDS_MAX {
            round.clear();
            core::mem::swap(round, &mut self.ready.borrow_mut());
            if round.is_empty() {
                break;
            }
            for id in &*round {
                self.poll(*id);
            }
        }
        self.ready.borrow_mut().append(&mut self.yielded.borrow_mut());
        self.current.set(TaskId::NONE.0);
    }

    fn poll(&self, id: TaskId) {
        let mut task = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(slot) = tasks.get_mut(id.0) else { return };
            slot.queued = false;
            let Some(task) = slot.task.take() else { return };
            task
        };
        self.current.set(id.0);
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        match polled {
            Ok(core::task::Poll::Pending) => self.tasks.borrow_mut()[id.0].task = Some(task),
            Ok(core::task::Poll::Ready(())) => self.end(id, task),
            Err(_panic) => {
                self.panics.set(self.panics.get() + 1);
                self.end(id, task);
            }
        }
    }

    fn end(&self, id: TaskId, task: Task) {
        // Its own drops may wake or spawn tasks, so nothing is borrowed here; a panic in them must not spread either.
        if catch_unwind(AssertUnwindSafe(|| drop(task))).is_err() {
            self.panics.set(self.panics.get() + 1);
        }
        self.alive.set(self.alive.get() - 1);
        self.tasks.borrow_mut().remove(id.0);
    }

    /// Drops every task: the end of a worker.
    pub(crate) fn clear(&self) {
        let tasks = core::mem::take(&mut *self.tasks.borrow_mut());
        self.ready.borrow_mut().clear();
        self.yielded.borrow_mut().clear();
        self.alive.set(0);
        drop(tasks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use core::task::Poll;
    use std::rc::Rc;

    /// A task that says after each poll how it wants to go on, and counts its polls.
    fn spawn_counted(executor: &Rc<Executor>, polls_max: u32, again: fn(&Executor)) -> Rc<Cell<u32>> {
        let polls = Rc::new(Cell::new(0));
        let (inner, count) = (Rc::clone(executor), Rc::clone(&polls));
        executor.spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            again(&inner);
            if count.get() == polls_max { Poll::Ready(()) } else { Poll::Pending }
        }));
        polls
    }

    #[test]
    fn a_turn_has_an_end_and_who_yields_waits_for_the_next() {
        let executor = Rc::new(Executor::default());
        let eager = spawn_counted(&executor, 6, |executor| executor.wake(executor.current()));
        let polite = spawn_counted(&executor, 3, Executor::yield_current);
        let mut round = Vec::new();
        for expected in [(4, 1), (6, 2), (6, 3), (6, 3)] {
            executor.run(&mut round);
            assert_eq!((eager.get(), polite.get()), expected);
        }
        assert_eq!((executor.alive(), executor.panics()), (0, 0));
    }

    #[test]
    fn a_panic_ends_one_task() {
        let executor = Executor::default();
        executor.spawn(async { panic!("as bad input might") });
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        executor.spawn(async move { flag.set(true) });
        executor.run(&mut Vec::new());
        assert!(done.get());
        assert_eq!((executor.alive(), executor.panics()), (0, 1));
    }
}

//! A thread that owns one thing and does jobs on it, one after the other.
//!
//! Compiling a configuration and merging counters take milliseconds and more: they have a desk each, so that neither holds up the other, nor the
//! thread that answers `/ready`.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::{mpsc, oneshot};

/// Jobs that wait; who brings one more waits for room.
const JOBS_MAX: usize = 16;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Where jobs on a `T` are brought.
#[derive(Debug)]
pub(crate) struct Desk<T> {
    jobs: mpsc::Sender<Job<T>>,
}

/// The job ended by a panic, or the desk is gone.
#[derive(Debug, thiserror::Error)]
#[error("an internal error; the log of the process says more")]
pub(crate) struct Unanswered;

impl<T: Send + 'static> Desk<T> {
    /// A thread for `thing`, which calls `tidy` after each job. It ends when the desk is dropped and all jobs are done.
    pub(crate) fn open(name: &str, mut thing: T, tidy: fn()) -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job<T>>(JOBS_MAX);
        let work = move || {
            while let Some(job) = inbox.blocking_recv() {
                // What a job holds for its answer is dropped with it: the asker is told.
                if catch_unwind(AssertUnwindSafe(|| job(&mut thing))).is_err() {
                    tracing::error!("a job of the control side panicked");
                }
                tidy();
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs })
    }

    /// Has a job done and waits for its answer.
    pub(crate) async fn ask<R: Send + 'static>(&self, job: impl FnOnce(&mut T) -> R + Send + 'static) -> Result<R, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let job: Job<T> = Box::new(move |thing| {
            // Nobody waits any more when the asker was cancelled.
            drop(answer.send(job(thing)));
        });
        self.jobs.send(job).await.map_err(|_closed| Unanswered)?;
        answered.await.map_err(|_dropped| Unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_done_in_order_and_a_panic_ends_only_its_own() {
        tokio_uring::start(async {
            let desk = Desk::open("test", Vec::new(), || ()).unwrap();
            for at in 0..100 {
                desk.ask(move |list| list.push(at)).await.unwrap();
            }
            assert!(desk.ask(|_| panic!("on purpose")).await.is_err());
            assert_eq!(desk.ask(|list| list.clone()).await.unwrap(), (0..100).collect::<Vec<_>>());
        });
    }
}

//! Writes the access log: comes by the workers' queues on its own time, gathers what it finds and appends it to the file.
//!
//! A disk that stalls stops nobody but this task's one write; a full one is tried again. Meanwhile the queues fill and the workers drop and count.

use alloc::rc::Rc;
use core::time::Duration;
use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
};

use config::LogTarget;
use stats::{Batch, Counter, LinesReader, Page, metrics};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time,
};
use tokio_uring::{
    buf::{BoundedBuf, Slice},
    fs::File,
};

/// How often the queues are looked at.
const VISIT_INTERVAL: Duration = Duration::from_millis(50);
/// How long after a failed write or open the next is tried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a write may hold up reopening; then it is left alone, its lines counted as failed.
const STALL_MAX: Duration = Duration::from_secs(1);
/// How long the last lines may take when the process ends.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// Bytes of one write.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// Who may read the log: its owner and group.
const MODE: u32 = 0o640;

/// What the log is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Close the file and open it again under its name.
    Reopen,
    /// Write there from now on.
    Target(Option<LogTarget>),
    /// Write what there is and end.
    Finish(oneshot::Sender<()>),
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queues: Vec<LinesReader>,
    target: Option<LogTarget>,
    file: Option<Rc<File>>,
    /// Read from the queues and not written yet.
    pending: Batch,
    written: Counter,
    failures: Failures,
}

#[derive(Debug)]
struct Failures {
    open: Counter,
    full: Counter,
    write: Counter,
    stalled: Counter,
    /// Said once, until it is over.
    is_told: bool,
}

/// What became of one write.
struct Written {
    file: Option<Rc<File>>,
    /// What is left, when it failed.
    rest: Vec<u8>,
    result: Result<(), Failure>,
}

enum Failure {
    Open(io::Error),
    Write(io::Error),
}

impl LogWriter {
    pub(crate) fn new(queues: Vec<LinesReader>, target: Option<LogTarget>, page: &Page) -> Self {
        let failure = |reason| page.counter(&metrics::LOG_FAILURES, &[("reason", reason)]);
        let failures =
            Failures { open: failure("open"), full: failure("full"), write: failure("write"), stalled: failure("stalled"), is_told: false };
        let written = page.counter(&metrics::LOG_WRITTEN, &[]);
        Self { queues, target, file: None, pending: Batch::default(), written, failures }
    }

    /// Writes until told to finish.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut writing: Option<JoinHandle<Written>> = None;
        let mut pause = VISIT_INTERVAL;
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => order,
                done = finished(&mut writing) => {
                    writing = None;
                    pause = self.note(done);
                    continue;
                }
                () = time::sleep(pause), if writing.is_none() => {
                    pause = VISIT_INTERVAL;
                    writing = self.begin();
                    continue;
                }
            };
            match order {
                Some(Order::Reopen) => {
                    self.settle(&mut writing, STALL_MAX).await;
                    self.file = None;
                }
                Some(Order::Target(target)) if target != self.target => {
                    self.settle(&mut writing, STALL_MAX).await;
                    (self.target, self.file) = (target, None);
                }
                Some(Order::Target(_)) => {}
                Some(Order::Finish(done)) => {
                    self.finish(writing).await;
                    done.send(()).unwrap_or_else(|()| tracing::debug!("nobody waits for the last lines"));
                    return;
                }
                None => return,
            }
            pause = Duration::ZERO;
        }
    }

    /// Begins to write what there is.
    fn begin(&mut self) -> Option<JoinHandle<Written>> {
        self.gather();
        let Some(target) = self.target.clone() else {
            self.pending = Batch::default();
            return None;
        };
        if self.pending.bytes.is_empty() {
            return None;
        }
        let bytes = core::mem::take(&mut self.pending.bytes);
        Some(tokio_uring::spawn(write(target, self.file.clone(), bytes)))
    }

    /// Takes from all queues in turn what fits in one write.
    fn gather(&mut self) {
        let mut is_empty = false;
        while !is_empty && self.pending.bytes.len() < WRITE_BYTES_MAX {
            is_empty = true;
            for queue in &mut self.queues {
                if let Some(batch) = queue.take() {
                    is_empty = false;
                    self.pending.bytes.extend_from_slice(&batch.bytes);
                    self.pending.lines += batch.lines;
                }
            }
        }
    }

    /// Takes in what became of a write. Gives back how long to wait before the next.
    fn note(&mut self, done: Written) -> Duration {
        self.file = done.file;
        let (counter, error) = match done.result {
            Ok(()) => {
                self.written.add(core::mem::take(&mut self.pending.lines));
                self.failures.is_told = false;
                return VISIT_INTERVAL;
            }
            Err(Failure::Open(error)) => (&self.failures.open, error),
            Err(Failure::Write(error)) if is_full(&error) => (&self.failures.full, error),
            Err(Failure::Write(error)) => (&self.failures.write, error),
        };
        counter.increment();
        if !self.failures.is_told {
            tracing::error!("the access log {:?} cannot be written: {error}; trying on", self.target);
            self.failures.is_told = true;
        }
        self.pending.bytes = done.rest;
        RETRY_INTERVAL
    }

    /// Waits for a write under way; leaves it alone when it takes too long.
    async fn settle(&mut self, writing: &mut Option<JoinHandle<Written>>, patience: Duration) {
        if writing.is_none() {
            return;
        }
        if let Ok(done) = time::timeout(patience, finished(writing)).await {
            self.note(done);
        } else {
            tracing::error!("a write to the access log {:?} stalls; {} lines may be lost", self.target, self.pending.lines);
            self.failures.stalled.increment();
            self.pending = Batch::default();
            self.file = None;
        }
        *writing = None;
    }

    /// The last lines.
    async fn finish(&mut self, mut writing: Option<JoinHandle<Written>>) {
        let all = async {
            loop {
                if writing.is_some() {
                    let done = finished(&mut writing).await;
                    writing = None;
                    if self.note(done) != VISIT_INTERVAL {
                        return;
                    }
                }
                writing = self.begin();
                if writing.is_none() {
                    return;
                }
            }
        };
        if time::timeout(FINISH_MAX, all).await.is_err() {
            tracing::error!("the access log's last lines could not be written in {FINISH_MAX:?}");
        }
    }
}

/// The end of a write; never, when there is none.
async fn finished(writing: &mut Option<JoinHandle<Written>>) -> Written {
    let Some(handle) = writing else { return core::future::pending().await };
    handle.await.unwrap_or_else(|error| Written { file: None, rest: Vec::new(), result: Err(Failure::Write(io::Error::other(error))) })
}

/// Opens the file if need be and appends all of `bytes`.
async fn write(target: LogTarget, file: Option<Rc<File>>, bytes: Vec<u8>) -> Written {
    let file = match file {
        Some(file) => file,
        None => match open(&target).await {
            Ok(file) => Rc::new(file),
            Err(error) => return Written { file: None, rest: bytes, result: Err(Failure::Open(error)) },
        },
    };
    let mut rest = bytes.slice_full();
    loop {
        // The position is the file's own: appending, or none for what has no positions.
        let (result, slice) = file.write_at(rest, u64::MAX).submit().await;
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            result => result,
        };
        match result {
            Ok(count) if count == slice.bytes_init() => return Written { file: Some(file), rest: Vec::new(), result: Ok(()) },
            Ok(count) => rest = after(slice, count),
            Err(error) => {
                let from = slice.begin();
                let mut bytes = slice.into_inner();
                bytes.drain(..from);
                return Written { file: Some(file), rest: bytes, result: Err(Failure::Write(error)) };
            }
        }
    }
}

/// What follows the first `count` bytes.
fn after(slice: Slice<Vec<u8>>, count: usize) -> Slice<Vec<u8>> {
    let from = slice.begin() + count;
    slice.into_inner().slice(from..)
}

async fn open(target: &LogTarget) -> io::Result<File> {
    match target {
        LogTarget::File(path) => tokio_uring::fs::OpenOptions::new().append(true).create(true).mode(MODE).open(path).await,
        LogTarget::Stdout => Ok(File::from_std(fs::File::from(io::stdout().as_fd().try_clone_to_owned()?))),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

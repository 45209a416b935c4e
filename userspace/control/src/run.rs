//! The control thread, from the first `READY` to the end of the drain.
//!
//! One loop takes every order in turn (files that changed, signals, the admin API's requests), so that no two configurations are applied at once.
//! What takes time is done at a desk; this thread only waits.

use alloc::{rc::Rc, sync::Arc};
use core::{fmt, sync::atomic::AtomicU64, time::Duration};
use std::{io, path::PathBuf, thread};

use stats::{Counter, Gauge, Histogram, Hub, LinesReader, Page, Reader, metrics};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    time::{self, Instant},
};

use crate::{
    Candidate, Doors, Engine,
    admin::{House, Lines, Office},
    clock,
    configuration::{Configuration, Outcome, Reading},
    desk::Desk,
    expiries::Expiries,
    log::{self, LogWriter},
    notify::{Notifier, Watchdog},
    rotation::Rotation,
    status::{Offer, Phase},
    watch::Watcher,
};

/// How much less of a contended CPU than a worker this thread gets.
const NICENESS: i32 = 5;
/// Orders that wait.
const ORDERS_MAX: usize = 8;
/// How long files are given to become a configuration: of a certificate and its key, one is always written first.
const DOUBT: Duration = Duration::from_secs(1);
/// How often the workers are asked for lines for the process's log.
const NOTICE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a drain is looked at.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// How control is to run.
#[derive(Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether `PUT /config` is allowed.
    pub is_config_api: bool,
    /// What `sluice_build_info` says.
    pub version: String,
}

/// What control holds of the rest of the process. The workers run, their sockets are bound, `candidate` is in force.
pub struct Handles {
    /// What is in force.
    pub candidate: Candidate,
    /// The admin API's sockets.
    pub doors: Doors,
    /// Where this thread's own counters go.
    pub hub: Hub,
    /// Everybody's counters.
    pub reader: Reader,
    /// The workers' access log lines.
    pub lines: Vec<LinesReader>,
    /// A number for each worker that its loop raises every turn, and at least once a second.
    pub heartbeats: Vec<Arc<AtomicU64>>,
    /// The workers.
    pub engine: Box<dyn Engine>,
    /// The next line that the workers have for the process's log.
    pub notices: Notices,
    /// Gives memory that the calling thread has freed back to the kernel.
    pub give_back: fn(),
}

/// Gives lines one after the other, as long as there are any.
pub type Notices = Box<dyn FnMut() -> Option<String> + Send>;

impl fmt::Debug for Handles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handles").field("workers", &self.heartbeats.len()).finish_non_exhaustive()
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything under way was finished, or ended by the drain timeout.
    Drained,
    /// A second signal came before that.
    Forced,
}

/// Why control could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime, a thread or a socket.
    #[error("the control side cannot start: {0}")]
    Start(#[from] io::Error),
    /// The control thread panicked.
    #[error("the control side ended by a panic")]
    Panicked,
}

/// What the loop is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the file again.
    Reload(Option<oneshot::Sender<Result<Outcome, Vec<String>>>>),
    /// Write the file and apply it.
    Put(String, oneshot::Sender<Result<Outcome, Vec<String>>>),
    /// Finish.
    Drain,
}

/// What the loop waits for.
enum Event {
    Changed(io::Result<()>),
    Order(Order),
    Signal(Meaning),
    /// What was wrong with the files has not been mended in time.
    Doubted,
    /// Ticket keys are due.
    Due,
    /// Nothing came for a while in a drain.
    Undrained,
}

/// Runs the control side on a niced thread of its own until the process may end: after SIGTERM, SIGINT or `POST /drain`.
pub fn run(options: Options, handles: Handles) -> Result<Ending, Error> {
    let work = move || tokio_uring::start(control(options, handles));
    thread::Builder::new().name("control".to_owned()).spawn(work)?.join().unwrap_or(Err(Error::Panicked))
}

async fn control(options: Options, handles: Handles) -> Result<Ending, Error> {
    let mut signals = Signals::new()?;
    let (mut conductor, orders) = Conductor::start(&options, handles)?;
    conductor.office.status.enter(Phase::Ready);
    conductor.counters.ready.set(1);
    conductor.notifier.ready();
    let ending = conductor.conduct(orders, &mut signals).await;
    conductor.finish_log().await;
    Ok(ending)
}

/// The loop's state.
struct Conductor {
    office: Rc<Office>,
    house: House,
    configuration: Desk<Configuration>,
    watcher: Option<Watcher>,
    watched: Vec<PathBuf>,
    doubt: Option<Doubt>,
    rotation: Rotation,
    notifier: Rc<Notifier>,
    counters: Counters,
}

/// Files that are no configuration, and may become one at any moment.
struct Doubt {
    until: Instant,
    /// What was wrong when they were read last.
    reasons: Vec<String>,
}

struct Counters {
    ready: Gauge,
    applied: Counter,
    rejected: Counter,
    generation: Gauge,
    took: Histogram,
    drains: Counter,
    expiries: Expiries,
}

impl Counters {
    fn new(page: Page, version: &str) -> Self {
        page.gauge(&metrics::BUILD_INFO, &[("version", version)]).set(1);
        page.gauge(&metrics::START_TIME, &[]).set(clock::seconds());
        Self {
            ready: page.gauge(&metrics::READY, &[]),
            applied: page.counter(&metrics::CONFIG_APPLIED, &[]),
            rejected: page.counter(&metrics::CONFIG_REJECTED, &[]),
            generation: page.gauge(&metrics::CONFIG_GENERATION, &[]),
            took: page.histogram(&metrics::CONFIG_APPLY_DURATION, &[]),
            drains: page.counter(&metrics::DRAIN_STARTED, &[]),
            expiries: Expiries::new(page),
        }
    }
}

impl Conductor {
    /// Sets everything going that runs beside the loop: desks, log, watchdog, admin API.
    fn start(options: &Options, handles: Handles) -> Result<(Self, mpsc::Receiver<Order>), Error> {
        let status = Arc::new(handles.candidate.status());
        let path = std::path::absolute(&options.config)?;
        let configuration = Configuration { path, engine: handles.engine, status: Arc::clone(&status) };
        // The next configuration may come in days: what it took to compile this one is not kept for it.
        let configuration = Desk::open("config", configuration, handles.give_back)?;
        // From here on every thread is niced; the one that compiles is not, or a new configuration would wait for the traffic.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!("the control thread cannot be niced: {error}");
        }
        let page = handles.hub.page();
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (log, log_orders) = mpsc::channel(ORDERS_MAX);
        let live = status.live();
        let target = live.snapshot.access_log.as_ref().map(|log| log.target.clone());
        tokio_uring::spawn(LogWriter::new(handles.lines, target, &page).run(log_orders));
        let notifier = Rc::new(Notifier::from_environment());
        let watchdog = Watchdog::from_environment(handles.heartbeats, &page);
        let watched_by = Rc::clone(&notifier);
        tokio_uring::spawn(async move { watchdog.watch(&watched_by).await });
        tokio_uring::spawn(write_notices(handles.notices));
        let lines = Lines { stats: Desk::open("stats", handles.reader, || ())?, orders, log };
        let office = Rc::new(Office::new(status, lines, options.is_config_api, &page));
        let mut counters = Counters::new(page, &options.version);
        counters.generation.set(i64::try_from(live.snapshot.generation).unwrap_or(i64::MAX));
        let mut watcher = Watcher::new().map_err(|error| tracing::error!("changed files are not noticed, only SIGHUP is: {error}")).ok();
        let watched = handles.candidate.watched;
        if let Some(watcher) = &mut watcher {
            watcher.watch(&watched);
        }
        counters.expiries.follow(&live.snapshot);
        let mut rotation = Rotation::default();
        rotation.follow(&live.snapshot, Instant::now());
        let house = House::serve(handles.doors, &office)?;
        let conductor = Self { house, office, configuration, watcher, watched, doubt: None, rotation, notifier, counters };
        Ok((conductor, inbox))
    }

    /// Takes what comes, one after the other, until the process may end.
    async fn conduct(&mut self, mut orders: mpsc::Receiver<Order>, signals: &mut Signals) -> Ending {
        // What changed between the first reading and the first watching.
        self.notice(Ok(())).await;
        loop {
            let is_draining = self.office.status.phase() == Phase::Draining;
            let doubted = self.doubt.as_ref().map(|doubt| doubt.until);
            let event = tokio::select! {
                changed = changed(&mut self.watcher) => Event::Changed(changed),
                Some(order) = orders.recv() => Event::Order(order),
                signal = signals.next() => Event::Signal(signal),
                () = reached(doubted) => Event::Doubted,
                () = reached(self.rotation.due()) => Event::Due,
                () = time::sleep(DRAIN_INTERVAL), if is_draining => Event::Undrained,
            };
            match event {
                Event::Changed(changed) => self.notice(changed).await,
                Event::Order(order) => self.follow(order).await,
                Event::Signal(Meaning::Stop) if is_draining => return Ending::Forced,
                Event::Signal(Meaning::Stop) => self.drain().await,
                Event::Signal(Meaning::Reload) => {
                    self.notifier.reloading();
                    self.follow(Order::Reload(None)).await;
                    self.notifier.ready();
                }
                Event::Signal(Meaning::Reopen) => drop(self.office.log.send(log::Order::Reopen).await),
                Event::Doubted => {
                    if let Some(doubt) = self.doubt.take() {
                        drop(self.refuse(Offer::File, doubt.reasons).await);
                    }
                }
                Event::Due => self.rotation.turn(Instant::now()),
                Event::Undrained => {
                    // A configuration desk that is gone has nothing left to drain.
                    if self.configuration.ask(|configuration| configuration.engine.is_drained()).await.unwrap_or(true) {
                        return Ending::Drained;
                    }
                }
            }
        }
    }

    async fn notice(&mut self, changed: io::Result<()>) {
        match changed {
            Ok(()) => drop(Box::pin(self.reload(false)).await),
            Err(error) => {
                tracing::error!("changed files are no longer noticed, only SIGHUP is: {error}");
                self.watcher = None;
            }
        }
    }

    async fn follow(&mut self, order: Order) {
        match order {
            Order::Reload(reply) => {
                let outcome = Box::pin(self.reload(true)).await;
                drop(reply.map(|reply| reply.send(outcome)));
            }
            Order::Put(text, reply) => drop(reply.send(Box::pin(self.put(text)).await)),
            Order::Drain => self.drain().await,
        }
    }

    /// Reads the files as they are now and applies them. Not forced, half-written files are left for later, and files that are no configuration
    /// are given time to become one.
    async fn reload(&mut self, is_forced: bool) -> Result<Outcome, Vec<String>> {
        let began = Instant::now();
        loop {
            let read = self.configuration.ask(|configuration| configuration.read()).await;
            let is_steady = self.watcher.as_mut().is_none_or(|watcher| watcher.is_steady().unwrap_or(true));
            if !is_forced && !is_steady {
                return Ok(Outcome::Unchanged);
            }
            let Reading { watched, candidate } =
                read.unwrap_or_else(|error| Reading { watched: None, candidate: Err(vec![error.to_string()]) });
            if let Some(watched) = watched.filter(|watched| *watched != self.watched) {
                // Other files than before: read again once they are watched, or a change in between would be missed.
                self.watched = watched;
                if let Some(watcher) = &mut self.watcher {
                    watcher.watch(&self.watched);
                }
                continue;
            }
            let doubt = self.doubt.take();
            return match candidate {
                Ok(candidate) => self.apply(candidate, Offer::File, began).await,
                Err(reasons) if is_forced => self.refuse(Offer::File, reasons).await,
                Err(reasons) => {
                    // However often it is still wrong, the time is that of the first.
                    let until = doubt.map_or_else(|| Instant::now() + DOUBT, |doubt| doubt.until);
                    self.doubt = Some(Doubt { until, reasons });
                    Ok(Outcome::Unchanged)
                }
            };
        }
    }

    /// Writes the file, then applies it; writes back what was there when it cannot be applied.
    async fn put(&mut self, text: String) -> Result<Outcome, Vec<String>> {
        let began = Instant::now();
        let written = self.configuration.ask(move |configuration| configuration.write(&text)).await;
        let (candidate, before) = match written.map_err(|error| vec![error.to_string()]).and_then(|written| written) {
            Ok(written) => written,
            Err(reasons) => return self.refuse(Offer::Request, reasons).await,
        };
        let outcome = self.apply(candidate, Offer::Request, began).await;
        if outcome.is_err()
            && let Ok(Err(error)) = self.configuration.ask(move |configuration| configuration.replace(&before)).await
        {
            tracing::error!("the configuration file could not be restored: {error}");
        }
        outcome
    }

    /// Opens the admin API's sockets, has the workers apply the candidate, then serves it here too: all of it or nothing.
    async fn apply(&mut self, candidate: Candidate, offer: Offer, began: Instant) -> Result<Outcome, Vec<String>> {
        if self.office.status.phase() == Phase::Draining {
            return Err(vec!["the process is draining".to_owned()]);
        }
        let snapshot = Arc::clone(candidate.snapshot());
        let doors = match self.house.prepare(&snapshot.admin) {
            Ok(doors) => doors,
            Err(error) => return self.refuse(offer, vec![error.to_string()]).await,
        };
        let applied = self.configuration.ask(move |configuration| configuration.apply(&candidate, offer)).await;
        match applied.map_err(|error| vec![error.to_string()]).and_then(|applied| applied) {
            Ok(Outcome::Unchanged) => Ok(Outcome::Unchanged),
            Ok(outcome) => {
                if let Err(error) = self.house.replace(doors, &self.office) {
                    tracing::error!("the admin API cannot serve its new sockets: {error}");
                }
                let target = snapshot.access_log.as_ref().map(|log| log.target.clone());
                drop(self.office.log.send(log::Order::Target(target)).await);
                self.rotation.follow(&snapshot, Instant::now());
                self.counters.expiries.follow(&snapshot);
                self.counters.applied.increment();
                self.counters.generation.set(i64::try_from(snapshot.generation).unwrap_or(i64::MAX));
                self.counters.took.record(began.elapsed());
                tracing::info!("configuration {} is in force after {:?}", snapshot.generation, began.elapsed());
                Ok(outcome)
            }
            Err(reasons) => self.refuse(offer, reasons).await,
        }
    }

    /// Says everywhere that a configuration was refused.
    async fn refuse(&self, offer: Offer, reasons: Vec<String>) -> Result<Outcome, Vec<String>> {
        self.counters.rejected.increment();
        tracing::error!("the configuration was refused; the one in force stays");
        for reason in &reasons {
            tracing::error!("{reason}");
        }
        let noted = reasons.clone();
        drop(self.configuration.ask(move |configuration| configuration.refuse(offer, noted)).await);
        Err(reasons)
    }

    async fn drain(&mut self) {
        if self.office.status.phase() == Phase::Draining {
            return;
        }
        tracing::info!("draining: what is under way is finished, nothing new is accepted");
        self.office.status.enter(Phase::Draining);
        self.counters.ready.set(0);
        self.counters.drains.increment();
        self.notifier.stopping();
        if self.configuration.ask(|configuration| configuration.engine.drain()).await.is_err() {
            tracing::error!("the workers could not be told to drain");
        }
    }

    async fn finish_log(&self) {
        let (done, finished) = oneshot::channel();
        if self.office.log.send(log::Order::Finish(done)).await.is_ok() {
            drop(finished.await);
        }
    }
}

/// Writes what the workers have to say.
async fn write_notices(mut notices: Notices) {
    loop {
        while let Some(notice) = notices() {
            tracing::warn!("{notice}");
        }
        time::sleep(NOTICE_INTERVAL).await;
    }
}

/// A moment; never, without one.
async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => core::future::pending().await,
    }
}

/// The next change; never, without a watcher.
async fn changed(watcher: &mut Option<Watcher>) -> io::Result<()> {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => core::future::pending().await,
    }
}

/// The signals that mean something. As PID 1 only signals with a handler arrive: these have one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

/// What a signal means.
#[derive(Clone, Copy)]
enum Meaning {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Reopen,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Meaning {
        tokio::select! {
            _ = self.terminate.recv() => Meaning::Stop,
            _ = self.interrupt.recv() => Meaning::Stop,
            _ = self.hangup.recv() => Meaning::Reload,
            _ = self.user.recv() => Meaning::Reopen,
        }
    }
}

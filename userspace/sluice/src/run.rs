//! `sluice run`: from the command line to the control loop, in the order that safety asks for.
//!
//! What an administrator must be told is told before anything listens. Rights are given up before any thread starts, because Linux gives and
//! takes them thread by thread: the one capability that is kept is what opening a low port takes, so that a later configuration may ask for one.

use std::{path::PathBuf, process::ExitCode, sync::Arc, thread};

use anyhow::{Context, Result};
use clap::Args;
use config::Snapshot;
use control::{Candidate, Doors, Ending, Engine, Handles};
use core::{num::NonZeroUsize, time::Duration};
use io::uring::Forced;
use stats::Hub;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use worker::{Fleet, FleetOptions};

use crate::{
    allocator,
    boot::{Instance, Rights, core_dumps, descriptors, reaper, rights},
    commands,
    kernel::{Kernel, KernelDesk},
    redirect,
    steer::Roster,
};

/// A drain that no listener limits.
const UNLIMITED: Duration = Duration::MAX;

/// How to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Threads that carry traffic [default: the configuration's `workers`, else as many as CPU affinity and quota allow]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// What this process is called on this host: a second one of the same name is refused [default: the configuration file's path]
    #[arg(long)]
    name: Option<String>,
    /// Let `PUT /config` on the admin socket write the configuration file
    #[arg(long)]
    config_api: bool,
    /// Let the kernel write core dumps: they hold whatever is in memory, keys and requests too
    #[arg(long)]
    allow_core: bool,
    /// What is said on standard error: `error`, `warn`, `info`, `debug` or `trace`, or `off`. In debug builds the kernel layer says at `debug` what becomes
    /// of each packet
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
    /// Do without a feature of the engine, as on a kernel that lacks it; may be given several times
    #[arg(long, value_name = "FEATURE")]
    without: Vec<String>,
}

/// The process's life.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    start_log(options.log_level);
    let mut forced = Forced::default();
    options.without.iter().try_for_each(|name| forced.set(name)).map_err(anyhow::Error::msg)?;
    let Some(candidate) = commands::read(&options.config) else { return Ok(ExitCode::FAILURE) };
    let snapshot = Arc::clone(candidate.snapshot());
    let workers = workers(options, &snapshot);
    let _instance = Instance::claim(options.name.as_deref(), &options.config)?;
    descriptors::prepare(&snapshot, workers);
    let doors = Doors::open(&snapshot.admin)?;
    let rights = Rights::of(&snapshot.process, !snapshot.vips.is_empty())?;
    snapshot.admin.socket.as_deref().map_or(Ok(()), |socket| rights.give(socket))?;
    let kernel = open_kernel(&snapshot)?;
    let redirects = if redirect::is_wanted(&snapshot) { Some(redirect::load(workers)) } else { None };
    rights.drop_others()?;
    reaper::start_if_first()?;
    core_dumps::set(options.allow_core)?;
    let handles = start(candidate, doors, Parts { workers, kernel, redirects }, forced)?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    tracing::info!("sluice {version} listens with {workers} workers");
    let options = control::Options { config: options.config.clone(), is_config_api: options.config_api, version };
    match control::run(options, handles)? {
        Ending::Drained => tracing::info!("drained"),
        Ending::Forced => tracing::warn!("ended before everything under way was finished"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines on standard error from now on, ours and the kernel layer's; not those of the loader of programs, which tells of each instruction that it
/// touches.
fn start_log(level: LevelFilter) {
    let loader = level.min(LevelFilter::INFO);
    let filter = Targets::new().with_default(level).with_target("aya", loader).with_target("aya_obj", loader);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// The kernel layer, where there are VIPs. Without the rights for it the listeners are served all the same, and that is said; a process that would
/// have nothing to do is refused.
fn open_kernel(snapshot: &Arc<Snapshot>) -> Result<Option<Kernel>> {
    if snapshot.vips.is_empty() {
        return Ok(None);
    }
    let missing = rights::missing_for_kernel_layer()?.join(", ");
    if missing.is_empty() {
        return Kernel::open(snapshot).map(Some);
    }
    if snapshot.listeners.is_empty() {
        // There is nothing to lose by trying: some kernels and containers give by another right.
        let kernel = Kernel::open(snapshot);
        return kernel.map(Some).with_context(|| format!("there are VIPs and no listeners, and this process has no {missing}"));
    }
    tracing::error!("no packets of VIPs are taken, only listeners are served: this process has no {missing}");
    Ok(None)
}

fn workers(options: &Options, snapshot: &Snapshot) -> usize {
    let configured = snapshot.process.workers.and_then(|workers| usize::try_from(workers).ok());
    let asked = options.workers.map(NonZeroUsize::get).or(configured);
    // Honours the affinity mask and the cgroup's CPU quota.
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get)).max(1)
}

/// What was made while there were the rights to.
struct Parts {
    workers: usize,
    kernel: Option<Kernel>,
    redirects: Option<Vec<Box<dyn io::Redirect + Send>>>,
}

/// Starts the workers; what control needs to know of them.
fn start(candidate: Candidate, doors: Doors, parts: Parts, forced: Forced) -> Result<Handles> {
    let Parts { workers, kernel, redirects } = parts;
    let has_redirects = redirects.is_some();
    let (hub, reader) = stats::stats();
    let (lines, line_readers) = (0..workers).map(|_| stats::lines()).unzip();
    let snapshot = Arc::clone(candidate.snapshot());
    let options =
        FleetOptions { hub: hub.clone(), lines, forced, redirects: redirects.unwrap_or_default(), give_back: allocator::give_back };
    let fleet = Fleet::start(&snapshot, options).context("the workers cannot start")?;
    let heartbeats = fleet.pulses().iter().map(|pulse| Arc::clone(&pulse.beats)).collect();
    let shared = Arc::clone(fleet.shared());
    let notices = Box::new(move || shared.notice());
    let kernel = kernel.map(|kernel| kernel.start(&hub, fleet.lookers())).transpose()?;
    let leaves_vips = kernel.is_none() && !snapshot.vips.is_empty();
    let mut workers = Workers { fleet, kernel, leaves_vips, has_redirects, snapshot: Arc::clone(&snapshot), hub: hub.clone() };
    workers.apply_in_kernel(&snapshot).map_err(anyhow::Error::msg)?;
    let engine = Box::new(workers);
    Ok(Handles { candidate, doors, hub, reader, lines: line_readers, heartbeats, engine, notices, give_back: allocator::give_back })
}

/// The workers as control knows them.
struct Workers {
    fleet: Fleet,
    kernel: Option<KernelDesk>,
    /// It began without the rights for VIPs, which was said.
    leaves_vips: bool,
    /// It was tried to have them; trying again would come to the same.
    has_redirects: bool,
    /// What is in force: it says how long a drain may take.
    snapshot: Arc<Snapshot>,
    /// For a kernel layer that begins later.
    hub: Hub,
}

impl Engine for Workers {
    fn apply(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), String> {
        if !self.has_redirects && redirect::is_wanted(snapshot) {
            self.has_redirects = true;
            self.fleet.shared().offer_redirects(redirect::load(self.fleet.pulses().len()));
        }
        self.fleet.apply(snapshot).map_err(|error| error.to_string())?;
        if let Err(reason) = self.apply_in_kernel(snapshot) {
            // All or nothing: its sockets are open still.
            if let Err(error) = self.fleet.apply(&self.snapshot) {
                tracing::error!("the workers cannot go back to the configuration before: {error}");
            }
            return Err(reason);
        }
        self.snapshot = Arc::clone(snapshot);
        Ok(())
    }

    fn drain(&mut self) {
        self.fleet.drain(drain_time(&self.snapshot));
    }

    fn is_drained(&mut self) -> bool {
        self.fleet.is_drained()
    }
}

impl Workers {
    /// The kernel layer begins with the first configuration that has VIPs; later ones are told to it, VIPs or not.
    fn apply_in_kernel(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), String> {
        if self.kernel.is_none() && !snapshot.vips.is_empty() && !self.leaves_vips {
            let kernel = Kernel::open(snapshot).and_then(|kernel| kernel.start(&self.hub, self.fleet.lookers()));
            let hint = "a process that has given up its rights needs a restart for its first VIPs";
            self.kernel = Some(kernel.map_err(|error| format!("the kernel layer: {error:#} ({hint})"))?);
        }
        let Some(kernel) = &self.kernel else { return Ok(()) };
        let roster = Roster::of(&self.fleet).map_err(|error| format!("the kernel layer: {error:#}"))?;
        kernel.apply(snapshot, roster)
    }
}

/// The longest that any listener allows.
fn drain_time(snapshot: &Snapshot) -> Duration {
    snapshot.listeners.values().map(|listener| listener.timeouts.drain.unwrap_or(UNLIMITED)).max().unwrap_or_default()
}

//! One proxy under one steady load: what a unit of work costs it.

use crate::interrupt;
use crate::load::{Load, Plan, Report};
use crate::meter::{self, Busy};
use crate::rig::Proxy;
use anyhow::Result;
use core::time::Duration;
use std::time::Instant;

/// Connections open and caches fill before the window.
const WARM: Duration = Duration::from_millis(200);
/// A CPU that is busier than this has nothing left to give.
const FULL: f64 = 0.97;

/// What was seen in one window.
pub(crate) struct Sample {
    pub(crate) units: f64,
    pub(crate) failed: u64,
    seconds: f64,
    cpu: Duration,
    busy: Busy,
    pub(crate) report: Report,
}

/// Load the proxy, and look at it for as long as `window`.
pub(crate) fn measure(proxy: &Proxy, plan: Plan, window: Duration) -> Result<Sample> {
    let load = Load::start(plan)?;
    interrupt::rest(WARM)?;
    load.record();
    let processes = proxy.group.processes();
    let begin = (Instant::now(), load.completed(), load.failed(), meter::cpu_time(&processes), Busy::now()?);
    interrupt::rest(window)?;
    let end = (Instant::now(), load.completed(), load.failed(), meter::cpu_time(&processes), Busy::now()?);
    #[expect(clippy::cast_precision_loss, reason = "counts of one window")]
    let units = (end.1 - begin.1) as f64;
    Ok(Sample {
        units,
        failed: end.2 - begin.2,
        seconds: (end.0 - begin.0).as_secs_f64(),
        cpu: end.3.saturating_sub(begin.3),
        busy: end.4 - begin.4,
        report: load.finish()?,
    })
}

impl Sample {
    /// CPU microseconds of the proxy's own threads for one unit.
    pub(crate) fn cpu_per_unit(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.units
    }

    /// Microseconds that the proxy's CPU was busy with anything, for one unit.
    pub(crate) fn busy_per_unit(&self) -> f64 {
        self.busy.proxy_cpu * 1e6 / self.units
    }

    /// Microseconds that both CPUs were busy with anything, the load's part included, for one unit.
    pub(crate) fn both_per_unit(&self) -> f64 {
        (self.busy.proxy_cpu + self.busy.load_cpu) * 1e6 / self.units
    }

    pub(crate) fn rate(&self) -> f64 {
        self.units / self.seconds
    }

    /// Load and origin had nothing left to give while the proxy had: the rate is theirs, not the proxy's.
    pub(crate) fn load_was_the_limit(&self) -> bool {
        self.load_cpu_share() > FULL && self.proxy_cpu_share() < FULL
    }

    pub(crate) fn proxy_cpu_share(&self) -> f64 {
        self.busy.proxy_cpu / self.seconds
    }

    pub(crate) fn load_cpu_share(&self) -> f64 {
        self.busy.load_cpu / self.seconds
    }
}

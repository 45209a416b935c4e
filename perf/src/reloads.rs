//! Six reloads in eight seconds under an open load: who is harmed, and how soon is each in force?
//!
//! Each changes a header of the route, the endpoints, a parameter of the listener, and adds or removes a listener.

use crate::interrupt;
use crate::load::{Load, Report, Shape};
use crate::peers::Peer;
use crate::plans::http;
use crate::rig::Rig;
use anyhow::Result;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::time::Instant;

const RELOADS: u64 = 6;
const PER_SECOND: f64 = 3000.0;
const CONNECTIONS: usize = 256;
const WARM: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(1250);

/// What six reloads did.
pub(crate) struct Outcome {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    /// Client connections that the proxy closed between requests.
    pub(crate) closed: u64,
    /// Versions that no answer ever carried.
    pub(crate) unseen: u64,
    /// From asking for the reload to the first answer of that version, the slowest, in milliseconds.
    pub(crate) slowest_ms: f64,
}

/// Measure a proxy of its own.
pub(crate) fn measure(rig: &Rig, peer: &Peer) -> Result<Outcome> {
    let mut proxy = rig.start(peer, 1)?;
    let shape = Shape::Paced { per_second: PER_SECOND };
    let load = Load::start(http(&proxy, CONNECTIONS, shape))?;
    interrupt::rest(WARM)?;
    let mut asked = Vec::new();
    for version in 1..=RELOADS {
        proxy.site.version = version;
        asked.push((version, Instant::now()));
        peer.reload(&proxy.site, &proxy.group)?;
        interrupt::rest(BETWEEN)?;
    }
    let (completed, failed) = (load.completed(), load.failed());
    let closed = load.tally.closed.load(Ordering::Relaxed);
    let report = load.finish()?;
    let delays: Vec<f64> = asked.iter().filter_map(|(version, at)| delay_ms(&report, *version, *at)).collect();
    Ok(Outcome { completed, failed, closed, unseen: RELOADS - delays.len() as u64, slowest_ms: delays.into_iter().fold(0.0, f64::max) })
}

fn delay_ms(report: &Report, version: u64, asked: Instant) -> Option<f64> {
    let (_, seen) = report.versions.iter().find(|(seen, _)| *seen == version)?;
    Some(seen.saturating_duration_since(asked).as_secs_f64() * 1e3)
}

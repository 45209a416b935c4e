//! What a silent connection costs in memory, and whether the memory comes back.

use crate::interrupt;
use crate::load::{Load, Plan, Shape};
use crate::meter;
use crate::peers::Peer;
use crate::rig::{Proxy, Rig};
use anyhow::{Result, bail};
use core::time::Duration;
use std::time::Instant;

/// As many as fit under the usual limit of 20 000 open files, with both ends of each on this machine.
const CONNECTIONS: usize = 9000;
const WARM: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(2);
const OPENING: Duration = Duration::from_mins(1);

/// Bytes of memory.
pub(crate) struct Memory {
    /// Anonymous memory for one idle keep-alive connection that has had one request.
    pub(crate) anonymous_each: f64,
    /// The kernel's slab for one, both ends of the connection and whatever the proxy registered.
    pub(crate) slab_each: f64,
    /// All of the proxy before the connections came.
    pub(crate) base: f64,
    /// After they left, as a multiple of `base`.
    pub(crate) after: f64,
}

/// Measure a proxy of its own, so that no other row has grown it, with connections of the kind that `plan` makes of it.
pub(crate) fn measure(rig: &Rig, peer: &Peer, plan: fn(&Proxy) -> Plan) -> Result<Memory> {
    let proxy = rig.start(peer, 1)?;
    let plan = plan(&proxy);
    warm(plan)?;
    let (base, slab_base) = read(&proxy)?;
    let load = Load::start(Plan { connections: CONNECTIONS, shape: Shape::Once, ..plan })?;
    wait_until_all_answered(&load)?;
    interrupt::rest(SETTLE)?;
    let (full, slab_full) = read(&proxy)?;
    drop(load);
    interrupt::rest(SETTLE)?;
    let (after, _) = read(&proxy)?;
    #[expect(clippy::cast_precision_loss, reason = "9 000")]
    let connections = CONNECTIONS as f64;
    Ok(Memory { anonymous_each: (full - base) / connections, slab_each: (slab_full - slab_base) / connections, base, after: after / base })
}

/// The first requests allocate what any request needs.
fn warm(plan: Plan) -> Result<()> {
    let load = Load::start(plan)?;
    interrupt::rest(WARM)?;
    drop(load);
    interrupt::rest(SETTLE)
}

fn wait_until_all_answered(load: &Load) -> Result<()> {
    let end = Instant::now() + OPENING;
    while load.completed() < CONNECTIONS as u64 {
        if load.failed() > 0 || Instant::now() > end {
            bail!("{} of {CONNECTIONS} idle connections stand, {} failed", load.completed(), load.failed());
        }
        interrupt::rest(Duration::from_millis(50))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "memory of one machine")]
fn read(proxy: &Proxy) -> Result<(f64, f64)> {
    Ok((meter::anonymous_bytes(&proxy.group.processes()) as f64, meter::slab_bytes()? as f64))
}

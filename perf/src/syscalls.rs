//! System calls per request, counted by the kernel's tracepoint in a pass of its own: counting costs time.

use crate::interrupt;
use crate::load::{Load, Plan};
use crate::rig::Proxy;
use anyhow::{Context, Result};
use core::time::Duration;
use std::process::Command;

const WARM: Duration = Duration::from_millis(300);
const WINDOW_SECONDS: &str = "1";

/// Calls that the proxy made for one completed request, or `None` where the kernel does not count them.
pub(crate) fn per_request(proxy: &Proxy, plan: Plan) -> Result<Option<f64>> {
    let load = Load::start(plan)?;
    interrupt::rest(WARM)?;
    let processes: Vec<String> = proxy.group.processes().iter().map(u32::to_string).collect();
    let before = load.completed();
    let output = Command::new("perf")
        .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &processes.join(",")])
        .args(["--", "sleep", WINDOW_SECONDS])
        .output()
        .context("cannot start perf")?;
    #[expect(clippy::cast_precision_loss, reason = "counts of one second")]
    let requests = (load.completed() - before) as f64;
    drop(load);
    let calls = counted(&String::from_utf8_lossy(&output.stderr));
    Ok(calls.map(|calls| calls / requests))
}

/// The count in `perf stat -x,`: `12345,,raw_syscalls:sys_enter,...`.
fn counted(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn reads_what_perf_says() {
        assert_eq!(counted("1234,,raw_syscalls:sys_enter,10,100.00,,\n"), Some(1234.0));
        assert_eq!(counted("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(counted("event syntax error"), None);
    }
}

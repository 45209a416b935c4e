//! What the kernel knows about time and memory of a process.
//!
//! CPU time is the first number of `/proc/PID/task/*/schedstat`: nanoseconds on a CPU, user and system, of every
//! thread, the kernel's own workers for the process's ring included, and softirq work done on its back.

use crate::rig::PROXY_CPU;
use anyhow::{Context, Result};
use core::ops::Sub;
use core::time::Duration;
use std::fs;

/// The kernel's clock tick in `/proc/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that all threads of these processes have used so far.
pub(crate) fn cpu_time(processes: &[u32]) -> Duration {
    let of_process = |process: &u32| -> u64 {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().filter_map(Result::ok);
        tasks.filter_map(|task| schedstat(&fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
    };
    Duration::from_nanos(processes.iter().map(of_process).sum())
}

/// The threads of a process that ran last on the CPU of the proxies, with their CPU time so far.
pub(crate) fn on_proxy_cpu(process: u32) -> impl Iterator<Item = (u32, Duration)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().filter_map(Result::ok);
    tasks.filter_map(|task| {
        let read = |file| fs::read_to_string(task.path().join(file)).ok();
        let is_there = last_cpu(&read("stat")?)? == PROXY_CPU;
        let thread = task.file_name().to_str()?.parse().ok()?;
        is_there.then_some((thread, Duration::from_nanos(schedstat(&read("schedstat")?)?)))
    })
}

/// Field 39; the name in parentheses, the second, may hold anything.
fn last_cpu(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)
}

fn schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Seconds that each CPU was busy so far: everything but idle, waiting for a disk, and stolen by the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Busy {
    pub(crate) proxy_cpu: f64,
    pub(crate) load_cpu: f64,
}

impl Busy {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let of = |cpu: &str| busy_seconds(&stat, cpu).with_context(|| format!("/proc/stat does not know {cpu}"));
        Ok(Self { proxy_cpu: of("cpu0")?, load_cpu: of("cpu1")? })
    }
}

impl Sub for Busy {
    type Output = Self;

    fn sub(self, rhs: Self) -> Self {
        Self { proxy_cpu: self.proxy_cpu - rhs.proxy_cpu, load_cpu: self.load_cpu - rhs.load_cpu }
    }
}

/// user, nice, system, (idle, iowait,) irq, softirq.
fn busy_seconds(stat: &str, cpu: &str) -> Option<f64> {
    let line = stat.lines().find(|line| line.split_whitespace().next() == Some(cpu))?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6].iter().map(|field| ticks.get(*field).copied().unwrap_or(0.0)).sum::<f64>();
    Some(busy / TICKS_PER_SECOND)
}

/// Anonymous memory of these processes that is in RAM, in bytes.
pub(crate) fn anonymous_bytes(processes: &[u32]) -> u64 {
    let of_process = |process: &u32| -> Option<u64> {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        kilobytes(&rollup, "Anonymous:").map(|kilobytes| kilobytes * 1024)
    };
    processes.iter().filter_map(of_process).sum()
}

/// The kernel's slab memory, of the whole machine, in bytes.
pub(crate) fn slab_bytes() -> Result<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    kilobytes(&meminfo, "Slab:").map(|kilobytes| kilobytes * 1024).context("/proc/meminfo does not know Slab")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{busy_seconds, kilobytes, last_cpu, schedstat};

    #[test]
    fn reads_the_kernels_tables() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 1 200 5000 7 3 96 50 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(busy_seconds(stat, "cpu0"), Some(4.0));
        assert_eq!(busy_seconds(stat, "cpu1"), Some(0.01));
        assert_eq!(busy_seconds(stat, "cpu2"), None);
        assert_eq!(kilobytes("Rss: 12 kB\nAnonymous:     3412 kB\n", "Anonymous:"), Some(3412));
        assert_eq!(kilobytes("Rss: 12 kB\n", "Anonymous:"), None);
        assert_eq!(schedstat("123456 789 3\n"), Some(123_456));
        let stat =
            "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1000 10 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0\n";
        assert_eq!(last_cpu(stat), Some("1"));
        assert_eq!(last_cpu("7 (a) S 1\n"), None);
    }
}

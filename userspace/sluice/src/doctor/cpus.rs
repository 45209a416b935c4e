//! How many CPUs there are, how many of them are ours, and so how many workers.

use core::num::NonZeroUsize;
use std::{collections::BTreeSet, thread};

use super::{Finding, network, read};

pub(super) fn look() -> Vec<Finding> {
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut findings: Vec<Finding> =
        read("/sys/devices/system/cpu/online").map(|list| Finding::ok("CPUs online", list)).into_iter().collect();
    findings.extend(affinity(&read("/proc/self/status").unwrap_or_default()).map(|list| Finding::ok("CPU affinity", list)));
    findings.push(quota(read("/proc/self/cgroup").as_deref().and_then(group_quota).as_deref()));
    findings.push(Finding::ok("workers unless told", workers));
    findings
}

/// The CPUs that workers may be on.
pub(super) fn ours() -> BTreeSet<usize> {
    affinity(&read("/proc/self/status").unwrap_or_default()).map(network::cpus).unwrap_or_default()
}

/// The CPUs that a process's status allows.
fn affinity(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(str::trim)
}

/// `cpu.max` of the process's own group.
fn group_quota(groups: &str) -> Option<String> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    read(&format!("/sys/fs/cgroup{}/cpu.max", path.trim_end_matches('/')))
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota(text: Option<&str>) -> Finding {
    let numbers = text.and_then(|text| {
        let (quota, period) = text.split_once(' ')?;
        Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok().filter(|period| *period > 0)?))
    });
    let Some((quota, period)) = numbers else { return Finding::ok("CPU quota", "none") };
    let advice = "workers are stopped together when it is used up: a quota of whole CPUs, or an affinity mask, keeps latency even";
    let value = format!("{}.{:02} CPUs", quota / period, quota % period * 100 / period);
    Finding::judge("CPU quota", value, quota % period == 0, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read() {
        let check = |text: Option<&str>, value: &str, in_order: bool| {
            let finding = quota(text);
            assert_eq!((finding.value.as_str(), finding.advice.is_none()), (value, in_order), "{text:?}");
        };
        check(None, "none", true);
        check(Some("max 100000"), "none", true);
        check(Some("200000 100000"), "2.00 CPUs", true);
        check(Some("150000 100000"), "1.50 CPUs", false);
        check(Some("5 0"), "none", true);
    }

    #[test]
    fn the_affinity_is_found() {
        assert_eq!(affinity("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n"), Some("0-1"));
        assert_eq!(affinity(""), None);
    }
}

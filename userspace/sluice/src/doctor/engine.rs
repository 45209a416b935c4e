//! The kernel's version and its io_uring, tried rather than believed.

use io::uring::{Features, Uring, UringOptions};
use rustix::{
    process::{Resource, getrlimit},
    system::uname,
};

use super::{Finding, read};

/// What the engine needs at least, and from where on it has everything.
const KERNEL_NEEDED: (u32, u32) = (6, 1);
const KERNEL_FULL: (u32, u32) = (6, 17);
/// A ring's own memory was counted here before kernel 5.12; some container runtimes still set next to nothing.
const MEMLOCK_LEAST: u64 = 64 << 10;
/// Twice the connections that a listener takes unless told otherwise, and some more.
const DESCRIPTORS_LEAST: u64 = 2 * 65_536 + 4_096;

pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![kernel(&uname().release().to_string_lossy())];
    findings.extend(read("/proc/sys/kernel/io_uring_disabled").map(|value| disabled(&value)));
    match Uring::new(UringOptions::default()) {
        Ok(uring) => findings.extend(features(uring.features())),
        Err(refusal) => findings.push(Finding::warn("io_uring", format_args!("refused: {}", refusal.cause), refusal.remedy)),
    }
    findings.push(memory_lock(getrlimit(Resource::Memlock).maximum));
    let files = getrlimit(Resource::Nofile);
    findings.push(descriptors(files.current, files.maximum));
    findings
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (needed, full) = (
        format_args!("{}.{}", KERNEL_NEEDED.0, KERNEL_NEEDED.1).to_string(),
        format_args!("{}.{}", KERNEL_FULL.0, KERNEL_FULL.1).to_string(),
    );
    if version < KERNEL_NEEDED {
        Finding::warn("kernel", release, format_args!("{needed} or later is needed"))
    } else if version < KERNEL_FULL {
        Finding::warn("kernel", release, format_args!("from {full} on the engine uses everything; it runs without"))
    } else {
        Finding::ok("kernel", release)
    }
}

fn disabled(value: &str) -> Finding {
    let advice = match value {
        "1" => {
            "only administrators and kernel.io_uring_group may use it: sysctl -w kernel.io_uring_disabled=0, or put sluice's group there"
        }
        _ => "sysctl -w kernel.io_uring_disabled=0",
    };
    Finding::judge("kernel.io_uring_disabled", value, value == "0", advice)
}

fn features(features: Features) -> Vec<Finding> {
    let Features { defer_taskrun, incremental_buffers, receive_credit, splice, kernel_tls } = features;
    [
        ("io_uring: defer_taskrun", defer_taskrun, "kernel 6.1"),
        ("io_uring: incremental_buffers", incremental_buffers, "kernel 6.12"),
        ("io_uring: receive_credit", receive_credit, "kernel 6.17"),
        ("io_uring: splice", splice, "any kernel"),
    ]
    .map(|(what, has, since)| Finding::judge(what, if has { "yes" } else { "no" }, has, format_args!("falls back; {since} has it")))
    .into_iter()
    // (Nothing is amiss without: it has to be asked for.)
    .chain([Finding::ok(
        "TLS in the kernel",
        if kernel_tls { "yes" } else { "no (encrypt_bodies: kernel does nothing; modprobe tls may help)" },
    )])
    .collect()
}

fn memory_lock(limit: Option<u64>) -> Finding {
    let in_order = limit.is_none_or(|limit| limit >= MEMLOCK_LEAST);
    Finding::judge("locked memory (hard)", bytes(limit), in_order, "LimitMEMLOCK=8M (systemd) or ulimit -l")
}

fn descriptors(soft: Option<u64>, hard: Option<u64>) -> Finding {
    let value = format_args!("{} soft, {} hard", number(soft), number(hard)).to_string();
    let in_order = hard.is_none_or(|hard| hard >= DESCRIPTORS_LEAST);
    Finding::judge("file descriptors", value, in_order, "LimitNOFILE=1048576 (systemd) or ulimit -Hn: each connection takes two")
}

fn number(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn bytes(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| format!("{} KiB", limit >> 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_by_number() {
        let check = |release: &str, advice: &str| {
            let finding = kernel(release);
            assert_eq!(finding.advice.is_none(), advice.is_empty(), "{finding}");
            assert!(finding.advice.unwrap_or_default().contains(advice), "{release}");
        };
        check("5.10.0-32-amd64", "is needed");
        check("6.1.0-41-amd64", "runs without");
        check("6.9.3", "runs without");
        check("6.17.0", "");
        check("6.18.44-fc-v595", "");
        check("10.0", "");
        check("strange", "is needed");
    }

    #[test]
    fn limits_are_judged() {
        assert!(descriptors(Some(1_024), Some(4_096)).advice.is_some());
        assert!(descriptors(Some(1_024), None).advice.is_none());
        assert!(memory_lock(Some(0)).advice.is_some());
        assert!(memory_lock(None).advice.is_none());
        assert!(disabled("0").advice.is_none());
        assert!(disabled("2").advice.is_some());
    }
}

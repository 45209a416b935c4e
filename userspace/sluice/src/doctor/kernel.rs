//! Settings of the kernel that decide how much traffic a host takes and what it costs. `packaging/sysctl.conf` sets them,
//! all but congestion control, which is the network's to choose.

use super::{Finding, read};

/// One setting: its name, whether a value is in order, and what to do where it is not.
struct Setting {
    name: &'static str,
    in_order: fn(&str) -> bool,
    advice: &'static str,
}

const SETTINGS: [Setting; 6] = [
    Setting {
        name: "net.core.somaxconn",
        in_order: |value| number(value) >= 4_096,
        advice: "a burst of connections is dropped: sysctl -w net.core.somaxconn=4096",
    },
    Setting {
        name: "net.ipv4.tcp_max_syn_backlog",
        in_order: |value| number(value) >= 4_096,
        advice: "a burst of connections is dropped: sysctl -w net.ipv4.tcp_max_syn_backlog=8192",
    },
    Setting {
        name: "net.ipv4.ip_local_port_range",
        in_order: |value| ports(value) >= 50_000,
        advice: "so many connections to one endpoint at most: sysctl -w net.ipv4.ip_local_port_range='10240 65535'",
    },
    Setting {
        name: "net.ipv4.tcp_congestion_control",
        in_order: |value| value != "bbr",
        advice: "cubic costs 3 to 5 % less CPU; keep bbr where paths lose packets",
    },
    Setting {
        name: "net.ipv4.tcp_migrate_req",
        in_order: |value| value == "1",
        advice: "connections that wait at a socket when it closes are reset: sysctl -w net.ipv4.tcp_migrate_req=1",
    },
    Setting {
        name: "net.ipv4.tcp_tw_reuse",
        in_order: |value| value == "1",
        advice: "ports of ended connections to endpoints rest a minute: sysctl -w net.ipv4.tcp_tw_reuse=1",
    },
];

/// Clocks that are read without entering the kernel.
const QUICK_CLOCKS: [&str; 5] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen"];

pub(super) fn look() -> Vec<Finding> {
    let mut findings: Vec<Finding> = SETTINGS.iter().filter_map(setting).collect();
    findings.extend(read("/sys/kernel/mm/transparent_hugepage/enabled").map(|value| huge_pages(&value)));
    findings.extend(read("/sys/devices/system/clocksource/clocksource0/current_clocksource").map(|value| clock(&value)));
    findings
}

/// `None` where this kernel, or this network namespace, has no such setting.
fn setting(setting: &Setting) -> Option<Finding> {
    let value = read(&format!("/proc/sys/{}", setting.name.replace('.', "/")))?;
    Some(judged(setting, &value))
}

fn judged(setting: &Setting, value: &str) -> Finding {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    let in_order = (setting.in_order)(&value);
    Finding::judge(setting.name, value, in_order, setting.advice)
}

fn huge_pages(value: &str) -> Finding {
    let chosen = value.split_whitespace().find(|word| word.starts_with('[')).unwrap_or(value).trim_matches(['[', ']']);
    let advice = "idle connections take more memory: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
    Finding::judge("transparent huge pages", chosen, chosen != "always", advice)
}

fn clock(value: &str) -> Finding {
    let advice = "reading the clock enters the kernel each time; boot with clocksource=tsc where the CPU's is stable";
    Finding::judge("clock source", value, QUICK_CLOCKS.contains(&value), advice)
}

/// How many ports `FIRST LAST` spans.
fn ports(value: &str) -> u64 {
    let mut bounds = value.split(' ').map(number);
    let (first, last) = (bounds.next().unwrap_or(0), bounds.next().unwrap_or(0));
    (last + 1).saturating_sub(first)
}

fn number(value: &str) -> u64 {
    value.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_judged() {
        let check = |name: &str, value: &str, in_order: bool| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
            assert_eq!(judged(setting, value).advice.is_none(), in_order, "{name} {value}");
        };
        check("net.core.somaxconn", "128", false);
        check("net.core.somaxconn", "4096", true);
        check("net.ipv4.ip_local_port_range", "32768\t60999", false);
        check("net.ipv4.ip_local_port_range", "10240\t65535", true);
        check("net.ipv4.tcp_congestion_control", "cubic", true);
        check("net.ipv4.tcp_congestion_control", "bbr", false);
        check("net.ipv4.tcp_migrate_req", "0", false);
        check("net.ipv4.tcp_tw_reuse", "2", false);
    }

    #[test]
    fn the_package_sets_what_is_asked_for() {
        let package = include_str!("../../../../packaging/sysctl.conf");
        for setting in SETTINGS.iter().filter(|setting| setting.name != "net.ipv4.tcp_congestion_control") {
            let value = package.lines().find_map(|line| line.strip_prefix(setting.name)?.trim_start().strip_prefix('='));
            assert_eq!(value.map(|value| judged(setting, value).advice), Some(None), "{}", setting.name);
        }
    }

    #[test]
    fn pages_and_clocks_are_judged() {
        assert_eq!(huge_pages("[always] madvise never").value, "always");
        assert!(huge_pages("[always] madvise never").advice.is_some());
        assert!(huge_pages("always [madvise] never").advice.is_none());
        assert!(clock("hpet").advice.is_some());
        assert!(clock("tsc").advice.is_none());
    }
}

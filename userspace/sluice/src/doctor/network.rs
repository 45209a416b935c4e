//! Interfaces: whether packets come to the CPUs that the workers are on, fit, and find their way on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use l4::{Hook, Place};

use super::Finding;

/// What is looked at, and for whom.
pub(super) struct Look<'a> {
    /// Where `/sys` and `/proc` are.
    pub(super) root: &'a Path,
    /// The CPUs of the workers.
    pub(super) cpus: &'a BTreeSet<usize>,
    /// Packets of VIPs are forwarded.
    pub(super) has_vips: bool,
    /// The XDP programs that are attached.
    pub(super) hooks: &'a [Hook],
    /// Interfaces whose card merges packets; `None` where the kernel does not tell.
    pub(super) merging: Option<&'a BTreeSet<String>>,
}

impl Look<'_> {
    /// Every interface that is up, but the loop.
    pub(super) fn interfaces(&self) -> Vec<Finding> {
        let names = fs::read_dir(self.root.join("sys/class/net")).map(|all| all.flatten().map(|one| one.file_name())).into_iter().flatten();
        let is_up = |name: &String| self.of(name, "operstate").is_some_and(|state| state != "down") && name != "lo";
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).filter(is_up).collect();
        names.sort();
        let mut findings: Vec<Finding> = names.iter().flat_map(|name| self.interface(name)).collect();
        findings.extend(self.sizes(&names));
        findings
    }

    fn interface(&self, name: &str) -> Vec<Finding> {
        let mut findings = vec![self.queues(name)];
        findings.extend(self.interrupts(name));
        findings.extend(self.merging(name));
        findings.extend(self.hooks.iter().filter(|hook| hook.interface == name).map(place));
        if self.has_vips {
            findings.extend(self.ways(name));
        }
        findings
    }

    /// Queues of which each can have a CPU of its own.
    fn queues(&self, name: &str) -> Finding {
        let folder = self.root.join("sys/class/net").join(name).join("queues");
        let queues: Vec<_> = fs::read_dir(folder).map(|all| all.flatten().map(|one| one.file_name()).collect()).unwrap_or_default();
        let count = |kind: &str| queues.iter().filter(|queue| queue.to_string_lossy().starts_with(kind)).count();
        let (receive, send) = (count("rx-"), count("tx-"));
        let in_order = receive >= self.cpus.len();
        let advice = format!("fewer than the {} CPUs of workers: ethtool -L {name} combined {0}, where it has them", self.cpus.len());
        Finding::judge(&format!("{name}: queues"), format_args!("{receive} in, {send} out"), in_order, advice)
    }

    /// Where its interrupts go; `None` where it has none of its own.
    fn interrupts(&self, name: &str) -> Option<Finding> {
        let folder = self.root.join("sys/class/net").join(name).join("device/msi_irqs");
        let numbers = fs::read_dir(folder).ok()?.flatten().filter_map(|one| one.file_name().into_string().ok());
        let list = |number: String| self.read(&format!("proc/irq/{number}/smp_affinity_list"));
        let cpus: BTreeSet<usize> = numbers.filter_map(list).flat_map(|list| cpus(&list)).collect();
        let in_order = self.cpus.is_subset(&cpus);
        let value = format!("to CPUs {}", text(&cpus));
        let advice = format!("workers are on CPUs {}: give each an interrupt of its own (/proc/irq/N/smp_affinity_list)", text(self.cpus));
        Some(Finding::judge(&format!("{name}: interrupts"), value, in_order, advice))
    }

    /// Whether the card makes larger packets of those that come.
    fn merging(&self, name: &str) -> Option<Finding> {
        let is_on = self.merging?.contains(name);
        let advice = format!("what the card has merged fits nowhere and cannot be forwarded: ethtool -K {name} lro off");
        Some(Finding::judge(&format!("{name}: LRO"), if is_on { "on" } else { "off" }, !is_on, advice))
    }

    /// What the kernel layer needs of an interface.
    fn ways(&self, name: &str) -> Vec<Finding> {
        let setting = |family: &str, setting: &str| self.read(&format!("proc/sys/net/{family}/conf/{name}/{setting}"));
        let forwarding = ["ipv4", "ipv6"].into_iter().filter_map(|family| {
            let value = setting(family, "forwarding")?;
            let advice = format!("origins behind it are not found: sysctl -w net.{family}.conf.{name}.forwarding=1");
            Some(Finding::judge(&format!("{name}: {family} forwarding"), &value, value != "0", advice))
        });
        let strict = |value: &Option<String>| value.as_deref() == Some("1");
        let all = self.read("proc/sys/net/ipv4/conf/all/rp_filter");
        // The larger of the two is in force.
        let filter = setting("ipv4", "rp_filter").map(|own| {
            let is_strict = (own == "1" && all.as_deref() != Some("2")) || (strict(&all) && own != "2");
            let advice = format!("what comes by another way than answers go is dropped: sysctl -w net.ipv4.conf.{name}.rp_filter=2");
            Finding::judge(&format!("{name}: rp_filter"), own, !is_strict, advice)
        });
        forwarding.chain(filter).collect()
    }

    /// How large packets may be.
    fn sizes(&self, names: &[String]) -> Option<Finding> {
        let sizes: BTreeSet<u32> = names.iter().filter_map(|name| self.of(name, "mtu")?.parse().ok()).collect();
        let (least, most) = (sizes.first()?, sizes.last()?);
        let advice = format!("what comes in by an interface of {most} may not fit one of {least}: it is cut or refused");
        let value = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Some(Finding::judge("MTU", value, least == most, advice))
    }

    fn of(&self, interface: &str, file: &str) -> Option<String> {
        self.read(&format!("sys/class/net/{interface}/{file}"))
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok().map(|text| text.trim().to_owned())
    }
}

/// How an XDP program is attached.
fn place(hook: &Hook) -> Finding {
    let (value, in_order) = match hook.place {
        Place::Native => ("native", true),
        Place::Generic => ("generic", false),
        Place::Hardware => ("hardware", true),
        Place::Several => ("several", true),
    };
    let advice = "the kernel makes a packet of each frame first, which native spares (`attach: native` says why it cannot be)";
    Finding::judge(&format!("{}: XDP", hook.interface), value, in_order, advice)
}

/// The CPUs of a list as the kernel writes it: `0-3,8`.
pub(super) fn cpus(list: &str) -> BTreeSet<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

fn text(cpus: &BTreeSet<usize>) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn what_is_out_of_order_is_told() {
        let good = [
            ("sys/class/net/lo/operstate", "unknown\n"),
            ("sys/class/net/gone/operstate", "down\n"),
            ("sys/class/net/eth0/operstate", "up\n"),
            ("sys/class/net/eth0/mtu", "1500\n"),
            ("sys/class/net/eth0/queues/rx-0/rps_cpus", ""),
            ("sys/class/net/eth0/queues/rx-1/rps_cpus", ""),
            ("sys/class/net/eth0/queues/tx-0/xps_cpus", ""),
            ("sys/class/net/eth0/device/msi_irqs/40", ""),
            ("sys/class/net/eth0/device/msi_irqs/41", ""),
            ("proc/irq/40/smp_affinity_list", "0\n"),
            ("proc/irq/41/smp_affinity_list", "1\n"),
            ("proc/sys/net/ipv4/conf/eth0/forwarding", "1\n"),
            ("proc/sys/net/ipv6/conf/eth0/forwarding", "1\n"),
            ("proc/sys/net/ipv4/conf/eth0/rp_filter", "0\n"),
            ("proc/sys/net/ipv4/conf/all/rp_filter", "0\n"),
        ];
        for (change, what) in [
            (&[][..], &[][..]),
            (&[("proc/irq/41/smp_affinity_list", "0\n")][..], &["eth0: interrupts"][..]),
            (&[("proc/sys/net/ipv6/conf/eth0/forwarding", "0\n")][..], &["eth0: ipv6 forwarding"][..]),
            (&[("proc/sys/net/ipv4/conf/all/rp_filter", "1\n")][..], &["eth0: rp_filter"][..]),
            (&[("sys/class/net/eth1/operstate", "unknown\n"), ("sys/class/net/eth1/mtu", "9000\n")][..], &["eth1: queues", "MTU"][..]),
        ] {
            let root = machine(&[&good[..], change].concat());
            let look = Look { root: root.path(), cpus: &cpus("0-1"), has_vips: true, hooks: &[], merging: None };
            let findings = look.interfaces();
            let told: Vec<&str> = findings.iter().filter(|one| one.advice.is_some()).map(|one| one.what.as_str()).collect();
            assert_eq!(told, what, "{change:?}");
            assert!(findings.iter().any(|one| one.to_string().starts_with("ok    eth0: queues")), "{change:?}");
        }
    }

    #[test]
    fn an_interface_says_how_packets_meet_its_program() {
        let root = machine(&[("sys/class/net/eth0/operstate", "up"), ("sys/class/net/eth1/operstate", "up")]);
        for (place, line) in [
            (Place::Native, "ok    eth0: XDP                      native"),
            (Place::Generic, "warn  eth0: XDP                      generic"),
        ] {
            let hooks = [Hook { interface: "eth0".to_owned(), place, program: Some(1) }];
            let look = Look { root: root.path(), cpus: &BTreeSet::new(), has_vips: false, hooks: &hooks, merging: None };
            let told: Vec<String> = look.interfaces().iter().map(ToString::to_string).filter(|told| told.contains("XDP")).collect();
            assert!(told.len() == 1 && told[0].starts_with(line), "{told:?}");
        }
    }

    #[test]
    fn cards_that_merge_packets_are_told() {
        let root = machine(&[("sys/class/net/eth0/operstate", "up"), ("sys/class/net/eth1/operstate", "up")]);
        let merging = BTreeSet::from(["eth1".to_owned()]);
        for (merging, expect) in [(Some(&merging), &["ok    eth0: LRO", "warn  eth1: LRO"][..]), (None, &[][..])] {
            let look = Look { root: root.path(), cpus: &BTreeSet::new(), has_vips: false, hooks: &[], merging };
            let told: Vec<String> = look.interfaces().iter().map(ToString::to_string).filter(|told| told.contains("LRO")).collect();
            assert!(told.len() == expect.len() && told.iter().zip(expect).all(|(told, expect)| told.starts_with(expect)), "{told:?}");
        }
    }

    #[test]
    fn nothing_is_asked_of_ways_without_vips() {
        let root = machine(&[("sys/class/net/eth0/operstate", "up"), ("proc/sys/net/ipv4/conf/eth0/forwarding", "0")]);
        let look = Look { root: root.path(), cpus: &BTreeSet::new(), has_vips: false, hooks: &[], merging: None };
        assert!(look.interfaces().iter().all(|one| one.advice.is_none()));
    }

    #[test]
    fn lists_of_cpus_are_read() {
        for (list, expect) in [("0", "0"), ("0-2,5\n", "0,1,2,5"), ("", ""), ("x,3", "3")] {
            assert_eq!(text(&cpus(list)), expect, "{list:?}");
        }
    }
}

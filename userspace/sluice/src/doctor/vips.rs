//! Who answers for the addresses of VIPs. Sluice claims none by itself: packets come because a router sends them here, or because this
//! machine has the address.

use std::net::IpAddr;

use config::{Snapshot, VipMode};
use nix::ifaddrs::getifaddrs;

use super::Finding;

/// Each address of each VIP.
pub(super) fn look(snapshot: &Snapshot) -> Vec<Finding> {
    let ours = addresses();
    let mut findings = Vec::new();
    for vip in snapshot.vips.values() {
        let is_terminated = matches!(vip.mode, VipMode::Terminate(_));
        for address in &vip.addresses {
            let interface = ours.iter().find_map(|(interface, own)| (own == address).then_some(interface.as_str()));
            findings.push(judge(&format!("vip {}: {address}", vip.name), interface, is_terminated));
        }
    }
    findings
}

fn judge(what: &str, interface: Option<&str>, is_terminated: bool) -> Finding {
    match interface {
        None => {
            Finding::ok(what, "no address of this machine: a router has to send its packets here, by a route or as it is announced (BGP)")
        }
        Some("lo") => {
            Finding::ok(what, "on lo: answered for at any interface unless arp_ignore is 1; else by a route or as it is announced")
        }
        Some(interface) if is_terminated => Finding::ok(what, format_args!("this machine answers ARP and ND for it at {interface}")),
        Some(interface) => {
            let advice = "what the kernel layer lets go by, this machine's own stack answers: let a router send its packets here instead";
            Finding::warn(what, format_args!("this machine answers ARP and ND for it at {interface}"), advice)
        }
    }
}

/// This machine's addresses and where they are.
fn addresses() -> Vec<(String, IpAddr)> {
    let all = getifaddrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let ip = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        Some((one.interface_name, v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))?))
    };
    all.into_iter().filter_map(ip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_told() {
        for (interface, is_terminated, has_advice, text) in [
            (None, false, false, "a router"),
            (None, true, false, "a router"),
            (Some("lo"), false, false, "on lo"),
            (Some("eth0"), true, false, "at eth0"),
            (Some("eth0"), false, true, "at eth0"),
        ] {
            let finding = judge("vip shop: 203.0.113.10", interface, is_terminated);
            assert_eq!(finding.advice.is_some(), has_advice, "{finding}");
            assert!(finding.value.contains(text), "{finding}");
        }
    }
}

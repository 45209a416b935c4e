//! What holds for the kernel layer of this machine.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashSet;

use super::{Compiler, share};
use crate::document::{self, GuardList as Listed};
use crate::snapshot::{Cookies, GuardList, L4, L4Limits, Name, Pool};

/// Slots remember for whole seconds.
const SETTLE_MIN: Duration = Duration::from_secs(1);

impl Compiler<'_> {
    pub(super) fn compile_l4(&mut self, root: &document::Root) -> Arc<L4> {
        let l4 = &root.l4;
        let source_v4 = l4.source.iter().find_map(|address| if let IpAddr::V4(address) = address { Some(*address) } else { None });
        let source_v6 = l4.source.iter().find_map(|address| if let IpAddr::V6(address) = address { Some(*address) } else { None });
        if l4.source.len() > usize::from(source_v4.is_some()) + usize::from(source_v6.is_some()) {
            self.reader.reject(l4.source.at, "at most one address of each family is the source of envelopes");
        }
        if l4.settle.0 < SETTLE_MIN {
            self.reader.reject(l4.at, "settle is a second at least");
        }
        let node = if l4.node.0 < l4.nodes.0 { l4.node.0 } else { 0 };
        if node != l4.node.0 {
            self.reader.reject(l4.node.at, format_args!("nodes are counted from 0, and there are {}", l4.nodes.0));
        }
        let new = L4 {
            interfaces: l4.interfaces.iter().map(|interface| interface.0.clone()).collect(),
            attach: l4.attach,
            instance: (*l4.instance.0).into(),
            source_v4,
            source_v6,
            hash_seed: l4.hash_seed.0,
            table_size: l4.table_size.0,
            settle: l4.settle.0,
            pools: self.pools(l4, node),
            limits: limits(&l4.limits),
            cookies: self.cookies(&l4.cookies),
            deny: guard_list(&l4.guards.deny),
            allow: guard_list(&l4.guards.allow),
        };
        share(new, self.previous.map(|previous| &previous.l4))
    }

    fn pools(&mut self, l4: &document::L4, node: u32) -> BTreeMap<Name, Pool> {
        let mut seen = HashSet::new();
        let mut pools = BTreeMap::new();
        for entry in &l4.pools.entries {
            let pool = &entry.value;
            if self.reader.is_empty(pool.addresses.at) {
                self.reader.reject(pool.addresses.at, "a pool needs at least one address");
            }
            for address in &*pool.addresses {
                if !seen.insert(address.value) {
                    self.reader.reject(address.at, format_args!("the address {} stands in a pool already", address.value));
                }
            }
            if let Some((first, last)) = part(pool.ports.first, pool.ports.last, node, l4.nodes.0) {
                let addresses = pool.addresses.iter().map(|address| address.value).collect();
                let pool = Pool { addresses, first, last, tcp_idle: pool.tcp_idle.0, udp_idle: pool.udp_idle.0 };
                pools.insert(entry.key.clone(), pool);
            } else {
                // The default, which stands nowhere, is enough for everybody.
                self.reader.reject(pool.ports.at, "there are more nodes than ports");
            }
        }
        pools
    }

    fn cookies(&mut self, cookies: &document::Cookies) -> Option<Cookies> {
        let above = cookies.above.0;
        if let Some(below) = &cookies.below
            && above.is_none_or(|above| below.0 > above)
        {
            self.reader.reject(below.at, "below is a rate that is not above `above`");
        }
        let above = above?;
        Some(Cookies { above, below: cookies.below.as_ref().map_or(above / 2, |below| below.0), trickle: cookies.trickle.0 })
    }
}

/// A node's part of a range of ports: all parts of one size, what is left over is nobody's.
fn part(first: u16, last: u16, node: u32, nodes: u32) -> Option<(u16, u16)> {
    let each = (u32::from(last - first) + 1) / nodes;
    let first = u32::from(first) + node * each;
    let last = first + each.checked_sub(1)?;
    Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?))
}

fn limits(limits: &document::L4Limits) -> L4Limits {
    L4Limits {
        pins: limits.pins.0,
        fragments: limits.fragments.0,
        nat_flows: limits.nat_flows.0,
        echo: limits.echo.0,
        icmp_errors: limits.icmp_errors.0,
        source_connections: limits.source_connections.0,
        source_packets: limits.source_packets.0,
        sample_one_in: limits.sample_one_in.0,
    }
}

fn guard_list(list: &Listed) -> GuardList {
    GuardList { file: list.file.as_ref().map(|file| file.0.clone()), blocks: list.blocks.iter().map(|block| block.0).collect() }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn nodes_share_ports_without_overlap() {
        for (range, nodes, expect) in [
            ((1_024, 65_535), 1, vec![Some((1_024, 65_535))]),
            ((1_000, 1_009), 3, vec![Some((1_000, 1_002)), Some((1_003, 1_005)), Some((1_006, 1_008))]),
            ((7, 8), 2, vec![Some((7, 7)), Some((8, 8))]),
            ((7, 7), 2, vec![None, None]),
        ] {
            let parts: Vec<_> = (0..nodes).map(|node| part(range.0, range.1, node, nodes)).collect();
            assert_eq!(parts, expect, "{range:?} of {nodes}");
        }
    }
}

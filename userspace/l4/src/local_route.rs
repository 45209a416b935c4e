//! Local routes: what makes this machine take packets of an address that no interface has, so that a listener of ours can have them.
//!
//! Each is marked as ours and as this instance's, so that a later process finds those of an earlier one: they stay when a process dies, and go with
//! their VIP or with `sluice l4 unload`. Spoken to the kernel by rtnetlink; nothing here touches a route that is not marked so.

use alloc::{collections::BTreeSet, vec};
use core::net::IpAddr;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io;

use crate::netlink::Netlink;

/// The local routes of one instance.
pub struct LocalRoutes {
    netlink: Netlink,
    /// The routes' metric: whose they are.
    mark: u32,
}

/// Who made a route, as `ip route` shows it: a number that nobody else has in `rt_protos`.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(83);
/// The loopback interface's number, in every namespace.
const LOOPBACK: u32 = 1;
/// The table of what a machine takes for its own.
const TABLE_LOCAL: u8 = 255;

impl LocalRoutes {
    /// Those of the instance of this name, in this network namespace. Changing them takes `CAP_NET_ADMIN`.
    pub fn open(instance: &str) -> io::Result<Self> {
        // The sign bit stays clear: tools show metrics as signed numbers.
        let mark = instance.bytes().fold(0x811c_9dc5_u32, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193)) >> 1 | 1;
        Ok(Self { netlink: Netlink::route()?, mark })
    }

    /// Makes these the instance's routes: adds what is missing, removes what is too much.
    pub fn set(&mut self, wanted: &BTreeSet<IpAddr>) -> io::Result<()> {
        let there = self.list()?;
        for address in there.difference(wanted) {
            match self.netlink.ask(RouteNetlinkMessage::DelRoute(self.route(*address)), NLM_F_ACK, |_| ()) {
                // Gone already: somebody was quicker.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                done => done?,
            }
        }
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        wanted
            .difference(&there)
            .try_for_each(|address| self.netlink.ask(RouteNetlinkMessage::NewRoute(self.route(*address)), flags, |_| ()))
    }

    /// The instance's routes.
    pub fn list(&mut self) -> io::Result<BTreeSet<IpAddr>> {
        let mut all = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header = RouteHeader { address_family: family, table: TABLE_LOCAL, ..RouteHeader::default() };
            self.netlink.ask(RouteNetlinkMessage::GetRoute(question), NLM_F_DUMP, |answer| {
                if let RouteNetlinkMessage::NewRoute(route) = answer {
                    all.extend(ours(route, self.mark));
                }
            })?;
        }
        Ok(all)
    }

    /// The route that brings packets of an address here.
    fn route(&self, address: IpAddr) -> RouteMessage {
        let (address_family, bits) = if address.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
        let mut route = RouteMessage::default();
        route.header = RouteHeader {
            address_family,
            destination_prefix_length: bits,
            table: TABLE_LOCAL,
            protocol: PROTOCOL,
            scope: RouteScope::Host,
            kind: RouteType::Local,
            ..RouteHeader::default()
        };
        let destination = RouteAttribute::Destination(RouteAddress::from(address));
        route.attributes = vec![destination, RouteAttribute::Oif(LOOPBACK), RouteAttribute::Priority(self.mark)];
        route
    }
}

/// The address of a route that is ours.
fn ours(route: &RouteMessage, mark: u32) -> Option<IpAddr> {
    let header = &route.header;
    if header.table != TABLE_LOCAL || header.protocol != PROTOCOL || header.kind != RouteType::Local {
        return None;
    }
    if !route.attributes.contains(&RouteAttribute::Priority(mark)) {
        return None;
    }
    route.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Destination(address) = attribute else { return None };
        match address {
            RouteAddress::Inet(address) => Some(IpAddr::from(*address)),
            RouteAddress::Inet6(address) => Some(IpAddr::from(*address)),
            RouteAddress::Mpls(_) | RouteAddress::Other(_) | _ => None,
        }
    })
}

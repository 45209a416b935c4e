//! The world that the tables are written in: one node, a VIP of both families, three origins of each.

use crate::kernel::Kernel;
use abi::{Address, Backend, PortKey, PortRange, Ports, Service, Settings, protocols};
use std::net::IpAddr;

/// A client.
pub const CLIENT4: &str = "198.51.100.7";
/// A client.
pub const CLIENT6: &str = "2001:db8:c::7";
/// The VIP.
pub const VIP4: &str = "203.0.113.10";
/// The VIP.
pub const VIP6: &str = "2001:db8::10";
/// This node.
pub const NODE4: &str = "10.0.0.2";
/// This node.
pub const NODE6: &str = "fd00::2";

/// The table of all services here.
pub const TABLE: u32 = 3;
/// The service's number.
pub const SERVICE: u32 = 9;
/// The port that is exact.
pub const PORT: u16 = 443;
/// A port in a range.
pub const RANGED: u16 = 8085;

/// The address of a text.
///
/// # Panics
/// When it is none.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The same for maps.
pub fn address(text: &str) -> Address {
    ip(text).into()
}

/// Origins 1 to 3 are `10.0.1.N`, 11 to 13 `fd00:1::N`; their MACs end in their number.
pub fn origin(number: u8) -> Backend {
    let text = if number < 10 { format!("10.0.1.{number}") } else { format!("fd00:1::{number:x}") };
    Backend { address: address(&text), mac: origin_mac(number), ..Backend::default() }
}

/// The MAC of an origin.
pub const fn origin_mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 1, 0, number]
}

/// What holds unless a test says otherwise.
pub fn settings() -> Settings {
    Settings {
        layout: abi::LAYOUT,
        slots: crate::kernel::SLOTS,
        hash_seed: 7,
        cpus: 1,
        source_v4: address(NODE4),
        source_v6: address(NODE6),
        pin_writes_per_s: 1000,
        fragment_writes_per_s: 1000,
        nat_writes_per_s: 1000,
        echo_per_s: 1000,
        icmp_errors_per_s: 1000,
        ..Settings::default()
    }
}

/// A balancer with one VIP of both families, TCP and UDP, [`PORT`] and 8080 to 8090: all slots at home with `owner`.
pub fn world(service: Service, owner: u32) -> Kernel {
    let mut kernel = Kernel::load();
    furnish(&mut kernel, service, owner);
    kernel
}

/// The same in maps that are there already.
pub fn furnish(kernel: &mut Kernel, service: Service, owner: u32) {
    kernel.settings(settings());
    for number in [1, 2, 3, 11, 12, 13] {
        kernel.backend(u32::from(number), origin(number));
    }
    kernel.table(TABLE, |_| owner);
    kernel.service(SERVICE, Service { table: TABLE, ..service });
    for vip in [VIP4, VIP6] {
        for protocol in [protocols::TCP, protocols::UDP] {
            kernel.port(PortKey::new(address(vip), protocol, PORT), SERVICE);
            let mut ports = Ports { count: 1, ..Ports::default() };
            ports.ranges[0] = PortRange { first: 8080, last: 8090, service: SERVICE };
            kernel.address(PortKey::new(address(vip), protocol, 0), ports);
        }
    }
}

//! How the service of an address and port is found, by whichever program. The maps themselves stand with each program that has them, under the same
//! names: the loader gives all of them the same ones.
#![expect(unsafe_code, reason = "map values are memory that the kernel lends: each access says why it is right")]

use abi::{NO_SERVICE, PortKey, Ports, Service, limits};
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::btf_maps::{Array, HashMap};

/// A map that takes memory as it fills.
pub const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

/// `PORTS`: exact ports.
pub type PortMap = HashMap<PortKey, u32, { limits::PORTS as usize }, NO_PREALLOC>;
/// `ADDRESSES`: what an address and protocol have beside; the key's port is 0.
pub type AddressMap = HashMap<PortKey, Ports, { limits::ADDRESSES as usize }, NO_PREALLOC>;
/// `SERVICES`: by number.
pub type ServiceMap = Array<Service, { limits::SERVICES as usize }>;

/// The service of an exact port.
#[inline(always)]
pub fn exact(ports: &PortMap, key: &PortKey) -> Option<u32> {
    // SAFETY: an entry is freed only after all programs that run now have ended; it is never written in place.
    unsafe { ports.get(key) }.copied()
}

/// What an address and protocol have beside exact ports; the key's port is 0.
#[inline(always)]
pub fn beside(addresses: &'static AddressMap, key: &PortKey) -> Option<&'static Ports> {
    // SAFETY: as in `exact`.
    unsafe { addresses.get(key) }
}

/// The number of the service of a port, which is in the network's order of bytes: an exact one, else by range; the key's port is 0.
#[inline(always)]
pub fn number(ports: &PortMap, addresses: &'static AddressMap, mut key: PortKey, port: u16) -> u32 {
    key.port = port;
    if let Some(number) = exact(ports, &key) {
        return number;
    }
    key.port = 0;
    beside(addresses, &key).map_or(NO_SERVICE, |ports| ports.service_of(u16::from_be(port)))
}

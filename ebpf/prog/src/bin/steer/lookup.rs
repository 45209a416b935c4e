//! Which listener takes a connection to a VIP? The one that the VIP is terminated by, whatever address and port it is bound to.
#![expect(unsafe_code, reason = "the kernel's question is raw memory")]
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "fields of one question")]

use crate::maps;
use abi::{Address, MODE_TERMINATE, NO_SERVICE, PortKey, SteerCount, protocols};
use aya_ebpf::programs::SkLookupContext;

const AF_INET: u32 = 2;

/// Assign the VIP's listener, if it is a VIP's connection at all.
#[inline(always)]
pub(crate) fn assign(context: &SkLookupContext) {
    let question = context.lookup;
    // SAFETY: a live context. All of it before any choice, and volatile: else the compiler would choose a place to read from, and the kernel
    // lets nobody calculate with this pointer.
    let (protocol, family, v4, v6, port) = unsafe {
        (
            (&raw const (*question).protocol).read_volatile(),
            (&raw const (*question).family).read_volatile(),
            (&raw const (*question).local_ip4).read_volatile(),
            [0, 1, 2, 3].map(|word: usize| (&raw const (*question).local_ip6[word]).read_volatile()),
            (&raw const (*question).local_port).read_volatile(),
        )
    };
    if protocol != u32::from(protocols::TCP) {
        return;
    }
    let address = if family == AF_INET { Address::from_v4_word(v4) } else { Address(v6) };
    let key = PortKey { address, port: 0, protocol: protocols::TCP, padding: 0 };
    let service = maps::service_number(key, (port as u16).to_be());
    if service == NO_SERVICE || maps::service(service).is_none_or(|service| service.mode != MODE_TERMINATE) {
        return;
    }
    let found = maps::group(service).is_some_and(|group| maps::assign(context, group));
    maps::count(if found { SteerCount::Listener } else { SteerCount::NoListener });
}

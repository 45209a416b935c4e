//! Which worker takes a connection? The one of the CPU that got its packet: everything about it is in that CPU's caches, and nobody is
//! woken on another one. By hash where that CPU has none, or its worker holds more than its part.
#![expect(unsafe_code, reason = "the kernel's question is raw memory, the CPU's number a helper")]
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "fields of one socket")]

use crate::maps;
use abi::{Address, Bind, STEER_WORKERS, SteerCount};
use aya_ebpf::helpers;
use aya_ebpf::programs::SkReuseportContext;

const AF_INET: u32 = 2;

/// Select a socket of the group.
#[inline(always)]
pub(crate) fn select(context: &SkReuseportContext) {
    let Some(group) = maps::group_of(&bind(context)) else { return };
    // SAFETY: takes nothing.
    let cpu = unsafe { helpers::bpf_get_smp_processor_id() };
    let why = match maps::worker_of(cpu) {
        None => SteerCount::NoWorker,
        Some(worker) if maps::is_full(worker) => SteerCount::Full,
        Some(worker) => {
            if maps::select(context, group * STEER_WORKERS + worker) {
                maps::count(SteerCount::ByCpu);
                return;
            }
            SteerCount::NoWorker
        }
    };
    let workers = maps::workers();
    let worker = ((u64::from(context.hash()) * u64::from(workers)) >> 32) as u32;
    // Where that fails too, the kernel's own hash decides.
    let _selected = maps::select(context, group * STEER_WORKERS + worker);
    maps::count(why);
}

/// What the group is bound to.
#[inline(always)]
fn bind(context: &SkReuseportContext) -> Bind {
    let socket = context.sk().sock;
    // SAFETY: the kernel's socket, for reading. All of it before any choice, and volatile: else the compiler would choose a place to read from,
    // and the kernel lets nobody calculate with this pointer.
    let (family, port, v4, v6) = unsafe {
        (
            (&raw const (*socket).family).read_volatile(),
            (&raw const (*socket).src_port).read_volatile(),
            (&raw const (*socket).src_ip4).read_volatile(),
            [0, 1, 2, 3].map(|word: usize| (&raw const (*socket).src_ip6[word]).read_volatile()),
        )
    };
    Bind { address: if family == AF_INET { Address::from_v4_word(v4) } else { Address(v6) }, port }
}

//! The maps of steering; the first three are the balancer's own.
#![expect(unsafe_code, reason = "map values are memory that the kernel lends: each access says why it is right")]

use abi::{Bind, PortKey, STEER_CPUS, STEER_GROUPS, STEER_WORKERS, Service, SteerCount, limits};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, SockMap};
use aya_ebpf::helpers;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::{SkLookupContext, SkReuseportContext};
use core::ffi::c_void;
use prog::services::{self, AddressMap, PortMap, ServiceMap};

#[btf_map]
static PORTS: PortMap = PortMap::new();
#[btf_map]
static ADDRESSES: AddressMap = AddressMap::new();
#[btf_map]
static SERVICES: ServiceMap = ServiceMap::new();
#[btf_map]
static SERVICE_GROUPS: Array<u32, { limits::SERVICES as usize }> = Array::new();
#[btf_map]
static BINDS: HashMap<Bind, u32, { STEER_GROUPS as usize }> = HashMap::new();
#[btf_map]
static WORKER_SOCKETS: SockMap<{ (STEER_GROUPS * STEER_WORKERS) as usize }> = SockMap::new();
#[btf_map]
static CPU_WORKERS: Array<u32, { STEER_CPUS as usize }> = Array::new();
#[btf_map]
static FULL: Array<u32, { STEER_WORKERS as usize }> = Array::new();
#[btf_map]
static WORKERS: Array<u32, 1> = Array::new();
#[btf_map]
static STEERED: PerCpuArray<u64, { SteerCount::ALL.len() }> = PerCpuArray::new();

/// The number of the service of a port; the key's own is 0.
#[inline(always)]
pub(crate) fn service_number(key: PortKey, port: u16) -> u32 {
    services::number(&PORTS, &ADDRESSES, key, port)
}

/// A service by its number.
#[inline(always)]
pub(crate) fn service(number: u32) -> Option<&'static Service> {
    SERVICES.get(number)
}

/// The group that takes a service's connections.
#[inline(always)]
pub(crate) fn group(service: u32) -> Option<u32> {
    SERVICE_GROUPS.get(service).and_then(|group| group.checked_sub(1))
}

/// Give a connection to a group; false when it has no socket.
#[inline(always)]
pub(crate) fn assign(context: &SkLookupContext, group: u32) -> bool {
    WORKER_SOCKETS.redirect_sk_lookup(context, group * STEER_WORKERS, 0).is_ok()
}

/// The group that is bound so.
#[inline(always)]
pub(crate) fn group_of(bind: &Bind) -> Option<u32> {
    // SAFETY: copied at once.
    unsafe { BINDS.get(bind) }.copied()
}

/// The worker of a CPU.
#[inline(always)]
pub(crate) fn worker_of(cpu: u32) -> Option<u32> {
    CPU_WORKERS.get(cpu).and_then(|worker| worker.checked_sub(1))
}

/// Does a worker hold more than its part?
#[inline(always)]
pub(crate) fn is_full(worker: u32) -> bool {
    FULL.get(worker).is_some_and(|full| *full != 0)
}

/// How many workers there are.
#[inline(always)]
pub(crate) fn workers() -> u32 {
    WORKERS.get(0).copied().unwrap_or(0)
}

/// Select a socket; false when there is none.
#[inline(always)]
pub(crate) fn select(context: &SkReuseportContext, socket: u32) -> bool {
    let (map, mut key) = (core::ptr::from_ref(&WORKER_SOCKETS).cast_mut().cast::<c_void>(), socket);
    // SAFETY: a live context, a map of sockets and a key of its size. (A socket can be in one map alone, and `lookup` needs it in one of this kind.)
    unsafe { helpers::bpf_sk_select_reuseport(context.md, map, (&raw mut key).cast(), 0) == 0 }
}

/// It happened.
#[inline(always)]
pub(crate) fn count(what: SteerCount) {
    if let Some(count) = STEERED.get_ptr_mut(what as u32) {
        // SAFETY: this CPU's own; a program that is interrupted by itself may lose one.
        unsafe { *count += 1 };
    }
}

//! The maps of the bench's programs.
#![expect(unsafe_code, reason = "map values are memory that the kernel lends: each access says why it is right")]

use abi::{Backend, Connection, Counters, Draw, REFERENCE_CONNECTIONS, Settings, limits};
use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray};
use aya_ebpf::macros::btf_map;

/// A `PortKey` in words.
pub(crate) type PortWords = [u32; 5];
/// A `FlowKey` in words.
pub(crate) type FlowWords = [u32; 10];

#[btf_map]
static DRAW: Array<Draw, 1> = Array::new();
#[btf_map]
static SUBJECT: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static LRU_SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static LRU_VIPS: HashMap<PortWords, u32, { limits::PORTS as usize }> = HashMap::new();
#[btf_map]
static LRU_CONNECTIONS: LruHashMap<FlowWords, Connection, { REFERENCE_CONNECTIONS as usize }> = LruHashMap::new();
#[btf_map]
static LRU_RING: Array<u32, { limits::SLOTS as usize }> = Array::new();
#[btf_map]
static LRU_BACKENDS: Array<Backend, { limits::BACKENDS as usize }> = Array::new();
#[btf_map]
static LRU_VIP_COUNTERS: PerCpuArray<Counters, { limits::SERVICES as usize }> = PerCpuArray::new();
#[btf_map]
static LRU_BACKEND_COUNTERS: PerCpuArray<Counters, { limits::BACKENDS as usize }> = PerCpuArray::new();

/// What is drawn.
#[inline(always)]
pub(crate) fn draw() -> Option<&'static mut Draw> {
    // SAFETY: one CPU runs the bench, and a program is not interrupted by itself.
    DRAW.get_ptr_mut(0).map(|draw| unsafe { &mut *draw })
}

/// Go on in the program under test; comes back only when there is none.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(crate) fn hand_on(context: &aya_ebpf::programs::XdpContext) {
    // SAFETY: a live context; nothing of this program is needed any more.
    unsafe { SUBJECT.tail_call(context, 0) };
}

/// Our own addresses.
#[inline(always)]
pub(crate) fn settings() -> Option<&'static Settings> {
    LRU_SETTINGS.get(0)
}

/// A VIP's number.
#[inline(always)]
pub(crate) fn vip(key: &PortWords) -> Option<u32> {
    // SAFETY: never written while the bench runs.
    unsafe { LRU_VIPS.get(key) }.copied()
}

/// A known connection's backend.
#[inline(always)]
pub(crate) fn connection(flow: &FlowWords) -> Option<u32> {
    // SAFETY: copied at once.
    unsafe { LRU_CONNECTIONS.get(flow) }.map(|connection| connection.backend)
}

/// Remember a connection; the one that was quiet for longest makes room.
#[inline(always)]
pub(crate) fn remember(flow: &FlowWords, backend: u32) {
    let _room = LRU_CONNECTIONS.insert(flow, Connection { backend, ..Connection::default() }, 0);
}

/// Who has a slot of the ring.
#[inline(always)]
pub(crate) fn ring(slot: u32) -> Option<u32> {
    LRU_RING.get(slot).copied()
}

/// A backend.
#[inline(always)]
pub(crate) fn backend(number: u32) -> Option<&'static Backend> {
    LRU_BACKENDS.get(number)
}

/// Count a packet of `bytes` bytes for its VIP and its backend.
#[inline(always)]
pub(crate) fn count(vip: u32, backend: u32, bytes: u16) {
    add(LRU_VIP_COUNTERS.get_ptr_mut(vip), bytes);
    add(LRU_BACKEND_COUNTERS.get_ptr_mut(backend), bytes);
}

#[inline(always)]
fn add(counters: Option<*mut Counters>, bytes: u16) {
    if let Some(counters) = counters {
        // SAFETY: this CPU's own, and a program is not interrupted by itself.
        let counters = unsafe { &mut *counters };
        counters.packets += 1;
        counters.bytes += u64::from(bytes);
    }
}

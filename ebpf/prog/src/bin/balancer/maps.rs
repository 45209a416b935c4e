//! The maps, and what may be done with them.
//!
//! Shared references into maps live only as long as the program's run; values that another CPU may write meanwhile are copied out at once.
//! What the keys and values mean, and who writes what in which order, stands in `abi`.
#![expect(unsafe_code, reason = "map values are memory that the kernel lends: each access says why it is right")]

use abi::{
    Address, Away, AwayKey, Backend, Counters, DropSample, FlowKey, Fragment, FragmentKey, GUARD_BLOCK_WORDS, GUARD_FILTER_WORDS,
    GUARD_NEAR_WORDS, GUARD_V4_BLOCKS, Guard, HostsOf24, NatFlow, Origin, OriginKey, Pin, PoolAddress, PoolKey, PortKey, Ports,
    ProbeAnswer, QuicKey, REASONS_MAX, SLOT_PAIRS, Service, Session, Settings, Slot, SlotPair, SourceRate, limits,
};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use prog::parse::Parsed;
use prog::services::{self, AddressMap, NO_PREALLOC, PortMap, ServiceMap};
#[cfg(feature = "log")]
use prog::verdict::Verdict;

/// One cluster's slots.
type Table = Array<SlotPair, { SLOT_PAIRS as usize }>;

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static PORTS: PortMap = PortMap::new();
#[btf_map]
static PORTS_V4: Array<u64, { limits::PORT_CELLS as usize }> = Array::new();
#[btf_map]
static ADDRESSES: AddressMap = AddressMap::new();
#[btf_map]
static SERVICES: ServiceMap = ServiceMap::new();
#[btf_map]
static TABLES: ArrayOfMaps<Table, { limits::TABLES as usize }> = ArrayOfMaps::new();
#[btf_map]
static AWAY: HashMap<AwayKey, Away, { limits::AWAY as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static BACKENDS: Array<Backend, { limits::BACKENDS as usize }> = Array::new();
#[btf_map]
static PINS: HashMap<FlowKey, Pin, { limits::PINS as usize }> = HashMap::new();
#[btf_map]
static SESSIONS: LruHashMap<FlowKey, Session, { limits::SESSIONS as usize }> = LruHashMap::new();
#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, Fragment, { limits::FRAGMENTS as usize }> = LruHashMap::new();
#[btf_map]
static ORIGINS: HashMap<OriginKey, Origin, { limits::ORIGINS as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static POOL: Array<PoolAddress, { limits::POOL_ADDRESSES as usize }> = Array::new();
#[btf_map]
static NAT_FLOWS: HashMap<FlowKey, NatFlow, { limits::NAT_FLOWS as usize }> = HashMap::new();
#[btf_map]
static NAT_BACK: HashMap<PoolKey, FlowKey, { limits::NAT_FLOWS as usize }> = HashMap::new();
/// Two bits for each of so many networks, or one for each of so many hashes.
type Bits = Array<[u64; GUARD_BLOCK_WORDS], { GUARD_V4_BLOCKS as usize }>;
type Hosts = HashMap<u32, HostsOf24, { limits::GUARD_PARTIAL as usize }, NO_PREALLOC>;
type Prefixes = LpmTrie<[u8; 16], Guard, { limits::GUARD_V6 as usize }>;

#[btf_map]
static GUARD_V4_NEAR: Array<u64, { 2 * GUARD_NEAR_WORDS as usize }> = Array::new();
#[btf_map]
static GUARD_V4_FILTER: Array<u64, { 2 * GUARD_FILTER_WORDS as usize }> = Array::new();
#[btf_map]
static GUARD_V4: ArrayOfMaps<Bits, 2> = ArrayOfMaps::new();
#[btf_map]
static GUARD_HOSTS: ArrayOfMaps<Hosts, 2> = ArrayOfMaps::new();
#[btf_map]
static GUARD_V6_FILTER: ArrayOfMaps<Bits, 2> = ArrayOfMaps::new();
#[btf_map]
static GUARD_V6: ArrayOfMaps<Prefixes, 2> = ArrayOfMaps::new();
#[btf_map]
static SOURCES: Array<SourceRate, { 2 * limits::SOURCES as usize }> = Array::new();
#[btf_map]
static QUIC_NODES: HashMap<QuicKey, u32, { limits::QUIC_NODES as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static SAMPLES: RingBuf<DropSample, { limits::SAMPLES_BYTES as usize }> = RingBuf::new();
#[btf_map]
static FLOOD: PerCpuArray<Flood, 1> = PerCpuArray::new();
#[btf_map]
static TCP_COPY: PerCpuArray<[u8; TCP_COPY_BYTES], 1> = PerCpuArray::new();
#[btf_map]
#[cfg_attr(target_arch = "bpf", expect(dead_code, reason = "it is kept here for userspace, so that it lives and dies with the others"))]
static IDENTITIES: HashMap<u64, u64, { limits::IDENTITIES as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static PROBES: HashMap<u32, u32, { limits::PROBES as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static PROBE_STREAMS: HashMap<FlowKey, u32, { limits::PROBE_STREAMS as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static ANSWERS: RingBuf<ProbeAnswer, { limits::PROBE_ANSWERS_BYTES as usize }> = RingBuf::new();
#[btf_map]
static BUDGETS: PerCpuArray<Spent, 8> = PerCpuArray::new();
#[btf_map]
static NOTES: PerCpuArray<Parsed, 1> = PerCpuArray::new();
#[cfg(feature = "log")]
#[btf_map]
static LINE: PerCpuArray<Line, 1> = PerCpuArray::new();
#[btf_map]
static SERVICE_COUNTERS: PerCpuArray<Counters, { limits::SERVICES as usize }> = PerCpuArray::new();
#[btf_map]
static BACKEND_COUNTERS: PerCpuArray<Counters, { limits::BACKENDS as usize }> = PerCpuArray::new();
#[btf_map]
static REASONS: PerCpuArray<u64, { REASONS_MAX as usize }> = PerCpuArray::new();

/// What one CPU spent of one budget.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    /// The second that it is of.
    pub(crate) second: u32,
    /// How much.
    pub(crate) count: u32,
}

/// What a CPU knows of a flood.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    /// The second that `syns` is of.
    pub(crate) second: u32,
    /// SYNs in it.
    pub(crate) syns: u32,
    /// Seconds in a row below the lower threshold.
    pub(crate) calm: u32,
    /// 1 while cookies are sent.
    pub(crate) active: u32,
}

/// What holds for the whole machine.
#[inline(always)]
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// The service of an exact port.
#[inline(always)]
pub(crate) fn port(key: &PortKey) -> Option<u32> {
    services::exact(&PORTS, key)
}

/// The number of the service of any port; the key's own is 0.
#[inline(always)]
pub(crate) fn service_number(key: PortKey, port: u16) -> u32 {
    services::number(&PORTS, &ADDRESSES, key, port)
}

/// What stands in the cell of an exact IPv4 port.
#[inline(always)]
pub(crate) fn port_cell(place: u32) -> u64 {
    PORTS_V4.get(place).copied().unwrap_or(0)
}

/// What an address and protocol have beside exact ports; the key's port is 0.
#[inline(always)]
pub(crate) fn address(key: &PortKey) -> Option<&'static Ports> {
    services::beside(&ADDRESSES, key)
}

/// A service by its number.
#[inline(always)]
pub(crate) fn service(number: u32) -> Option<&'static Service> {
    SERVICES.get(number)
}

/// One slot of one table.
#[inline(always)]
pub(crate) fn slot(table: u32, slot: u32) -> Option<Slot> {
    TABLES.get_value(table, &(slot / 2)).map(|pair| pair[slot as usize & 1])
}

/// The owners of a slot that is away.
#[inline(always)]
pub(crate) fn away(key: &AwayKey) -> Option<&'static Away> {
    // SAFETY: an entry is freed only after all programs that run now have ended; it is never written in place.
    unsafe { AWAY.get(key) }
}

/// A backend by its number.
#[inline(always)]
pub(crate) fn backend(number: u32) -> Option<&'static Backend> {
    BACKENDS.get(number)
}

/// A flow's pin. Its words may change under another CPU's hands; each of them is right at any time.
#[inline(always)]
pub(crate) fn pin(flow: &FlowKey) -> Option<&'static mut Pin> {
    // SAFETY: an element stays mapped while the program runs, and words are written whole.
    PINS.get_ptr_mut(flow).map(|pin| unsafe { &mut *pin })
}

/// Write a new pin: false when the map is full.
#[inline(always)]
pub(crate) fn write_pin(flow: &FlowKey, pin: &Pin) -> bool {
    PINS.insert(flow, pin, 0).is_ok()
}

/// A UDP session, as [`pin`].
#[inline(always)]
pub(crate) fn session(flow: &FlowKey) -> Option<&'static mut Session> {
    // SAFETY: as in `pin`.
    SESSIONS.get_ptr_mut(flow).map(|session| unsafe { &mut *session })
}

/// Begin a UDP session; the one that was quiet for longest makes room.
#[inline(always)]
pub(crate) fn write_session(flow: &FlowKey, begun: &Session) -> bool {
    SESSIONS.insert(flow, begun, 0).is_ok()
}

/// What a packet's first fragment said.
#[inline(always)]
pub(crate) fn fragment(key: &FragmentKey) -> Option<Fragment> {
    // SAFETY: copied at once; two words of one packet.
    unsafe { FRAGMENTS.get(key) }.copied()
}

/// Remember what a first fragment says.
#[inline(always)]
pub(crate) fn write_fragment(key: &FragmentKey, fragment: &Fragment) -> bool {
    FRAGMENTS.insert(key, fragment, 0).is_ok()
}

/// What an origin answers for.
#[inline(always)]
pub(crate) fn origin(key: &OriginKey) -> Option<&'static Origin> {
    // SAFETY: as in `away`.
    unsafe { ORIGINS.get(key) }
}

/// One address of a pool.
#[inline(always)]
pub(crate) fn pool(number: u32) -> Option<&'static PoolAddress> {
    POOL.get(number)
}

/// A flow of full NAT, as [`pin`].
#[inline(always)]
pub(crate) fn nat_flow(flow: &FlowKey) -> Option<&'static mut NatFlow> {
    // SAFETY: as in `pin`.
    NAT_FLOWS.get_ptr_mut(flow).map(|kept| unsafe { &mut *kept })
}

/// Keep a flow of full NAT: false when the map is full.
#[inline(always)]
pub(crate) fn write_nat_flow(flow: &FlowKey, kept: &NatFlow) -> bool {
    NAT_FLOWS.insert(flow, kept, 0).is_ok()
}

/// The client's flow behind an address and port of the pool.
#[inline(always)]
pub(crate) fn nat_back(key: &PoolKey) -> Option<&'static FlowKey> {
    // SAFETY: an element stays mapped while the program runs, and is only ever written when its port is claimed.
    unsafe { NAT_BACK.get(key) }
}

/// Take a port of the pool for a flow: false when another has it.
#[inline(always)]
pub(crate) fn claim_port(key: &PoolKey, flow: &FlowKey) -> bool {
    NAT_BACK.insert(key, flow, u64::from(BPF_NOEXIST)).is_ok()
}

/// Give a port of the pool back.
#[inline(always)]
pub(crate) fn free_port(key: &PoolKey) -> bool {
    NAT_BACK.remove(key).is_ok()
}

/// The word of a /16: what of it is near to what a list names.
#[inline(always)]
pub(crate) fn guard_v4_near(list: u32, place: u32) -> u64 {
    GUARD_V4_NEAR.get(list * GUARD_NEAR_WORDS + place).copied().unwrap_or(0)
}

/// One word of the filter in front of a list's networks.
#[inline(always)]
pub(crate) fn guard_v4_filter(list: u32, place: u32) -> u64 {
    GUARD_V4_FILTER.get(list * GUARD_FILTER_WORDS + place).copied().unwrap_or(0)
}

/// One word of the networks of a list, from the half that the shift is in.
#[inline(always)]
pub(crate) fn guard_v4(list: u32, block: u32, word: u32) -> u64 {
    GUARD_V4.get_value(list, &block).map_or(0, |words| words[word as usize & (GUARD_BLOCK_WORDS - 1)])
}

/// One word of the hosts of a network.
#[inline(always)]
pub(crate) fn guard_hosts(list: u32, network: u32, word: u32) -> u64 {
    let Some(hosts) = GUARD_HOSTS.get(list) else { return 0 };
    // SAFETY: as in `away`; a list in force is not written.
    unsafe { hosts.get(network) }.map_or(0, |hosts| hosts.0[word as usize & 7])
}

/// One word of the filter of IPv6 prefixes.
#[inline(always)]
pub(crate) fn guard_v6_filter(list: u32, block: u32, word: u32) -> u64 {
    GUARD_V6_FILTER.get_value(list, &block).map_or(0, |words| words[word as usize & (GUARD_BLOCK_WORDS - 1)])
}

/// What the most specific prefix says.
#[inline(always)]
pub(crate) fn guard_v6(list: u32, address: &Address) -> Guard {
    let Some(prefixes) = GUARD_V6.get(list) else { return 0 };
    prefixes.get(&Key::new(128, address.bytes())).copied().unwrap_or(0)
}

/// One cell of what sources did.
#[inline(always)]
pub(crate) fn source(place: u32) -> Option<&'static mut SourceRate> {
    // SAFETY: as in `pin`: a count that two CPUs write at once may lose one.
    SOURCES.get_ptr_mut(place).map(|cell| unsafe { &mut *cell })
}

/// The backend of a QUIC node.
#[inline(always)]
pub(crate) fn quic_node(key: &QuicKey) -> Option<u32> {
    // SAFETY: as in `away`.
    unsafe { QUIC_NODES.get(key) }.copied()
}

/// Room for a sample, if the ring has any.
#[inline(always)]
pub(crate) fn sample() -> Option<RingBufEntry<DropSample>> {
    SAMPLES.reserve(0)
}

/// What came back to a probe that waits.
#[inline(always)]
pub(crate) fn probe(token: u32) -> Option<&'static mut u32> {
    // SAFETY: as in `pin`.
    PROBES.get_ptr_mut(token).map(|answer| unsafe { &mut *answer })
}

/// Our first sequence number of a probe's connection.
#[inline(always)]
pub(crate) fn probe_stream(flow: &FlowKey) -> Option<u32> {
    // SAFETY: as in `away`.
    unsafe { PROBE_STREAMS.get(flow) }.copied()
}

/// Room for what came over one, if the ring has any.
#[inline(always)]
pub(crate) fn answer() -> Option<RingBufEntry<ProbeAnswer>> {
    ANSWERS.reserve(0)
}

/// What this CPU knows of a flood.
#[inline(always)]
pub(crate) fn flood() -> Option<&'static mut Flood> {
    // SAFETY: as in `spent`.
    FLOOD.get_ptr_mut(0).map(|flood| unsafe { &mut *flood })
}

/// Room for a whole TCP header.
#[inline(always)]
pub(crate) fn tcp_copy() -> Option<*mut u8> {
    TCP_COPY.get_ptr_mut(0).map(<*mut [u8; TCP_COPY_BYTES]>::cast)
}

/// The longest TCP header.
pub(crate) const TCP_BYTES_MAX: usize = 60;

/// Covers the bytes of a TCP header's options, and is a mask.
pub(crate) const TCP_OPTIONS_MASK: usize = 63;

const TCP_COPY_BYTES: usize = 20 + TCP_OPTIONS_MASK + 1;

/// What this CPU spent of a budget.
#[inline(always)]
pub(crate) fn spent(budget: u32) -> Option<&'static mut Spent> {
    // SAFETY: this CPU's own, and a program is not interrupted by itself.
    BUDGETS.get_ptr_mut(budget).map(|spent| unsafe { &mut *spent })
}

/// Write down what was understood, and go on from what is written.
///
/// Not for us but for the verifier: it walks what follows once for every set of values that it can tell apart, and of what it reads from a map
/// it knows nothing. So the program costs it the sum of its rooms instead of their product.
#[inline(always)]
pub(crate) fn note(parsed: &Parsed) -> Option<&'static Parsed> {
    let note = NOTES.get_ptr_mut(0)?;
    // SAFETY: this CPU's own. Volatile, or the compiler would remember what it wrote.
    unsafe { note.write_volatile(*parsed) };
    // SAFETY: just written.
    Some(unsafe { &*note })
}

/// What a line says of a packet.
#[cfg(feature = "log")]
pub(crate) struct Line {
    /// Whose it was when it came; zero where it could not be read.
    pub(crate) flow: FlowKey,
    /// What became of it.
    pub(crate) verdict: Verdict,
}

/// The line of the packet that this CPU has. Who says it finds it here, for the reason that [`note`] has: the verifier walks through that once, and
/// not for each way that a packet may have gone.
#[cfg(feature = "log")]
#[inline(always)]
pub(crate) fn line() -> Option<&'static mut Line> {
    // SAFETY: as in `spent`.
    LINE.get_ptr_mut(0).map(|line| unsafe { &mut *line })
}

/// A service's counters on this CPU.
#[inline(always)]
pub(crate) fn service_counters(number: u32) -> Option<&'static mut Counters> {
    // SAFETY: as in `spent`.
    SERVICE_COUNTERS.get_ptr_mut(number).map(|counters| unsafe { &mut *counters })
}

/// A backend's counters on this CPU.
#[inline(always)]
pub(crate) fn backend_counters(number: u32) -> Option<&'static mut Counters> {
    // SAFETY: as in `spent`.
    BACKEND_COUNTERS.get_ptr_mut(number).map(|counters| unsafe { &mut *counters })
}

/// A reason's counter on this CPU.
#[inline(always)]
pub(crate) fn reason(number: u32) -> Option<&'static mut u64> {
    // SAFETY: as in `spent`.
    REASONS.get_ptr_mut(number).map(|count| unsafe { &mut *count })
}

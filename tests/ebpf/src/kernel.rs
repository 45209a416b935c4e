//! One loaded balancer with maps of its own, seen by nobody else, gone when it is dropped.

use abi::{
    Away, AwayKey, Backend, Counters, DecapSettings, DropSample, FlowKey, NatFlow, Origin, OriginKey, Pin, PoolAddress, PortKey, Ports,
    QuicKey, Reason, SLOT_PAIRS, Service, Settings, Slot, SlotPair,
};
use aya::maps::{Array, ArrayOfMaps, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, TestRun as _};
use l4::programs;
use std::path::Path;

/// The kernel's answer for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The program gave up: never right.
    Aborted,
    /// Gone.
    Drop,
    /// Up to the stack.
    Pass,
    /// Out again where it came in.
    Transmit,
    /// Out elsewhere.
    Redirect,
}

/// Slots of the tables under test: all of them, as in earnest.
pub const SLOTS: u32 = abi::limits::SLOTS;

/// A program with its maps in this kernel.
pub struct Kernel {
    ebpf: Ebpf,
    program: &'static str,
    reasons: &'static str,
}

impl Kernel {
    /// Load the balancer.
    ///
    /// # Panics
    /// Without root, or when the verifier refuses the program: its log is the message.
    pub fn load() -> Self {
        let mut loader = programs::loader();
        // Small maps, so that tests reach their ends.
        loader.map_max_entries("PINS", 8).map_max_entries("FRAGMENTS", 64).map_max_entries("SESSIONS", 64).map_max_entries("NAT_FLOWS", 4);
        Self::of(loader.load(programs::BALANCER), "balance", "REASONS")
    }

    /// Load the decapsulation of an origin.
    ///
    /// # Panics
    /// As [`Self::load`].
    pub fn load_origin(settings: DecapSettings) -> Self {
        let mut kernel = Self::of(Ebpf::load(programs::ORIGIN), "decapsulate", "DECAP_REASONS");
        kernel.array("DECAP").set(0, settings, 0).expect("it has one");
        kernel
    }

    /// The program over the pinned maps of a loader's instance in `folder`.
    ///
    /// # Panics
    /// As [`Self::load`].
    pub fn over(folder: &Path) -> Self {
        let mut loader = programs::loader();
        for name in l4::MAPS {
            loader.map_pin_path(name, folder.join("maps").join(name));
        }
        Self::of(loader.load(programs::BALANCER), "balance", "REASONS")
    }

    fn of(loaded: Result<Ebpf, EbpfError>, name: &'static str, reasons: &'static str) -> Self {
        let mut ebpf = loaded.expect("loading needs root: run the tests as root");
        let program: &mut Xdp = ebpf.program_mut(name).expect("it is there").try_into().expect("it is for XDP");
        program.load().unwrap_or_else(|error| panic!("the verifier refuses: {error}"));
        Self { ebpf, program: name, reasons }
    }

    /// Instructions that the verifier walked through.
    ///
    /// # Panics
    /// When the kernel does not say.
    pub fn verified_instructions(&self) -> u32 {
        let program: &Xdp = self.ebpf.program(self.program).expect("it is there").try_into().expect("it is for XDP");
        program.info().expect("the kernel tells").verified_instruction_count().expect("since 5.16")
    }

    /// Run the program on a packet: its verdict, and the packet as it left.
    ///
    /// # Panics
    /// When the kernel refuses to run it.
    pub fn run(&self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let program: &Xdp = self.ebpf.program(self.program).expect("it is there").try_into().expect("it is for XDP");
        let mut out = vec![0_u8; 4096];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let result = program.test_run(options).expect("the kernel runs it");
        out.truncate(result.data_size_out as usize);
        let verdict = match result.return_value {
            0 => Verdict::Aborted,
            1 => Verdict::Drop,
            2 => Verdict::Pass,
            3 => Verdict::Transmit,
            4 => Verdict::Redirect,
            other => panic!("no verdict: {other}"),
        };
        (verdict, out)
    }

    /// Run the program that puts probes on their way: its answer, and the frame.
    ///
    /// # Panics
    /// When the kernel refuses to run it.
    pub fn run_probe(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        let program: &mut Xdp = self.ebpf.program_mut("probe").expect("it is there").try_into().expect("it is for XDP");
        if program.fd().is_err() {
            program.load().unwrap_or_else(|error| panic!("the verifier refuses: {error}"));
        }
        let mut out = vec![0_u8; 4096];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let result = program.test_run(options).expect("the kernel runs it");
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    /// Wait for the answer to a probe.
    pub fn wait_for(&mut self, token: u32) {
        self.hash("PROBES").insert(token, abi::PROBE_WAITING, 0).expect("there is room");
    }

    /// What came back to a probe.
    pub fn answer(&mut self, token: u32) -> Option<u32> {
        self.hash("PROBES").get(&token, 0).ok()
    }

    /// Wait for packets of a probe's connection, whose numbers of ours begin with this one; or wait no more.
    pub fn stream(&mut self, flow: FlowKey, first: Option<u32>) {
        let mut streams = self.hash::<FlowKey, u32>("PROBE_STREAMS");
        match first {
            Some(first) => streams.insert(flow, first, 0).expect("there is room"),
            None => streams.remove(&flow).expect("it is there"),
        }
    }

    /// The next packet that was given up.
    pub fn given_up(&mut self) -> Option<Vec<u8>> {
        let mut ring: RingBuf<&mut MapData> = self.map("ANSWERS");
        let entry = ring.next()?;
        let (length, packet) = entry.split_first_chunk().expect("four bytes");
        Some(packet[..u32::from_ne_bytes(*length) as usize].to_vec())
    }

    /// Write the settings.
    pub fn settings(&mut self, settings: Settings) {
        self.array("SETTINGS").set(0, settings, 0).expect("it has one");
    }

    /// Write a port's service.
    pub fn port(&mut self, key: PortKey, service: u32) {
        self.hash("PORTS").insert(key, service, 0).expect("there is room");
    }

    /// Write what an address and protocol have.
    pub fn address(&mut self, key: PortKey, ports: Ports) {
        self.hash("ADDRESSES").insert(key, ports, 0).expect("there is room");
    }

    /// Write a service.
    pub fn service(&mut self, number: u32, service: Service) {
        self.array("SERVICES").set(number, service, 0).expect("there is room");
    }

    /// Write a backend.
    pub fn backend(&mut self, number: u32, backend: Backend) {
        self.array("BACKENDS").set(number, backend, 0).expect("there is room");
    }

    /// Replace a table: each slot by its number.
    pub fn table(&mut self, number: u32, slot: impl Fn(u32) -> Slot) {
        let mut inner: Array<MapData, SlotPair> = Array::create(SLOT_PAIRS, 0).expect("there is memory");
        for at in 0..SLOT_PAIRS {
            inner.set(at, [slot(at * 2), slot(at * 2 + 1)], 0).expect("it has as many");
        }
        let mut outer: ArrayOfMaps<_, Array<MapData, SlotPair>> = self.map("TABLES");
        outer.set(number, &inner, 0).expect("there is room");
    }

    /// Write a slot's owners.
    pub fn away(&mut self, table: u32, slot: u32, away: Away) {
        self.hash("AWAY").insert(AwayKey { table, slot }, away, 0).expect("there is room");
    }

    /// Say what an origin answers for.
    pub fn origin(&mut self, key: OriginKey, origin: Origin) {
        self.hash("ORIGINS").insert(key, origin, 0).expect("there is room");
    }

    /// Write an address of the pool.
    pub fn pool(&mut self, number: u32, pool: PoolAddress) {
        self.array("POOL").set(number, pool, 0).expect("there is room");
    }

    /// A flow of full NAT.
    pub fn nat_flow(&mut self, flow: FlowKey) -> Option<NatFlow> {
        self.hash("NAT_FLOWS").get(&flow, 0).ok()
    }

    /// Say which backend a QUIC node is.
    pub fn quic_node(&mut self, key: QuicKey, backend: u32) {
        self.hash("QUIC_NODES").insert(key, backend, 0).expect("there is room");
    }

    /// The next sample of a drop.
    ///
    /// # Panics
    /// When it is not of the size that it has.
    pub fn sample(&mut self) -> Option<DropSample> {
        let mut ring: RingBuf<&mut MapData> = self.map("SAMPLES");
        let bytes = ring.next()?;
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
        Some(DropSample {
            at_ns: u64::from_ne_bytes(bytes[..8].try_into().expect("eight")),
            reason: word(8),
            interface: word(12),
            length: word(16),
            padding: word(20),
            bytes: bytes[24..].try_into().expect("as many as they are"),
        })
    }

    /// A flow's pin.
    pub fn pin(&mut self, flow: FlowKey) -> Option<Pin> {
        self.hash("PINS").get(&flow, 0).ok()
    }

    /// How often something happened since the start.
    pub fn reason(&mut self, reason: Reason) -> u64 {
        let counters: PerCpuArray<_, u64> = self.map(self.reasons);
        counters.get(&(reason as u32), 0).expect("it is there").iter().sum()
    }

    /// What a service forwarded.
    pub fn service_counters(&mut self, number: u32) -> Counters {
        self.counters("SERVICE_COUNTERS", number)
    }

    /// What a backend got.
    pub fn backend_counters(&mut self, number: u32) -> Counters {
        self.counters("BACKEND_COUNTERS", number)
    }

    fn counters(&mut self, name: &str, number: u32) -> Counters {
        let counters: PerCpuArray<_, Counters> = self.map(name);
        let add = |sum: Counters, cpu: &Counters| Counters { packets: sum.packets + cpu.packets, bytes: sum.bytes + cpu.bytes };
        counters.get(&number, 0).expect("it is there").iter().fold(Counters::default(), add)
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Array<&mut MapData, V> {
        self.map(name)
    }

    fn hash<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        self.map(name)
    }

    fn map<'a, M: TryFrom<&'a mut aya::maps::Map>>(&'a mut self, name: &str) -> M {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("there is no map {name}"));
        M::try_from(map).unwrap_or_else(|_| panic!("{name} is of another type"))
    }
}

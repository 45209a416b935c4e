//! Writing and reading the kernel's maps, in the words of `abi`. One method a map; the order of calls is the caller's, as `abi` has it.

use crate::load::Balancer;
use abi::{
    Address, Away, AwayKey, Backend, Counters, FlowKey, NO_SERVICE, NatFlow, Origin, OriginKey, Pin, PoolAddress, PoolKey, PortKey, Ports,
    Reason, SLOT_PAIRS, Service, Settings, Slot, SlotPair,
};
use aya::Pod;
use aya::maps::{Array, ArrayOfMaps, HashMap, MapData, MapError, PerCpuArray};

/// What is kept of flows, by map: entries come and go while it is read, so it is a picture, not a truth.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Flows of away slots.
    pub pins: Vec<(FlowKey, Pin)>,
    /// Flows of full NAT.
    pub nat: Vec<(FlowKey, NatFlow)>,
}

impl Balancer {
    /// What holds for the whole machine. The layout is ours, whatever `settings` says.
    pub fn put_settings(&mut self, settings: Settings) -> Result<(), MapError> {
        self.array("SETTINGS")?.set(0, Settings { layout: abi::LAYOUT, ..settings }, 0)
    }

    /// The settings in force.
    pub fn settings(&mut self) -> Result<Settings, MapError> {
        self.array("SETTINGS")?.get(&0, 0)
    }

    /// An exact port's service.
    pub fn put_port(&mut self, key: PortKey, service: u32) -> Result<(), MapError> {
        self.hash("PORTS")?.insert(key, service, 0)?;
        self.put_cell(key, service)
    }

    /// No longer ours.
    pub fn remove_port(&mut self, key: PortKey) -> Result<(), MapError> {
        self.put_cell(key, NO_SERVICE)?;
        removed(self.hash::<_, u32>("PORTS")?.remove(&key))
    }

    /// The port's cell, unless it is another port's; emptied for no service.
    fn put_cell(&mut self, key: PortKey, service: u32) -> Result<(), MapError> {
        let Some(cell) = key.cell() else { return Ok(()) };
        let mut cells = self.array::<u64>("PORTS_V4")?;
        let word = cells.get(&cell.place(), 0)?;
        let is_own = cell.service_in(word) != NO_SERVICE;
        if word != 0 && !is_own {
            return Ok(());
        }
        let word = if service == NO_SERVICE { 0 } else { cell.with(service) };
        cells.set(cell.place(), word, 0)
    }

    /// What an address and protocol have beside exact ports; the key's port is 0.
    pub fn put_address(&mut self, key: PortKey, ports: Ports) -> Result<(), MapError> {
        self.hash("ADDRESSES")?.insert(key, ports, 0)
    }

    /// No longer ours.
    pub fn remove_address(&mut self, key: PortKey) -> Result<(), MapError> {
        removed(self.hash::<_, Ports>("ADDRESSES")?.remove(&key))
    }

    /// A service by its number; one that is gone is written as the default.
    pub fn put_service(&mut self, number: u32, service: Service) -> Result<(), MapError> {
        self.array("SERVICES")?.set(number, service, 0)
    }

    /// A backend by its number.
    pub fn put_backend(&mut self, number: u32, backend: Backend) -> Result<(), MapError> {
        self.array("BACKENDS")?.set(number, backend, 0)
    }

    /// A whole table at once: every packet sees the old or the new. As many slots as `Settings::slots` says, at most `limits::SLOTS`.
    pub fn put_table(&mut self, number: u32, slots: &[Slot]) -> Result<(), MapError> {
        let mut table: Array<MapData, SlotPair> = Array::create(SLOT_PAIRS, 0)?;
        for (at, pair) in (0..).zip(slots.chunks(2)) {
            let pair = [pair[0], pair.get(1).copied().unwrap_or_default()];
            table.set(at, pair, 0)?;
        }
        let mut tables: ArrayOfMaps<_, Array<MapData, SlotPair>> = ArrayOfMaps::try_from(self.map("TABLES")?)?;
        tables.set(number, &table, 0)
    }

    /// Some slots of a table that is in force, one after another: each is written whole, and the one beside it as it was.
    pub fn put_slots(&mut self, number: u32, slots: &[(u32, Slot)]) -> Result<(), MapError> {
        let tables: ArrayOfMaps<_, Array<MapData, SlotPair>> = ArrayOfMaps::try_from(self.map("TABLES")?)?;
        let mut table = tables.get(&number, 0)?;
        slots.iter().try_for_each(|(at, slot)| {
            let mut pair = table.get(&(at / 2), 0)?;
            pair[usize::from(at % 2 == 1)] = *slot;
            table.set(at / 2, pair, 0)
        })
    }

    /// A table as it is in force.
    pub fn table(&mut self, number: u32) -> Result<Vec<Slot>, MapError> {
        let tables: ArrayOfMaps<_, Array<MapData, SlotPair>> = ArrayOfMaps::try_from(self.map("TABLES")?)?;
        let pairs: Vec<SlotPair> = tables.get(&number, 0)?.iter().collect::<Result<_, _>>()?;
        Ok(pairs.into_iter().flatten().take(abi::limits::SLOTS as usize).collect())
    }

    /// The owners of a slot that is away.
    pub fn put_away(&mut self, key: AwayKey, away: Away) -> Result<(), MapError> {
        self.hash("AWAY")?.insert(key, away, 0)
    }

    /// The slot is at home again.
    pub fn remove_away(&mut self, key: AwayKey) -> Result<(), MapError> {
        removed(self.hash::<_, Away>("AWAY")?.remove(&key))
    }

    /// All slots that are away.
    pub fn away(&mut self) -> Result<Vec<(AwayKey, Away)>, MapError> {
        self.hash("AWAY")?.iter().collect()
    }

    /// An origin of `nat: { snat: none }`.
    pub fn put_origin(&mut self, key: OriginKey, origin: Origin) -> Result<(), MapError> {
        self.hash("ORIGINS")?.insert(key, origin, 0)
    }

    /// An origin that is gone.
    pub fn remove_origin(&mut self, key: OriginKey) -> Result<(), MapError> {
        removed(self.hash::<_, Origin>("ORIGINS")?.remove(&key))
    }

    /// An address of the pools, by its number.
    pub fn put_pool(&mut self, number: u32, pool: PoolAddress) -> Result<(), MapError> {
        self.array("POOL")?.set(number, pool, 0)
    }

    /// The flows that are kept.
    pub fn kept(&mut self) -> Result<Kept, MapError> {
        Ok(Kept {
            pins: self.hash("PINS")?.iter().collect::<Result<_, _>>()?,
            nat: self.hash("NAT_FLOWS")?.iter().collect::<Result<_, _>>()?,
        })
    }

    /// Forget a pin.
    pub fn remove_pin(&mut self, flow: FlowKey) -> Result<(), MapError> {
        removed(self.hash::<_, Pin>("PINS")?.remove(&flow))
    }

    /// Forget a flow of full NAT: first the flow, then its port, so that nobody gets a port that is in use.
    pub fn remove_nat(&mut self, flow: FlowKey, kept: &NatFlow, origin: Address) -> Result<(), MapError> {
        removed(self.hash::<_, NatFlow>("NAT_FLOWS")?.remove(&flow))?;
        let key = PoolKey {
            origin,
            pool: kept.pool,
            origin_port: kept.origin_port,
            pool_port: kept.pool_port,
            protocol: flow.protocol,
            padding: [0; 3],
        };
        removed(self.hash::<_, FlowKey>("NAT_BACK")?.remove(&key))
    }

    /// What a service forwarded since the maps were made.
    pub fn service_counters(&mut self, number: u32) -> Result<Counters, MapError> {
        self.counters("SERVICE_COUNTERS", number)
    }

    /// What a backend got since the maps were made.
    pub fn backend_counters(&mut self, number: u32) -> Result<Counters, MapError> {
        self.counters("BACKEND_COUNTERS", number)
    }

    /// How often something happened since the maps were made.
    pub fn reason(&mut self, reason: Reason) -> Result<u64, MapError> {
        let counters: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map("REASONS")?)?;
        Ok(counters.get(&(reason as u32), 0)?.iter().sum())
    }

    fn counters(&mut self, name: &'static str, number: u32) -> Result<Counters, MapError> {
        let counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(self.map(name)?)?;
        let add = |sum: Counters, cpu: &Counters| Counters { packets: sum.packets + cpu.packets, bytes: sum.bytes + cpu.bytes };
        Ok(counters.get(&number, 0)?.iter().fold(Counters::default(), add))
    }

    pub(crate) fn array<V: Pod>(&mut self, name: &'static str) -> Result<Array<&mut MapData, V>, MapError> {
        Array::try_from(self.map(name)?)
    }

    pub(crate) fn hash<K: Pod, V: Pod>(&mut self, name: &'static str) -> Result<HashMap<&mut MapData, K, V>, MapError> {
        HashMap::try_from(self.map(name)?)
    }
}

/// What is not there need not be removed.
pub(crate) fn removed(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

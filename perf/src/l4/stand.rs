//! What is measured: the balancer as the product loads it, over maps of its own, and the programs of `bin/yardstick`.

use super::listing;
use abi::{
    AWAY, Address, Away, AwayKey, Backend, DRAW_STEP, Draw, MODE_DSR, MODE_TERMINATE, PortKey, Service, Settings, Slot, VIA_IPIP, drawn,
    limits, protocols, service_flags, tcp_flags,
};
use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRunOptions, Xdp};
use aya::{Ebpf, TestRun as _};
use l4::{Balancer, Folder};

const VIP: [u8; 4] = [203, 0, 113, 10];
/// Forwarded, and to our own listener.
const PORTS: [(u16, u32); 2] = [(443, 1), (444, 2)];
const TABLE: u32 = 1;
const BACKENDS: u32 = 10;
const SEED: u32 = 7;

/// Runs of one measurement, of which the best counts: what else the machine does takes from some of them. Each has to be long: the kernel patches
/// itself at the beginning of a run, after which caches and address translations are cold for most of a millisecond.
const PIECES: u32 = 3;

/// What runs on the packets.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    /// Nothing.
    Pass,
    /// Room for an envelope.
    Grow,
    /// The usual design.
    Reference,
    /// Ours.
    Balancer,
}

/// Which packets are drawn.
#[derive(Clone, Copy)]
pub(super) struct Packets {
    /// Among so many flows; 0 is all.
    pub(super) flows: u32,
    flags: u8,
    /// Which of [`PORTS`].
    port: usize,
}

/// The loaded programs and their maps; gone with it.
pub(super) struct Stand {
    /// Ours.
    pub(super) balancer: Balancer,
    yardstick: Ebpf,
    subjects: [ProgramFd; 4],
    folder: Folder,
}

impl Packets {
    /// Segments of established connections of any source.
    pub(super) const ACK: Self = Self { flows: 0, flags: tcp_flags::ACK, port: 0 };
    /// New connections of any source.
    pub(super) const SYN: Self = Self { flows: 0, flags: tcp_flags::SYN, port: 0 };

    /// Segments of so many established connections.
    pub(super) const fn of(flows: u32) -> Self {
        Self { flows, ..Self::ACK }
    }

    fn frame(self) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12] = 8;
        frame[14..26].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocols::TCP, 0, 0]);
        frame[30..34].copy_from_slice(&VIP);
        frame[36..38].copy_from_slice(&PORTS[self.port].0.to_be_bytes());
        frame
    }
}

impl Stand {
    pub(super) fn open() -> Result<Self> {
        let folder = Folder::of_instance(&format!("bench-{}", std::process::id()))?;
        let mut yardstick = Ebpf::load(l4::programs::YARDSTICK)?;
        drop(load(&mut yardstick, "drive")?);
        let [pass, grow, reference] = [load(&mut yardstick, "pass")?, load(&mut yardstick, "grow")?, load(&mut yardstick, "reference")?];
        let mut balancer = Balancer::open(folder.clone())?;
        let ours = balancer.program()?.fd()?.try_clone()?;
        let mut stand = Self { balancer, yardstick, subjects: [pass, grow, reference, ours], folder };
        stand.furnish()?;
        Ok(stand)
    }

    /// The same VIP, backends and table for both.
    fn furnish(&mut self) -> Result<()> {
        let vip = Address::v4(VIP);
        let slots: Vec<Slot> = (0..limits::SLOTS).map(owner).collect();
        self.guards(|_| {})?;
        self.array("LRU_SETTINGS")?.set(0, settings(), 0)?;
        for number in 1..=BACKENDS {
            let [.., last] = number.to_be_bytes();
            let backend = Backend { address: Address::v4([10, 0, 1, last]), mac: [2, 0, 0, 0, 1, last], ..Backend::default() };
            self.balancer.put_backend(number, backend)?;
            self.array("LRU_BACKENDS")?.set(number, backend, 0)?;
        }
        self.balancer.put_table(TABLE, &slots)?;
        let mut ring = self.array::<Slot>("LRU_RING")?;
        (0..).zip(&slots).try_for_each(|(at, slot)| ring.set(at, *slot, 0))?;
        self.terminate(false)?;
        self.balancer.put_service(1, Service { mode: MODE_DSR, via: VIA_IPIP, table: TABLE, ..Service::default() })?;
        let mut vips: HashMap<&mut MapData, PortKey, u32> = self.map("LRU_VIPS")?;
        vips.insert(PortKey::new(vip, protocols::TCP, PORTS[0].0), 1, 0)?;
        for (port, service) in PORTS {
            self.balancer.put_port(PortKey::new(vip, protocols::TCP, port), service)?;
        }
        Ok(())
    }

    /// Settings with some guards; none without.
    pub(super) fn guards(&mut self, change: impl Fn(&mut Settings)) -> Result<()> {
        let mut wanted = settings();
        change(&mut wanted);
        Ok(self.balancer.put_settings(wanted)?)
    }

    /// Nanoseconds that one packet takes, `drive` included: the best of [`PIECES`] runs over `count` packets in all. The same round draws the same
    /// packets.
    pub(super) fn time(&mut self, subject: Subject, packets: Packets, round: u64, count: u32) -> Result<f64> {
        self.draw(subject, packets, round)?;
        let mut pieces = (0..PIECES).map(|_| self.repeat(packets, count / PIECES));
        pieces.try_fold(f64::INFINITY, |best, piece| Ok(best.min(piece?)))
    }

    /// Runs over so many packets, to know their flows.
    pub(super) fn fill(&mut self, packets: Packets, count: u32) -> Result<()> {
        self.draw(Subject::Reference, packets, u64::MAX)?;
        self.repeat(packets, count).map(drop)
    }

    fn draw(&mut self, subject: Subject, packets: Packets, round: u64) -> Result<()> {
        let mut subjects: ProgramArray<&mut MapData> =
            ProgramArray::try_from(self.yardstick.map_mut("SUBJECT").context("no map SUBJECT")?)?;
        subjects.set(0, &self.subjects[subject as usize], 0)?;
        let state = drawn(round.wrapping_mul(DRAW_STEP));
        let draw = Draw { state, flows: packets.flows, tcp_flags: packets.flags.into(), clear: listing::CLEAR, set: 0 };
        Ok(self.array("DRAW")?.set(0, draw, 0)?)
    }

    /// The next `count` packets: nanoseconds each.
    fn repeat(&mut self, packets: Packets, count: u32) -> Result<f64> {
        let drive: &Xdp = self.yardstick.program("drive").context("no program drive")?.try_into()?;
        let frame = packets.frame();
        let mut options = TestRunOptions::new();
        (options.data_in, options.repeat) = (Some(&frame[..]), count);
        Ok(drive.test_run(options)?.duration.as_secs_f64() * 1e9)
    }

    /// The same of ours, to the VIP that our own listener has.
    pub(super) fn terminated(&mut self, cookies: bool, packets: Packets, round: u64, count: u32) -> Result<f64> {
        self.terminate(cookies)?;
        self.time(Subject::Balancer, Packets { port: 1, ..packets }, round, count)
    }

    fn terminate(&mut self, cookies: bool) -> Result<()> {
        let flags = if cookies { service_flags::COOKIES } else { 0 };
        Ok(self.balancer.put_service(2, Service { mode: MODE_TERMINATE, flags, ..Service::default() })?)
    }

    /// The first backend's slots go to the second, and are away.
    pub(super) fn drain_one(&mut self) -> Result<()> {
        let mut slots: Vec<Slot> = (0..limits::SLOTS).map(owner).collect();
        for (at, slot) in (0..).zip(&mut slots).filter(|(_, slot)| **slot == 1) {
            let away = Away { current: 2, fallback: 1, episode: 1, ..Away::default() };
            self.balancer.put_away(AwayKey { table: TABLE, slot: at }, away)?;
            *slot = 2 | AWAY;
        }
        Ok(self.balancer.put_table(TABLE, &slots)?)
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        self.map(name)
    }

    fn map<'a, M: TryFrom<&'a mut aya::maps::Map>>(&'a mut self, name: &str) -> Result<M> {
        let map = self.yardstick.map_mut(name).with_context(|| format!("no map {name}"))?;
        M::try_from(map).ok().with_context(|| format!("{name} is of another type"))
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Err(error) = self.folder.remove() {
            println!("what was loaded could not be removed: {error}");
        }
    }
}

fn load(ebpf: &mut Ebpf, name: &str) -> Result<ProgramFd> {
    let program: &mut Xdp = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
    program.load()?;
    Ok(program.fd()?.try_clone()?)
}

fn settings() -> Settings {
    Settings {
        slots: limits::SLOTS,
        hash_seed: SEED,
        cpus: 1,
        source_v4: Address::v4([10, 0, 0, 2]),
        pin_writes_per_s: 10_000,
        ..Settings::default()
    }
}

fn owner(slot: u32) -> Slot {
    let [.., low] = drawn(slot.into()).to_be_bytes();
    1 + u32::from(low) % BACKENDS
}

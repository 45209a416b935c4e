//! The kernel layer of a running process: opened before rights are given up, then kept by a thread of its own.
//!
//! The thread takes configurations, and by itself does what only time asks for: probes of backends, next hops that have to stay known, slots
//! that have settled, pins that are over. When the process dies, packets go on as they went, to the backends that were up last; the next
//! start finds what this one left. `sluice l4 unload` ends it.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use config::{Attach, Cluster, Endpoint, L4, Snapshot};
use l4::{Balancer, Folder, Hops, Machine, Mode, Neighbours, Plan, Prober, Wish, Wishes};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{SockaddrIn, SockaddrIn6},
};
use rustix::time::{ClockId, clock_gettime};
use stats::Hub;
use worker::Lookers;

use crate::guards::Guards;
use crate::kernel_stats::KernelStats;
use crate::steer::{self, Roster, Steer};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked at how many connections each worker holds.
const WEIGH_EVERY: Duration = Duration::from_millis(100);
/// Ticks from one look at what is kept of flows to the next.
const FLOWS_EVERY: u32 = 10;

/// Maps and programs, and what they hold.
pub(crate) struct Kernel {
    balancer: Balancer,
    plan: Plan,
    /// On the heap: a kernel layer is moved about before its thread has it.
    prober: Box<Prober>,
    neighbours: Neighbours,
    hops: Hops,
    /// The numbers of the interfaces that packets come in by.
    interfaces: Vec<u32>,
    /// Pins and flows of full NAT, when they were looked at last.
    kept: (usize, usize),
    guards: Guards,
    /// `None` where nothing needs it and the kernel would not have it.
    steer: Option<Steer>,
    snapshot: Arc<Snapshot>,
}

/// Where the kernel layer's thread is told what is wanted.
pub(crate) struct KernelDesk {
    /// `None` once it has ended.
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Order {
    snapshot: Arc<Snapshot>,
    roster: Roster,
    done: mpsc::Sender<Result<(), String>>,
}

impl Kernel {
    /// Loads the programs, or takes over what an earlier process left, and has packets of the VIPs forwarded.
    pub(crate) fn open(snapshot: &Arc<Snapshot>) -> Result<Self> {
        let folder = Folder::of_instance(&snapshot.l4.instance)?;
        let mut balancer = Balancer::open(folder.clone())?;
        let plan = Plan::adopt(balancer.held().context("the maps of the kernel layer cannot be read")?);
        let mut guards = Guards::adopt(balancer.settings()?.guard);
        guards.take(&snapshot.l4, &mut balancer)?;
        if balancer.adopted() {
            tracing::info!("the kernel layer {:?} of an earlier process was taken over", snapshot.l4.instance);
        }
        let steer = match Steer::open(&folder, &snapshot.l4.instance) {
            Err(error) if steer::is_needed(snapshot) => return Err(error),
            Err(error) => {
                tracing::info!("connections go to workers by the kernel's hash: {error:#}");
                None
            }
            Ok(steer) => Some(steer),
        };
        let prober = prober(&mut balancer)?;
        let hops = Hops::open().context("next hops cannot be watched")?;
        let (neighbours, snapshot) = (Neighbours::default(), Arc::clone(snapshot));
        let mut kernel = Self { balancer, plan, prober, neighbours, hops, interfaces: Vec::new(), kept: (0, 0), guards, steer, snapshot };
        let snapshot = Arc::clone(&kernel.snapshot);
        kernel.apply(&snapshot)?;
        kernel.neighbours.refresh(&kernel.plan.backend_addresses());
        kernel.attach(&snapshot.l4)?;
        Ok(kernel)
    }

    /// Begins to keep it, on a thread with the rights of the one that calls.
    pub(crate) fn start(mut self, hub: &Hub, lookers: Lookers) -> Result<KernelDesk> {
        let (orders, inbox) = mpsc::channel();
        let hub = hub.clone();
        let thread = thread::Builder::new().name("kernel".to_owned()).spawn(move || self.keep(&inbox, &hub, &lookers));
        Ok(KernelDesk { orders: Some(orders), thread: Some(thread.context("no thread for the kernel layer")?) })
    }

    fn keep(&mut self, inbox: &mpsc::Receiver<Order>, hub: &Hub, lookers: &Lookers) {
        let mut stats = KernelStats::new(hub);
        let (mut tick, mut ticks_at) = (0_u32, now());
        loop {
            let rest = self.prober.rest(now(), ticks_at.saturating_sub(now()).min(WEIGH_EVERY));
            match inbox.recv_timeout(rest) {
                Ok(order) => {
                    let applied = self.change(&order.snapshot, order.roster).map_err(|error| format!("the kernel layer: {error:#}"));
                    // Who asked and does not wait any more has ended.
                    let _told = order.done.send(applied);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.end(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            let probed = self.probe(lookers);
            let hopped = self.follow_hops();
            self.balancer.say();
            let weighed = self.steer.as_mut().map_or(Ok(()), Steer::weigh);
            let ticked = if ticks_at <= now() {
                (tick, ticks_at) = (tick.wrapping_add(1), now() + TICK);
                self.tick(tick).and_then(|()| self.count(&mut stats))
            } else {
                Ok(())
            };
            for error in [probed, hopped, weighed, ticked].into_iter().filter_map(Result::err) {
                tracing::error!("the kernel layer: {error:#}");
            }
        }
    }

    fn count(&mut self, stats: &mut KernelStats) -> Result<()> {
        stats.late(self.prober.late());
        stats.kept(self.kept);
        if let Some(steer) = &self.steer {
            stats.steered(&steer.counts()?);
        }
        stats.take(&mut self.balancer, &self.plan, now_s())
    }

    /// Asks and hears backends; slots move when one came up or went down.
    fn probe(&mut self, lookers: &Lookers) -> Result<()> {
        let turned = self.prober.turn(&mut self.balancer, &self.plan, &|look| lookers.look(look), now())?;
        for l4::Turned { target, is_up, why } in &turned {
            let (endpoint, cluster, vip) = (&target.endpoint, &target.cluster, &target.vip);
            if *is_up {
                tracing::info!("{endpoint} of {cluster} is up");
            } else {
                tracing::warn!("{endpoint} of {cluster} is down: {why} (asked for {vip})");
            }
        }
        if turned.is_empty() {
            return Ok(());
        }
        self.apply(&Arc::clone(&self.snapshot))?;
        // (Noted at once, and not only when the tick comes: what is in force has an age from here on.)
        Ok(self.balancer.put_probed_s(now_s())?)
    }

    /// Takes over what the kernel says of next hops, when that is another thing than before.
    fn follow_hops(&mut self) -> Result<()> {
        if !self.hops.is_due(now()) {
            return Ok(());
        }
        let is_other = self.hops.look(&self.balancer, &self.plan.backend_addresses(), &self.interfaces, now);
        if is_other { self.apply(&Arc::clone(&self.snapshot)) } else { Ok(()) }
    }

    fn change(&mut self, snapshot: &Arc<Snapshot>, roster: Roster) -> Result<()> {
        if steer::is_needed(snapshot) && self.steer.is_none() {
            self.steer = Some(Steer::open(&Folder::of_instance(&self.snapshot.l4.instance)?, &self.snapshot.l4.instance)?);
        }
        self.guards.take(&snapshot.l4, &mut self.balancer)?;
        self.apply(snapshot)?;
        self.neighbours.refresh(&self.plan.backend_addresses());
        self.hops.look_anew();
        if let Some(steer) = &mut self.steer {
            steer.take(roster, snapshot, &self.plan.service_names)?;
        }
        self.balancer.set_cookies(snapshot.l4.cookies.is_some() && steer::is_needed(snapshot))?;
        let before = core::mem::replace(&mut self.snapshot, Arc::clone(snapshot));
        if (&before.l4.interfaces, before.l4.attach) == (&snapshot.l4.interfaces, snapshot.l4.attach) {
            return Ok(());
        }
        self.attach(&snapshot.l4)
    }

    /// Writes what is wanted and is not there. On an error the next one goes on from what is known to be there.
    fn apply(&mut self, snapshot: &Snapshot) -> Result<()> {
        // What is probed is as it was found, what is not probed yet as the maps have it, and what is not probed at all is up.
        self.prober.take(snapshot, &|cluster, endpoint| self.plan.was_up(cluster, endpoint), now());
        let is_up = |cluster: &Cluster, endpoint: &Endpoint| self.prober.is_up(cluster, endpoint);
        let hop = |address| self.hops.get(address);
        let machine = Machine { guard: self.guards.number(), ..machine(&snapshot.l4) };
        let wishes = Wishes { snapshot, is_up: &is_up, hop: &hop, machine, now_s: now_s() };
        let next = self.plan.next(wishes)?;
        l4::apply(&mut self.balancer, &self.plan, &next).context("a map cannot be written")?;
        self.plan = next;
        self.prober.set_out(&self.plan, first_interface(&snapshot.l4));
        Ok(())
    }

    fn attach(&mut self, l4: &L4) -> Result<()> {
        let wish = match l4.attach {
            Attach::Auto => Wish::Auto,
            Attach::Native => Wish::Native,
            Attach::Generic => Wish::Generic,
        };
        let interfaces = interfaces(l4);
        for interface in &interfaces {
            warn_of_no_forwarding(interface);
        }
        self.interfaces = interfaces.iter().filter_map(|interface| number(interface)).collect();
        self.hops.look_anew();
        let wishes: Vec<(&str, Wish)> = interfaces.iter().map(|interface| (&**interface, wish)).collect();
        for attachment in self.balancer.attach(&wishes)? {
            let mode = match attachment.mode {
                Mode::Native => "native",
                Mode::Generic => "generic: slow, for trying things out",
            };
            tracing::info!("the kernel layer takes packets of {} ({mode})", attachment.interface);
        }
        Ok(())
    }

    /// The process ends as it was meant to: what only it needs is put back.
    fn end(&mut self) {
        // Nobody follows next hops any more: the kernel does.
        self.hops.forget();
        let applied = self.apply(&Arc::clone(&self.snapshot));
        let settled = self.balancer.set_cookies(false).map_err(anyhow::Error::from);
        for error in [applied, settled].into_iter().filter_map(Result::err) {
            tracing::warn!("the kernel layer: {error:#}");
        }
    }

    fn tick(&mut self, tick: u32) -> Result<()> {
        let settle_s = u32::try_from(self.snapshot.l4.settle.as_secs()).unwrap_or(u32::MAX);
        let now_s = now_s();
        let is_guarded_anew = self.guards.watch(&mut self.balancer)?;
        if is_guarded_anew || self.plan.settles_at(settle_s).is_some_and(|at| at <= now_s) {
            self.apply(&Arc::clone(&self.snapshot))?;
        }
        self.neighbours.refresh(&self.plan.backend_addresses());
        if self.prober.has_heard() {
            self.balancer.put_probed_s(now_s)?;
        }
        if tick.is_multiple_of(FLOWS_EVERY) {
            self.forget_flows(now_s, settle_s)?;
        }
        Ok(())
    }
}

impl Kernel {
    /// Takes away what is kept of flows that are over.
    fn forget_flows(&mut self, now_s: u32, settle_s: u32) -> Result<()> {
        let kept = self.balancer.kept()?;
        let pins = l4::stale_pins(&self.plan, &kept.pins, now_s, settle_s);
        let translated = l4::stale_nat(&self.plan, &kept.nat, now_s);
        self.kept = (kept.pins.len() - pins.len(), kept.nat.len() - translated.len());
        pins.into_iter().try_for_each(|flow| self.balancer.remove_pin(*flow))?;
        translated.into_iter().try_for_each(|(flow, kept, origin)| self.balancer.remove_nat(*flow, kept, origin))?;
        Ok(())
    }
}

impl KernelDesk {
    /// Puts a configuration in force in the kernel.
    pub(crate) fn apply(&self, snapshot: &Arc<Snapshot>, roster: Roster) -> Result<(), String> {
        let gone = || "the kernel layer's thread has ended".to_owned();
        let (done, answer) = mpsc::channel();
        let order = Order { snapshot: Arc::clone(snapshot), roster, done };
        self.orders.as_ref().ok_or_else(gone)?.send(order).map_err(|_ended| gone())?;
        answer.recv().map_err(|_ended| gone())?
    }
}

impl Drop for KernelDesk {
    fn drop(&mut self) {
        drop(self.orders.take());
        // A thread that panicked has said so.
        let _ended = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn prober(balancer: &mut Balancer) -> Result<Box<Prober>> {
    Ok(Box::new(Prober::open(balancer).context("backends cannot be probed")?))
}

/// Seconds since boot, as the kernel's programs count them.
pub(crate) fn now_s() -> u32 {
    u32::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

/// The time since boot.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The number of the first interface that packets come in by; 0 when there is none.
fn first_interface(l4: &L4) -> u32 {
    interfaces(l4).first().and_then(|name| number(name)).unwrap_or(0)
}

fn number(interface: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(interface).ok()
}

/// What the plan has to know of this machine.
pub(crate) fn machine(l4: &L4) -> Machine {
    let interfaces = interfaces(l4);
    let (source_v4, source_v6) = addresses(&interfaces);
    let mtu = |interface: &str| fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse::<u32>().ok();
    let mtu = interfaces.iter().filter_map(|interface| mtu(interface)).min().map_or(0, |mtu| u16::try_from(mtu).unwrap_or(u16::MAX));
    Machine { cpus: cpus(), source_v4, source_v6, mtu, ..Machine::default() }
}

/// CPUs that packets may come in by.
fn cpus() -> u32 {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    online.trim().split(',').filter_map(count).sum::<u32>().max(1)
}

/// The kernel tells programs no next hop for an interface that does not forward, and without one nothing can be sent on.
fn warn_of_no_forwarding(interface: &str) {
    for (family, setting) in [("IPv4", "ipv4"), ("IPv6", "ipv6")] {
        let path = format!("/proc/sys/net/{setting}/conf/{interface}/forwarding");
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == "0") {
            let setting = path.trim_start_matches("/proc/sys/").replace('/', ".");
            tracing::warn!("{interface} does not forward {family}: packets to {family} origins will be dropped (`sysctl -w {setting}=1`)");
        }
    }
}

/// The interfaces that the configuration names, else those that lead to the default gateways.
fn interfaces(l4: &L4) -> Vec<Box<str>> {
    if !l4.interfaces.is_empty() {
        return l4.interfaces.to_vec();
    }
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let default = |line: &str| {
        let mut words = line.split_whitespace();
        let interface = words.next()?;
        (words.next()? == "00000000").then(|| interface.into())
    };
    let mut interfaces: Vec<Box<str>> = routes.lines().skip(1).filter_map(default).collect();
    interfaces.dedup();
    interfaces
}

/// The first global address of each family on these interfaces.
pub(crate) fn addresses(interfaces: &[Box<str>]) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let all: Vec<_> = getifaddrs().map(Iterator::collect).unwrap_or_default();
    let ours = || all.iter().filter(|one: &&nix::ifaddrs::InterfaceAddress| interfaces.iter().any(|name| **name == *one.interface_name));
    let addresses = || ours().filter_map(|one| one.address.as_ref());
    let v4 = addresses().find_map(|address| address.as_sockaddr_in().map(SockaddrIn::ip));
    let v6 = addresses().filter_map(|address| address.as_sockaddr_in6().map(SockaddrIn6::ip));
    (v4, v6.into_iter().find(|address| !address.is_unicast_link_local()))
}

//! What the kernel layer counts, as metrics. Its maps count since they were made, whoever lived meanwhile; so do these.

use std::collections::HashMap;

use abi::{Counters, Reason, SteerCount, backend_flags};
use anyhow::Result;
use l4::{Balancer, Plan};
use stats::{Counter, Gauge, Hub, Page, metrics};

/// A page of counters, and what was added to them so far.
pub(crate) struct KernelStats {
    page: Page,
    /// By number, which may become another service's: its counters in the maps go on.
    services: HashMap<u32, Counters>,
    backends: HashMap<u32, Counters>,
    reasons: HashMap<u32, u64>,
    steered: HashMap<u32, u64>,
    late: Counter,
    late_before: u64,
    age_s: Gauge,
    pins: Gauge,
    nat_flows: Gauge,
    away: Gauge,
}

impl KernelStats {
    /// On the thread that keeps the kernel layer.
    pub(crate) fn new(hub: &Hub) -> Self {
        let page = hub.page();
        Self {
            late: page.counter(&metrics::L4_PROBES_LATE, &[]),
            age_s: page.gauge(&metrics::L4_STATES_AGE, &[]),
            nat_flows: page.gauge(&metrics::L4_NAT_FLOWS, &[]),
            pins: page.gauge(&metrics::L4_PINS, &[]),
            away: page.gauge(&metrics::L4_SLOTS_AWAY, &[]),
            page,
            services: HashMap::new(),
            backends: HashMap::new(),
            reasons: HashMap::new(),
            steered: HashMap::new(),
            late_before: 0,
        }
    }

    /// Adds what was counted since the last time.
    pub(crate) fn take(&mut self, balancer: &mut Balancer, plan: &Plan, now_s: u32) -> Result<()> {
        for (number, name) in &plan.service_names {
            let new = since(&mut self.services, *number, balancer.service_counters(*number)?);
            let (vip, family) = name.rsplit_once('/').unwrap_or((name, ""));
            let labels = [("vip", vip), ("family", family)];
            self.page.counter(&metrics::L4_SERVICE_PACKETS, &labels).add(new.packets);
            self.page.counter(&metrics::L4_SERVICE_BYTES, &labels).add(new.bytes);
        }
        for (number, (cluster, endpoint)) in &plan.backend_names {
            let new = since(&mut self.backends, *number, balancer.backend_counters(*number)?);
            let labels = [("cluster", &**cluster), ("endpoint", &**endpoint)];
            self.page.counter(&metrics::L4_BACKEND_PACKETS, &labels).add(new.packets);
            self.page.counter(&metrics::L4_BACKEND_BYTES, &labels).add(new.bytes);
            let is_down = plan.backends.get(number).is_some_and(|backend| backend.flags & backend_flags::DOWN != 0);
            self.page.gauge(&metrics::L4_BACKEND_UP, &labels).set(i64::from(!is_down));
        }
        for reason in Reason::ALL {
            let count = balancer.reason(*reason)?;
            let before = self.reasons.insert(*reason as u32, count).unwrap_or(0);
            let metric = if reason.drops() { &metrics::L4_DROPPED } else { &metrics::L4_NOTED };
            self.page.counter(metric, &[("reason", reason.name())]).add(count.saturating_sub(before));
        }
        self.age_s.set(balancer.probed_s()?.map_or(0, |probed_s| i64::from(now_s.saturating_sub(probed_s))));
        let away: usize = plan.tables().map(|(_, slots)| slots.away().len()).sum();
        self.away.set(i64::try_from(away).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Packets that were steered, since the process began.
    pub(crate) fn steered(&mut self, counts: &[(SteerCount, u64)]) {
        for (what, count) in counts {
            let before = self.steered.insert(*what as u32, *count).unwrap_or(0);
            self.page.counter(&metrics::L4_STEERED, &[("reason", what.name())]).add(count.saturating_sub(before));
        }
    }

    /// How many pins and flows of full NAT there are.
    pub(crate) fn kept(&self, (pins, nat_flows): (usize, usize)) {
        self.pins.set(i64::try_from(pins).unwrap_or(i64::MAX));
        self.nat_flows.set(i64::try_from(nat_flows).unwrap_or(i64::MAX));
    }

    /// How often probes had to wait, since the process began.
    pub(crate) fn late(&mut self, late: u64) {
        self.late.add(late - self.late_before);
        self.late_before = late;
    }
}

/// What a number's counters grew by.
fn since(known: &mut HashMap<u32, Counters>, number: u32, counters: Counters) -> Counters {
    let before = known.insert(number, counters).unwrap_or_default();
    Counters { packets: counters.packets.saturating_sub(before.packets), bytes: counters.bytes.saturating_sub(before.bytes) }
}

//! The live side of a cluster on one worker: who is chosen, and the idle connections of each endpoint. Keyed by address, so that it survives
//! configurations.

use balance::{Balancer, Pick, Standing};
use core::cell::RefCell;
use exchange::{Pool, Settings, Traffic};
use io::Ring;
use model::Address;
use stats::{Counter, Histogram, metrics};
use std::{rc::Rc, sync::Arc};

use config::{ClusterSlot, Policy};

use crate::{Health, House, route::CLASSES};

/// A cluster as this worker sees it.
pub struct Cluster {
    config: Arc<config::Cluster>,
    name: Rc<str>,
    balancer: RefCell<Balancer<Address>>,
    endpoints: Vec<Rc<Endpoint>>,
    pub(crate) connects: Counter,
    pub(crate) connect_failures: Counter,
    pub(crate) connect_duration: Histogram,
    pub(crate) reused: Counter,
    pub(crate) overflows: Counter,
    pub(crate) retries: Counter,
    pub(crate) redirected_bytes: Counter,
    lent: Counter,
    taken: Counter,
    lending_full: Counter,
    idle_full: Counter,
}

/// One endpoint of it.
pub struct Endpoint {
    pub(crate) config: Arc<config::Endpoint>,
    name: Rc<str>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) requests: Counter,
    pub(crate) duration: Histogram,
    /// By class of status: none, 1xx to 5xx.
    responses: [Counter; 6],
    /// What is known of its health.
    health: Arc<Health>,
    /// Requests that wait for a connection.
    pub(crate) waiting: core::cell::Cell<u32>,
    /// Settings of TLS with sessions of its own to resume, and what they were made from.
    sessions: RefCell<Option<Sessions>>,
}

type Sessions = (Arc<config::ClusterTls>, Arc<tls::Client>);

impl Cluster {
    /// `previous` is the same cluster under an older configuration: its endpoints that are still there go on.
    pub(crate) fn new(config: Arc<config::Cluster>, previous: Option<&Self>, house: &House) -> Self {
        let page = house.page();
        let name = [("cluster", &*config.name)];
        // Connections that were made otherwise are not those of this configuration.
        let same = |previous: &&Self| previous.config.tls == config.tls && previous.config.protocol == config.protocol;
        let endpoints: Vec<_> = config
            .endpoints
            .iter()
            .map(|endpoint| {
                let old =
                    previous.filter(same).and_then(|previous| previous.endpoints.iter().find(|old| old.config.address == endpoint.address));
                old.map_or_else(|| Rc::new(Endpoint::new(Arc::clone(endpoint), &config.name, house)), Rc::clone)
            })
            .collect();
        if let Some(previous) = previous {
            previous.retire(|endpoint| !endpoints.iter().any(|kept| Rc::ptr_eq(kept, endpoint)));
        }
        let policy = match config.policy {
            Policy::RoundRobin => balance::Policy::RoundRobin,
            Policy::LeastRequest => balance::Policy::LeastRequest,
            Policy::Random => balance::Policy::Random,
        };
        let members = config.endpoints.iter().map(|endpoint| (endpoint.address.clone(), endpoint.weight));
        let balancer = match previous {
            Some(previous) => {
                let mut balancer = previous.balancer.replace(Balancer::new(policy, [], 0));
                balancer.rebuild(policy, members, house.random());
                balancer
            }
            None => Balancer::new(policy, members, house.random()),
        };
        Self {
            balancer: RefCell::new(balancer),
            endpoints,
            connects: page.counter(&metrics::UPSTREAM_CONNECTS, &name),
            connect_failures: page.counter(&metrics::UPSTREAM_CONNECT_FAILURES, &name),
            connect_duration: page.histogram(&metrics::UPSTREAM_CONNECT_DURATION, &name),
            reused: page.counter(&metrics::UPSTREAM_REUSED, &name),
            overflows: page.counter(&metrics::UPSTREAM_OVERFLOW, &name),
            retries: page.counter(&metrics::RETRIES, &name),
            redirected_bytes: page.counter(&metrics::UPSTREAM_REDIRECTED_BYTES, &name),
            lent: page.counter(&metrics::UPSTREAM_LENT, &name),
            taken: page.counter(&metrics::UPSTREAM_TAKEN, &name),
            lending_full: page.counter(&metrics::UPSTREAM_LENDING_FULL, &name),
            idle_full: page.counter(&metrics::UPSTREAM_IDLE_FULL, &name),
            name: Rc::from(&*config.name),
            config,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<config::Cluster> {
        &self.config
    }

    /// HTTP/2 with its endpoints, on connections opened for a listener's requests.
    pub(crate) fn http2(&self, listener: &Settings) -> Rc<h2::Settings> {
        Rc::new(h2::Settings { limits: listener.limits, ..(*self.config.http2).clone() })
    }

    /// Counts a connection that the kernel was to carry, by what became of it.
    pub(crate) fn count_redirect(&self, house: &House, result: &'static str) {
        house.page().counter(&metrics::UPSTREAM_REDIRECTS, &[("cluster", &*self.config.name), ("result", result)]).increment();
    }

    /// Closes the idle connections of endpoints that are gone, which exchanges under way may keep for long.
    pub(crate) fn retire(&self, is_gone: impl Fn(&Rc<Endpoint>) -> bool) {
        self.endpoints.iter().filter(|endpoint| is_gone(endpoint)).for_each(|endpoint| endpoint.pool.retire());
    }

    pub(crate) fn slot(&self) -> ClusterSlot {
        self.config.slot
    }

    pub(crate) fn is(&self, config: &Arc<config::Cluster>) -> bool {
        Arc::ptr_eq(&self.config, config)
    }

    /// Chooses an endpoint, not the one at `avoid` if there is another.
    pub(crate) fn pick(&self, random: u64, avoid: Option<usize>) -> Option<(Rc<Endpoint>, Pick)> {
        let other = avoid.and_then(|avoid| self.pick_of(random, |index| index != avoid));
        let pick = other.or_else(|| self.pick_of(random, |_| true))?;
        let endpoint = self.endpoints.get(pick.index())?;
        Some((Rc::clone(endpoint), pick))
    }

    /// One that is up, or else one that nobody has looked at yet.
    fn pick_of(&self, random: u64, usable: impl Fn(usize) -> bool) -> Option<Pick> {
        let mut balancer = self.balancer.borrow_mut();
        if self.config.health.is_empty() {
            return balancer.pick(random, usable);
        }
        let is = |index: usize, standing| self.endpoints.get(index).is_some_and(|endpoint| endpoint.health.standing() == standing);
        let up = balancer.pick(random, |index| usable(index) && is(index, Standing::Up));
        up.or_else(|| balancer.pick(random, |index| usable(index) && is(index, Standing::Unknown)))
    }

    /// Its endpoints.
    pub fn endpoints(&self) -> &[Rc<Endpoint>] {
        &self.endpoints
    }

    fn count(&self, traffic: Traffic) {
        self.lent.add(traffic.lent);
        self.taken.add(traffic.taken);
        self.lending_full.add(traffic.lending_full);
        self.idle_full.add(traffic.idle_full);
    }

    /// Closes idle connections whose peer or time has ended.
    pub(crate) fn sweep(&self, ring: &Ring) {
        for endpoint in &self.endpoints {
            endpoint.pool.sweep(ring, self.config.timeouts.idle);
            self.count(endpoint.pool.traffic());
        }
    }
}

impl Endpoint {
    fn new(config: Arc<config::Endpoint>, cluster: &config::Name, house: &House) -> Self {
        let labels = [("cluster", &**cluster), ("endpoint", &*config.name)];
        let page = house.page();
        Self {
            pool: Pool::new(
                house.shared().lending(cluster, &config.address),
                house.alone(),
                page.gauge(&metrics::UPSTREAM_ACTIVE, &labels[..1]),
            ),
            requests: page.counter(&metrics::UPSTREAM_REQUESTS, &labels),
            duration: page.histogram(&metrics::UPSTREAM_DURATION, &labels),
            responses: CLASSES.map(|class| {
                let labels = [("cluster", &**cluster), ("endpoint", &*config.name), ("class", class)];
                page.counter(&metrics::UPSTREAM_RESPONSES, &labels)
            }),
            health: house.shared().health(cluster, &config.address),
            waiting: core::cell::Cell::new(0),
            sessions: RefCell::default(),
            name: Rc::from(&*config.name),
            config,
        }
    }

    /// Counts an answer of the endpoint, or with status 0 an attempt that brought none.
    pub(crate) fn count_response(&self, status: u16) {
        self.responses[usize::from(status / 100).min(5)].increment();
    }

    /// What a TLS session with it is made with: it has its own store of sessions, since another endpoint may not know them.
    pub(crate) fn sessions(&self, tls: &Arc<config::ClusterTls>) -> Arc<tls::Client> {
        let mut sessions = self.sessions.borrow_mut();
        if let Some((from, client)) = &*sessions
            && Arc::ptr_eq(from, tls)
        {
            return Arc::clone(client);
        }
        let client = Arc::new(tls.client.with_own_sessions());
        *sessions = Some((Arc::clone(tls), Arc::clone(&client)));
        client
    }

    /// Whom it must prove to be when the settings name nobody.
    pub(crate) fn tls_name(&self) -> String {
        self.config.address.ip().map_or_else(|| "localhost".to_owned(), |ip| ip.to_string())
    }

    /// Its address as text.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// Connections open to it, over all workers; idle on this one.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.lending().open(), self.pool.idle())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.pool.retire();
    }
}

//! The live side of a route on one worker: its configuration, its name and its counters, held by plain counts of this thread.
//!
//! The configuration's `Arc`s are shared by all workers, so counting them for each request would make every core write the same cache line.

use core::{
    cell::RefCell,
    hash::{BuildHasherDefault, Hasher},
};
use stats::{Counter, Histogram, Page, metrics};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

/// The routes used so far. A route's address is its key, since a changed route is another one.
#[derive(Default)]
pub(crate) struct Routes {
    routes: RefCell<HashMap<usize, Rc<Route>, BuildHasherDefault<AddressHasher>>>,
}

/// One route.
pub(crate) struct Route {
    pub(crate) config: Arc<config::Route>,
    pub(crate) name: Rc<str>,
    pub(crate) counters: RouteCounters,
}

/// What is counted for each route, and for requests that have none.
pub(crate) struct RouteCounters {
    pub(crate) requests: Counter,
    pub(crate) duration: Histogram,
    /// By class of status: none, 1xx to 5xx.
    pub(crate) classes: [Counter; 6],
}

/// The classes of status, as labels.
pub(crate) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Routes {
    /// The live side of `config`.
    pub(crate) fn of(&self, config: &Arc<config::Route>, listener: &str, page: &Page) -> Rc<Route> {
        let make = || {
            let counters = RouteCounters::new(&config.name, listener, page);
            Rc::new(Route { config: Arc::clone(config), name: Rc::from(&*config.name), counters })
        };
        Rc::clone(self.routes.borrow_mut().entry(Arc::as_ptr(config).addr()).or_insert_with(make))
    }

    /// Forgets routes that are not in `snapshot`. (How often a configuration is held does not tell: other workers hold it for the same reason.)
    pub(crate) fn tidy(&self, snapshot: &config::Snapshot) {
        let http = snapshot.listeners.values().filter_map(|listener| match &listener.kind {
            config::Kind::Http(http) => Some(http),
            config::Kind::Tcp(_) | config::Kind::Passthrough => None,
        });
        let live: HashSet<usize, BuildHasherDefault<AddressHasher>> =
            http.flat_map(|http| http.routes.iter().map(|route| Arc::as_ptr(route).addr())).collect();
        self.routes.borrow_mut().retain(|address, _| live.contains(address));
    }
}

impl RouteCounters {
    pub(crate) fn new(route: &str, listener: &str, page: &Page) -> Self {
        Self {
            requests: page.counter(&metrics::REQUESTS, &[("listener", listener), ("route", route)]),
            duration: page.histogram(&metrics::REQUEST_DURATION, &[("route", route)]),
            classes: CLASSES.map(|class| page.counter(&metrics::RESPONSES, &[("route", route), ("class", class)])),
        }
    }
}

/// Addresses are spread well enough by one multiplication.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

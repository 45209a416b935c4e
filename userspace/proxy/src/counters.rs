//! A route's counters on one worker, found by the route itself: its address is its key, since a changed route is another one.

use config::Route;
use core::{
    cell::RefCell,
    hash::{BuildHasherDefault, Hasher},
};
use stats::{Counter, Histogram, Page, metrics};
use std::{collections::HashMap, rc::Rc, sync::Arc};

/// The counters of all routes used so far.
#[derive(Default)]
pub(crate) struct RouteCounters {
    routes: RefCell<HashMap<usize, Known, BuildHasherDefault<AddressHasher>>>,
}

/// A route, held so that its address stays its own, and its counters.
type Known = (Arc<Route>, Rc<RouteCounter>);

/// The counters of one route.
pub(crate) struct RouteCounter {
    pub(crate) requests: Counter,
    pub(crate) duration: Histogram,
    /// By class of status: none, 1xx to 5xx.
    pub(crate) classes: [Counter; 6],
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteCounters {
    /// The counters of `route`, or of requests that have none.
    pub(crate) fn of(&self, route: Option<&Arc<Route>>, listener: &str, page: &Page) -> Rc<RouteCounter> {
        let Some(route) = route else { return Rc::new(RouteCounter::new("none", listener, page)) };
        let mut routes = self.routes.borrow_mut();
        let make = || (Arc::clone(route), Rc::new(RouteCounter::new(&route.name, listener, page)));
        Rc::clone(&routes.entry(Arc::as_ptr(route).addr()).or_insert_with(make).1)
    }

    /// Forgets routes that are in no configuration any more.
    pub(crate) fn tidy(&self) {
        self.routes.borrow_mut().retain(|_, (route, _)| Arc::strong_count(route) > 1);
    }
}

impl RouteCounter {
    fn new(route: &str, listener: &str, page: &Page) -> Self {
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

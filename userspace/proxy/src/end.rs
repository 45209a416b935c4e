//! The end of an exchange: counters and the access log, exactly once.

use model::{Head, Record};
use std::rc::Rc;

use crate::{
    grpc,
    route::{Route, RouteCounters},
    scope::Scope,
};

/// What the record's end needs to know of a request.
pub(crate) struct Told {
    pub(crate) head: Head,
    pub(crate) route: Option<Rc<Route>>,
}

/// Counts an exchange that is over, and logs it.
pub(crate) fn exchange(scope: &Scope<'_>, record: &Record, told: Option<&Told>) {
    let house = scope.house;
    if told.is_none() && record.status == 0 {
        // The client left, or its connection broke, before a whole head had come: there was no request.
        if let Some(cause) = record.cause {
            house.count_fault(cause);
        }
        return;
    }
    match told.and_then(|told| told.route.as_ref()) {
        Some(route) => count(&route.counters, scope, record),
        None => count(&house.routeless(&scope.client.listener), scope, record),
    }
    if let Some(cause) = record.cause {
        house.count_fault(cause);
    }
    if let Some(told) = told
        && record.is_call
    {
        grpc::count(house.page(), &told.head, record);
    }
    house.write_log(record, told.map(|told| &told.head));
}

fn count(counters: &RouteCounters, scope: &Scope<'_>, record: &Record) {
    counters.requests.increment();
    counters.duration.record(scope.house.ring().now().since(record.phases.started));
    counters.classes[usize::from(record.status / 100).min(5)].increment();
}

//! A connection that carries many requests at once: this task takes in what comes and starts a task for each request. It ends when the client
//! leaves, when nothing happens for too long, or in a drain when the last request is done.

use core::{future::poll_fn, task::Poll, time::Duration};
use exchange::{Arrival, Conn, Exchange};
use model::{Cause, Instant};
use std::rc::Rc;

use crate::{http, scope::Scope};

/// An idle connection gives back the memory that it can be without after this long.
const QUIET: Duration = Duration::from_secs(1);

/// Serves it until nothing more is to be served. Gives whether the client is still to be told so.
pub(crate) async fn serve(scope: &Scope<'_>, conn: &Rc<Conn>) -> bool {
    let mut watch = Watch { idle_since: scope.house.ring().now(), head_since: Instant::NEVER, leaving: false, shrunk: false };
    loop {
        match poll_fn(|_| watch.poll(scope, conn)).await {
            Happened::Came(Arrival::Exchange(exchange)) => begin(scope, exchange),
            Happened::Came(Arrival::Rejected(fault)) => scope.house.count_fault(fault.cause),
            Happened::Came(Arrival::Reached(limit)) => scope.listener.count_limit(limit, scope.house.page()),
            Happened::Came(Arrival::Room) => {}
            Happened::Came(Arrival::Over(None)) => return true,
            Happened::Came(Arrival::Over(Some(fault))) => {
                scope.house.count_fault(fault.cause);
                return fault.cause != Cause::DownstreamReset;
            }
            Happened::Late(cause) => {
                scope.house.count_fault(cause);
                conn.leave(true);
                return true;
            }
        }
    }
}

/// Starts a request's task.
fn begin(scope: &Scope<'_>, exchange: Exchange) {
    let (house, listener, client) = (Rc::clone(scope.house), Rc::clone(scope.listener), Rc::clone(scope.client));
    scope.house.ring().spawn(async move {
        let timer = house.ring().timer();
        let scope = Scope { house: &house, listener: &listener, client: &client, timer: &timer };
        http::proxy(exchange, &scope).await;
    });
}

enum Happened {
    Came(Arrival),
    /// Nothing came, or not all, for as long as it may take; or a drain has ended.
    Late(Cause),
}

/// What the connection's time limits need to know.
struct Watch {
    /// Since when there is no request; `NEVER` while there is one.
    idle_since: Instant,
    /// Since when a head or frame is incomplete; `NEVER` while none is.
    head_since: Instant,
    leaving: bool,
    shrunk: bool,
}

impl Watch {
    fn poll(&mut self, scope: &Scope<'_>, conn: &Rc<Conn>) -> Poll<Happened> {
        if let Poll::Ready(arrival) = conn.poll_arrival() {
            return Poll::Ready(Happened::Came(arrival));
        }
        let now = scope.house.ring().now();
        self.look(conn, now);
        let ending = scope.house.ending(scope.listener);
        if ending.is_some() && !self.leaving {
            self.leaving = true;
            conn.leave(false);
        }
        let timeouts = &scope.listener.config().timeouts;
        let idle_until = if self.idle_since == Instant::NEVER { Instant::NEVER } else { self.idle_since.after(timeouts.idle) };
        let head_until = if self.head_since == Instant::NEVER { Instant::NEVER } else { self.head_since.after(timeouts.request_head) };
        let until = ending.unwrap_or(Instant::NEVER);
        let late = [(until, Cause::DrainTimeout), (head_until, Cause::RequestHeadTimeout), (idle_until, Cause::KeepAliveTimeout)];
        if let Some((_, cause)) = late.into_iter().find(|(at, _)| *at <= now) {
            if cause == Cause::DrainTimeout {
                scope.listener.cut.increment();
            }
            return Poll::Ready(Happened::Late(cause));
        }
        let quiet_at = if self.idle_since == Instant::NEVER || self.shrunk { Instant::NEVER } else { self.idle_since + QUIET };
        if quiet_at <= now {
            self.shrunk = true;
            conn.shrink();
        }
        let next = if quiet_at > now { quiet_at } else { Instant::NEVER };
        scope.timer.set(until.min(head_until).min(idle_until).min(next));
        match scope.timer.poll_expired() {
            // It came in between: look again.
            Poll::Ready(()) => self.poll(scope, conn),
            Poll::Pending => Poll::Pending,
        }
    }

    fn look(&mut self, conn: &Conn, now: Instant) {
        if conn.under_way() > 0 {
            self.idle_since = Instant::NEVER;
            self.shrunk = false;
        } else if self.idle_since == Instant::NEVER {
            self.idle_since = now;
        }
        if !conn.in_head() {
            self.head_since = Instant::NEVER;
        } else if self.head_since == Instant::NEVER {
            self.head_since = now;
        }
    }
}

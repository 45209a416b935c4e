//! The short story: bytes from a client to an endpoint and back, each half closed when the other side closes it.

use balance::Pick;
use core::{cell::Cell, future::poll_fn, pin::pin, task::Poll, time::Duration};
use exchange::Transport;
use model::{Cause, Fault, Instant, Record};
use std::rc::Rc;

use config::Targets;

use crate::{
    Cluster, Endpoint,
    redirect::{self, Direction},
    scope::Scope,
    upstream,
};

/// Endpoints tried for one connection.
const CONNECT_TRIES: u32 = 3;
/// Bytes that one direction carries by hand before it is worth the kernel's own lane.
const LANE_AFTER_BYTES: u64 = 256 * 1024;
/// Bytes asked of the lane at a time.
const LANE_STEP_BYTES: u64 = 1 << 20;

/// Carries one connection to its end.
pub(crate) async fn proxy(scope: &Scope<'_>, down: Transport, to: &Targets) {
    let client = scope.client;
    let mut record = Record::begin(Rc::clone(client), 0, [0, client.id], client.accepted, scope.house.generation());
    if let Err(fault) = story(scope, (down, to), &mut record).await {
        record.cause = Some(fault.cause);
        scope.house.count_fault(fault.cause);
    }
    scope.house.write_log(&record, None);
}

async fn story(scope: &Scope<'_>, (down, to): (Transport, &Targets), record: &mut Record) -> Result<(), Fault> {
    let (up, place) = open(scope, &down, to, record).await?;
    let outcome = carry(scope, (&down, &up), &place.cluster, record).await;
    // Where one side broke off the other is reset too: a close would tell it that it has everything.
    if outcome.is_err_and(|fault| fault.blame != model::Blame::Us) {
        down.reset();
        up.reset();
    }
    outcome
}

/// A connection's place in its endpoint's counts.
pub(crate) struct Place {
    pub(crate) cluster: Rc<Cluster>,
    endpoint: Rc<Endpoint>,
    _pick: Pick,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.endpoint.pool.closed();
    }
}

/// Picks a cluster and an endpoint and connects to it; others are tried when it cannot be.
pub(crate) async fn open(scope: &Scope<'_>, down: &Transport, to: &Targets, record: &mut Record) -> Result<(Transport, Place), Fault> {
    let slot = to.pick(scope.house.random());
    let cluster = scope.house.cluster(slot).ok_or_else(|| Fault::us(Cause::NoCluster))?;
    record.cluster = Some(Rc::clone(cluster.name()));
    let mut avoid = None;
    loop {
        record.attempts += 1;
        let (endpoint, pick) = cluster.pick(scope.house.random(), avoid).ok_or_else(|| Fault::us(Cause::NoEndpoint))?;
        avoid = Some(pick.index());
        record.attempt = Some(model::Attempt { endpoint: Rc::clone(endpoint.name()), reused: false, fault: None });
        let limit = cluster.config().limits.connections.unwrap_or(u32::MAX);
        if endpoint.pool.lending().open() >= limit {
            cluster.overflows.increment();
            return Err(Fault::us(Cause::Overflow));
        }
        match upstream::connect(scope, down, &cluster, &endpoint).await {
            Ok(transport) => {
                endpoint.requests.increment();
                record.phases.connected = scope.house.ring().now();
                return Ok((transport, Place { cluster, endpoint, _pick: pick }));
            }
            Err(fault) if record.attempts >= CONNECT_TRIES.min(tries(&cluster)) => return Err(fault),
            Err(_fault) => cluster.retries.increment(),
        }
    }
}

/// One endpoint is tried once, several up to the limit.
fn tries(cluster: &Cluster) -> u32 {
    u32::try_from(cluster.endpoints().len()).unwrap_or(u32::MAX)
}

/// Both directions at once, until both have ended.
async fn carry(scope: &Scope<'_>, (down, up): (&Transport, &Transport), cluster: &Cluster, record: &mut Record) -> Result<(), Fault> {
    let moved_at = Cell::new(scope.house.ring().now());
    let (sent, received) = (Cell::new(0), Cell::new(0));
    let client = Fault::client(Cause::DownstreamReset);
    let origin = Fault::origin(Cause::UpstreamReset);
    let there = Direction { from: down, to: up, progress: (&sent, &moved_at), from_fault: client, to_fault: origin };
    let back = Direction { from: up, to: down, progress: (&received, &moved_at), from_fault: origin, to_fault: client };
    let idle = scope.listener.config().timeouts.idle;
    let limits = Limits { moved_at: &moved_at, idle, until: Instant::NEVER };
    let outcome = match cluster.config().redirect {
        None => both(scope, half(there), half(back), limits).await,
        // In a box of its own, for the sake of all connections that have none.
        Some(backlog_max) => Box::pin(redirect::carry(scope, cluster, [there, back], limits, backlog_max)).await,
    };
    (record.request_bytes, record.response_bytes) = (sent.get(), received.get());
    outcome
}

/// How long bytes are carried.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// When something last moved.
    pub(crate) moved_at: &'a Cell<Instant>,
    /// How long nothing may.
    pub(crate) idle: Option<Duration>,
    /// When it is over whatever moves.
    pub(crate) until: Instant,
}

impl Limits<'_> {
    /// The earliest end, and its cause.
    fn end(&self, scope: &Scope<'_>) -> (Instant, Cause) {
        let ending = scope.house.ending(scope.listener).unwrap_or(Instant::NEVER);
        let ends =
            [(ending, Cause::DrainTimeout), (self.until, Cause::TunnelTimeout), (self.moved_at.get().after(self.idle), Cause::IdleTimeout)];
        ends.into_iter().min_by_key(|(at, _)| *at).unwrap_or((ending, Cause::DrainTimeout))
    }
}

/// Lets both halves run until both have ended, one has failed, or time is up.
pub(crate) async fn both(
    scope: &Scope<'_>,
    there: impl Future<Output = Result<(), Fault>>,
    back: impl Future<Output = Result<(), Fault>>,
    limits: Limits<'_>,
) -> Result<(), Fault> {
    let (mut there, mut back) = (pin!(there), pin!(back));
    let (mut there_done, mut back_done) = (false, false);
    let mut armed = limits.end(scope).0;
    scope.timer.set(armed);
    poll_fn(|context| {
        if !there_done && let Poll::Ready(end) = there.as_mut().poll(context) {
            end?;
            there_done = true;
        }
        if !back_done && let Poll::Ready(end) = back.as_mut().poll(context) {
            end?;
            back_done = true;
        }
        if there_done && back_done {
            return Poll::Ready(Ok(()));
        }
        // A drain may have begun since.
        if limits.end(scope).0 < armed {
            armed = limits.end(scope).0;
            scope.timer.set(armed);
        }
        while scope.timer.poll_expired().is_ready() {
            let (at, cause) = limits.end(scope);
            if at <= scope.house.ring().now() {
                return Poll::Ready(Err(Fault::us(cause)));
            }
            armed = at;
            scope.timer.set(armed);
        }
        Poll::Pending
    })
    .await
}

/// What a direction has moved, and when either last did.
pub(crate) type Progress<'a> = (&'a Cell<u64>, &'a Cell<Instant>);

/// One direction: until `from` closes its half, which closes ours to `to` when all is sent.
pub(crate) async fn half(direction: Direction<'_>) -> Result<(), Fault> {
    let Direction { from, to, progress, to_fault, .. } = direction;
    while step(&direction).await? {
        let (count, _) = progress;
        if count.get() >= LANE_AFTER_BYTES && from.can_splice(to) && lane(from, to, progress, to_fault).await? {
            break;
        }
    }
    finish(&direction).await
}

/// The same without the kernel's lane: it may be given up at any moment and begun again.
pub(crate) async fn by_hand(direction: Direction<'_>) -> Result<(), Fault> {
    while step(&direction).await? {}
    finish(&direction).await
}

/// Moves the next bytes; `false` at the end.
async fn step(direction: &Direction<'_>) -> Result<bool, Fault> {
    direction.to.room().await.map_err(|_broken| direction.to_fault)?;
    let chunk = direction.from.receive().await.map_err(|_broken| direction.from_fault)?;
    let is_end = chunk.is_empty();
    if !is_end {
        direction.push(chunk);
    }
    Ok(!is_end)
}

/// Closes our half once everything is sent.
pub(crate) async fn finish(&Direction { to, to_fault, .. }: &Direction<'_>) -> Result<(), Fault> {
    to.finish();
    to.flushed().await.map_err(|_broken| to_fault)
}

/// The rest of a direction, inside the kernel. `false` when it cannot go there.
async fn lane(from: &Transport, to: &Transport, (count, moved_at): Progress<'_>, to_fault: Fault) -> Result<bool, Fault> {
    from.disarm().await;
    while from.has_received() {
        let chunk = from.receive().await.map_err(|_broken| to_fault)?;
        if chunk.is_empty() {
            return Ok(true);
        }
        count.set(count.get() + chunk.len() as u64);
        to.write(|output| output.push(chunk));
    }
    if !to.clear_lane().await.map_err(|_broken| to_fault)? {
        return Ok(false);
    }
    loop {
        let moved = from.splice_to(to, LANE_STEP_BYTES).await.map_err(|_broken| to_fault)?;
        if moved == 0 {
            return Ok(true);
        }
        count.set(count.get() + moved);
        moved_at.set(from.ring().now());
    }
}

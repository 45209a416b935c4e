//! The rooms of balance and pool: an endpoint is chosen, and a connection to it is taken or opened.

use balance::Pick;
use config::Protocol;
use exchange::{Conn, Exchange, Settings, Taken, Transport};
use io::Stream;
use model::{Attempt, Cause, Fault, Instant, Record};
use std::{rc::Rc, time::Duration};

use crate::{Cluster, Endpoint, proxy_protocol, scope::Scope, tries::Tries};

/// How often a request that waits for a connection looks whether another worker has freed one.
const WAITING_LOOK: Duration = Duration::from_millis(5);

/// An attempt's connection. Dropping it closes it; [`Upstream::finish`] gives it back.
pub(crate) struct Upstream {
    exchange: Option<Exchange>,
    pub(crate) endpoint: Rc<Endpoint>,
    pub(crate) began: Instant,
    poolable: bool,
    _pick: Pick,
}

impl Upstream {
    pub(crate) fn exchange(&self) -> &Exchange {
        self.exchange.as_ref().expect("taken only by finish and drop")
    }

    /// The exchange is complete: the connection may serve another.
    pub(crate) fn finish(mut self, now: Instant) {
        let Some(exchange) = self.exchange.take() else { return };
        self.give(exchange, self.poolable, now);
    }

    fn give(&self, exchange: Exchange, complete: bool, now: Instant) {
        let conn = Rc::clone(exchange.conn());
        drop(exchange);
        self.endpoint.pool.give(conn, complete, now);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.give(exchange, false, self.began);
        }
    }
}

/// Chooses an endpoint and gets a connection to it.
pub(crate) async fn open(
    scope: &Scope<'_>,
    down: &Transport,
    cluster: &Rc<Cluster>,
    (tries, record): (&mut Tries, &mut Record),
) -> Result<Upstream, Fault> {
    let (endpoint, pick) = cluster.pick(scope.house.random(), tries.avoid).ok_or_else(|| Fault::us(Cause::NoEndpoint))?;
    tries.avoid = Some(pick.index());
    record.attempt = Some(Attempt { endpoint: Rc::clone(endpoint.name()), reused: false, fault: None });
    let settings = scope.listener.settings();
    let began = scope.house.ring().now();
    let poolable = cluster.config().proxy_protocol.is_none();
    let conn = match take(scope, cluster, &endpoint, &settings).await? {
        Some(idle) if tries.wants_fresh() && !idle.is_multiplexed() => {
            // Its place is taken by the new one, so that no limit is exceeded.
            drop(idle);
            endpoint.pool.closed();
            connect_http(scope, down, cluster, &endpoint).await?
        }
        Some(conn) => {
            cluster.reused.increment();
            if let Some(attempt) = &mut record.attempt {
                attempt.reused = true;
            }
            conn
        }
        None => connect_http(scope, down, cluster, &endpoint).await?,
    };
    endpoint.requests.increment();
    record.phases.connected = scope.house.ring().now();
    Ok(Upstream { exchange: Some(conn.exchange()), endpoint, began, poolable, _pick: pick })
}

/// Waits until the origin has said whether it takes tunnels; `None` when it takes too long.
pub(crate) async fn greeted(scope: &Scope<'_>, cluster: &Cluster, up: &Upstream) -> Option<()> {
    let until = scope.house.ring().now().after(cluster.config().timeouts.connect);
    scope.timer.within(until, up.exchange().conn().greeted()).await
}

/// An idle connection, or `None` when one is to be opened; waits while the endpoint has as many as it may, or others are opening one that all
/// will share.
async fn take(scope: &Scope<'_>, cluster: &Cluster, endpoint: &Rc<Endpoint>, settings: &Settings) -> Result<Option<Rc<Conn>>, Fault> {
    let config = cluster.config();
    let ring = scope.house.ring();
    match endpoint.pool.take(ring, settings, config.limits.connections) {
        Taken::Reused(conn) if config.proxy_protocol.is_none() => return Ok(Some(conn)),
        Taken::Reused(_) | Taken::Connect => return Ok(None),
        Taken::Full | Taken::Opening => {}
    }
    if config.limits.pending.is_some_and(|limit| endpoint.waiting.get() >= limit) {
        cluster.overflows.increment();
        return Err(Fault::us(Cause::Overflow));
    }
    let _waiting = Waiting::new(endpoint);
    let until = ring.now().after(config.timeouts.connect);
    loop {
        let look = (ring.now() + WAITING_LOOK).min(until);
        let _looked = scope.timer.within(look, endpoint.pool.freed(ring)).await;
        match endpoint.pool.take(ring, settings, config.limits.connections) {
            Taken::Reused(conn) => return Ok(Some(conn)),
            Taken::Connect => return Ok(None),
            Taken::Full if ring.now() >= until => {
                cluster.overflows.increment();
                return Err(Fault::us(Cause::Overflow));
            }
            Taken::Opening if ring.now() >= until => return Err(Fault::origin(Cause::ConnectTimeout).safe()),
            Taken::Full | Taken::Opening => {}
        }
    }
}

/// A request that waits for a connection.
struct Waiting {
    endpoint: Rc<Endpoint>,
}

impl Waiting {
    fn new(endpoint: &Rc<Endpoint>) -> Self {
        endpoint.waiting.set(endpoint.waiting.get() + 1);
        Self { endpoint: Rc::clone(endpoint) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.endpoint.waiting.set(self.endpoint.waiting.get() - 1);
    }
}

/// Opens a connection that speaks HTTP.
async fn connect_http(scope: &Scope<'_>, down: &Transport, cluster: &Cluster, endpoint: &Endpoint) -> Result<Rc<Conn>, Fault> {
    let many = cluster.config().protocol == Protocol::Http2;
    let settings = Settings { h2: cluster.http2(&scope.listener.settings()), ..(*scope.listener.settings()).clone() };
    let _waited_for = endpoint.pool.opening(scope.house.ring(), many);
    let transport = connect(scope, down, cluster, endpoint).await?;
    let conn = if many { Conn::multiplexed_client(transport, &settings) } else { Conn::client(transport, &settings) };
    if conn.is_multiplexed() {
        endpoint.pool.share(&conn);
    }
    Ok(conn)
}

/// Opens a connection, counted as the endpoint's from the first moment; on failure the count is given back.
pub(crate) async fn connect(scope: &Scope<'_>, down: &Transport, cluster: &Cluster, endpoint: &Endpoint) -> Result<Transport, Fault> {
    let ring = scope.house.ring();
    let opening = Opening::new(endpoint);
    cluster.connects.increment();
    let began = ring.now();
    let until = began.after(cluster.config().timeouts.connect);
    let failure = match scope.timer.within(until, ring.connect(&endpoint.config.address)).await {
        Some(Ok(stream)) => {
            if let Some(version) = cluster.config().proxy_protocol {
                // Where the client wanted to go, as it was told: our own address on its side.
                let ours = down.local().ok();
                stream.write(|output| proxy_protocol::write(version, &scope.client.client, ours.as_ref(), output.tail()));
            }
            let transport =
                secure(scope, cluster, endpoint, stream, until).await.inspect_err(|_fault| cluster.connect_failures.increment())?;
            cluster.connect_duration.record(ring.now().since(began));
            opening.keep();
            return Ok(transport);
        }
        Some(Err(_errno)) => Cause::ConnectFailed,
        None => Cause::ConnectTimeout,
    };
    cluster.connect_failures.increment();
    endpoint.count_response(0);
    Err(Fault::origin(failure).safe())
}

/// What the endpoint speaks beneath: TLS, or nothing.
async fn secure(scope: &Scope<'_>, cluster: &Cluster, endpoint: &Endpoint, stream: Stream, until: Instant) -> Result<Transport, Fault> {
    let Some(tls) = &cluster.config().tls else { return Ok(stream.into()) };
    let transport = Transport::tls_client(stream, &endpoint.sessions(tls), &endpoint.tls_name())?;
    match scope.timer.within(until, transport.handshake()).await {
        Some(agreed) => agreed.map(|()| transport),
        None => Err(Fault::origin(Cause::ConnectTimeout).safe()),
    }
}

/// A connection's place in its endpoint's count while it is being opened.
struct Opening<'a> {
    endpoint: Option<&'a Endpoint>,
}

impl<'a> Opening<'a> {
    fn new(endpoint: &'a Endpoint) -> Self {
        endpoint.pool.opened();
        Self { endpoint: Some(endpoint) }
    }

    fn keep(mut self) {
        self.endpoint = None;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.pool.closed();
        }
    }
}

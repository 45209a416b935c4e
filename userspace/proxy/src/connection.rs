//! A connection's life: admitted, inspected, then its requests one after the other, or its bytes.
//!
//! Between requests this task is all there is of a connection, so what waits here must be small: everything large is boxed when a request's
//! first byte has come and gone when its response has.

use core::{future::poll_fn, task::Poll};
use exchange::Conn;
use io::Stream;
use model::{Cause, Instant};
use std::rc::Rc;

use config::Kind;

use crate::{
    House, Listener, handshake, http, inspect, multiplexed,
    scope::{LINGER_BYTES_MAX, Scope},
    tcp,
};

/// How long a client that still sends is listened to when its connection is closed.
const LINGER: core::time::Duration = core::time::Duration::from_secs(5);
/// Requests of one connection served in one go before the others have their turn.
const REQUESTS_A_TURN_MAX: u32 = 16;

/// Serves an accepted connection to its end.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice, and this future is what an idle connection is made of")]
pub fn serve(house: Rc<House>, listener: Rc<Listener>, stream: Stream) -> impl Future<Output = ()> {
    async move {
        let Some(admitted) = listener.admit() else {
            house.count_fault(Cause::ConnectionLimit);
            stream.reset();
            return;
        };
        drop(listener);
        let timer = house.ring().timer();
        let client = match inspect::quick(&house, &admitted.listener, &stream) {
            Some(client) => client,
            None => match Box::pin(inspect::slow(&house, &admitted.listener, &stream, &timer)).await {
                Ok(client) => client,
                Err(cause) => {
                    house.count_fault(cause);
                    return;
                }
            },
        };
        let config = admitted.listener.config();
        if !config.passthrough.is_empty() {
            match Box::pin(inspect::passthrough(&house, (&admitted.listener, &timer), &stream, &config.passthrough)).await {
                Ok(None) if matches!(config.kind, Kind::Passthrough) => {
                    return Box::pin(handshake::refuse(&house, (&admitted.listener, &timer), stream)).await;
                }
                Ok(None) => {}
                Ok(Some(to)) => {
                    admitted.listener.passed.increment();
                    let scope = Scope { house: &house, listener: &admitted.listener, client: &client, timer: &timer };
                    return Box::pin(tcp::proxy(&scope, stream.into(), &to)).await;
                }
                Err(cause) => return house.count_fault(cause),
            }
        }
        let transport = match &config.tls {
            None => stream.into(),
            Some(tls) => match Box::pin(handshake::accept(&house, (&admitted.listener, &timer), stream, tls)).await {
                Some(transport) => transport,
                None => return,
            },
        };
        let scope = Scope { house: &house, listener: &admitted.listener, client: &client, timer: &timer };
        if let Kind::Tcp(tcp) = &config.kind {
            let to = tcp.to.clone();
            drop(config);
            Box::pin(tcp::proxy(&scope, transport, &to)).await;
            return;
        }
        drop(config);
        let mut conn = Conn::server(transport, &admitted.listener.settings());
        if !conn.is_multiplexed() {
            if serve_http(&scope, &conn).await == Protocol::OneByOne {
                return conn.abandon();
            }
            conn = match Box::pin(sniff(&scope, conn)).await {
                Some(conn) => conn,
                None => return,
            };
        }
        if conn.is_multiplexed() {
            Box::pin(serve_many(&scope, conn)).await;
        } else {
            Box::pin(serve_http(&scope, &conn)).await;
            conn.abandon();
        }
    }
}

/// What a connection's first bytes say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    OneByOne,
    MayBeMultiplexed,
}

/// Finds out what a connection is whose first bytes may be those of one that carries many requests at once; nothing if they do not come.
async fn sniff(scope: &Scope<'_>, conn: Rc<Conn>) -> Option<Rc<Conn>> {
    let until = scope.house.ring().now().after(scope.listener.config().timeouts.request_head);
    let sniffed = scope.house.within((scope.listener, scope.timer), until, conn.sniff(&scope.listener.settings())).await;
    if sniffed.is_none() {
        scope.house.count_fault(Cause::RequestHeadTimeout);
    }
    sniffed
}

/// Requests, many at once.
async fn serve_many(scope: &Scope<'_>, conn: Rc<Conn>) {
    if multiplexed::serve(scope, &conn).await {
        Box::pin(close(scope, &conn)).await;
    }
}

/// Requests, one after the other.
#[expect(clippy::manual_async_fn, reason = "as serve")]
fn serve_http<'a>(scope: &'a Scope<'a>, conn: &'a Rc<Conn>) -> impl Future<Output = Protocol> + 'a {
    async move {
        let mut in_a_row = 0;
        let end = loop {
            match next_request(scope, conn).await {
                Next::Request if conn.exchanges() == 0 && conn.may_be_multiplexed() => return Protocol::MayBeMultiplexed,
                Next::Request => {}
                end @ (Next::Gone | Next::Ending) => break end,
            }
            Box::pin(http::proxy(conn.exchange(), scope)).await;
            if !conn.can_accept() {
                break Next::Ending;
            }
            in_a_row += 1;
            if in_a_row == REQUESTS_A_TURN_MAX {
                in_a_row = 0;
                scope.house.ring().yield_now().await;
            }
        };
        if conn.exchanges() > 0 && !conn.is_cut_short() && (end == Next::Ending || conn.transport().unsent() > 0) {
            Box::pin(close(scope, conn)).await;
        }
        Protocol::OneByOne
    }
}

/// Closes a connection whose last response is not yet sent, or which the client may still be sending on.
async fn close(scope: &Scope<'_>, conn: &Conn) {
    let (house, listener, timer) = (scope.house, &**scope.listener, scope.timer);
    // As long as a client may be idle it may take for reading: closing now would cut its response.
    let now = house.ring().now();
    let until = now.after(listener.config().timeouts.idle);
    let silent = conn.peer_has_ended();
    if silent {
        conn.transport().end();
    } else {
        conn.transport().finish();
    }
    if !matches!(house.within((listener, timer), until, conn.transport().flushed()).await, Some(Ok(()))) || silent {
        return;
    }
    let until = house.ring().now() + LINGER;
    let _closed = house.within((listener, timer), until, conn.transport().discard(LINGER_BYTES_MAX)).await;
}

/// What follows a response, or an accepted connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A request's first byte is there.
    Request,
    /// The client has closed, or was idle for so long that nothing can be on its way.
    Gone,
    /// We end the connection, whatever the client is at.
    Ending,
}

/// Waits for a request's first byte, or a reason to wait no longer.
fn next_request<'a>(scope: &'a Scope<'_>, conn: &'a Conn) -> impl Future<Output = Next> + 'a {
    let Scope { house, listener, timer, .. } = scope;
    let idle_until = house.ring().now().after(listener.config().timeouts.idle);
    timer.set(idle_until.min(house.ending(listener).unwrap_or(Instant::NEVER)));
    poll_fn(move |_| {
        let Scope { house, listener, timer, .. } = scope;
        if let Poll::Ready(readable) = conn.poll_readable() {
            return Poll::Ready(if readable { Next::Request } else { Next::Gone });
        }
        // A connection on which no request has come yet is given its first one even while draining.
        if let Some(until) = house.ending(listener) {
            if conn.exchanges() > 0 || until <= house.ring().now() {
                return Poll::Ready(Next::Ending);
            }
            // It may have begun since the timer was set.
            timer.set(idle_until.min(until));
        }
        if timer.poll_expired().is_ready() && idle_until != Instant::NEVER {
            house.count_fault(Cause::KeepAliveTimeout);
            return Poll::Ready(Next::Gone);
        }
        Poll::Pending
    })
}

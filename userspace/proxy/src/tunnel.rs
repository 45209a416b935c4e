//! The room of tunnels: CONNECT, where a route allows it, over any HTTP version (RFC 9110 §9.3.6).
//!
//! The tunnel ends here: its bytes go to an endpoint of the route's cluster as they are, never to wherever a client would like to go. Each side's
//! end closes its half.

use core::cell::Cell;
use exchange::{Exchange, Transport};
use model::{Body, Cause, Fault, Head, Instant, Part, Record, RequestLine, Scope as FaultScope};

use config::{Route, Targets};

use crate::{
    edits,
    scope::Scope,
    tcp::{self, Limits},
};

/// Whether a request asks for a tunnel and for nothing else in it.
pub(crate) fn is_asked(line: &RequestLine) -> bool {
    line.method == model::Method::Connect && line.protocol.is_empty()
}

/// Refuses CONNECT where the route does not allow it, or not to that port.
pub(crate) fn check(line: &RequestLine, route: &Route) -> Result<(), Fault> {
    let refused = |cause| Err(Fault { scope: FaultScope::Stream, ..Fault::client(cause) });
    let Some(ports) = &route.connect else { return refused(Cause::NotImplemented) };
    let text = line.authority.rsplit(|byte| *byte == b':').next().and_then(|port| str::from_utf8(port).ok());
    match text.and_then(|port| port.parse::<u16>().ok()) {
        Some(port) if ports.is_empty() || ports.contains(&port) => Ok(()),
        Some(_) | None => refused(Cause::BadTarget),
    }
}

/// Opens the tunnel and carries it to its end.
pub(crate) async fn run(
    down: &Exchange,
    scope: &Scope<'_>,
    record: &mut Record,
    (route, targets): (&Route, &Targets),
) -> Result<(), Fault> {
    let (up, _place) = tcp::open(scope, down.conn().transport(), targets, record).await?;
    let mut head = Head::response(200, Body::Unknown);
    edits::apply(&route.response_edits, &mut head.fields);
    let now = scope.house.ring().now();
    (record.status, record.phases.responded) = (200, now);
    down.send(Part::Head(head))?;
    let (sent, received, moved_at) = (Cell::new(0), Cell::new(0), Cell::new(now));
    let idle = route.tunnel.idle.unwrap_or(scope.listener.config().timeouts.idle);
    let limits = Limits { moved_at: &moved_at, idle, until: now.after(route.tunnel.total) };
    let there = there(down, &up, (&sent, &moved_at));
    let back = back(&up, down, (&received, &moved_at));
    let outcome = tcp::both(scope, there, back, limits).await;
    (record.request_bytes, record.response_bytes) = (sent.get(), received.get());
    // (The client's side is seen to by its connection.)
    if outcome.is_err_and(|fault| fault.blame == model::Blame::Client) {
        up.reset();
    }
    outcome
}

/// The client's bytes, until its end.
async fn there(down: &Exchange, up: &Transport, (count, moved_at): (&Cell<u64>, &Cell<Instant>)) -> Result<(), Fault> {
    let broken = |_errno| Fault::origin(Cause::UpstreamReset);
    loop {
        up.room().await.map_err(broken)?;
        match down.next().await? {
            Part::Data(data) => {
                count.set(count.get() + data.len() as u64);
                moved_at.set(up.ring().now());
                up.write(|output| output.push(data));
            }
            Part::End => break,
            // Nothing but data flows in a tunnel.
            Part::Info(_) | Part::Head(_) | Part::Trailers(_) => return Err(Fault::client(Cause::BadFraming)),
        }
    }
    up.finish();
    up.flushed().await.map_err(broken)
}

/// The endpoint's bytes, until its end.
async fn back(up: &Transport, down: &Exchange, (count, moved_at): (&Cell<u64>, &Cell<Instant>)) -> Result<(), Fault> {
    loop {
        down.room().await?;
        let chunk = up.receive().await.map_err(|_errno| Fault::origin(Cause::UpstreamReset))?;
        if chunk.is_empty() {
            return down.send(Part::End);
        }
        count.set(count.get() + chunk.len() as u64);
        moved_at.set(up.ring().now());
        down.send(Part::Data(chunk))?;
    }
}

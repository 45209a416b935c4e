//! The room where both messages flow: the request up, the response down, both from the request's head on.
//!
//! Neither direction waits for the other: a response may come while the request's body still flows, and one that ends first ends the
//! exchange. Each direction asks the receiver for room before it takes the next Part, so that nothing is held here; large bodies whose
//! length is known leave the Parts for a lane inside the kernel once nothing else moves.

use buf::Chunk;
use core::{future::poll_fn, task::Poll};
use exchange::Exchange;
use model::{Cause, Fault, Head, Instant, Part, Record};

use crate::{
    edits, grpc,
    scope::Scope,
    upgrade::{self, Upgrade},
    upstream::Upstream,
};

/// Bytes of a request's body kept so that it can be sent again.
const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// A response body with at least so many bytes to come takes the lane.
const LANE_BYTES_MIN: u64 = 128 * 1024;
/// Bytes asked of the lane at a time.
const LANE_STEP_BYTES: u64 = 1 << 20;

/// What was taken of a request after its head, to be sent again to another endpoint.
#[derive(Default)]
pub(crate) struct Replay {
    /// Data and trailers.
    parts: Vec<Part>,
    bytes: usize,
    ended: bool,
    spent: bool,
}

impl Replay {
    /// Whether nothing that was taken is missing.
    pub(crate) fn is_whole(&self) -> bool {
        !self.spent
    }

    fn keep(&mut self, part: &Part) {
        if self.spent {
            return;
        }
        let part = match part {
            Part::Data(data) => {
                self.bytes += data.len();
                if self.bytes > REPLAY_BYTES_MAX {
                    self.spent = true;
                    self.parts = Vec::new();
                    return;
                }
                // A receive buffer is never kept.
                Part::Data(Chunk::copy_of(data))
            }
            Part::End => {
                self.ended = true;
                return;
            }
            Part::Info(_) | Part::Head(_) | Part::Trailers(_) => part.clone(),
        };
        self.parts.push(part);
    }
}

/// Carries the exchange to its end. A fault of the origin before any of the response was given down leaves everything for another try.
pub(crate) async fn run(
    down: &Exchange,
    up: Upstream,
    scope: &Scope<'_>,
    (head, route, upgrade): (&Head, &config::Route, Option<&Upgrade>),
    (replay, record): (&mut Replay, &mut Record),
) -> Result<(), Fault> {
    let now = scope.house.ring().now();
    up.exchange().send_head(head)?;
    for part in &replay.parts {
        up.exchange().send(part.clone())?;
    }
    if replay.ended {
        up.exchange().send(Part::End)?;
    }
    let request_ended = head.end || replay.ended;
    let total_until = if record.is_call { record.phases.started.after(grpc::timeout(head)) } else { Instant::NEVER };
    let mut pump = Pump {
        down,
        up: up.exchange(),
        scope,
        route,
        replay,
        record,
        upstream: &up,
        request: if request_ended { Request::Done } else { Request::Flowing },
        request_done_at: now,
        moved_at: now,
        armed: Instant::NEVER,
        response: Response::Awaited,
        upgrade,
        tunnel: false,
        total_until,
        tunnel_until: Instant::NEVER,
    };
    pump.arm();
    let carried = pump.carry().await;
    if carried.is_err_and(|fault| fault.blame == model::Blame::Origin) && pump.response == Response::Awaited {
        pump.upstream.endpoint.count_response(0);
    }
    carried?;
    let reusable = pump.request == Request::Done;
    if reusable {
        up.finish(scope.house.ring().now());
    }
    Ok(())
}

/// How far the request has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Flowing,
    Done,
    /// The origin takes no more of it; its response may still come.
    Abandoned,
}

/// How far the response has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Response {
    Awaited,
    Flowing,
    Done,
}

struct Pump<'a> {
    down: &'a Exchange,
    up: &'a Exchange,
    scope: &'a Scope<'a>,
    route: &'a config::Route,
    replay: &'a mut Replay,
    record: &'a mut Record,
    upstream: &'a Upstream,
    request: Request,
    request_done_at: Instant,
    /// When a Part last moved in either direction.
    moved_at: Instant,
    /// What the timer is set to.
    armed: Instant,
    response: Response,
    /// What was asked to be spoken, until it is answered.
    upgrade: Option<&'a Upgrade>,
    /// Each direction goes on until its own end.
    tunnel: bool,
    /// When it is over whatever has come: a call's deadline.
    total_until: Instant,
    /// When a tunnel is over whatever moves.
    tunnel_until: Instant,
}

impl Pump<'_> {
    /// Until the response is complete.
    async fn carry(&mut self) -> Result<(), Fault> {
        loop {
            poll_fn(|_| self.poll()).await?;
            if self.is_over() {
                return Ok(());
            }
            self.lane().await?;
        }
    }

    /// Ready when the response is complete, or when its rest may take the lane.
    fn poll(&mut self) -> Poll<Result<(), Fault>> {
        loop {
            let up = self.step_request()?;
            let down = self.step_response()?;
            if self.is_over() {
                return Poll::Ready(Ok(()));
            }
            if up || down {
                self.moved_at = self.scope.house.ring().now();
                continue;
            }
            if self.response == Response::Flowing && self.request == Request::Done && self.up.lane(self.down, LANE_BYTES_MIN).is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.request == Request::Done && self.down.poll_broken().is_ready() {
                return Poll::Ready(Err(Fault::client(Cause::DownstreamReset)));
            }
            return self.poll_timeouts();
        }
    }

    fn is_over(&self) -> bool {
        self.response == Response::Done && (!self.tunnel || self.request != Request::Flowing)
    }

    /// Moves one Part of the request up; whether there was one.
    fn step_request(&mut self) -> Result<bool, Fault> {
        if self.request != Request::Flowing {
            return Ok(false);
        }
        match self.up.poll_room() {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_broken)) => {
                // It may have answered before it stopped reading (RFC 9112 §9.5): its response decides.
                self.request = Request::Abandoned;
                return Ok(true);
            }
        }
        let Poll::Ready(part) = self.down.poll_next() else { return Ok(false) };
        let part = part?;
        if let Part::Data(data) = &part {
            self.record.request_bytes += data.len() as u64;
            let limit = self.scope.listener.config().limits.body_bytes;
            if limit.is_some_and(|limit| self.record.request_bytes > limit) {
                return Err(Fault::client(Cause::BodyTooLarge));
            }
        }
        if self.response == Response::Awaited {
            self.replay.keep(&part);
        }
        let end = part.is_end();
        self.up.send(part)?;
        if end {
            self.request = Request::Done;
            self.request_done_at = self.scope.house.ring().now();
            self.arm();
        }
        Ok(true)
    }

    /// Moves one Part of the response down; whether there was one.
    fn step_response(&mut self) -> Result<bool, Fault> {
        if self.response == Response::Done {
            return Ok(false);
        }
        match self.down.poll_room() {
            Poll::Pending => return Ok(false),
            Poll::Ready(room) => room?,
        }
        let Poll::Ready(part) = self.up.poll_next() else { return Ok(false) };
        let part = match part? {
            Part::Head(head) => Part::Head(self.response_head(head)?),
            Part::Data(data) => {
                self.record.response_bytes += data.len() as u64;
                Part::Data(data)
            }
            Part::Trailers(trailers) => {
                if self.record.is_call {
                    self.record.grpc_status = grpc::status_in(&trailers);
                }
                Part::Trailers(trailers)
            }
            other @ (Part::Info(_) | Part::End) => other,
        };
        if part.is_end() {
            self.response = Response::Done;
        }
        self.down.send(part)?;
        Ok(true)
    }

    fn response_head(&mut self, mut head: Head) -> Result<Head, Fault> {
        if let Some(upgrade) = self.upgrade.take() {
            if upgrade::is_mistaken(head.status(), self.down) {
                return Err(Fault::origin(Cause::MalformedResponse));
            }
            upgrade.answered(&mut head, self.up.proves_upgrade())?;
            self.tunnel = head.status() == 101;
            if self.tunnel {
                self.tunnel_until = self.scope.house.ring().now().after(self.route.tunnel.total);
                self.arm();
            } else {
                // Declined: nothing more of the request is of any use.
                self.request = Request::Done;
                self.up.send(Part::End)?;
            }
        }
        if self.record.is_call {
            self.record.grpc_status = grpc::status_in(&head.fields);
        }
        let now = self.scope.house.ring().now();
        self.response = Response::Flowing;
        self.record.phases.responded = now;
        self.record.status = head.status();
        self.upstream.endpoint.count_response(head.status());
        self.upstream.endpoint.duration.record(now.since(self.upstream.began));
        edits::apply(&self.route.response_edits, &mut head.fields);
        if self.ending().is_some() || self.request != Request::Done {
            // (Nobody knows how much of the request is still to come; where it has to be read first, the connection ends with the response.)
            self.down.conn().close_after();
        }
        Ok(head)
    }

    /// When the wait for whatever is awaited ends: the response's head by the route's timeout, anything by the idle timeout, all by a drain's.
    fn deadline(&self) -> Instant {
        let idle = self.scope.listener.config().timeouts.idle;
        let idle = self.moved_at.after(if self.tunnel { self.route.tunnel.idle.unwrap_or(idle) } else { idle });
        let answer = match (self.request, self.response) {
            (Request::Done | Request::Abandoned, Response::Awaited) => self.request_done_at.after(self.route.timeout),
            // (It is not sent on before the answer.)
            (Request::Flowing, Response::Awaited) if self.upgrade.is_some() => self.request_done_at.after(self.route.timeout),
            _ => Instant::NEVER,
        };
        idle.min(answer).min(self.total_until).min(self.tunnel_until).min(self.ending().unwrap_or(Instant::NEVER))
    }

    fn ending(&self) -> Option<Instant> {
        self.scope.house.ending(self.scope.listener)
    }

    fn arm(&mut self) {
        self.armed = self.deadline();
        self.scope.timer.set(self.armed);
    }

    fn poll_timeouts(&mut self) -> Poll<Result<(), Fault>> {
        // A drain may have begun since.
        if self.ending().is_some_and(|until| until < self.armed) {
            self.arm();
        }
        // The timer was set for the earliest moment that mattered then; what has moved since put the real one off.
        while self.scope.timer.poll_expired().is_ready() {
            let now = self.scope.house.ring().now();
            if self.deadline() > now {
                self.arm();
                continue;
            }
            return Poll::Ready(Err(self.timeout(now)));
        }
        Poll::Pending
    }

    fn timeout(&self, now: Instant) -> Fault {
        if self.ending().is_some_and(|until| until <= now) {
            self.scope.listener.cut.increment();
            return Fault::us(Cause::DrainTimeout);
        }
        if self.tunnel_until <= now {
            return Fault::us(Cause::TunnelTimeout);
        }
        if self.total_until <= now {
            return Fault::origin(Cause::ResponseTimeout);
        }
        match (self.request, self.response) {
            // The client owes us its body, unless the origin does not take it.
            (Request::Flowing, Response::Awaited) if self.up.poll_room().is_ready() => Fault::client(Cause::RequestBodyTimeout),
            (_, Response::Awaited) => Fault::origin(Cause::ResponseTimeout),
            (_, Response::Flowing | Response::Done) => Fault::origin(Cause::IdleTimeout),
        }
    }

    /// Moves the response's body inside the kernel as far as it goes.
    async fn lane(&mut self) -> Result<(), Fault> {
        while let Some(left) = self.up.lane(self.down, 1) {
            let idle = self.scope.house.ring().now().after(self.scope.listener.config().timeouts.idle);
            let (house, step) = (self.scope.house, left.min(LANE_STEP_BYTES));
            let moved = house.within((self.scope.listener, self.scope.timer), idle, self.up.move_raw(self.down, step)).await;
            let moved = moved.ok_or_else(|| self.timeout(house.ring().now()))??;
            self.record.response_bytes += moved;
            self.moved_at = self.scope.house.ring().now();
        }
        self.arm();
        Ok(())
    }
}

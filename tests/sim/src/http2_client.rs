//! The simulated clients' HTTP/2: some requests at once on one connection, with bodies, slowly or in haste, with whims; some are cancelled at
//! whatever moment.

use core::time::Duration;
use std::collections::VecDeque;

use buf::Chunk;
use exchange::Transport;
use h2::{ErrorCode, Event};
use io::sim::{Chance, Random};
use model::{Address, Fields, Instant, Method, Part, RequestLine, Scheme, Start, StreamId, Text};

use crate::{
    client::Client,
    ledger::Answer,
    link::{Came, Link},
    plan::{self, Body, Plan, TRAILER},
    whims::{self, Side},
    wire::{Ended, Head},
};

/// After how long without anything a client gives up: far beyond every timeout of the proxy's.
const PATIENCE: Duration = Duration::from_secs(5_000);

/// A request under way.
struct Flight {
    plan: Plan,
    id: StreamId,
    /// What is still to be sent of the body.
    body: Vec<u8>,
    sent: usize,
    complete: bool,
    /// Until when a 100 is awaited.
    continues_at: Instant,
    next_piece: Instant,
    cancel: Option<Cancel>,
    head: Option<Head>,
    got: Vec<u8>,
}

/// When a request is cancelled.
#[derive(Clone, Copy)]
enum Cancel {
    Sent(usize),
    Head,
    Received(usize),
    At(Instant),
}

/// How a connection is used.
struct Manner {
    at_once: usize,
    /// Microseconds between pieces of a body.
    rest: [u64; 2],
    /// Whether some requests are cancelled.
    cancels: bool,
}

impl Client {
    /// Carries the requests `ids` over one connection.
    pub(crate) async fn multiplexed(&self, (transport, ours): (Transport, Option<Address>), ids: Vec<u64>, mut random: Random) {
        let manner = Manner {
            at_once: random.pick(&[1, 2, 6, 6]),
            rest: random.pick(&[[0, 0], [0, 0], [0, 500], [0, 30_000]]),
            cancels: random.happens(Chance(3_000)),
        };
        let settings = whims::settings(&mut random);
        let mut link = Link::new(transport, Side::Client, settings, &mut random);
        let mut waiting: VecDeque<Plan> = ids.iter().map(|id| Plan::new(self.seed, *id, self.mood)).collect();
        let mut flights = Vec::new();
        let over = self.carry(&mut link, (&mut waiting, &mut flights), &manner, &mut random).await;
        for flight in flights {
            self.landed(flight, over.unwrap_or(Ended::Closed));
        }
        self.world.note(&format!("client of {ids:?}: {over:?}, {:?}", link.tally));
        let broken = ours.is_none_or(|ours| self.world.was_broken(&ours));
        if over.is_none() {
            self.take_leave(link, &mut random).await;
        } else if over == Some(Ended::Malformed) {
            self.ledger.wrong(format!("{ids:?}: the proxy broke the rules of HTTP/2"));
        } else if let Some(code) = link.tally.goaways.iter().find(|code| **code != 0) {
            self.ledger.wrong(format!("{ids:?}: the proxy says that the client did wrong: {code}"));
        }
        for id in ids {
            self.ledger.note(id, |entry| entry.broken |= broken);
        }
    }

    /// Until every request has its answer, or the connection is over.
    async fn carry(
        &self,
        link: &mut Link,
        (waiting, flights): (&mut VecDeque<Plan>, &mut Vec<Flight>),
        manner: &Manner,
        random: &mut Random,
    ) -> Option<Ended> {
        let mut silent_at = link.now() + PATIENCE;
        loop {
            while flights.len() < manner.at_once
                && link.codec.capacity() > 0
                && let Some(plan) = waiting.pop_front()
            {
                flights.push(self.begin(link, plan, manner, random));
            }
            let mut due = silent_at;
            for flight in flights.iter_mut() {
                due = due.min(self.feed(link, flight, manner, random));
            }
            let now = link.now();
            while let Some(at) = flights.iter().position(|flight| flight.is_cancelled(now)) {
                let flight = flights.swap_remove(at);
                link.codec.reset(flight.id, ErrorCode::Cancel);
                link.codec.release(flight.id);
                self.ledger.note(flight.plan.id, |entry| entry.aborted = true);
                self.landed(flight, Ended::Closed);
            }
            // Who is told to go opens nothing more.
            if flights.is_empty() && (waiting.is_empty() || link.codec.capacity() == 0) {
                return None;
            }
            match link.next(due).await {
                Came::Event(event) => {
                    silent_at = link.now() + PATIENCE;
                    self.hear(link, flights, event);
                }
                Came::Turn if link.now() >= silent_at => return Some(Ended::Silent),
                Came::Turn => {}
                Came::Over(ended) => return Some(ended),
            }
        }
    }

    fn begin(&self, link: &mut Link, plan: Plan, manner: &Manner, random: &mut Random) -> Flight {
        self.ledger.note(plan.id, |entry| entry.begun = true);
        let head = head(&plan, if self.tls.is_some() { Scheme::Https } else { Scheme::Http });
        let id = link.codec.open(&head).expect("there is capacity, and the head is well-formed");
        if head.end {
            self.ledger.note(plan.id, |entry| entry.sent = true);
        }
        let now = link.now();
        let cancel = (manner.cancels && random.happens(Chance(3_000))).then(|| match random.below(4) {
            0 => Cancel::Sent(random.below(plan.request.length() + 1)),
            1 => Cancel::Head,
            2 => Cancel::Received(random.below(plan.response.length() + 1)),
            _ => Cancel::At(now + Duration::from_micros(random.pick(&[0, 1_000, 100_000]))),
        });
        Flight {
            id,
            body: plan.request_bytes(),
            sent: 0,
            complete: head.end,
            // RFC 9110 §10.1.1: does not wait for ever.
            continues_at: if plan.expects_continue { now + Duration::from_secs(1) } else { now },
            next_piece: now,
            cancel,
            head: None,
            got: Vec::new(),
            plan,
        }
    }

    /// Sends what may be sent of a body; when there is more to do without anything coming.
    fn feed(&self, link: &mut Link, flight: &mut Flight, manner: &Manner, random: &mut Random) -> Instant {
        let due = match flight.cancel {
            Some(Cancel::At(at)) => at,
            Some(Cancel::Sent(_) | Cancel::Head | Cancel::Received(_)) | None => Instant::NEVER,
        };
        let now = link.now();
        while !flight.complete {
            let next = flight.continues_at.max(flight.next_piece);
            if now < next {
                return next.min(due);
            }
            if flight.body.is_empty() {
                let _dropped_when_gone = trailers(flight.plan.trailers[0].as_ref()).map(|trailers| link.codec.send(flight.id, trailers));
                let ended = link.codec.send(flight.id, Part::End);
                flight.complete = true;
                if ended.is_ok() {
                    self.ledger.note(flight.plan.id, |entry| entry.sent = true);
                }
                break;
            }
            if link.codec.room(flight.id) == 0 {
                break;
            }
            let length = (1 + random.below(8_000)).min(flight.body.len());
            let piece: Vec<u8> = flight.body.drain(..length).collect();
            flight.sent += length;
            if link.codec.send(flight.id, Part::Data(Chunk::from(piece))).is_err() {
                self.ledger.wrong(format!("{} cannot be sent", flight.plan.id));
            }
            flight.next_piece = now + Duration::from_micros(random.pick(&manner.rest));
        }
        due
    }

    fn hear(&self, link: &mut Link, flights: &mut Vec<Flight>, event: Event) {
        match event {
            Event::Part(id, part) => {
                let Some(at) = flights.iter().position(|flight| flight.id == id) else { return };
                if flights[at].take(&part) {
                    link.codec.release(id);
                    self.landed(flights.swap_remove(at), Ended::Closed);
                }
            }
            Event::Reset(id, _) => {
                let Some(at) = flights.iter().position(|flight| flight.id == id) else { return };
                link.codec.release(id);
                self.landed(flights.swap_remove(at), Ended::Reset);
            }
            Event::Draining => {}
            Event::Refused(..) | Event::Rejected(..) => self.ledger.wrong(format!("the proxy sent a request: {event:?}")),
            Event::Reached(limit) => self.ledger.wrong(format!("the proxy floods its client: {}", limit.name())),
        }
    }

    /// What came of a request.
    fn landed(&self, flight: Flight, ended: Ended) {
        let Flight { plan, head, got, .. } = flight;
        let answer = match head {
            None => Answer::None(ended),
            Some(head) if head.word(2) == "whole" => Answer::Whole(head, got),
            Some(head) => Answer::Cut(head, got, ended),
        };
        self.ledger.note(plan.id, |entry| entry.answer = Some(answer));
    }

    /// The end of a connection on which everything is answered.
    async fn take_leave(&self, mut link: Link, random: &mut Random) {
        if let Some(missing) = link.settle().await {
            self.ledger.wrong(missing);
        }
        match random.below(3) {
            0 => link.linger().await,
            1 => {
                link.codec.drain();
                link.linger().await;
            }
            _ => {}
        }
    }
}

impl Flight {
    /// Another Part of the response; whether it is complete.
    fn take(&mut self, part: &Part) -> bool {
        match part {
            Part::Info(head) if head.status() == 100 => self.continues_at = Instant(0),
            Part::Trailers(trailers) => self.got.extend(told_all(trailers)),
            Part::Info(_) | Part::End => {}
            Part::Head(head) => {
                self.continues_at = Instant(0);
                self.head = Some(told(head));
            }
            Part::Data(data) => self.got.extend_from_slice(data),
        }
        let ended = matches!(part, Part::End) || matches!(part, Part::Head(head) if head.end);
        if let (true, Some(head)) = (ended, &mut self.head) {
            head.line += " whole";
        }
        ended
    }

    fn is_cancelled(&self, now: Instant) -> bool {
        match self.cancel {
            None => false,
            Some(Cancel::Sent(bytes)) => self.sent >= bytes,
            Some(Cancel::Head) => self.head.is_some(),
            Some(Cancel::Received(bytes)) => self.head.is_some() && self.got.len() >= bytes,
            Some(Cancel::At(at)) => at <= now,
        }
    }
}

/// A response's head as the judge reads it.
fn told(head: &model::Head) -> Head {
    Head { line: format!("HTTP/2 {}", head.status()), fields: fields(head) }
}

/// A head's fields as text.
pub(crate) fn fields(head: &model::Head) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    head.fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}

fn head(plan: &Plan, scheme: Scheme) -> model::Head {
    let mut fields = Fields::default();
    fields.append(b"x-plan", plan.id.to_string().as_bytes());
    if plan.expects_continue {
        fields.append(b"expect", b"100-continue");
    }
    let line = RequestLine {
        method: Method::registered(plan.method.as_bytes()).expect("plans have registered methods"),
        scheme,
        authority: Text::copy_of(b"shop.example.com"),
        path: Text::copy_of(format!("/r/{}", plan.id).as_bytes()),
        protocol: Text::default(),
    };
    let body = known(plan.request);
    model::Head { start: Start::Request(line), fields, body, end: body == model::Body::None }
}

/// A plan's trailers.
pub(crate) fn trailers(said: Option<&String>) -> Option<Part> {
    let mut fields = Fields::default();
    fields.append(TRAILER.as_bytes(), said?.as_bytes());
    Some(Part::Trailers(fields))
}

/// Trailers that came, as [`plan::told`].
pub(crate) fn told_all(fields: &Fields) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().flat_map(|field| plan::told(&text(field.name), &text(field.value))).collect()
}

/// A plan's body as a head announces it.
pub(crate) fn known(body: Body) -> model::Body {
    match body {
        Body::None => model::Body::None,
        Body::Known(length) => model::Body::Known(length as u64),
        Body::Chunked(_) | Body::Close(_) => model::Body::Unknown,
    }
}

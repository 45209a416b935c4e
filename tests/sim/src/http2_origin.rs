//! The simulated origins' HTTP/2: many requests at once, each done with as its plan says, with whims; some are refused, and some connections end by
//! a GOAWAY that names a stream below what came.

use core::time::Duration;

use buf::Chunk;
use exchange::Transport;
use h2::{ErrorCode, Event};
use io::sim::Random;
use model::{Fields, Instant, Part, StreamId};

use crate::{
    frames::{self, frame},
    http2_client::{fields, known, told_all, trailers},
    link::{Came, Link},
    origin::{HOLD, Origin},
    plan::{Conduct, Mood, Plan},
    tunneller::TUNNEL,
    whims::{self, Side},
    wire::Head,
};

/// How long an origin that does not answer lets its client wait: far beyond every timeout of the proxy's.
const STALL: Duration = Duration::from_secs(10_000);
/// The streams that are reset with each code but the one that says that nothing was done.
const CODES: [u32; 13] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13];

/// A request being served.
struct Serving {
    plan: Plan,
    id: StreamId,
    body: Vec<u8>,
    /// The request has come whole.
    complete: bool,
    /// When the answer, or its next piece, is due.
    due: Instant,
    /// What is still to be sent of the body, once the head was.
    answer: Option<Vec<u8>>,
    answered: bool,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// It says so, and names the last stream when it must have been heard.
    Drain,
    /// It names the last stream that came.
    Now,
    /// It names one below the last that came.
    Below,
}

/// What becomes of the connection.
enum Then {
    GoOn,
    /// It breaks off.
    Sever,
}

impl Origin {
    /// Serves one connection.
    pub(crate) async fn multiplexed(&self, transport: Transport, mut random: Random) {
        let random = &mut random;
        let mut link = Link::new(transport, Side::Origin, whims::settings(random), random);
        let mut left = if self.mood == Mood::Good { usize::MAX } else { 1 + random.below(12) };
        let departure = random.pick(&[Departure::Drain, Departure::Now, Departure::Below]);
        let mut servings: Vec<Serving> = Vec::new();
        loop {
            let mut due = Instant::NEVER;
            for serving in &mut servings {
                let (then, next) = self.serve_one(&mut link, serving, random).await;
                if let Then::Sever = then {
                    self.ledger.with(|book| book.severed += 1);
                    let _flushed = link.transport.flushed().await;
                    return;
                }
                due = due.min(next);
            }
            servings.retain(|serving| !serving.is_over(&mut link));
            if link.codec.is_over() {
                return link.linger().await;
            }
            match link.next(due).await {
                Came::Event(Event::Part(id, Part::Head(head))) if left == 1 && departure == Departure::Below => {
                    // Not looked at, and the client is told so.
                    left = 0;
                    self.note_refused(&head);
                    link.write(&frames::goaway(u32::try_from(id.0).unwrap_or_default().saturating_sub(2), 0)).await;
                    link.codec.drain_now();
                    link.codec.release(id);
                }
                Came::Event(event) => {
                    let before = left;
                    self.hear(&mut link, (&mut servings, &mut left), event);
                    match departure {
                        Departure::Drain if left == 0 && before > 0 => link.codec.drain(),
                        Departure::Now if left == 0 && before > 0 => link.codec.drain_now(),
                        Departure::Drain | Departure::Now | Departure::Below => {}
                    }
                }
                Came::Turn => {}
                // The proxy may give up at any time: that is no one's wrong.
                Came::Over(_) => return,
            }
        }
    }

    fn note_refused(&self, head: &model::Head) {
        if let Some(id) = told(head).word(1).strip_prefix("/r/").and_then(|id| id.parse().ok()) {
            self.ledger.note(id, |entry| entry.refused += 1);
        }
    }

    fn hear(&self, link: &mut Link, (servings, left): (&mut Vec<Serving>, &mut usize), event: Event) {
        match event {
            Event::Part(id, Part::Head(head)) => {
                *left = left.saturating_sub(1);
                servings.extend(self.begin(link, id, &head));
            }
            Event::Part(id, part) => {
                let Some(serving) = servings.iter_mut().find(|serving| serving.id == id) else { return send_back(link, id, part) };
                match part {
                    Part::Data(data) => serving.body.extend_from_slice(&data),
                    Part::End => self.ended(serving, link.now()),
                    Part::Trailers(trailers) => serving.body.extend(told_all(&trailers)),
                    Part::Info(_) | Part::Head(_) => {}
                }
            }
            Event::Reset(id, _) => {
                link.codec.release(id);
                if let Some(at) = servings.iter().position(|serving| serving.id == id) {
                    let serving = servings.swap_remove(at);
                    self.judge_body(&serving.plan, &serving.body, false);
                }
            }
            Event::Refused(id, fault) => {
                self.ledger.wrong(format!("an origin got what it must refuse: {fault:?}"));
                link.codec.release(id);
            }
            Event::Rejected(_, fault) => {
                if fault.cause != model::Cause::StreamRefused {
                    self.ledger.wrong(format!("an origin got what is not HTTP: {fault:?}"));
                }
            }
            // More streams than it takes come only before its settings have been read.
            Event::Reached(h2::Limit::Streams) | Event::Draining => {}
            Event::Reached(limit) => self.ledger.wrong(format!("the proxy floods an origin: {}", limit.name())),
        }
    }

    /// A request's head has come.
    fn begin(&self, link: &mut Link, id: StreamId, head: &model::Head) -> Option<Serving> {
        let told = told(head);
        if told.word(1) == HOLD {
            return None;
        }
        if told.word(1) == TUNNEL {
            let _dropped_when_gone = link.codec.send(id, Part::Head(model::Head::response(101, model::Body::Unknown)));
            return None;
        }
        if told.word(1) == "/healthz" {
            let well = model::Head::response(204, model::Body::None);
            let _dropped_when_gone = link.codec.send(id, Part::Head(model::Head { end: true, ..well }));
            link.codec.release(id);
            return None;
        }
        let Some(number) = told.word(1).strip_prefix("/r/").and_then(|number| number.parse().ok()) else {
            self.ledger.wrong(format!("an origin got {:?}", told.line));
            link.codec.release(id);
            return None;
        };
        let plan = Plan::new(self.seed, number, self.mood);
        let refused = self.ledger.with(|book| book.entries.get(&number).map_or(0, |entry| entry.refused));
        if refused < plan.refusals {
            self.ledger.note(number, |entry| entry.refused += 1);
            link.codec.reset(id, ErrorCode::RefusedStream);
            link.codec.release(id);
            return None;
        }
        self.ledger.note(number, |entry| entry.heads_seen += 1);
        self.judge_head(&told, &plan);
        let now = link.now();
        let early = matches!(plan.conduct, Conduct::Early | Conduct::EarlyClose);
        if plan.expects_continue && !early && told.field("expect").is_some() {
            let _dropped_when_gone = link.codec.send(id, Part::Info(model::Head::response(100, model::Body::None)));
        }
        let due = if early { now + plan.delay } else { Instant::NEVER };
        let mut serving = Serving { plan, id, body: Vec::new(), complete: false, due, answer: None, answered: false };
        if head.end {
            self.ended(&mut serving, now);
        }
        Some(serving)
    }

    fn ended(&self, serving: &mut Serving, now: Instant) {
        serving.complete = true;
        self.judge_body(&serving.plan, &serving.body, true);
        let wait = if serving.plan.conduct == Conduct::Stall { STALL } else { serving.plan.delay };
        if serving.due == Instant::NEVER && serving.answer.is_none() {
            serving.due = now + wait;
        }
    }

    /// Does what is due; when there is more to do without anything coming.
    async fn serve_one(&self, link: &mut Link, serving: &mut Serving, random: &mut Random) -> (Then, Instant) {
        if serving.answered {
            return (Then::GoOn, Instant::NEVER);
        }
        if link.now() < serving.due {
            return (Then::GoOn, serving.due);
        }
        if serving.answer.is_none() {
            match serving.plan.conduct {
                Conduct::DieBefore => return die(link, serving, random),
                Conduct::Stall => return reset(link, serving, random),
                Conduct::DieInHead => {
                    let whole = frame(frames::HEADERS, frames::END_HEADERS, number(serving.id), &frames::block(&[("x-cut", "here")]));
                    link.write(&whole[..random.below(whole.len())]).await;
                    return (Then::Sever, Instant::NEVER);
                }
                Conduct::Garbage => {
                    self.ledger.with(|book| book.severed += 1);
                    link.write(&garbage(number(serving.id), random)).await;
                    serving.answered = true;
                    return (Then::GoOn, Instant::NEVER);
                }
                Conduct::Answer | Conduct::Early | Conduct::EarlyClose | Conduct::DieInBody => answer_head(link, serving),
            }
        }
        answer_body(link, serving, random)
    }
}

impl Serving {
    /// Whether nothing more is to be done about it, which is said to the codec.
    fn is_over(&self, link: &mut Link) -> bool {
        let over = self.answered && (self.complete || matches!(self.plan.conduct, Conduct::EarlyClose));
        if over {
            link.codec.release(self.id);
        }
        over
    }
}

/// What a tunnel brings, as it comes.
fn send_back(link: &mut Link, id: StreamId, part: Part) {
    let is_end = part.is_end();
    let part = if let Part::Data(data) = part { Part::Data(Chunk::copy_of(&data)) } else { part };
    let _dropped_when_gone = link.codec.send(id, part);
    if is_end {
        link.codec.release(id);
    }
}

fn answer_body(link: &mut Link, serving: &mut Serving, random: &mut Random) -> (Then, Instant) {
    let rest = random.pick(&[[0, 0], [0, 100], [0, 5_000]]);
    let half = serving.plan.response.length() / 2;
    while let Some(body) = &mut serving.answer {
        if serving.plan.conduct == Conduct::DieInBody && body.len() <= half && !serving.answered {
            return die(link, serving, random);
        }
        if body.is_empty() {
            let _dropped_when_gone = trailers(serving.plan.trailers[1].as_ref()).map(|trailers| link.codec.send(serving.id, trailers));
            let _dropped_when_gone = link.codec.send(serving.id, Part::End);
            serving.answered = true;
            return (Then::GoOn, Instant::NEVER);
        }
        if serving.answered || link.codec.room(serving.id) == 0 {
            return (Then::GoOn, Instant::NEVER);
        }
        let length = (1 + random.below(8_000)).min(body.len());
        let piece: Vec<u8> = body.drain(..length).collect();
        let _dropped_when_gone = link.codec.send(serving.id, Part::Data(Chunk::from(piece)));
        serving.due = link.now() + Duration::from_micros(random.pick(&rest));
        if serving.due > link.now() {
            return (Then::GoOn, serving.due);
        }
    }
    (Then::GoOn, Instant::NEVER)
}

fn die(link: &mut Link, serving: &mut Serving, random: &mut Random) -> (Then, Instant) {
    if random.below(2) == 0 {
        return (Then::Sever, Instant::NEVER);
    }
    reset(link, serving, random)
}

fn reset(link: &mut Link, serving: &mut Serving, random: &mut Random) -> (Then, Instant) {
    link.codec.reset(serving.id, ErrorCode::from_number(random.pick(&CODES)));
    serving.answered = true;
    serving.complete = true;
    (Then::GoOn, Instant::NEVER)
}

fn answer_head(link: &mut Link, serving: &mut Serving) {
    let (id, plan) = (serving.id, &serving.plan);
    for _ in 0..plan.infos {
        let mut hints = model::Head::response(103, model::Body::None);
        hints.fields.append(b"link", b"</style>");
        let _dropped_when_gone = link.codec.send(id, Part::Info(hints));
    }
    let mut fields = Fields::default();
    fields.append(b"x-id", plan.id.to_string().as_bytes());
    let body = known(plan.response);
    let end = plan.method == "HEAD" || body == model::Body::None;
    let head = model::Head { fields, end, ..model::Head::response(plan.status, body) };
    let _dropped_when_gone = link.codec.send(id, Part::Head(head));
    serving.answered = end;
    serving.answer = Some(if end { Vec::new() } else { plan.response_bytes() });
    serving.due = link.now();
}

/// What is not HTTP/2.
fn garbage(stream: u32, random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".to_vec(),
        1 => frame(frames::HEADERS, frames::END_HEADERS, stream, &[0x80]),
        2 => frame(frames::DATA, 0, 99_999, b"nobody asked"),
        3 => frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &frames::block(&[("x-status", "200")])),
        4 => frame(frames::WINDOW_UPDATE, 0, 0, &[0; 4]),
        _ => frame(frames::PUSH, frames::END_HEADERS, stream, &[0, 0, 0, 2]),
    }
}

fn number(id: StreamId) -> u32 {
    u32::try_from(id.0).unwrap_or_default()
}

/// A request's head as the judge reads it.
fn told(head: &model::Head) -> Head {
    let line = head.request().map_or_else(String::new, |line| {
        format!("{} {} HTTP/2", String::from_utf8_lossy(line.method.as_bytes()), String::from_utf8_lossy(&line.path))
    });
    Head { line, fields: fields(head) }
}

//! The simulated clients: connections that carry some requests each, one after another or pipelined, with bodies, slowly or in haste, and
//! some of them give up in the middle.

use core::{cell::Cell, time::Duration};
use std::{rc::Rc, sync::Arc};

use exchange::Transport;
use io::{
    Ring, Signal,
    sim::{Chance, Random, World},
};
use model::Address;

use crate::{
    ledger::{Answer, Ledger},
    plan::{Body, Conduct, Mood, Plan},
    secure::{self, NAME},
    wire::{Ended, Head, Wire, announced, framed, write_slowly},
};

/// What a client must know.
#[derive(Clone)]
pub struct Client {
    /// The clients'.
    pub ring: Ring,
    /// The network.
    pub world: World,
    /// Where the account is kept.
    pub ledger: Ledger,
    /// The run's.
    pub seed: u64,
    /// The origins'.
    pub mood: Mood,
    /// Whether the proxy may close a connection between two requests.
    pub closes_idle: bool,
    /// Whether tunnels may break, or not come about.
    pub tunnels_may_fail: bool,
    /// The proxy's.
    pub address: Address,
    /// Whether most connections speak HTTP/2.
    pub http2: bool,
    /// How the proxy is believed, where it is spoken to through TLS.
    pub tls: Option<[Arc<tls::Client>; 2]>,
}

/// One connection's progress, shared by its writing and its reading task.
#[derive(Default)]
struct Progress {
    /// Responses complete.
    answered: Cell<usize>,
    /// A 100 for the request being answered.
    continued: Cell<bool>,
    /// No more responses will come.
    over: Cell<bool>,
    /// The writer is done.
    written: Cell<bool>,
    /// The client gives up: no response is awaited any more.
    aborted: Cell<bool>,
    /// One of the above has changed.
    changed: Signal,
}

/// How a connection is used.
struct Manner {
    /// Requests sent ahead of their answers.
    ahead: usize,
    /// Microseconds between pieces.
    rest: [u64; 2],
    /// Our half is closed after the last request.
    half_close: bool,
    /// After how many bytes of requests it gives up.
    abort_after: Option<usize>,
}

impl Client {
    /// Opens a connection and carries the requests `ids` over it.
    pub async fn connection(self, ids: Vec<u64>, mut random: Random) {
        self.ring.sleep(Duration::from_micros(random.below(200_000) as u64)).await;
        let mut may_be_closed = false;
        for id in &ids {
            self.ledger.note(*id, |entry| entry.may_be_closed = may_be_closed);
            let plan = Plan::new(self.seed, *id, self.mood);
            let unread = matches!(plan.conduct, Conduct::Early | Conduct::EarlyClose) && plan.request.length() > 0;
            may_be_closed |= unread || self.closes_idle;
        }
        let stream = match self.ring.connect(&self.address).await {
            Ok(stream) => stream,
            // Refused, not answered, or no descriptor: nothing was sent.
            Err(_errno) => return,
        };
        let ours = stream.local().ok();
        let many = self.http2 && random.happens(Chance(7_500));
        let Some(transport) = self.secured(stream, many).await else {
            if ours.as_ref().is_some_and(|ours| !self.world.was_broken(ours)) {
                self.ledger.wrong(format!("{ids:?}: the proxy did not complete a handshake with {ours:?}"));
            }
            return;
        };
        if many {
            return Box::pin(self.multiplexed((transport, ours), ids, random)).await;
        }
        Box::pin(self.serial((transport, ours), ids, random)).await;
    }

    /// What the proxy is spoken to through; `None` when the handshake fails.
    pub(crate) async fn secured(&self, stream: io::Stream, many: bool) -> Option<Transport> {
        let Some(clients) = &self.tls else { return Some(stream.into()) };
        let transport = Transport::tls_client(stream, &clients[usize::from(many)], NAME).ok()?;
        if !secure::agrees(&transport).await {
            return None;
        }
        let agreed = transport.with_outcome(|outcome| outcome.alpn.clone()).flatten();
        if agreed.as_deref() != secure::protocols(many).first().map(Vec::as_slice) {
            self.ledger.wrong(format!("the proxy agreed on {agreed:?}"));
        }
        Some(transport)
    }

    /// One request after another.
    async fn serial(self, (transport, ours): (Transport, Option<Address>), ids: Vec<u64>, mut random: Random) {
        let manner = Manner {
            ahead: random.pick(&[1, 1, 2, 5]),
            rest: random.pick(&[[0, 0], [0, 0], [0, 500], [0, 30_000]]),
            half_close: random.happens(Chance(2_000)),
            abort_after: random.happens(Chance(1_000)).then(|| random.below(3_000)),
        };
        let impatient = random.happens(Chance(1_000)).then(|| Duration::from_micros(random.pick(&[1, 1_000, 100_000])));
        let mut wire = Wire::new(transport, impatient.unwrap_or(Duration::from_secs(5_000)));
        wire.slowness = random.pick(&[0, 0, 0, 300, 5_000]);
        let progress = Rc::new(Progress::default());
        let plans: Rc<Vec<Plan>> = Rc::new(ids.iter().map(|id| Plan::new(self.seed, *id, self.mood)).collect());
        let writer = (self.clone(), Rc::clone(&wire.transport), Rc::clone(&progress), Rc::clone(&plans), random.fork());
        self.ring.spawn(async move {
            let (client, stream, progress, plans, mut random) = writer;
            client.write(&stream, (&progress, &plans), &manner, &mut random).await;
            progress.written.set(true);
            progress.changed.notify(&client.ring);
        });
        let ended = self.read(&mut wire, &progress, &plans).await;
        progress.over.set(true);
        if impatient.is_some() && ended == Some(Ended::Silent) {
            progress.aborted.set(true);
        }
        self.world.note(&format!("client of {ids:?}: {ended:?}"));
        let broken = ours.is_none_or(|ours| self.world.was_broken(&ours));
        for plan in plans.iter() {
            self.ledger.note(plan.id, |entry| {
                entry.broken |= broken;
                entry.aborted |= progress.aborted.get();
            });
        }
        progress.changed.notify(&self.ring);
        while !progress.written.get() {
            progress.changed.wait(&self.ring).await;
        }
    }

    async fn write(&self, stream: &Transport, (progress, plans): (&Progress, &[Plan]), manner: &Manner, random: &mut Random) {
        let mut left = manner.abort_after.unwrap_or(usize::MAX);
        for (at, plan) in plans.iter().enumerate() {
            while at >= progress.answered.get() + manner.ahead && !progress.over.get() {
                progress.changed.wait(&self.ring).await;
            }
            if progress.over.get() {
                return;
            }
            self.ledger.note(plan.id, |entry| entry.begun = true);
            let head = head(plan);
            let body = framed(&plan.request_bytes(), plan.request, plan.trailers[0].as_ref(), random);
            if plan.expects_continue {
                progress.continued.set(false);
                if write_some(stream, &head, &mut left, manner, random).await.is_err() {
                    return;
                }
                self.await_continue(progress, at).await;
                if write_some(stream, &body, &mut left, manner, random).await.is_err() {
                    return;
                }
            } else if write_some(stream, &[head, body].concat(), &mut left, manner, random).await.is_err() {
                return;
            }
            if left == 0 {
                progress.aborted.set(true);
                // The reader hears of it by the connection's end, which it causes itself below.
                stream.finish();
                return;
            }
            self.ledger.note(plan.id, |entry| entry.sent = true);
        }
        if manner.half_close {
            stream.finish();
        }
    }

    /// RFC 9110 §10.1.1: does not wait for ever.
    async fn await_continue(&self, progress: &Progress, at: usize) {
        let timer = self.ring.timer();
        let until = self.ring.now() + Duration::from_secs(1);
        while !progress.continued.get() && !progress.over.get() && progress.answered.get() <= at {
            if timer.within(until, progress.changed.wait(&self.ring)).await.is_none() {
                return;
            }
        }
    }

    /// Reads all responses; how the connection ended if it did before the last of them.
    async fn read(&self, wire: &mut Wire, progress: &Progress, plans: &[Plan]) -> Option<Ended> {
        let mut early = None;
        for (at, plan) in plans.iter().enumerate() {
            let (answer, last) = self.response(wire, progress, plan).await;
            let orphaned = |plan: &Plan| self.ledger.note(plan.id, |entry| entry.orphaned = true);
            let whole = matches!(answer, Answer::Whole(..));
            match &answer {
                Answer::Cut(_, _, ended) | Answer::None(ended) => early = Some(*ended),
                // The proxy could not know yet that this is the answer to a HEAD.
                Answer::Whole(head, _) if head.field("x-sluice-reason").is_some() && plan.method == "HEAD" && last => {
                    early = Some(Ended::Closed);
                }
                Answer::Whole(..) => {}
            }
            self.ledger.note(plan.id, |entry| entry.answer = Some(answer));
            progress.answered.set(at + 1);
            progress.changed.notify(&self.ring);
            if last || !whole {
                plans[at + 1..].iter().for_each(orphaned);
                break;
            }
        }
        if early.is_none() && !wire.unread().is_empty() {
            let ids: Vec<u64> = plans.iter().map(|plan| plan.id).collect();
            self.ledger.wrong(format!("more than the responses came for {ids:?}: {:?}", wire.unread().escape_ascii().to_string()));
        }
        early
    }

    /// One final response, and whether it is the connection's last.
    async fn response(&self, wire: &mut Wire, progress: &Progress, plan: &Plan) -> (Answer, bool) {
        let head = loop {
            match wire.head().await {
                Err(ended) => return (Answer::None(ended), true),
                Ok(head) if head.word(1) == "100" => {
                    progress.continued.set(true);
                    progress.changed.notify(&self.ring);
                }
                Ok(head) if head.word(1).starts_with('1') => {}
                Ok(head) => break head,
            }
        };
        let framing = framing(&head, plan);
        let mut body = Vec::new();
        let Some(framing) = framing else { return (Answer::Cut(head, body, Ended::Malformed), true) };
        let last = matches!(framing, Body::Close(_)) || head.field("connection").is_some_and(|value| value.contains("close"));
        match wire.body(framing, &mut body).await {
            Ok(()) => (Answer::Whole(head, body), last),
            Err(ended) => (Answer::Cut(head, body, ended), true),
        }
    }
}

/// RFC 9112 §6.3.
fn framing(head: &Head, plan: &Plan) -> Option<Body> {
    if plan.method == "HEAD" || matches!(head.word(1), "204" | "304") {
        return Some(Body::None);
    }
    head.framing()
}

fn head(plan: &Plan) -> Vec<u8> {
    let expect = if plan.expects_continue { "expect: 100-continue\r\n" } else { "" };
    let (method, id) = (plan.method, plan.id);
    format!("{method} /r/{id} HTTP/1.1\r\nhost: shop.example.com\r\nx-plan: {id}\r\n{expect}{}\r\n", announced(plan.request)).into_bytes()
}

/// Writes as many of the bytes as may still be sent; an error is the connection's end.
async fn write_some(stream: &Transport, bytes: &[u8], left: &mut usize, manner: &Manner, random: &mut Random) -> Result<(), io::Errno> {
    let bytes = &bytes[..bytes.len().min(*left)];
    *left -= bytes.len();
    write_slowly(stream, bytes, random, &manner.rest).await
}

/// The connections of a run: each carries some of the requests.
pub fn scripts(count: u64, random: &mut Random) -> Vec<Vec<u64>> {
    let (mut scripts, mut next) = (Vec::new(), 0);
    while next < count {
        let last = count.min(next + 1 + random.below(6) as u64);
        scripts.push((next..last).collect());
        next = last;
    }
    scripts
}

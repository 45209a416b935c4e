//! The simulated origins: each does with a request what its plan says, and notes what it saw.

use core::time::Duration;
use std::sync::Arc;

use exchange::Transport;
use io::{
    Descriptor, Ring, Stream,
    sim::{Chance, Random},
};

use crate::{
    ledger::Ledger,
    plan::{Body, Conduct, Mood, Plan},
    secure,
    tunneller::{TUNNEL, accept},
    wire::{Ended, Head, Wire, announced, framed, write_slowly},
};

/// What an origin must know.
#[derive(Clone)]
pub struct Origin {
    /// The origins'.
    pub ring: Ring,
    /// Where the account is kept.
    pub ledger: Ledger,
    /// The run's.
    pub seed: u64,
    /// How all of them behave.
    pub mood: Mood,
    /// Whether a proxy stands before it.
    pub proxied: bool,
    /// Whether it speaks HTTP/2, and nothing else.
    pub http2: bool,
    /// What it proves itself with, where it speaks TLS.
    pub tls: Option<Arc<tls::Server>>,
}

/// What an origin lets wait until whoever asks for it is gone.
pub const HOLD: &str = "/hold";

/// Whether the connection serves on.
#[derive(PartialEq, Eq)]
enum Then {
    Next,
    Close,
}

impl Origin {
    /// Serves on a listening socket.
    pub fn serve(&self, listening: Descriptor) {
        let (origin, listener) = (self.clone(), self.ring.listen(listening));
        self.ring.spawn(async move {
            let mut random = Random::new(origin.seed ^ 0x0816);
            loop {
                match listener.accept().await {
                    Ok(stream) => {
                        let (origin, random) = (origin.clone(), random.fork());
                        origin.ring.clone().spawn(async move { origin.connection(stream, random).await });
                    }
                    Err(_errno) => origin.ring.sleep(Duration::from_millis(10)).await,
                }
            }
        });
    }

    async fn connection(&self, stream: Stream, random: Random) {
        let transport = match &self.tls {
            Some(server) => Transport::tls_server(stream, server),
            None => stream.into(),
        };
        if !secure::agrees(&transport).await {
            return;
        }
        if self.http2 { self.multiplexed(transport, random).await } else { self.serial(transport, random).await }
    }

    async fn serial(&self, transport: Transport, mut random: Random) {
        // Far beyond every timeout of the proxy's: it is never the origin that saves a forgotten connection.
        let mut wire = Wire::new(transport, Duration::from_secs(20_000));
        wire.slowness = random.pick(&[0, 0, 0, 1_000]);
        let mut left = if self.mood == Mood::Good { usize::MAX } else { 1 + random.below(6) };
        while left > 0 && wire.begins().await.is_ok() {
            match self.request(&mut wire, &mut random).await {
                Ok(Then::Next) => left -= 1,
                // The proxy may give up at any time: that is no one's wrong.
                Ok(Then::Close) | Err(Ended::Closed | Ended::Broken | Ended::Silent | Ended::Reset) => break,
                Err(Ended::Malformed) => {
                    self.ledger.wrong("an origin got what is not HTTP".to_owned());
                    break;
                }
            }
        }
        if left == 0 {
            // The close comes while the proxy believes the connection to be idle, or is just about to use it.
            self.ring.sleep(Duration::from_micros(random.pick(&[0, 100, 10_000]))).await;
        }
        if self.mood == Mood::Good {
            wire.linger().await;
        }
    }

    async fn request(&self, wire: &mut Wire, random: &mut Random) -> Result<Then, Ended> {
        let head = wire.head().await?;
        if head.word(1) == "/healthz" {
            return self.health(wire, random).await;
        }
        if head.word(1) == HOLD {
            wire.read_out().await;
            return Ok(Then::Close);
        }
        if head.word(1) == TUNNEL {
            return self.tunnel(wire, &head, random).await;
        }
        let Some(id) = head.word(1).strip_prefix("/r/").and_then(|id| id.parse().ok()) else {
            self.ledger.wrong(format!("an origin got {:?}", head.line));
            return Err(Ended::Closed);
        };
        let plan = Plan::new(self.seed, id, self.mood);
        self.ledger.note(id, |entry| entry.heads_seen += 1);
        self.judge_head(&head, &plan);
        if plan.delay > Duration::ZERO {
            self.ring.sleep(plan.delay).await;
        }
        if matches!(plan.conduct, Conduct::Early | Conduct::EarlyClose) {
            let then = self.answer(wire, &plan, random).await?;
            if plan.conduct == Conduct::EarlyClose {
                return Ok(Then::Close);
            }
            self.read_body(wire, &head, &plan).await?;
            return Ok(then);
        }
        if plan.expects_continue && head.field("expect").is_some() {
            self.write(wire, b"HTTP/1.1 100 Continue\r\n\r\n", random).await?;
        }
        self.read_body(wire, &head, &plan).await?;
        self.answer(wire, &plan, random).await
    }

    /// Sends every byte back, until its client has ended.
    async fn tunnel(&self, wire: &mut Wire, head: &Head, random: &mut Random) -> Result<Then, Ended> {
        let accept = head.field("sec-websocket-key").map(|key| accept(&key));
        let (Some(accept), Some("websocket")) = (accept, head.field("upgrade").as_deref()) else {
            self.ledger.wrong(format!("an origin is to open a tunnel by {head:?}"));
            return Err(Ended::Malformed);
        };
        let head = format!("HTTP/1.1 101 Dig\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n");
        self.write(wire, head.as_bytes(), random).await?;
        loop {
            match wire.some().await {
                Ok(bytes) => self.write(wire, &bytes, random).await?,
                Err(Ended::Closed) => break,
                Err(ended) => return Err(ended),
            }
        }
        self.end(wire).await?;
        Ok(Then::Close)
    }

    /// A health check: a bad origin is ill now and then.
    async fn health(&self, wire: &Wire, random: &mut Random) -> Result<Then, Ended> {
        let ill = self.mood == Mood::Bad && random.happens(Chance(3_000));
        let answer: &[u8] = if ill { b"HTTP/1.1 503 Ill\r\ncontent-length: 0\r\n\r\n" } else { b"HTTP/1.1 204 Well\r\n\r\n" };
        self.write(wire, answer, random).await?;
        Ok(Then::Next)
    }

    pub(crate) fn judge_head(&self, head: &Head, plan: &Plan) {
        if head.word(0) != plan.method {
            self.ledger.wrong(format!("{} came as {:?}", plan.id, head.line));
        }
        if head.field("x-plan") != Some(plan.id.to_string()) {
            self.ledger.wrong(format!("{} came with x-plan {:?}", plan.id, head.field("x-plan")));
        }
        if self.proxied && head.field("via").is_none() {
            self.ledger.wrong(format!("{} came without via", plan.id));
        }
    }

    async fn read_body(&self, wire: &mut Wire, head: &Head, plan: &Plan) -> Result<(), Ended> {
        let framing = match head.framing() {
            Some(Body::Close(_)) => Body::None,
            Some(framing) => framing,
            None => return Err(Ended::Malformed),
        };
        let mut body = Vec::new();
        let read = wire.body(framing, &mut body).await;
        self.judge_body(plan, &body, read.is_ok());
        read
    }

    /// As much of a request's body as came.
    pub(crate) fn judge_body(&self, plan: &Plan, body: &[u8], whole: bool) {
        let expected = plan.request_whole();
        if !expected.starts_with(body) || (whole && body.len() != expected.len()) {
            self.ledger.wrong(format!("{} came with a wrong body of {} bytes instead of {}", plan.id, body.len(), expected.len()));
        }
        if whole {
            self.ledger.note(plan.id, |entry| entry.wholes_seen += 1);
        }
    }

    async fn answer(&self, wire: &Wire, plan: &Plan, random: &mut Random) -> Result<Then, Ended> {
        match plan.conduct {
            Conduct::DieBefore => return Ok(Then::Close),
            Conduct::Stall => {
                self.ring.sleep(Duration::from_secs(10_000)).await;
                return Ok(Then::Close);
            }
            Conduct::Garbage => {
                self.write(wire, b"SSH-2.0-OpenSSH_9.2\r\n\r\n", random).await?;
                return Ok(Then::Close);
            }
            Conduct::Answer | Conduct::Early | Conduct::EarlyClose | Conduct::DieInHead | Conduct::DieInBody => {}
        }
        let mut response = Vec::new();
        for _ in 0..plan.infos {
            response.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nlink: </style>\r\n\r\n");
        }
        let (id, status) = (plan.id, plan.status);
        let leaves = matches!(plan.response, Body::Close(_)) || random.happens(Chance(300));
        // A good origin says when it is going to close.
        let close = if leaves && self.mood == Mood::Good { "connection: close\r\n" } else { "" };
        response.extend_from_slice(format!("HTTP/1.1 {status} Fine\r\nx-id: {id}\r\n{close}{}\r\n", announced(plan.response)).as_bytes());
        let head_length = response.len();
        if plan.method != "HEAD" {
            response.extend(framed(&plan.response_bytes(), plan.response, plan.trailers[1].as_ref(), random));
        }
        let cut = match plan.conduct {
            Conduct::DieInHead => head_length - 3,
            Conduct::DieInBody => head_length + (response.len() - head_length) / 2,
            Conduct::Answer | Conduct::Early | Conduct::EarlyClose | Conduct::DieBefore | Conduct::Stall | Conduct::Garbage => {
                response.len()
            }
        };
        let closes = cut < response.len() || leaves;
        self.write(wire, &response[..cut], random).await?;
        if leaves && cut == response.len() {
            self.end(wire).await?;
        }
        Ok(if closes || plan.conduct == Conduct::DieInBody { Then::Close } else { Then::Next })
    }

    /// Through TLS an end that is not announced is none.
    async fn end(&self, wire: &Wire) -> Result<(), Ended> {
        wire.transport.finish();
        self.ring.sleep(Duration::from_micros(1)).await;
        wire.transport.flushed().await.map_err(|_errno| Ended::Broken)
    }

    async fn write(&self, wire: &Wire, bytes: &[u8], random: &mut Random) -> Result<(), Ended> {
        let rest = random.pick(&[[0, 0], [0, 100], [0, 5_000]]);
        write_slowly(&wire.transport, bytes, random, &rest).await.map_err(|_errno| Ended::Broken)?;
        wire.transport.flushed().await.map_err(|_errno| Ended::Broken)
    }
}

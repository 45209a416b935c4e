//! Simulated attackers: connections that say what costs the proxy something and brings nobody anything, again and again, until they are cut off.
//! Whoever is not must have been within what is allowed.

use core::{future::poll_fn, task::Poll, time::Duration};
use std::sync::Arc;

use exchange::Transport;
use h2::{Rate, Rates};
use io::{
    Ring,
    sim::{Random, World},
};
use model::Address;

use crate::{
    frames::{self, Tally, block, frame},
    ledger::Ledger,
    origin::HOLD,
    secure::{self, NAME},
};

/// How often an attacker says its thing before it gives up.
const TIMES_MAX: u32 = 4_000;
/// What is answered is answered within this time, however slow the network.
const ANSWERED: Duration = Duration::from_secs(2_000);
/// What the last PING says: when it is answered, everything before it was read.
const LAST: &[u8; 8] = b"the end!";
/// What a calm proxy says to whoever is not (RFC 9113 §7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// What an attacker must know.
#[derive(Clone)]
pub struct Attacker {
    /// The clients'.
    pub ring: Ring,
    /// The network.
    pub world: World,
    /// Where the account is kept.
    pub ledger: Ledger,
    /// The proxy's.
    pub address: Address,
    /// How the proxy is believed, where it is spoken to through TLS.
    pub tls: Option<Arc<tls::Client>>,
}

/// An attack.
#[derive(Debug)]
pub struct Attack {
    /// For those who read of its failure.
    pub name: &'static str,
    /// The limits, any of which may end it: where the network is slow, answers that nobody reads too.
    pub limits: &'static [&'static str],
    /// How often it may be done; `None` when its end does not depend on time.
    allowed: Option<fn(&Rates) -> Rate>,
    /// What goes before.
    first: fn() -> Vec<u8>,
    /// What is said again and again, with a new stream's number each time.
    again: fn(u32) -> Vec<u8>,
}

/// All of them.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "rapid reset",
        // Streams that come faster than they can be let go are refused, which is a limit of its own.
        limits: &["resets", "provoked_resets", "unread"],
        allowed: Some(|rates| rates.resets),
        first: Vec::new,
        again: |stream| [get(stream, HOLD), frame(frames::RESET, 0, stream, &[0, 0, 0, 8])].concat(),
    },
    Attack {
        name: "made you reset",
        limits: &["provoked_resets", "unread"],
        allowed: Some(|rates| rates.provoked_resets),
        first: Vec::new,
        again: |stream| [get(stream, HOLD), frame(frames::WINDOW_UPDATE, 0, stream, &[0; 4])].concat(),
    },
    Attack {
        name: "malformed requests",
        limits: &["provoked_resets", "unread"],
        allowed: Some(|rates| rates.provoked_resets),
        first: Vec::new,
        again: |stream| frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &block(&[("X-Upper", "case")])),
    },
    Attack {
        name: "continuations",
        limits: &["continuations"],
        allowed: None,
        first: || frame(frames::HEADERS, frames::END_STREAM, 1, &block(&[(":method", "GET")])),
        again: |_| frame(frames::CONTINUATION, 0, 1, &[]),
    },
    Attack {
        name: "an endless head",
        limits: &["block_bytes", "continuations"],
        allowed: None,
        first: || frame(frames::HEADERS, frames::END_STREAM, 1, &block(&[(":method", "GET")])),
        again: |_| frame(frames::CONTINUATION, 0, 1, &[0x10; 16_000]),
    },
    Attack {
        name: "settings",
        limits: &["settings", "unread"],
        allowed: Some(|rates| rates.settings),
        first: Vec::new,
        again: |number| frames::setting(4, 60_000 + number % 2),
    },
    Attack {
        name: "acknowledgements of nothing",
        limits: &["settings"],
        allowed: Some(|rates| rates.settings),
        first: Vec::new,
        again: |_| frame(frames::SETTINGS, frames::ACK, 0, &[]),
    },
    Attack {
        name: "pings",
        limits: &["pings", "unread"],
        allowed: Some(|rates| rates.pings),
        first: Vec::new,
        again: |_| frame(frames::PING, 0, 0, b"h2-flood"),
    },
    Attack {
        name: "answers to nobody's ping",
        limits: &["pings"],
        allowed: Some(|rates| rates.pings),
        first: Vec::new,
        again: |_| frame(frames::PING, frames::ACK, 0, b"h2-flood"),
    },
    Attack {
        name: "empty data",
        limits: &["empty_data"],
        allowed: Some(|rates| rates.empty_data),
        first: || post(1, HOLD),
        again: |_| frame(frames::DATA, 0, 1, &[]),
    },
    Attack {
        name: "window updates",
        limits: &["chatter"],
        allowed: Some(|rates| rates.chatter),
        first: || get(1, HOLD),
        again: |number| frame(frames::WINDOW_UPDATE, 0, u32::from(number.is_multiple_of(4)), &[0, 0, 0, 1]),
    },
    Attack {
        name: "priorities",
        limits: &["chatter"],
        allowed: Some(|rates| rates.chatter),
        first: Vec::new,
        again: |stream| frame(frames::PRIORITY, 0, stream, &[0, 0, 0, 0, 7]),
    },
    Attack {
        name: "frames of no known type",
        limits: &["chatter"],
        allowed: Some(|rates| rates.chatter),
        first: Vec::new,
        again: |stream| frame(frames::UNKNOWN, 0, stream, b"?"),
    },
    Attack {
        name: "content of a stream that is over",
        limits: &["chatter", "empty_data"],
        allowed: Some(|rates| rates.chatter),
        first: || [get(1, HOLD), frame(frames::RESET, 0, 1, &[0, 0, 0, 8])].concat(),
        again: |_| frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 7]),
    },
];

/// Fields of a bomb that refer to one large one.
const BOMB_FIELDS: usize = 300;
/// Bombs that one attacker throws.
pub(crate) const BOMBS: u32 = 5;

impl Attacker {
    /// Does it, over a connection of its own.
    pub async fn flood(self, attack: &'static Attack, mut random: Random) {
        self.ring.sleep(Duration::from_micros(random.below(100_000) as u64)).await;
        let Some((transport, ours)) = self.connected().await else { return };
        let (reads, mut tally) = (random.below(4) > 0, Tally::default());
        transport.write(|output| output.write(&[&h2::PREFACE[..], &frames::setting(0xabcd, 1), &(attack.first)()].concat()));
        let began = self.ring.now();
        let mut times = 0;
        let mut over = false;
        while times < TIMES_MAX && !over {
            for _ in 0..=random.below(50) {
                transport.write(|output| output.write(&(attack.again)(3 + 2 * times)));
                times += 1;
            }
            over = !self.moves(&transport, reads.then_some(&mut tally)).await;
        }
        over = over || !self.last_words(&transport, &mut tally).await;
        let spent = self.ring.now().since(began);
        if ours.is_none_or(|ours| self.world.was_broken(&ours)) {
            return self.ledger.with(|book| book.lost.push(attack.limits));
        }
        let allowed = attack.allowed.map_or(0, |allowed| {
            let rate = allowed(&Rates::default());
            u64::from(rate.burst) + u64::from(rate.per_second) * (spent.as_secs() + 2)
        });
        if let (true, Some(code)) = (over, tally.goaways.iter().find(|code| **code != ENHANCE_YOUR_CALM)) {
            self.ledger.wrong(format!("{}: cut off with code {code}", attack.name));
        } else if over {
            self.ledger.with(|book| book.cut_off.push(attack.limits));
        } else if u64::from(times) > allowed {
            self.ledger.wrong(format!("{}: {times} times in {spent:?}, and nobody minds", attack.name));
        }
    }

    /// Heads that are small on the wire and large when they are decoded (RFC 7541 §7.3): each is refused, and costs nothing that stays.
    pub async fn bombs(self, mut random: Random) {
        self.ring.sleep(Duration::from_micros(random.below(100_000) as u64)).await;
        let Some((transport, ours)) = self.connected().await else { return };
        transport.write(|output| output.write(&[&h2::PREFACE[..], &frames::setting(0xabcd, 1)].concat()));
        let mut tally = Tally::default();
        for number in 0..BOMBS {
            transport.write(|output| output.write(&bomb(1 + 2 * number, number == 0)));
            if !self.moves(&transport, Some(&mut tally)).await {
                break;
            }
        }
        let lives = self.last_words(&transport, &mut tally).await;
        if ours.is_none_or(|ours| self.world.was_broken(&ours)) {
            return self.ledger.with(|book| book.lost.push(&["head"]));
        }
        if !lives || !tally.goaways.is_empty() {
            self.ledger.wrong(format!("bombs end their connection: {tally:?}"));
        }
        self.ledger.with(|book| book.too_large += u64::from(BOMBS));
    }

    async fn connected(&self) -> Option<(Transport, Option<Address>)> {
        let stream = self.ring.connect(&self.address).await.ok()?;
        let ours = stream.local().ok();
        let transport = match &self.tls {
            Some(client) => Transport::tls_client(stream, client, NAME).ok()?,
            None => stream.into(),
        };
        secure::agrees(&transport).await.then_some((transport, ours))
    }

    /// Waits until there is room for more; whether the connection lives.
    async fn moves(&self, transport: &Transport, mut reads: Option<&mut Tally>) -> bool {
        let timer = self.ring.timer();
        timer.set(self.ring.now() + ANSWERED);
        poll_fn(|_| {
            while let Some(tally) = &mut reads
                && let Poll::Ready(received) = transport.poll_receive()
            {
                match received {
                    Ok(chunk) if !chunk.is_empty() => tally.count(&chunk),
                    Ok(_) | Err(_) => return Poll::Ready(false),
                }
            }
            match transport.poll_room() {
                Poll::Ready(room) => Poll::Ready(room.is_ok()),
                // Nobody reads what it writes: it is cut off, or will be.
                Poll::Pending => timer.poll_expired().map(|()| true),
            }
        })
        .await
    }

    /// Reads until everything was read on the other side; whether the connection lives all the same.
    async fn last_words(&self, transport: &Transport, tally: &mut Tally) -> bool {
        transport.write(|output| output.write(&frame(frames::PING, 0, 0, LAST)));
        let timer = self.ring.timer();
        let until = self.ring.now() + ANSWERED;
        while tally.last_ping != LAST {
            match timer.within(until, transport.receive()).await {
                Some(Ok(chunk)) if !chunk.is_empty() => tally.count(&chunk),
                Some(Ok(_) | Err(_)) => return false,
                None => break,
            }
        }
        true
    }
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example.com"), (":path", path)];
    frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &block(&fields))
}

fn post(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "shop.example.com"), (":path", path)];
    frame(frames::HEADERS, frames::END_HEADERS, stream, &block(&fields))
}

/// A request whose fields all refer to one large field of the table, which the first of them puts there.
fn bomb(stream: u32, is_first: bool) -> Vec<u8> {
    let mut fields = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
    if is_first {
        // A literal with incremental indexing: a name of one letter, a value of 3 000.
        fields.extend([0x40, 1, b'b', 0x7f, 0xb9, 0x16]);
        fields.extend([b'x'; 3_000]);
    }
    fields.extend([0xbe; BOMB_FIELDS]);
    frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &fields)
}

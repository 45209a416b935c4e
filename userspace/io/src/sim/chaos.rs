//! How unkind the simulated kernel and network are.

use core::ops::RangeInclusive;

use super::{Chance, Random};

/// Every knob of the simulation. All that is random follows from `seed`.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "knobs that have nothing to do with each other")]
pub struct Chaos {
    /// Decides everything.
    pub seed: u64,
    /// Microseconds a segment, a handshake or a reset travels.
    pub delay_micros: RangeInclusive<u64>,
    /// A segment that was lost and sent again: it comes so much later than it should (200 ms to 3 s).
    pub retransmit: Chance,
    /// Bytes of one segment.
    pub segment_bytes: RangeInclusive<u64>,
    /// Bytes that fit between a sender and a receiver who does not read.
    pub window_bytes: RangeInclusive<u64>,
    /// A send that need not wait takes less than would fit.
    pub short_send: Chance,
    /// A multishot operation ends though nobody asked it to.
    pub early_end: Chance,
    /// A connection is reset from outside some time in its life.
    pub reset: Chance,
    /// A connection's segments no longer arrive from some time of its life on.
    pub silence: Chance,
    /// Microseconds from a connection's birth to its reset or silence.
    pub life_micros: RangeInclusive<u64>,
    /// The reset of a connection takes with it what had arrived and was not yet read.
    pub reset_loses_unread: Chance,
    /// A connect is refused though somebody listens.
    pub refuse: Chance,
    /// A connect is never answered.
    pub unanswered: Chance,
    /// Completions come in any order and not all at once (those of one operation always in order).
    pub reorder: bool,
    /// Receive keeps the byte credit; without, it ends after each reception.
    pub receive_credit: bool,
    /// One buffer takes several receptions.
    pub incremental: bool,
    /// Whether splicing works at all.
    pub splice: bool,
    /// Whether the kernel seals TLS records.
    pub kernel_tls: bool,
    /// It will not with the key it is given.
    pub refuse_cipher: Chance,
    /// Receive buffers of a ring.
    pub buffers: u16,
    /// Bytes of each.
    pub buffer_bytes: u32,
    /// Descriptors one host may have open.
    pub descriptors: usize,
    /// Connections that wait to be accepted on one socket.
    pub backlog: usize,
    /// Microseconds that one turn of a ring costs.
    pub turn_micros: RangeInclusive<u64>,
}

impl Chaos {
    /// A kernel and network that do everything at the first attempt.
    pub fn calm() -> Self {
        Self {
            seed: 0,
            delay_micros: 10..=10,
            retransmit: Chance(0),
            segment_bytes: 16_384..=16_384,
            window_bytes: 262_144..=262_144,
            short_send: Chance(0),
            early_end: Chance(0),
            reset: Chance(0),
            silence: Chance(0),
            life_micros: 1..=1_000_000,
            reset_loses_unread: Chance(0),
            refuse: Chance(0),
            unanswered: Chance(0),
            reorder: false,
            receive_credit: true,
            incremental: true,
            splice: true,
            kernel_tls: true,
            refuse_cipher: Chance(0),
            buffers: 64,
            buffer_bytes: 16_384,
            descriptors: 20_000,
            backlog: 128,
            turn_micros: 0..=0,
        }
    }

    /// A mixture of its own for each seed: every kind of trouble is in about half of them, so that their combinations are met too.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        Self {
            seed,
            delay_micros: random.pick(&[0..=0, 10..=10, 1..=1_000, 100..=50_000]),
            retransmit: some(random, 1..=300),
            segment_bytes: random.pick(&[1..=3, 1..=100, 1..=1_460, 1..=65_536, 16_384..=16_384]),
            window_bytes: random.pick(&[20..=300, 500..=5_000, 4_096..=65_536, 65_536..=1_000_000]),
            short_send: some(random, 100..=5_000),
            early_end: some(random, 10..=3_000),
            reset: some(random, 50..=1_500),
            silence: some(random, 20..=500),
            life_micros: random.pick(&[0..=1_000, 0..=100_000, 0..=5_000_000]),
            reset_loses_unread: some(random, 10_000..=10_000),
            refuse: some(random, 50..=2_000),
            unanswered: some(random, 10..=500),
            reorder: random.happens(Chance(8_000)),
            receive_credit: random.happens(Chance(5_000)),
            incremental: random.happens(Chance(5_000)),
            splice: random.happens(Chance(5_000)),
            buffers: random.pick(&[1, 2, 8, 64, 256]),
            buffer_bytes: random.pick(&[64, 1_024, 4_096, 16_384, 65_536]),
            descriptors: 20_000,
            backlog: random.pick(&[1, 4, 128]),
            turn_micros: random.pick(&[0..=0, 0..=10, 0..=500]),
            kernel_tls: random.happens(Chance(8_000)),
            refuse_cipher: some(random, 1_000..=5_000),
        }
    }

    /// Whether connections may break, be refused, or be lost.
    pub fn breaks(&self) -> bool {
        [self.reset, self.silence, self.refuse, self.unanswered].iter().any(|chance| chance.0 > 0)
    }

    /// The same without anything that breaks, refuses or loses a connection: every request must then succeed.
    #[must_use]
    pub fn unbroken(self) -> Self {
        let none = Chance(0);
        Self { reset: none, silence: none, refuse: none, unanswered: none, ..self }
    }
}

/// A chance within `range` in half of the cases, none in the others.
fn some(random: &mut Random, range: RangeInclusive<u64>) -> Chance {
    let drawn = random.within(&range);
    if random.happens(Chance(5_000)) { Chance(u16::try_from(drawn).unwrap_or(u16::MAX)) } else { Chance(0) }
}

//! How much of anything a peer may do to us. Each limit has a name, a default and an event when it is reached; those on things that are allowed
//! but of no use refill with time, so that a long life is no crime.

use model::Instant;

/// What may reach an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Streams open at once: the stream is refused.
    Streams,
    /// Bytes or number of a head's fields: the stream is answered with 431 or 414.
    Head,
    /// Bytes of a header block, encoded: the connection ends.
    BlockBytes,
    /// CONTINUATION frames of a header block: the connection ends.
    Continuations,
    /// Streams the peer opened and reset again (rapid reset): the connection ends.
    Resets,
    /// Streams we had to reset because of what the peer did (made you reset): the connection ends.
    ProvokedResets,
    /// PING frames: the connection ends.
    Pings,
    /// SETTINGS frames: the connection ends.
    Settings,
    /// DATA frames without data: the connection ends.
    EmptyData,
    /// Other frames that move nothing (PRIORITY, `WINDOW_UPDATE`, unknown ones, those of closed streams): the connection ends.
    Chatter,
    /// Bytes of answers (acknowledgements, resets, updates) that the peer provokes and does not read: the connection ends.
    Unread,
}

impl Limit {
    /// Its name in counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Head => "head",
            Self::BlockBytes => "block_bytes",
            Self::Continuations => "continuations",
            Self::Resets => "resets",
            Self::ProvokedResets => "provoked_resets",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::EmptyData => "empty_data",
            Self::Chatter => "chatter",
            Self::Unread => "unread",
        }
    }
}

/// How often something may happen: at once, and for each second that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u16,
    /// Given back every second.
    pub per_second: u16,
}

/// The rates of what is allowed but of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// See [`Limit::Resets`]. A page left in a hurry cancels a hundred requests.
    pub resets: Rate,
    /// See [`Limit::ProvokedResets`].
    pub provoked_resets: Rate,
    /// See [`Limit::Pings`].
    pub pings: Rate,
    /// See [`Limit::Settings`].
    pub settings: Rate,
    /// See [`Limit::EmptyData`].
    pub empty_data: Rate,
    /// See [`Limit::Chatter`]. What is sent pays it back too, since who receives much has much to update.
    pub chatter: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            resets: Rate { burst: 200, per_second: 50 },
            provoked_resets: Rate { burst: 100, per_second: 10 },
            pings: Rate { burst: 100, per_second: 10 },
            settings: Rate { burst: 20, per_second: 2 },
            empty_data: Rate { burst: 100, per_second: 10 },
            chatter: Rate { burst: 1000, per_second: 200 },
        }
    }
}

/// What is counted against [`Rates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nuisance {
    Reset,
    ProvokedReset,
    Ping,
    Settings,
    EmptyData,
    Chatter,
}

const NUISANCES: usize = 6;

impl Nuisance {
    pub(crate) fn limit(self) -> Limit {
        match self {
            Self::Reset => Limit::Resets,
            Self::ProvokedReset => Limit::ProvokedResets,
            Self::Ping => Limit::Pings,
            Self::Settings => Limit::Settings,
            Self::EmptyData => Limit::EmptyData,
            Self::Chatter => Limit::Chatter,
        }
    }

    fn rate(self, rates: &Rates) -> Rate {
        match self {
            Self::Reset => rates.resets,
            Self::ProvokedReset => rates.provoked_resets,
            Self::Ping => rates.pings,
            Self::Settings => rates.settings,
            Self::EmptyData => rates.empty_data,
            Self::Chatter => rates.chatter,
        }
    }
}

/// How much of it has happened lately.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// The second up to which the levels have fallen.
    second: u32,
    levels: [u16; NUISANCES],
}

const ALL: [Nuisance; NUISANCES] =
    [Nuisance::Reset, Nuisance::ProvokedReset, Nuisance::Ping, Nuisance::Settings, Nuisance::EmptyData, Nuisance::Chatter];

impl Patience {
    /// Time has come this far.
    pub(crate) fn advance(&mut self, now: Instant, rates: &Rates) {
        let second = u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let passed = second.saturating_sub(self.second);
        if passed == 0 {
            return;
        }
        self.second = second;
        let passed = u16::try_from(passed).unwrap_or(u16::MAX);
        for (level, nuisance) in self.levels.iter_mut().zip(ALL) {
            *level = level.saturating_sub(nuisance.rate(rates).per_second.saturating_mul(passed));
        }
    }

    /// It has happened once more; false when that was too often.
    pub(crate) fn spend(&mut self, nuisance: Nuisance, rates: &Rates) -> bool {
        let Some(level) = self.levels.get_mut(nuisance as usize) else { return false };
        *level = level.saturating_add(1);
        *level <= nuisance.rate(rates).burst
    }

    /// Something of use has happened `count` times.
    pub(crate) fn pay_back(&mut self, nuisance: Nuisance, count: u16) {
        if let Some(level) = self.levels.get_mut(nuisance as usize) {
            *level = level.saturating_sub(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_comes_back() {
        let rates = Rates { pings: Rate { burst: 3, per_second: 2 }, ..Rates::default() };
        let mut patience = Patience::default();
        let pings = |patience: &mut Patience| (0..9).take_while(|_| patience.spend(Nuisance::Ping, &rates)).count();
        assert_eq!(pings(&mut patience), 3);
        patience.advance(Instant(999_999_999), &rates);
        assert_eq!(pings(&mut patience), 0);
        patience = Patience::default();
        assert_eq!(pings(&mut patience), 3);
        patience.pay_back(Nuisance::Ping, 2);
        patience.advance(Instant(1_000_000_000), &rates);
        assert_eq!(pings(&mut patience), 3, "four were given back, and three is all there may be");
        assert!(patience.spend(Nuisance::Settings, &rates), "each has its own");
        patience.advance(Instant(u64::MAX), &rates);
        assert_eq!(pings(&mut patience), 3);
    }
}

//! Time as an argument: a monotonic point the worker's loop reads once a turn, or the simulation's virtual clock.

use core::{ops::Add, time::Duration};

/// Nanoseconds since an origin that is the same for all workers of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than everything: "no deadline".
    pub const NEVER: Self = Self(u64::MAX);

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much later; `None` is never.
    #[must_use]
    pub fn after(self, wait: Option<Duration>) -> Self {
        wait.map_or(Self::NEVER, |wait| self + wait)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}

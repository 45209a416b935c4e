//! Rounds, and which of them count.
//!
//! What else a machine does (most of all what the CPU's other half does, which nobody here sees) makes all figures larger, and small ones most: by up
//! to twice for seconds on end. The program that does nothing shows it, whatever is measured beside it: a round before or after which that takes
//! clearly more than it can is set aside with everything in it, and another is measured. How many were is printed.

use super::report::Report;
use super::stand::{Packets, Stand, Subject};
use anyhow::Result;

/// A round counts when doing nothing takes at most so many times what it took at best.
const BUSY: f64 = 1.2;
/// Rounds that are tried for each one that is wanted.
const TRIES: u64 = 6;
/// Measurements that the best is found in before anything else is measured.
const PROOFS: u64 = 40;

/// How many rounds, and of what they are made.
pub(super) struct Rounds {
    wanted: u64,
    packets: u32,
    /// Nanoseconds that doing nothing took at best.
    least: f64,
    /// All that were tried, and those that did not count.
    tried: u64,
    set_aside: u64,
}

impl Rounds {
    /// So many of each thing, of so many packets a measurement.
    pub(super) fn new(stand: &mut Stand, wanted: u64, packets: u32) -> Result<Self> {
        let mut rounds = Self { wanted, packets, least: f64::INFINITY, tried: 0, set_aside: 0 };
        for round in 0..PROOFS {
            let nothing = rounds.nothing(stand, round)?;
            rounds.least = rounds.least.min(nothing);
        }
        Ok(rounds)
    }

    /// Measures what `one` measures in each round. When not enough of them are calm, what there is has to do.
    pub(super) fn measure(
        &mut self,
        stand: &mut Stand,
        report: &mut Report,
        one: impl Fn(&mut Stand, &mut Report, u32, u64) -> Result<()>,
    ) -> Result<()> {
        let mut kept = 0;
        for round in 0..self.wanted * TRIES {
            let before = self.nothing(stand, round)?;
            let mut sheet = Report::default();
            one(stand, &mut sheet, self.packets, round)?;
            let after = self.nothing(stand, round)?;
            self.tried += 1;
            if before.max(after) > self.least * BUSY {
                self.set_aside += 1;
                continue;
            }
            report.take(sheet);
            kept += 1;
            if kept == self.wanted {
                break;
            }
        }
        Ok(())
    }

    fn nothing(&self, stand: &mut Stand, round: u64) -> Result<f64> {
        stand.time(Subject::Pass, Packets::of(1), round, self.packets)
    }
}

impl core::fmt::Display for Rounds {
    fn fmt(&self, text: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { packets, least, tried, set_aside, .. } = self;
        write!(
            text,
            "rounds of {packets} packets; of {tried} rounds {set_aside} were set aside, in which doing nothing took more than {BUSY} x {least:.1} ns"
        )
    }
}

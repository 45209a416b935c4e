//! How long things took: log-linear buckets, 16 to an octave, so that a value is known to 6 % (its bucket's middle to 3 %) from 1 us to 137 s.
//!
//! An octave's buckets are made when its first value comes, so that the histogram of a quiet endpoint takes under 1 kB instead of 3.6.

use alloc::{boxed::Box, collections::BTreeMap, rc::Rc, sync::Arc};
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::cell::add;

/// Buckets are this fine at their finest: 1 us is the 16th.
const UNIT_NANOS: u64 = 64;
/// Buckets to an octave, as a power of two.
const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Octaves: the last ends at 64 ns << 31, 137 s. What took longer is in the last bucket.
const OCTAVES: usize = 28;
const BUCKETS: usize = OCTAVES * SUB;

/// A histogram of durations, written by one thread.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Arc<Buckets>,
    one_thread: PhantomData<Rc<()>>,
}

impl Histogram {
    pub(crate) fn over(buckets: Arc<Buckets>) -> Self {
        Self { buckets, one_thread: PhantomData }
    }

    /// Something took so long.
    #[inline]
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = index_of(nanos);
        let octave = self.buckets.octaves[index / SUB].get_or_init(Box::default);
        add(&octave[index % SUB], 1);
        add(&self.buckets.sum_nanos, nanos);
    }
}

/// The cells of a histogram.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    octaves: [OnceLock<Box<[AtomicU64; SUB]>>; OCTAVES],
    sum_nanos: AtomicU64,
}

impl Buckets {
    /// Adds all that was recorded to `into`.
    pub(crate) fn add_to(&self, into: &mut Distribution) {
        into.sum_nanos = into.sum_nanos.wrapping_add(self.sum_nanos.load(Relaxed));
        for (at, octave) in self.octaves.iter().enumerate() {
            let Some(octave) = octave.get() else { continue };
            for (sub, cell) in octave.iter().enumerate() {
                let count = cell.load(Relaxed);
                if count > 0 {
                    *into.buckets.entry(u16::try_from(at * SUB + sub).unwrap_or(u16::MAX)).or_default() += count;
                }
            }
        }
    }
}

/// A histogram's values, merged: what the reader and its clients compute with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values each bucket holds; empty ones are left out.
    buckets: BTreeMap<u16, u64>,
    sum_nanos: u64,
}

impl Distribution {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// All values together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The value that `share` (0 to 1) of all values do not exceed, to 3 %; `None` without values.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank, not money")]
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (&index, &values) in &self.buckets {
            seen += values;
            if seen >= rank {
                return Some(Duration::from_nanos(middle_nanos(usize::from(index))));
            }
        }
        None
    }

    /// How many values do not exceed `bound`, to the bucket whose middle is nearest.
    pub fn count_up_to(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        self.buckets.iter().take_while(|&(&index, _)| middle_nanos(usize::from(index)) <= bound).map(|(_, count)| count).sum()
    }

    /// Takes `other` in.
    pub fn merge(&mut self, other: &Self) {
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
        for (&index, &count) in &other.buckets {
            *self.buckets.entry(index).or_default() += count;
        }
    }

    /// What came after `earlier`, a reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let newer = |(&index, &count): (&u16, &u64)| {
            let before = earlier.buckets.get(&index).copied().unwrap_or(0);
            (count > before).then(|| (index, count - before))
        };
        Self { buckets: self.buckets.iter().filter_map(newer).collect(), sum_nanos: self.sum_nanos.wrapping_sub(earlier.sum_nanos) }
    }
}

/// The bucket a value belongs to.
#[inline]
fn index_of(nanos: u64) -> usize {
    let units = nanos / UNIT_NANOS;
    let shift = (u64::BITS - units.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // Below 32 units the shift is 0 and the buckets are one unit wide; above, the leading bit gives the octave and the next four the bucket.
    let index = (u64::from(shift) << SUB_BITS) + (units >> shift);
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle_nanos(index: usize) -> u64 {
    let (low, width) = bounds(index);
    low + width / 2
}

/// Where a bucket begins and how wide it is, in nanoseconds.
fn bounds(index: usize) -> (u64, u64) {
    let shift = (index / SUB).saturating_sub(1);
    let units = (index - shift * SUB) as u64;
    ((units << shift) * UNIT_NANOS, UNIT_NANOS << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(nanos: impl IntoIterator<Item = u64>) -> Distribution {
        let buckets = Arc::<Buckets>::default();
        let histogram = Histogram::over(Arc::clone(&buckets));
        nanos.into_iter().for_each(|nanos| histogram.record(Duration::from_nanos(nanos)));
        let mut all = Distribution::default();
        buckets.add_to(&mut all);
        all
    }

    #[test]
    fn buckets_touch_and_hold_what_falls_in_them() {
        let mut end = 0;
        for index in 0..BUCKETS {
            let (low, width) = bounds(index);
            assert_eq!(low, end, "bucket {index} begins where the one before it ends");
            assert_eq!(index_of(low), index);
            assert_eq!(index_of(low + width - 1), index);
            if low >= 1_000 {
                assert!(width * 16 <= low, "bucket {index} is wider than 1/16 of its values");
            }
            end = low + width;
        }
        assert!(end > 100_000_000_000, "the last bucket reaches 100 s");
        assert_eq!(index_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_three_percent() {
        let all = histogram((1..=10_000).map(|at| at * 1_000));
        assert_eq!(all.count(), 10_000);
        assert_eq!(all.sum(), Duration::from_millis(50_005));
        for (share, micros) in [(0.0, 1.0), (0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.999, 9_990.0), (1.0, 10_000.0)] {
            let value = all.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!((value / micros - 1.0).abs() < 0.033, "{share}: {value} us for {micros}");
        }
        assert_eq!(Distribution::default().quantile(0.5), None);
    }

    #[test]
    fn windows_and_merges_are_sums() {
        let (early, late) = (histogram([5_000, 80_000]), histogram([5_000, 5_000, 80_000, 7_000_000_000]));
        let window = late.since(&early);
        assert_eq!((window.count(), window.sum()), (2, Duration::from_micros(7_000_005)));
        let mut both = early;
        both.merge(&window);
        assert_eq!(both, late);
        assert_eq!(late.count_up_to(Duration::from_millis(1)), 3);
        assert_eq!(late.count_up_to(Duration::from_secs(100)), 4);
    }
}

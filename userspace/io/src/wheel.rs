//! A hierarchical timer wheel: set, move and cancel in constant time, whatever the number of timers.
//!
//! Six levels of 64 slots, the finest about one millisecond wide; a timer stands in the level where its remaining time fits and comes down
//! a level when its slot is reached. Timers of a slot form a doubly linked list inside one table, so that cancelling one costs no search.

#![expect(clippy::cast_possible_truncation, reason = "slots and levels are below 64 by their masks")]

use model::Instant;

use crate::table::Table;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// A tick is 2^20 ns, 1.05 ms.
const TICK_BITS: u32 = 20;
const NONE: u32 = u32::MAX;

/// The wheel. `T` is what a timer carries; small and `Copy`.
pub(crate) struct Wheel<T> {
    entries: Table<Entry<T>>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// Ticks handled so far.
    tick: u64,
    armed: usize,
}

struct Entry<T> {
    carries: T,
    due: u64,
    previous: u32,
    next: u32,
    /// Level and slot it stands in; `NONE` when it stands in none.
    place: u32,
}

/// Names a timer in the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId(u32);

impl<T: Copy> Wheel<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { entries: Table::default(), heads: [[NONE; SLOTS]; LEVELS], occupied: [0; LEVELS], tick: now.0 >> TICK_BITS, armed: 0 }
    }

    /// Makes a timer, not armed yet.
    pub(crate) fn insert(&mut self, carries: T) -> TimerId {
        TimerId(self.entries.insert(Entry { carries, due: 0, previous: NONE, next: NONE, place: NONE }))
    }

    /// Arms it for `at`, or moves it there.
    pub(crate) fn arm(&mut self, id: TimerId, at: Instant) {
        self.disarm(id);
        // Rounded up: a timer is never early.
        self.entries[id.0].due = (at.0 >> TICK_BITS).saturating_add(1).max(self.tick + 1);
        self.link(id.0);
        self.armed += 1;
    }

    /// What it carries.
    pub(crate) fn carried(&mut self, id: TimerId) -> &mut T {
        &mut self.entries[id.0].carries
    }

    /// Whether it is armed, and for a moment not after `at`.
    pub(crate) fn is_armed_by(&self, id: TimerId, at: Instant) -> bool {
        let entry = &self.entries[id.0];
        entry.place != NONE && entry.due <= (at.0 >> TICK_BITS).saturating_add(1)
    }

    /// Takes it out of its slot; it may be armed again.
    pub(crate) fn disarm(&mut self, id: TimerId) {
        if self.entries[id.0].place != NONE {
            self.unlink(id.0);
            self.armed -= 1;
        }
    }

    /// Forgets it.
    pub(crate) fn remove(&mut self, id: TimerId) {
        self.disarm(id);
        self.entries.remove(id.0);
    }

    /// How many are armed.
    #[cfg(test)]
    pub(crate) fn armed(&self) -> usize {
        self.armed
    }

    /// When to look next, at the latest; `NEVER` when nothing is armed. May be early for far timers, never late.
    pub(crate) fn deadline(&self) -> Instant {
        let mut earliest = u64::MAX;
        for level in 0..LEVELS {
            if self.occupied[level] == 0 {
                continue;
            }
            let shift = SLOT_BITS * u32::try_from(level).unwrap_or(0);
            let here = self.tick >> shift;
            let ahead = self.occupied[level].rotate_right((here % SLOTS as u64) as u32).trailing_zeros();
            // Slot 0 ahead is the current one: at the finest level it is done, above it is a whole turn away.
            let steps = if ahead == 0 { SLOTS as u64 } else { u64::from(ahead) };
            earliest = earliest.min((here + steps) << shift);
        }
        if earliest == u64::MAX { Instant::NEVER } else { Instant(earliest.saturating_mul(1 << TICK_BITS)) }
    }

    /// Gives what every timer due by `now` carries to `fire`, which may put it off to a later moment; else it is disarmed.
    pub(crate) fn advance(&mut self, now: Instant, mut fire: impl FnMut(T) -> Option<Instant>) {
        let target = now.0 >> TICK_BITS;
        while self.tick < target {
            if self.armed == 0 {
                self.tick = target;
                return;
            }
            // Jump to the next tick at which any slot is reached.
            let next = (self.deadline().0 >> TICK_BITS).min(target).max(self.tick + 1);
            self.tick = next;
            for level in (0..LEVELS).rev() {
                let shift = SLOT_BITS * u32::try_from(level).unwrap_or(0);
                if level > 0 && next & ((1 << shift) - 1) != 0 {
                    continue;
                }
                self.empty_slot(level, ((next >> shift) % SLOTS as u64) as usize, &mut fire);
            }
        }
    }

    /// Fires what is due in a slot, and moves the rest down.
    fn empty_slot(&mut self, level: usize, slot: usize, fire: &mut impl FnMut(T) -> Option<Instant>) {
        let mut id = core::mem::replace(&mut self.heads[level][slot], NONE);
        self.occupied[level] &= !(1 << slot);
        while id != NONE {
            let entry = &mut self.entries[id];
            let next = entry.next;
            entry.place = NONE;
            if entry.due > self.tick {
                self.link(id);
            } else if let Some(later) = fire(entry.carries) {
                entry.due = (later.0 >> TICK_BITS).saturating_add(1).max(self.tick + 1);
                self.link(id);
            } else {
                self.armed -= 1;
            }
            id = next;
        }
    }

    fn link(&mut self, id: u32) {
        let due = self.entries[id].due;
        let distance = due - self.tick;
        let bits = 64 - distance.leading_zeros();
        let level = (bits.saturating_sub(1) / SLOT_BITS).min(LEVELS as u32 - 1);
        let shift = SLOT_BITS * level;
        // Beyond the last level's reach: as far as it goes, and it is put again when it comes round.
        let reach = self.tick.saturating_add(((SLOTS as u64) - 1) << shift);
        let slot = ((due.min(reach) >> shift) % SLOTS as u64) as usize;
        let level = level as usize;
        let head = self.heads[level][slot];
        let entry = &mut self.entries[id];
        entry.previous = NONE;
        entry.next = head;
        entry.place = (level * SLOTS + slot) as u32;
        if head != NONE {
            self.entries[head].previous = id;
        }
        self.heads[level][slot] = id;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, id: u32) {
        let Entry { previous, next, place, .. } = self.entries[id];
        let (level, slot) = (place as usize / SLOTS, place as usize % SLOTS);
        if previous == NONE {
            self.heads[level][slot] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
            }
        } else {
            self.entries[previous].next = next;
        }
        if next != NONE {
            self.entries[next].previous = previous;
        }
        self.entries[id].place = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn fired(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut out = Vec::new();
        wheel.advance(Instant(now), |carries| {
            out.push(carries);
            None
        });
        out.sort_unstable();
        out
    }

    #[test]
    fn timers_fire_once_and_never_early() {
        // A walk of pseudo-random deadlines against a plain list.
        let mut state = 42_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut wheel = Wheel::new(Instant(0));
        let mut plain: Vec<(u64, u32, TimerId)> = Vec::new();
        let mut now = 0;
        for step in 0..20_000_u32 {
            let far = [5, 500, 60_000, 100_000_000][random(4) as usize];
            match random(4) {
                0 | 1 => {
                    let id = wheel.insert(step);
                    let at = now + random(far) * MS;
                    wheel.arm(id, Instant(at));
                    plain.push((at, step, id));
                }
                2 if !plain.is_empty() => {
                    let at = random(plain.len() as u64) as usize;
                    if random(2) == 0 {
                        wheel.remove(plain.swap_remove(at).2);
                    } else {
                        plain[at].0 = now + random(far) * MS;
                        wheel.arm(plain[at].2, Instant(plain[at].0));
                    }
                }
                _ => {
                    now += random(far.min(70_000)) * MS;
                    let got = fired(&mut wheel, now);
                    for carries in &got {
                        let at = plain.iter().position(|timer| timer.1 == *carries).expect("fired once");
                        let (due, _, id) = plain.swap_remove(at);
                        assert!(due <= now, "early");
                        wheel.remove(id);
                    }
                    assert!(plain.iter().all(|timer| timer.0 + 3 * MS > now), "late");
                    assert_eq!(wheel.armed(), plain.len());
                    let next = plain.iter().map(|timer| timer.0).min().unwrap_or(u64::MAX);
                    assert!(wheel.deadline().0 <= next.saturating_add(3 * MS), "would oversleep");
                    assert!(wheel.deadline().0 > now, "would spin");
                }
            }
        }
    }
}

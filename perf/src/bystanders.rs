//! Who else is at work on the CPU under test while proxies are measured.
//!
//! A machine is never silent: its first process alone may take half a percent of a CPU. What spoils a measurement is time taken
//! from the CPU under test: that is summed, limited, and told in the table's head. A thread's time counts for the CPU it was seen on last.

use crate::interrupt;
use crate::meter;
use crate::process::all_processes;
use anyhow::{Result, bail};
use core::fmt;
use core::time::Duration;
use std::collections::HashMap;
use std::fs;
use std::process;
use std::time::Instant;

/// The share of the CPU under test that all bystanders together may use.
const SHARE_MAX: f64 = 0.01;
const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_mins(1);

/// What bystanders used, look by look, of those looks after which something was measured.
#[derive(Debug)]
pub(crate) struct Bystanders {
    shares: Vec<f64>,
    /// Measured whatever they used.
    is_forced: bool,
}

impl Bystanders {
    /// Forced, whatever they use is only noted.
    pub(crate) fn new(is_forced: bool) -> Self {
        Self { shares: Vec::new(), is_forced }
    }

    /// Wait until everybody but this process and `ours` leaves the CPU under test nearly alone; refuse when that does not happen.
    pub(crate) fn wait_for_calm(&mut self, ours: &[u32]) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let look = look(ours)?;
            if self.is_forced || look.share <= SHARE_MAX {
                self.shares.push(look.share);
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{look}: stop that, or measure anyway with --force");
            }
            println!("waiting for calm: {look}");
        }
    }
}

impl fmt::Display for Bystanders {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looks = u32::try_from(self.shares.len()).unwrap_or(u32::MAX).max(1);
        let average = self.shares.iter().sum::<f64>() / f64::from(looks);
        let most = self.shares.iter().copied().fold(0.0, f64::max);
        write!(out, "Bystanders used {:.2} % of CPU 0 on average, {:.2} % at most", average * 100.0, most * 100.0)?;
        if self.is_forced {
            return write!(out, "; FORCED: measured however much it was");
        }
        write!(out, "; above {:.0} % nothing was measured", SHARE_MAX * 100.0)
    }
}

/// What bystanders did for a while.
struct Look {
    /// Of the CPU under test, all together.
    share: f64,
    /// Who used most of it, and how much.
    busiest: Option<(u32, f64)>,
}

impl fmt::Display for Look {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "others use {:.1} % of the CPU under test", self.share * 100.0)?;
        let Some((process, share)) = self.busiest else { return Ok(()) };
        let line = String::from_utf8_lossy(&command_line(process)).replace('\0', " ");
        let program = line.trim().chars().take(60).collect::<String>();
        write!(out, ", {:.1} % of it process {process} ({program})", share * 100.0)
    }
}

/// CPU time of threads by process and thread.
type Times = HashMap<(u32, u32), Duration>;

fn look(ours: &[u32]) -> Result<Look> {
    let before = times(ours);
    interrupt::rest(LOOK)?;
    Ok(used(&before, &times(ours)))
}

/// What threads that are in `after` have used since `before`.
fn used(before: &Times, after: &Times) -> Look {
    let mut by_process: HashMap<u32, Duration> = HashMap::new();
    for (thread, time) in after {
        let used = time.saturating_sub(before.get(thread).copied().unwrap_or_default());
        *by_process.entry(thread.0).or_default() += used;
    }
    let share = |time: Duration| time.as_secs_f64() / LOOK.as_secs_f64();
    let busiest = by_process.iter().max_by_key(|(_, time)| **time).map(|(process, time)| (*process, share(*time)));
    Look { share: share(by_process.values().sum()), busiest }
}

/// The threads on the CPU under test of every process with a program: the kernel's own are part of the machine.
fn times(ours: &[u32]) -> Times {
    let this = process::id();
    let bystanders = all_processes().filter(|process| *process != this && !ours.contains(process) && !command_line(*process).is_empty());
    bystanders.flat_map(|process| meter::on_proxy_cpu(process).map(move |(thread, time)| ((process, thread), time))).collect()
}

fn command_line(process: u32) -> Vec<u8> {
    fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Bystanders, Times, used};
    use core::time::Duration;

    fn times(times: &[((u32, u32), u64)]) -> Times {
        times.iter().map(|(thread, milliseconds)| (*thread, Duration::from_millis(*milliseconds))).collect()
    }

    #[test]
    fn shares_are_of_one_look_and_summed() {
        let check = |before: &[((u32, u32), u64)], after: &[((u32, u32), u64)], expect: (f64, Option<(u32, f64)>)| {
            let look = used(&times(before), &times(after));
            assert!((look.share - expect.0).abs() < 1e-9, "{} of {before:?} {after:?}", look.share);
            assert_eq!(look.busiest, expect.1, "{before:?} {after:?}");
        };
        check(&[], &[], (0.0, None));
        check(&[((1, 1), 700)], &[((1, 1), 720)], (0.01, Some((1, 0.01))));
        // Two threads of one process are one; one that was not there before began at 0.
        check(&[((1, 1), 700), ((2, 2), 0)], &[((1, 1), 710), ((2, 2), 10), ((2, 3), 10)], (0.015, Some((2, 0.01))));
        // Who has left the CPU under test, or ended, is not counted.
        check(&[((1, 1), 700), ((2, 2), 0)], &[((2, 2), 0)], (0.0, Some((2, 0.0))));
    }

    #[test]
    fn the_head_says_what_was_used_and_whether_it_was_forced() {
        let check = |shares: &[f64], is_forced, expect: &str| {
            assert_eq!(Bystanders { shares: shares.to_vec(), is_forced }.to_string(), expect);
        };
        check(&[0.001, 0.003], false, "Bystanders used 0.20 % of CPU 0 on average, 0.30 % at most; above 1 % nothing was measured");
        check(&[0.5], true, "Bystanders used 50.00 % of CPU 0 on average, 50.00 % at most; FORCED: measured however much it was");
    }
}

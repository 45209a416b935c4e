//! Nobody else may be at work while a proxy is measured.

use crate::interrupt;
use crate::meter;
use crate::process::all_processes;
use anyhow::{Result, bail};
use core::time::Duration;
use std::collections::HashMap;
use std::fs;
use std::process;
use std::time::Instant;

/// The share of one CPU that a process may use and still be called asleep.
const SHARE_MAX: f64 = 0.002;
const LOOK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_mins(1);

/// Wait until no process but this one and `ours` is at work; refuse when that does not happen.
pub(crate) fn wait_for_calm(ours: &[u32]) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let busiest = busiest(ours)?;
        let Some((name, share)) = busiest else { return Ok(()) };
        if Instant::now() > end {
            bail!("{name} uses {:.1} % of a CPU: stop it, or measure anyway with --force", share * 100.0);
        }
        println!("waiting for calm: {name} uses {:.1} % of a CPU", share * 100.0);
    }
}

/// The bystander that works most, when it works too much.
fn busiest(ours: &[u32]) -> Result<Option<(String, f64)>> {
    let before = cpu_times(ours);
    interrupt::rest(LOOK)?;
    let after = cpu_times(ours);
    let share = |(process, time): (u32, Duration)| {
        let used = time.saturating_sub(*before.get(&process).unwrap_or(&time));
        (process, used.as_secs_f64() / LOOK.as_secs_f64())
    };
    let busiest = after.into_iter().map(share).max_by(|a, b| a.1.total_cmp(&b.1));
    Ok(busiest.filter(|(_, share)| *share > SHARE_MAX).map(|(process, share)| (name(process), share)))
}

/// CPU time of every process with a program: the kernel's own threads are part of the machine.
fn cpu_times(ours: &[u32]) -> HashMap<u32, Duration> {
    let this = process::id();
    let bystanders = all_processes().filter(|process| *process != this && !ours.contains(process) && !command_line(*process).is_empty());
    bystanders.map(|process| (process, meter::cpu_time(&[process]))).collect()
}

fn command_line(process: u32) -> Vec<u8> {
    fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

fn name(process: u32) -> String {
    let line = String::from_utf8_lossy(&command_line(process)).replace('\0', " ");
    format!("process {process} ({})", line.trim().chars().take(60).collect::<String>())
}

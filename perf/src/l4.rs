//! `perf l4`: nanoseconds per packet of the kernel layer, beside the usual design of an XDP balancer (a table of connections in front of a
//! ring) and a program that does nothing.
//!
//! The kernel runs programs on one packet again and again (`BPF_PROG_TEST_RUN`); `drive` (`ebpf/prog/src/bin/yardstick`) makes another of it
//! each time. All are measured in every round, one after another, on the same packets, in runs long enough that the caches hold what they
//! hold in such a traffic. What `drive` takes is taken off: as the program that does nothing shows it, and half of what one takes that does nothing but make room in
//! front of the packet, since the next `drive` takes the room away again by the same helper.

mod listing;
mod report;
mod rounds;
mod stand;

use crate::launch;
use anyhow::{Context, Result};
use clap::Args;
use report::Report;
use rounds::Rounds;
use stand::{Packets, Stand, Subject};
use std::time::Instant;

/// How long to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, in each of which everything is measured once
    #[arg(long, default_value_t = 21)]
    rounds: u64,
    /// Packets of one measurement
    #[arg(long, default_value_t = 900_000)]
    packets: u32,
    /// Only the row whose name begins so; `guards` is what each guard adds
    #[arg(long)]
    only: Option<String>,
    /// The CPU to run on [default: the last]
    #[arg(long)]
    cpu: Option<usize>,
}

/// Listed prefixes.
const PREFIXES: usize = 1_000_000;
/// Flows that live at the same time.
const LIVE: u32 = 500_000;

/// One row: both designs on the same packets.
struct Row {
    what: &'static str,
    packets: Packets,
    /// What ours may take of the other's, at most.
    aim: f64,
}

const ROWS: [Row; 3] = [
    Row { what: "hot: one flow", packets: Packets::of(1), aim: 0.7 },
    Row { what: "500 000 live flows", packets: Packets::of(LIVE), aim: 0.25 },
    Row { what: "SYN flood", packets: Packets::SYN, aim: 0.15 },
];

/// Nanoseconds that the lists may add for a source that is not listed.
const LIST_AIM: f64 = 40.0;

pub(crate) fn run(options: &Options) -> Result<()> {
    let last = std::thread::available_parallelism().map_or(1, core::num::NonZero::get) - 1;
    launch::pin(&[options.cpu.unwrap_or(last)])?;
    let mut stand = Stand::open().context("the kernel layer cannot be loaded: it needs root")?;
    let prefixes = listing::prefixes(PREFIXES);
    let begun = Instant::now();
    let list = l4::GuardList::compile(prefixes);
    stand.balancer.put_guard(&list).context("the list cannot be written")?;
    println!("{PREFIXES} prefixes in force after {:.2} s", begun.elapsed().as_secs_f64());

    let mut report = Report::default();
    report.state_steps(&list);
    let mut rounds = Rounds::new(&mut stand, options.rounds, options.packets)?;
    for row in ROWS.iter().filter(|row| options.only.as_ref().is_none_or(|only| row.what.starts_with(only.as_str()))) {
        stand.guards(|settings| settings.guard = 1)?;
        // Every flow is known before it is measured, or the table as full as it gets.
        stand.fill(row.packets, LIVE * 8)?;
        rounds.measure(&mut stand, &mut report, |stand, sheet, packets, round| measure_row(stand, sheet, row, packets, round))?;
    }
    if options.only.is_none() {
        rounds.measure(&mut stand, &mut report, measure_parts)?;
    }
    if options.only.as_deref().is_none_or(|only| only == "guards") {
        rounds.measure(&mut stand, &mut report, measure_guards)?;
    }
    if options.only.is_none() {
        // What follows changes what is in force for good.
        stand.drain_one()?;
        rounds.measure(&mut stand, &mut report, measure_drained)?;
        stand.balancer.put_guard(&l4::GuardList::compile(listing::everything()))?;
        rounds.measure(&mut stand, &mut report, measure_denied)?;
    }
    report.print(&rounds);
    Ok(())
}

/// Both designs, one after the other.
fn measure_row(stand: &mut Stand, sheet: &mut Report, row: &Row, packets: u32, round: u64) -> Result<()> {
    let pass = stand.time(Subject::Pass, row.packets, round, packets)?;
    let grow = stand.time(Subject::Grow, row.packets, round, packets)?;
    let reference = stand.time(Subject::Reference, row.packets, round, packets)?;
    let ours = stand.time(Subject::Balancer, row.packets, round, packets)?;
    sheet.add_row(row, [f64::midpoint(pass, grow), pass, reference, ours]);
    Ok(())
}

/// What `drive` takes, when the program under test makes room for an envelope.
fn drive(stand: &mut Stand, packets: Packets, round: u64, count: u32) -> Result<f64> {
    let pass = stand.time(Subject::Pass, packets, round, count)?;
    Ok(f64::midpoint(pass, stand.time(Subject::Grow, packets, round, count)?))
}

/// Where the time of a hot packet goes.
fn measure_parts(stand: &mut Stand, sheet: &mut Report, packets: u32, round: u64) -> Result<()> {
    let hot = Packets::of(1);
    let pass = stand.time(Subject::Pass, hot, round, packets)?;
    let drive = drive(stand, hot, round, packets)?;
    let terminated = stand.terminated(false, hot, round, packets)?;
    stand.guards(|_| {})?;
    let unguarded = stand.time(Subject::Balancer, hot, round, packets)?;
    let unguarded_terminated = stand.terminated(false, hot, round, packets)?;
    stand.guards(|settings| settings.guard = 1)?;
    sheet.add_cost("hot, without guards: the whole packet", unguarded - drive);
    sheet.add_cost("hot, up to our own listener: until it is known whose it is", unguarded_terminated - pass);
    sheet.add_cost("hot, up to our own listener, through the list", terminated - pass);
    Ok(())
}

/// What each guard adds to a packet of a source drawn from all that are not listed.
fn measure_guards(stand: &mut Stand, sheet: &mut Report, packets: u32, round: u64) -> Result<()> {
    let mut time = |change: fn(&mut abi::Settings)| {
        stand.guards(change)?;
        stand.time(Subject::Balancer, Packets::ACK, round, packets)
    };
    let bare = time(|_| {})?;
    let listed = time(|settings| settings.guard = 1)?;
    let packets_limited = time(|settings| settings.source_packets_per_s = u32::MAX)?;
    let both_limited = time(|settings| (settings.source_packets_per_s, settings.source_connections_per_s) = (u32::MAX, u32::MAX))?;
    let screened = |stand: &mut Stand| -> Result<f64> {
        stand.guards(|settings| (settings.cookies_on_per_s, settings.cookies_off_per_s) = (u32::MAX, u32::MAX))?;
        let without = stand.terminated(false, Packets::SYN, round, packets)?;
        Ok(stand.terminated(true, Packets::SYN, round, packets)? - without)
    };
    let screened = screened(stand)?;
    sheet.add_list(listed - bare);
    sheet.add_cost("any source, without guards, drive included", bare);
    sheet.add_cost("limit of a source's packets", packets_limited - bare);
    sheet.add_cost("limits of a source's packets and connections", both_limited - bare);
    sheet.add_cost("watching for floods, on a SYN to a terminated VIP", screened);
    Ok(())
}

/// A flood while the slots of one backend are away: their SYNs look for a pin, and write one within the budget.
fn measure_drained(stand: &mut Stand, sheet: &mut Report, packets: u32, round: u64) -> Result<()> {
    stand.guards(|settings| settings.guard = 1)?;
    let drive = drive(stand, Packets::SYN, round, packets)?;
    let ours = stand.time(Subject::Balancer, Packets::SYN, round, packets)?;
    sheet.add_cost("SYN flood, one backend of ten drained: the whole packet", ours - drive);
    Ok(())
}

/// What a denied packet takes, all in all.
fn measure_denied(stand: &mut Stand, sheet: &mut Report, packets: u32, round: u64) -> Result<()> {
    stand.guards(|settings| settings.guard = 2)?;
    let pass = stand.time(Subject::Pass, Packets::ACK, round, packets)?;
    let denied = stand.time(Subject::Balancer, Packets::ACK, round, packets)?;
    sheet.add_cost("a denied packet: the whole of it", denied - pass);
    Ok(())
}

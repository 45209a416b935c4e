//! What was measured, as a table: medians over the rounds.

use super::{LIST_AIM, ROWS, Row, listing};
use abi::{DRAW_STEP, drawn};
use core::fmt::Display;
use std::collections::BTreeMap;

/// All measurements, nanoseconds per packet.
#[derive(Default)]
pub(super) struct Report {
    /// By row, in each round: drive, a program that does nothing, reference, ours; what `drive` takes included.
    rows: BTreeMap<&'static str, Vec<[f64; 4]>>,
    list: Vec<f64>,
    /// Parts of the sources that are not listed of which it is known that nobody near is, that the filter lets go, that the networks do, that the hosts do.
    steps: [f64; 4],
    costs: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    pub(super) fn add_row(&mut self, row: &Row, nanoseconds: [f64; 4]) {
        self.rows.entry(row.what).or_default().push(nanoseconds);
    }

    /// How far sources that are not listed are looked into.
    pub(super) fn state_steps(&mut self, list: &l4::GuardList) {
        const SOURCES: u32 = 100_000;
        let mut state = 0_u64;
        for _ in 0..SOURCES {
            state = state.wrapping_add(DRAW_STEP);
            self.steps[list.steps(listing::unlisted(drawn(state))) - 1] += 1.0 / f64::from(SOURCES);
        }
    }

    /// What the list adds.
    pub(super) fn add_list(&mut self, nanoseconds: f64) {
        self.list.push(nanoseconds);
    }

    /// Anything else.
    pub(super) fn add_cost(&mut self, what: &'static str, nanoseconds: f64) {
        match self.costs.iter_mut().find(|(known, _)| *known == what) {
            Some((_, values)) => values.push(nanoseconds),
            None => self.costs.push((what, vec![nanoseconds])),
        }
    }

    /// A round that counts.
    pub(super) fn take(&mut self, sheet: Self) {
        for (what, rounds) in sheet.rows {
            self.rows.entry(what).or_default().extend(rounds);
        }
        self.list.extend(sheet.list);
        for (what, value) in sheet.costs.into_iter().flat_map(|(what, values)| values.into_iter().map(move |value| (what, value))) {
            self.add_cost(what, value);
        }
    }

    pub(super) fn print(&self, rounds: &impl Display) {
        println!("\nns per packet, medians over {rounds}; `drive` is taken off\n");
        println!(
            "{:<24}{:>8}{:>8}{:>11}{:>8}{:>8}{:>7} {:<8}{:>9}{:>11}{:>8}",
            "", "drive", "pass", "reference", "sluice", "ratio", "aim", "", "at least:", "reference", "sluice"
        );
        for row in &ROWS {
            let Some(rounds) = self.rows.get(row.what) else { continue };
            let net = |column: usize| median(rounds.iter().map(|round| round[column] - round[0]).collect());
            let ratio = median(rounds.iter().map(|round| (round[3] - round[0]) / (round[2] - round[0])).collect());
            let [drive, pass] = [0, 1].map(|column| median(rounds.iter().map(|round| round[column]).collect()));
            // What a machine that is busy otherwise takes from it last.
            let least = |column: usize| least(rounds.iter().map(|round| round[column]).collect());
            let least = |column: usize| least(column) - least(0);
            print!("{:<24}{drive:>8.1}{pass:>8.1}{:>11.1}{:>8.1}", row.what, net(2), net(3));
            println!("{ratio:>8.2}{:>7} {:<8}{:>20.1}{:>8.1}", row.aim, verdict(ratio <= row.aim), least(2), least(3));
        }
        println!("\nwhat each guard adds, sources drawn from all that are not listed");
        let list = median(self.list.clone());
        println!("  {:<60}{list:>8.1}   aim {LIST_AIM} {}", "deny and allow lists", verdict(list <= LIST_AIM));
        let [near, filter, networks, hosts] = self.steps.map(|part| part * 100.0);
        println!(
            "    ({near:.1} % of the sources by their /22's bit alone, {filter:.1} % by the filter, {networks:.1} % by their /24's two bits, {hosts:.1} % by its listed hosts)"
        );
        for (what, values) in &self.costs {
            println!("  {what:<60}{:>8.1}{:>8.1}", median(values.clone()), least(values.clone()));
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn least(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

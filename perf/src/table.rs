//! The one table: medians of every reading of every proxy, with ratios; as text and as JSON.

use crate::peers::Kind;
use crate::rows::{Better, Reading, Row};
use core::fmt::Write;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All readings, in the order in which they came.
pub(crate) struct Table {
    kinds: Vec<Kind>,
    lines: Vec<Line>,
    /// What went wrong, in words.
    remarks: Vec<String>,
}

struct Line {
    row: Row,
    what: &'static str,
    better: Better,
    /// One per proxy.
    cells: Vec<Cell>,
}

#[derive(Default, Clone)]
struct Cell {
    /// By round; a round that failed is missing.
    values: BTreeMap<usize, f64>,
    doubtful: bool,
}

const LABEL_WIDTH: usize = 46;
const CELL_WIDTH: usize = 11;

impl Table {
    pub(crate) fn new(kinds: Vec<Kind>) -> Self {
        Self { kinds, lines: Vec::new(), remarks: Vec::new() }
    }

    pub(crate) fn add(&mut self, round: usize, row: Row, kind: Kind, reading: &Reading) {
        let column = self.kinds.iter().position(|known| *known == kind).expect("only proxies of the table are measured");
        let known = self.lines.iter().position(|line| line.row == row && line.what == reading.what);
        let line = known.unwrap_or_else(|| {
            let cells = vec![Cell::default(); self.kinds.len()];
            self.lines.push(Line { row, what: reading.what, better: reading.better, cells });
            self.lines.len() - 1
        });
        let cell = &mut self.lines[line].cells[column];
        cell.values.insert(round, reading.value);
        cell.doubtful |= reading.doubtful;
    }

    pub(crate) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// The table as people read it.
    pub(crate) fn text(&self, title: &str) -> String {
        let mut out = format!("{title}\n{:LABEL_WIDTH$}", "");
        for kind in &self.kinds {
            put(&mut out, format_args!("{kind:>CELL_WIDTH$}"));
        }
        put(&mut out, format_args!("{:>CELL_WIDTH$}{:>CELL_WIDTH$}\n", "x best", "x envoy"));
        for row in Row::ALL {
            let mut lines = self.lines.iter().filter(|line| line.row == row).peekable();
            if lines.peek().is_some() {
                put(&mut out, format_args!("\n{}\n", row.title()));
            }
            lines.for_each(|line| self.put_line(&mut out, line));
        }
        out.push_str(
            "\nMedians. `x best`: Sluice as a multiple of the better of nginx and HAProxy, round by round; `x envoy`: of Envoy.\n",
        );
        out.push_str("~ marks what says more about load and origin (CPU 1 was full, or an open loop fell behind) than about the proxy.\n");
        for remark in &self.remarks {
            put(&mut out, format_args!("! {remark}\n"));
        }
        out
    }

    fn put_line(&self, out: &mut String, line: &Line) {
        put(out, format_args!("  {:width$}", line.what, width = LABEL_WIDTH - 2));
        for cell in &line.cells {
            let mark = if cell.doubtful { "~" } else { "" };
            let value = cell.median().map_or_else(|| "-".to_owned(), |value| format!("{mark}{}", readable(value)));
            put(out, format_args!("{value:>CELL_WIDTH$}"));
        }
        for peers in [&[Kind::Nginx, Kind::Haproxy][..], &[Kind::Envoy]] {
            let ratio = self.ratio(line, peers).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            put(out, format_args!("{ratio:>CELL_WIDTH$}"));
        }
        out.push('\n');
    }

    /// Sluice as a multiple of the best of these peers.
    fn ratio(&self, line: &Line, peers: &[Kind]) -> Option<f64> {
        let of = |kind: Kind| Some(&line.cells[self.kinds.iter().position(|known| *known == kind)?]);
        let rivals = peers.iter().filter_map(|kind| of(*kind)).filter_map(|cell| Some((cell.median()?, cell)));
        let best = match line.better {
            Better::Less => rivals.reduce(|best, next| if next.0 < best.0 { next } else { best })?,
            Better::More => rivals.reduce(|best, next| if next.0 > best.0 { next } else { best })?,
            Better::Neither => return None,
        };
        of(Kind::Sluice)?.over(best.1).filter(|ratio| ratio.is_finite())
    }

    /// Everything that was read, for programs.
    pub(crate) fn json(&self, about: &Value) -> Value {
        let lines: Vec<Value> = self.lines.iter().map(|line| self.line_json(line)).collect();
        json!({ "about": about, "readings": lines, "remarks": self.remarks })
    }

    fn line_json(&self, line: &Line) -> Value {
        let cell =
            |cell: &Cell| json!({ "median": cell.median(), "values": cell.values.values().collect::<Vec<_>>(), "doubtful": cell.doubtful });
        let proxies: serde_json::Map<String, Value> =
            self.kinds.iter().zip(&line.cells).map(|(kind, value)| (kind.to_string(), cell(value))).collect();
        json!({
            "row": line.row.title(),
            "what": line.what,
            "proxies": proxies,
            "ratio_to_best_of_nginx_and_haproxy": self.ratio(line, &[Kind::Nginx, Kind::Haproxy]),
            "ratio_to_envoy": self.ratio(line, &[Kind::Envoy]),
        })
    }
}

impl Cell {
    fn median(&self) -> Option<f64> {
        median(self.values.values().copied().collect())
    }

    /// The median of what this is of the other in the same round: a second in which the whole machine was slow drops out.
    fn over(&self, other: &Self) -> Option<f64> {
        median(self.values.iter().filter_map(|(round, ours)| Some(ours / other.values.get(round)?)).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

/// Three digits that count, no more.
fn readable(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn put(out: &mut String, text: core::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table, readable};
    use crate::peers::Kind;
    use crate::rows::{Better, Reading, Row};

    fn table(better: Better, values: [f64; 4]) -> Table {
        let kinds = vec![Kind::Sluice, Kind::Nginx, Kind::Haproxy, Kind::Envoy];
        let mut table = Table::new(kinds.clone());
        for (kind, value) in kinds.into_iter().zip(values) {
            table.add(1, Row::Keepalive64, kind, &Reading { what: "it", better, value, doubtful: kind == Kind::Nginx });
        }
        table
    }

    fn cell(values: &[f64]) -> Cell {
        Cell { values: values.iter().copied().enumerate().collect(), doubtful: false }
    }

    fn check(better: Better, values: [f64; 4], best: Option<f64>, envoy: Option<f64>) {
        let table = table(better, values);
        let line = &table.lines[0];
        assert_eq!(table.ratio(line, &[Kind::Nginx, Kind::Haproxy]), best, "{values:?}");
        assert_eq!(table.ratio(line, &[Kind::Envoy]), envoy, "{values:?}");
    }

    #[test]
    fn ratios_are_to_the_best_peer() {
        check(Better::Less, [8.0, 10.0, 16.0, 32.0], Some(0.8), Some(0.25));
        check(Better::More, [8.0, 10.0, 16.0, 32.0], Some(0.5), Some(0.25));
        check(Better::Neither, [8.0, 10.0, 16.0, 32.0], None, None);
        check(Better::Less, [8.0, 0.0, 16.0, 32.0], None, Some(0.25));
    }

    #[test]
    fn medians() {
        let median = |values: &[f64]| cell(values).median();
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        assert_eq!(cell(&[1.0, 20.0, 3.0]).over(&cell(&[2.0, 40.0, 3.0])), Some(0.5));
        assert_eq!(cell(&[1.0, 3.0]).over(&cell(&[4.0])), Some(0.25), "a round is missing");
        assert_eq!(cell(&[1.0]).over(&cell(&[])), None);
    }

    #[test]
    fn numbers_are_readable_and_doubt_is_marked() {
        assert_eq!([7.854, 12.34, 12345.6, 0.0].map(readable), ["7.85", "12.3", "12346", "0"]);
        let text = table(Better::Less, [8.0, 10.0, 16.0, 32.0]).text("title");
        assert!(text.contains("~10"), "{text}");
        assert!(!text.contains("~16"), "{text}");
    }
}

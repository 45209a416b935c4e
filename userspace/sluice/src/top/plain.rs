//! A frame as text, and the words and columns that the screen shows too.

use core::time::Duration;

use super::frame::{Frame, Row, Summary, WorkerRow};

pub(super) const ROW_COLUMNS: [&str; 4] = ["req/s", "err/s", "p50", "p99"];
pub(super) const WORKER_COLUMNS: [&str; 6] = ["turns/s", "completions/s", "tasks", "parked/s", "short sends/s", "panics"];

/// Width of a name, and of a number.
const NAME: usize = 44;
const NUMBER: usize = 14;

/// One reading.
pub(super) fn text(frame: &Frame) -> String {
    let mut text = summary(&frame.summary) + "\n";
    text += &table("ROUTE", &ROW_COLUMNS, frame.routes.iter().map(|row| (row.name.as_str(), row_cells(row).to_vec())).collect());
    text += &table("ENDPOINT", &ROW_COLUMNS, frame.endpoints.iter().map(|row| (row.name.as_str(), row_cells(row).to_vec())).collect());
    text += &table("WORKER", &WORKER_COLUMNS, frame.workers.iter().map(|row| (row.name.as_str(), worker_cells(row).to_vec())).collect());
    text
}

pub(super) fn summary(summary: &Summary) -> String {
    format!(
        "{}  {:.0} requests/s  {:.1} errors/s  {} under way  connections {} down {} up  configuration {}",
        if summary.ready { "ready" } else { "not ready" },
        summary.requests,
        summary.errors,
        summary.requests_active,
        summary.connections_down,
        summary.connections_up,
        summary.generation,
    )
}

pub(super) fn row_cells(row: &Row) -> [String; ROW_COLUMNS.len()] {
    [format!("{:.0}", row.requests), format!("{:.1}", row.errors), time(row.p50), time(row.p99)]
}

pub(super) fn worker_cells(row: &WorkerRow) -> [String; WORKER_COLUMNS.len()] {
    let rate = |rate: f64| format!("{rate:.0}");
    [rate(row.turns), rate(row.completions), row.tasks.to_string(), rate(row.parked), rate(row.short_sends), row.panics.to_string()]
}

fn table(title: &str, columns: &[&str], rows: Vec<(&str, Vec<String>)>) -> String {
    let line =
        |name: &str, cells: &[String]| cells.iter().fold(format!("{name:<NAME$}"), |line, cell| line + &format!("{cell:>NUMBER$}")) + "\n";
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    rows.into_iter().fold(format!("\n{}", line(title, &head)), |text, (name, cells)| text + &line(name, &cells))
}

/// Three digits are all a bucket knows.
fn time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "-".to_owned() };
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} us"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, expect) in [(0, "0 us"), (999, "999 us"), (1_234, "1.23 ms"), (45_678, "46 ms"), (2_500_000, "2.50 s")] {
            assert_eq!(time(Some(Duration::from_micros(micros))), expect);
        }
        assert_eq!(time(None), "-");
    }

    #[test]
    fn columns_stand_beneath_their_heads() {
        let row = Row { name: "web".to_owned(), requests: 12.0, errors: 0.0, p50: None, p99: None };
        let text = text(&Frame { routes: vec![row], ..Frame::default() });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2].find("req/s").map(|at| at + 5), lines[3].find("12").map(|at| at + 2), "{text}");
        assert!(lines[0].starts_with("not ready  0 requests/s"), "{text}");
    }
}

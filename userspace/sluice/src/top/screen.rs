//! A frame on the terminal, until `q`, Escape or Ctrl-C.

use std::io;

use anyhow::{Context, Result};
use ratatui::{
    DefaultTerminal, Frame as Canvas,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::Line,
    widgets::{Cell, Row as Cells, Table},
};

use super::{
    INTERVAL, Readings,
    frame::Frame,
    plain::{ROW_COLUMNS, WORKER_COLUMNS, row_cells, summary, worker_cells},
};

/// What is on the screen.
struct Screen {
    frame: Frame,
    /// Why there is no newer one.
    trouble: Option<String>,
    from: String,
}

/// Shows reading after reading. The terminal is itself again afterwards, whatever happened.
pub(super) fn show(readings: &mut Readings) -> Result<()> {
    // Without a process to look at there is nothing to show, and its reason is better read on an ordinary terminal.
    let frame = readings.next()?;
    let mut screen = Screen { frame, trouble: None, from: readings.client.to_string() };
    let mut terminal = ratatui::try_init().context("no terminal; --once prints text")?;
    let shown = turn(&mut terminal, &mut screen, readings);
    ratatui::try_restore().context("the terminal cannot be restored")?;
    shown.context("the terminal does not work")
}

fn turn(terminal: &mut DefaultTerminal, screen: &mut Screen, readings: &mut Readings) -> io::Result<()> {
    loop {
        terminal.draw(|canvas| screen.draw(canvas))?;
        // A key cuts the second short; its rates are of the shorter time.
        if event::poll(INTERVAL)? && is_end(&event::read()?) {
            return Ok(());
        }
        match readings.next() {
            Ok(frame) => (screen.frame, screen.trouble) = (frame, None),
            Err(error) => screen.trouble = Some(error.to_string()),
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return false };
    matches!(code, KeyCode::Char('q') | KeyCode::Esc) || (*code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL))
}

impl Screen {
    fn draw(&self, canvas: &mut Canvas<'_>) {
        // Workers are few and shown whole; routes and endpoints share what is left.
        let workers = u16::try_from(self.frame.workers.len()).unwrap_or(u16::MAX).saturating_add(2).min(canvas.area().height / 3);
        let [head, trouble, routes, endpoints, workers, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Fill(1),
            Constraint::Length(workers),
            Constraint::Length(1),
        ])
        .areas(canvas.area());
        canvas.render_widget(Line::from(summary(&self.frame.summary)).bold(), head);
        canvas.render_widget(Line::from(self.trouble.as_deref().unwrap_or_default()).red(), trouble);
        canvas.render_widget(Line::from(format!("{}  q quits", self.from)).dim(), foot);
        let rows = self.frame.routes.iter().map(|row| (row.name.as_str(), row_cells(row).to_vec(), row.errors > 0.0));
        draw_table(canvas, routes, "ROUTE", &ROW_COLUMNS, rows);
        let rows = self.frame.endpoints.iter().map(|row| (row.name.as_str(), row_cells(row).to_vec(), row.errors > 0.0));
        draw_table(canvas, endpoints, "ENDPOINT", &ROW_COLUMNS, rows);
        let rows = self.frame.workers.iter().map(|row| (row.name.as_str(), worker_cells(row).to_vec(), row.panics > 0));
        draw_table(canvas, workers, "WORKER", &WORKER_COLUMNS, rows);
    }
}

/// Name, cells, and whether something is wrong with it.
type Line3<'a> = (&'a str, Vec<String>, bool);

fn draw_table<'a>(canvas: &mut Canvas<'_>, area: Rect, title: &'a str, columns: &[&'a str], rows: impl Iterator<Item = Line3<'a>>) {
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let rows = rows.take(usize::from(area.height)).map(|(name, cells, is_bad)| {
        let style = if is_bad { Style::new().red() } else { Style::new() };
        Cells::new(core::iter::once(Cell::from(name)).chain(cells.into_iter().map(right))).style(style)
    });
    let head = Cells::new(core::iter::once(Cell::from(title)).chain(columns.iter().map(|column| right((*column).to_owned()))));
    let widths = core::iter::once(Constraint::Fill(1)).chain(columns.iter().map(|column| Constraint::Length(width(column))));
    canvas.render_widget(Table::new(rows.collect::<Vec<_>>(), widths).header(head.underlined()), area);
}

fn width(column: &str) -> u16 {
    u16::try_from(column.len()).unwrap_or(u16::MAX).saturating_add(1).max(9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::frame::{Row, WorkerRow};
    use ratatui::{Terminal, backend::TestBackend};

    #[test]
    fn everything_is_on_the_screen() {
        let row = |name: &str, requests| Row { name: name.to_owned(), requests, errors: 0.0, p50: None, p99: None };
        let worker = WorkerRow { name: "0".to_owned(), turns: 77.0, completions: 1.0, tasks: 3, parked: 0.0, short_sends: 0.0, panics: 0 };
        let frame = Frame {
            routes: vec![row("web/*/0", 12.0)],
            endpoints: vec![row("api 10.0.0.1:80", 11.0)],
            workers: vec![worker],
            ..Frame::default()
        };
        let screen = Screen { frame, trouble: Some("gone".to_owned()), from: "admin.sock".to_owned() };
        let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
        terminal.draw(|canvas| screen.draw(canvas)).unwrap();
        let text = terminal.backend().to_string();
        for part in ["0 requests/s", "gone", "web/*/0", "api 10.0.0.1:80", "completions/s", " 77", "q quits"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn only_some_keys_end_it() {
        let key = |code, modifiers| is_end(&Event::Key(KeyEvent::new(code, modifiers)));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!is_end(&Event::Resize(1, 1)));
    }
}

//! What happened, in order: its fingerprint always, its text as far as it is asked for.

use core::fmt::{self, Write as _};
use std::collections::VecDeque;

use model::Instant;

/// Lines kept for the report of a hang or a violation.
const LINES_KEPT: usize = 200;

pub(super) struct Trace {
    fingerprint: u64,
    keep_all: bool,
    lines: VecDeque<String>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self { fingerprint: 0xCBF2_9CE4_8422_2325, keep_all: false, lines: VecDeque::new() }
    }

    pub(super) fn keep_all(&mut self) {
        self.keep_all = true;
    }

    pub(super) fn note(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        let full = !self.keep_all && self.lines.len() == LINES_KEPT;
        let mut line = if full { self.lines.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        write!(line, "{:>12} us  {what}", now.0 / 1_000).expect("a String takes all");
        // FNV-1a: enough to tell two runs apart.
        for byte in line.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.lines.push_back(line);
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

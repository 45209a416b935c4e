//! Bodies whose every place is known.

/// `count` bytes as `sluice origin` makes them: printable, with a period that divides no buffer's size, so that a lost or repeated one shows.
pub fn pattern(count: usize) -> Vec<u8> {
    (b'!'..=b'~').cycle().take(count).collect()
}

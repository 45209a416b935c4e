//! Files of prefixes: one block a line (`10.0.0.0/8`, `2001:db8::/32`, an address alone), `#` begins a comment.

use crate::guard::Prefix;
use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

/// A line that is no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no block of addresses")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What stands there, the beginning of it.
    pub text: String,
}

/// What a bad line shows of itself, characters.
const SHOWN_MAX: usize = 64;

/// The blocks of a file, to let in (`allow`) or to keep out.
pub fn prefixes(text: &str, allow: bool) -> Result<Vec<Prefix>, BadLine> {
    let mut prefixes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let block = line.split('#').next().unwrap_or_default().trim();
        if block.is_empty() {
            continue;
        }
        let bad = || BadLine { line: number + 1, text: block.chars().take(SHOWN_MAX).collect() };
        prefixes.push(prefix(block, allow).ok_or_else(bad)?);
    }
    Ok(prefixes)
}

fn prefix(block: &str, allow: bool) -> Option<Prefix> {
    let (network, length) = block.split_once('/').map_or((block, None), |(network, length)| (network, Some(length)));
    let network: IpAddr = network.parse().ok()?;
    let longest = if network.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |length| length.parse().ok().filter(|length| *length <= longest))?;
    Some(Prefix { length, allow, network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_blocks() {
        let text = "# ours\n10.0.0.0/8\n\n  192.0.2.7   # one host\n2001:db8::/32\r\n::1\n0.0.0.0/0";
        let found: Vec<(String, u8)> =
            prefixes(text, true).unwrap().iter().map(|prefix| (prefix.network.to_string(), prefix.length)).collect();
        let expect = [("10.0.0.0", 8), ("192.0.2.7", 32), ("2001:db8::", 32), ("::1", 128), ("0.0.0.0", 0)];
        assert_eq!(found, expect.map(|(network, length)| (network.to_owned(), length)));
    }

    #[test]
    fn what_is_no_block_is_named() {
        for (text, line) in [("10.0.0.0/33", 1), ("::/129", 1), ("1.2.3.4\nnobody", 2), ("/8", 1), ("10.0.0.0/", 1), ("10.0.0.0/-1", 1)] {
            assert_eq!(prefixes(text, false).unwrap_err().line, line, "{text}");
        }
        let long = "x".repeat(1_000);
        assert_eq!(prefixes(&long, false).unwrap_err().text.len(), SHOWN_MAX);
    }
}

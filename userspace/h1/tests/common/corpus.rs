//! `data/smuggling.txt`, read.

use super::bytes;

/// One entry.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) what: String,
    /// The request's method, when the bytes are a response.
    pub(crate) method: Option<String>,
    pub(crate) input: Vec<u8>,
    pub(crate) verdict: Vec<String>,
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("../data/smuggling.txt").lines() {
        let (kind, rest) = line.split_at(line.len().min(1));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match (kind, cases.last_mut()) {
            ("" | "#", _) => {}
            ("=", _) => cases.push(Case { what: rest.into(), ..Case::default() }),
            ("?", Some(case)) => case.method = Some(rest.into()),
            ("<", Some(case)) => case.input.extend(bytes(rest)),
            (">" | "/" | "!" | "." | "~" | "x", Some(case)) => case.verdict.push(line.into()),
            _ => panic!("{line:?}"),
        }
    }
    cases
}

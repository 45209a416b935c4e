//! Crates import downwards only.
//!
//! The table is the one in `ARCHITECTURE.md`. A crate that is not in it does not exist yet: give it a floor in the
//! same change. Two crates of one floor know nothing of each other, but for the pairs in [`SIDEWAYS`].

use super::Problem;
use super::crates::{Import, Member};

/// Bottom floor first.
const FLOORS: [&[&str]; 7] = [
    &["abi", "buf", "model", "stats"],
    &["h1", "h2", "tls", "route", "balance", "io"],
    &["filter"],
    &["config", "exchange"],
    &["proxy", "l4"],
    &["control", "worker"],
    &["sluice"],
];

/// Stand above all floors: they import anything and nothing imports them. (`prog` runs in the kernel.)
const OUTSIDE: [&str; 8] = ["xtask", "perf", "sim", "e2e", "ebpf", "lab", "conform", "prog"];

/// Neighbours that may see each other: importer, imported, why.
const SIDEWAYS: [(&str, &str, &str); 2] = [
    ("model", "buf", "a Part of a message carries its bytes as a Chunk"),
    ("lab", "e2e", "both start the same program and ask it as strangers do"),
];

/// Every import that goes up or sideways, every crate without a floor, every library that nothing uses.
pub(crate) fn check(members: &[Member]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in members {
        let Some(floor) = floor(&member.name) else {
            problems.push(problem(member, "has no floor", "give it one in xtask/src/tidy/floors.rs and ARCHITECTURE.md"));
            continue;
        };
        problems.extend(member.imports.iter().filter_map(|import| check_import(member, floor, import)));
        if floor < FLOORS.len() && !member.runs && !is_used(member, members) {
            problems.push(problem(member, "is used by no other crate", "a crate appears when something needs it"));
        }
    }
    problems
}

fn check_import(member: &Member, floor: usize, import: &Import) -> Option<Problem> {
    let below = self::floor(&import.name)?;
    if below == FLOORS.len() && !import.for_tests && !is_neighbour(&member.name, &import.name) {
        let what = format!("imports {}", import.name);
        return Some(problem(member, &what, "tools and tests stand above all floors; nothing is built on them"));
    }
    let sideways = below == floor && (import.for_tests || is_neighbour(&member.name, &import.name));
    if below < floor || sideways || floor == FLOORS.len() {
        return None;
    }
    let what = format!("stands on floor {floor} and imports {} of floor {below}", import.name);
    Some(problem(member, &what, "crates import downwards only"))
}

fn is_neighbour(importer: &str, imported: &str) -> bool {
    SIDEWAYS.iter().any(|(from, to, _why)| (*from, *to) == (importer, imported))
}

fn is_used(member: &Member, members: &[Member]) -> bool {
    members.iter().flat_map(|other| &other.imports).any(|import| import.name == member.name)
}

/// The number of the crate's floor; those outside stand on one more than the last.
fn floor(name: &str) -> Option<usize> {
    if OUTSIDE.contains(&name) {
        return Some(FLOORS.len());
    }
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn problem(member: &Member, what: &str, why: &'static str) -> Problem {
    Problem { file: member.manifest.clone(), line: 1, what: format!("{} {what}", member.name), why }
}

#[cfg(test)]
mod tests {
    use super::{Import, Member, check};

    /// `h1 > model ~sim`: h1 imports model, and sim in its tests. A `!` after the name makes it a binary.
    fn member(line: &str) -> Member {
        let (name, imports) = line.split_once('>').unwrap_or((line, ""));
        let import = |word: &str| Import { name: word.trim_start_matches('~').to_owned(), for_tests: word.starts_with('~') };
        Member {
            name: name.trim().trim_end_matches('!').to_owned(),
            manifest: format!("{}/Cargo.toml", name.trim()),
            runs: name.contains('!'),
            imports: imports.split_whitespace().map(import).collect(),
        }
    }

    fn expect(lines: &[&str], problems: &[&str]) {
        let members: Vec<Member> = lines.iter().map(|line| member(line)).collect();
        let found: Vec<String> = check(&members).into_iter().map(|problem| problem.what).collect();
        assert_eq!(found, problems, "{lines:?}");
    }

    #[test]
    fn downwards_is_right() {
        expect(&["model", "h1 > model", "sluice! > h1 model"], &[]);
        expect(&["buf", "model > buf", "sluice! > model"], &[]);
        expect(&["model", "xtask! > model"], &[]);
    }

    #[test]
    fn upwards_and_sideways_are_not() {
        expect(&["model > h1", "h1", "sluice! > model"], &["model stands on floor 0 and imports h1 of floor 1"]);
        expect(&["h1 > route", "route", "sluice! > h1"], &["h1 stands on floor 1 and imports route of floor 1"]);
        expect(&["buf > model", "model", "sluice! > buf"], &["buf stands on floor 0 and imports model of floor 0"]);
    }

    #[test]
    fn tests_may_look_sideways_but_not_up() {
        expect(&["h1 > ~route", "route", "sluice! > h1"], &[]);
        expect(&["h1 > ~proxy", "proxy", "sluice! > h1"], &["h1 stands on floor 1 and imports proxy of floor 4"]);
    }

    #[test]
    fn nothing_is_built_on_tools() {
        expect(&["perf!", "sluice! > perf"], &["sluice imports perf"]);
    }

    #[test]
    fn every_crate_has_a_floor_and_a_use() {
        expect(&["utilities"], &["utilities has no floor"]);
        expect(&["h1"], &["h1 is used by no other crate"]);
        expect(&["sluice!"], &[]);
    }
}

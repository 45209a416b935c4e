//! What we are built from: allowed licences, from crates.io only.
//!
//! The list of allowed licences is `deny.toml`'s, so that there is one list whoever checks it.

use super::Problem;
use std::collections::BTreeSet;

/// What `cargo tree` is to print: everything that is built, for whatever target, one package a line. (`cargo metadata`
/// also lists what features could have pulled in and did not.)
pub(crate) const TREE: [&str; 10] =
    ["tree", "--workspace", "--edges", "normal,build,dev", "--target", "all", "--prefix", "none", "--format", "{p}|{l}"];

/// One package that takes part in a build.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package<'a> {
    name_and_version: &'a str,
    /// `None` is crates.io.
    source: Option<&'a str>,
    licence: &'a str,
}

/// The `allow` list of `[licenses]` in `deny.toml`.
pub(crate) fn allowed(deny: &str) -> Vec<String> {
    let section = deny.split_once("[licenses]").map_or("", |(_, section)| section);
    let list = section.split_once("allow = [").map_or("", |(_, list)| list);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every package with another licence or from another source, in what `cargo tree` printed.
pub(crate) fn check(tree: &str, allowed: &[String]) -> Vec<Problem> {
    let packages: BTreeSet<Package<'_>> = tree.lines().filter_map(Package::read).collect();
    packages.iter().filter_map(|package| check_package(package, allowed)).collect()
}

fn check_package(package: &Package<'_>, allowed: &[String]) -> Option<Problem> {
    let (what, why) = if package.source.is_some() {
        ("does not come from crates.io", "what is built must be there tomorrow")
    } else if !is_allowed(package.licence, allowed) {
        ("has a licence that deny.toml does not allow", "decide about a licence before it is depended upon")
    } else {
        return None;
    };
    let what = format!("{} ({}) {what}", package.name_and_version, package.licence);
    Some(Problem { file: "Cargo.lock".to_owned(), line: 1, what, why })
}

impl<'a> Package<'a> {
    /// `name v1.2.3 (source or folder) (proc-macro)|licence`; `None` for a blank line and for our own folders.
    fn read(line: &'a str) -> Option<Self> {
        let (package, licence) = line.split_once('|')?;
        let licence = licence.trim_end_matches(" (*)");
        let (name_and_version, notes) = package.split_once(" (").unwrap_or((package, ""));
        let mut notes = notes.split(['(', ')']).map(str::trim).filter(|note| !note.is_empty() && *note != "proc-macro" && *note != "*");
        let source = notes.next();
        let ours = source.is_some_and(|source| source.starts_with('/'));
        (!ours).then_some(Self { name_and_version, source, licence })
    }
}

/// Evaluate an SPDX expression: `AND` binds closer than `OR`, an exception after `WITH` only adds rights, and the
/// old `/` means `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut holds = all(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        holds |= all(words, allowed);
    }
    holds
}

fn all(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut holds = term(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        holds &= term(words, allowed);
    }
    holds
}

fn term(words: &mut &[&str], allowed: &[String]) -> bool {
    let Some((word, rest)) = words.split_first() else { return false };
    *words = rest;
    if *word == "(" {
        let holds = any(words, allowed);
        let closed = words.first() == Some(&")");
        *words = words.get(1..).unwrap_or_default();
        return holds && closed;
    }
    if words.first() == Some(&"WITH") {
        *words = words.get(2..).unwrap_or_default();
    }
    allowed.iter().any(|licence| licence == word)
}

#[cfg(test)]
mod tests {
    use super::{allowed, check, is_allowed};

    fn list() -> Vec<String> {
        allowed("# x\n[bans]\nallow = []\n[licenses]\nallow = [\n    \"MIT\",\n    \"Unicode-3.0\",\n]\nx = [\"no\"]")
    }

    #[test]
    fn the_list_is_read() {
        assert_eq!(list(), ["MIT", "Unicode-3.0"]);
        assert!(allowed("[bans]").is_empty());
    }

    #[test]
    fn expressions() {
        let table = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("Apache-2.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND ISC", false),
            ("GPL-3.0 OR MIT AND ISC", false),
            ("MIT WITH LLVM-exception", true),
            ("MIT MIT", false),
            ("(MIT", false),
            ("", false),
        ];
        for (expression, expect) in table {
            assert_eq!(is_allowed(expression, &list()), expect, "{expression}");
        }
    }

    #[test]
    fn packages() {
        let table = [
            ("memchr v2.8.3|MIT", 0),
            ("serde_derive v1.0.0 (proc-macro)|MIT OR Apache-2.0", 0),
            ("serde_derive v1.0.0 (proc-macro)|MIT OR Apache-2.0 (*)", 0),
            ("h1 v0.1.0 (/src/userspace/h1)|Apache-2.0", 0),
            ("h1 v0.1.0 (/src/userspace/h1)|", 0),
            ("", 0),
            ("stranger v1.0.0 (https://example.com/stranger#abc)|MIT", 1),
            ("stranger v1.0.0 (proc-macro) (https://example.com/stranger#abc)|MIT", 1),
            ("copyleft v1.0.0|GPL-3.0", 1),
            ("silent v1.0.0|", 1),
            ("copyleft v1.0.0|GPL-3.0\ncopyleft v1.0.0|GPL-3.0 (*)", 1),
        ];
        for (tree, problems) in table {
            assert_eq!(check(tree, &list()).len(), problems, "{tree}");
        }
    }
}

//! What we are built from: allowed licences, from crates.io only.
//!
//! The list of allowed licences is `deny.toml`'s, so that there is one list whoever checks it.

use super::Problem;
use super::crates::Package;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The `allow` list of `[licenses]` in `deny.toml`.
pub(crate) fn allowed(deny: &str) -> Vec<String> {
    let section = deny.split_once("[licenses]").map_or("", |(_, section)| section);
    let list = section.split_once("allow = [").map_or("", |(_, list)| list);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every package with another licence or from another source.
pub(crate) fn check(packages: &[Package], allowed: &[String]) -> Vec<Problem> {
    packages.iter().filter_map(|package| check_package(package, allowed)).collect()
}

fn check_package(package: &Package, allowed: &[String]) -> Option<Problem> {
    let (what, why) = if package.source.as_ref().is_some_and(|source| source != REGISTRY) {
        ("does not come from crates.io", "what is built must be there tomorrow")
    } else if !package.licence.as_ref().is_some_and(|licence| is_allowed(licence, allowed)) {
        ("has a licence that deny.toml does not allow", "decide about a licence before it is depended upon")
    } else {
        return None;
    };
    let licence = package.licence.as_deref().unwrap_or("none");
    let what = format!("{} {} ({licence}) {what}", package.name, package.version);
    Some(Problem { file: "Cargo.lock".to_owned(), line: 1, what, why })
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
    use super::{Package, REGISTRY, allowed, check, is_allowed};

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
        let package = |licence: Option<&str>, source: Option<&str>| Package {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.map(str::to_owned),
            source: source.map(str::to_owned),
        };
        let problems = |package: Package| check(&[package], &list()).len();
        assert_eq!(problems(package(Some("MIT"), Some(REGISTRY))), 0);
        assert_eq!(problems(package(Some("MIT"), None)), 0);
        assert_eq!(problems(package(Some("MIT"), Some("git+https://example.com/x"))), 1);
        assert_eq!(problems(package(Some("GPL-3.0"), Some(REGISTRY))), 1);
        assert_eq!(problems(package(None, Some(REGISTRY))), 1);
    }
}

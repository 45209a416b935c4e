//! Rules for one Rust file: it says what it is, and it ends before the reader does.

use super::Problem;

/// Code lines, without comments, blank lines and tests.
const CODE_LINES_MAX: usize = 600;

/// Files that may be longer: path, why.
const LONGER: [(&str, &str); 0] = [];

/// A missing header, too many lines of code.
pub(crate) fn check(file: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !has_header(text) {
        problems.push(Problem {
            file: file.to_owned(),
            line: 1,
            what: "no `//!` header".to_owned(),
            why: "a file opens with what it is, why it is so and what it must never do",
        });
    }
    let exempt = is_test(file) || LONGER.iter().any(|(longer, _why)| *longer == file);
    if let (Some(line), false) = (line_after_limit(text), exempt) {
        problems.push(Problem {
            file: file.to_owned(),
            line,
            what: format!("the {CODE_LINES_MAX} lines of code that a file may have end here"),
            why: "a file is about one noun; split it, or name it in xtask/src/tidy/sources.rs with a reason",
        });
    }
    problems
}

/// Exceptions for files that are gone.
pub(crate) fn stale_exceptions(files: &[String]) -> Vec<Problem> {
    let gone = LONGER.iter().filter(|(longer, _why)| !files.iter().any(|file| file == longer));
    let problem = |(longer, _why): &(&str, &str)| Problem {
        file: "xtask/src/tidy/sources.rs".to_owned(),
        line: 1,
        what: format!("{longer} has an exception and does not exist"),
        why: "exceptions are deleted with what they excused",
    };
    gone.map(problem).collect()
}

/// Only blank lines, a shebang and attributes may stand before the header.
fn has_header(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!"));
    first.is_some_and(|line| line.starts_with("//!"))
}

/// Integration tests and benches are as long as their tables.
fn is_test(file: &str) -> bool {
    file.split('/').any(|folder| folder == "tests" || folder == "benches")
}

/// The number of the first line of code beyond the limit. Unit tests stand at the foot of a file and do not count.
fn line_after_limit(text: &str) -> Option<usize> {
    let lines = text.lines().map(str::trim).enumerate();
    let mut code = lines.take_while(|(_, line)| *line != "#[cfg(test)]").filter(|(_, line)| !line.is_empty() && !line.starts_with("//"));
    code.nth(CODE_LINES_MAX).map(|(number, _)| number + 1)
}

#[cfg(test)]
mod tests {
    use super::{CODE_LINES_MAX, check};

    fn expect(file: &str, text: &str, places: &[usize]) {
        let found: Vec<usize> = check(file, text).into_iter().map(|problem| problem.line).collect();
        assert_eq!(found, places, "{file}");
    }

    #[test]
    fn a_file_says_what_it_is() {
        expect("src/head.rs", "//! A message head.\nfn x() {}", &[]);
        expect("src/head.rs", "\n#![no_std]\n//! A message head.\nfn x() {}", &[]);
        expect("src/head.rs", "// A message head.\nfn x() {}", &[1]);
        expect("src/head.rs", "use core::fmt;\n//! Too late.", &[1]);
        expect("src/head.rs", "", &[1]);
    }

    #[test]
    fn a_file_ends() {
        let code = |lines: usize| format!("//! Long.\n{}", "// why\n\nlet x = 1;\n".repeat(lines));
        expect("src/long.rs", &code(CODE_LINES_MAX), &[]);
        expect("src/long.rs", &code(CODE_LINES_MAX + 1), &[1 + 3 * (CODE_LINES_MAX + 1)]);
        expect("tests/long.rs", &code(CODE_LINES_MAX + 1), &[]);
        let tested = format!("{}#[cfg(test)]\n{}", code(CODE_LINES_MAX), code(CODE_LINES_MAX));
        expect("src/long.rs", &tested, &[]);
    }
}

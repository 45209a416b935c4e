//! Words that have no place in the tree: unfinished work, places on one machine, talk about how it was written.
//!
//! The words are put together here from halves, so that this file passes its own rule.

use super::Problem;

const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
const UNFINISHED_WHY: &str = "finish it, or write it down where work is planned";

const PLACES: [&str; 4] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/tmp/tar", "get")];
const PLACES_WHY: &str = "a path of one machine means nothing on another";

/// Followed by a number, these speak of a tracker or a person's day, not of the field.
const NUMBERED: [&str; 3] = ["issue", "session", "ticket"];
const NUMBERED_WHY: &str = "say what is so and why; the reader has neither tracker nor diary";

/// Every banned word of one file.
pub(crate) fn check(file: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let found = banned(line).map(|(word, why)| Problem { file: file.to_owned(), line: number + 1, what: format!("`{word}`"), why });
        problems.extend(found);
    }
    problems
}

/// The first banned word of a line.
fn banned(line: &str) -> Option<(String, &'static str)> {
    if let Some(place) = PLACES.iter().find(|place| line.contains(**place)) {
        return Some(((*place).to_owned(), PLACES_WHY));
    }
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    if let Some(word) = words.iter().find(|word| UNFINISHED.contains(word)) {
        return Some(((*word).to_owned(), UNFINISHED_WHY));
    }
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = words.windows(2).find(|pair| NUMBERED.contains(&pair[0].to_lowercase().as_str()) && is_number(pair[1]));
    numbered.map(|pair| (format!("{} {}", pair[0], pair[1]), NUMBERED_WHY))
}

#[cfg(test)]
mod tests {
    use super::check;

    fn expect(text: &str, words: &[&str]) {
        let found: Vec<String> = check("a.rs", text).into_iter().map(|problem| problem.what).collect();
        assert_eq!(found, words, "{text}");
    }

    #[test]
    fn words_are_found_whole() {
        expect(concat!("// TO", "DO: later"), &[concat!("`TO", "DO`")]);
        expect(concat!("let x = 1; // FIX", "ME"), &[concat!("`FIX", "ME`")]);
        expect(concat!("a mas", "TO", "DON"), &[]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        expect(concat!("include = \"/ho", "me/ann/x\""), &[concat!("`/ho", "me/`")]);
        expect("/var/lib/sluice", &[]);
    }

    #[test]
    fn talk_about_the_work_is_found() {
        expect(concat!("as iss", "ue 12 says"), &[concat!("`iss", "ue 12`")]);
        expect(concat!("see Iss", "ue #7"), &[concat!("`Iss", "ue 7`")]);
        expect("a TLS session is resumed, issue a ticket", &[]);
    }
}

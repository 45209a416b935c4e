//! Documents that are refused, and every word of why: `data/rejections.txt` has them side by side.
#![expect(clippy::format_push_string, reason = "the text is short")]

use std::path::Path;

use config::{Rejection, compile, load_text};

const CASES: &str = include_str!("data/rejections.txt");

/// What is wrong with a text, one reason a line, without the name of its file.
fn refuse(text: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/case.yaml"));
    let rejections: Vec<Rejection> =
        load_text(path, text).and_then(|loaded| compile(&loaded, None)).map_or_else(|rejections| rejections, |_| Vec::new());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    rejections
        .iter()
        .map(|rejection| {
            let line = rejection.to_string().replace(folder, "");
            line.strip_prefix("case.yaml:").unwrap_or(&line).to_owned() + "\n"
        })
        .collect()
}

#[test]
fn every_fault_is_told_with_its_place_and_what_is_allowed() {
    let mut actual = String::new();
    for case in CASES.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        // The last line of dashes parts the two: YAML has such lines of its own.
        let (text, _) = rest.rsplit_once("---\n").expect("a line between document and reasons");
        actual.push_str(&format!("=== {title}\n{text}---\n{}", refuse(text)));
    }
    if actual != CASES {
        let path = std::env::temp_dir().join("rejections.txt");
        std::fs::write(&path, &actual).expect("the temporary folder takes it");
        panic!("what is told has changed; {} is what it would be", path.display());
    }
}

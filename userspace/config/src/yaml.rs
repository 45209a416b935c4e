//! YAML (and JSON, which is YAML) to a tree: plain documents directly, all others by way of `saphyr-parser`.

use alloc::sync::Arc;

use hashbrown::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::plain;
use crate::tree::{Builder, DOCUMENT_BYTES_MAX, Flaw, Kind, Tree};

/// Reads one document, or says everything that is wrong with its form.
pub(crate) fn parse(source: &Arc<str>) -> Result<Tree, Vec<Flaw>> {
    if source.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the document has more than {DOCUMENT_BYTES_MAX} bytes");
        return Err(vec![Flaw { offset: 0, field: String::new(), message }]);
    }
    plain::parse(source).map_or_else(|| parse_general(source), Ok)
}

/// Reads any YAML.
fn parse_general(source: &Arc<str>) -> Result<Tree, Vec<Flaw>> {
    let mut reading = Reading { builder: Builder::new(source), offsets: Offsets::of(source), anchors: HashMap::new(), documents: 0 };
    for next in Parser::new_from_str(source) {
        match next {
            Err(error) => {
                let offset = reading.offsets.find(*error.marker());
                reading.builder.flaw(offset, format!("this is not YAML: {}", error.info()));
                break;
            }
            Ok((event, span)) => {
                let offset = reading.offsets.find(span.start);
                reading.take(event, offset);
            }
        }
        if reading.builder.is_overfull() {
            break;
        }
    }
    if reading.documents == 0 {
        // An empty file is an empty map: what it misses is for the reader of fields to say.
        reading.builder.open(Kind::Map, 0);
        reading.builder.close();
    }
    reading.builder.finish()
}

struct Reading<'a> {
    builder: Builder,
    offsets: Offsets<'a>,
    anchors: HashMap<usize, u32>,
    documents: usize,
}

impl Reading<'_> {
    fn take(&mut self, event: Event<'_>, offset: usize) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), offset);
                let text = self.builder.keep(&text);
                if let Some(node) = self.builder.scalar(text, style != ScalarStyle::Plain, offset) {
                    self.anchor(anchor, node);
                }
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), offset);
                let node = self.builder.open(Kind::Map, offset);
                self.anchor(anchor, node);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), offset);
                let node = self.builder.open(Kind::List, offset);
                self.anchor(anchor, node);
            }
            Event::MappingEnd | Event::SequenceEnd => self.builder.close(),
            Event::Alias(anchor) => self.alias(anchor, offset),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.builder.flaw(offset, "a second document begins here; one file is one document");
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn anchor(&mut self, anchor: usize, node: u32) {
        if anchor != 0 {
            self.anchors.insert(anchor, node);
        }
    }

    fn alias(&mut self, anchor: usize, offset: usize) {
        match self.anchors.get(&anchor) {
            Some(node) if !self.builder.is_open(*node) => self.builder.alias(*node, offset),
            Some(_) => self.bad_alias("this alias stands inside what it stands for", offset),
            None => self.bad_alias("this alias has no anchor among the values before it", offset),
        }
    }

    fn bad_alias(&mut self, message: &str, offset: usize) {
        self.builder.flaw(offset, message);
        let nothing = self.builder.keep("");
        self.builder.scalar(nothing, true, offset);
    }

    fn refuse_tag(&mut self, is_tagged: bool, offset: usize) {
        if is_tagged {
            self.builder.flaw(offset, "tags are not used here: a field knows its type");
        }
    }
}

/// From the parser's lines and columns, counted in characters, to byte offsets.
struct Offsets<'a> {
    source: &'a str,
    lines: Vec<usize>,
}

impl<'a> Offsets<'a> {
    fn of(source: &'a str) -> Self {
        let ends = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { source, lines: core::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    fn find(&self, marker: Marker) -> usize {
        let Some(start) = self.lines.get(marker.line().saturating_sub(1)) else {
            return self.source.len();
        };
        let line = &self.source[*start..];
        start + line.char_indices().nth(marker.col()).map_or(line.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Whatever the quick reader accepts, the general one reads the same.
    fn check(source: &str) -> Result<bool, TestCaseError> {
        let Some(quick) = plain::parse(&source.into()) else {
            return Ok(false);
        };
        match parse_general(&source.into()) {
            Ok(general) => prop_assert_eq!(quick.dump(), general.dump(), "{}", source),
            Err(flaws) => prop_assert!(false, "{}\nread quickly, but {:?}", source, flaws),
        }
        Ok(true)
    }

    /// Pieces that YAML is made of, and pieces that it trips over.
    fn soup() -> impl Strategy<Value = String> {
        let pieces = vec![
            "a",
            "b: ",
            "c:",
            "key: value",
            "- ",
            "-",
            "\n",
            "\n  ",
            "\n    ",
            "\n      ",
            " ",
            ":",
            ": ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            ",",
            "\"x y\"",
            "\"a\\n\\\"b\\\\\"",
            "\\n",
            "\\x41",
            "'z'",
            "''",
            "\"",
            "'",
            "#",
            " # note",
            "10.0.0.1:80",
            "/api/*",
            "*",
            "&a ",
            "&a",
            "*a",
            "b: &a ",
            "c: *a",
            "- *a",
            "\n",
            "!",
            "|",
            "b: |\n",
            "- |\n  ",
            " |\n   x\n",
            ">",
            "?",
            "? ",
            "---",
            "...",
            "${env:X}",
            "~",
            "null",
            "\"*:80\"",
            "@",
            "%",
            "a b",
            "x-y",
            "{a: b}",
            "[a, b]",
            "\n- ",
            "\n  - ",
            "a: b",
            "\\",
            "é",
        ];
        proptest::collection::vec(select(pieces), 0..16).prop_map(|pieces| pieces.concat())
    }

    /// Documents that are mostly right.
    fn tree() -> impl Strategy<Value = String> {
        let scalar =
            select(vec!["a", "10.0.0.1:80", "\"x: y\"", "'it'", "/api/*", "a b", "true", "a#b", "a:b", "é", "\"é\"", "\"é\\t\\n\"", "''"])
                .prop_map(str::to_owned);
        let flow = scalar.clone().prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
                proptest::collection::vec(inner, 0..3).prop_map(|items| {
                    let fields: Vec<String> = items.iter().enumerate().map(|(at, item)| format!("k{at}: {item}")).collect();
                    format!("{{ {} }}", fields.join(", "))
                }),
            ]
        });
        let before = select(vec!["", "", "", "&a ", "&b "]);
        let value = prop_oneof![8 => (before, flow).prop_map(|(before, value)| format!("{before}{value}")), 1 => select(vec!["*a", "*b"]).prop_map(str::to_owned)];
        let leaf = (value, select(vec!["", " # note", " "])).prop_map(|(value, after)| vec![format!("{value}{after}")]);
        let lines = leaf.prop_recursive(4, 24, 4, |inner| {
            (proptest::collection::vec(inner, 1..4), any::<bool>(), select(vec!["  ", "    ", ""])).prop_map(|(items, is_map, indent)| {
                items.into_iter().enumerate().flat_map(|(at, lines)| nest(at, lines, is_map, indent)).collect()
            })
        });
        lines.prop_map(|lines| lines.join("\n"))
    }

    fn nest(at: usize, lines: Vec<String>, is_map: bool, indent: &str) -> Vec<String> {
        let lead = if is_map { format!("k{at}:") } else { "-".to_owned() };
        if let [only] = &*lines {
            return vec![format!("{lead} {only}")];
        }
        let lead = if at == 1 { format!("{lead} &a") } else { lead };
        let rest = lines.into_iter().map(|line| format!("{indent}{line}"));
        core::iter::once(lead).chain(rest).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn soup_is_read_the_same_or_not_at_all(source in soup()) {
            check(&source)?;
        }

        #[test]
        fn trees_are_read_the_same_or_not_at_all(source in tree()) {
            check(&source)?;
        }
    }

    #[test]
    fn plain_documents_are_read_quickly() {
        for source in [
            "a: 1\nb:\n  - x\n  - y: 2\n    z: [1, { k: v }]\nc:\n- 1\n- 2\nd:\n# note\ne: \"q\" # note\n",
            "a: &x 1\nb: *x\nc: &y\n  - *x\n  - &z { k: *x }\n  - &x w\nd: [*x, *y, *z]\n",
            "a: |\n  text # no note\n\n    more: x\n\n\n# note\nb: &x |\n one\nc:\n- |\n  two\n- k: |\n   three\n  l: *x\n",
            "{\"a\": [1, 2,\n 3], \"b\":{\"c\":\"d\"}}",
            "a:\n  b:\n    c: d\n  e: f\n",
            "- a\n-\n  b: c\n- d: e\n  f: g\n",
            "a: [\n  x, # one\n  y\n  ]\n",
            include_str!("../tests/data/whole.yaml"),
            include_str!("../tests/data/ten_lines.yaml"),
        ] {
            assert!(check(source).expect("the same"), "{source}");
        }
    }

    #[test]
    fn what_is_not_plain_goes_to_the_general_parser() {
        for source in [
            "",
            "a: |-\n  text\n",
            "a: >\n  text\n",
            "a: |\n\n  text\n",
            "a: |\n  text",
            "a: \"\\x41\"\n",
            "a: b\n  c\n",
            "a: !t b\n",
            "a:\n\tb: c\n",
            "a: [x\n, y]\n",
            "a: 1\na: 2\n",
            "---\na: 1\n",
        ] {
            assert!(plain::parse(&source.into()).is_none(), "{source:?}");
        }
    }
}

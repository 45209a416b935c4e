//! YAML (and JSON, which is YAML) to a tree, by way of the events of `saphyr-parser`.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::tree::{Builder, DOCUMENT_BYTES_MAX, Flaw, Kind, Tree};

/// Reads one document, or says everything that is wrong with its form.
pub(crate) fn parse(source: &str) -> Result<Tree, Vec<Flaw>> {
    if source.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the document has more than {DOCUMENT_BYTES_MAX} bytes");
        return Err(vec![Flaw { offset: 0, field: String::new(), message }]);
    }
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

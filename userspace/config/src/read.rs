//! From a tree to typed fields, every fault noted and none the last: the reader goes on after each.

use alloc::collections::BTreeMap;
use core::fmt::Display;
use std::borrow::Cow;
use std::path::Path;

use crate::load::Document;
use crate::rejection::Rejection;
use crate::shape::{Shape, Shown};
use crate::suggest;
use crate::tree::{Kind, Place};

/// A type that stands in a document: how it is read, described and shown again.
pub(crate) trait Value: Sized {
    /// Reads it; `None` means that what is wrong has been noted.
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self>;
    /// What is allowed, for the JSON Schema.
    fn shape() -> Shape;
    /// As `config --effective` prints it; `None` leaves the field out.
    fn show(&self) -> Option<Shown>;
}

/// A type written as one scalar.
pub(crate) trait Scalar: Sized {
    /// Reads it from its text; the error says what is wrong and what is allowed.
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String>;
    /// What is allowed.
    fn allowed() -> Shape;
    /// Its text.
    fn shown(&self) -> Shown;
}

/// What a scalar may depend on besides its text.
pub(crate) struct Context<'a> {
    /// The folder of the file: paths are relative to it.
    pub(crate) directory: &'a Path,
}

/// Where a value stood, for what is found wrong later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    document: u32,
    node: u32,
}

impl At {
    /// Whether both stand in the same document.
    pub(crate) fn is_in_document_of(self, other: Self) -> bool {
        self.document == other.document
    }

    /// The place among these documents, which it has to come from.
    pub(crate) fn place(self, documents: &[Document]) -> Place<'_> {
        documents[self.document as usize].tree.place(self.node)
    }
}

/// Reads documents and keeps what is wrong with them.
pub(crate) struct Reader<'a> {
    documents: &'a [Document],
    environment: &'a BTreeMap<String, String>,
    /// Whether what can wait is left unread until it is asked for.
    is_lazy: bool,
    document: u32,
    rejections: Vec<Rejection>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(documents: &'a [Document], environment: &'a BTreeMap<String, String>) -> Self {
        Self { documents, environment, is_lazy: false, document: 0, rejections: Vec::new() }
    }

    /// Leaves what can wait unread until it is asked for.
    pub(crate) fn lazy(self) -> Self {
        Self { is_lazy: true, ..self }
    }

    /// Whether what can wait is to be left unread.
    pub(crate) fn is_lazy(&self) -> bool {
        self.is_lazy
    }

    /// Reads what stands at a place of any document.
    pub(crate) fn read_at<T: Value>(&mut self, at: At) -> Option<T> {
        self.document = at.document;
        T::read(self, self.place(at))
    }

    /// Reads the whole of one document.
    pub(crate) fn document<T: Value>(&mut self, index: usize) -> Option<T> {
        let root = self.enter(index)?;
        T::read(self, root)
    }

    /// Turns to one document, and gives its root.
    pub(crate) fn enter(&mut self, index: usize) -> Option<Place<'a>> {
        let documents = self.documents;
        self.document = u32::try_from(index).ok()?;
        Some(documents.get(index)?.tree.root())
    }

    /// What was wrong, in the order of files and lines.
    pub(crate) fn finish(mut self) -> Vec<Rejection> {
        let order = |file: &Path| self.documents.iter().position(|document| *document.file == *file);
        self.rejections.sort_by_key(|rejection| (order(&rejection.file), rejection.line, rejection.column));
        self.rejections
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_content(&self) -> bool {
        self.rejections.is_empty()
    }

    /// Where a place of the present document is.
    pub(crate) fn at(&self, place: Place<'_>) -> At {
        At { document: self.document, node: place.index() }
    }

    /// Notes what is wrong with a value.
    pub(crate) fn reject(&mut self, at: At, message: impl Display) {
        let place = self.place(at);
        self.note(at, place.value_offset(), place.path(), message.to_string());
    }

    /// Notes what is wrong with a key, or with a value as a whole.
    pub(crate) fn reject_key(&mut self, at: At, message: impl Display) {
        let place = self.place(at);
        self.note(at, place.key_offset(), place.path(), message.to_string());
    }

    /// `FILE:LINE` of a key, to point at from elsewhere.
    pub(crate) fn locate(&self, at: At) -> String {
        let document = &self.documents[at.document as usize];
        let spot = Rejection::at(&document.file, document.tree.source(), self.place(at).key_offset());
        format!("{}:{}", spot.file.display(), spot.line)
    }

    fn place(&self, at: At) -> Place<'a> {
        at.place(self.documents)
    }

    fn note(&mut self, at: At, offset: usize, field: String, message: String) {
        let document = &self.documents[at.document as usize];
        let spot = Rejection::at(&document.file, document.tree.source(), offset);
        self.rejections.push(Rejection { field, message, ..spot });
    }

    /// The text of a scalar, environment filled in.
    pub(crate) fn text<'p>(&mut self, place: Place<'p>) -> Option<Cow<'p, str>> {
        let expected = match place.kind() {
            Kind::Plain | Kind::Quoted if !place.is_null() => {
                let text = place.text();
                return if text.contains('$') { self.expand(place, text).map(Cow::Owned) } else { Some(Cow::Borrowed(text)) };
            }
            Kind::Plain | Kind::Quoted => "a value is missing here",
            Kind::Map => "a single value is expected here, not a map",
            Kind::List => "a single value is expected here, not a list",
        };
        self.reject(self.at(place), expected);
        None
    }

    /// `${env:NAME}` inside a text; `$${` stands for `${`.
    fn expand(&mut self, place: Place<'_>, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            expanded.push_str(before);
            let reference = after.split_once('}').and_then(|(inside, after)| Some((inside.strip_prefix("env:")?, after)));
            let Some((name, after)) = reference else {
                self.reject(self.at(place), "'${' begins ${env:NAME}; write '$${' for the characters themselves");
                return None;
            };
            let Some(value) = self.environment.get(name) else {
                self.reject(self.at(place), format_args!("the environment has no variable {name:?}"));
                return None;
            };
            expanded.push_str(value);
            rest = after;
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// Reads a scalar by its type's own rules.
    pub(crate) fn scalar<T: Scalar>(&mut self, place: Place<'_>) -> Option<T> {
        let text = self.text(place)?;
        self.parse(place, &text)
    }

    /// Reads a type from a text that stands (as key or value) at `place`.
    pub(crate) fn parse<T: Scalar>(&mut self, place: Place<'_>, text: &str) -> Option<T> {
        let documents = self.documents;
        match T::parse(text, &Context { directory: &documents[self.document as usize].directory }) {
            Ok(value) => Some(value),
            Err(message) => {
                self.reject(self.at(place), message);
                None
            }
        }
    }

    /// Reads a type from the key of a place.
    pub(crate) fn parse_key<T: Scalar>(&mut self, place: Place<'_>) -> Option<T> {
        match T::parse(place.key(), &Context { directory: Path::new("") }) {
            Ok(value) => Some(value),
            Err(message) => {
                self.reject_key(self.at(place), message);
                None
            }
        }
    }

    /// Makes sure of a map for a record; an absent value is an empty one.
    pub(crate) fn expect_record(&mut self, place: Place<'_>, sugar: Option<&str>) -> Option<()> {
        let or = sugar.map_or(String::new(), |sugar| format!(" (or just its {sugar})"));
        self.expect_map(place, format_args!("a map of fields{or} is expected here"))
    }

    /// Makes sure of a map; an absent value is an empty one.
    pub(crate) fn expect_map(&mut self, place: Place<'_>, expected: impl Display) -> Option<()> {
        if place.kind() == Kind::Map || place.is_null() {
            return Some(());
        }
        self.reject(self.at(place), expected);
        None
    }

    /// Notes a field that has to be there and is not.
    pub(crate) fn missing_key(&mut self, at: At, key: &str) {
        self.reject_key(at, format_args!("the key {key:?} is missing here"));
    }

    /// Makes sure of a list; an absent value is an empty one.
    pub(crate) fn expect_list(&mut self, place: Place<'_>) -> Option<()> {
        if place.kind() == Kind::List || place.is_null() {
            return Some(());
        }
        self.reject(self.at(place), "a list is expected here, as in [first, second]");
        None
    }

    /// Whether a list or map stands there with nothing in it. What was refused counts as something.
    pub(crate) fn is_empty(&self, at: At) -> bool {
        self.place(at).children().next().is_none()
    }

    /// Whether a record has one of these keys, be their values refused or not.
    pub(crate) fn has_any_key(&self, at: At, keys: &[&str]) -> bool {
        self.place(at).children().any(|child| keys.contains(&child.key()))
    }

    /// Notes a key that a record does not have.
    pub(crate) fn unknown_key(&mut self, place: Place<'_>, allowed: &[&str], unsupported: &[&str]) {
        let key = place.key();
        let message = if unsupported.contains(&key) {
            format!("{key:?} is not supported by this version")
        } else {
            let guess = suggest::nearest(key, allowed.iter().copied());
            let guess = guess.map_or(String::new(), |guess| format!(" (did you mean {guess:?}?)"));
            format!("there is no key {key:?} here{guess}; allowed: {}", allowed.join(", "))
        };
        self.reject_key(self.at(place), message);
    }
}

/// Whether a scalar stands where a record with sugar is expected.
pub(crate) fn is_sugar(place: Place<'_>, sugar: Option<&str>) -> bool {
    sugar.is_some() && matches!(place.kind(), Kind::Plain | Kind::Quoted) && !place.is_null()
}

/// What to say of a word that is none of a choice's.
pub(crate) fn no_such_word(text: &str, allowed: &[&str]) -> String {
    let guess = suggest::nearest(text, allowed.iter().copied());
    let guess = guess.map_or(String::new(), |guess| format!(" (did you mean {guess:?}?)"));
    format!("{text:?} is none of the choices{guess}; allowed: {}", allowed.join(", "))
}

impl<T: Scalar> Value for T {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        reader.scalar(place)
    }

    fn shape() -> Shape {
        T::allowed()
    }

    fn show(&self) -> Option<Shown> {
        Some(self.shown())
    }
}

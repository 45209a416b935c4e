//! What a type allows (for the JSON Schema) and how a value is shown again (for `config --effective`).

use core::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

/// What a type allows.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Written out where it is used.
    Inline(Json),
    /// A list of one type.
    List(fn() -> Self),
    /// A map from keys of one type to values of another.
    Map(fn() -> Self, fn() -> Self),
    /// One word, or something else.
    Or(&'static str, fn() -> Self),
    /// A record: defined once by name, referred to everywhere.
    Record(&'static Record),
}

/// The description of a record, from which its schema is made.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The field that a scalar in the record's place stands for.
    pub(crate) sugar: Option<&'static str>,
    /// Whether keys that begin with `x-` are free.
    pub(crate) is_extensible: bool,
    pub(crate) fields: &'static [Field],
}

/// One field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: fn() -> Shape,
    /// Gives the default; `None` for required fields.
    pub(crate) default: Option<fn() -> Option<Shown>>,
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    /// A scalar that needs no quotes: a number, a truth value, a length of time.
    Literal(String),
    /// A scalar that is text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A map, in order.
    Map(Vec<(String, Self)>),
}

impl Shown {
    /// As YAML in block style, each level two spaces in.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Text(text) => write_text(out, text),
            Self::List(items) if items.is_empty() => out.push_str("[]"),
            Self::Map(entries) if entries.is_empty() => out.push_str("{}"),
            Self::List(items) => {
                for item in items {
                    begin_line(out, indent);
                    out.push_str("- ");
                    item.write(out, indent + 2);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    begin_line(out, indent);
                    write_text(out, key);
                    out.push(':');
                    if !value.begins_a_line() {
                        out.push(' ');
                    }
                    value.write(out, indent + 2);
                }
            }
        }
    }

    fn begins_a_line(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Text(_) => false,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// The text of a scalar; empty for maps and lists.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Literal(text) | Self::Text(text) => text,
            Self::List(_) | Self::Map(_) => String::new(),
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Literal(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Self::Text(text) => json!(text),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), value.to_json()));
                Json::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}

/// Ends the line before, unless this place is right behind the dash of a list or at the document's start.
fn begin_line(out: &mut String, indent: usize) {
    if out.is_empty() || out.ends_with("- ") {
        return;
    }
    out.push('\n');
    out.extend(core::iter::repeat_n(' ', indent));
}

/// A text without quotes where that is safe in every YAML reader, else in JSON's quotes, which are YAML's too.
fn write_text(out: &mut String, text: &str) {
    // `${` is where the environment comes in; what is text already must not be read so again.
    let text = &*text.replace("${", "$${");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte);
    let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins_well && !is_word && text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        write!(out, "{}", json!(text)).expect("writing to a String does not fail");
    }
}

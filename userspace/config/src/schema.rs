//! The JSON Schema of the configuration, made from the records themselves.

use alloc::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::document::{Included, Root};
use crate::read::Value as _;
use crate::shape::{Field, Record, Shape};

/// The JSON Schema (draft 2020-12) of a configuration file, main or included.
///
/// It knows the form of every field. What depends on other fields (names that exist, hosts that are unique) only
/// [`compile`](crate::compile) can tell.
pub fn schema() -> Json {
    let mut definitions = BTreeMap::new();
    let main = describe(&Root::shape(), &mut definitions);
    let included = describe(&Included::shape(), &mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluice configuration",
        "anyOf": [main, included],
        "$defs": definitions.into_iter().collect::<Map<_, _>>(),
    })
}

type Definitions = BTreeMap<String, Json>;

fn describe(shape: &Shape, definitions: &mut Definitions) -> Json {
    match shape {
        Shape::Inline(schema) => schema.clone(),
        Shape::List(items) => json!({ "type": ["array", "null"], "items": describe(&items(), definitions) }),
        Shape::Map(keys, values) => json!({
            "type": ["object", "null"],
            "propertyNames": describe(&keys(), definitions),
            "additionalProperties": describe(&values(), definitions),
        }),
        Shape::Or(word, other) => json!({ "anyOf": [{ "const": word }, describe(&other(), definitions)] }),
        Shape::Record(record) => {
            if !definitions.contains_key(record.name) {
                // Kept free while it is described: a record may hold itself.
                definitions.insert(record.name.to_owned(), Json::Null);
                let described = describe_record(record, definitions);
                definitions.insert(record.name.to_owned(), described);
            }
            json!({ "$ref": format!("#/$defs/{}", record.name) })
        }
    }
}

fn describe_record(record: &Record, definitions: &mut Definitions) -> Json {
    let fields = record.fields.iter().map(|field| (field.key.to_owned(), describe_field(field, definitions)));
    let properties: Map<String, Json> = fields.collect();
    let required: Vec<&str> = record.fields.iter().filter(|field| field.default.is_none()).map(|field| field.key).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if required.is_empty() {
        object["type"] = json!(["object", "null"]);
    } else {
        object["required"] = json!(required);
    }
    if record.is_extensible {
        object["patternProperties"] = json!({ "^x-": true });
    }
    let sugar = record.sugar.and_then(|sugar| record.fields.iter().find(|field| field.key == sugar));
    let mut described = match sugar {
        None => object,
        Some(field) => json!({ "anyOf": [describe(&(field.shape)(), definitions), object] }),
    };
    described["description"] = json!(record.about.trim());
    described
}

fn describe_field(field: &Field, definitions: &mut Definitions) -> Json {
    let mut described = describe(&(field.shape)(), definitions);
    described["description"] = json!(field.about.trim());
    if let Some(default) = field.default.and_then(|default| default()) {
        described["default"] = default.to_json();
    }
    described
}

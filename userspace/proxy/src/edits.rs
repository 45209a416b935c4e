//! A route's header edits, done to a head.

use config::HeaderEdits;
use model::Fields;

/// Remove, set, add: in this order.
pub(crate) fn apply(edits: &HeaderEdits, fields: &mut Fields) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in &edits.set {
        fields.set(name, value);
    }
    for (name, value) in &edits.add {
        fields.append(name, value);
    }
}

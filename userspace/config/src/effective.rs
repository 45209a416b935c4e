//! The configuration as it is understood: includes merged, sugar written out, defaults filled in.

use crate::load::Loaded;
use crate::read::{Reader, Value as _};
use crate::rejection::Rejection;
use crate::resolve::resolve;
use crate::shape::Shown;

/// The whole configuration in one YAML document, or every reason why it cannot be read.
///
/// Only the form is checked here; [`compile`](crate::compile) checks the rest. What the environment filled in stands
/// there in clear.
pub fn effective(loaded: &Loaded) -> Result<String, Vec<Rejection>> {
    let mut reader = Reader::new(&loaded.documents, &loaded.environment);
    match resolve(loaded, &mut reader) {
        Some(root) if reader.is_content() => Ok(root.show().unwrap_or(Shown::Map(Vec::new())).to_yaml() + "\n"),
        _ => Err(reader.finish()),
    }
}

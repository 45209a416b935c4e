//! `to`: a cluster's name, or several names with their weights.

use serde_json::json;

use crate::read::{At, Reader, Scalar, Value};
use crate::scalars::Number;
use crate::shape::{Shape, Shown};
use crate::snapshot::Name;
use crate::tree::{Kind, Place};

/// The largest weight of one cluster.
pub(crate) const WEIGHT_MAX: u32 = 1_000_000;

/// Clusters by name, with their weights, in file order.
#[derive(Clone, Debug)]
pub(crate) struct To {
    pub(crate) at: At,
    pub(crate) clusters: Vec<(At, Name, u32)>,
}

impl Value for To {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        let at = reader.at(place);
        match place.kind() {
            Kind::Plain | Kind::Quoted => Some(Self { at, clusters: vec![(at, reader.scalar(place)?, 1)] }),
            Kind::List => {
                reader.reject(at, "a cluster's name or a map of names and weights is expected here, as in { web-v1: 95, web-v2: 5 }");
                None
            }
            Kind::Map => {
                let clusters = place.children().filter_map(|child| {
                    let name: Option<Name> = reader.parse_key(child);
                    let weight: Option<Number<0, WEIGHT_MAX>> = reader.scalar(child);
                    Some((reader.at(child), name?, weight?.0))
                });
                let to = Self { at, clusters: clusters.collect() };
                to.has_weight(reader, place).then_some(to)
            }
        }
    }

    fn shape() -> Shape {
        let weights = json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "type": "integer", "minimum": 0, "maximum": WEIGHT_MAX },
        });
        match <Name as Scalar>::allowed() {
            Shape::Inline(name) => Shape::Inline(json!({ "anyOf": [name, weights] })),
            other @ (Shape::List(_) | Shape::Map(..) | Shape::Or(..) | Shape::Record(_)) => other,
        }
    }

    fn show(&self) -> Option<Shown> {
        let entries = self.clusters.iter().map(|(_, name, weight)| (name.to_string(), Shown::Literal(weight.to_string())));
        Some(Shown::Map(entries.collect()))
    }
}

impl To {
    fn has_weight(&self, reader: &mut Reader<'_>, place: Place<'_>) -> bool {
        let total: u64 = self.clusters.iter().map(|(_, _, weight)| u64::from(*weight)).sum();
        let wrong = match total {
            0 if place.children().next().is_none() => "at least one cluster is expected here",
            // A weight that was refused has been told of already.
            0 if self.clusters.len() < place.children().count() => return false,
            0 => "the weights are all 0; at least one has to be more",
            _ if total > u64::from(u32::MAX) => "the weights add up to more than 4294967295",
            _ => return true,
        };
        reader.reject(self.at, wrong);
        false
    }
}

//! What holds other values: lists, maps, fields that may be absent, values that remember where they stood.

use core::ops::{Deref, DerefMut};

use crate::read::{At, Reader, Scalar, Value};
use crate::shape::{Shape, Shown};
use crate::tree::Place;

/// A value and where it stood.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) at: At,
    pub(crate) value: T,
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Located<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Value> Value for Located<T> {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        Some(Self { at: reader.at(place), value: T::read(reader, place)? })
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn show(&self) -> Option<Shown> {
        self.value.show()
    }
}

impl<T: Value> Value for Option<T> {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        T::read(reader, place).map(Some)
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn show(&self) -> Option<Shown> {
        self.as_ref().and_then(T::show)
    }
}

/// A list. Items that were refused are left out, so that the others are looked at all the same.
impl<T: Value> Value for Vec<T> {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        reader.expect_list(place)?;
        Some(place.children().filter_map(|child| T::read(reader, child)).collect())
    }

    fn shape() -> Shape {
        Shape::List(T::shape)
    }

    fn show(&self) -> Option<Shown> {
        Some(Shown::List(self.iter().filter_map(T::show).collect()))
    }
}

/// A map in file order.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    pub(crate) entries: Vec<Entry<K, V>>,
    /// Keys whose value was refused: they exist all the same.
    pub(crate) refused: Vec<K>,
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) at: At,
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), refused: Vec::new() }
    }
}

impl<K: Scalar, V: Value> Value for Map<K, V> {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        reader.expect_map(place, "a map is expected here, as in { name: ... }")?;
        let mut map = Self::default();
        for child in place.children() {
            let key = reader.parse_key(child);
            match (key, V::read(reader, child)) {
                (Some(key), Some(value)) => map.entries.push(Entry { at: reader.at(child), key, value }),
                (Some(key), None) => map.refused.push(key),
                (None, _) => {}
            }
        }
        Some(map)
    }

    fn shape() -> Shape {
        Shape::Map(K::allowed, V::shape)
    }

    fn show(&self) -> Option<Shown> {
        let entries = self.entries.iter().filter_map(|entry| {
            let (Shown::Text(key) | Shown::Literal(key)) = entry.key.shown() else { return None };
            Some((key, entry.value.show()?))
        });
        Some(Shown::Map(entries.collect()))
    }
}

/// A value that need not be read when it is known to be as it was; see [`Reader::lazy`].
#[derive(Clone, Debug)]
pub(crate) struct Lazy<T> {
    pub(crate) at: At,
    value: Option<T>,
}

impl<T: Value> Lazy<T> {
    /// The value, if it was read already.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    /// The value, read now if it was not before; `None` when it was refused.
    pub(crate) fn take(&mut self, reader: &mut Reader<'_>) -> Option<T> {
        self.value.take().or_else(|| reader.read_at(self.at))
    }
}

impl<T: Value> Value for Lazy<T> {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        let value = if reader.is_lazy() { None } else { Some(T::read(reader, place)?) };
        Some(Self { at: reader.at(place), value })
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn show(&self) -> Option<Shown> {
        self.value.as_ref().and_then(T::show)
    }
}

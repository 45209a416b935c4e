//! The one table: a record is written down once, and its type, reader, printer and schema come from that.

/// Declares a record. Each field: what it is for, its name (its key, unless `["key"]` follows), its type, and its default
/// unless it is required. `sugar(field)` says what a scalar in the record's place means, `later("key")` which keys are
/// known but not built yet, `extensible` that `x-*` keys are free, `[default]` that every field has a default.
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        $(sugar($sugar:ident))? $(later($($later:literal),+))? $(extensible($extensible:literal))?
        struct $name:ident $([$default_of:ident])? {
            $($(#[doc = $field_about:literal])+ $field:ident $([$key:literal])? : $type:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $($(#[doc = $field_about])+ pub(crate) $field: $type,)*
        }

        impl $name {
            const RECORD: &'static $crate::shape::Record = &$crate::shape::Record {
                name: stringify!($name),
                about: concat!($($about),+),
                sugar: record!(@optional $(stringify!($sugar))?),
                is_extensible: record!(@flag $($extensible)?),
                fields: &[$($crate::shape::Field {
                    key: record!(@key $field $($key)?),
                    about: concat!($($field_about),+),
                    shape: <$type as $crate::read::Value>::shape,
                    default: record!(@default $type $(, $default)?),
                }),*],
            };
        }

        record!(@default_of [$($default_of)?] $name { $($field: ($($default)?),)* });

        impl $crate::read::Value for $name {
            fn read(reader: &mut $crate::read::Reader<'_>, place: $crate::tree::Place<'_>) -> Option<Self> {
                const KEYS: &[&str] = &[$(record!(@key $field $($key)?)),*];
                const LATER: &[&str] = &[$($($later),+)?];
                $(let mut $field: Option<Option<$type>> = None;)*
                if $crate::read::is_sugar(place, Self::RECORD.sugar) {
                    $($sugar = Some($crate::read::Value::read(reader, place));)?
                } else {
                    reader.expect_record(place, Self::RECORD.sugar)?;
                }
                for child in place.children() {
                    let key = child.key();
                    $(if key == record!(@key $field $($key)?) {
                        $field = Some($crate::read::Value::read(reader, child));
                        continue;
                    })*
                    if !(Self::RECORD.is_extensible && key.starts_with("x-")) {
                        reader.unknown_key(child, KEYS, LATER);
                    }
                }
                $(let $field: Option<$type> = record!(@settle reader, place, record!(@key $field $($key)?), $field $(, $default)?);)*
                Some(Self { $($field: $field?),* })
            }

            fn shape() -> $crate::shape::Shape {
                $crate::shape::Shape::Record(Self::RECORD)
            }

            fn show(&self) -> Option<$crate::shape::Shown> {
                let fields: Vec<(&str, Option<$crate::shape::Shown>)> =
                    vec![$((record!(@key $field $($key)?), $crate::read::Value::show(&self.$field))),*];
                let shown = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
                Some($crate::shape::Shown::Map(shown.collect()))
            }
        }
    };

    (@default_of [] $name:ident $fields:tt) => {};
    (@default_of [default] $name:ident { $($field:ident: ($default:expr),)* }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@optional) => { None };
    (@optional $value:expr) => { Some($value) };
    (@flag) => { false };
    (@flag $value:literal) => { $value };
    (@default $type:ty) => { None };
    (@default $type:ty, $default:expr) => {
        Some(|| {
            let default: $type = $default;
            $crate::read::Value::show(&default)
        })
    };
    (@settle $reader:ident, $place:ident, $key:expr, $slot:ident) => {
        $slot.unwrap_or_else(|| {
            $reader.missing_key($reader.at($place), $key);
            None
        })
    };
    (@settle $reader:ident, $place:ident, $key:expr, $slot:ident, $default:expr) => {
        $slot.flatten().or_else(|| Some($default))
    };
}

/// Declares the words of a choice: the enum it means, and for each word its variant.
macro_rules! choice {
    ($visibility:vis $type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::read::Scalar for $type {
            fn parse(text: &str, _: &$crate::read::Context<'_>) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::read::no_such_word(text, &[$($word),+])),
                }
            }

            fn allowed() -> $crate::shape::Shape {
                $crate::shape::Shape::Inline(serde_json::json!({ "enum": [$($word),+] }))
            }

            fn shown(&self) -> $crate::shape::Shown {
                $crate::shape::Shown::Text(self.as_str().to_owned())
            }
        }

        impl $type {
            #[allow(clippy::allow_attributes, unreachable_pub, reason = "some of these types are public, some are not")]
            /// The word for it.
            $visibility fn as_str(&self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

pub(crate) use {choice, record};

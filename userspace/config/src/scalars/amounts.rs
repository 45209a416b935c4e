//! Amounts: lengths of time, sizes, counts.

use core::time::Duration;

use serde_json::json;

use crate::read::{Context, Scalar};
use crate::shape::{Shape, Shown};

/// A length of time above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// A length of time above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit(pub(crate) Option<Duration>);

/// A number of bytes above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<const MAX: u64>(pub(crate) u64);

/// A number of bytes above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeLimit(pub(crate) Option<u64>);

/// A count above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountLimit(pub(crate) Option<u32>);

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(pub(crate) u32);

const TIME_UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];
const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("KB", 1_000), ("B", 1)];
const TIME_PATTERN: &str = "^[0-9]+(us|ms|s|m|h)$";
const SIZE_PATTERN: &str = "^[0-9]+(B|KB|KiB|MB|MiB|GB|GiB)$";

/// A whole number with one of some units, above 0.
fn with_unit(text: &str, units: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let allowed = || units.iter().rev().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Some((_, factor)) = units.iter().find(|(known, _)| *known == unit) else {
        return Err(format!("{text:?} is no {what}: a whole number and one of the units {} is expected", allowed()));
    };
    let number: u64 = number.parse().ok().ok_or_else(|| format!("{text:?} is no {what}: a whole number has to come first"))?;
    match number.checked_mul(*factor) {
        Some(0) => Err(format!("a {what} of 0 is not allowed; where no limit is allowed, that is written none")),
        Some(amount) if amount <= u64::MAX / 1_000 => Ok(amount),
        _ => Err(format!("{text:?} is too large for a {what}")),
    }
}

/// The largest unit that gives a whole number.
fn show_with_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units.iter().find(|(_, factor)| amount.is_multiple_of(*factor)).unwrap_or(&("", 1));
    format!("{}{unit}", amount / factor)
}

pub(super) fn show_time(time: Duration) -> String {
    show_with_unit(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), &TIME_UNITS)
}

impl Scalar for Period {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        with_unit(text, &TIME_UNITS, "length of time").map(|micros| Self(Duration::from_micros(micros)))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": TIME_PATTERN }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(show_time(self.0))
    }
}

impl Scalar for TimeLimit {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { Period::parse(text, context).map(|period| Self(Some(period.0))) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": format!("^none$|{TIME_PATTERN}") }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.map_or_else(|| "none".to_owned(), show_time))
    }
}

impl<const MAX: u64> Scalar for Size<MAX> {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let bytes = with_unit(text, &SIZE_UNITS, "size")?;
        if bytes <= MAX { Ok(Self(bytes)) } else { Err(format!("{text:?} is too large: at most {MAX}B are allowed here")) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": SIZE_PATTERN }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(show_with_unit(self.0, &SIZE_UNITS))
    }
}

impl Scalar for SizeLimit {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { with_unit(text, &SIZE_UNITS, "size").map(|bytes| Self(Some(bytes))) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": format!("^none$|{SIZE_PATTERN}") }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.map_or_else(|| "none".to_owned(), |bytes| show_with_unit(bytes, &SIZE_UNITS)))
    }
}

/// Digits only: no sign, no point, no exponent, no leading 0 that some would read as octal.
pub(super) fn whole_number(text: &str, range: core::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = (is_digits && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX));
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        _ if range.start() == range.end() => Err(format!("{text:?} is not {}, the only number allowed here", range.start())),
        _ => Err(format!("{text:?} is no whole number from {} to {}", range.start(), range.end())),
    }
}

impl<const MIN: u32, const MAX: u32> Scalar for Number<MIN, MAX> {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        whole_number(text, MIN..=MAX).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "integer", "minimum": MIN, "maximum": MAX }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.to_string())
    }
}

const COUNT_MAX: u32 = 1_000_000_000;

impl Scalar for CountLimit {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        whole_number(text, 1..=COUNT_MAX).map(|count| Self(Some(count))).map_err(|error| error + ", or none")
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "anyOf": [{ "const": "none" }, { "type": "integer", "minimum": 1, "maximum": COUNT_MAX }] }))
    }

    fn shown(&self) -> Shown {
        self.0.map_or_else(|| Shown::Text("none".to_owned()), |count| Shown::Literal(count.to_string()))
    }
}

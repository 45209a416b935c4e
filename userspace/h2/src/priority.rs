//! Extensible priorities (RFC 9218): `u=0..7, i`, from the Priority field or a `PRIORITY_UPDATE`. What cannot be read counts for nothing.

/// How urgent a stream's data is, and whether a part of it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Urgency {
    /// 0 comes first, 7 last.
    pub(crate) level: u8,
    /// Whether equals take turns. Without a signal they do: that is fair to clients that never heard of priorities.
    pub(crate) incremental: bool,
}

impl Urgency {
    pub(crate) const DEFAULT: Self = Self { level: 3, incremental: true };

    /// Reads a Priority field's value; parameters that it does not name have their defaults (RFC 9218 §4).
    pub(crate) fn parse(value: &[u8]) -> Self {
        let mut urgency = Self { incremental: false, ..Self::DEFAULT };
        for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let item = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
            match item {
                [b'u', b'=', digit @ b'0'..=b'7'] => urgency.level = digit - b'0',
                b"i" | b"i=?1" => urgency.incremental = true,
                b"i=?0" => urgency.incremental = false,
                _ => {}
            }
        }
        urgency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (value, level, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=1", 1, true),
            ("i=?0", 3, false),
            ("i=?1;x=2", 3, true),
            ("u=8", 3, false),
            ("u=-1, i=1", 3, false),
            ("u=5;a, z=\"u=1\", u=2", 2, false),
            ("u=\"5\"", 3, false),
        ] {
            assert_eq!(Urgency::parse(value.as_bytes()), Urgency { level, incremental }, "{value}");
        }
    }
}

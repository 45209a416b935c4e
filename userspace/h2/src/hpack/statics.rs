//! The fields both sides know from the start (RFC 7541 appendix A), found by name without a search: length, first, middle and last byte make a
//! number that no two of the names share, which the compiler checks.
#![expect(clippy::indexing_slicing, reason = "indices are checked at compile time or made by a remainder")]

/// How many there are; the dynamic table's first entry comes after them.
pub(crate) const COUNT: u32 = 61;

/// Names and values, the first being number 1.
static FIELDS: [(&str, &str); COUNT as usize] = FIELDS_OF_THE_RFC;

const FIELDS_OF_THE_RFC: [(&str, &str); COUNT as usize] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

const PLACES_COUNT: usize = 256;

/// By its number the first field of a name, or 0.
static PLACES: [u8; PLACES_COUNT] = places();

/// Field `index`, counted from 1.
pub(crate) fn get(index: u32) -> Option<(&'static [u8], &'static [u8])> {
    let (name, value) = FIELDS.get(index.checked_sub(1)? as usize)?;
    Some((name.as_bytes(), value.as_bytes()))
}

/// The first field of that name, counted from 1; 0 when there is none.
pub(crate) fn find_name(name: &[u8]) -> u32 {
    let [first, .., last] = name else { return 0 };
    let place = PLACES[number(name.len(), *first, name[name.len() / 2], *last)];
    match get(u32::from(place)) {
        Some((found, _)) if found == name => u32::from(place),
        _ => 0,
    }
}

/// The field of that value among those that share the name of field `first`, counted from 1.
pub(crate) fn find_value(first: u32, value: &[u8]) -> Option<u32> {
    let (name, _) = get(first)?;
    (first..=COUNT)
        .map_while(|index| get(index).map(|field| (index, field)))
        .take_while(|(_, field)| field.0 == name)
        .find_map(|(index, field)| (!field.1.is_empty() && field.1 == value).then_some(index))
}

const fn number(length: usize, first: u8, middle: u8, last: u8) -> usize {
    (length * 241 + first as usize * 107 + last as usize * 136 + middle as usize * 186) % PLACES_COUNT
}

const fn places() -> [u8; PLACES_COUNT] {
    let mut places = [0; PLACES_COUNT];
    let mut index = COUNT as usize;
    let mut last_name: &[u8] = &[];
    while index > 0 {
        let name = FIELDS_OF_THE_RFC[index - 1].0.as_bytes();
        let number = number(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        // Backwards, so that the first field of a name is what stays.
        assert!(places[number] == 0 || same(name, last_name), "two names share a number");
        #[expect(clippy::cast_possible_truncation, reason = "61 at most")]
        {
            places[number] = index as u8;
        }
        last_name = name;
        index -= 1;
    }
    places
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        for (index, (name, value)) in (1_u32..).zip(FIELDS) {
            let first = find_name(name.as_bytes());
            assert!(first <= index && get(first).unwrap().0 == name.as_bytes(), "{name}");
            assert_eq!(find_value(first, value.as_bytes()), (!value.is_empty()).then_some(index));
        }
        for name in ["", "x", "via2", "Via", "x-served-by", ":protocol"] {
            assert_eq!(find_name(name.as_bytes()), 0, "{name}");
        }
        assert_eq!(find_value(8, b"999"), None);
        assert_eq!((get(0), get(62)), (None, None));
        assert_eq!(get(61), Some((&b"www-authenticate"[..], &b""[..])));
    }
}

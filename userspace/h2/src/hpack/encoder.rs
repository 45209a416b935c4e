//! Fields to field sections. A field enters the table when it comes for the second time: what differs from message to message (identifiers,
//! dates of files, most paths) never pushes out what repeats, and a connection that says everything once keeps no table at all.

use alloc::vec::Vec;

use super::{
    TABLE_BYTES_DEFAULT, huffman, integer, statics,
    table::{Found, Table, cost},
};

/// Fields seen once, by hash: a repetition within about so many fields is recognised.
const SEEN: usize = 32;

/// A cookie shorter than this could be guessed by its effect on lengths (RFC 7541 §7.1.3), in bytes.
const COOKIE_BYTES_MIN: usize = 20;

/// The encoding side of a connection's compression.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// What we are willing to remember.
    limit: u32,
    /// The smallest size since the last block, when the table's size has changed.
    smallest: Option<u32>,
    seen: [u16; SEEN],
}

impl Encoder {
    /// An encoder that remembers up to `limit` bytes, if the peer allows it.
    pub(crate) fn new(limit: u32) -> Self {
        let mut encoder = Self { table: Table::default(), limit, smallest: None, seen: [0; SEEN] };
        encoder.set_peer_limit(TABLE_BYTES_DEFAULT);
        encoder
    }

    /// The peer's decoder remembers up to `limit` bytes; the next block says what we make of it (RFC 7541 §4.2).
    pub(crate) fn set_peer_limit(&mut self, limit: u32) {
        let size = limit.min(self.limit);
        if size != self.table.size_max() {
            self.smallest = Some(self.smallest.map_or(size, |smallest| smallest.min(size)));
            self.table.resize(size);
        }
    }

    /// Begins a block.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) {
        let Some(smallest) = self.smallest.take() else { return };
        let size = self.table.size_max();
        if smallest < size {
            integer::encode(out, 0x20, 5, smallest);
        }
        integer::encode(out, 0x20, 5, size);
    }

    /// Appends a field; its name is in lower case.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let known = statics::find_name(name);
        if let Some(index) = statics::find_value(known, value) {
            return integer::encode(out, 0x80, 7, index);
        }
        if is_secret(name, value) {
            literal(NEVER, known, (name, value), out);
            return;
        }
        let hash = mix(0, name);
        let index = match self.table.find(name, value, high(hash)) {
            Found::Field(index) => return integer::encode(out, 0x80, 7, statics::COUNT + 1 + index),
            _ if known != 0 => known,
            Found::Name(index) => statics::COUNT + 1 + index,
            Found::Nothing => 0,
        };
        // What would take more than a quarter of the table is not worth what it pushes out.
        if self.is_repeated(high(mix(hash, value))) && cost(name, value) <= self.table.size_max() / 4 {
            // Sent once and referred to often: worth the shorter code.
            literal(INSERT, index, (name, value), out);
            self.table.insert(name, value, high(hash));
        } else {
            literal(PLAIN, index, (name, value), out);
        }
    }

    /// Gives back memory that is not in use.
    pub(crate) fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Bytes of heap it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }

    fn is_repeated(&mut self, hash: u32) -> bool {
        let mark = u16::try_from(hash >> 16).unwrap_or_default() | 1;
        let Some(seen) = self.seen.get_mut(hash as usize % SEEN) else { return false };
        *seen == mark || {
            *seen = mark;
            false
        }
    }
}

/// Fields whose values must never be compressed together with what an attacker can choose (RFC 7541 §7.1.3).
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"authorization" | b"proxy-authorization" => true,
        b"cookie" => value.len() < COOKIE_BYTES_MIN,
        _ => false,
    }
}

/// How a literal begins, how many bits of that byte are left for the name's index, and whether its strings are worth the Huffman code.
struct Literal {
    pattern: u8,
    prefix: u32,
    coded: bool,
}

const INSERT: Literal = Literal { pattern: 0x40, prefix: 6, coded: true };
const PLAIN: Literal = Literal { pattern: 0, prefix: 4, coded: false };
const NEVER: Literal = Literal { pattern: 0x10, prefix: 4, coded: false };

fn literal(Literal { pattern, prefix, coded }: Literal, index: u32, field: (&[u8], &[u8]), out: &mut Vec<u8>) {
    integer::encode(out, pattern, prefix, index);
    if index == 0 {
        string(field.0, coded, out);
    }
    string(field.1, coded, out);
}

fn string(text: &[u8], coded: bool, out: &mut Vec<u8>) {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let short = if coded { huffman::length(text) } else { text.len() };
    if short < text.len() {
        integer::encode(out, 0x80, 7, length(short));
        huffman::encode(text, out);
    } else {
        integer::encode(out, 0, 7, length(text.len()));
        out.extend_from_slice(text);
    }
}

/// Quick, and good enough for what is compared by its bytes afterwards.
fn mix(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed ^ bytes.len() as u64, |hash, word| step(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| step(hash, u64::from(*byte)))
}

fn high(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Decoder, *};

    fn encode(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.start(&mut out);
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
        }
        out
    }

    fn decode(decoder: &mut Decoder, mut input: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        decoder.start(&mut input).unwrap();
        while !input.is_empty() {
            let mut block = Vec::new();
            let (name, _) = decoder.field(&mut input, &mut block, |_, _| true).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(&block[..name]), text(&block[name..])));
        }
        fields
    }

    #[test]
    fn what_repeats_becomes_one_byte() {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::default());
        let fields = [(":status", "200"), ("content-type", "text/html"), ("x-one", "1"), ("set-cookie", "a=b")];
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let block = encode(&mut encoder, &fields);
            sizes.push(block.len());
            let again = decode(&mut decoder, &block);
            assert_eq!(again.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), fields);
        }
        assert_eq!(sizes[2], 4, "{sizes:?}");
    }

    #[test]
    fn secrets_and_what_differs_stay_out_of_the_table() {
        let mut encoder = Encoder::new(4096);
        for round in 0..50 {
            encode(&mut encoder, &[("authorization", "Bearer x"), ("cookie", "id=1"), ("x-request-id", &format!("{round:032x}"))]);
        }
        assert_eq!(encoder.heap_bytes(), 0);
        assert_eq!(encode(&mut encoder, &[("authorization", "x")])[0] & 0xf0, 0x10, "never indexed");
    }

    #[test]
    fn the_peers_limit_is_honoured_and_said_first() {
        let mut encoder = Encoder::new(4096);
        encoder.set_peer_limit(100);
        encoder.set_peer_limit(50);
        encoder.set_peer_limit(200);
        assert_eq!(encode(&mut encoder, &[]), [0x3f, 50 - 31, 0x3f, 0x80 | ((200 - 31) & 0x7f), 1]);
        assert_eq!(encode(&mut encoder, &[]), []);
        encoder.set_peer_limit(1 << 20);
        let (mut decoder, fields) = (Decoder::default(), [("x-some", "value"), ("x-other", "value")]);
        for size in [4096, 70, 0, 1000, 0, 4096] {
            encoder.set_peer_limit(size);
            decoder.set_limit(size);
            for _ in 0..4 {
                let block = encode(&mut encoder, &fields);
                assert_eq!(decode(&mut decoder, &block).len(), 2, "{size}");
            }
        }
    }

    #[test]
    fn without_a_table_nothing_is_indexed() {
        let mut encoder = Encoder::new(0);
        let (first, _, third) =
            (encode(&mut encoder, &[("x-a", "b")]), encode(&mut encoder, &[("x-a", "b")]), encode(&mut encoder, &[("x-a", "b")]));
        assert_eq!(first[0], 0x20, "said once");
        assert_eq!(third, first[1..]);
    }
}

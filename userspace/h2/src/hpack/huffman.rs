//! The Huffman code of strings (RFC 7541 §5.2, appendix B). It is canonical, so its lengths are all of it; the tables are made from them when
//! this is compiled. Codes up to eight bits, which is nearly all there is, take one look; longer ones a short search by length.
#![expect(clippy::indexing_slicing, reason = "the tables are made at compile time, and indices are of bytes or bits counted")]

use alloc::vec::Vec;

use super::Broken;

/// Bits of each byte's code, and of the end's.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30, // the end of a string
];

/// The symbol that never stands in a string.
const END: usize = 256;

/// The longest code.
const LENGTH_MAX: usize = 30;

/// Each symbol's code, right-aligned.
static CODES: [u32; 257] = codes();

/// By the next eight bits: the byte and the length of its code; no length when the code is longer.
static SHORT: [(u8, u8); 256] = short();

/// By length: the codes of that length end below this, left-aligned in 32 bits; and what to add to a code for its place in [`SORTED`].
static ENDS: [(u64, u32); LENGTH_MAX + 1] = ends();

/// The symbols by length and value.
static SORTED: [u16; 257] = sorted();

/// Appends what `input` encodes to `out`.
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut rest = input;
    let (mut bits, mut count) = (0_u64, 0_u32); // the next bits, left-aligned
    loop {
        if count < 32 {
            if let Some((word, after)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - count);
                (count, rest) = (count + 32, after);
            } else if let [byte, after @ ..] = rest {
                bits |= u64::from(*byte) << (56 - count);
                (count, rest) = (count + 8, after);
                continue;
            }
        }
        let (symbol, length) = next(bits);
        if length > count || count == 0 {
            break;
        }
        out.push(u8::try_from(symbol).map_err(|_end| Broken)?);
        bits <<= length;
        count -= length;
    }
    // What is left is padding: less than a byte, all ones (RFC 7541 §5.2).
    let padding = if count == 0 { 0 } else { !bits >> (64 - count) };
    if count < 8 && padding == 0 { Ok(()) } else { Err(Broken) }
}

/// The symbol at the front of `bits` and the length of its code.
#[inline]
fn next(bits: u64) -> (u16, u32) {
    let (symbol, length) = SHORT[(bits >> 56) as usize];
    if length > 0 {
        return (u16::from(symbol), u32::from(length));
    }
    let front = bits >> 32;
    let mut length = 9;
    while length < LENGTH_MAX && front >= ENDS[length].0 {
        length += 1;
    }
    let code = u32::try_from(front >> (32 - length)).unwrap_or(u32::MAX);
    let place = code.wrapping_add(ENDS[length].1) as usize;
    (SORTED[place % SORTED.len()], u32::try_from(length).unwrap_or(u32::MAX))
}

/// Bytes that `text` takes when encoded.
pub(crate) fn length(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum::<usize>().div_ceil(8)
}

/// Appends `text`, encoded.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0_u32); // right-aligned
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODES[usize::from(*byte)]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count).to_le_bytes()[0]);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)).to_le_bytes()[0] | 0xff >> count);
    }
}

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let (mut code, mut length) = (0_u32, 1);
    while length <= LENGTH_MAX {
        let mut symbol = 0;
        while symbol <= END {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes
}

const fn sorted() -> [u16; 257] {
    let mut sorted = [0; 257];
    let (mut place, mut length) = (0, 1);
    while length <= LENGTH_MAX {
        let mut symbol: u16 = 0;
        while symbol as usize <= END {
            if LENGTHS[symbol as usize] as usize == length {
                sorted[place] = symbol;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    sorted
}

const fn ends() -> [(u64, u32); LENGTH_MAX + 1] {
    let mut ends = [(0, 0); LENGTH_MAX + 1];
    let (mut code, mut place, mut length) = (0_u32, 0_u32, 1);
    while length <= LENGTH_MAX {
        let first = code;
        let mut symbol = 0;
        while symbol <= END {
            if LENGTHS[symbol] as usize == length {
                code += 1;
            }
            symbol += 1;
        }
        ends[length] = ((code as u64) << (32 - length), place.wrapping_sub(first));
        place += code - first;
        code <<= 1;
        length += 1;
    }
    ends
}

#[expect(clippy::cast_possible_truncation, reason = "a symbol below 256, a length below 9")]
const fn short() -> [(u8, u8); 256] {
    let codes = codes();
    let mut short = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < END {
        let length = LENGTHS[symbol];
        if length <= 8 {
            let first = (codes[symbol] as usize) << (8 - length);
            let mut fill = 0;
            while fill < 1 << (8 - length) {
                short[first + fill] = (symbol as u8, length);
                fill += 1;
            }
        }
        symbol += 1;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (symbol, code, length) in [
            (0, 0x1ff8, 13),
            (usize::from(b' '), 0x14, 6),
            (usize::from(b'0'), 0x0, 5),
            (usize::from(b':'), 0x5c, 7),
            (usize::from(b'\\'), 0x7fff0, 19),
            (usize::from(b'z'), 0x7b, 7),
            (127, 0x0fff_fffc, 28),
            (161, 0x001f_ffdd, 21),
            (203, 0x07ff_ffde, 27),
            (249, 0x0fff_fffe, 28),
            (255, 0x03ff_ffee, 26),
            (END, 0x3fff_ffff, 30),
        ] {
            assert_eq!((CODES[symbol], LENGTHS[symbol]), (code, length), "{symbol}");
        }
        let filled: u64 = LENGTHS.iter().map(|length| 1 << (LENGTH_MAX - usize::from(*length))).sum();
        assert_eq!(filled, 1 << LENGTH_MAX, "every string of bits is some code's beginning");
    }

    #[test]
    fn every_byte_survives_in_every_place() {
        for before in 0..9 {
            for byte in 0..=255_u8 {
                let text = [&b"0000000000"[..before], &[byte, b'a', byte, b'z']].concat();
                let mut encoded = Vec::new();
                encode(&text, &mut encoded);
                assert_eq!(encoded.len(), length(&text));
                assert_eq!(decoded(&encoded), Ok(text));
            }
        }
    }

    #[test]
    fn padding_is_strict() {
        for (input, expect) in [
            (&[][..], Ok(&b""[..])),
            (&[0x1f], Ok(b"a")),
            (&[0x1e], Err(Broken)),       // padded with a zero
            (&[0x1f, 0xff], Err(Broken)), // a whole byte of padding
            (&[0xff], Err(Broken)),
            (&[0xff, 0xff, 0xff, 0xff], Err(Broken)), // the end, and two bits more
            (&[0xff, 0xff, 0xff, 0xfc], Err(Broken)), // the end
            (&[0x53, 0xf8], Ok(b" !")),
            (&[0x53, 0xf0], Err(Broken)),
            (&[0xf9], Ok(b"*")),
            (&[0xfe], Err(Broken)),
            (&[0xf8], Ok(b"&")),
        ] {
            assert_eq!(decoded(input), expect.map(<[u8]>::to_vec), "{input:x?}");
        }
    }
}

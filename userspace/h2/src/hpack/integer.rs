//! Integers with a prefix (RFC 7541 §5.1): as many bits as are left in a byte, then seven a byte, the lowest first.

use alloc::vec::Vec;

use super::Broken;

/// Reads an integer whose prefix is the lowest `prefix` bits (1 to 8) of the first byte. Above 2^28 nothing of ours can be meant.
pub(crate) fn decode(input: &mut &[u8], prefix: u32) -> Result<u32, Broken> {
    let (first, mut rest) = input.split_first().ok_or(Broken)?;
    let mask = 0xff_u32 >> (8 - prefix);
    let mut value = u32::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first().ok_or(Broken)?;
            rest = after;
            value += (u32::from(*byte) & 0x7f) << shift;
            if *byte < 0x80 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(Broken);
            }
        }
    }
    *input = rest;
    Ok(value)
}

/// Writes an integer behind the bits of `pattern`, in the lowest `prefix` bits of its byte.
pub(crate) fn encode(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: u32) {
    let mask = 0xff_u32 >> (8 - prefix);
    if value < mask {
        out.push(pattern | low(value));
        return;
    }
    out.push(pattern | low(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

fn low(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        // RFC 7541 C.1, and the ends.
        for (prefix, value, bytes) in [
            (5, 10, &[0x0a][..]),
            (5, 1337, &[0x1f, 0x9a, 0x0a]),
            (8, 42, &[0x2a]),
            (5, 30, &[0x1e]),
            (5, 31, &[0x1f, 0x00]),
            (7, 127, &[0x7f, 0x00]),
            (8, 255 + 128, &[0xff, 0x80, 0x01]),
            (4, 15 + 0x0fff_ffff, &[0x0f, 0xff, 0xff, 0xff, 0x7f]),
        ] {
            let mut out = Vec::new();
            encode(&mut out, 0, prefix, value);
            assert_eq!(out, bytes, "{value}");
            let mut input = bytes;
            assert_eq!(decode(&mut input, prefix), Ok(value));
            assert!(input.is_empty());
        }
        for bytes in [&[][..], &[0x1f], &[0x1f, 0x80], &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x01], &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00]] {
            assert_eq!(decode(&mut &bytes[..], 5), Err(Broken), "{bytes:?}");
        }
    }
}

//! Hashes that are the same on every node and in every version: what a table looks like hangs on them.

/// Spreads a number over all its bits (the end of splitmix64; Steele, Lea, Flood 2014).
pub(crate) const fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The same for bytes: no two names of one length collide by their order.
pub(crate) fn mix_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let start = mix(seed ^ bytes.len() as u64);
    bytes.iter().fold(start, |hash, &byte| mix(hash ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_what_they_were() {
        // Nodes of two versions stand side by side: another value here is another table there.
        for (seed, bytes, expect) in [
            (0, "", 0xe220_a839_7b1d_cdaf),
            (0, "a", 0x5e02_5f9a_de9e_af3e),
            (1, "a", 0x8fcc_9d57_ed83_f50d),
            (0, "10.0.0.1:443", 0x2cff_852f_c343_8bc1),
        ] {
            assert_eq!(mix_bytes(seed, bytes.as_bytes()), expect, "{seed} {bytes}");
        }
    }
}

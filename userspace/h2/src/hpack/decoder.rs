//! Field sections to fields. Each field's bytes are appended to the block of the head they belong to: there is no other copy, but the one the
//! dynamic table keeps.

use alloc::vec::Vec;

use super::{Broken, TABLE_BYTES_DEFAULT, huffman, integer, statics, table::Table};

/// The decoding side of a connection's compression.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// The table size our settings allow, once the peer knows them.
    limit: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::default(), limit: TABLE_BYTES_DEFAULT }
    }
}

impl Decoder {
    /// The peer has acknowledged this size. When it is smaller than the table is, the next block must begin by saying so (RFC 7541 §4.2).
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Reads the size updates at the beginning of a block, the only place they may stand in.
    pub(crate) fn start(&mut self, input: &mut &[u8]) -> Result<(), Broken> {
        while input.first().is_some_and(|byte| byte & 0xe0 == 0x20) {
            let size = integer::decode(input, 5)?;
            if size > self.limit {
                return Err(Broken);
            }
            self.table.resize(size);
        }
        if self.table.size_max() > self.limit { Err(Broken) } else { Ok(()) }
    }

    /// Takes the next field off `input` and appends its name and value to `block`; gives the name's length, and whether the field is fair.
    /// What `is_fair` says of a field is remembered with it, so that what comes again is not looked at again.
    pub(crate) fn field(
        &mut self,
        input: &mut &[u8],
        block: &mut Vec<u8>,
        is_fair: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<(usize, bool), Broken> {
        let first = *input.first().ok_or(Broken)?;
        let start = block.len();
        if first & 0x80 != 0 {
            let index = integer::decode(input, 7)?;
            let (name, value) = self.get(index)?;
            block.extend_from_slice(name);
            block.extend_from_slice(value);
            let fair = index.checked_sub(statics::COUNT + 1).is_none_or(|index| self.table.mark(index) != 0);
            return Ok((name.len(), fair));
        }
        let insert = first & 0x40 != 0;
        if !insert && first & 0x20 != 0 {
            return Err(Broken); // a size update behind a field
        }
        let index = integer::decode(input, if insert { 6 } else { 4 })?;
        if index == 0 {
            string(input, block)?;
        } else {
            block.extend_from_slice(self.get(index)?.0);
        }
        let middle = block.len();
        string(input, block)?;
        let (name, value) = block.get(start..).and_then(|field| field.split_at_checked(middle - start)).ok_or(Broken)?;
        let fair = is_fair(name, value);
        if insert {
            self.table.insert(name, value, u32::from(fair));
        }
        Ok((name.len(), fair))
    }

    /// Gives back memory that is not in use.
    pub(crate) fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Bytes of heap it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }

    /// The one address space of both tables (RFC 7541 §2.3.3).
    fn get(&self, index: u32) -> Result<(&[u8], &[u8]), Broken> {
        match index.checked_sub(statics::COUNT + 1) {
            None => statics::get(index),
            Some(index) => self.table.get(index),
        }
        .ok_or(Broken)
    }
}

/// Appends a string (RFC 7541 §5.2). Its length is bounded by the input's.
fn string(input: &mut &[u8], block: &mut Vec<u8>) -> Result<(), Broken> {
    let coded = input.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer::decode(input, 7)? as usize;
    let (text, rest) = input.split_at_checked(length).ok_or(Broken)?;
    *input = rest;
    if coded {
        return huffman::decode(text, block);
    }
    block.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn decode(decoder: &mut Decoder, hex: &str) -> String {
        let input = bytes(hex);
        let (mut input, mut lines) = (&input[..], Vec::new());
        if decoder.start(&mut input).is_err() {
            return "broken".into();
        }
        while !input.is_empty() {
            let mut block = Vec::new();
            match decoder.field(&mut input, &mut block, |_, _| true) {
                Ok((name, true)) => lines.push(format!("{}: {}", block[..name].escape_ascii(), block[name..].escape_ascii())),
                Ok((_, false)) | Err(Broken) => lines.push("broken".into()),
            }
            if lines.last().unwrap() == "broken" {
                break;
            }
        }
        lines.join("; ")
    }

    const REQUESTS: [&str; 3] = [
        ":method: GET; :scheme: http; :path: /; :authority: www.example.com",
        ":method: GET; :scheme: http; :path: /; :authority: www.example.com; cache-control: no-cache",
        ":method: GET; :scheme: https; :path: /index.html; :authority: www.example.com; custom-key: custom-value",
    ];

    const RESPONSES: [&str; 3] = [
        ":status: 302; cache-control: private; date: Mon, 21 Oct 2013 20:13:21 GMT; location: https://www.example.com",
        ":status: 307; cache-control: private; date: Mon, 21 Oct 2013 20:13:21 GMT; location: https://www.example.com",
        ":status: 200; cache-control: private; date: Mon, 21 Oct 2013 20:13:22 GMT; location: https://www.example.com; \
         content-encoding: gzip; set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];

    #[test]
    fn the_examples_of_the_rfc() {
        for (name, size, blocks, expect) in [
            (
                "C.3",
                4096,
                [
                    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    "8286 84be 5808 6e6f 2d63 6163 6865",
                    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                ],
                REQUESTS,
            ),
            (
                "C.4",
                4096,
                [
                    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                    "8286 84be 5886 a8eb 1064 9cbf",
                    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                ],
                REQUESTS,
            ),
            (
                "C.5",
                256,
                [
                    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e \
                     1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    "4803 3330 37c1 c0bf",
                    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 \
                     444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e \
                     3d31",
                ],
                RESPONSES,
            ),
            (
                "C.6",
                256,
                [
                    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 \
                     e9ae 82ae 43d3",
                    "4883 640e ffc1 c0bf",
                    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b \
                     3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                ],
                RESPONSES,
            ),
        ] {
            let mut decoder = Decoder::default();
            decoder.table.resize(size);
            for (block, expect) in blocks.iter().zip(expect) {
                assert_eq!(decode(&mut decoder, block), expect, "{name}");
            }
        }
    }

    #[test]
    fn sections() {
        for (what, blocks, expect) in [
            (
                "C.2.1 inserted",
                &["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "be"][..],
                "custom-key: custom-header",
            ),
            ("C.2.2 not inserted", &["040c 2f73 616d 706c 652f 7061 7468", "be"], "broken"),
            ("C.2.3 never inserted", &["1008 7061 7373 776f 7264 0673 6563 7265 74", "be"], "broken"),
            ("2.3.3 index 0", &["80"], "broken"),
            ("2.3.3 beyond both tables", &["be"], "broken"),
            ("2.3.3 a name beyond both tables", &["7e 0161"], "broken"),
            ("4.2 an update beyond the limit", &["3fe2 1f"], "broken"),
            ("4.2 an update up to the limit", &["3fe1 1f 82"], ":method: GET"),
            ("4.2 two updates", &["20 3fe1 1f 82"], ":method: GET"),
            ("4.2 an update empties the table", &["4001 6101 62", "20", "be"], "broken"),
            ("4.2 an update behind a field", &["82 20"], ":method: GET; broken"),
            ("5.2 a string beyond the block", &["4003 6161"], "broken"),
            ("5.2 no value", &["4001 61"], "broken"),
            ("6.1 cut off", &["ff"], "broken"),
        ] {
            let mut decoder = Decoder::default();
            let last = blocks.iter().map(|block| decode(&mut decoder, block)).last().unwrap();
            assert_eq!(last, expect, "{what}");
        }
    }

    #[test]
    fn what_was_thought_of_a_field_is_remembered() {
        let mut decoder = Decoder::default();
        for (block, asked, fair) in
            [("4001 6101 62", true, false), ("be", false, false), ("4001 6301 62", true, true), ("be", false, true), ("82", false, true)]
        {
            let (input, mut was_asked) = (bytes(block), false);
            let answer = decoder.field(&mut &input[..], &mut Vec::new(), |name, _| {
                was_asked = true;
                name != b"a"
            });
            assert_eq!((answer.unwrap().1, was_asked), (fair, asked), "{block}");
        }
    }

    #[test]
    fn a_smaller_limit_must_be_confirmed() {
        for (blocks, expect) in [
            ("82", "broken"),
            ("3f46 82", "broken"),
            ("3f45 82", ":method: GET"),
            ("20 82", ":method: GET"),
            ("20 3f45 82", ":method: GET"),
        ] {
            let mut decoder = Decoder::default();
            decoder.set_limit(100);
            assert_eq!(decode(&mut decoder, blocks), expect, "{blocks}");
        }
    }
}

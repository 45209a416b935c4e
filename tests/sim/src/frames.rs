//! HTTP/2 frames byte by byte (RFC 9113 §4.1): written by hosts that say what no codec of ours would, and counted as they come.

/// DATA.
pub const DATA: u8 = 0;
/// HEADERS.
pub const HEADERS: u8 = 1;
/// PRIORITY.
pub const PRIORITY: u8 = 2;
/// `RST_STREAM`.
pub const RESET: u8 = 3;
/// SETTINGS.
pub const SETTINGS: u8 = 4;
/// `PUSH_PROMISE`.
pub const PUSH: u8 = 5;
/// PING.
pub const PING: u8 = 6;
/// GOAWAY.
pub const GOAWAY: u8 = 7;
/// `WINDOW_UPDATE`.
pub const WINDOW_UPDATE: u8 = 8;
/// CONTINUATION.
pub const CONTINUATION: u8 = 9;
/// Of an extension that nobody speaks.
pub const UNKNOWN: u8 = 0x22;

/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the test's frames are small");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// One setting.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A GOAWAY.
pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// Fields that enter no table (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("the test's fields are short"));
            bytes.extend(text.bytes());
        }
    }
    bytes
}

/// What came on a connection, counted.
#[derive(Debug, Default)]
pub struct Tally {
    head: Vec<u8>,
    /// Of the payload being received.
    left: usize,
    payload: Vec<u8>,
    /// Acknowledged SETTINGS.
    pub settings: u32,
    /// Acknowledged PINGs.
    pub pings: u32,
    /// What the last of them said.
    pub last_ping: Vec<u8>,
    /// The codes of GOAWAYs.
    pub goaways: Vec<u32>,
}

impl Tally {
    /// More bytes have come.
    pub fn count(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { HEAD_BYTES - self.head.len() };
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.payload.extend_from_slice(piece);
                self.left -= piece.len();
            } else {
                self.head.extend_from_slice(piece);
                if self.head.len() < HEAD_BYTES {
                    return;
                }
                self.left = self.head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            }
            if self.left == 0 {
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        match (self.head[3], self.head[4] & ACK) {
            (SETTINGS, ACK) => self.settings += 1,
            (PING, ACK) => {
                self.pings += 1;
                self.last_ping.clone_from(&self.payload);
            }
            (GOAWAY, _) => self.goaways.extend(self.payload.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes)),
            _ => {}
        }
        self.head.clear();
        self.payload.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_any_pieces_is_counted() {
        let bytes = [frame(SETTINGS, ACK, 0, b""), frame(DATA, 0, 1, &[7; 300]), goaway(3, 11), frame(PING, ACK, 0, b"12345678")].concat();
        for piece in [1, 2, 8, 9, 10, 400] {
            let mut tally = Tally::default();
            bytes.chunks(piece).for_each(|piece| tally.count(piece));
            assert_eq!((tally.settings, tally.pings, tally.goaways), (1, 1, vec![11]), "in pieces of {piece}");
        }
    }
}

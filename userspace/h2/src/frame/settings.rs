//! SETTINGS (RFC 9113 §6.5): what a peer has said about itself, each value checked.

use alloc::vec::Vec;

use crate::{code::ErrorCode, hpack::TABLE_BYTES_DEFAULT};

use super::{Kind, PAYLOAD_BYTES_LIMIT, PAYLOAD_BYTES_MAX};

/// The largest window there can be (RFC 9113 §6.9.1), in bytes.
pub(crate) const WINDOW_MAX: u32 = (1 << 31) - 1;

/// What windows are until settings or updates say otherwise, in bytes.
pub(crate) const WINDOW_DEFAULT: u32 = 65_535;

/// The settings there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    TableBytes = 1,
    Push = 2,
    Streams = 3,
    Window = 4,
    ListBytes = 6,
    /// RFC 8441 §3.
    ConnectProtocol = 8,
    /// RFC 9218 §2.1.
    NoOldPriorities = 9,
}

/// What the peer has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    /// What its decoder remembers, in bytes.
    pub(crate) table_bytes: u32,
    /// How many streams we may have open.
    pub(crate) streams_max: u32,
    /// The first window of each stream, in bytes.
    pub(crate) window: u32,
    /// The largest payload it takes, in bytes.
    pub(crate) payload_bytes_max: u32,
    /// Whether it takes extended CONNECT.
    pub(crate) connect_protocol: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            table_bytes: TABLE_BYTES_DEFAULT,
            streams_max: u32::MAX,
            window: WINDOW_DEFAULT,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            connect_protocol: false,
        }
    }
}

impl PeerSettings {
    /// Takes over a whole payload, in its order. `from_server`: a server cannot ask for pushes.
    pub(crate) fn apply(&mut self, payload: &[u8], from_server: bool) -> Result<(), ErrorCode> {
        for entry in payload.as_chunks::<6>().0 {
            let [a, b, value @ ..] = *entry;
            self.apply_one(u16::from_be_bytes([a, b]), u32::from_be_bytes(value), from_server)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, setting: u16, value: u32, from_server: bool) -> Result<(), ErrorCode> {
        match setting {
            1 => self.table_bytes = value,
            2 if value > 1 || (from_server && value == 1) => return Err(ErrorCode::ProtocolError),
            3 => self.streams_max = value,
            4 if value > WINDOW_MAX => return Err(ErrorCode::FlowControlError),
            4 => self.window = value,
            5 if !(PAYLOAD_BYTES_MAX..=PAYLOAD_BYTES_LIMIT).contains(&value) => return Err(ErrorCode::ProtocolError),
            5 => self.payload_bytes_max = value,
            // Once promised it stays (RFC 8441 §3).
            8 if value > 1 || (self.connect_protocol && value == 0) => return Err(ErrorCode::ProtocolError),
            8 => self.connect_protocol = value == 1,
            9 if value > 1 => return Err(ErrorCode::ProtocolError),
            _ => {}
        }
        Ok(())
    }
}

/// Appends a SETTINGS frame.
pub(crate) fn write_settings(out: &mut Vec<u8>, settings: &[(Setting, u32)]) {
    let mut payload = Vec::with_capacity(settings.len() * 6);
    for (setting, value) in settings {
        payload.extend_from_slice(&(*setting as u16).to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    super::write(out, Kind::Settings, 0, 0, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        for (setting, value, from_server, expect) in [
            (1, u32::MAX, false, Ok(())),
            (2, 0, true, Ok(())),
            (2, 1, false, Ok(())),
            (2, 1, true, Err(ErrorCode::ProtocolError)),
            (2, 2, false, Err(ErrorCode::ProtocolError)),
            (3, 0, true, Ok(())),
            (4, WINDOW_MAX, false, Ok(())),
            (4, WINDOW_MAX + 1, false, Err(ErrorCode::FlowControlError)),
            (5, 16_383, false, Err(ErrorCode::ProtocolError)),
            (5, 16_384, false, Ok(())),
            (5, 16_777_215, false, Ok(())),
            (5, 16_777_216, false, Err(ErrorCode::ProtocolError)),
            (8, 1, true, Ok(())),
            (8, 2, true, Err(ErrorCode::ProtocolError)),
            (9, 2, true, Err(ErrorCode::ProtocolError)),
            (0xff, 7, true, Ok(())),
        ] {
            assert_eq!(PeerSettings::default().apply_one(setting, value, from_server), expect, "{setting} {value}");
        }
        let mut settings = PeerSettings { connect_protocol: true, ..PeerSettings::default() };
        assert_eq!(settings.apply_one(8, 0, true), Err(ErrorCode::ProtocolError));
    }
}

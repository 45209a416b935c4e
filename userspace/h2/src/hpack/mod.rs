//! Header compression (RFC 7541): what a field section is on the wire. Each side keeps a table of the fields it saw last, bounded by what the
//! one that must remember has allowed; nothing here knows what a field means.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod statics;
mod table;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;
pub(crate) use table::TABLE_BYTES_MAX;

/// The block cannot be decoded: the tables of the two sides do not agree any more, so the connection is lost (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What the table's size is until a setting says otherwise (RFC 9113 §6.5.2), in bytes.
pub(crate) const TABLE_BYTES_DEFAULT: u32 = 4096;

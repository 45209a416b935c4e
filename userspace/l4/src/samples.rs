//! Samples of what was dropped, out of the kernel's ring. Whoever reads one takes it away.

use crate::load::LoadError;
use crate::pin::{Folder, PinError};
use abi::{DropSample, SAMPLE_BYTES};
use aya::maps::{Map, MapData, RingBuf};

/// The ring of one instance.
pub struct Samples {
    ring: RingBuf<MapData>,
}

impl Samples {
    /// That of the instance in `folder`, whether its process lives or not.
    pub fn open(folder: &Folder) -> Result<Self, LoadError> {
        let path = folder.map("SAMPLES");
        if !path.exists() {
            return Err(PinError::File { path, source: std::io::ErrorKind::NotFound.into() }.into());
        }
        Ok(Self { ring: RingBuf::try_from(Map::RingBuf(MapData::from_pin(path)?))? })
    }

    /// The next one; `None` when there is none just now.
    pub fn next_sample(&mut self) -> Option<DropSample> {
        self.ring.next().and_then(|bytes| read(&bytes))
    }
}

/// `None` when it is not of the size that it has.
fn read(sample: &[u8]) -> Option<DropSample> {
    let (at_ns, rest) = sample.split_first_chunk()?;
    let (reason, rest) = rest.split_first_chunk()?;
    let (interface, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (padding, rest) = rest.split_first_chunk()?;
    let bytes: &[u8; SAMPLE_BYTES] = rest.try_into().ok()?;
    Some(DropSample {
        at_ns: u64::from_ne_bytes(*at_ns),
        reason: u32::from_ne_bytes(*reason),
        interface: u32::from_ne_bytes(*interface),
        length: u32::from_ne_bytes(*length),
        padding: u32::from_ne_bytes(*padding),
        bytes: *bytes,
    })
}

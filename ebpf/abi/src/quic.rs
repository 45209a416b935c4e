//! The connection ids that our QUIC endpoints give out, so that every packet of a connection finds its node and worker again, whatever
//! address it comes from. One definition: the engine writes it, the programs read it.
//!
//! Eight bytes at least; the rest is the endpoint's own randomness. The form is that of QUIC-LB's unencrypted ids: the first byte's top
//! three bits are the configuration, so that two forms can live at once while a change is rolled out.

/// The bytes of an id that mean something.
pub const QUIC_ID_BYTES: usize = 5;

/// What an id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicId {
    /// Which form: 0 to 6. 7 says that an id is not for steering.
    pub config: u8,
    /// The node: a server id that the cluster's member has in the configuration.
    pub node: u16,
    /// Counts the processes on that node, so that a hand-over can tell old connections from new.
    pub generation: u8,
    /// The worker on that node.
    pub worker: u8,
}

impl QuicId {
    /// Read the first bytes of an id.
    #[inline(always)]
    pub const fn read(bytes: [u8; QUIC_ID_BYTES]) -> Self {
        let [first, node_high, node_low, generation, worker] = bytes;
        Self { config: first >> 5, node: u16::from_be_bytes([node_high, node_low]), generation, worker }
    }

    /// The first bytes of an id; `random` fills the five bits that mean nothing.
    pub const fn write(&self, random: u8) -> [u8; QUIC_ID_BYTES] {
        let [node_high, node_low] = self.node.to_be_bytes();
        [self.config << 5 | random & 0x1f, node_high, node_low, self.generation, self.worker]
    }
}

/// Where a node is found: `QUIC_NODES` (hash, this -> backend's number, `u32`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuicKey {
    /// The service.
    pub service: u32,
    /// The node.
    pub node: u16,
    /// The id's form.
    pub config: u16,
}

const _: () = assert!(size_of::<QuicKey>() == 8);

#[cfg(test)]
mod tests {
    use super::QuicId;

    #[test]
    fn what_is_written_is_read() {
        let id = QuicId { config: 5, node: 0x1234, generation: 9, worker: 63 };
        assert_eq!(id.write(0xff), [0b1011_1111, 0x12, 0x34, 9, 63]);
        assert_eq!(QuicId::read(id.write(0)), id);
    }
}

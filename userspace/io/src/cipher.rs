//! What a kernel that seals TLS records is given, and what the reactor keeps of a socket whose records it seals.
//!
//! Only what we send: the kernel seals what a Send or a Splice brings, so that a body need never come to userspace. It seals bit by bit, and
//! what it has taken may wait in front of TCP's own queue for a while; closing our half then would lose it. So the end is an operation of its
//! own ([`Op::Goodbye`](crate::Op::Goodbye)): it tells the peer, in a record of its own, and completes when nothing waits there any more.

/// Type and content of the record that tells the peer that nothing more comes: the alert `close_notify` (RFC 8446 §6.1).
pub(crate) const CLOSE_NOTIFY: (u8, [u8; 2]) = (21, [1, 0]);

/// Bytes of content in one record.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Between two looks at how many records a key has protected, so many operations at most: far fewer records than lie between
/// [`sequence_max`](KernelCipher::sequence_max) and what harms a key.
const OPERATIONS_UNCHECKED_MAX: u32 = 256;

/// The key of one direction of a connection.
pub trait KernelCipher {
    /// `struct tls12_crypto_info_*` of `linux/tls.h`.
    fn info(&self) -> &[u8];

    /// Bytes that a record is larger than its content.
    fn expansion(&self) -> usize;

    /// The number of the next record.
    fn sequence(&self) -> u64;

    /// From that number on the key must not be used any more.
    fn sequence_max(&self) -> u64;

    /// What the kernel does with it: appends a record of `plain` (at most [`RECORD_BYTES_MAX`]). The simulated kernel asks for it.
    fn seal(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>);
}

/// A socket whose records the kernel seals.
pub(crate) struct Sealed {
    /// Bytes of content given to it.
    pub(crate) given: u64,
    pub(crate) goodbye: Goodbye,
    sequence_max: u64,
    /// Operations since the records were last counted.
    unchecked: u32,
}

/// Whether the peer has been told that nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    Owed,
    /// The operation is out.
    Out,
    /// It has ended, well or not.
    Said,
}

impl Sealed {
    pub(crate) fn new(cipher: &dyn KernelCipher) -> Self {
        Self { given: 0, goodbye: Goodbye::Owed, sequence_max: cipher.sequence_max(), unchecked: 0 }
    }

    /// An operation has brought so many bytes; whether it is time to count the records.
    pub(crate) fn give(&mut self, bytes: u64) -> bool {
        self.given += bytes;
        self.unchecked += 1;
        self.unchecked >= OPERATIONS_UNCHECKED_MAX
    }

    /// The kernel is at the record of that number; whether the key is spent.
    pub(crate) fn is_spent_at(&mut self, sequence: u64) -> bool {
        self.unchecked = 0;
        sequence >= self.sequence_max
    }
}

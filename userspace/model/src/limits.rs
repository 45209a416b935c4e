//! How much of anything a peer may send.

/// Limits on one head. A codec refuses what goes beyond: 414 for the target, 431 for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of a whole head, request line included.
    pub head_bytes_max: u32,
    /// Bytes of a request's target.
    pub target_bytes_max: u32,
    /// Number of fields.
    pub fields_max: u16,
}

impl Default for HeadLimits {
    /// What nginx and HAProxy users are used to: 32 KiB of head, 8 KiB of target, 100 fields.
    fn default() -> Self {
        Self { head_bytes_max: 32 * 1024, target_bytes_max: 8 * 1024, fields_max: 100 }
    }
}

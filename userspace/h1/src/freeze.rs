//! A connection at rest as a few bytes, for moving it to another worker or process: with its descriptor it is all there is.

use crate::{Connection, Settings, connection::Side};

/// The layout of [`Frozen`]; a process that does not know it closes the connection instead.
const VERSION: u8 = 1;

/// A codec at rest. `Send`, and free of everything that belongs to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    side: Side,
}

impl Frozen {
    /// As bytes, for another process.
    pub fn to_bytes(self) -> [u8; 2] {
        [
            VERSION,
            match self.side {
                Side::Server => 0,
                Side::Client => 1,
            },
        ]
    }

    /// From another process; `None` when it is of a version unknown here.
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        match bytes {
            [VERSION, 0] => Some(Self { side: Side::Server }),
            [VERSION, 1] => Some(Self { side: Side::Client }),
            _ => None,
        }
    }
}

impl Connection {
    /// What is worth keeping; `None` unless the connection [can be reused](Self::can_reuse).
    pub fn freeze(&self) -> Option<Frozen> {
        self.can_reuse().then_some(Frozen { side: self.side })
    }

    /// The connection again, under the settings of where it wakes up.
    pub fn thaw(frozen: Frozen, settings: Settings) -> Self {
        match frozen.side {
            Side::Server => Self::server(settings),
            Side::Client => Self::client(settings),
        }
    }
}

//! Bodies that move past the codec: inside the kernel, from socket to socket. The codec only keeps count.

use crate::{
    Connection,
    connection::{Receiving, Sending, Side},
};

impl Connection {
    /// Whether we receive requests.
    pub fn is_server(&self) -> bool {
        self.side == Side::Server
    }

    /// Bytes of content still to come as they are, without any framing.
    pub fn raw_receive(&self) -> Option<u64> {
        match self.receiving {
            Receiving::Known(left) => Some(left),
            Receiving::Head
            | Receiving::Chunked(_)
            | Receiving::Trailers
            | Receiving::Ending
            | Receiving::UntilClose
            | Receiving::Held
            | Receiving::Done
            | Receiving::Failed => None,
        }
    }

    /// Bytes of content still owed as they are, without any framing.
    pub fn raw_send(&self) -> Option<u64> {
        match self.sending {
            Sending::Known(left) => Some(left),
            Sending::Head | Sending::Chunked | Sending::UntilClose | Sending::Held | Sending::Nothing | Sending::Done | Sending::Failed => {
                None
            }
        }
    }

    /// So many bytes of content were received past the codec; never more than [`Connection::raw_receive`] said.
    pub fn moved_in(&mut self, count: u64) {
        if let Receiving::Known(left) = &mut self.receiving {
            *left = left.saturating_sub(count);
        }
    }

    /// So many bytes of content were sent past the codec; never more than [`Connection::raw_send`] said.
    pub fn moved_out(&mut self, count: u64) {
        if let Sending::Known(left) = &mut self.sending {
            *left = left.saturating_sub(count);
        }
    }
}

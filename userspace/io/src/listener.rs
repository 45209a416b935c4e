//! A listening socket of one worker.

use core::future::poll_fn;

use crate::{Descriptor, Errno, Ring, Stream};

/// Accepts connections. Dropping it stops accepting; what waits and was not taken is reset.
pub struct Listener {
    ring: Ring,
    slot: u32,
}

impl Listener {
    pub(crate) fn new(ring: &Ring, descriptor: Descriptor) -> Self {
        Self { ring: ring.clone(), slot: ring.with(|reactor| reactor.listen(descriptor)) }
    }

    /// Lets no new handshake begin: whoever comes now is not answered and will try again. Those under way go on, and are accepted.
    pub fn refuse_handshakes(&self) {
        self.ring.with(|reactor| reactor.refuse_handshakes(self.slot));
    }

    /// Accepts no more: [`Listener::accept`] gives what was accepted meanwhile and what still waits to be, then `ECANCELED`.
    pub fn stop(&self) {
        self.ring.with(|reactor| reactor.stop_accepting(self.slot));
    }

    /// The next connection. After an error (`EMFILE` and its kin) accepting has stopped: calling again starts it again, so wait a little.
    pub async fn accept(&self) -> Result<Stream, Errno> {
        let fd = poll_fn(|_| {
            let task = self.ring.task();
            self.ring.with(|reactor| reactor.poll_accept(self.slot, task))
        })
        .await?;
        Ok(Stream::new(&self.ring, fd))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ring.with(|reactor| reactor.release_listener(self.slot));
    }
}

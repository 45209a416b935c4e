//! Opening an upstream connection.

use core::future::poll_fn;
use model::Address;

use crate::{Errno, Ring, Stream};

/// Connects; giving the future up closes the socket, whose Connect is then cancelled and awaited by the reactor.
pub(crate) async fn connect(ring: &Ring, address: &Address) -> Result<Stream, Errno> {
    let fd = ring.with(|reactor| reactor.backend.socket(address))?;
    let stream = Stream::new(ring, fd);
    ring.with(|reactor| reactor.connect(stream.slot(), address.clone()));
    poll_fn(|_| {
        let task = ring.task();
        ring.with(|reactor| reactor.poll_done(stream.slot(), task))
    })
    .await?;
    Ok(stream)
}

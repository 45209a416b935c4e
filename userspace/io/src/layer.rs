//! What stands between a socket and those who use it: a record layer, a codec of many streams.

use buf::Output;

/// Asked by the reactor for what is to be sent, at the last moment before it is: so what has become urgent goes first, records are as large as
/// they can be, and nothing that the peer does not take is ever prepared. Whatever it holds of a [`Stream`](crate::Stream) it must not use
/// while it is asked.
pub trait Layer {
    /// Appends what is to be sent now. Nothing else of this socket is being sent; it is asked again when that has gone.
    fn fill(&self, output: &mut Output);

    /// The turn ends: what is still held must leave the receive buffers. Gives the bytes copied.
    fn move_to_heap(&self) -> usize;
}

//! Bytes on their way through a worker: [`Chunk`], a counted slice of a received buffer or of a heap block; [`Arena`], the buffers
//! the kernel receives into; [`Output`], what is to be sent, as few pieces as possible.
//!
//! One type for both homes, so that a body is sent from the very buffer it was received into. A lease on an arena buffer is only ever
//! *in transit*: whatever is still queued when a worker's turn ends moves to the heap ([`Chunk::move_to_heap`]), so a stalled peer can
//! never dry up the arena. Nothing here does IO, and nothing here may leave the worker's thread (all types are `!Send`).
#![cfg_attr(not(test), no_std)]
extern crate alloc;

mod arena;
mod chunk;
mod output;

pub use arena::Arena;
pub use chunk::Chunk;
pub use output::{COPY_MAX, Output};

//! The second performer of operations: it plays the kernel, deterministically. One seed decides how bytes are cut, when they come, what
//! breaks, and in which order completions appear; the same seed gives the same run, step by step.
//!
//! A [`World`] is the network with its hosts and its clock; a [`Sim`] is one ring of one of its hosts and stands where io_uring stands in
//! production, so that reactor, executor and everything above are the very code that ships. It is faithful where code could come to rely on
//! something the kernel does not promise: multishot operations end early, buffers run dry, sends are short, cancels come too late, a
//! connection with unread bytes is reset by its close. And it is stricter than the kernel: descriptors are never numbered anew, so a use
//! after a close is a panic here, as are a close with operations outstanding and a slot that is reused too early.
//!
//! One ring alone turns the clock itself when it blocks. With several, a blocked ring returns at once, and the test calls
//! [`World::advance`] after each had its turn. No real thread ever waits, and no real clock is read.

mod chaos;
mod connection;
mod held;
mod join;
mod kernel;
mod network;
mod random;
mod ring;
mod sealed;
#[cfg(test)]
mod sealed_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
mod trace;
mod world;

pub use chaos::Chaos;
pub use held::Held;
pub use join::Joiner;
pub(crate) use join::cookie;
pub use random::{Chance, Random};
pub use ring::Sim;
pub use world::{Hang, Host, Usage, World};

//! The kernel programs under test: loaded into this kernel for real, fed with packets through `BPF_PROG_TEST_RUN`.
//!
//! Needs root. Without it a test fails and says so: a kernel program that was not run is not tested.

pub mod budget;
pub mod kernel;
pub mod namespace;
pub mod packet;
pub mod place;
pub mod world;

pub use kernel::{Kernel, Verdict};
pub use place::Place;

//! Which endpoint gets the next request. Algorithms only: no IO, no clock; randomness is an argument, health a closure.
//!
//! A [`Balancer`] is one cluster's, on one worker. Picking counts the request until its [`Pick`] is dropped; the counts are kept by address, so
//! that they survive a change of the endpoints.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

mod balancer;
mod health;
mod load;
mod turns;
mod weights;

pub use balancer::{Balancer, Policy};
pub use health::{Judge, Standing, together};
pub use load::{Load, Pick};
pub use weights::weighted;

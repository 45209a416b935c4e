//! TLS 1.2 and 1.3 for one connection at a time, both sides, without IO: bytes in, bytes out. [`Session`] is a connection, [`Server`] and
//! [`Client`] are settings compiled once and shared by all workers, [`hello`] reads a client's first bytes without taking them.
//!
//! Two parts that know little of each other. The handshake is rustls': it ends, gives the keys and is gone. The record layer is ours, over the
//! same AEADs: it decrypts in place, in the buffer the kernel received into, and holds nothing between records, so that an idle connection costs
//! its keys and little else. No socket, file, or thread is here; the one clock is rustls' for the validity of certificates and tickets.
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as tls; // what the tests share speaks of this crate by its name

mod authorities;
mod certificate;
mod cipher;
mod client;
mod fault;
mod handshake;
pub mod hello;
mod hkdf;
mod identity;
mod kernel_key;
mod outcome;
mod protocol;
mod record;
mod server;
mod session;
mod tickets;
mod traffic;

pub use authorities::Authorities;
pub use certificate::Certificate;
pub use client::{Client, ClientSettings, SESSIONS_MAX, Verification};
pub use identity::{AlternativeName, Identity};
pub use kernel_key::KernelKey;
pub use outcome::{Outcome, Version};
pub use protocol::{Protocol, SettingsError};
pub use rustls::KeyLog;
pub use server::{ClientAuthentication, Server, ServerSettings};
pub use session::Session;
pub use tickets::{TICKET_KEYS_MAX, Tickets};
pub use traffic::{IDLE_RECORDS_MAX, LATE_MESSAGE_BYTES_MAX};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compiled_is_shared_by_all_workers() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Server>();
        is_shared::<Client>();
        is_shared::<Tickets>();
        is_shared::<Certificate>();
        is_shared::<Authorities>();
    }
}

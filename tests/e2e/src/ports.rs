//! Addresses nobody uses.

use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
};

/// Below the ports that outgoing connections take (from 32768), so that none of them can be in the way.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A free address on the loopback interface. Each is given once; test programs beside this one begin elsewhere.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(u64::from(process::id()) * 211 % u64::from(COUNT)).expect("less than COUNT");
    for _ in 0..COUNT {
        let offset = (u32::from(start) + u32::from(NEXT.fetch_add(1, Relaxed))) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("less than COUNT");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

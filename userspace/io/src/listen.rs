//! Opening listening sockets: on the starting or controlling thread, before a configuration is committed.

use core::fmt;
use model::Address;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::os::fd::OwnedFd;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    pub backlog: i32,
    /// Whether other sockets may listen on the same address (one per worker).
    pub shared: bool,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: Address,
    /// The kernel's word.
    pub error: std::io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on {}: {}", self.address, self.error)
    }
}

impl std::error::Error for ListenError {}

/// Opens a listening socket.
pub fn listen(address: &Address, options: ListenOptions) -> Result<OwnedFd, ListenError> {
    open(address, options).map_err(|error| ListenError { address: address.clone(), error })
}

fn open(address: &Address, options: ListenOptions) -> std::io::Result<OwnedFd> {
    let socket = match address {
        Address::Tcp(tcp) => {
            let socket = Socket::new(Domain::for_address(*tcp), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(options.shared)?;
            // `*` is two sockets, so that IPv4 clients appear as such.
            if tcp.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            // Accepted sockets inherit it.
            socket.set_tcp_nodelay(true)?;
            socket.bind(&SockAddr::from(*tcp))?;
            socket
        }
        Address::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
            socket.bind(&SockAddr::unix(&**path)?)?;
            socket
        }
    };
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

//! A process's name on its host: whoever has it holds a socket in the abstract namespace. It is as wide as the ports are (the network
//! namespace), needs no folder and no rights, and is gone with the process however that ends.

use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
};

use anyhow::{Context, Result, bail};

/// The name, held until this is dropped.
pub(crate) struct Instance {
    _socket: UnixListener,
}

impl Instance {
    /// Takes `name`, or the configuration file's path when there is none.
    pub(crate) fn claim(name: Option<&str>, file: &Path) -> Result<Self> {
        let file = file.canonicalize().with_context(|| file.display().to_string())?;
        let called = name.map_or_else(|| file.display().to_string(), str::to_owned);
        // Hashed: a path may be longer than an address.
        let address = format!("sluice/{}", blake3::hash(called.as_bytes()).to_hex());
        let address = SocketAddr::from_abstract_name(&address).context("no name for this process")?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == ErrorKind::AddrInUse && name.is_some() => {
                bail!("another sluice named {called} runs on this host; end it, or give this one another --name")
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!("another sluice runs with {called}; end it, or give this one a --name")
            }
            Err(error) => Err(error).context("this process cannot be named"),
        }
    }
}

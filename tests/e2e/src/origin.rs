//! `sluice origin`, as a process of its own.

use core::net::SocketAddr;
use std::{
    fmt,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use crate::sluice_command;

/// A running origin; ends when dropped. It is written as its address.
pub struct Origin {
    child: Child,
    address: SocketAddr,
}

impl Origin {
    /// An HTTP origin that calls itself `name`.
    pub fn start(name: &str) -> Self {
        Self::run(&["--bind", "127.0.0.1:0", "--name", name])
    }

    /// An origin that sends every byte back.
    pub fn tcp() -> Self {
        Self::run(&["--bind", "127.0.0.1:0", "--tcp"])
    }

    /// An HTTP origin at an address that is known already.
    pub fn start_at(address: SocketAddr, name: &str) -> Self {
        Self::run(&["--bind", &address.to_string(), "--name", name])
    }

    fn run(arguments: &[&str]) -> Self {
        let mut command = sluice_command();
        let spawned = command.arg("origin").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the origin can be started");
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().expect("piped above")).read_line(&mut line);
        said.expect("the origin says where it listens");
        let address = line.trim().rsplit(' ').next().and_then(|word| word.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("the origin said {line:?}")) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(out)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

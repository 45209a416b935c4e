//! The proxies on the bench: started alike, paused alike, gone at the end.

use crate::interrupt;
use crate::origin;
use crate::peers::{Kind, Peer, Site};
use crate::process::Group;
use anyhow::{Context, Result, bail};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

/// The CPU of every proxy that is measured with one worker.
pub(crate) const PROXY_CPU: &str = "0";
/// The CPU of load and origin.
pub(crate) const LOAD_CPU: usize = 1;
/// What a proxy with two workers may use: the second one shares its CPU with the load.
pub(crate) const BOTH_CPUS: &str = "0,1";

const STARTING: Duration = Duration::from_secs(15);

/// Who is compared, and against which origins.
pub(crate) struct Rig {
    pub(crate) peers: Vec<Peer>,
    origins: [SocketAddr; 2],
    folder: PathBuf,
}

/// A proxy that runs, or is paused.
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) site: Site,
    pub(crate) group: Group,
}

impl Rig {
    /// Start the origins.
    pub(crate) fn new(peers: Vec<Peer>) -> Result<Self> {
        let folder = env::temp_dir().join(format!("sluice-perf-{}", process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { peers, origins: origin::start()?, folder })
    }

    /// Start a proxy and wait until it answers.
    pub(crate) fn start(&self, peer: &Peer, workers: usize) -> Result<Proxy> {
        self.start_as(peer, workers, false)
    }

    /// Start one that has the kernel carry the bytes of TCP connections.
    pub(crate) fn start_redirecting(&self, peer: &Peer) -> Result<Proxy> {
        self.start_as(peer, 1, true)
    }

    fn start_as(&self, peer: &Peer, workers: usize, redirect: bool) -> Result<Proxy> {
        let [http, h2c, tls, tls_rsa, tcp, extra] = free_addresses()?;
        let folder = self.folder.join(format!("{}-{}", peer.kind, http.port()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // Proxies give up root and still write here.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).context("cannot open the folder for the proxy")?;
        let site = Site { folder, http, h2c, tls, tls_rsa, tcp, extra, origins: self.origins, workers, redirect, version: 0 };
        site.certify()?;
        peer.write(&site)?;
        let log = site.folder.join("output.log");
        let cpus = if workers == 1 { PROXY_CPU } else { BOTH_CPUS };
        let mut group = Group::start(cpus, &peer.command(&site), &log)?;
        wait_until_answering(&mut group, &site).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("{} does not answer; it said:\n{said}", peer.kind)
        })?;
        Ok(Proxy { peer: peer.clone(), site, group })
    }
}

impl Proxy {
    pub(crate) fn kind(&self) -> Kind {
        self.peer.kind
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            println!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// Addresses that nobody listens on now.
fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let listen = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port");
    let listeners: Vec<TcpListener> = (0..COUNT).map(listen).collect::<Result<_>>()?;
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr().context("a socket without an address")?;
    }
    Ok(addresses)
}

fn wait_until_answering(group: &mut Group, site: &Site) -> Result<()> {
    let end = Instant::now() + STARTING;
    while !(answers(site.http) && answers(site.tcp)) {
        if group.ended() {
            bail!("it ended");
        }
        if Instant::now() > end {
            bail!("not within {} s", STARTING.as_secs());
        }
        interrupt::rest(Duration::from_millis(50))?;
    }
    Ok(())
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.example.com\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(&start == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

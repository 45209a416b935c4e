//! The balancer in the kernel: loaded, or taken over from an earlier process with all it knows.
//!
//! Dropping a [`Balancer`] changes nothing for packets: maps and attachments are pinned. Only [`Folder::remove`] ends it.

use crate::attach::{self, AttachError, Attachment, Wish};
use crate::pin::{Folder, Left, PinError};
use crate::programs;
use aya::maps::{Map, MapError};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError};
use aya_log::EbpfLogger;
use log::Log;
use std::io;

/// The program's name in the object.
const PROGRAM: &str = "balance";

/// The maps that outlive us. What is not here is scratch memory of the programs.
pub const MAPS: &[&str] = &[
    "SETTINGS",
    "PORTS",
    "PORTS_V4",
    "ADDRESSES",
    "SERVICES",
    "TABLES",
    "AWAY",
    "BACKENDS",
    "PINS",
    "SESSIONS",
    "FRAGMENTS",
    "ORIGINS",
    "POOL",
    "NAT_FLOWS",
    "NAT_BACK",
    "SERVICE_COUNTERS",
    "BACKEND_COUNTERS",
    "REASONS",
    "GUARD_V4_NEAR",
    "GUARD_V4_FILTER",
    "GUARD_V4",
    "GUARD_HOSTS",
    "GUARD_V6_FILTER",
    "GUARD_V6",
    "QUIC_NODES",
    "IDENTITIES",
    "SAMPLES",
];

/// The programs and maps of one instance.
pub struct Balancer {
    ebpf: Ebpf,
    folder: Folder,
    adopted: bool,
    /// What it says of packets, where it was built to.
    lines: Option<EbpfLogger<&'static dyn Log>>,
}

/// Why the kernel layer cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The object or its maps.
    #[error("cannot load the kernel programs (they need root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON): {0}")]
    Object(#[from] EbpfError),
    /// The verifier.
    #[error("the kernel refuses the program: {0}")]
    Program(#[from] ProgramError),
    /// A map.
    #[error("a map: {0}")]
    Map(#[from] MapError),
    /// An attachment.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The kernel does not tell its types, or has no such one.
    #[error("the kernel does not say where {0} has its {1} (it needs BTF: CONFIG_DEBUG_INFO_BTF)")]
    Types(&'static str, &'static str),
    /// The socket that probes leave by.
    #[error("no packet socket (it needs CAP_NET_RAW): {0}")]
    Socket(io::Error),
}

impl Balancer {
    /// Load the programs of this binary over the maps in `folder`: those of an earlier process of the same layout, or new ones. What they say of
    /// packets is settled here, by the level that `log` has now.
    pub fn open(folder: Folder) -> Result<Self, LoadError> {
        let left = folder.prepare()?;
        let mut loader = programs::loader();
        for name in MAPS {
            loader.map_pin_path(name, folder.map(name));
        }
        let mut ebpf = loader.load(programs::BALANCER)?;
        program(&mut ebpf)?.load()?;
        for name in [programs::PROBE, programs::HOP] {
            let asked: &mut Xdp = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
            asked.load()?;
        }
        let lines = EbpfLogger::init(&mut ebpf).ok();
        let mut balancer = Self { ebpf, folder, adopted: left == Left::Maps, lines };
        if !balancer.adopted {
            // From now on they are ours, even if nothing else is ever written.
            balancer.array("SETTINGS")?.set(0, abi::Settings { layout: abi::LAYOUT, ..abi::Settings::default() }, 0)?;
        }
        Ok(balancer)
    }

    /// Whether an earlier process's maps were taken over: what they hold is in force.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Attach to these interfaces and to no others. What an earlier process had attached is taken over without a gap.
    pub fn attach(&mut self, interfaces: &[(&str, Wish)]) -> Result<Vec<Attachment>, LoadError> {
        Ok(attach::attach_all(program(&mut self.ebpf)?, &self.folder, interfaces)?)
    }

    /// Hands what the program said since the last time to `log`'s logger: a line a packet in debug builds at `debug`, else nothing. Lines that
    /// find no room (128 KiB) are lost.
    pub fn say(&mut self) {
        if let Some(lines) = &mut self.lines {
            lines.flush();
        }
    }

    /// The program itself, to be run on packets in tests and measured.
    pub fn program(&mut self) -> Result<&mut Xdp, LoadError> {
        program(&mut self.ebpf)
    }

    /// Another program of the same object.
    pub(crate) fn program_of(&self, name: &str) -> Result<&Xdp, ProgramError> {
        self.ebpf.program(name).ok_or(ProgramError::NotLoaded)?.try_into()
    }

    /// A map as the kernel's interface has it.
    pub(crate) fn map(&mut self, name: &'static str) -> Result<&mut Map, MapError> {
        self.ebpf.map_mut(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
    }

    /// A map of its own, that nothing else here reads.
    pub(crate) fn take_map(&mut self, name: &'static str) -> Result<Map, MapError> {
        self.ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoadError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
    Ok(program.try_into()?)
}

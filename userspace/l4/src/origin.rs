//! The origin's side: our decapsulation at its interfaces.
//!
//! It keeps no state, so nothing but its attachments is pinned: they go on when this process ends, and the next one takes them over.

use crate::attach::{self, Attachment, Wish};
use crate::load::LoadError;
use crate::pin::Folder;
use crate::programs;
use abi::{Address, DecapSettings, Reason};
use aya::Ebpf;
use aya::maps::{Array, MapError, PerCpuArray};
use aya::programs::{ProgramError, Xdp};

const PROGRAM: &str = "decapsulate";

/// The decapsulation program of one instance.
pub struct Origin {
    ebpf: Ebpf,
    folder: Folder,
}

impl Origin {
    /// Load it. Envelopes to these addresses are opened; one that is none has no envelopes of its family.
    pub fn open(folder: Folder, own_v4: Address, own_v6: Address) -> Result<Self, LoadError> {
        folder.make()?;
        let mut ebpf = Ebpf::load(programs::ORIGIN)?;
        program(&mut ebpf)?.load()?;
        let map = ebpf.map_mut("DECAP").ok_or_else(|| MapError::InvalidName { name: "DECAP".to_owned() })?;
        let mut settings: Array<_, DecapSettings> = Array::try_from(map)?;
        settings.set(0, DecapSettings { layout: abi::LAYOUT, own_v4, own_v6 }, 0)?;
        Ok(Self { ebpf, folder })
    }

    /// Attach to these interfaces and to no others, as [`crate::Balancer::attach`].
    pub fn attach(&mut self, interfaces: &[(&str, Wish)]) -> Result<Vec<Attachment>, LoadError> {
        Ok(attach::attach_all(program(&mut self.ebpf)?, &self.folder, interfaces)?)
    }

    /// How often something happened since it was loaded: `Decapsulated`, `PassedOn`, `BadEnvelope`.
    pub fn reason(&mut self, reason: Reason) -> Result<u64, MapError> {
        let name = "DECAP_REASONS";
        let map = self.ebpf.map_mut(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })?;
        let counters: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok(counters.get(&(reason as u32), 0)?.iter().sum())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoadError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
    Ok(program.try_into()?)
}

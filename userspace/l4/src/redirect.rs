//! Sockets that are joined in the kernel, of one worker: what one receives the other sends.
//!
//! Nothing is pinned: it all ends with the process, as the sockets do.

use crate::btf;
use crate::load::LoadError;
use crate::programs;
use abi::Redirection;
use aya::maps::{HashMap, Map, MapData, MapError, RingBuf, SockHash};
use aya::programs::{ProgramError, SkSkb};
use aya::{Ebpf, EbpfLoader};
use io::{End, Errno, Moved, Ways};
use std::fs;

/// The program's name in the object.
const PROGRAM: &str = "redirect";

/// The program and maps of one worker.
pub struct Redirect {
    /// Holds the program attached.
    _ebpf: Ebpf,
    redirections: HashMap<MapData, u64, Redirection>,
    targets: SockHash<MapData, u64>,
    sources: SockHash<MapData, u64>,
    full: RingBuf<MapData>,
}

impl Redirect {
    /// Loads them.
    pub fn load() -> Result<Self, LoadError> {
        let acked = fs::read(btf::KERNEL_TYPES).ok().and_then(|types| btf::member_offset(&types, "tcp_sock", "bytes_acked"));
        let acked = acked.ok_or(LoadError::Types("tcp_sock", "bytes_acked"))?;
        let mut ebpf = EbpfLoader::new().override_global("BYTES_ACKED_AT", &acked, true).load(programs::REDIRECT)?;
        let redirections = take(&mut ebpf, "REDIRECTIONS")?.try_into()?;
        let targets = take(&mut ebpf, "TARGETS")?.try_into()?;
        let sources: SockHash<MapData, u64> = take(&mut ebpf, "SOURCES")?.try_into()?;
        let full = take(&mut ebpf, "FULL")?.try_into()?;
        let program: &mut SkSkb = ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?.try_into()?;
        program.load()?;
        program.attach(sources.fd())?;
        Ok(Self { _ebpf: ebpf, redirections, targets, sources, full })
    }

    fn enter(&mut self, ends: [End; 2], backlog_max: u64) -> Result<Ways, MapError> {
        let [first, second] = ends;
        for (source, target) in [(second, first), (first, second)] {
            let direction = Redirection { target: target.cookie, start: target.written, backlog_max, ..Redirection::default() };
            self.redirections.insert(source.cookie, direction, 0)?;
        }
        // Where bytes may go must be there before any come.
        for end in ends {
            self.targets.insert(end.cookie, end.fd.0, 0)?;
        }
        self.sources.insert(first.cookie, first.fd.0, 0)?;
        // From here on bytes may be under way to the second, which must not be lost.
        Ok(self.sources.insert(second.cookie, second.fd.0, 0).map_or(Ways::First, |()| Ways::Both))
    }
}

impl io::Redirect for Redirect {
    fn join(&mut self, ends: [End; 2], backlog_max: u64) -> Result<Ways, Errno> {
        self.enter(ends, backlog_max).map_err(|error| {
            self.leave(ends.map(|end| end.cookie));
            errno(&error)
        })
    }

    fn moved(&self, cookie: u64) -> Moved {
        let direction = self.redirections.get(&cookie, 0).unwrap_or_default();
        Moved { redirected: direction.redirected, kept: direction.kept }
    }

    fn leave(&mut self, cookies: [u64; 2]) {
        for cookie in &cookies {
            // Closed sockets have left by themselves.
            let _gone = (self.sources.remove(cookie), self.targets.remove(cookie));
        }
        for cookie in &cookies {
            let _gone = self.redirections.remove(cookie);
        }
    }

    fn full(&mut self, cookies: &mut Vec<u64>) {
        while let Some(item) = self.full.next() {
            cookies.extend(item.first_chunk().map(|cookie| u64::from_ne_bytes(*cookie)));
        }
    }
}

fn errno(error: &MapError) -> Errno {
    let call = if let MapError::SyscallError(call) = error { call.io_error.raw_os_error() } else { None };
    let other = if let MapError::IoError(error) = error { error.raw_os_error() } else { None };
    Errno(call.or(other).unwrap_or(libc::EIO))
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, MapError> {
    ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
}

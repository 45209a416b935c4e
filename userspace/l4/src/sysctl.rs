//! Settings of the kernel that cookies need, and what they were before.
//!
//! The kernel takes the acknowledgement of a cookie that our program has made only with `tcp_syncookies` at 2. What the setting was stands in the
//! instance's own maps, so that a later process, or `sluice l4 unload`, puts it back even when the one that changed it was killed.

use crate::load::Balancer;
use crate::pin::Folder;
use alloc::string::ToString;
use aya::maps::{HashMap, Map, MapData, MapError};
use std::{fs, io};

const SYNCOOKIES: &str = "/proc/sys/net/ipv4/tcp_syncookies";
/// Every SYN that comes up is answered by a cookie of the kernel's own, which counts as an overflow of its listener: without one in the last two
/// minutes no cookie is taken. The trickle sees to it.
const ALWAYS: u64 = 2;
/// Where `IDENTITIES` has what the setting was: of a kind that no number is of.
const KEY: u64 = 16 << 32;

/// Why a setting could not be changed, or put back.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The setting itself.
    #[error("{SYNCOOKIES}: {0}")]
    File(#[from] io::Error),
    /// Where it is remembered.
    #[error("what {SYNCOOKIES} was cannot be remembered: {0}")]
    Map(#[from] MapError),
}

impl Balancer {
    /// Has the kernel take cookies of this machine, or puts the setting back.
    pub fn set_cookies(&mut self, wanted: bool) -> Result<(), SysctlError> {
        let mut kept: HashMap<_, u64, u64> = self.hash("IDENTITIES")?;
        if wanted { change(&mut kept) } else { put_back(&mut kept) }
    }
}

impl Folder {
    /// Puts the setting back that an instance has changed, whether its process lives or not.
    pub fn restore_cookies(&self) -> Result<(), SysctlError> {
        let path = self.map("IDENTITIES");
        if !path.exists() {
            return Ok(());
        }
        put_back(&mut HashMap::try_from(Map::HashMap(MapData::from_pin(path)?))?)
    }
}

/// What it was is written down before it is changed.
fn change<M: core::borrow::BorrowMut<MapData>>(kept: &mut HashMap<M, u64, u64>) -> Result<(), SysctlError> {
    let now = read()?;
    if now == ALWAYS {
        return Ok(());
    }
    kept.insert(KEY, now, 0)?;
    Ok(fs::write(SYNCOOKIES, ALWAYS.to_string())?)
}

/// Only where it is still what we made of it: what somebody else has set since stays.
fn put_back<M: core::borrow::BorrowMut<MapData>>(kept: &mut HashMap<M, u64, u64>) -> Result<(), SysctlError> {
    let Ok(before) = kept.get(&KEY, 0) else { return Ok(()) };
    if read()? == ALWAYS {
        fs::write(SYNCOOKIES, before.to_string())?;
    }
    Ok(kept.remove(&KEY)?)
}

fn read() -> io::Result<u64> {
    fs::read_to_string(SYNCOOKIES)?.trim().parse().map_err(io::Error::other)
}

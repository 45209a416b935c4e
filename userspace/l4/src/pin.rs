//! Where the kernel's side of an instance outlives its process: a folder in the BPF filesystem, named after the instance.
//!
//! `maps/NAME` are the maps, `links/INTERFACE.MODE` the attachments; while they are there packets are forwarded, whoever lives. Maps of another
//! layout are never adopted: reading them would be guessing.

use aya::maps::{Array, Map, MapData};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the BPF filesystem is by convention.
pub const ROOT: &str = "/sys/fs/bpf";

/// What `statfs` says of a BPF filesystem.
const MAGIC: u64 = 0xcafe_4a11;

/// The folder of one instance.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// No BPF filesystem, and none can be mounted.
    #[error("cannot mount the BPF filesystem at {path}: {source}")]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Maps of another version.
    #[error(
        "{folder} holds maps of layout {found:#x}, this version's is {:#x}: `sluice l4 unload` removes them, and forwarding with them",
        abi::LAYOUT
    )]
    Layout {
        /// Whose.
        folder: PathBuf,
        /// What `SETTINGS` says.
        found: u32,
    },
}

/// What an earlier process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing, or what it had not finished.
    Nothing,
    /// Maps of our layout.
    Maps,
}

impl Folder {
    /// The folder of the instance `name`; the BPF filesystem is mounted where it is missing.
    pub fn of_instance(name: &str) -> Result<Self, PinError> {
        let root = Path::new(ROOT);
        let mounted = statfs(root).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == MAGIC));
        if !mounted {
            mount("bpf", root, "bpf", MountFlags::empty(), None)
                .map_err(|error| PinError::Mount { path: root.to_owned(), source: error.into() })?;
        }
        Ok(Self(root.join("sluice").join(name)))
    }

    /// A folder of its own, which must stand in a BPF filesystem.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Look at what is there, and make what is missing. Half-made maps of a process that died in between are removed.
    pub(crate) fn prepare(&self) -> Result<Left, PinError> {
        self.make()?;
        let settings = self.map("SETTINGS");
        if !settings.exists() {
            remove_pins(&self.maps())?;
            return Ok(Left::Nothing);
        }
        match layout(&settings) {
            Some(abi::LAYOUT) => Ok(Left::Maps),
            Some(0) | None => {
                remove_pins(&self.maps())?;
                Ok(Left::Nothing)
            }
            Some(found) => Err(PinError::Layout { folder: self.0.clone(), found }),
        }
    }

    /// Make the folders that are missing.
    pub(crate) fn make(&self) -> Result<(), PinError> {
        for folder in [self.maps(), self.links()] {
            fs::create_dir_all(&folder).map_err(|source| PinError::File { path: folder, source })?;
        }
        Ok(())
    }

    /// Remove everything: attachments first, so that no packet meets half a program. Returns whether there was anything.
    pub fn remove(&self) -> Result<bool, PinError> {
        if !self.0.exists() {
            return Ok(false);
        }
        for folder in [self.links(), self.maps()] {
            if folder.exists() {
                remove_pins(&folder)?;
                fs::remove_dir(&folder).map_err(|source| PinError::File { path: folder, source })?;
            }
        }
        fs::remove_dir(&self.0).map_err(|source| PinError::File { path: self.0.clone(), source })?;
        Ok(true)
    }

    /// Where a map is pinned.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Where attachments are pinned.
    pub(crate) fn links(&self) -> PathBuf {
        self.0.join("links")
    }

    fn maps(&self) -> PathBuf {
        self.0.join("maps")
    }
}

fn remove_pins(folder: &Path) -> Result<(), PinError> {
    let failed = |source| PinError::File { path: folder.to_owned(), source };
    for pin in fs::read_dir(folder).map_err(failed)? {
        fs::remove_file(pin.map_err(failed)?.path()).map_err(failed)?;
    }
    Ok(())
}

/// The layout that pinned settings say they have.
fn layout(settings: &Path) -> Option<u32> {
    // The first word of whatever stands there: of another layout only that much is known.
    let map = MapData::from_pin(settings).ok()?;
    let bytes = map.info().ok()?.value_size() as usize;
    if bytes != size_of::<abi::Settings>() {
        return Some(u32::MAX);
    }
    let settings: Array<_, abi::Settings> = Map::Array(map).try_into().ok()?;
    settings.get(&0, 0).ok().map(|settings| settings.layout)
}

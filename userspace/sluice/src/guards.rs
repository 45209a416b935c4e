//! The deny and allow lists of the configuration: read, put in force in the kernel, and watched.
//!
//! A file that changes is read again once it has stood still for a look, and takes the place of the old list by one write: no packet meets half
//! a list. A file that cannot be read, or has a line that says nothing, refuses a configuration; later the list that was in force stays.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use config::L4;
use l4::{Balancer, GuardList, Prefix};

/// Blocks of all lists together: more are refused.
const BLOCKS_MAX: usize = 1 << 20;
/// Bytes of one file: more are refused.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is in force.
#[derive(Default)]
pub(crate) struct Guards {
    /// The list's number in the kernel; 0 is none.
    number: u32,
    /// What the configuration says.
    wanted: Wanted,
    /// The files as they were when what is in force was read, when they were read last, and when they were looked at last.
    in_force: Vec<Stamp>,
    tried: Vec<Stamp>,
    seen: Vec<Stamp>,
}

#[derive(Default, PartialEq, Eq)]
struct Wanted {
    /// Each with whether it lets in.
    files: Vec<(PathBuf, bool)>,
    blocks: Vec<(String, bool)>,
}

/// Tells one state of a file from another; a file that is not there has one too.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Guards {
    /// Those that an earlier process left in force.
    pub(crate) fn adopt(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    /// The list's number, as the kernel's settings have it.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Puts in force what a configuration says. Does nothing when that is in force.
    pub(crate) fn take(&mut self, l4: &L4, balancer: &mut Balancer) -> Result<()> {
        let wanted = Wanted::of(l4);
        let stamps = stamps(&wanted);
        if wanted == self.wanted && stamps == self.in_force && (self.number != 0) != wanted.is_empty() {
            return Ok(());
        }
        self.load(&wanted, balancer)?;
        (self.wanted, self.seen, self.tried, self.in_force) = (wanted, stamps.clone(), stamps.clone(), stamps);
        Ok(())
    }

    /// Looks at the files; whether another list is in force now.
    pub(crate) fn watch(&mut self, balancer: &mut Balancer) -> Result<bool> {
        let now = stamps(&self.wanted);
        let is_settled = core::mem::replace(&mut self.seen, now.clone()) == now;
        if now == self.in_force || now == self.tried || !is_settled {
            return Ok(false);
        }
        // Tried once: what is wrong is said once.
        self.tried.clone_from(&now);
        let wanted = core::mem::take(&mut self.wanted);
        let loaded = self.load(&wanted, balancer);
        self.wanted = wanted;
        loaded.context("the lists in force stay")?;
        self.in_force = now;
        Ok(true)
    }

    #[expect(clippy::disallowed_methods, reason = "on the kernel layer's thread, which serves nobody")]
    fn load(&mut self, wanted: &Wanted, balancer: &mut Balancer) -> Result<()> {
        if wanted.is_empty() {
            balancer.remove_guard()?;
            self.number = 0;
            return Ok(());
        }
        let begun = Instant::now();
        let prefixes = wanted.read()?;
        let count = prefixes.len();
        self.number = balancer.put_guard(&GuardList::compile(prefixes)).context("the kernel does not take the list")?;
        tracing::info!("guards: {count} blocks in force, read and written in {} ms", begun.elapsed().as_millis());
        Ok(())
    }
}

impl Wanted {
    fn of(l4: &L4) -> Self {
        let lists = [(&l4.deny, false), (&l4.allow, true)];
        Self {
            files: lists.iter().filter_map(|(list, allow)| Some((list.file.clone()?, *allow))).collect(),
            blocks: lists.iter().flat_map(|(list, allow)| list.blocks.iter().map(|block| (block.to_string(), *allow))).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.blocks.is_empty()
    }

    fn read(&self) -> Result<Vec<Prefix>> {
        let mut all = Vec::new();
        for (block, allow) in &self.blocks {
            all.extend(l4::prefixes(block, *allow)?);
        }
        for (path, allow) in &self.files {
            all.extend(file(path, *allow).with_context(|| format!("guards: {}", path.display()))?);
        }
        if all.len() > BLOCKS_MAX {
            bail!("guards: {} blocks are more than the {BLOCKS_MAX} that there is room for", all.len());
        }
        Ok(all)
    }
}

fn file(path: &Path, allow: bool) -> Result<Vec<Prefix>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        bail!("{bytes} bytes are more than {FILE_BYTES_MAX}");
    }
    Ok(l4::prefixes(&fs::read_to_string(path)?, allow)?)
}

fn stamps(wanted: &Wanted) -> Vec<Stamp> {
    let stamp = |path: &Path| fs::metadata(path).ok().map(|data| (data.ino(), data.len(), data.mtime(), data.mtime_nsec()));
    wanted.files.iter().map(|(path, _)| stamp(path)).collect()
}

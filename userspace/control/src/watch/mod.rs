//! Notices when a configuration file has become another, whichever way: written and closed, renamed into place, or reached through a symlink or
//! folder that was swapped (as Kubernetes does it).
//!
//! Never on modify: a file somebody is still writing is *torn*, and what is torn must not be applied. So the caller reads, then asks
//! [`Watcher::is_steady`] whether what it read was whole, and throws it away otherwise: closing the file will be noticed too.

mod way;

use core::{mem, time::Duration};
use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::unix::AsyncFd;

use way::Step;

/// A folder on the way that was made (not moved) here is filled only afterwards: how long it is given.
const SETTLE: Duration = Duration::from_millis(100);

/// Bytes of events taken in at once.
const EVENT_BYTES: usize = 4096;

/// What the directories of all watched paths are watched for.
const ON_THE_WAY: WatchMask = WatchMask::CREATE.union(WatchMask::MOVE).union(WatchMask::DELETE).union(WatchMask::ONLYDIR);
/// What the directories of files are watched for besides: whether somebody writes, and when he is done.
const OF_FILES: WatchMask = ON_THE_WAY.union(WatchMask::MODIFY).union(WatchMask::CLOSE_WRITE);

/// Watches files, folders and every step of the ways to them.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: AsyncFd<Inotify>,
    paths: Vec<PathBuf>,
    /// The directories watched, by what the kernel calls them. One directory may be on several ways.
    directories: HashMap<WatchDescriptor, PathBuf>,
    roles: HashMap<PathBuf, Roles>,
    /// Files that were written to and not closed since.
    torn: HashSet<PathBuf>,
    noticed: Noticed,
    /// Where the kernel puts its events.
    events: Vec<u8>,
}

/// What matters in a directory.
#[derive(Debug, Default)]
struct Roles {
    /// Entries that are steps of a way: a folder or symlink.
    ways: HashSet<OsString>,
    /// Entries that are watched files.
    files: HashSet<OsString>,
    /// The directory is watched as a whole: any entry may be a file of the configuration.
    is_whole: bool,
}

/// What the events read so far amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noticed {
    /// Something is another file now, and whole as far as can be known.
    changed: bool,
    /// The ways have to be walked again.
    moved: bool,
    /// A folder was made on a way.
    made: bool,
}

impl Watcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "sound here: an Inotify owns its one descriptor; the replacement is unsafe only for types that do not"
        )]
        let inotify = AsyncFd::new(Inotify::init()?)?;
        Ok(Self {
            inotify,
            paths: Vec::new(),
            directories: HashMap::new(),
            roles: HashMap::new(),
            torn: HashSet::new(),
            noticed: Noticed::default(),
            events: vec![0; EVENT_BYTES],
        })
    }

    /// Watches these files and folders (absolute paths) from now on. Those that are not there are watched for.
    pub(crate) fn watch(&mut self, paths: &[PathBuf]) {
        paths.clone_into(&mut self.paths);
        self.walk();
    }

    /// Waits until a watched file has become another.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.hear()?;
            if mem::take(&mut self.noticed.moved) {
                self.walk();
            }
            if mem::take(&mut self.noticed.changed) {
                return Ok(());
            }
            if self.noticed.made {
                // Forgotten only afterwards: this future may be dropped while it waits.
                tokio::time::sleep(SETTLE).await;
                self.hear()?;
                self.noticed.made = false;
                self.noticed.changed |= self.torn.is_empty();
                continue;
            }
            let mut guard = self.inotify.readable_mut().await?;
            guard.clear_ready();
        }
    }

    /// Whether nothing happened since [`Watcher::changed`] that would make what was read meanwhile old or half-written. If something did,
    /// `changed` will return for it.
    pub(crate) fn is_steady(&mut self) -> io::Result<bool> {
        self.hear()?;
        Ok(self.torn.is_empty() && !self.noticed.changed && !self.noticed.made)
    }

    /// Takes in all events that are there.
    fn hear(&mut self) -> io::Result<()> {
        loop {
            let events = match self.inotify.get_mut().read_events(&mut self.events) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    // Events were lost: everything may have changed, and who was writing may have closed.
                    self.torn.clear();
                    self.noticed = Noticed { changed: true, moved: true, ..self.noticed };
                } else if let (Some(directory), Some(name)) = (self.directories.get(&event.wd), event.name) {
                    let noticed = notice(&self.roles[directory], directory, name, event.mask, &mut self.torn);
                    self.noticed.changed |= noticed.changed;
                    self.noticed.moved |= noticed.moved;
                    self.noticed.made |= noticed.made;
                }
            }
        }
    }

    /// Walks all ways anew and watches their directories.
    fn walk(&mut self) {
        let roles = roles_of(&self.paths);
        let mut watches = self.inotify.get_ref().watches();
        let mut directories = HashMap::new();
        for (directory, roles) in &roles {
            let mask = if roles.is_whole || !roles.files.is_empty() { OF_FILES } else { ON_THE_WAY };
            match watches.add(directory, mask) {
                Ok(watch) => drop(directories.insert(watch, directory.clone())),
                Err(error) => tracing::warn!("changes in {} cannot be noticed: {error}", directory.display()),
            }
        }
        for watch in self.directories.keys().filter(|watch| !directories.contains_key(watch)) {
            // It may be gone with its directory already.
            drop(watches.remove(watch.clone()));
        }
        self.torn.retain(|file| file.parent().is_some_and(|directory| roles.contains_key(directory)));
        (self.directories, self.roles) = (directories, roles);
    }
}

/// What matters in which directory.
fn roles_of(paths: &[PathBuf]) -> HashMap<PathBuf, Roles> {
    let mut roles: HashMap<PathBuf, Roles> = HashMap::new();
    let mut add = |steps: Vec<Step>, is_file: bool| {
        let last = steps.len().saturating_sub(1);
        for (at, Step { directory, name }) in steps.into_iter().enumerate() {
            let roles = roles.entry(directory).or_default();
            if at == last && is_file {
                roles.files.insert(name)
            } else {
                roles.ways.insert(name)
            };
        }
    };
    let mut wholes = Vec::new();
    // Files come by the thousand in few folders: the way to each of those is walked once.
    let mut folders: HashMap<&Path, Option<PathBuf>> = HashMap::new();
    for path in paths {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let folder = folders.entry(folder).or_insert_with(|| {
            let (steps, target) = way::walk(folder);
            add(steps, target.is_none());
            target
        });
        let Some(folder) = folder else { continue };
        let (steps, target) = way::walk_from(folder.clone(), Path::new(name));
        let is_folder = target.as_ref().is_some_and(|target| target.is_dir());
        add(steps, !is_folder);
        wholes.extend(target.filter(|_| is_folder));
    }
    for whole in wholes {
        roles.entry(whole).or_default().is_whole = true;
    }
    roles
}

/// What an event means.
fn notice(roles: &Roles, directory: &Path, name: &OsStr, mask: EventMask, torn: &mut HashSet<PathBuf>) -> Noticed {
    let path = directory.join(name);
    let came = mask.contains(EventMask::MOVED_TO);
    let made = mask.contains(EventMask::CREATE);
    let gone = mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM);
    if roles.ways.contains(name) {
        let is_folder = mask.contains(EventMask::ISDIR);
        return Noticed { changed: came || (made && !is_folder), moved: came || made || gone, made: made && is_folder };
    }
    // Dot files in a folder are no part of the configuration: editors keep their copies so, some open for as long as they run.
    if !roles.files.contains(name) && (!roles.is_whole || name.as_bytes().starts_with(b".")) {
        return Noticed::default();
    }
    if mask.contains(EventMask::MODIFY) {
        torn.insert(path);
        return Noticed::default();
    }
    let found = (came || made).then(|| fs::symlink_metadata(&path).ok()).flatten();
    // A file in a file's place leaves every way what it was.
    let is_plain = found.as_ref().is_some_and(fs::Metadata::is_file);
    // A new file is not whole before it is closed, unless it is a new name of one that was there.
    let is_whole = made && found.is_some_and(|found| found.is_symlink() || (found.is_file() && found.nlink() > 1));
    if made && !is_whole && !mask.contains(EventMask::ISDIR) {
        torn.insert(path);
    } else {
        torn.remove(&path);
    }
    let closed = mask.contains(EventMask::CLOSE_WRITE);
    Noticed {
        changed: came || closed || is_whole || (gone && roles.is_whole),
        moved: (came || made) && !is_plain,
        made: made && mask.contains(EventMask::ISDIR),
    }
}

#[cfg(test)]
mod tests;

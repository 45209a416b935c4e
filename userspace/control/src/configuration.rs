//! From files to workers: read, compiled, applied by all workers or none. Lives at a desk of its own.

use alloc::sync::Arc;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use config::{Loaded, Rejection, Snapshot};

use crate::status::{Offer, Refusal, SourceFile, Status};

/// What control asks of the workers. Called from one thread, never from a worker.
pub trait Engine: Send + 'static {
    /// Opens the sockets that `snapshot` needs and are not open yet, then puts it in force on all workers, who give back the one they had: it is
    /// freed on this thread. On an error nothing has changed; the text names what could not be done and how to remedy it.
    fn apply(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), String>;

    /// Begins to drain: nothing new is accepted, what is under way is finished. Returns at once.
    fn drain(&mut self);

    /// Whether everything is finished (or was ended by the drain timeout) after [`Engine::drain`].
    fn is_drained(&mut self) -> bool;
}

/// A configuration that was read and compiled, and is not in force yet.
#[derive(Debug)]
pub struct Candidate {
    snapshot: Arc<Snapshot>,
    files: Arc<[SourceFile]>,
    /// Files and folders whose change may change it.
    pub(crate) watched: Vec<PathBuf>,
}

impl Candidate {
    /// What the workers would get.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn status(&self) -> Status {
        Status::new(Arc::clone(&self.snapshot), Arc::clone(&self.files))
    }
}

/// Reads and compiles a file and what it includes, before anything runs. All reasons against it at once.
pub fn read(path: &Path) -> Result<Candidate, Vec<String>> {
    let path = std::path::absolute(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
    compile(&config::load(&path).map_err(told)?, None)
}

/// What came of reading the files.
pub(crate) struct Reading {
    /// Files and folders whose change may change the outcome; `None` when not even the documents could be read.
    pub(crate) watched: Option<Vec<PathBuf>>,
    pub(crate) candidate: Result<Candidate, Vec<String>>,
}

/// The desk's thing: the path, and the workers.
pub(crate) struct Configuration {
    pub(crate) path: PathBuf,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) status: Arc<Status>,
}

/// What came of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in force.
    Applied { generation: u64 },
    /// It is what is in force already.
    Unchanged,
}

impl Configuration {
    /// Reads the files as they are now.
    pub(crate) fn read(&self) -> Reading {
        let previous = &self.status.live().snapshot;
        match config::load_after(&self.path, Some(previous)) {
            Ok(loaded) => Reading { watched: Some(loaded.watched().to_vec()), candidate: compile(&loaded, Some(previous)) },
            Err(rejections) => Reading { watched: None, candidate: Err(told(rejections)) },
        }
    }

    /// Puts a candidate in force on all workers, or leaves everything as it is.
    pub(crate) fn apply(&mut self, candidate: &Candidate, offer: Offer) -> Result<Outcome, Vec<String>> {
        if candidate.snapshot.hash == self.status.live().snapshot.hash {
            self.status.confirmed(offer);
            return Ok(Outcome::Unchanged);
        }
        self.engine.apply(&candidate.snapshot).map_err(|reason| vec![reason])?;
        self.status.applied(Arc::clone(&candidate.snapshot), Arc::clone(&candidate.files));
        Ok(Outcome::Applied { generation: candidate.snapshot.generation })
    }

    /// Notes why a candidate is not in force.
    pub(crate) fn refuse(&self, offer: Offer, reasons: Vec<String>) {
        self.status.refused(Refusal::new(offer, reasons));
    }

    /// Compiles `text` as if it stood in the file, then puts it there. What the file held before is given back, to restore it by
    /// [`Configuration::replace`] when the workers cannot apply the new text.
    pub(crate) fn write(&self, text: &str) -> Result<(Candidate, Vec<u8>), Vec<String>> {
        let previous = &self.status.live().snapshot;
        let candidate = compile(&config::load_text_after(&self.path, text, Some(previous)).map_err(told)?, Some(previous))?;
        let failed = |error: io::Error| vec![format!("{}: {error}", self.path.display())];
        let before = fs::read(&self.path).map_err(failed)?;
        self.replace(text.as_bytes()).map_err(failed)?;
        Ok((candidate, before))
    }

    /// Replaces the file so that a reader, or the next start after a power cut, finds the old or the new one and nothing between.
    pub(crate) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        // A symlink stays one: what it points to is replaced.
        let path = fs::canonicalize(&self.path)?;
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = folder.join(name);
        let replace = || {
            // Nobody may read it before it has the permissions of the one it replaces.
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.set_permissions(fs::metadata(&path)?.permissions())?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(folder)?.sync_all()
        };
        replace().inspect_err(|_error| fs::remove_file(&temporary).unwrap_or_default())
    }
}

fn compile(loaded: &Loaded, previous: Option<&Snapshot>) -> Result<Candidate, Vec<String>> {
    let snapshot = Arc::new(config::compile(loaded, previous).map_err(told)?);
    let file = |(path, text): (&Path, &str)| SourceFile { path: path.to_owned(), text: text.to_owned() };
    Ok(Candidate { snapshot, files: loaded.texts().map(file).collect(), watched: loaded.watched().to_vec() })
}

fn told(rejections: Vec<Rejection>) -> Vec<String> {
    rejections.into_iter().map(|rejection| rejection.to_string()).collect()
}

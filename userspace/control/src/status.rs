//! What is known about the process at any moment, readable without asking anybody.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::path::PathBuf;

use arc_swap::ArcSwap;
use config::Snapshot;
use serde::Serialize;

use crate::clock;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not all sockets are open yet.
    Starting,
    /// Traffic is welcome.
    Ready,
    /// What is under way is finished, nothing new is welcome.
    Draining,
}

/// The process's state.
#[derive(Debug)]
pub(crate) struct Status {
    phase: AtomicU8,
    live: ArcSwap<Live>,
}

/// The configuration in force and what became of the last one offered.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) files: Arc<[SourceFile]>,
    /// When it came into force.
    pub(crate) since: String,
    /// Why the last one offered was refused; gone once one is applied, or the one in force is offered again.
    pub(crate) refusal: Option<Arc<Refusal>>,
}

/// A file of the configuration as it was read: environment and secrets not filled in.
#[derive(Debug, Serialize)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refusal {
    /// When.
    pub(crate) at: String,
    /// Each reason, with file, line and field where it has them.
    pub(crate) reasons: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(reasons: Vec<String>) -> Self {
        Self { at: clock::now(), reasons }
    }
}

impl Status {
    pub(crate) fn new(snapshot: Arc<Snapshot>, files: Arc<[SourceFile]>) -> Self {
        let live = Live { snapshot, files, since: clock::now(), refusal: None };
        Self { phase: AtomicU8::new(Phase::Starting as u8), live: ArcSwap::from_pointee(live) }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Another configuration came into force.
    pub(crate) fn applied(&self, snapshot: Arc<Snapshot>, files: Arc<[SourceFile]>) {
        self.live.store(Arc::new(Live { snapshot, files, since: clock::now(), refusal: None }));
    }

    /// Another configuration was refused, or (`None`) the refusal is settled.
    pub(crate) fn refused(&self, refusal: Option<Refusal>) {
        let live = Live::clone(&self.live.load());
        self.live.store(Arc::new(Live { refusal: refusal.map(Arc::new), ..live }));
    }
}

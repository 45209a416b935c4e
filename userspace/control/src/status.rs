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
    /// Why the last one offered was refused; gone once one is applied, or the one in force is offered again the same way.
    pub(crate) refusal: Option<Arc<Refusal>>,
}

/// A file of the configuration as it was read: environment and secrets not filled in.
#[derive(Debug, Serialize)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// How a configuration is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It stands in the file.
    File,
    /// By a request; the file holds it only once it is accepted.
    Request,
}

/// Why a configuration was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// How it was offered.
    offer: Offer,
    /// When.
    pub(crate) at: String,
    /// Each reason, with file, line and field where it has them.
    pub(crate) reasons: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(offer: Offer, reasons: Vec<String>) -> Self {
        Self { offer, at: clock::now(), reasons }
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

    /// Another configuration was refused.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.set_refusal(Some(Arc::new(refusal)));
    }

    /// The one in force was offered again. Found in the file it says nothing of what a request had offered, and which is not there.
    pub(crate) fn confirmed(&self, offer: Offer) {
        let refusal = self.live.load().refusal.clone();
        self.set_refusal(refusal.filter(|refusal| offer == Offer::File && refusal.offer == Offer::Request));
    }

    fn set_refusal(&self, refusal: Option<Arc<Refusal>>) {
        let live = Live::clone(&self.live.load());
        self.live.store(Arc::new(Live { refusal, ..live }));
    }
}

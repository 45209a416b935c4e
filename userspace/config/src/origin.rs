//! Where the parts of a snapshot came from: what the next compilation holds its own documents against, so that it reads
//! and compiles only what says something else than before.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use hashbrown::HashMap;
use route::{HostPattern, Rule};

use crate::document::Timeouts;
use crate::load::{Document, Loaded};
use crate::read::At;
use crate::scalars::TimeLimit;
use crate::snapshot::{Action, Name, Route, Target};

/// The documents of a snapshot, and where in them its parts stood.
#[derive(Clone)]
pub(crate) struct Origin {
    documents: Arc<[Document]>,
    environment: BTreeMap<String, String>,
    /// What clusters inherited.
    inherited: [TimeLimit; 2],
    /// By slot index.
    pub(crate) clusters: Vec<At>,
    pub(crate) listeners: HashMap<Name, Vec<SiteOrigin>>,
}

/// One site of a listener.
#[derive(Clone)]
pub(crate) struct SiteOrigin {
    pub(crate) hosts: Vec<HostPattern>,
    /// What its routes inherited.
    pub(crate) request: TimeLimit,
    pub(crate) routes: Vec<RouteOrigin>,
}

/// One route of a site.
#[derive(Clone)]
pub(crate) struct RouteOrigin {
    pub(crate) at: At,
    pub(crate) rule: Rule<Arc<Route>>,
}

impl RouteOrigin {
    /// The clusters it leads to.
    pub(crate) fn targets(&self) -> &[Target] {
        match &self.rule.value.action {
            Action::Forward(targets) => targets.targets(),
            Action::Reply(_) => &[],
        }
    }
}

impl Origin {
    pub(crate) fn new(loaded: &Loaded, timeouts: &Timeouts) -> Self {
        Self {
            documents: loaded.documents.clone(),
            environment: loaded.environment.clone(),
            inherited: inherited(timeouts),
            clusters: Vec::new(),
            listeners: HashMap::new(),
        }
    }

    /// Whether parts of it may be taken over at all: relative paths and the environment mean what they meant.
    pub(crate) fn is_comparable(&self, loaded: &Loaded) -> bool {
        let files = |documents: &[Document]| documents.iter().map(|document| document.file.clone()).collect::<Vec<_>>();
        self.environment == loaded.environment && files(&self.documents) == files(&loaded.documents)
    }

    /// Whether clusters inherit what they inherited.
    pub(crate) fn inherits(&self, timeouts: &Timeouts) -> bool {
        self.inherited == inherited(timeouts)
    }

    /// Whether what stands at `at` in the loaded documents is what stood at `old` in these.
    pub(crate) fn is_same(&self, old: At, loaded: &[Document], at: At) -> bool {
        at.is_in_document_of(old) && old.place(&self.documents).is_same_as(at.place(loaded))
    }
}

fn inherited(timeouts: &Timeouts) -> [TimeLimit; 2] {
    [timeouts.connect, timeouts.idle]
}

impl fmt::Debug for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Origin").finish_non_exhaustive()
    }
}

//! From documents to a [`Snapshot`]: pure, and sharing with the snapshot before whatever did not change.
//!
//! Clusters and routes come by the thousand, so what says the same as before is neither read nor compiled again: the trees
//! are compared, and the old `Arc` is taken over.

mod clusters;
mod health;
mod http;
mod l4;
mod listeners;
mod secrets;
mod tls;
mod vips;

use alloc::sync::Arc;

use hashbrown::HashMap;

use ::tls::Certificate;

use crate::contents::{Digest, Kept};
use crate::document::{self, Root};
use crate::load::Loaded;
use crate::origin::Origin;
use crate::read::{At, Reader, Scalar as _};
use crate::rejection::Rejection;
use crate::resolve::resolve;
use crate::snapshot::{AccessLog, Admin, ClusterTable, Metrics, Name, Process, Snapshot};

/// Compiles what was loaded, or gives every reason against it.
///
/// What is as it was in `previous` is the same `Arc` as there, and every cluster that keeps its name keeps its slot.
pub fn compile(loaded: &Loaded, previous: Option<&Snapshot>) -> Result<Snapshot, Vec<Rejection>> {
    let reader = Reader::new(&loaded.documents, &loaded.environment);
    let comparable = previous.filter(|previous| previous.origin.is_comparable(loaded));
    let mut reader = if comparable.is_some() { reader.lazy() } else { reader };
    let Some(mut root) = resolve(loaded, &mut reader) else {
        return Err(reader.finish());
    };
    let mut compiler = Compiler {
        reader,
        loaded,
        previous,
        comparable,
        table: ClusterTable::default(),
        origin: Origin::new(loaded, &root.defaults.timeouts),
        route_names: HashMap::new(),
        secrets: HashMap::new(),
        keep: loaded.contents.seen(),
    };
    compiler.compile_secrets(&root);
    compiler.assign_slots(&root);
    compiler.compile_clusters(&mut root);
    let listeners = compiler.compile_listeners(&mut root);
    compiler.check_ports(&root);
    let vips = compiler.compile_vips(&root, &listeners);
    let l4 = compiler.compile_l4(&root);
    let access_log = compiler.access_log(&root);
    if !compiler.reader.is_content() {
        return Err(compiler.reader.finish());
    }
    Ok(Snapshot {
        generation: previous.map_or(1, |previous| previous.generation + 1),
        hash: loaded.hash(),
        listeners,
        certificates: compiler.secrets.iter().filter_map(|(name, secret)| Some((name.clone(), secret.as_ref()?.1.clone()))).collect(),
        vips,
        l4,
        admin: share(admin(&root.admin), previous.map(|previous| &previous.admin)),
        access_log,
        process: share(process(&root), previous.map(|previous| &previous.process)),
        clusters: compiler.table,
        origin: compiler.origin,
        kept: Arc::new(compiler.keep),
    })
}

/// The old one when it says the same.
fn share<T: PartialEq>(new: T, old: Option<&Arc<T>>) -> Arc<T> {
    match old {
        Some(old) if **old == new => old.clone(),
        _ => Arc::new(new),
    }
}

struct Compiler<'a> {
    reader: Reader<'a>,
    loaded: &'a Loaded,
    previous: Option<&'a Snapshot>,
    /// The previous snapshot, when its documents may be held against the new ones.
    comparable: Option<&'a Snapshot>,
    table: ClusterTable,
    /// What the next compilation will hold its documents against.
    origin: Origin,
    /// Names given to routes, and where.
    route_names: HashMap<Name, At>,
    /// `None` for those that were refused.
    secrets: HashMap<Name, Option<(Digest, Arc<Certificate>)>>,
    /// What the new snapshot keeps of the contents.
    keep: Kept,
}

impl Compiler<'_> {
    fn access_log(&mut self, root: &Root) -> Option<Arc<AccessLog>> {
        let log = root.access_log.as_ref()?;
        let fields = &log.fields;
        // The default stands nowhere, but is not empty.
        if fields.is_empty() && self.reader.is_empty(fields.at) {
            self.reader.reject(fields.at, "a log line needs at least one field");
        }
        for (place, field) in fields.iter().enumerate() {
            if fields[..place].contains(field) {
                let name = field.shown().into_text();
                self.reader.reject(fields.at, format_args!("the field {name} stands here twice"));
            }
        }
        let new = AccessLog { target: log.to.clone(), format: log.format, fields: fields.value.clone().into() };
        Some(share(new, self.previous.and_then(|previous| previous.access_log.as_ref())))
    }
}

fn admin(admin: &document::Admin) -> Admin {
    let metrics = admin.metrics.as_ref().map(|metrics| Metrics {
        bind: metrics.bind,
        hosts: metrics.hosts.iter().map(|host| host.value.shown().into_text().into()).collect(),
    });
    Admin { socket: admin.bind.as_ref().map(|socket| socket.0.clone()), metrics }
}

fn process(root: &Root) -> Process {
    let text = |text: &Option<String>| text.as_deref().map(Box::from);
    Process { workers: root.workers.0, user: text(&root.user), group: text(&root.group) }
}

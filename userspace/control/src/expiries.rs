//! When certificates are good no longer, as metrics: one that is forgotten takes its site down.

use std::collections::BTreeMap;

use config::{Name, Snapshot};
use stats::{Gauge, Page, metrics};

/// The gauges of all certificates there have been.
pub(crate) struct Expiries {
    page: Page,
    shown: BTreeMap<Name, Gauge>,
}

impl Expiries {
    /// None yet.
    pub(crate) fn new(page: Page) -> Self {
        Self { page, shown: BTreeMap::new() }
    }

    /// Shows those of a configuration.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) {
        self.shown.retain(|name, gauge| {
            let stays = snapshot.certificates.contains_key(name);
            if !stays {
                gauge.set(0);
            }
            stays
        });
        for (name, certificate) in &snapshot.certificates {
            let gauge =
                self.shown.entry(Name::clone(name)).or_insert_with(|| self.page.gauge(&metrics::CERTIFICATE_EXPIRY, &[("secret", name)]));
            gauge.set(certificate.expires());
        }
    }
}

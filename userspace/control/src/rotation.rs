//! Turns the keys of session tickets when their time has come.

use alloc::sync::Arc;

use config::{Snapshot, TicketKeys};
use tokio::time::Instant;

/// When which keys are turned.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    keys: Arc<TicketKeys>,
    due: Instant,
}

impl Rotation {
    /// Goes by another snapshot. Keys that were there before are turned when they would have been, or earlier if they are now turned more often.
    pub(crate) fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let keys = snapshot.listeners.values().filter_map(|listener| listener.tls.as_ref()?.tickets.as_ref());
        let turn = |keys: &Arc<TicketKeys>| {
            let old = self.turns.iter().find(|turn| Arc::ptr_eq(&turn.keys.keys, &keys.keys));
            let due = now + keys.rotate?;
            Some(Turn { keys: Arc::clone(keys), due: old.map_or(due, |old| old.due.min(due)) })
        };
        self.turns = keys.filter_map(turn).collect();
    }

    /// When the next keys are due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.turns.iter().map(|turn| turn.due).min()
    }

    /// Turns those that are due.
    pub(crate) fn turn(&mut self, now: Instant) {
        for turn in self.turns.iter_mut().filter(|turn| turn.due <= now) {
            if let Err(error) = turn.keys.keys.rotate() {
                tracing::error!("ticket keys were not turned: {error}");
            }
            turn.due = now + turn.keys.rotate.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::path::Path;

    use super::*;

    fn snapshot(tickets: &str, previous: Option<&Snapshot>) -> Snapshot {
        let text = format!(
            "version: 1\nsecrets: {{ shop: {{ cert: shop.pem, key: shop.key }} }}\nclusters: {{ a: {{ endpoints: [10.0.0.1:80] }} }}\n\
             listeners: {{ web: {{ bind: [\"*:443\"], tls: {{ certificates: [shop]{tickets} }}, tcp: a }} }}\n"
        );
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/tests/data/sluice.yaml"));
        config::compile(&config::load_text(path, text).unwrap(), previous).unwrap()
    }

    /// How many keys are kept.
    fn keys(snapshot: &Snapshot) -> usize {
        let tickets = snapshot.listeners["web"].tls.as_ref().unwrap().tickets.as_ref().unwrap();
        format!("{:?}", tickets.keys).matches("TicketKey").count()
    }

    #[test]
    fn keys_are_turned_in_time_and_over_changes() {
        const HOUR: Duration = Duration::from_hours(1);
        let start = Instant::now();
        let mut rotation = Rotation::default();
        let first = snapshot("", None);
        rotation.follow(&first, start);
        assert_eq!(rotation.due(), Some(start + 6 * HOUR));
        rotation.turn(start + 5 * HOUR);
        assert_eq!(keys(&first), 1);
        rotation.turn(start + 6 * HOUR);
        assert_eq!((keys(&first), rotation.due()), (2, Some(start + 12 * HOUR)));
        // Later than before, then earlier; the keys are the same.
        let second = snapshot(", tickets: { rotate: 8h }", Some(&first));
        rotation.follow(&second, start + 7 * HOUR);
        assert_eq!((keys(&second), rotation.due()), (2, Some(start + 12 * HOUR)));
        let third = snapshot(", tickets: { rotate: 1h }", Some(&second));
        rotation.follow(&third, start + 8 * HOUR);
        assert_eq!((keys(&third), rotation.due()), (2, Some(start + 9 * HOUR)));
        // Keys from elsewhere, and none.
        for tickets in [", tickets: { keys: tls/tickets }", ", tickets: none"] {
            rotation.follow(&snapshot(tickets, Some(&third)), start);
            assert_eq!(rotation.due(), None);
        }
    }
}

//! Telling systemd (`sd_notify`): when traffic is welcome, when a reload runs, when it ends, and that all workers turn.
//!
//! Without systemd the workers are watched all the same, and told of in log and counters.

use alloc::sync::Arc;
use core::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
};

use rustix::time::{ClockId, clock_gettime};
use stats::{Counter, Page, metrics};

/// How often the workers are looked at when nobody asks for more.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// The service manager's ear; silent when there is none.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    ear: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// As `$NOTIFY_SOCKET` says.
    pub(crate) fn from_environment() -> Self {
        let Some(address) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        Self::to(&address).unwrap_or_else(|error| {
            tracing::warn!("NOTIFY_SOCKET {address:?} cannot be used: {error}");
            Self::default()
        })
    }

    /// A path, or an abstract name after `@`.
    fn to(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not listen must not hold us up.
        socket.set_nonblocking(true)?;
        Ok(Self { ear: Some((socket, address)) })
    }

    pub(crate) fn ready(&self) {
        self.tell("READY=1\n");
    }

    /// `systemctl reload` waits (Type=notify-reload) until READY follows this with a later clock.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}{:06}\n", now.tv_sec, now.tv_nsec / 1_000));
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.ear
            && let Err(error) = socket.send_to_addr(what.as_bytes(), address)
        {
            tracing::warn!("the service manager does not take {:?}: {error}", what.trim_end());
        }
    }
}

/// Watches that every worker's loop turns. An idle worker has to turn too, at least once a second.
#[derive(Debug)]
pub(crate) struct Watchdog {
    interval: Duration,
    is_fed: bool,
    workers: Vec<Pulse>,
}

/// A worker's heartbeat, a number that its loop raises each turn, and where it stood when last looked at.
#[derive(Debug)]
struct Pulse {
    heartbeat: Arc<AtomicU64>,
    last: u64,
    missed: Counter,
}

impl Watchdog {
    /// As `$WATCHDOG_USEC` and `$WATCHDOG_PID` say.
    pub(crate) fn from_environment(heartbeats: Vec<Arc<AtomicU64>>, page: &Page) -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let asked = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros);
        Self::new(asked, heartbeats, page)
    }

    /// `asked` is the time after which the service manager takes us for dead.
    fn new(asked: Option<Duration>, heartbeats: Vec<Arc<AtomicU64>>, page: &Page) -> Self {
        let pulse = |(worker, heartbeat): (usize, Arc<AtomicU64>)| {
            let missed = page.counter(&metrics::WATCHDOG_MISSED, &[("worker", &worker.to_string())]);
            Pulse { last: heartbeat.load(Relaxed), heartbeat, missed }
        };
        let workers = heartbeats.into_iter().enumerate().map(pulse).collect();
        Self { interval: asked.map_or(WATCH_INTERVAL, |asked| asked / 2), is_fed: asked.is_some(), workers }
    }

    /// Watches for ever.
    pub(crate) async fn watch(mut self, notifier: &Notifier) {
        loop {
            tokio::time::sleep(self.interval).await;
            self.look(notifier);
        }
    }

    fn look(&mut self, notifier: &Notifier) {
        let mut all = true;
        for (worker, pulse) in self.workers.iter_mut().enumerate() {
            let now = pulse.heartbeat.load(Relaxed);
            if now == pulse.last {
                all = false;
                pulse.missed.increment();
                tracing::error!("worker {worker} has not turned for {:?}", self.interval);
            }
            pulse.last = now;
        }
        if all && self.is_fed {
            notifier.tell("WATCHDOG=1\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn the_service_manager_hears_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("sluice-notify-{}", process::id());
        let ears = [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(), format!("@{name}").into()),
        ];
        for (ear, address) in ears {
            ear.set_nonblocking(true).unwrap();
            let notifier = Notifier::to(&address).unwrap();
            notifier.ready();
            notifier.reloading();
            notifier.stopping();
            assert_eq!(heard(&ear).unwrap(), "READY=1\n");
            let reloading = heard(&ear).unwrap();
            let clock = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
            assert!(clock.parse::<u64>().unwrap() > 0);
            assert_eq!(heard(&ear).unwrap(), "STOPPING=1\n");
            assert_eq!(heard(&ear), None);
        }
        Notifier::default().ready();
    }

    #[test]
    fn the_watchdog_is_fed_only_while_all_workers_turn() {
        let folder = tempfile::tempdir().unwrap();
        let ear = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        ear.set_nonblocking(true).unwrap();
        let notifier = Notifier::to(folder.path().join("notify").as_os_str()).unwrap();
        let (hub, mut reader) = stats::stats();
        let hearts: Vec<Arc<AtomicU64>> = (0..2).map(|_| Arc::default()).collect();
        let mut watchdog = Watchdog::new(Some(Duration::from_secs(10)), hearts.clone(), &hub.page());
        assert_eq!(watchdog.interval, Duration::from_secs(5));
        for (turns, fed) in [([1, 1], true), ([1, 0], false), ([0, 0], false), ([3, 1], true)] {
            hearts.iter().zip(turns).for_each(|(heart, turns)| heart.store(heart.load(Relaxed) + turns, Relaxed));
            watchdog.look(&notifier);
            assert_eq!(heard(&ear), fed.then(|| "WATCHDOG=1\n".to_owned()));
        }
        let text = reader.collect().prometheus();
        assert!(text.contains("sluice_watchdog_missed_total{worker=\"0\"} 1\n"), "{text}");
        assert!(text.contains("sluice_watchdog_missed_total{worker=\"1\"} 2\n"), "{text}");
        let mut unasked = Watchdog::new(None, hearts.clone(), &hub.page());
        for heart in &hearts {
            heart.store(100, Relaxed);
        }
        unasked.look(&notifier);
        assert_eq!(heard(&ear), None, "nobody asked to be fed");
    }
}

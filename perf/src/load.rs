//! The load generator: one thread, epoll, any number of connections, in this very process.
//!
//! In this process, so that units of work and the proxy's CPU time are read at the same moment. An open loop counts
//! a request's time from when it was due, so that a proxy that stalls pays for everybody it kept waiting.

mod engine;
mod http2;
mod reply;
mod tls;
mod wire;

use anyhow::{Context, Result, anyhow};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use engine::Engine;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What kind of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Every connection sends its next request when the last is answered.
    KeepAlive,
    /// Every request has a connection of its own, until the proxy closes it.
    PerRequest,
    /// So many requests a second over connections that stay, answered in time or not.
    Paced { per_second: f64 },
    /// One request for each connection, which then stays and is silent.
    Once,
}

/// What to load, how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) target: SocketAddr,
    pub(crate) path: Path,
    pub(crate) connections: usize,
    pub(crate) shape: Shape,
    pub(crate) http: Http,
    pub(crate) tls: Option<Tls>,
}

/// What the origin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// `/`, 1 KiB.
    Small,
    /// `/1m`, 1 MiB.
    Large,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    /// HTTP/2 from the first byte on, or by ALPN, with so many requests at a time on each connection.
    Two {
        streams: usize,
    },
}

/// TLS 1.3 with one suite and one group for all, so that every proxy does the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Every connection but the first few goes on from a ticket of one before; else none does.
    pub(crate) resume: bool,
    pub(crate) group: Group,
}

/// How keys are agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    X25519,
    X25519MlKem768,
}

impl Path {
    fn text(self) -> &'static str {
        match self {
            Self::Small => "/",
            Self::Large => "/1m",
        }
    }

    /// Bytes of the answer's body.
    fn bytes(self) -> u64 {
        match self {
            Self::Small => 1 << 10,
            Self::Large => 1 << 20,
        }
    }
}

/// What can be read while the load runs.
#[derive(Default)]
pub(crate) struct Tally {
    /// Requests answered in full with 200.
    pub(crate) completed: AtomicU64,
    /// Requests answered with anything else, or cut off, or never answered.
    pub(crate) failed: AtomicU64,
    /// Connections that the proxy closed while no request was outstanding.
    pub(crate) closed: AtomicU64,
    /// Latencies are kept while this is set.
    recording: AtomicBool,
    stop: AtomicBool,
}

/// What is known when the load has ended.
#[derive(Default)]
pub(crate) struct Report {
    /// Time from due to done of every paced request, sorted.
    latencies: Vec<Duration>,
    /// When each `x-version` of an answer was seen first.
    pub(crate) versions: Vec<(u64, Instant)>,
}

/// A load that runs; stops when dropped.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    thread: Option<JoinHandle<Result<Report>>>,
}

impl Load {
    pub(crate) fn start(plan: Plan) -> Result<Self> {
        let tally = Arc::new(Tally::default());
        let mut engine = Engine::new(plan, Arc::clone(&tally))?;
        let run = move || engine.run();
        let thread = thread::Builder::new().name("load".to_owned()).spawn(run).context("cannot start the load")?;
        Ok(Self { tally, thread: Some(thread) })
    }

    pub(crate) fn completed(&self) -> u64 {
        self.tally.completed.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.tally.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self) {
        self.tally.recording.store(true, Ordering::Relaxed);
    }

    /// Stop, close all connections, and hand out what was seen.
    pub(crate) fn finish(mut self) -> Result<Report> {
        self.tally.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("only finish takes it");
        thread.join().map_err(|_panic| anyhow!("the load generator panicked"))?
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tally.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Report {
    /// The latency that `share` of the requests did not exceed, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank within a list")]
        let rank = (last as f64 * share).round() as usize;
        Some(self.latencies[rank].as_secs_f64() * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::{Http, Load, Path, Plan, Report, Shape};
    use crate::origin;
    use core::time::Duration;
    use std::thread;
    use std::time::Instant;

    /// Run a load straight against the origin until `count` requests are done.
    fn check(shape: Shape, path: Path, count: u64) -> Report {
        let [target, _] = origin::start().unwrap();
        let load = Load::start(Plan { target, path, connections: 8, shape, http: Http::One, tls: None }).unwrap();
        load.record();
        let end = Instant::now() + Duration::from_secs(10);
        while load.completed() < count && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(load.completed() >= count, "{shape:?}: {} done", load.completed());
        assert_eq!(load.failed(), 0, "{shape:?}");
        load.finish().unwrap()
    }

    #[test]
    fn every_shape_is_answered() {
        check(Shape::KeepAlive, Path::Small, 1000);
        check(Shape::KeepAlive, Path::Large, 50);
        check(Shape::PerRequest, Path::Small, 200);
        check(Shape::PerRequest, Path::Large, 20);
        check(Shape::Once, Path::Small, 8);
        let report = check(Shape::Paced { per_second: 2000.0 }, Path::Small, 100);
        assert!(report.percentile(0.5).unwrap() > 0.0);
    }

    #[test]
    fn a_dead_target_fails() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let load =
            Load::start(Plan { target: dead, path: Path::Small, connections: 1, shape: Shape::KeepAlive, http: Http::One, tls: None })
                .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while load.failed() == 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(load.failed() > 0);
    }

    #[test]
    fn percentiles_are_ranks() {
        let latencies = (1..=101).map(Duration::from_micros).collect();
        let report = Report { latencies, versions: Vec::new() };
        assert_eq!(report.percentile(0.5).map(f64::round), Some(51.0));
        assert_eq!(report.percentile(0.99).map(f64::round), Some(100.0));
        assert_eq!(Report::default().percentile(0.5), None);
    }
}

//! What is measured: every row of the table, and how it is read.

use crate::load::{Group, Path, Plan, Shape, Tls};
use crate::peers::Kind;
use crate::plans::{h2c, http, tls, tls_h2};
use crate::rig::{Proxy, Rig};
use crate::steady::{self, Sample};
use crate::{admin, memory, reloads, syscalls};
use anyhow::{Result, bail};
use clap::ValueEnum;
use core::time::Duration;

/// One row; most have several readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    #[value(name = "keepalive-1")]
    Keepalive1,
    #[value(name = "keepalive-16")]
    Keepalive16,
    #[value(name = "keepalive-64")]
    Keepalive64,
    #[value(name = "keepalive-512")]
    Keepalive512,
    OpenLoop,
    PerRequest,
    TcpPerRequest,
    BodyHttp,
    BodyTcp,
    TcpRedirect,
    H2c,
    Tls,
    TlsH2,
    TlsBody,
    TlsFull,
    TlsRsa,
    TlsResumed,
    TlsHybrid,
    Syscalls,
    TwoWorkers,
    Memory,
    MemoryH2c,
    MemoryTls,
    MemoryTlsH2,
    Reloads,
}

/// One number of one proxy.
pub(crate) struct Reading {
    pub(crate) what: &'static str,
    pub(crate) better: Better,
    pub(crate) value: f64,
    /// True, but not the proxy's: the load was the limit.
    pub(crate) doubtful: bool,
}

/// Which way a reading is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    /// Stands there to judge the others by.
    Neither,
}

/// What rows need to know.
pub(crate) struct Setting<'a> {
    pub(crate) rig: &'a Rig,
    pub(crate) window: Duration,
    /// Requests a second of the open loop.
    pub(crate) open_loop_rate: f64,
}

const OPEN_LOOP_CONNECTIONS: usize = 256;
/// An open loop that did less than this of what was due had a limit somewhere.
const ON_TIME: f64 = 0.99;
const MIB_PER_GIB: f64 = 1024.0;

impl Row {
    pub(crate) const ALL: [Self; 25] = [
        Self::Keepalive1,
        Self::Keepalive16,
        Self::Keepalive64,
        Self::Keepalive512,
        Self::OpenLoop,
        Self::PerRequest,
        Self::TcpPerRequest,
        Self::BodyHttp,
        Self::BodyTcp,
        Self::TcpRedirect,
        Self::H2c,
        Self::Tls,
        Self::TlsH2,
        Self::TlsBody,
        Self::TlsFull,
        Self::TlsRsa,
        Self::TlsResumed,
        Self::TlsHybrid,
        Self::Syscalls,
        Self::TwoWorkers,
        Self::Memory,
        Self::MemoryH2c,
        Self::MemoryTls,
        Self::MemoryTlsH2,
        Self::Reloads,
    ];

    /// How many of `rounds` are its: what hardly moves is read once, what starts a proxy of its own takes a few.
    pub(crate) fn rounds(self, rounds: usize) -> usize {
        match self {
            Self::Syscalls | Self::Memory | Self::MemoryH2c | Self::MemoryTls | Self::MemoryTlsH2 | Self::Reloads => 1,
            Self::TwoWorkers | Self::TcpRedirect => rounds.div_ceil(5),
            Self::Keepalive1
            | Self::Keepalive16
            | Self::Keepalive64
            | Self::Keepalive512
            | Self::OpenLoop
            | Self::PerRequest
            | Self::TcpPerRequest
            | Self::BodyHttp
            | Self::BodyTcp
            | Self::H2c
            | Self::Tls
            | Self::TlsH2
            | Self::TlsBody
            | Self::TlsFull
            | Self::TlsRsa
            | Self::TlsResumed
            | Self::TlsHybrid => rounds,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Keepalive1 => "HTTP/1.1 1 KiB keep-alive, 1 connection",
            Self::Keepalive16 => "HTTP/1.1 1 KiB keep-alive, 16 connections",
            Self::Keepalive64 => "HTTP/1.1 1 KiB keep-alive, 64 connections",
            Self::Keepalive512 => "HTTP/1.1 1 KiB keep-alive, 512 connections",
            Self::OpenLoop => "HTTP/1.1 open loop, timed from due",
            Self::PerRequest => "HTTP/1.1 connection + request + close",
            Self::TcpPerRequest => "TCP proxying, connection + request + close",
            Self::BodyHttp => "1 MiB bodies, HTTP/1.1",
            Self::BodyTcp => "1 MiB bodies, TCP proxying",
            Self::TcpRedirect => "TCP proxying, relayed and redirected: both CPUs",
            Self::H2c => "HTTP/2 in the clear, 16 connections of 16 streams",
            Self::Tls => "HTTP/1.1 over TLS 1.3, 64 connections",
            Self::TlsH2 => "HTTP/2 over TLS 1.3, 16 connections of 16 streams",
            Self::TlsBody => "1 MiB bodies, HTTP/1.1 over TLS 1.3",
            Self::TlsFull => "TLS 1.3 handshake, P-256 + request + close",
            Self::TlsRsa => "TLS 1.3 handshake, RSA-2048 + request + close",
            Self::TlsResumed => "TLS 1.3 handshake, resumed + request + close",
            Self::TlsHybrid => "TLS 1.3 handshake, P-256, X25519MLKEM768 + request + close",
            Self::Syscalls => "System calls",
            Self::TwoWorkers => "Two workers, 64 connections",
            Self::Memory => "9000 idle keep-alive connections",
            Self::MemoryH2c => "9000 idle HTTP/2 connections",
            Self::MemoryTls => "9000 idle TLS connections",
            Self::MemoryTlsH2 => "9000 idle TLS connections with HTTP/2",
            Self::Reloads => "6 reloads at 3000 requests/s",
        }
    }

    /// Measure a proxy. It runs, all others are paused.
    pub(crate) fn measure(self, setting: &Setting<'_>, proxy: &Proxy) -> Result<Vec<Reading>> {
        match self {
            Self::Keepalive1 => keepalive(setting, proxy, 1),
            Self::Keepalive16 => keepalive(setting, proxy, 16),
            Self::Keepalive64 => keepalive(setting, proxy, 64),
            Self::Keepalive512 => keepalive(setting, proxy, 512),
            Self::OpenLoop => open_loop(setting, proxy),
            Self::PerRequest => requests(&sample(setting, proxy, http(proxy, 64, Shape::PerRequest))?),
            Self::TcpPerRequest => {
                requests(&sample(setting, proxy, Plan { target: proxy.site.tcp, ..http(proxy, 64, Shape::PerRequest) })?)
            }
            Self::BodyHttp => bodies(setting, proxy, http(proxy, 16, Shape::KeepAlive)),
            Self::BodyTcp => bodies(setting, proxy, Plan { target: proxy.site.tcp, ..http(proxy, 16, Shape::KeepAlive) }),
            Self::TcpRedirect => redirected(setting, proxy),
            Self::Syscalls => system_calls(proxy),
            Self::TwoWorkers => two_workers(setting, proxy),
            Self::H2c => requests(&sample(setting, proxy, h2c(proxy))?),
            Self::Tls => requests(&sample(setting, proxy, tls(proxy))?),
            Self::TlsH2 => requests(&sample(setting, proxy, tls_h2(proxy))?),
            Self::TlsBody => bodies(setting, proxy, Plan { connections: 16, ..tls(proxy) }),
            Self::TlsFull => handshakes(setting, proxy, tls(proxy)),
            Self::TlsRsa => handshakes(setting, proxy, Plan { target: proxy.site.tls_rsa, ..tls(proxy) }),
            Self::TlsResumed => handshakes(setting, proxy, Plan { tls: Some(Tls { resume: true, group: Group::X25519 }), ..tls(proxy) }),
            Self::TlsHybrid => {
                handshakes(setting, proxy, Plan { tls: Some(Tls { resume: false, group: Group::X25519MlKem768 }), ..tls(proxy) })
            }
            Self::Memory => idle_memory(setting, proxy, |proxy| http(proxy, 64, Shape::KeepAlive)),
            Self::MemoryH2c => idle_memory(setting, proxy, h2c),
            Self::MemoryTls => idle_memory(setting, proxy, tls),
            Self::MemoryTlsH2 => idle_memory(setting, proxy, tls_h2),
            Self::Reloads => six_reloads(setting, proxy),
        }
    }
}

/// A sample that is worth reading: work was done and nothing failed.
fn sample(setting: &Setting<'_>, proxy: &Proxy, plan: Plan) -> Result<Sample> {
    let sample = steady::measure(proxy, plan, setting.window)?;
    if sample.failed > 0 || sample.units < 1.0 {
        bail!("{} requests done, {} failed", sample.units, sample.failed);
    }
    Ok(sample)
}

fn keepalive(setting: &Setting<'_>, proxy: &Proxy, connections: usize) -> Result<Vec<Reading>> {
    requests(&sample(setting, proxy, http(proxy, connections, Shape::KeepAlive))?)
}

#[expect(clippy::unnecessary_wraps, reason = "the arms of Row::measure look alike")]
fn requests(sample: &Sample) -> Result<Vec<Reading>> {
    Ok(vec![
        less("CPU us/request", sample.cpu_per_unit()),
        less("CPU 0 busy us/request", sample.busy_per_unit()),
        Reading { doubtful: sample.load_was_the_limit(), ..more("requests/s", sample.rate()) },
        neither("CPU 0 busy %", sample.proxy_cpu_share() * 100.0),
        neither("CPU 1 busy %", sample.load_cpu_share() * 100.0),
    ])
}

fn open_loop(setting: &Setting<'_>, proxy: &Proxy) -> Result<Vec<Reading>> {
    let per_second = setting.open_loop_rate;
    let sample = sample(setting, proxy, http(proxy, OPEN_LOOP_CONNECTIONS, Shape::Paced { per_second }))?;
    let doubtful = sample.rate() < per_second * ON_TIME;
    let percentile = |what, share| Reading { doubtful, ..less(what, sample.report.percentile(share).unwrap_or(f64::NAN)) };
    Ok(vec![
        percentile("p50 us", 0.5),
        percentile("p99 us", 0.99),
        less("CPU us/request", sample.cpu_per_unit()),
        Reading { doubtful, ..neither("requests/s", sample.rate()) },
    ])
}

fn bodies(setting: &Setting<'_>, proxy: &Proxy, plan: Plan) -> Result<Vec<Reading>> {
    let sample = sample(setting, proxy, Plan { path: Path::Large, ..plan })?;
    Ok(vec![
        less("CPU ms/GiB", sample.cpu_per_unit() * MIB_PER_GIB / 1e3),
        less("CPU 0 busy ms/GiB", sample.busy_per_unit() * MIB_PER_GIB / 1e3),
        Reading { doubtful: sample.load_was_the_limit(), ..more("MiB/s", sample.rate()) },
    ])
}

/// What both CPUs do for TCP connections whose bytes the proxy relays, and for those whose bytes the kernel redirects: it does so wherever they
/// come in, and nobody's process is charged for it. The load's part is in both.
fn redirected(setting: &Setting<'_>, proxy: &Proxy) -> Result<Vec<Reading>> {
    if proxy.kind() != Kind::Sluice {
        return Ok(Vec::new());
    }
    let all = |proxy: &Proxy| {
        let plan = |connections, shape| Plan { target: proxy.site.tcp, ..http(proxy, connections, shape) };
        let bodies = Plan { path: Path::Large, ..plan(16, Shape::KeepAlive) };
        [bodies, plan(64, Shape::KeepAlive), plan(64, Shape::PerRequest)]
            .map(|plan| Ok::<f64, anyhow::Error>(sample(setting, proxy, plan)?.both_per_unit()))
    };
    let [bodies, small, short] = all(proxy);
    proxy.group.pause()?;
    let redirecting = setting.rig.start_redirecting(&proxy.peer)?;
    let [redirected_bodies, redirected_small, redirected_short] = all(&redirecting);
    Ok(vec![
        less("1 MiB bodies: ms/GiB relayed", bodies? * MIB_PER_GIB / 1e3),
        less("1 MiB bodies: ms/GiB redirected", redirected_bodies? * MIB_PER_GIB / 1e3),
        less("64 connections: us/request relayed", small?),
        less("64 connections: us/request redirected", redirected_small?),
        less("one request each: us relayed", short?),
        less("one request each: us redirected", redirected_short?),
    ])
}

fn system_calls(proxy: &Proxy) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (what, connections) in [("calls/request, 64 connections", 64), ("calls/request, 512 connections", 512)] {
        let calls = syscalls::per_request(proxy, http(proxy, connections, Shape::KeepAlive))?;
        readings.extend(calls.map(|calls| less(what, calls)));
    }
    Ok(readings)
}

/// One worker beside two, in the same minute.
fn two_workers(setting: &Setting<'_>, proxy: &Proxy) -> Result<Vec<Reading>> {
    let plan = |proxy: &Proxy| http(proxy, 64, Shape::KeepAlive);
    let one = sample(setting, proxy, plan(proxy))?;
    proxy.group.pause()?;
    let pair = setting.rig.start(&proxy.peer, 2)?;
    let mail = messages(&pair)?;
    let two = sample(setting, &pair, plan(&pair))?;
    let mut readings =
        vec![less("CPU us/request", two.cpu_per_unit()), less("as a multiple of one worker's", two.cpu_per_unit() / one.cpu_per_unit())];
    if let (Some(before), Some(after)) = (mail, messages(&pair)?) {
        // Counted from before the warm-up on: an upper bound.
        readings.push(less("messages between threads/request", (after - before) / two.units));
    }
    Ok(readings)
}

/// Messages that the workers of Sluice have received so far; the peers do not tell.
fn messages(proxy: &Proxy) -> Result<Option<f64>> {
    if proxy.kind() != Kind::Sluice {
        return Ok(None);
    }
    admin::counter(&proxy.site.admin(), "sluice_worker_mail_total")
}

/// Connections of one request each, which the proxy closes.
fn handshakes(setting: &Setting<'_>, proxy: &Proxy, plan: Plan) -> Result<Vec<Reading>> {
    requests(&sample(setting, proxy, Plan { shape: Shape::PerRequest, ..plan })?)
}

fn idle_memory(setting: &Setting<'_>, proxy: &Proxy, plan: fn(&Proxy) -> Plan) -> Result<Vec<Reading>> {
    proxy.group.pause()?;
    let memory = memory::measure(setting.rig, &proxy.peer, plan)?;
    Ok(vec![
        less("anonymous bytes/connection", memory.anonymous_each),
        less("kernel slab bytes/connection (both ends)", memory.slab_each),
        neither("anonymous KiB before", memory.base / 1024.0),
        less("after they closed, as a multiple", memory.after),
    ])
}

fn six_reloads(setting: &Setting<'_>, proxy: &Proxy) -> Result<Vec<Reading>> {
    proxy.group.pause()?;
    let outcome = reloads::measure(setting.rig, &proxy.peer)?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let count = |count: u64| count as f64;
    Ok(vec![
        neither("requests answered", count(outcome.completed)),
        less("requests failed", count(outcome.failed)),
        less("client connections closed", count(outcome.closed)),
        less("versions never seen", count(outcome.unseen)),
        less("ms to the slowest version", outcome.slowest_ms),
    ])
}

fn less(what: &'static str, value: f64) -> Reading {
    Reading { what, better: Better::Less, value, doubtful: false }
}

fn more(what: &'static str, value: f64) -> Reading {
    Reading { what, better: Better::More, value, doubtful: false }
}

fn neither(what: &'static str, value: f64) -> Reading {
    Reading { what, better: Better::Neither, value, doubtful: false }
}

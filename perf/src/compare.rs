//! `perf compare`: the story of a comparison, from starting the proxies to keeping the table.

use crate::bystanders::Bystanders;
use crate::interrupt;
use crate::launch;
use crate::load::Shape;
use crate::peers::{Kind, Peer};
use crate::plans::http;
use crate::rig::{LOAD_CPU, Proxy, Rig};
use crate::rows::{Row, Setting};
use crate::steady;
use crate::table::Table;
use anyhow::{Context, Result, bail};
use clap::Args;
use core::time::Duration;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What to compare, how long.
#[derive(Args)]
pub(crate) struct Options {
    /// The Sluice to measure; without it only the peers are
    #[arg(long)]
    sluice: Option<PathBuf>,
    /// The real Envoy binary
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Peers to compare with
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,envoy")]
    against: Vec<Kind>,
    /// Only these rows
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Few rounds: shows that it works, proves little
    #[arg(long)]
    quick: bool,
    /// Rounds of every row; some rows take a share of them
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure although others are at work on the CPU under test; the table says so
    #[arg(long)]
    force: bool,
    /// Where the table is kept, as NAME.txt and NAME.json
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Short windows, many of them: the speed of a shared machine changes from one second to the next, and what is compared must meet the same.
const WINDOW: Duration = Duration::from_millis(600);
const ROUNDS: usize = 25;
const ROUNDS_QUICK: usize = 3;

/// Start all, measure one at a time in turns, print and keep the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    interrupt::watch()?;
    launch::pin(&[LOAD_CPU]).context("the bench needs two CPUs")?;
    launch::raise_file_limit()?;
    let rig = Rig::new(peers(options)?)?;
    let proxies = start_paused(&rig)?;
    let mut bystanders = Bystanders::new(options.force);
    bystanders.wait_for_calm(&processes(&proxies))?;
    let open_loop_rate = half_of_the_first_peers_maximum(&proxies, WINDOW)?;
    let setting = Setting { rig: &rig, window: WINDOW, open_loop_rate };

    let mut table = Table::new(proxies.iter().map(Proxy::kind).collect());
    let rounds = options.rounds.unwrap_or(if options.quick { ROUNDS_QUICK } else { ROUNDS });
    for row in rows(options) {
        println!("{}", row.title());
        bystanders.wait_for_calm(&processes(&proxies))?;
        for round in 0..row.rounds(rounds) {
            for proxy in &proxies {
                measure(&setting, (row, round), proxy, &mut table)?;
            }
        }
    }
    let mut about = about(&rig, rounds, &setting)?;
    about["bystanders"] = Value::from(bystanders.to_string());
    let text = table.text(&title(&about));
    println!("\n{text}");
    options.keep.as_ref().map_or(Ok(()), |name| keep(name, &text, &table.json(&about)))
}

fn peers(options: &Options) -> Result<Vec<Peer>> {
    let mut peers: Vec<Peer> = options.sluice.iter().map(|program| Peer { kind: Kind::Sluice, program: program.clone() }).collect();
    for kind in &options.against {
        let program = match kind {
            Kind::Sluice => bail!("Sluice is compared with its peers, not with itself: use --sluice"),
            Kind::Nginx => PathBuf::from("/usr/sbin/nginx"),
            Kind::Haproxy => PathBuf::from("/usr/sbin/haproxy"),
            Kind::Envoy => options.envoy.clone().context("where is Envoy? use --envoy")?,
        };
        if !program.is_file() {
            bail!("{} is not installed: run `cargo xtask setup --bench`", program.display());
        }
        peers.push(Peer { kind: *kind, program });
    }
    Ok(peers)
}

fn rows(options: &Options) -> Vec<Row> {
    if options.rows.is_empty() { Row::ALL.to_vec() } else { options.rows.clone() }
}

fn start_paused(rig: &Rig) -> Result<Vec<Proxy>> {
    let mut proxies = Vec::new();
    for peer in &rig.peers {
        let proxy = rig.start(peer, 1)?;
        proxy.group.pause()?;
        proxies.push(proxy);
    }
    Ok(proxies)
}

fn processes(proxies: &[Proxy]) -> Vec<u32> {
    proxies.iter().flat_map(|proxy| proxy.group.processes()).collect()
}

/// The open loop runs at half of what nginx can do here, or whoever comes first where nginx is left out.
fn half_of_the_first_peers_maximum(proxies: &[Proxy], window: Duration) -> Result<f64> {
    let nginx = proxies.iter().find(|proxy| proxy.kind() == Kind::Nginx);
    let proxy = nginx.or_else(|| proxies.first()).context("nothing to measure")?;
    proxy.group.resume()?;
    let sample = steady::measure(proxy, http(proxy, 64, Shape::KeepAlive), window)?;
    proxy.group.pause()?;
    Ok((sample.rate() / 2.0).max(1.0))
}

/// One round of a row of one proxy. A proxy that fails a round loses the round, not the whole comparison.
fn measure(setting: &Setting<'_>, (row, round): (Row, usize), proxy: &Proxy, table: &mut Table) -> Result<()> {
    proxy.group.resume()?;
    let readings = row.measure(setting, proxy);
    proxy.group.pause()?;
    interrupt::check()?;
    match readings {
        Ok(readings) => readings.iter().for_each(|reading| table.add(round, row, proxy.kind(), reading)),
        Err(error) => {
            println!("{}: {}: {error:#}", row.title(), proxy.kind());
            table.remark(format!("{}: {}: {error:#}", row.title(), proxy.kind()));
        }
    }
    Ok(())
}

/// What must be known to believe the numbers.
fn about(rig: &Rig, rounds: usize, setting: &Setting<'_>) -> Result<Value> {
    let versions: serde_json::Map<String, Value> =
        rig.peers.iter().map(|peer| (peer.kind.to_string(), Value::from(peer.version()))).collect();
    let read = |file: &str| fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let processors = read("/proc/cpuinfo")?;
    let cpus = processors.lines().filter(|line| line.starts_with("processor")).count();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    Ok(json!({
        "kernel": read("/proc/sys/kernel/osrelease")?.trim(),
        "cpu": model,
        "cpus": cpus,
        "architecture": env::consts::ARCH,
        "versions": versions,
        "rounds": rounds,
        "window_seconds": setting.window.as_secs_f64(),
        "open_loop_requests_per_second": setting.open_loop_rate,
        "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control")?.trim(),
    }))
}

fn title(about: &Value) -> String {
    let versions = about["versions"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions.map(|(kind, said)| format!("  {kind}: {}", said.as_str().unwrap_or_default())).collect();
    format!(
        "Linux {}, {}, TCP {}\nOne worker on CPU 0, load and origin on CPU 1, the others paused. {} rounds in turns, windows of {} s.\n{}.\nOpen loop: {:.0} requests/s.\n{}\n",
        about["kernel"].as_str().unwrap_or_default(),
        about["cpu"].as_str().unwrap_or_default(),
        about["congestion_control"].as_str().unwrap_or_default(),
        about["rounds"],
        about["window_seconds"],
        about["bystanders"].as_str().unwrap_or_default(),
        about["open_loop_requests_per_second"].as_f64().unwrap_or_default(),
        versions.join("\n"),
    )
}

fn keep(name: &Path, text: &str, json: &Value) -> Result<()> {
    let folder = name.parent().context("--keep needs a folder and a name")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json = serde_json::to_string_pretty(json).context("the table is not JSON")?;
    for (extension, content) in [("txt", text), ("json", &json)] {
        let file = name.with_extension(extension);
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        println!("kept in {}", file.display());
    }
    Ok(())
}

//! `sluice l4`: the kernel layer as the maps have it, whether a process lives or not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use abi::{
    Backend, MODE_DSR, MODE_ECHO, MODE_NAT_GATEWAY, MODE_NAT_POOL, MODE_TERMINATE, Reason, Service, VIA_GUE, VIA_IPIP, backend_flags,
    service_flags,
};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use config::{Cluster, Endpoint};
use l4::{Balancer, Folder, LocalRoutes, Plan, Wishes};

use crate::commands;
use crate::drops;
use crate::kernel::{machine, now_s};
use crate::say;

/// What to do with the kernel layer.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what it forwards: services and their promises, backends, what was dropped and why
    Show(Instance),
    /// Show samples of the packets that it dropped, and take them out of its memory
    Drops {
        #[command(flatten)]
        instance: Instance,
        /// Go on until ended
        #[arg(long)]
        follow: bool,
    },
    /// End it: programs and maps are removed, and what they remember with them
    Unload(Instance),
}

/// Which one.
#[derive(Args)]
pub(crate) struct Instance {
    /// The configuration file: it names the instance, its VIPs and origins
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Show(instance) => show(instance),
        Command::Drops { instance, follow } => drops(instance, *follow),
        Command::Unload(instance) => unload(instance),
    }
}

fn unload(instance: &Instance) -> Result<ExitCode> {
    let Some(candidate) = commands::read(&instance.config) else { return Ok(ExitCode::FAILURE) };
    let name = &candidate.snapshot().l4.instance;
    let folder = Folder::of_instance(name)?;
    folder.restore_cookies()?;
    LocalRoutes::open(name).and_then(|mut routes| routes.set(&BTreeSet::new())).context("local routes of VIPs cannot be removed")?;
    let was_there = folder.remove()?;
    say(if was_there { format!("the kernel layer {name:?} is gone") } else { format!("there was no kernel layer {name:?}") });
    Ok(ExitCode::SUCCESS)
}

fn drops(instance: &Instance, follow: bool) -> Result<ExitCode> {
    let Some(candidate) = commands::read(&instance.config) else { return Ok(ExitCode::FAILURE) };
    let name = &candidate.snapshot().l4.instance;
    drops::run(&Folder::of_instance(name)?, follow).with_context(|| format!("no samples of the kernel layer {name:?}"))
}

fn show(instance: &Instance) -> Result<ExitCode> {
    let Some(candidate) = commands::read(&instance.config) else { return Ok(ExitCode::FAILURE) };
    let snapshot = candidate.snapshot();
    let mut balancer = Balancer::open(Folder::of_instance(&snapshot.l4.instance)?)?;
    if !balancer.adopted() {
        Folder::of_instance(&snapshot.l4.instance)?.remove()?;
        bail!("there is no kernel layer {:?}", snapshot.l4.instance);
    }
    let held = Plan::adopt(balancer.held().context("the maps cannot be read")?);
    // The configuration knows the names of what the maps have by number.
    let is_up = |cluster: &Cluster, endpoint: &Endpoint| held.was_up(cluster, endpoint);
    let wishes = Wishes { snapshot, is_up: &is_up, hop: &|_| None, machine: machine(&snapshot.l4), now_s: now_s() };
    let named = held.next(wishes)?;
    say(format_args!("{:<32} {:<28} {:>14} {:>18}", "service", "mode", "packets", "bytes"));
    for (number, name) in &named.service_names {
        let counters = balancer.service_counters(*number)?;
        let service = held.services.get(number).copied().unwrap_or_default();
        say(format_args!("{name:<32} {:<28} {:>14} {:>18}", mode(service), counters.packets, counters.bytes));
        for promise in promises(service) {
            say(format_args!("    {promise}"));
        }
    }
    say(format_args!("\n{:<32} {:<28} {:<8} {:>14} {:>18}", "cluster", "backend", "state", "packets", "bytes"));
    for (number, (cluster, address)) in &named.backend_names {
        let counters = balancer.backend_counters(*number)?;
        let state = state(named.backends.get(number).copied().unwrap_or_default());
        say(format_args!("{cluster:<32} {address:<28} {state:<8} {:>14} {:>18}", counters.packets, counters.bytes));
    }
    if let Some(probed_s) = balancer.probed_s()? {
        say(format_args!("states as of {} s ago", now_s().saturating_sub(probed_s)));
    }
    if held.settings.guard != 0 {
        say("\ndeny and allow lists are in force");
    }
    let away: usize = held.tables().map(|(_, slots)| slots.away().len()).sum();
    let kept = balancer.kept()?;
    say(format_args!("\nslots away {away}, pins {}, flows through pools {}", kept.pins.len(), kept.nat.len()));
    for (what, count) in l4::steered(&Folder::of_instance(&snapshot.l4.instance)?)? {
        say(format_args!("{count:>14} {:<24} {}", what.name(), what.text()));
    }
    for reason in Reason::ALL {
        let count = balancer.reason(*reason)?;
        if count > 0 {
            say(format_args!("{count:>14} {:<24} {}", reason.name(), reason.text()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn state(backend: Backend) -> &'static str {
    match (backend.flags & backend_flags::DOWN != 0, backend.flags & backend_flags::DRAINING != 0) {
        (true, _) => "down",
        (false, true) => "drained",
        (false, false) => "up",
    }
}

fn mode(service: Service) -> &'static str {
    match (service.mode, service.via) {
        (MODE_DSR, VIA_IPIP) => "dsr ipip",
        (MODE_DSR, VIA_GUE) => "dsr gue",
        (MODE_DSR, _) => "dsr l2",
        (MODE_NAT_GATEWAY, _) => "nat, origins see the client",
        (MODE_NAT_POOL, _) => "nat, origins see a pool",
        (MODE_ECHO, _) => "echo",
        _ => "terminate",
    }
}

/// What holds for the established TCP flows of a service.
fn promises(service: Service) -> &'static [&'static str] {
    match service.mode {
        MODE_DSR if service.flags & service_flags::CHAIN != 0 => {
            &["survives kill -9 · survives a move to another node, whenever it began · stateless under flood"]
        }
        MODE_DSR | MODE_NAT_GATEWAY => &[
            "survives kill -9 · survives a move to another node unless it began while its slot was away · at home stateless under flood, away within the budget",
        ],
        MODE_NAT_POOL => &["survives kill -9 · does not survive a move to another node · new flows within the budget under flood"],
        MODE_ECHO => &[],
        MODE_TERMINATE if service.flags & service_flags::COOKIES != 0 => {
            &["ends with the process · does not survive a move to another node · answered by cookies under flood"]
        }
        _ => &["ends with the process · does not survive a move to another node"],
    }
}

//! Every mode, family and protocol: real requests by every way, 20 MB each byte as it must be, and what is promised for each.

use std::collections::BTreeSet;
use std::fs;

use e2e::{eventually, sluice_command};
use lab::{Configuration, FORWARDED, Mode, Network, Node, VIPS, Vip, download, fetch, udp};
use tempfile::TempDir;

/// Enough that nobody is missed by chance: (2/3)^30 is 5 in a million.
const ORIGINS: usize = 3;
const TRIES: usize = 30;
const BYTES: usize = 20_000_000;

#[test]
fn every_mode_family_and_protocol() {
    let network = Network::new(ORIGINS);
    let node = Node::start(&network, 0, &Configuration::of(ORIGINS));
    let mut failures = Vec::new();
    println!("\n{:<12} {:<34} {:<26}", "vip", "tcp", "udp");
    for vip in VIPS {
        let udp = || if vip.mode == Mode::Terminate { refused(vip) } else { datagrams(vip) };
        let (tcp, udp) = network.client.inside(|| (tcp(vip), udp()));
        let word = |result: &Result<String, String>| result.clone().unwrap_or_else(|error| format!("FAILED: {error}"));
        println!("{:<12} {:<34} {:<26}", vip.to_string(), word(&tcp), word(&udp));
        failures
            .extend([("tcp", tcp), ("udp", udp)].into_iter().filter_map(|(what, result)| Some(format!("{vip} {what}: {}", result.err()?))));
    }
    let shown = node.show(&network);
    println!("\n{shown}");
    assert!(failures.is_empty(), "{failures:#?}\n{}", node.log());
    counted(&node);
    for vip in VIPS {
        let promise = shown.lines().skip_while(|line| !line.starts_with(&vip.to_string())).nth(1).unwrap_or_default();
        let promised = if vip.mode == Mode::Terminate { "ends with the process" } else { "survives kill -9" };
        assert!(promise.contains(promised), "{vip}: {promise:?}");
    }
}

/// The metrics tell what went where; flows through pools are forgotten when they are over.
fn counted(node: &Node) {
    let metrics = node.sluice().metrics();
    for vip in FORWARDED {
        let labels = [format!("vip=\"{vip}\""), format!("cluster=\"{vip}\"")];
        eventually(format_args!("the packets of {vip} are those of its backends"), || {
            let metrics = node.sluice().metrics();
            let of_vip = metrics.sum("sluice_l4_service_packets_total", &[&labels[0]]);
            of_vip > 10_000 && of_vip == metrics.sum("sluice_l4_backend_packets_total", &[&labels[1]])
        });
        assert_eq!(metrics.sum("sluice_l4_backend_up", &[&labels[1]]), 3, "{vip}");
    }
    assert!(metrics.sum("sluice_l4_noted_total", &["reason=\"translated_back\""]) > 10_000);
    let flows = || node.sluice().metrics().sum("sluice_l4_nat_flows", &[]);
    // Those of datagrams are over after two seconds; those of closed connections are not yet.
    let tcp = 2 * (i64::try_from(TRIES).expect("a few") + 2);
    eventually("flows of datagrams through pools are forgotten", || flows() == tcp);
}

/// All origins are asked in turn by the hash, and large bodies come whole.
fn tcp(vip: Vip) -> Result<String, String> {
    let mut origins = BTreeSet::new();
    for _ in 0..TRIES {
        origins.insert(String::from_utf8_lossy(&fetch(&vip.url("/"), &[])?).trim().to_owned());
    }
    if origins.len() != ORIGINS {
        return Err(format!("only {origins:?} of three answered {TRIES} connections"));
    }
    download(vip, BYTES)?;
    Ok(format!("3 origins, {} MB both ways", BYTES / 1_000_000))
}

/// A listener takes no datagrams: who asks for that is told where.
fn refused(vip: Vip) -> Result<String, String> {
    let text = format!(
        "version: 1\nlisteners: {{ web: {{ bind: [\"*:80\"], tcp: app }} }}\nclusters: {{ app: {{ endpoints: [\"10.0.0.21:80\"] }} }}\nvips:\n  \
         own: {{ addresses: [\"{}\"], ports: [tcp/80, udp/53], terminate: web }}\n",
        vip.address()
    );
    let folder = TempDir::with_prefix("sluice-lab-").map_err(|error| error.to_string())?;
    let file = folder.path().join("sluice.yaml");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let output = sluice_command().arg("check").arg(&file).output().map_err(|error| error.to_string())?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && said.contains(":5:") && said.contains("a listener takes TCP only") {
        return Ok("refused: TCP only".to_owned());
    }
    Err(format!("it is not refused as it should be: {said}"))
}

/// The same for datagrams: of the size of one packet and, where that is promised, of several.
fn datagrams(vip: Vip) -> Result<String, String> {
    let mut origins = BTreeSet::new();
    for _ in 0..TRIES {
        origins.insert(udp(vip, 1_000)?);
    }
    if origins.len() != ORIGINS {
        return Err(format!("only {origins:?} of three answered {TRIES} sockets"));
    }
    Ok("3 origins".to_owned())
}

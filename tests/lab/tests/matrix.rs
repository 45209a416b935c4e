//! Every mode, family and protocol: real requests by every way, 20 MB each byte as it must be, and what is promised for each.

use std::collections::BTreeSet;

use lab::{Configuration, Network, Node, VIPS, Vip, download, fetch, udp};

/// Enough that nobody is missed by chance: (2/3)^30 is 5 in a million.
const ORIGINS: usize = 3;
const TRIES: usize = 30;
const BYTES: usize = 20_000_000;

#[test]
fn every_mode_family_and_protocol() {
    let network = Network::new(ORIGINS);
    let node = Node::start(&network, 0, &Configuration::of(ORIGINS));
    let mut failures = Vec::new();
    println!("\n{:<8} {:<34} {:<26}", "vip", "tcp", "udp");
    for vip in VIPS {
        let (tcp, udp) = network.client.inside(|| (tcp(vip), datagrams(vip)));
        let word = |result: &Result<String, String>| result.clone().unwrap_or_else(|error| format!("FAILED: {error}"));
        println!("{:<8} {:<34} {:<26}", vip.to_string(), word(&tcp), word(&udp));
        failures
            .extend([("tcp", tcp), ("udp", udp)].into_iter().filter_map(|(what, result)| Some(format!("{vip} {what}: {}", result.err()?))));
    }
    let shown = node.show(&network);
    println!("\n{shown}");
    assert!(failures.is_empty(), "{failures:#?}\n{}", node.log());
    for vip in VIPS {
        let promise = shown.lines().skip_while(|line| !line.starts_with(&vip.to_string())).nth(1).unwrap_or_default();
        assert!(promise.contains("survives kill -9"), "{vip}: {promise:?}");
    }
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

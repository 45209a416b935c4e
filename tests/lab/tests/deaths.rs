//! What dies: the node's process, a backend's decapsulation, a backend.
#![expect(clippy::print_stdout, reason = "what was seen is what one wants to see")]
#![expect(clippy::disallowed_methods, reason = "how long something takes is what is looked at")]

use std::thread;
use std::time::{Duration, Instant};

use e2e::{eventually, pause};
use lab::{Configuration, FORWARDED, Flows, Mode, Network, Node, VIPS, Vip, fetch, slow_download};

const ORIGINS: usize = 3;
const DOWNLOADS: usize = 200;
const BYTES: usize = 1_000_000;
/// At 16 kB each, a download takes three seconds at least.
const PACE: Duration = Duration::from_millis(50);

const INTERVAL: Duration = Duration::from_millis(500);
const FALL: u32 = 3;

#[test]
fn what_dies_takes_nothing_with_it() {
    let network = Network::new(ORIGINS);
    let checked = Configuration::of(ORIGINS).checked("[{ tcp: {}, interval: 500ms, timeout: 300ms, rise: 2, fall: 3 }]");
    let node = Node::start(&network, 0, &checked);
    let node = kill_and_start_again(&network, node, &checked);
    no_decapsulation(&network, &node);
}

/// `kill -9` and a restart while 200 downloads are under way.
fn kill_and_start_again(network: &Network, mut node: Node, configuration: &Configuration) -> Node {
    let mut flows = Flows::default();
    network.client.inside(|| flows.open(&FORWARDED, 100));
    let (node, failures) = network.client.inside(|| {
        thread::scope(|scope| {
            let download = |number: usize| {
                let vip = FORWARDED[number % FORWARDED.len()];
                scope.spawn(move || slow_download(vip, BYTES, PACE).map_err(|error| format!("{vip}: {error}")))
            };
            let downloads: Vec<_> = (0..DOWNLOADS).map(download).collect();
            pause(Duration::from_secs(1));
            node.kill();
            let while_dead: Vec<_> = FORWARDED.iter().filter_map(|vip| fetch(&vip.url("/"), &[]).err()).collect();
            assert!(while_dead.is_empty(), "new connections while nobody lives: {while_dead:#?}");
            assert!(downloads.iter().any(|download| !download.is_finished()), "downloads are over too soon to say anything");
            let node = Node::start(network, 0, configuration);
            let failures: Vec<String> = downloads.into_iter().filter_map(|download| download.join().expect("no panic").err()).collect();
            (node, failures)
        })
    });
    let broken = network.client.inside(|| flows.broken());
    println!(
        "killed and started again: {} of {DOWNLOADS} downloads failed, {} of {} flows broken",
        failures.len(),
        broken.len(),
        flows.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(node.log().contains("was taken over"), "{}", node.log());
    // What ended at the process that died ends at this one.
    for vip in VIPS.into_iter().filter(|vip| vip.mode == Mode::Terminate) {
        network.client.inside(|| fetch(&vip.url("/"), &[])).unwrap_or_else(|error| panic!("{vip}: {error}"));
    }
    node
}

/// An origin that opens envelopes no more is down for the VIPs that send them, and for no others; it comes back.
fn no_decapsulation(network: &Network, node: &Node) {
    let is_down = |vip: &Vip| node.says_down(0, *vip).is_some();
    assert!(!FORWARDED.iter().any(is_down), "{}", node.log());
    network.decap_off(0);
    let began = Instant::now();
    let is_enveloped = |vip: &&Vip| matches!(vip.mode, Mode::Ipip | Mode::Gue);
    eventually("origin 0 is down where envelopes are sent", || FORWARDED.iter().filter(is_enveloped).all(is_down));
    let took = began.elapsed();
    println!("no decapsulation at one origin: down after {} ms ({} ms x {FALL} promised)", took.as_millis(), INTERVAL.as_millis());
    assert!(!FORWARDED.iter().filter(|vip| !is_enveloped(vip)).any(is_down), "{}", node.log());
    let shown = node.show(network);
    assert_eq!(shown.lines().filter(|line| line.contains(" down ")).count(), 4, "{shown}");
    for vip in FORWARDED {
        let failed = network.client.inside(|| (0..20).filter_map(|_| fetch(&vip.url("/"), &[]).err()).collect::<Vec<_>>());
        assert!(failed.is_empty(), "{vip}: {failed:?}");
    }
    network.decap_on(0);
    eventually("origin 0 is up", || !FORWARDED.iter().any(is_down));
}

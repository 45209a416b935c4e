//! A SYN flood: whoever means it is served all the same, and nothing is written beyond the budget.
#![expect(clippy::print_stdout, reason = "how much there was is what one wants to see")]
#![expect(clippy::disallowed_methods, reason = "people wait in real time")]

use std::thread;
use std::time::{Duration, Instant};

use e2e::{eventually, pause};
use lab::{Configuration, Flow, Member, Network, Node, Sent, VIPS, Vip, is_full, spare_cpu};

const ORIGINS: usize = 3;
/// The echo service.
const PORT: u16 = 7;
/// SYNs per second.
const FLOOD: u64 = 130_000;
/// At the full length there have to be so many, or it was no flood.
const FLOOD_MIN: f64 = 100_000.0;
/// Connections per second of those who mean it, and how long each of them would wait.
const MEANT: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(5);
/// Pins per second.
const PINS: i64 = 5_000;
/// SYNs per second from which on cookies are sent.
const COOKIES_ABOVE: u32 = 2_000;

#[test]
fn who_means_it_is_served() {
    let cpu = spare_cpu();
    let network = Network::new(ORIGINS);
    let mut all = Configuration::of(ORIGINS);
    all.l4 = format!(", limits: {{ pins: {PINS} }}, cookies: {{ above: {COOKIES_ABOVE} }}");
    let node = Node::start(&network, 0, &all);
    node.apply(&network, &all.with(1, Member::Drained));
    let mut sent = ["ipip-4", "ipip-6"].map(|name| one_drained(&network, &node, cpu, vip(name))).to_vec();
    sent.extend(["terminate-4", "terminate-6"].map(|name| cookies(&network, &node, cpu, vip(name))));
    assert!(!is_full() || sent.iter().all(|sent| sent.rate() >= FLOOD_MIN), "this machine makes no flood of {FLOOD_MIN} SYNs a second");
}

fn vip(name: &str) -> Vip {
    VIPS.into_iter().find(|vip| vip.to_string() == name).expect("one of them")
}

/// Forwarded, while the slots of one backend are away: their SYNs ask for pins.
fn one_drained(network: &Network, node: &Node, cpu: usize, vip: Vip) -> Sent {
    let before = Noted::of(node);
    let began = Instant::now();
    let sent = flooded(network, node, vip, cpu);
    // The numbers are looked at once a second.
    pause(Duration::from_millis(1_500));
    let noted = Noted::of(node).since(before);
    let seconds = i64::try_from(began.elapsed().as_secs()).expect("not that long") + 1;
    println!("  one backend of {ORIGINS} drained: {} pins written, {} over the budget of {PINS} a second", noted.pinned, noted.unpinned);
    assert!(noted.pinned > 0 && noted.pinned <= PINS * seconds, "{} pins in {seconds} s", noted.pinned);
    assert!(noted.unpinned > 0, "the budget was not reached");
    sent
}

/// Up to our own listener, with cookies.
fn cookies(network: &Network, node: &Node, cpu: usize, vip: Vip) -> Sent {
    let before = Noted::of(node);
    let sent = flooded(network, node, vip, cpu);
    pause(Duration::from_millis(1_500));
    let noted = Noted::of(node).since(before);
    println!("  cookies: {} sent, {} came back, {} SYNs let through", noted.sent, noted.accepted, noted.trickle);
    assert!(noted.sent > 0 && noted.accepted > 0 && noted.trickle > 0, "{noted:?}");
    eventually("who comes after the flood meets no cookies", || {
        let before = Noted::of(node).sent;
        let served = network.client.inside(|| (0..10).all(|_| meant(vip).is_ok()));
        pause(Duration::from_millis(1_500));
        served && Noted::of(node).sent == before
    });
    sent
}

/// A flood, and those who mean it meanwhile.
fn flooded(network: &Network, node: &Node, vip: Vip, cpu: usize) -> Sent {
    let seconds = if is_full() { 30 } else { 4 };
    let flood = network.flood(0, (vip, PORT), cpu, FLOOD);
    let waited = network.client.inside(|| come(vip, seconds));
    let sent = flood.stop();
    let failed: Vec<&String> = waited.iter().filter_map(|one| one.as_ref().err()).collect();
    let slowest = waited.iter().filter_map(|one| one.as_ref().ok()).max().copied().unwrap_or_default();
    println!(
        "{vip}: {} SYNs in {:.1} s ({:.0} a second; {} more found no room); {} of {} connections failed, the slowest took {} ms",
        sent.packets,
        sent.time.as_secs_f64(),
        sent.rate(),
        sent.lost,
        failed.len(),
        waited.len(),
        slowest.as_millis()
    );
    assert!(failed.is_empty(), "{failed:#?}\n{}", node.show(network));
    sent
}

/// One after another, each at its time, whoever waits still; how long each waited.
fn come(vip: Vip, seconds: u32) -> Vec<Result<Duration, String>> {
    let began = Instant::now();
    thread::scope(|scope| {
        let all: Vec<_> = (0..MEANT * seconds)
            .map(|number| {
                pause((Duration::from_secs(1) * number / MEANT).saturating_sub(began.elapsed()));
                let at = began.elapsed();
                scope.spawn(move || meant(vip).map_err(|error| format!("begun after {} ms: {error}", at.as_millis())))
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    })
}

/// A connection, a word there and back.
fn meant(vip: Vip) -> Result<Duration, String> {
    let began = Instant::now();
    let used = Flow::open(vip).and_then(|mut flow| flow.use_it());
    let waited = began.elapsed();
    used.map_err(|error| format!("after {} ms: {error}", waited.as_millis()))?;
    if waited < PATIENCE { Ok(waited) } else { Err(format!("it took {} ms", waited.as_millis())) }
}

/// What the kernel layer noted.
#[derive(Clone, Copy, Debug)]
struct Noted {
    pinned: i64,
    unpinned: i64,
    sent: i64,
    accepted: i64,
    trickle: i64,
}

impl Noted {
    fn of(node: &Node) -> Self {
        let metrics = node.sluice().metrics();
        let noted = |reason: &str| metrics.sum("sluice_l4_noted_total", &[&format!("reason=\"{reason}\"")]);
        Self {
            pinned: noted("pinned"),
            unpinned: noted("unpinned"),
            sent: noted("cookie_sent"),
            accepted: noted("cookie_accepted"),
            trickle: noted("cookie_trickle"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            pinned: self.pinned - before.pinned,
            unpinned: self.unpinned - before.unpinned,
            sent: self.sent - before.sent,
            accepted: self.accepted - before.accepted,
            trickle: self.trickle - before.trickle,
        }
    }
}

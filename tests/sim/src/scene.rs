//! One run: a network, a proxy on it, origins and clients, from the first connection to the last descriptor closed.

use core::{cell::Cell, time::Duration};
use std::{io::Write as _, rc::Rc};

use io::{
    Ring,
    sim::{Chance, Chaos, Hang, Host, Joiner, Random, Sim, Usage, World},
};
use model::{Address, Instant};
use stats::View;

use crate::{
    client::{Client, scripts},
    judge::{Rules, judge},
    ledger::Ledger,
    origin::Origin,
    plan::Mood,
    proxy::Proxy,
};

/// When a run that has not ended has failed: far beyond every timeout that any host has.
const LATEST: Instant = Instant(200_000_000_000_000);
/// How long the proxy may drain.
const DRAIN: Duration = Duration::from_secs(5_000);
/// A connection that is closed no longer counts, but its descriptor takes some turns to go.
const EXCESS_MAX: Duration = Duration::from_millis(100);
/// Where the proxy listens.
pub const PROXY: &str = "10.0.0.1:80";
/// Where the origins listen.
pub const ORIGINS: [&str; 3] = ["10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80"];

/// How a run is set up.
#[expect(clippy::struct_excessive_bools, reason = "knobs that have nothing to do with each other")]
pub struct Setting {
    /// Decides everything.
    pub seed: u64,
    /// Prints all that happens.
    pub traced: bool,
    /// The origins'.
    pub mood: Mood,
    /// The network's and the kernels'.
    pub chaos: Chaos,
    /// Requests of all clients together.
    pub requests: u64,
    /// The proxy's configuration at first.
    pub config: String,
    /// What it is replaced by, one after the other, at random times.
    pub changes: Vec<String>,
    /// Whether the proxy begins to drain while clients are still busy.
    pub drains_early: bool,
    /// Whether origins expect what a proxy adds.
    pub speaks_http: bool,
    /// Most connections that the proxy may have to one origin.
    pub upstream_max: Option<usize>,
    /// Descriptors the proxy may have.
    pub descriptors: Option<usize>,
    /// Whether the proxy's timeouts are short enough to end anything.
    pub times_out: bool,
    /// Reasons of local replies that the setting calls for.
    pub expected_reasons: &'static [&'static str],
    /// How often the proxy takes a request up on its way.
    pub hops: u32,
    /// Where the kernel can join sockets: how often it refuses, and how often an end overtakes what it keeps.
    pub joins: Option<[Chance; 2]>,
}

impl Setting {
    /// A run with nothing special about it.
    pub fn new(seed: u64, traced: bool, mood: Mood, chaos: Chaos) -> Self {
        Self {
            seed,
            traced,
            mood,
            chaos,
            requests: 40,
            config: http_config(""),
            changes: Vec::new(),
            drains_early: false,
            speaks_http: true,
            upstream_max: None,
            descriptors: None,
            times_out: false,
            expected_reasons: &[],
            hops: 1,
            joins: None,
        }
    }
}

/// A configuration with one listener and one cluster of all origins; `cluster` is added to the cluster.
pub fn http_config(cluster: &str) -> String {
    config("http: { sites: [{ hosts: [\"*\"], routes: [{ to: origins }] }] }", &ORIGINS, cluster)
}

/// A configuration with one listener and one cluster.
pub fn config(listener: &str, origins: &[&str], cluster: &str) -> String {
    format!(
        "version: 1
defaults: {{ timeouts: {{ connect: 200s, request: 3000s, request_head: 3000s, idle: 3000s }} }}
listeners:
  web: {{ bind: [\"{PROXY}\"], {listener} }}
clusters:
  origins: {{ endpoints: [{}]{cluster} }}
",
        origins.join(", ")
    )
}

/// What the proxy speaks with itself in a [`relayed`] configuration.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// The cluster's protocol.
    pub protocol: &'static str,
    /// Through TLS.
    pub secure: bool,
    /// The TLS goes through another listener unopened.
    pub passed: bool,
}

/// A configuration whose listener sends everything to the origins by way of another listener of the proxy itself, so that what both speak with each
/// other is simulated too.
pub fn relayed(relay: Relay) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let Relay { protocol, secure, passed } = relay;
    let tls = if secure { format!(", tls: {{ server_name: relay.test, ca: \"{folder}/ca.pem\" }}") } else { String::new() };
    let certificates = if secure { "tls: { certificates: [relay] }," } else { "" };
    let (entry, more) = if passed {
        let listener = "  pass: { bind: [\"10.0.0.1:443\"], passthrough: [{ names: [relay.test], to: back }], tcp: origins }\n";
        ("10.0.0.1:444", listener)
    } else {
        ("10.0.0.1:443", "")
    };
    let back = format!(
        "  back: {{ bind: [\"{entry}\"], {certificates} http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: origins }}] }}] }} }}\n"
    );
    let text = config("http: { sites: [{ hosts: [\"*\"], routes: [{ to: relay }] }] }", &ORIGINS, "");
    text.replace("clusters:\n", &format!("{back}{more}clusters:\n"))
        + &format!(
            "  relay: {{ endpoints: [10.0.0.1:443], protocol: {protocol}{tls} }}
  back: {{ endpoints: [10.0.0.1:444] }}
secrets: {{ relay: {{ cert: \"{folder}/relay.pem\", key: \"{folder}/relay.key\" }} }}
"
        )
}

/// Runs it; what was wrong, if anything, as text.
pub fn run(setting: Setting) -> Result<(), String> {
    fingerprint(setting).map(drop)
}

/// Runs it; what was wrong, and what the workers counted.
pub fn watched(setting: Setting) -> (Result<(), String>, View) {
    let world = World::new(setting.chaos.clone());
    match Scene::new(world, setting) {
        Err(wrong) => (Err(wrong), View::default()),
        Ok(mut scene) => (scene.play(), View::from(&scene.proxy.stats.collect())),
    }
}

/// Runs it; a hash of all that happened, or what was wrong.
pub fn fingerprint(setting: Setting) -> Result<u64, String> {
    let (seed, traced) = (setting.seed, setting.traced);
    let world = World::new(setting.chaos.clone());
    if traced {
        world.keep_trace();
    }
    let mut scene = Scene::new(world.clone(), setting)?;
    let outcome = scene.play();
    if traced {
        let entries: Vec<String> = scene.ledger.with(|book| book.entries.iter().map(|(id, entry)| format!("{id}: {entry:?}")).collect());
        let text = format!("{}{:?}\n{}\n", world.trace(), scene.setting.chaos, entries.join("\n"));
        std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    }
    outcome.map_err(|wrong| format!("seed {seed}: {wrong}"))?;
    Ok(world.fingerprint())
}

struct Scene {
    world: World,
    setting: Setting,
    proxy: Proxy,
    hosts: [Host; 2],
    /// Origins' and clients'.
    rings: [Ring; 2],
    ledger: Ledger,
    random: Random,
    clients: usize,
    finished: Rc<Cell<usize>>,
    /// Since when there are more connections to one origin than there may be.
    over_since: Cell<Option<Instant>>,
    /// The longest such time, and how many there were.
    excess: Cell<Option<(usize, Duration)>>,
}

impl Scene {
    fn new(world: World, setting: Setting) -> Result<Self, String> {
        let mut random = Random::new(setting.seed.wrapping_add(77));
        let workers = 1 + u32::from(random.below(2) == 1);
        let proxy = Proxy::start(&world, workers, setting.seed, &setting.config)?;
        if let Some([refuses, overtakes]) = setting.joins {
            proxy.rings.iter().for_each(|ring| ring.set_redirect(Box::new(Joiner::new(&world, refuses, overtakes))));
        }
        if let Some(most) = setting.descriptors {
            world.limit_descriptors(proxy.host, most);
        }
        let hosts = [world.host("origins"), world.host("clients")];
        // The test's own hosts have buffers enough; it is the proxy that must do with few.
        let rings = hosts.map(|host| Ring::sim(Sim::with_buffers(&world, host, 64, 16_384)));
        let ledger = Ledger::default();
        Ok(Self {
            world,
            setting,
            proxy,
            hosts,
            rings,
            ledger,
            random,
            clients: 0,
            finished: Rc::default(),
            over_since: Cell::default(),
            excess: Cell::default(),
        })
    }

    fn play(&mut self) -> Result<(), String> {
        self.begin()?;
        self.until_clients_finish()?;
        self.drain()?;
        let upstream_breaks = self.setting.chaos.breaks();
        let rules = Rules {
            seed: self.setting.seed,
            mood: self.setting.mood,
            upstream_breaks,
            expected_reasons: self.setting.expected_reasons,
            times_out: self.setting.times_out,
            hops: self.setting.hops,
        };
        let mut wrongs = judge(&self.ledger, rules);
        if let Some((most, _)) = self.excess.get().filter(|(_, length)| *length > EXCESS_MAX) {
            wrongs.push(format!("the proxy kept {most} connections to one origin"));
        }
        if wrongs.is_empty() { Ok(()) } else { Err(wrongs.join("\n")) }
    }

    fn begin(&mut self) -> Result<(), String> {
        let (seed, mood) = (self.setting.seed, self.setting.mood);
        for place in ORIGINS {
            let origin = Origin { ring: self.rings[0].clone(), ledger: self.ledger.clone(), seed, mood, proxied: self.setting.speaks_http };
            origin.serve(self.world.listen(self.hosts[0], address(place)).map_err(|errno| errno.to_string())?);
        }
        let client = Client {
            ring: self.rings[1].clone(),
            world: self.world.clone(),
            ledger: self.ledger.clone(),
            seed,
            mood,
            closes_idle: self.setting.drains_early,
            address: address(PROXY),
        };
        let scripts = scripts(self.setting.requests, &mut self.random);
        self.clients = scripts.len();
        for ids in scripts {
            let (client, random, finished) = (client.clone(), self.random.fork(), Rc::clone(&self.finished));
            self.rings[1].spawn(async move {
                client.connection(ids, random).await;
                finished.set(finished.get() + 1);
            });
        }
        Ok(())
    }

    fn all_rings(&self) -> Vec<Ring> {
        self.proxy.rings.iter().chain(&self.rings).cloned().collect()
    }

    fn until_clients_finish(&mut self) -> Result<(), String> {
        let rings = self.all_rings();
        let changes = core::mem::take(&mut self.setting.changes);
        for change in changes {
            let at = self.world.now() + Duration::from_micros(self.random.below(100_000) as u64);
            self.turn(&rings, || {
                self.look();
                self.finished.get() == self.clients || self.world.now() >= at
            })?;
            self.proxy.apply(&change)?;
            self.world.note("configuration changed");
        }
        if self.setting.drains_early {
            let at = self.world.now() + Duration::from_micros(self.random.below(200_000) as u64);
            self.turn(&rings, || {
                self.look();
                self.finished.get() == self.clients || self.world.now() >= at
            })?;
            self.world.note("the proxy begins to drain");
            self.proxy.drain(DRAIN);
        }
        self.turn(&rings, || {
            self.look();
            self.finished.get() == self.clients
        })
    }

    /// What happens and is looked at after each turn.
    fn look(&self) {
        self.proxy.end_turn();
        let Some(allowed) = self.setting.upstream_max else { return };
        let most = ORIGINS.iter().map(|origin| self.world.connections(self.proxy.host, &address(origin))).max().unwrap_or(0);
        if most <= allowed {
            self.over_since.set(None);
            return;
        }
        let now = self.world.now();
        let since = self.over_since.get().unwrap_or(now);
        self.over_since.set(Some(since));
        if self.excess.get().is_none_or(|(_, longest)| longest < now.since(since)) {
            self.excess.set(Some((most, now.since(since))));
        }
    }

    fn turn(&self, rings: &[Ring], done: impl FnMut() -> bool) -> Result<(), String> {
        self.world.run(rings, LATEST, done).map_err(|Hang(text)| {
            let finished = self.finished.get();
            format!("it hangs: {finished} of {} clients finished\n{text}", self.clients)
        })
    }

    /// After the last client: the proxy drains, and then nothing of it may be left.
    fn drain(&mut self) -> Result<(), String> {
        let rings = self.all_rings();
        self.proxy.drain(DRAIN);
        self.turn(&rings, || self.proxy.is_drained())?;
        for ring in &self.proxy.rings {
            if ring.panics() > 0 {
                return Err(format!("{} tasks of the proxy panicked", ring.panics()));
            }
        }
        self.proxy.workers.clear();
        for ring in &rings {
            ring.shut_down(Instant(0));
        }
        self.turn(&rings, || rings.iter().all(|ring| ring.open() == 0))?;
        let left = self.world.usage(self.proxy.host);
        if left != Usage::default() {
            return Err(format!("left open: {left:?}\n{}", self.world.report()));
        }
        Ok(())
    }
}

fn address(text: &str) -> Address {
    Address::Tcp(text.parse().expect("the addresses above are addresses"))
}

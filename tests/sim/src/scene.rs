//! One run: a network, a proxy on it, origins and clients, from the first connection to the last descriptor closed.

use core::{cell::Cell, time::Duration};
use std::{io::Write as _, rc::Rc, sync::Arc};

use io::{
    Ring,
    sim::{Hang, Host, Joiner, Random, Sim, Usage, World},
};
use model::{Address, Instant};
use stats::View;

use crate::{
    attacker::{ATTACKS, Attacker},
    client::{Client, scripts},
    counts::Counts,
    judge::{Rules, judge},
    ledger::Ledger,
    origin::Origin,
    plan::Mood,
    proxy::Proxy,
    secure,
    setting::{ORIGINS, PROXY, Setting},
};

/// When a run that has not ended has failed: far beyond every timeout that any host has.
const LATEST: Instant = Instant(200_000_000_000_000);
/// How long the proxy may drain.
const DRAIN: Duration = Duration::from_secs(5_000);
/// How long after the last connection everything that was on its way has arrived, and every connection to an origin that nobody waits for any more
/// has been given up as often as it may be tried.
const SETTLED: Duration = Duration::from_secs(2_000);
/// How often and how many times it is then looked whether what is counted is what is open.
const LOOK_EVERY: Duration = Duration::from_millis(3_700);
const LOOKS: usize = 100;
/// A connection that is closed no longer counts, but its descriptor takes some turns to go.
const EXCESS_MAX: Duration = Duration::from_millis(100);

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
            multiplexed: self.setting.origins.http2,
        };
        let mut wrongs = judge(&self.ledger, rules);
        if let Some((most, _)) = self.excess.get().filter(|(_, length)| *length > EXCESS_MAX) {
            wrongs.push(format!("the proxy kept {most} connections to one origin"));
        }
        wrongs.extend(self.count());
        if wrongs.is_empty() { Ok(()) } else { Err(wrongs.join("\n")) }
    }

    fn begin(&mut self) -> Result<(), String> {
        let (seed, mood) = (self.setting.seed, self.setting.mood);
        let (clients, origins) = (self.setting.clients, self.setting.origins);
        let server = origins.secure.then(|| secure::server(origins.http2));
        for place in ORIGINS {
            let origin = Origin {
                ring: self.rings[0].clone(),
                ledger: self.ledger.clone(),
                seed,
                mood,
                proxied: self.setting.speaks_http,
                http2: origins.http2,
                tls: server.clone(),
            };
            origin.serve(self.world.listen(self.hosts[0], address(place)).map_err(|errno| errno.to_string())?);
        }
        let client = Client {
            ring: self.rings[1].clone(),
            world: self.world.clone(),
            ledger: self.ledger.clone(),
            seed,
            mood,
            closes_idle: self.setting.drains_early,
            tunnels_may_fail: mood != Mood::Good || self.setting.chaos.breaks(),
            address: address(PROXY),
            http2: clients.http2,
            tls: clients.secure.then(|| [false, true].map(secure::client)),
        };
        self.attack(&client);
        self.dig(&client);
        let scripts = scripts(self.setting.requests, &mut self.random);
        self.clients += scripts.len();
        for ids in scripts {
            let (client, random, finished) = (client.clone(), self.random.fork(), Rc::clone(&self.finished));
            self.rings[1].spawn(async move {
                client.connection(ids, random).await;
                finished.set(finished.get() + 1);
            });
        }
        Ok(())
    }

    fn attack(&mut self, client: &Client) {
        let attacker = Attacker {
            ring: client.ring.clone(),
            world: client.world.clone(),
            ledger: client.ledger.clone(),
            address: client.address.clone(),
            tls: client.tls.as_ref().map(|[_, many]| Arc::clone(many)),
        };
        for _ in 0..self.setting.attackers {
            let (attacker, random, finished) = (attacker.clone(), self.random.fork(), Rc::clone(&self.finished));
            let attack = ATTACKS.get(self.random.below(ATTACKS.len() + 1));
            self.clients += 1;
            self.rings[1].spawn(async move {
                match attack {
                    Some(attack) => attacker.flood(attack, random).await,
                    None => attacker.bombs(random).await,
                }
                finished.set(finished.get() + 1);
            });
        }
    }

    fn dig(&mut self, client: &Client) {
        for _ in 0..self.setting.tunnels {
            let (client, random, finished) = (client.clone(), self.random.fork(), Rc::clone(&self.finished));
            self.clients += 1;
            self.rings[1].spawn(async move {
                Box::pin(client.tunnel(random)).await;
                finished.set(finished.get() + 1);
            });
        }
    }

    /// What the proxy has counted: attackers, each by a limit of theirs, and nobody else.
    fn count(&mut self) -> Vec<String> {
        let counts = Counts::read(&mut self.proxy.stats);
        self.ledger.with(|book| counts.misjudged(book))
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

    /// What is still on its way arrives; then the proxy counts as open what is, if not at every moment: an origin that is asked how it is has a
    /// connection for that which counts with none.
    fn settle(&mut self, rings: &[Ring]) -> Result<(), String> {
        self.wait(rings, SETTLED)?;
        let mut wrongs = self.left_open();
        for _ in 0..LOOKS {
            if wrongs.is_empty() {
                return Ok(());
            }
            self.wait(rings, LOOK_EVERY)?;
            wrongs = self.left_open();
        }
        Err(wrongs.join("\n"))
    }

    fn left_open(&mut self) -> Vec<String> {
        let open = ORIGINS.iter().map(|origin| self.world.connections(self.proxy.host, &address(origin))).sum();
        Counts::read(&mut self.proxy.stats).left_open(open)
    }

    fn wait(&self, rings: &[Ring], time: Duration) -> Result<(), String> {
        let waited = Rc::new(Cell::new(false));
        let (ring, done) = (self.rings[1].clone(), Rc::clone(&waited));
        self.rings[1].spawn(async move {
            ring.sleep(time).await;
            done.set(true);
        });
        self.turn(rings, || waited.get())
    }

    /// After the last client: the proxy drains, and then nothing of it may be left.
    fn drain(&mut self) -> Result<(), String> {
        let rings = self.all_rings();
        self.proxy.drain(DRAIN);
        self.turn(&rings, || self.proxy.is_drained())?;
        self.settle(&rings)?;
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

//! The limits of the pool and of the lending place, in the simulation.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use core::cell::RefCell;
use exchange::{Conn, Lending, Pool, Settings, Taken, Traffic};
use io::{
    Ring, Stream,
    sim::{Chaos, Host, Sim, World},
};
use model::Address;
use stats::{Gauge, metrics};
use std::{rc::Rc, sync::Arc, time::Duration};

const PLACE: &str = "10.0.0.1:80";
/// Beyond everything that takes time.
const PATIENCE: Duration = Duration::from_secs(1_000);

/// Idle connections of an endpoint that a worker keeps, and that may lie in the lending place.
const IDLE_MAX: usize = 1024;
const LENT_MAX: usize = 64;

/// An origin that accepts and is silent, and a worker.
struct Lab {
    world: World,
    worker: Host,
    rings: [Ring; 2],
    /// What all pools together have open.
    active: Gauge,
}

impl Lab {
    fn new() -> Self {
        let world = World::new(Chaos::calm());
        let (origin, worker) = (world.host("origin"), world.host("worker"));
        let rings = [Ring::sim(Sim::new(&world, origin)), Ring::sim(Sim::new(&world, worker))];
        let (ring, listening) = (rings[0].clone(), world.listen(origin, address()).unwrap());
        rings[0].spawn(async move {
            let listener = ring.listen(listening);
            let mut streams = Vec::new();
            loop {
                streams.push(listener.accept().await.unwrap());
            }
        });
        let active = stats::stats().0.page().gauge(&metrics::UPSTREAM_ACTIVE, &[("cluster", "app")]);
        Self { world, worker, rings, active }
    }

    fn run(&self, done: impl FnMut() -> bool) {
        self.world.run(&self.rings, self.world.now() + PATIENCE, done).unwrap();
    }

    /// Connections of the worker to the origin.
    fn connected(&self, count: usize) -> Vec<Stream> {
        let streams = Rc::new(RefCell::new(Vec::new()));
        let (ring, connected) = (self.rings[1].clone(), Rc::clone(&streams));
        self.rings[1].spawn(async move {
            for _ in 0..count {
                let stream = ring.connect(&address()).await.unwrap();
                connected.borrow_mut().push(stream);
            }
        });
        self.run(|| streams.borrow().len() == count);
        streams.take()
    }

    fn pool(&self, lending: &Arc<Lending>, alone: bool) -> Rc<Pool> {
        Pool::new(Arc::clone(lending), alone, self.active.clone())
    }

    fn give(&self, pool: &Rc<Pool>, stream: Stream) {
        pool.opened();
        pool.give(Conn::client(stream.into(), &Settings::default()), true, self.rings[1].now());
    }
}

fn address() -> Address {
    Address::Tcp(PLACE.parse().unwrap())
}

#[test]
fn a_worker_keeps_so_many_idle_connections_and_no_more() {
    const BEYOND: usize = 3;
    let lab = Lab::new();
    let pool = lab.pool(&Arc::default(), true);
    for stream in lab.connected(IDLE_MAX + BEYOND) {
        lab.give(&pool, stream);
    }
    assert_eq!((pool.idle(), pool.lending().open()), (IDLE_MAX, u32::try_from(IDLE_MAX).unwrap()));
    assert_eq!(pool.traffic(), Traffic { idle_full: BEYOND as u64, ..Traffic::default() });
    assert_eq!(pool.traffic(), Traffic::default(), "told once");
    let taken = pool.take(&lab.rings[1], &Settings::default(), None);
    assert!(matches!(taken, Taken::Reused(_)));
    drop(taken);
    pool.retire();
    assert_eq!(pool.idle(), 0);
    lab.run(|| lab.world.usage(lab.worker).descriptors == 0);
}

/// As many workers lend at once as it takes to fill the place: each looks whether it is empty, and then lends.
#[test]
fn what_finds_the_lending_place_full_is_closed() {
    const BEYOND: usize = 3;
    let lab = Lab::new();
    let lending = Arc::new(Lending::default());
    let pools: Vec<_> = (0..LENT_MAX + BEYOND).map(|_| lab.pool(&lending, false)).collect();
    let mut streams = lab.connected(2 * pools.len());
    for pool in &pools {
        lab.give(pool, streams.pop().unwrap());
        lab.give(pool, streams.pop().unwrap());
    }
    let mut sum = Traffic::default();
    lab.run(|| {
        for traffic in pools.iter().map(|pool| pool.traffic()) {
            sum.lent += traffic.lent;
            sum.lending_full += traffic.lending_full;
        }
        sum.lent + sum.lending_full == pools.len() as u64
    });
    assert_eq!(sum, Traffic { lent: LENT_MAX as u64, lending_full: BEYOND as u64, ..Traffic::default() });
    assert_eq!(lending.open() as usize, 2 * pools.len() - BEYOND);
    // Whoever has none of its own takes one of them.
    let other = lab.pool(&lending, false);
    assert!(matches!(other.take(&lab.rings[1], &Settings::default(), None), Taken::Reused(_)));
    assert_eq!(other.traffic().taken, 1);
}

/// A configuration took the endpoint away while a request was under way.
#[test]
fn a_retired_pool_keeps_nothing() {
    let lab = Lab::new();
    let pool = lab.pool(&Arc::default(), true);
    let mut streams = lab.connected(2);
    lab.give(&pool, streams.pop().unwrap());
    pool.retire();
    assert_eq!((pool.idle(), pool.lending().open()), (0, 0));
    lab.give(&pool, streams.pop().unwrap());
    assert_eq!((pool.idle(), pool.lending().open()), (0, 0));
    lab.run(|| lab.world.usage(lab.worker).descriptors == 0);
    assert_eq!(lab.active.value(), 0);
}

/// What is lent of an endpoint that was taken away belongs to nobody, nor what was on its way there.
#[test]
fn what_is_lent_is_retired_with_its_pool() {
    for on_its_way in [false, true] {
        let lab = Lab::new();
        let pool = lab.pool(&Arc::default(), false);
        for stream in lab.connected(2) {
            lab.give(&pool, stream);
        }
        assert_eq!((pool.idle(), lab.active.value()), (2, 2));
        if !on_its_way {
            lab.run(|| pool.traffic().lent == 1);
        }
        pool.retire();
        lab.run(|| lab.world.usage(lab.worker).descriptors == 0);
        assert_eq!((pool.idle(), pool.lending().open(), lab.active.value()), (0, 0, 0), "on its way: {on_its_way}");
    }
}

/// Nobody is asked for what is lent: so whoever sweeps looks through it too.
#[test]
fn what_is_lent_is_swept() {
    let lab = Lab::new();
    let pool = lab.pool(&Arc::default(), false);
    for stream in lab.connected(2) {
        lab.give(&pool, stream);
    }
    let mut lent = 0;
    lab.run(|| {
        lent += pool.traffic().lent;
        lent == 1
    });
    pool.sweep(&lab.rings[1], Some(Duration::from_secs(1)));
    assert_eq!(pool.lending().open(), 2, "both are fresh");
    let (ring, until) = (lab.rings[1].clone(), lab.rings[1].now() + Duration::from_secs(2));
    lab.rings[1].spawn(async move { ring.sleep(Duration::from_secs(2)).await });
    lab.run(|| lab.rings[1].now() >= until);
    pool.sweep(&lab.rings[1], Some(Duration::from_secs(1)));
    assert_eq!((pool.idle(), pool.lending().open()), (0, 0));
    lab.run(|| lab.world.usage(lab.worker).descriptors == 0);
}

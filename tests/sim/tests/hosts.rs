//! The simulation's own hosts, without a proxy between them: what the judge says of the proxy is worth nothing if they do not agree.

use core::cell::Cell;
use std::rc::Rc;

use io::{
    Ring,
    sim::{Chaos, Random, Sim, World},
};
use model::{Address, Instant};
use sim::{
    client::{Client, scripts},
    judge::{Rules, judge},
    ledger::Ledger,
    origin::Origin,
    plan::Mood,
    seeds,
};

/// Requests of one run.
const REQUESTS: u64 = 40;

fn run(seed: u64, traced: bool, mood: Mood) -> Result<(), String> {
    let world = World::new(Chaos::from_seed(seed).unbroken());
    if traced {
        world.keep_trace();
    }
    let (origins, clients) = (world.host("origins"), world.host("clients"));
    let rings = [Ring::sim(Sim::new(&world, origins)), Ring::sim(Sim::new(&world, clients))];
    let ledger = Ledger::default();
    let address = Address::Tcp("10.0.0.1:80".parse().expect("an address"));
    let origin = Origin { ring: rings[0].clone(), ledger: ledger.clone(), seed, mood, proxied: false, http2: false, tls: None };
    origin.serve(world.listen(origins, address.clone()).map_err(|errno| errno.to_string())?);
    let client = Client {
        tunnels_may_fail: false,
        ring: rings[1].clone(),
        world: world.clone(),
        ledger: ledger.clone(),
        seed,
        mood,
        closes_idle: false,
        address,
        http2: false,
        tls: None,
    };
    let mut random = Random::new(seed);
    let scripts = scripts(REQUESTS, &mut random);
    let (count, finished) = (scripts.len(), Rc::new(Cell::new(0)));
    for ids in scripts {
        let (client, random, finished) = (client.clone(), random.fork(), Rc::clone(&finished));
        rings[1].spawn(async move {
            client.connection(ids, random).await;
            finished.set(finished.get() + 1);
        });
    }
    let ran = world.run(&rings, Instant(100_000_000_000_000), || finished.get() == count);
    if traced {
        std::io::Write::write_all(&mut std::io::stdout(), world.trace().as_bytes()).map_err(|error| error.to_string())?;
    }
    ran.map_err(|hang| hang.0)?;
    let panics: u64 = rings.iter().map(Ring::panics).sum();
    let wrongs =
        judge(&ledger, Rules { seed, mood, upstream_breaks: false, times_out: false, expected_reasons: &[], hops: 1, multiplexed: false });
    if panics > 0 || !wrongs.is_empty() {
        return Err(format!("{panics} panics\n{}", wrongs.join("\n")));
    }
    Ok(())
}

#[test]
fn clients_and_origins_agree() {
    seeds::each("clients_and_origins_agree", |seed, traced| run(seed, traced, Mood::Good));
}

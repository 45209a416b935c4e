//! When a worker says that it has drained: after it was told to, when nobody is served and nobody waits to be.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use core::{cell::RefCell, time::Duration};
use std::{path::Path, rc::Rc, sync::Arc};

use io::{
    Descriptor, Ring,
    sim::{Chaos, Sim, World},
};
use model::{Address, Instant};
use proxy::{HouseOptions, Shared};
use worker::{Change, Worker};

const TEXT: &str = "version: 1
listeners:
  web: { bind: [\"10.0.0.1:80\"], http: { sites: [{ hosts: [\"*\"], routes: [{ reply: 204 }] }] } }
";
const LATEST: Instant = Instant(60_000_000_000);

/// A worker on a ring of its own, which listens on `descriptor`.
fn worker_on(ring: &Ring, descriptor: Descriptor) -> Rc<Worker> {
    let snapshot = Arc::new(config::compile(&config::load_text(Path::new("sim.yaml"), TEXT).unwrap(), None).unwrap());
    let options = HouseOptions {
        snapshot: Arc::clone(&snapshot),
        page: stats::stats().0.page(),
        shared: Arc::new(Shared::default()),
        worker: (0, 1),
        seed: 1,
        lines: stats::lines().0,
    };
    let worker = Worker::new(ring.clone(), options);
    drop(worker.take(Change { snapshot, opened: vec![("web".into(), address(), descriptor)], closed: Vec::new() }));
    worker
}

fn address() -> Address {
    Address::Tcp("10.0.0.1:80".parse().unwrap())
}

#[test]
fn who_waits_in_the_queue_is_served_before_a_worker_has_drained() {
    let world = World::new(Chaos::calm());
    let [ours, theirs] = ["proxy", "client"].map(|name| world.host(name));
    let descriptor = world.listen(ours, address()).unwrap();
    let client = Ring::sim(Sim::new(&world, theirs));
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (inner, said) = (client.clone(), Rc::clone(&heard));
    client.spawn(async move {
        let stream = inner.connect(&address()).await.unwrap();
        said.borrow_mut().push("connected".to_owned());
        inner.sleep(Duration::from_millis(1)).await;
        stream.write(|output| output.write(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"));
        let chunk = stream.receive().await.unwrap();
        said.borrow_mut().push(String::from_utf8_lossy(&chunk[..12]).into_owned());
    });
    world.run(core::slice::from_ref(&client), LATEST, || !heard.borrow().is_empty()).unwrap();
    let ring = Ring::sim(Sim::new(&world, ours));
    let worker = worker_on(&ring, descriptor);
    assert!(!worker.is_drained(), "nobody is served, but it was not told to drain");
    worker.drain(world.now() + Duration::from_secs(10));
    assert!(!worker.is_drained(), "nobody is served, but somebody waits");
    world.run(&[client, ring], LATEST, || worker.is_drained()).unwrap();
    assert_eq!(*heard.borrow(), ["connected", "HTTP/1.1 204"]);
}

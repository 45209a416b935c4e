//! Queues that have an end, filled beyond it, in the simulation.

use core::cell::Cell;
use io::{
    Ring, mailbox,
    sim::{Chaos, Sim, World},
};
use model::{Address, Instant};
use std::rc::Rc;

const PLACE: &str = "10.0.0.1:80";
/// Beyond everything that takes time.
const LATEST: Instant = Instant(1_000_000_000_000);

/// Unread letters of a mailbox, and connections that were accepted and not taken.
const LETTERS_MAX: u32 = 256;
const ACCEPTED_MAX: usize = 1024;

fn world() -> World {
    World::new(Chaos::calm())
}

#[test]
fn a_full_mailbox_gives_letters_back() {
    let world = world();
    let ring = Ring::sim(Sim::new(&world, world.host("worker")));
    let (letters, post) = mailbox::<u32>(&ring).unwrap();
    for number in 0..LETTERS_MAX {
        assert_eq!(post.send(number), Ok(()));
    }
    assert_eq!(post.refused(), 0);
    assert_eq!(post.send(LETTERS_MAX), Err(LETTERS_MAX));
    assert_eq!(post.send(LETTERS_MAX), Err(LETTERS_MAX));
    assert_eq!(post.refused(), 2);
    let read = Rc::new(Cell::new(0));
    let reader = Rc::clone(&read);
    ring.spawn(async move {
        loop {
            assert_eq!(letters.next().await, reader.get());
            reader.set(reader.get() + 1);
        }
    });
    let rings = [ring];
    world.run(&rings, LATEST, || read.get() == LETTERS_MAX).unwrap();
    assert_eq!(post.send(LETTERS_MAX), Ok(()), "there is room again");
    world.run(&rings, LATEST, || read.get() == LETTERS_MAX + 1).unwrap();
    assert_eq!((post.refused(), rings[0].panics()), (2, 0));
}

#[test]
fn who_is_not_taken_waits_in_the_kernel() {
    const BEYOND: usize = 500;
    let world = world();
    let (server, client) = (world.host("server"), world.host("client"));
    let rings = [Ring::sim(Sim::new(&world, server)), Ring::sim(Sim::new(&world, client))];
    let address = Address::Tcp(PLACE.parse().unwrap());
    let listening = world.listen(server, address.clone()).unwrap();
    let (taken, wanted, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(1)), Rc::new(Cell::new(0)));
    let (ring, taking, wants) = (rings[0].clone(), Rc::clone(&taken), Rc::clone(&wanted));
    rings[0].spawn(async move {
        let listener = ring.listen(listening);
        let mut streams = Vec::new();
        loop {
            while taking.get() < wants.get() {
                streams.push(listener.accept().await.unwrap());
                taking.set(taking.get() + 1);
            }
            ring.sleep(core::time::Duration::from_millis(1)).await;
        }
    });
    // The first is taken; then as many as may wait, and more.
    let (ring, ending) = (rings[1].clone(), Rc::clone(&ended));
    rings[1].spawn(async move {
        for _ in 0..=ACCEPTED_MAX + BEYOND {
            let (stream, ended) = (ring.connect(&address).await.unwrap(), Rc::clone(&ending));
            ring.spawn(async move {
                // Closed or reset: nobody sends anything.
                drop(stream.receive().await);
                ended.set(ended.get() + 1);
            });
        }
    });
    world.run(&rings, LATEST, || rings[0].counts().accept_held > 0).unwrap();
    assert_eq!(taken.get(), 1);
    wanted.set(1 + ACCEPTED_MAX + BEYOND);
    world.run(&rings, LATEST, || taken.get() == wanted.get()).unwrap();
    assert_eq!(ended.get(), 0, "nobody was closed");
}

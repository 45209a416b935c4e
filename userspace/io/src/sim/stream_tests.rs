//! Streams of the shipped reactor over the simulated kernel: what holds when buffers are few and tasks give up in the midst.

use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::Poll,
    time::Duration,
};
use model::Instant;
use std::rc::Rc;

use super::{
    Chaos, Random, Sim, World,
    tests::{PLACE, address},
};
use crate::Ring;

/// A connection given up while it waits for buffers must not be armed again when they come back.
#[test]
fn a_released_connection_is_not_armed_again() {
    let (world, host) = {
        let world = World::new(Chaos { buffers: 1, buffer_bytes: 10, ..Chaos::calm() });
        let host = world.host("server");
        (world, host)
    };
    let ring = Ring::sim(Sim::new(&world, host));
    let listener = ring.listen(world.listen(host, address(PLACE)).unwrap());
    let (client, server) = (ring.clone(), ring.clone());
    let done = Rc::new(RefCell::new(false));
    ring.spawn(async move {
        let stream = client.connect(&address(PLACE)).await.unwrap();
        stream.write(|output| output.write(&[b'x'; 100]));
        client.sleep(Duration::from_secs(1)).await;
    });
    let finished = Rc::clone(&done);
    ring.spawn(async move {
        let stream = listener.accept().await.unwrap();
        let first = stream.receive().await.unwrap();
        // The only buffer is held, so the next reception is parked; then both are given up in one turn.
        stream.arm();
        server.sleep(Duration::from_millis(100)).await;
        drop((stream, first));
        server.sleep(Duration::from_secs(2)).await;
        finished.replace(true);
    });
    ring.run(|| *done.borrow());
    assert!(ring.counts().parked > 0);
    assert_eq!(ring.panics(), 0);
}

/// A reception that finds no buffer in its midst brings no more than its credit before somebody reads.
#[test]
fn who_does_not_read_gets_one_credit() {
    let world = World::new(Chaos { window_bytes: 1 << 20..=1 << 20, ..Chaos::calm() });
    let host = world.host("both");
    let ring = Ring::sim(Sim::with_buffers(&world, host, 2, 4_096));
    let listener = ring.listen(world.listen(host, address(PLACE)).unwrap());
    let (client, server) = (ring.clone(), ring.clone());
    let waiting = Rc::new(Cell::new(None));
    ring.spawn(async move {
        let stream = client.connect(&address(PLACE)).await.unwrap();
        stream.write(|output| output.write(&vec![b'x'; 512 * 1024]));
        client.sleep(Duration::from_secs(10)).await;
    });
    let found = Rc::clone(&waiting);
    ring.spawn(async move {
        let stream = listener.accept().await.unwrap();
        stream.arm();
        server.sleep(Duration::from_secs(1)).await;
        let mut bytes = 0;
        while let Poll::Ready(Ok(chunk)) = poll_fn(|_| Poll::Ready(stream.poll_receive())).await {
            bytes += chunk.len();
        }
        found.set(Some(bytes));
    });
    ring.run(|| waiting.get().is_some());
    assert!(waiting.get().is_some_and(|bytes| (1..=64 * 1024).contains(&bytes)), "{waiting:?}");
}

/// The byte that stands at a place of the stream.
fn place(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}

/// A stream dropped in the middle of its output may leave bytes out at the end, never in the middle.
#[test]
fn a_dropped_stream_leaves_no_gap() {
    for seed in 0..500 {
        let world = World::new(Chaos { window_bytes: 50..=500, reorder: true, ..Chaos::from_seed(seed).unbroken() });
        let host = world.host("both");
        let ring = Ring::sim(Sim::with_buffers(&world, host, 8, 4_096));
        let listener = ring.listen(world.listen(host, address(PLACE)).unwrap());
        let (client, done) = (ring.clone(), Rc::new(RefCell::new(false)));
        let mut random = Random::new(seed);
        ring.spawn(async move {
            let stream = client.connect(&address(PLACE)).await.unwrap();
            for piece in 0..random.below(30) {
                let bytes: Vec<u8> = (0..100).map(|at| place(piece * 100 + at)).collect();
                stream.write(|output| output.write(&bytes));
                match random.below(4) {
                    0 => client.sleep(Duration::from_millis(1)).await,
                    1 | 2 => client.yield_now().await,
                    _ => {}
                }
            }
        });
        let finished = Rc::clone(&done);
        ring.spawn(async move {
            let stream = listener.accept().await.unwrap();
            let mut seen = 0;
            while let Ok(chunk) = stream.receive().await {
                if chunk.is_empty() {
                    break;
                }
                for byte in chunk.iter() {
                    assert_eq!(place(seen), *byte, "seed {seed}");
                    seen += 1;
                }
            }
            finished.replace(true);
        });
        let world = world.clone();
        world.run(core::slice::from_ref(&ring), Instant(u64::MAX / 2), || *done.borrow() || ring.panics() > 0).unwrap();
        assert_eq!(ring.panics(), 0, "seed {seed}");
    }
}

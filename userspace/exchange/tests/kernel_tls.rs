//! A body on its way from a plain origin to a TLS client, left to a simulated kernel that seals it, or will not.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use core::{cell::RefCell, time::Duration};
use exchange::Transport;
use io::{
    Errno, Ring,
    sim::{Chance, Chaos, Random, Sim, World},
};
use model::{Address, Instant};
use std::{rc::Rc, sync::Arc};
use tls::{Client, Version};

mod relay;

use relay::{body, settings};

const WEB: &str = "10.0.0.1:443";
const ORIGIN: &str = "10.0.0.2:80";

fn address(text: &str) -> Address {
    Address::Tcp(text.parse().unwrap())
}

/// What the client read, and how that ended.
type Got = Rc<RefCell<Option<(Vec<u8>, Result<(), Errno>)>>>;

/// A client who says something, reads slowly, and says something again in the midst.
fn client(ring: &Ring, settings: Arc<Client>, pause: Duration) -> Got {
    let (got, ring_of) = (Got::default(), ring.clone());
    let slot = Rc::clone(&got);
    ring.spawn(async move {
        let stream = ring_of.connect(&address(WEB)).await.unwrap();
        let transport = Transport::tls_client(stream, &settings, "relay.test").unwrap();
        transport.handshake().await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            ring_of.sleep(pause).await;
            match transport.receive().await {
                Ok(chunk) if chunk.is_empty() => break Ok(()),
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(errno) => break Err(errno),
            }
            transport.write(|output| output.write(b"."));
        };
        slot.replace(Some((bytes, end)));
    });
    got
}

/// Carries what comes of `up` to `down` as a proxy does: by hand first, then inside the kernel if it may.
async fn carry(up: &Transport, down: &Transport, by_hand: usize) {
    let mut carried = 0;
    loop {
        down.room().await.unwrap();
        let chunk = up.receive().await.unwrap();
        if chunk.is_empty() {
            return;
        }
        carried += chunk.len();
        down.write(|output| output.push(chunk));
        if carried < by_hand || !up.can_splice(down) {
            continue;
        }
        up.disarm().await;
        while up.has_received() {
            let chunk = up.receive().await.unwrap();
            if chunk.is_empty() {
                return;
            }
            down.write(|output| output.push(chunk));
        }
        if !down.clear_lane().await.unwrap() {
            assert!(!up.can_splice(down), "who was refused does not ask again");
            continue;
        }
        while up.splice_to(down, 50_000).await.unwrap() > 0 {}
        return;
    }
}

#[test]
fn a_body_arrives_whole_whoever_seals_it() {
    let mut ways = [0; 3];
    for seed in 0..150 {
        let chaos = Chaos { window_bytes: 2_000..=60_000, segment_bytes: 100..=16_384, ..Chaos::from_seed(seed).unbroken() };
        let world = World::new(Chaos { buffers: 8, buffer_bytes: 4_096, ..chaos });
        let host = world.host("all");
        let rings = [Ring::sim(Sim::new(&world, host)), Ring::sim(Sim::with_buffers(&world, host, 64, 16_384))];
        let (server, client_settings) = settings(if seed % 2 == 0 { Version::Tls12 } else { Version::Tls13 }, &[]);
        let mut random = Random::new(seed);
        let (size, by_hand) = (random.below(200_000), random.below(60_000));
        let got = client(&rings[1], client_settings, Duration::from_micros(random.below(3_000) as u64));
        let back = rings[1].listen(world.listen(host, address(ORIGIN)).unwrap());
        rings[1].spawn(async move {
            let stream = back.accept().await.unwrap();
            for piece in body(size).chunks(30_000) {
                stream.room().await.unwrap();
                stream.write(|output| output.write(piece));
            }
            stream.finish();
            stream.flushed().await.unwrap();
        });
        let (ring, web) = (rings[0].clone(), rings[0].listen(world.listen(host, address(WEB)).unwrap()));
        rings[0].spawn(async move {
            let down = Transport::tls_server(web.accept().await.unwrap(), &server);
            down.handshake().await.unwrap();
            let up = Transport::from(ring.connect(&address(ORIGIN)).await.unwrap());
            down.write(|output| output.write(b"head"));
            carry(&up, &down, by_hand).await;
            down.write(|output| output.write(b"tail"));
            down.finish();
            down.flushed().await.unwrap();
            // Closing with something unread would reset the connection.
            down.discard(1 << 20).await;
        });
        let is_over = || got.borrow().is_some() || rings.iter().any(|ring| ring.panics() > 0);
        world.run(&rings, Instant(u64::MAX / 2), is_over).unwrap();
        assert!(rings.iter().all(|ring| ring.panics() == 0), "seed {seed}");
        let (bytes, end) = got.take().unwrap();
        assert!(bytes == [b"head", &body(size)[..], b"tail"].concat(), "seed {seed}: {} bytes of {size}", bytes.len());
        assert_eq!(end, Ok(()), "seed {seed}: the end is told");
        let counts = rings[0].counts();
        ways[0] += counts.kernel_tls;
        ways[1] += counts.kernel_tls_refused;
        ways[2] += u64::from(counts.kernel_tls_bytes > 0);
        assert_eq!(counts.kernel_tls_ended, 0);
    }
    assert!(ways.iter().all(|ways| *ways > 10), "sealed, refused, spliced: {ways:?}");
}

/// Nobody is asked where the settings do not keep keys, or where the origin speaks TLS itself.
#[test]
fn only_what_was_asked_for() {
    let world = World::new(Chaos { refuse_cipher: Chance(0), ..Chaos::calm() });
    let host = world.host("all");
    let ring = Ring::sim(Sim::new(&world, host));
    let (_, client) = settings(Version::Tls13, &[]);
    let web = ring.listen(world.listen(host, address(WEB)).unwrap());
    let done = Rc::new(RefCell::new(None));
    let (told, connecting) = (Rc::clone(&done), ring.clone());
    ring.spawn(async move {
        let plain = Transport::from(connecting.connect(&address(WEB)).await.unwrap());
        let secure = Transport::tls_client(web.accept().await.unwrap(), &client, "relay.test").unwrap();
        told.replace(Some([plain.can_splice(&plain), plain.can_splice(&secure), secure.can_splice(&plain)]));
    });
    ring.run(|| done.borrow().is_some() || ring.panics() > 0);
    assert_eq!(done.take(), Some([true, false, false]));
    assert_eq!((ring.counts().kernel_tls, ring.counts().kernel_tls_refused), (0, 0));
}

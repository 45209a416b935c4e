//! The shipped reactor on a simulated kernel that seals: everything given arrives, in records, the end last; or the peer can tell that not.

use core::{cell::RefCell, time::Duration};
use model::Instant;
use std::rc::Rc;

use super::{
    Chance, Chaos, Random, Sim, World,
    tests::{PLACE, address},
};
use crate::{Errno, KernelCipher, RECORD_BYTES_MAX, Ring, Stream};

const ORIGIN: &str = "10.0.0.2:80";
const GREETING: &[u8] = b"hello in the clear";
const HEADER_BYTES: usize = 3;
const MASK: u8 = 0x5a;

/// A record: type, length, the content masked by the record's number.
struct Toy {
    sequence: u64,
    sequence_max: u64,
}

impl KernelCipher for Toy {
    fn info(&self) -> &[u8] {
        &[]
    }

    fn expansion(&self) -> usize {
        HEADER_BYTES
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn sequence_max(&self) -> u64 {
        self.sequence_max
    }

    fn seal(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>) {
        assert!(plain.len() <= RECORD_BYTES_MAX);
        output.push(kind);
        output.extend_from_slice(&u16::try_from(plain.len()).unwrap().to_be_bytes());
        output.extend(plain.iter().map(|byte| byte ^ MASK ^ self.sequence.to_le_bytes()[0]));
        self.sequence += 1;
    }
}

/// The contents, and whether the peer was told of the end; `None` when they end in the midst of a record.
fn opened(mut sealed: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut content, mut sequence) = (Vec::new(), 0_u64);
    while let Some([kind, high, low]) = sealed.first_chunk::<HEADER_BYTES>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let record = sealed[HEADER_BYTES..].get(..length)?;
        sealed = &sealed[HEADER_BYTES + length..];
        let plain: Vec<u8> = record.iter().map(|byte| byte ^ MASK ^ sequence.to_le_bytes()[0]).collect();
        sequence += 1;
        if *kind == 21 {
            assert_eq!((&plain[..], sealed), (&[1, 0][..], &[][..]), "the end is the last record");
            return Some((content, true));
        }
        content.extend_from_slice(&plain);
    }
    sealed.is_empty().then_some((content, false))
}

fn body(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

/// What a client got, and how that ended.
type Got = Rc<RefCell<Option<(Vec<u8>, Result<(), Errno>)>>>;

/// A client who reads until the end, with pauses.
fn client(ring: &Ring, pause: Duration) -> Got {
    let got = Got::default();
    let (ring_of, slot) = (ring.clone(), Rc::clone(&got));
    ring.spawn(async move {
        let stream = ring_of.connect(&address(PLACE)).await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            ring_of.sleep(pause).await;
            match stream.receive().await {
                Ok(chunk) if chunk.is_empty() => break Ok(()),
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(errno) => break Err(errno),
            }
        };
        slot.replace(Some((bytes, end)));
    });
    got
}

/// An origin that sends `bytes` and closes.
fn origin(ring: &Ring, listener: crate::Listener, bytes: Vec<u8>) {
    ring.spawn(async move {
        let stream = listener.accept().await.unwrap();
        for piece in bytes.chunks(40_000) {
            stream.room().await.unwrap();
            stream.write(|output| output.write(piece));
        }
        stream.finish();
        stream.flushed().await.unwrap();
    });
}

/// Carries everything of `from` to `to`: inside the kernel, or by hand.
async fn carry(from: &Stream, to: &Stream, splices: bool) {
    loop {
        if splices {
            if from.splice_to(to, 100_000).await.unwrap() == 0 {
                return;
            }
            continue;
        }
        to.room().await.unwrap();
        let chunk = from.receive().await.unwrap();
        if chunk.is_empty() {
            return;
        }
        to.write(|output| output.push(chunk));
    }
}

#[test]
fn everything_arrives_in_records_and_the_end_last() {
    let mut ways = [0; 3];
    for seed in 0..400 {
        let world = World::new(Chaos { window_bytes: 50..=60_000, ..Chaos::from_seed(seed).unbroken() });
        let host = world.host("all");
        let ring = Ring::sim(Sim::with_buffers(&world, host, 8, 4_096));
        let web = ring.listen(world.listen(host, address(PLACE)).unwrap());
        let back = ring.listen(world.listen(host, address(ORIGIN)).unwrap());
        let mut random = Random::new(seed);
        let (size, ends, splices) = (random.below(120_000), random.below(2) == 0, random.below(4) > 0);
        let got = client(&ring, Duration::from_micros(random.below(2_000) as u64));
        origin(&ring, back, body(size));
        let sealed = Rc::new(RefCell::new(None));
        let (proxy, told) = (ring.clone(), Rc::clone(&sealed));
        ring.spawn(async move {
            let down = web.accept().await.unwrap();
            let up = proxy.connect(&address(ORIGIN)).await.unwrap();
            down.write(|output| output.write(GREETING));
            down.flushed().await.unwrap();
            let is_sealed = down.encrypt(Box::new(Toy { sequence: 0, sequence_max: u64::MAX })).is_ok();
            told.replace(Some(is_sealed));
            down.write(|output| output.write(b"head"));
            down.flushed().await.unwrap();
            carry(&up, &down, splices && up.can_splice()).await;
            down.write(|output| output.write(b"tail"));
            if ends {
                down.end();
            } else {
                down.finish();
            }
            down.flushed().await.unwrap();
        });
        world.run(core::slice::from_ref(&ring), Instant(u64::MAX / 2), || got.borrow().is_some() || ring.panics() > 0).unwrap();
        assert_eq!(ring.panics(), 0, "seed {seed}");
        let (bytes, end) = got.take().unwrap();
        let wanted = [b"head", &body(size)[..], b"tail"].concat();
        let (greeting, rest) = bytes.split_at(GREETING.len());
        assert_eq!((greeting, end), (GREETING, Ok(())), "seed {seed}");
        let counts = ring.counts();
        if sealed.take() == Some(true) {
            assert!(opened(rest) == Some((wanted, true)), "seed {seed}");
            ways[usize::from(counts.kernel_tls_bytes > 0)] += 1;
            assert_eq!((counts.kernel_tls, counts.kernel_tls_refused), (1, 0));
        } else {
            assert!(rest == wanted, "seed {seed}");
            assert_eq!((counts.kernel_tls, counts.kernel_tls_refused, counts.kernel_tls_bytes), (0, 1, 0));
            ways[2] += 1;
        }
    }
    assert!(ways.iter().all(|ways| *ways > 20), "by hand, spliced, refused: {ways:?}");
}

/// What is given up before all of it has gone ends so that nobody takes it for the whole.
#[test]
fn what_is_given_up_is_not_taken_for_the_whole() {
    let (mut whole, mut cut) = (0, 0);
    for seed in 0..300 {
        let world = World::new(Chaos { window_bytes: 50..=20_000, kernel_tls: true, ..Chaos::from_seed(seed).unbroken() });
        let host = world.host("all");
        let ring = Ring::sim(Sim::with_buffers(&world, host, 8, 4_096));
        let web = ring.listen(world.listen(host, address(PLACE)).unwrap());
        let mut random = Random::new(seed);
        let got = client(&ring, Duration::from_millis(1 + random.below(20) as u64));
        let proxy = ring.clone();
        ring.spawn(async move {
            let down = web.accept().await.unwrap();
            if down.encrypt(Box::new(Toy { sequence: 0, sequence_max: u64::MAX })).is_err() {
                return;
            }
            down.write(|output| output.write(&body(8_000)));
            match random.below(4) {
                0 => {}
                1 => proxy.yield_now().await,
                2 => proxy.sleep(Duration::from_millis(1 + random.below(50) as u64)).await,
                _ => down.flushed().await.unwrap(),
            }
            match random.below(3) {
                0 => down.end(),
                1 => down.finish(),
                _ => return,
            }
            if random.below(2) == 0 {
                proxy.yield_now().await;
            }
        });
        world.run(core::slice::from_ref(&ring), Instant(u64::MAX / 2), || got.borrow().is_some() || ring.panics() > 0).unwrap();
        assert_eq!(ring.panics(), 0, "seed {seed}");
        let (bytes, end) = got.take().unwrap();
        match opened(&bytes) {
            Some((content, true)) => {
                assert!(content == body(8_000), "seed {seed}: {} bytes, then the end", content.len());
                whole += 1;
            }
            Some((_, false)) | None => cut += 1,
        }
        assert!(end.is_ok() || bytes.len() <= 8_000 + 2 + 2 * HEADER_BYTES, "seed {seed}");
    }
    assert!(whole > 20 && cut > 20, "whole {whole}, cut {cut}");
}

#[test]
fn a_spent_key_protects_nothing_more() {
    const RECORDS_MAX: u64 = 1_000;
    let world = World::new(Chaos::calm());
    let host = world.host("all");
    let ring = Ring::sim(Sim::new(&world, host));
    let web = ring.listen(world.listen(host, address(PLACE)).unwrap());
    let got = client(&ring, Duration::ZERO);
    let failed = Rc::new(RefCell::new(None));
    let failure = Rc::clone(&failed);
    ring.spawn(async move {
        let down = web.accept().await.unwrap();
        down.encrypt(Box::new(Toy { sequence: 0, sequence_max: RECORDS_MAX })).unwrap();
        let error = loop {
            down.write(|output| output.write(b"a record"));
            if let Err(errno) = down.flushed().await {
                break errno;
            }
        };
        down.finish();
        failure.replace(Some((error, down.flushed().await)));
    });
    ring.run(|| got.borrow().is_some() || ring.panics() > 0);
    assert_eq!(ring.panics(), 0);
    assert_eq!(failed.take(), Some((Errno::KEYEXPIRED, Err(Errno::KEYEXPIRED))));
    let (content, told) = opened(&got.take().unwrap().0).unwrap();
    let records = (content.len() / b"a record".len()) as u64;
    assert!((RECORDS_MAX..RECORDS_MAX + 256).contains(&records) && !told, "{records} records");
    assert_eq!(ring.counts().kernel_tls_ended, 1);
}

#[test]
fn a_kernel_without_it_refuses() {
    for (kernel_tls, refuse_cipher) in [(false, Chance(0)), (true, Chance(10_000))] {
        let world = World::new(Chaos { kernel_tls, refuse_cipher, ..Chaos::calm() });
        let host = world.host("all");
        let ring = Ring::sim(Sim::new(&world, host));
        let web = ring.listen(world.listen(host, address(PLACE)).unwrap());
        let got = client(&ring, Duration::ZERO);
        ring.spawn(async move {
            let down = web.accept().await.unwrap();
            assert_eq!(down.encrypt(Box::new(Toy { sequence: 0, sequence_max: 1 })), Err(Errno(libc::ENOPROTOOPT)));
            down.write(|output| output.write(GREETING));
            down.finish();
            down.flushed().await.unwrap();
        });
        ring.run(|| got.borrow().is_some() || ring.panics() > 0);
        assert_eq!((got.take(), ring.panics()), (Some((GREETING.to_vec(), Ok(()))), 0));
        assert_eq!(ring.counts().kernel_tls_refused, 1);
    }
}

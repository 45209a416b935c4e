//! The fuzz targets on the stable toolchain: a bounded number of runs, the same ones every time but for the keys. (`fuzz/` runs them with coverage.)

mod common;
#[path = "../fuzz/targets.rs"]
mod targets;

use common::World;

const HELLO_RUNS: u32 = 3_000;
const SERVER_RUNS: u32 = 2_000;
const FLIGHT_RUNS: u32 = 600;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(5) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes[at] = random.byte(),
            2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at.min(59)] = [0, 1, 0xff, 0x7f][random.below(4)],
            4 => bytes.truncate(end.max(60)),
            _ => {
                // The rest in a record of its own.
                let length = u16::try_from(bytes.len() - at).unwrap_or(u16::MAX).to_be_bytes();
                let header = [22, 3, 3, length[0], length[1]];
                drop(bytes.splice(at..at, header));
                if at > 5 {
                    let length = u16::try_from(at - 5).unwrap_or(u16::MAX).to_be_bytes();
                    bytes[3..5].copy_from_slice(&length);
                }
            }
        }
    }
}

fn check(target: fn(&[u8]), run: u32, bytes: &[u8]) {
    assert!(std::panic::catch_unwind(|| target(bytes)).is_ok(), "run {run}: {}", bytes.escape_ascii());
}

fn hellos(runs: u32, target: fn(&[u8]), prefixed: bool) {
    // One record of a client with the small group, so that most of it means something.
    let mut world = World::new();
    world.client.protocol.groups = vec!["X25519".into()];
    world.client.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let seed = world.pair().client.transmit();
    let mut random = Random(0x5105_1ce0_0000_0002);
    for run in 0..runs {
        let mut bytes = seed.clone();
        mutate(&mut bytes, &mut random);
        if prefixed {
            bytes.insert(0, random.byte() % 64);
        }
        check(target, run, &bytes);
    }
}

#[test]
fn hello() {
    hellos(HELLO_RUNS, targets::hello, false);
}

#[test]
fn server() {
    hellos(SERVER_RUNS, targets::server, true);
}

#[test]
fn flights() {
    let mut random = Random(0x5105_1ce0_0000_0003);
    for run in 0..FLIGHT_RUNS {
        let mut bytes = vec![random.byte(), random.byte()];
        for _ in 0..random.below(4) {
            bytes.extend([random.byte(), random.byte() % 8, random.byte(), random.byte()]);
        }
        check(targets::flights, run, &bytes);
    }
}

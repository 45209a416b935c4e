//! The fuzz targets on the stable toolchain: a bounded number of runs over the mutated smuggling corpus, the same ones every time.
//! (`fuzz/` runs them with coverage.)

mod common;
#[path = "../fuzz/targets.rs"]
mod targets;

use common::corpus;

/// Runs per target.
const RUNS: u32 = 100_000;

/// Pieces that mean something to the grammar.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b",",
    b";",
    b"0",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Host: b\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, x\r\n",
    b"Expect: 100-continue\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 \r\n\r\n",
    b"http://c",
];

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
}

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            2 => drop(bytes.splice(at..end, WORDS[random.below(WORDS.len())].iter().copied())),
            3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            4 => {
                let other = &others[random.below(others.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            _ => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
    }
    bytes.truncate(4096);
}

fn run(target: fn(&[u8]), responses: bool) {
    let seeds: Vec<Vec<u8>> =
        corpus::cases().into_iter().filter(|case| case.method.is_some() == responses).map(|case| case.input).collect();
    let mut random = Random(0x5105_1ce0_0000_0001);
    for run in 0..RUNS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &seeds, &mut random);
        bytes.insert(0, u8::try_from(random.below(64)).unwrap_or_default());
        assert!(std::panic::catch_unwind(|| target(&bytes)).is_ok(), "run {run}: {}", bytes.escape_ascii());
    }
}

#[test]
fn server() {
    run(targets::server, false);
}

#[test]
fn client() {
    run(targets::client, true);
}

//! The fuzz targets on the stable toolchain: a bounded number of runs over mutated frames, the same ones every time. (`fuzz/` runs them with
//! coverage.)

#[expect(dead_code, reason = "only the small language is needed")]
mod common;
#[path = "../fuzz/targets.rs"]
mod targets;

/// Runs per target.
const RUNS: u32 = 60_000;

/// What a client may say.
const REQUESTS: [&str; 28] = [
    "get 1",
    "get 3 a=b",
    "get 5 cookie=a cookie=b",
    "get 1 host=a",
    "get 7 te=trailers expect=100-continue",
    "post 1",
    "post 3 content-length=5",
    "post 5 expect=100-continue",
    "data 1 hello",
    "data 3 es hello",
    "data 3 pad he",
    "data 1 es",
    "headers 1 es eh t=v",
    "headers 1 es eh 8286 84 4101 61 4001 78 0179",
    "headers 3 es eh 8286 84 bf be",
    "headers 5 es eh 20 3f45 8286 84 41 81 1f",
    "headers 9 es :method=GET :scheme=http :authority=a",
    "cont 9 eh :path=/",
    "headers 1 eh :method=CONNECT :authority=a:1",
    "headers 3 eh :method=CONNECT :protocol=websocket :scheme=https :path=/ :authority=a",
    "rst 1 8",
    "rst 3 0",
    "window 1 100",
    "window 0 1000",
    "settings 4=10 1=0",
    "settings ack",
    "ping abcdefgh; priority 1 3; update 1 u=1,_i",
    "goaway 0 0; raw 99 1 0 0102",
];

/// What an origin may say.
const RESPONSES: [&str; 20] = [
    "headers 1 eh :status=200 a=b",
    "headers 1 es eh :status=204",
    "headers 1 eh :status=103",
    "headers 3 es eh :status=200 content-length=5",
    "headers 3 eh :status=304",
    "headers 5 eh :status=200 content-length=5",
    "headers 7 eh :status=200",
    "headers 7 es eh :status=502",
    "headers 1 es eh t=v",
    "headers 5 es eh 88 4001 78 0179",
    "headers 1 es eh 88 be",
    "data 1 hello",
    "data 1 es",
    "data 5 es hello",
    "data 7 pad x",
    "rst 1 7",
    "rst 5 0",
    "goaway 3 0",
    "settings 4=10 3=1; settings ack; ping abcdefgh",
    "window 0 1000; window 5 10; priority 5 3",
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

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap_or_default(),
            _ => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
    }
}

fn run(target: fn(&[u8]), words: &[&str]) {
    let words: Vec<Vec<u8>> = words.iter().map(|word| common::frames(word)).collect();
    let mut random = Random(0x5105_1ce0_0000_0002);
    for run in 0..RUNS {
        let mut bytes: Vec<u8> = (0..=random.below(10)).flat_map(|_| words[random.below(words.len())].clone()).collect();
        mutate(&mut bytes, &mut random);
        bytes.insert(0, u8::try_from(random.below(256)).unwrap_or_default());
        assert!(std::panic::catch_unwind(|| target(&bytes)).is_ok(), "run {run}: {}", bytes.escape_ascii());
    }
}

#[test]
fn server() {
    run(targets::server, &REQUESTS);
}

#[test]
fn client() {
    run(targets::client, &RESPONSES);
}

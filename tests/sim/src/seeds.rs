//! Which seeds a test run tries: `SIM_SEEDS` of them (200 if it does not say), or the one `SIM_SEED`, whose trace is printed.

use std::env::var;

/// Seeds of a test run when nobody says otherwise.
const SEEDS_DEFAULT: u64 = 200;

/// Runs `run` for every seed of this test run; `run` says what went wrong. Panics with the first seed that failed and how to replay it.
pub fn each(name: &str, run: impl Fn(u64, bool) -> Result<(), String>) {
    share(name, 1, run);
}

/// The same for one seed of `of`: for runs that take longer.
pub fn share(name: &str, of: u64, run: impl Fn(u64, bool) -> Result<(), String>) {
    let number = |name: &str| var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seeds, traced) = match number("SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("SIM_SEEDS").unwrap_or(SEEDS_DEFAULT).div_ceil(of), false),
    };
    for seed in seeds {
        if let Err(wrong) = run(seed, traced) {
            panic!("{name}, seed {seed}: {wrong}\nreplay: SIM_SEED={seed} cargo test -p sim {name} -- --nocapture");
        }
    }
}

//! Who sends frames of no use is told to calm down and cut off; it is counted once, by the limit's name, and nobody else notices.

use e2e::{Origin, Stage, Target, Wire, eventually, frames, load, tally};

/// A request that lasts.
const LONG: &str = "es eh :method=GET :scheme=http :path=/delay/5000 :authority=HOST";

/// The limit, what goes first, what is sent again and again with `N` for a new stream each time, and how often: more than any limit lets
/// through in the time that it takes. (Streams that come faster than they can be let go are refused, which is a limit of its own.)
const FLOODS: [(&str, &str, &str, u32); 10] = [
    ("resets|provoked_resets", "", "headers N LONG; rst N 8", 3_000),
    ("provoked_resets", "", "post N; window N 0", 3_000),
    ("continuations", "headers 1 es :method=GET", "cont 1 a=b", 100),
    ("block_bytes", "headers 1 es :method=GET", "cont 1 a=b*16000", 10),
    ("settings", "", "settings", 3_000),
    ("pings", "headers 1 LONG; headers 3 LONG", "ping h2-flood", 3_000),
    ("empty_data", "post 1", "data 1", 3_000),
    ("chatter", "", "window 0 1", 20_000),
    ("chatter", "", "priority N 0", 20_000),
    ("chatter", "", "raw 22 0 0 00", 20_000),
];

#[test]
fn floods_end_their_connection_and_no_other() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let url = format!("http://{}/delay/50", stage.plain);
    let others = load(&url, "two.test", &["-n6000"]);
    let active = || stage.sluice.metrics().sum("sluice_downstream_connections_active", &["listener=\"plain\""]);
    eventually("others are served", || active() == 10);
    for (limit, first, again, times) in FLOODS {
        let counted = || {
            let metrics = stage.sluice.metrics();
            let reached = |limit| metrics.sum("sluice_downstream_limits_total", &["listener=\"plain\"", &format!("limit=\"{limit}\"")]);
            (metrics.faults("http2_flood"), limit.split('|').map(reached).sum::<i64>())
        };
        let (floods, reached) = counted();
        let mut wire = Wire::connect(stage.plain, None);
        wire.greet();
        flood(&mut wire, first, again, times);
        let ended = wire.play("> goaway ENHANCE_YOUR_CALM; > closed", Target { scheme: "http", authority: "one.test" });
        ended.unwrap_or_else(|came| panic!("{limit} by {again}: {came}"));
        eventually(format_args!("{limit} by {again} is counted"), || counted().1 > reached);
        // The requests that it ended are not floods.
        assert_eq!(counted(), (floods + 1, reached + 1), "{limit} by {again}");
    }
    assert_eq!(tally(others), (6000, 0));
}

fn flood(wire: &mut Wire, first: &str, again: &str, times: u32) {
    let target = Target { scheme: "http", authority: "one.test" };
    let mut bytes = Vec::new();
    for time in 0..=times {
        let script = if time == 0 { first.to_owned() } else { again.replace(" N", &format!(" {}", 2 * time - 1)) };
        bytes.extend(frames(&script.replace("LONG", LONG), target));
    }
    wire.send(&bytes);
}

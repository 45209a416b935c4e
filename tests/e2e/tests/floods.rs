//! Who sends frames of no use is told to calm down and cut off; it is counted by the limit's name, and nobody else notices.

use e2e::{Origin, Stage, eventually, load, run_python, tally};

/// RFC 9113 §7: `ENHANCE_YOUR_CALM`.
const CALM: &str = "goaway 11 ";

#[test]
fn floods_end_their_connection_and_no_other() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let url = format!("http://{}/delay/50", stage.plain);
    let others = load(&url, "two.test", &["-n6000"]);
    let active = || stage.sluice.metrics().sum("sluice_downstream_connections_active", &["listener=\"plain\""]);
    eventually("others are served", || active() == 10);
    let floods = ["resets", "continuations", "settings", "pings", "empty_data"];
    for limit in floods {
        let flooded = || stage.sluice.metrics().faults("http2_flood");
        let before = flooded();
        let said = run_python("frames.py", &[&stage.plain.port().to_string(), limit]);
        assert!(said.starts_with(CALM), "{limit}: {said}");
        // The requests that the end of the connection cut short are counted too.
        eventually(format_args!("the end by {limit} is counted"), || flooded() > before);
        let name = format!("limit=\"{limit}\"");
        assert_eq!(stage.sluice.metrics().sum("sluice_downstream_limits_total", &["listener=\"plain\"", &name]), 1, "{limit}");
    }
    assert_eq!(tally(others), (6000, 0));
}

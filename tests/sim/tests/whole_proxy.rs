//! The whole proxy between clients that keep account of every request and origins that do what they planned, on a network and a kernel as
//! unkind as the seed says. In every run: nothing lost, answered twice, mixed up, leaked or hung.

use std::collections::BTreeMap;

use io::sim::{Chance, Chaos, Random};
use sim::{
    plan::Mood,
    scene::{fingerprint, run, watched},
    seeds::{each, share},
    setting::{ORIGINS, Relay, Setting, config, http_config, relayed},
};

#[test]
fn every_request_gets_its_answer() {
    each("every_request_gets_its_answer", |seed, traced| run(Setting::new(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken())));
}

#[test]
fn origins_that_close_idle_connections_lose_no_request_that_may_be_repeated() {
    let name = "origins_that_close_idle_connections_lose_no_request_that_may_be_repeated";
    each(name, |seed, traced| run(Setting::new(seed, traced, Mood::Hasty, Chaos::from_seed(seed).unbroken())));
}

#[test]
fn origins_that_fail_are_answered_for() {
    each("origins_that_fail_are_answered_for", |seed, traced| {
        run(Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed).unbroken()))
    });
}

#[test]
fn a_breaking_network_breaks_only_what_it_must() {
    let name = "a_breaking_network_breaks_only_what_it_must";
    each(name, |seed, traced| run(Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed))));
}

#[test]
fn configurations_change_under_way_and_nobody_notices() {
    let changed = |seed| {
        let mut random = Random::new(seed ^ 0xC0FF);
        let mut version = |number: usize| {
            let mut origins = ORIGINS.to_vec();
            random.shuffle(&mut origins);
            origins.truncate(1 + random.below(ORIGINS.len()));
            let extra = if random.below(2) == 1 { "bind: [\"10.0.0.1:80\", \"10.0.0.1:81\"]," } else { "" };
            let policy = random.pick(&["round_robin", "least_request", "random"]);
            let listener = format!(
                "limits: {{ headers: {} }}, http: {{ sites: [{{ hosts: [\"*\"], routes: [
                    {{ to: origins, response: {{ headers: {{ set: {{ x-version: \"{number}\" }} }} }} }}] }}] }}",
                50 + number
            );
            let text = config(&listener, &origins, &format!(", balance: {policy}"));
            if extra.is_empty() { text } else { text.replace("bind: [\"10.0.0.1:80\"],", extra) }
        };
        (0..5).map(&mut version).collect()
    };
    each("configurations_change_under_way_and_nobody_notices", |seed, traced| {
        let chaos = Chaos::from_seed(seed).unbroken();
        run(Setting { changes: changed(seed), ..Setting::new(seed, traced, Mood::Good, chaos) })
    });
}

#[test]
fn no_endpoint_gets_more_connections_than_it_may() {
    each("no_endpoint_gets_more_connections_than_it_may", |seed, traced| {
        let most = 1 + (seed % 3) as usize;
        let setting = Setting::new(seed, traced, if seed % 2 == 0 { Mood::Good } else { Mood::Hasty }, Chaos::from_seed(seed).unbroken());
        let config = http_config(&format!(", limits: {{ connections: {most}, pending: 2 }}"));
        run(Setting { config, upstream_max: Some(most), expected_reasons: &["overflow"], ..setting })
    });
}

#[test]
fn used_up_descriptors_refuse_and_recover() {
    each("used_up_descriptors_refuse_and_recover", |seed, traced| {
        let setting = Setting::new(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken());
        run(Setting { descriptors: Some(6 + (seed % 7) as usize), expected_reasons: &["connect_failed"], ..setting })
    });
}

/// What the proxy speaks with itself, by seed.
fn between(seed: u64) -> String {
    let secure = !seed.is_multiple_of(3);
    let protocol = if seed.is_multiple_of(2) { "http1" } else { "http2" };
    relayed(Relay { protocol, secure, passed: secure && seed % 5 < 2, sealed_by_kernel: seed % 7 < 4 })
}

#[test]
fn every_protocol_on_both_sides() {
    share("every_protocol_on_both_sides", 4, |seed, traced| {
        let chaos = Chaos::from_seed(seed).unbroken();
        run(Setting { config: between(seed), hops: 2, ..Setting::new(seed, traced, Mood::Good, chaos) })
    });
}

#[test]
fn every_protocol_over_what_breaks() {
    share("every_protocol_over_what_breaks", 4, |seed, traced| {
        let reasons = &["stream_refused", "upstream_tls_handshake", "upstream_tls_protocol", "downstream_reset", "overflow"];
        let setting = Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed));
        run(Setting { config: between(seed), expected_reasons: reasons, hops: 2, ..setting })
    });
}

#[test]
fn endpoints_that_are_asked_how_they_are() {
    share("endpoints_that_are_asked_how_they_are", 4, |seed, traced| {
        let check = if seed.is_multiple_of(2) { "http: /healthz" } else { "tcp: {}" };
        let config = http_config(&format!(", health: [{{ {check}, interval: 20s, timeout: 100s, rise: 1, fall: 1 }}]"));
        let (mood, chaos) =
            if seed % 4 < 2 { (Mood::Good, Chaos::from_seed(seed).unbroken()) } else { (Mood::Bad, Chaos::from_seed(seed)) };
        let changes = vec![http_config(""), config.clone()];
        let expected_reasons: &[&str] = if mood == Mood::Bad { &["no_endpoint"] } else { &[] };
        run(Setting { config, changes, expected_reasons, ..Setting::new(seed, traced, mood, chaos) })
    });
}

#[test]
fn bytes_are_carried() {
    each("bytes_are_carried", |seed, traced| {
        let setting = Setting::new(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken());
        run(Setting { config: config("tcp: origins", &ORIGINS, ""), speaks_http: false, ..setting })
    });
}

/// Sockets that the kernel joins, with bytes and ends that come at any moment of it, backlogs that fill, refusals, and ends that overtake.
fn joined(seed: u64, traced: bool, chaos: Chaos) -> Setting {
    let config = config("tcp: origins", &ORIGINS, ", redirect: { via: sockmap, backlog: 64KiB }");
    Setting { config, speaks_http: false, joins: Some([Chance(50), Chance(300)]), ..Setting::new(seed, traced, Mood::Good, chaos) }
}

#[test]
fn the_kernel_carries_bytes() {
    share("the_kernel_carries_bytes", 4, |seed, traced| run(joined(seed, traced, Chaos::from_seed(seed).unbroken())));
}

/// What the one above would be worth nothing without.
#[test]
fn joined_sockets_come_to_everything() {
    let mut counts = BTreeMap::new();
    for seed in 0..40 {
        let (outcome, view) = watched(joined(seed, false, Chaos::from_seed(seed).unbroken()));
        assert_eq!(outcome, Ok(()));
        for series in view.series("sluice_upstream_redirects_total") {
            *counts.entry(series.labels["result"].clone()).or_insert(0) += series.value;
        }
    }
    for result in ["joined", "full", "over", "refused"] {
        assert!(counts.get(result).is_some_and(|count| *count > 0), "{result}: {counts:?}");
    }
}

#[test]
fn short_timeouts_end_whatever_is_slow() {
    const REASONS: &[&str] = &["request_head_timeout", "request_body_timeout", "response_timeout", "idle_timeout", "connect_timeout"];
    each("short_timeouts_end_whatever_is_slow", |seed, traced| {
        let setting = Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed));
        let config = http_config("").replace("3000s", "200ms").replace("200s", "100ms");
        run(Setting { config, times_out: true, expected_reasons: REASONS, ..setting })
    });
}

#[test]
fn a_drain_finishes_what_was_begun() {
    each("a_drain_finishes_what_was_begun", |seed, traced| {
        let setting = Setting::new(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken());
        run(Setting { drains_early: true, ..setting })
    });
}

#[test]
fn a_seed_replays_step_by_step() {
    each("a_seed_replays_step_by_step", |seed, traced| {
        // A seed that does not replay is worth nothing, but a few show it.
        if seed >= 20 && !traced {
            return Ok(());
        }
        let once = || fingerprint(Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed)));
        if once()? == once()? { Ok(()) } else { Err("the same seed ran another way the second time".to_owned()) }
    });
}

//! The whole proxy between clients and origins that speak HTTP/2, in the clear and through TLS, in every combination with HTTP/1: with whims, refusals,
//! departures, cancellations and failures at any moment; and attackers beside them, who are cut off and counted.

use io::sim::Chaos;
use sim::{
    plan::Mood,
    scene::run,
    seeds::share,
    setting::{Setting, Speech},
};

/// What both sides speak, by seed: every combination but HTTP/1 in the clear on both.
fn speech(seed: u64) -> (Speech, Speech) {
    let bits = 1 + seed % 15;
    let bit = |at: u64| bits >> at & 1 == 1;
    (Speech { http2: bit(0), secure: bit(1) }, Speech { http2: bit(2), secure: bit(3) })
}

fn setting(seed: u64, traced: bool, mood: Mood, chaos: Chaos) -> Setting {
    let (clients, origins) = speech(seed);
    Setting::new(seed, traced, mood, chaos).spoken(clients, origins)
}

#[test]
fn every_request_gets_its_answer_whatever_is_spoken() {
    share("every_request_gets_its_answer_whatever_is_spoken", 4, |seed, traced| {
        run(setting(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken()))
    });
}

#[test]
fn origins_that_leave_lose_no_request_that_they_have_not_seen() {
    share("origins_that_leave_lose_no_request_that_they_have_not_seen", 4, |seed, traced| {
        run(setting(seed, traced, Mood::Hasty, Chaos::from_seed(seed).unbroken()))
    });
}

#[test]
fn origins_that_fail_are_answered_for_whatever_is_spoken() {
    share("origins_that_fail_are_answered_for_whatever_is_spoken", 4, |seed, traced| {
        run(setting(seed, traced, Mood::Bad, Chaos::from_seed(seed).unbroken()))
    });
}

#[test]
fn what_breaks_breaks_only_what_it_must_whatever_is_spoken() {
    share("what_breaks_breaks_only_what_it_must_whatever_is_spoken", 4, |seed, traced| {
        let expected_reasons = &["upstream_tls_handshake", "upstream_tls_protocol"];
        run(Setting { expected_reasons, ..setting(seed, traced, Mood::Bad, Chaos::from_seed(seed)) })
    });
}

#[test]
fn attackers_are_cut_off_and_nobody_else_notices() {
    share("attackers_are_cut_off_and_nobody_else_notices", 4, |seed, traced| {
        let chaos = Chaos::from_seed(seed).unbroken();
        let (clients, origins) = speech(seed);
        let attacked = Setting::new(seed, traced, Mood::Good, chaos).spoken(Speech { http2: true, ..clients }, origins);
        run(Setting { attackers: 4, ..attacked })
    });
}

#[test]
fn attackers_are_cut_off_where_everything_else_breaks_too() {
    share("attackers_are_cut_off_where_everything_else_breaks_too", 4, |seed, traced| {
        let (clients, origins) = speech(seed);
        let attacked = Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed)).spoken(Speech { http2: true, ..clients }, origins);
        run(Setting { attackers: 4, expected_reasons: &["upstream_tls_handshake", "upstream_tls_protocol"], ..attacked })
    });
}

fn tunnels(seed: u64, traced: bool) -> Setting {
    Setting { tunnels: 8, requests: 10, ..setting(seed, traced, Mood::Good, Chaos::from_seed(seed).unbroken()) }
}

#[test]
fn tunnels_carry_everything_to_its_end() {
    share("tunnels_carry_everything_to_its_end", 4, |seed, traced| run(tunnels(seed, traced)));
}

/// Many that waited for one connection's greeting were refused there, and so was one that others overtook when it came.
#[test]
fn who_waits_for_a_greeting_has_its_place() {
    for seed in [59, 177] {
        assert_eq!(run(tunnels(seed, false)), Ok(()));
    }
}

#[test]
fn tunnels_that_break_are_seen_to_break() {
    share("tunnels_that_break_are_seen_to_break", 4, |seed, traced| {
        let mood = if seed.is_multiple_of(2) { Mood::Hasty } else { Mood::Bad };
        let expected_reasons = &["upstream_tls_handshake", "upstream_tls_protocol"];
        run(Setting { tunnels: 8, requests: 10, expected_reasons, ..setting(seed, traced, mood, Chaos::from_seed(seed)) })
    });
}

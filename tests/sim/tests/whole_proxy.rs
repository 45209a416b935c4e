//! The whole proxy between clients that keep account of every request and origins that do what they planned, on a network and a kernel as
//! unkind as the seed says. In every run: nothing lost, answered twice, mixed up, leaked or hung.

use io::sim::Chaos;
use sim::{
    plan::Mood,
    scene::{Setting, run},
    seeds::each,
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
    each("origins_that_fail_are_answered_for", |seed, traced| run(Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed).unbroken())));
}

#[test]
fn a_breaking_network_breaks_only_what_it_must() {
    let name = "a_breaking_network_breaks_only_what_it_must";
    each(name, |seed, traced| run(Setting::new(seed, traced, Mood::Bad, Chaos::from_seed(seed))));
}

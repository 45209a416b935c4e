//! What concerns the whole process, in one of its own: signals, and how nice its threads are.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests"
)]

mod scene;

use std::{fs, sync::atomic::Ordering::SeqCst};

use control::Ending;
use rustix::process::{Signal, getpid, kill_process};
use scene::{Scene, eventually};
use stats::metrics;

fn send(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// How nice the threads of a name are.
fn niceness(wanted: &str) -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let of_wanted = stats.filter(|stat| stat.contains(&format!("({wanted})")));
    // After the name in brackets the 17th field is the niceness.
    of_wanted.map(|stat| stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()).collect()
}

#[test]
fn threads_are_niced_and_each_signal_does_what_it_says() {
    let mut scene = Scene::start(false);
    // All but the one that compiles; each has its name once it has run.
    eventually("niced", || (niceness("control"), niceness("stats"), niceness("config")) == (vec![5], vec![5], vec![0]));
    let dropped = scene.hub.page().counter(&metrics::LOG_DROPPED, &[("worker", "0")]);
    let mut writer = scene.lines.take().unwrap().writer(dropped);
    let mut write = || {
        writer.line(|out| out.extend(b"line"));
        writer.flush();
    };
    write();
    eventually("written", || scene.path("access.log").exists());
    fs::rename(scene.path("access.log"), scene.path("old.log")).unwrap();
    send(Signal::USR1);
    eventually("reopened", || {
        write();
        scene.path("access.log").exists()
    });

    // What could not be applied is tried again, though the file has not changed.
    scene.told.refusing.store(true, SeqCst);
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.8:80"])).unwrap();
    eventually("refused", || scene.socket().config().unwrap().refused.is_some());
    scene.told.refusing.store(false, SeqCst);
    send(Signal::HUP);
    assert_eq!(scene.next_applied(), ["10.0.0.8:80"]);

    send(Signal::TERM);
    eventually("draining", || scene.told.draining.load(SeqCst));
    assert_eq!(scene.port().ask("GET", "/ready", b"").unwrap().status, 503);
    // The workers never finish; the second signal ends it.
    send(Signal::TERM);
    assert_eq!(scene.wait(), Ending::Forced);
}

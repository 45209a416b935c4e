//! The access log: through the queue to the file, reopened, full, stalled.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests"
)]

mod scene;

use std::{
    fs::{self, File},
    io::Read,
    process::Command,
};

use scene::{Scene, eventually};
use stats::{LinesWriter, metrics};

fn writer(scene: &mut Scene) -> LinesWriter {
    let dropped = scene.hub.page().counter(&metrics::LOG_DROPPED, &[("worker", "0")]);
    scene.lines.take().unwrap().writer(dropped)
}

fn write(writer: &mut LinesWriter, lines: impl IntoIterator<Item = u32>) {
    for line in lines {
        writer.line(|out| out.extend(line.to_string().as_bytes()));
        writer.flush();
    }
}

fn read(scene: &Scene, name: &str) -> String {
    fs::read_to_string(scene.path(name)).unwrap_or_default()
}

fn expected(lines: impl IntoIterator<Item = u32>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

fn total(scene: &Scene, metric: &str, reason: &str) -> i64 {
    let labels = [("reason", reason)];
    scene.socket().stats().unwrap().total(metric, if reason.is_empty() { &[] } else { &labels })
}

#[test]
fn lines_are_appended_and_the_file_reopened() {
    let mut scene = Scene::start(false);
    fs::write(scene.path("access.log"), "before\n").unwrap();
    let mut writer = writer(&mut scene);
    write(&mut writer, 0..500);
    eventually("written", || read(&scene, "access.log") == "before\n".to_owned() + &expected(0..500));
    fs::rename(scene.path("access.log"), scene.path("access.log.1")).unwrap();
    assert_eq!(scene.socket().ask("POST", "/logs/reopen", b"").unwrap().status, 202);
    eventually("reopened", || {
        write(&mut writer, [1]);
        !read(&scene, "access.log").is_empty()
    });
    // Another file by configuration.
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.1:80"]).replace("access.log", "other.log")).unwrap();
    scene.next_applied();
    eventually("moved", || {
        write(&mut writer, [2]);
        !read(&scene, "other.log").is_empty()
    });
    // The last lines are written when the process ends.
    write(&mut writer, [3]);
    let other = scene.path("other.log");
    let folder = fs::canonicalize(scene.folder.path()).unwrap();
    let keep = File::open(&other).unwrap();
    assert!(folder.exists());
    scene.end();
    let mut text = String::new();
    { keep }.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("2\n3\n"), "{text}");
}

#[test]
fn a_full_disk_drops_lines_and_stops_nobody() {
    let mut scene = Scene::start(false);
    let log = scene.folder.path().join("access.log").display().to_string();
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.1:80"]).replace(&log, "/dev/full")).unwrap();
    scene.next_applied();
    let mut writer = writer(&mut scene);
    eventually("dropped", || {
        write(&mut writer, 0..1_000);
        scene.socket().stats().unwrap().total("sluice_log_dropped_total", &[("worker", "0")]) > 0
    });
    assert!(total(&scene, "sluice_log_write_failures_total", "full") > 0);
    assert_eq!(scene.port().ask("GET", "/ready", b"").unwrap().status, 200);
    // Room again: what waited is written, whole lines from where it stopped.
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.1:80"])).unwrap();
    eventually("written", || total(&scene, "sluice_log_written_total", "") > 0);
    assert!(read(&scene, "access.log").starts_with("0\n1\n2\n"));
    scene.end();
}

#[test]
fn a_stalled_log_stops_nobody() {
    let mut scene = Scene::start(false);
    let fifo = scene.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.1:80"]).replace("access.log", "fifo")).unwrap();
    scene.next_applied();
    let mut writer = writer(&mut scene);
    // Nobody reads the FIFO: opening it stalls.
    eventually("dropped", || {
        write(&mut writer, 0..1_000);
        scene.socket().stats().unwrap().total("sluice_log_dropped_total", &[("worker", "0")]) > 0
    });
    assert_eq!(total(&scene, "sluice_log_written_total", ""), 0);
    // Somebody opens it and reads nothing but the first line: writing stalls once the pipe is full, and another file helps.
    let mut reader = File::open(&fifo).unwrap();
    let mut first = [0; 2];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"0\n");
    let dropped = |scene: &Scene| scene.socket().stats().unwrap().total("sluice_log_dropped_total", &[]);
    let before = dropped(&scene);
    eventually("pipe full", || {
        write(&mut writer, 0..1_000);
        dropped(&scene) > before + 20_000
    });
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.1:80"])).unwrap();
    eventually("written elsewhere", || {
        write(&mut writer, 0..10);
        !read(&scene, "access.log").is_empty()
    });
    assert!(total(&scene, "sluice_log_write_failures_total", "stalled") > 0);
    scene.end();
}

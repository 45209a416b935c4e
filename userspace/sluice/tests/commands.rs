//! The commands that look and end: what they print, where, and how they exit.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests, in real time")]

mod stage;

use std::fs;

use stage::output;

const GOOD: &str = "version: 1
listeners: { web: { bind: [\"127.0.0.1:8080\"], http: { sites: [{ hosts: [\"*\"], routes: [{ to: api }] }] } } }
clusters: { api: { endpoints: [\"10.0.0.1:80\"] } }
";

#[test]
fn check_says_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.yaml");
    let file = file.to_str().unwrap();
    fs::write(file, GOOD).unwrap();
    let (status, stdout, stderr) = output(&["check", file]);
    assert!(status.success() && stderr.is_empty(), "{stderr}");
    assert_eq!(stdout, format!("{file}: ok, 1 listeners, 1 clusters\n"));

    fs::write(file, GOOD.replace("to: api", "to: nobody").replace("version: 1", "version: 1\ncolour: red")).unwrap();
    let (status, stdout, stderr) = output(&["check", file]);
    assert_eq!((status.code(), stdout.as_str()), (Some(1), ""));
    for part in ["colour", "nobody"] {
        let line = stderr.lines().find(|line| line.contains(part));
        assert!(line.is_some_and(|line| line.starts_with(&format!("{file}:"))), "{part} in\n{stderr}");
    }

    let (status, _, stderr) = output(&["check", "/nowhere/sluice.yaml"]);
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("/nowhere/sluice.yaml"), "{stderr}");
}

#[test]
fn the_packaged_configuration_is_sound() {
    let (status, _, stderr) = output(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/sluice.yaml")]);
    assert!(status.success(), "{stderr}");
}

#[test]
fn effective_writes_defaults_out_and_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.yaml");
    fs::write(&file, GOOD).unwrap();
    let (status, effective, stderr) = output(&["config", "--effective", file.to_str().unwrap()]);
    assert!(status.success() && effective.contains("round_robin"), "{effective}{stderr}");
    fs::write(&file, &effective).unwrap();
    let (status, again, stderr) = output(&["config", "--effective", file.to_str().unwrap()]);
    assert!(status.success(), "{stderr}");
    assert_eq!(again, effective);
    assert!(!output(&["config", file.to_str().unwrap()]).0.success(), "what to show has to be said");
}

#[test]
fn the_schema_is_json() {
    let (status, stdout, _) = output(&["schema"]);
    assert!(status.success());
    let schema: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn the_doctor_looks_at_everything() {
    let (status, stdout, stderr) = output(&["doctor"]);
    assert!(status.success(), "{stderr}");
    for part in ["kernel ", "io_uring", "file descriptors", "somaxconn", "ip_local_port_range", "CPU quota", "workers"] {
        assert!(stdout.contains(part), "{part} in\n{stdout}");
    }
    let lines: Vec<&str> = stdout.lines().collect();
    let (last, findings) = lines.split_last().unwrap();
    for line in findings {
        assert_eq!(line.starts_with("warn "), line.contains("  -> "), "{line}");
        assert!(line.starts_with("ok ") || line.starts_with("warn "), "{line}");
    }
    assert!(last.contains("in order") || last.contains("could be better"), "{last}");
}

#[test]
fn nobody_to_ask_is_said() {
    for arguments in [&["drain", "--admin", "/nowhere/admin.sock"][..], &["top", "--once", "--admin", "/nowhere/admin.sock"]] {
        let (status, _, stderr) = output(arguments);
        assert_eq!(status.code(), Some(1));
        assert!(stderr.contains("/nowhere/admin.sock") && stderr.contains("is sluice running"), "{stderr}");
    }
}

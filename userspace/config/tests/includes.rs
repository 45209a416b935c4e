//! Configurations of several files.

use std::fs;
use std::path::{Path, PathBuf};

use config::{Snapshot, compile, load};

/// A folder with these files, and the path of the first.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }
    let first = folder.path().join(files[0].0);
    (folder, first)
}

/// The names of clusters, or every reason without the folder's name.
fn outcome(files: &[(&str, &str)]) -> Vec<String> {
    let (folder, path) = folder(files);
    let root = format!("{}/", folder.path().display());
    match load(&path).and_then(|loaded| compile(&loaded, None)) {
        Ok(snapshot) => names(&snapshot),
        Err(rejections) => rejections.iter().map(|rejection| rejection.to_string().replace(&root, "")).collect(),
    }
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<String> = snapshot.clusters().map(|cluster| cluster.name.to_string()).collect();
    names.sort();
    names
}

const MAIN: &str = "version: 1\ninclude: [d/*.yaml, e.yaml]\nclusters: { main: { endpoints: [10.0.0.1:80] } }\n";

#[test]
fn files_are_one_configuration() {
    let a = ("d/a.yaml", "clusters: { a: { endpoints: [10.0.0.1:80] } }\n");
    let e = ("e.yaml", "version: 1\nx-note: 1\nclusters: { e: { endpoints: [\"unix:e.sock\"] } }\n");
    let hidden = ("d/.a.yaml", "not: read\n");
    let other = ("d/a.txt", "not: read\n");
    assert_eq!(outcome(&[("main.yaml", MAIN), a, e, hidden, other]), ["a", "e", "main"]);
}

#[test]
fn a_file_named_twice_is_read_once() {
    let main = "version: 1\ninclude: [\"*.yaml\", e.yaml]\n";
    assert_eq!(outcome(&[("main.yaml", main), ("e.yaml", "clusters: { e: { endpoints: [10.0.0.1:80] } }\n")]), ["e"]);
}

#[test]
fn every_name_stands_in_one_file() {
    let a = ("d/a.yaml", "\nclusters:\n  b: { endpoints: [10.0.0.1:80] }\n  main: { endpoints: [10.0.0.1:80] }\n");
    let e = ("e.yaml", "clusters: { b: { endpoints: [10.0.0.1:80] } }\n");
    let expect = [
        "d/a.yaml:4:3: clusters.main: the cluster \"main\" is already defined at main.yaml:3",
        "e.yaml:1:13: clusters.b: the cluster \"b\" is already defined at d/a.yaml:3",
    ];
    assert_eq!(outcome(&[("main.yaml", MAIN), a, e]), expect);
}

#[test]
fn faults_of_every_file_are_told() {
    let main = "version: 1\ninclude: [d/*.yaml, e.yaml, f.yaml]\nworkers: 0\n";
    let a = ("d/a.yaml", "admin: {}\nclusters: { a: { endpoints: [10.0.0.1] } }\n");
    let e = ("e.yaml", "clusters: [\n");
    let expect = [
        "e.yaml:2:1: this is not YAML: while parsing a node, did not find expected node content",
        "f.yaml: the file cannot be read: No such file or directory (os error 2)",
        "main.yaml:3:10: workers: \"0\" is no whole number from 1 to 1024, or auto",
        "d/a.yaml:1:1: admin: there is no key \"admin\" here; allowed: version, secrets, listeners, clusters, vips",
    ];
    // The cluster itself is read only when all files could be.
    assert_eq!(outcome(&[("main.yaml", main), a, e])[..4], expect);
}

#[test]
fn what_to_watch_is_every_file_and_folder_of_patterns() {
    let (folder, path) = folder(&[("main.yaml", MAIN), ("d/a.yaml", ""), ("e.yaml", "")]);
    let loaded = load(&path).expect("good files");
    let watched: Vec<&Path> = loaded.watched().iter().map(|path| path.strip_prefix(folder.path()).expect("inside")).collect();
    assert_eq!(watched, [Path::new("d"), Path::new("d/a.yaml"), Path::new("e.yaml"), Path::new("main.yaml")]);
    assert_eq!(loaded.texts().map(|(_, text)| text).collect::<Vec<_>>(), [MAIN, "", ""]);
}

#[test]
fn the_hash_is_of_every_byte_and_border() {
    let hash = |files: &[(&str, &str)]| {
        let (_folder, path) = folder(files);
        load(&path).expect("good files").hash()
    };
    let main = ("main.yaml", MAIN);
    let base = hash(&[main, ("d/a.yaml", "# ab\n"), ("e.yaml", "")]);
    assert_eq!(base, hash(&[main, ("d/a.yaml", "# ab\n"), ("e.yaml", "")]));
    assert_ne!(base, hash(&[main, ("d/a.yaml", "# ac\n"), ("e.yaml", "")]));
    assert_ne!(base, hash(&[main, ("d/a.yaml", ""), ("e.yaml", "# ab\n")]));
}

#[test]
fn files_that_cannot_be_read() {
    let (folder, path) = folder(&[("main.yaml", "version: 1")]);
    fs::write(&path, b"version: 1\nuser: \xff\n").expect("it can be written");
    let told = |path: &Path| load(path).expect_err("unreadable").iter().map(ToString::to_string).collect::<String>();
    assert!(told(&path).ends_with("main.yaml: the file is not UTF-8 (line 2, byte 17)"), "{}", told(&path));
    let missing = folder.path().join("missing.yaml");
    assert!(
        told(&missing).ends_with("missing.yaml: the file cannot be read: No such file or directory (os error 2)"),
        "{}",
        told(&missing)
    );
}

//! Every way of changing a file, and what must be read afterwards.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
};

use super::*;

/// Long enough for what must be noticed, on a busy machine.
const LONG: Duration = Duration::from_secs(10);
/// What must not be noticed is looked for this long.
const SHORT: Duration = Duration::from_millis(150);

struct Scene {
    root: tempfile::TempDir,
    watcher: Watcher,
}

impl Scene {
    /// `v1/config` and `v2/config` behind `data -> v1`, reached by `config -> data/config`.
    fn new(watched: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            fs::create_dir(root.path().join(version)).unwrap();
            fs::write(root.path().join(version).join("config"), version).unwrap();
        }
        symlink("v1", root.path().join("data")).unwrap();
        symlink("data/config", root.path().join("config")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(&watched.iter().map(|path| root.path().join(path)).collect::<Vec<_>>());
        Self { root, watcher }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// The next change, and that what is read then is whole and says `expect`.
    async fn reads(&mut self, path: &str, expect: &str) {
        loop {
            tokio::time::timeout(LONG, self.watcher.changed()).await.unwrap_or_else(|_| panic!("{expect} was not noticed")).unwrap();
            let text = fs::read_to_string(self.path(path)).unwrap_or_default();
            // Several events of one change may be noticed apart: the last of them counts.
            if self.watcher.is_steady().unwrap() && text == expect {
                return;
            }
        }
    }

    /// Nothing that may be read happens.
    async fn is_quiet(&mut self) {
        while let Ok(changed) = tokio::time::timeout(SHORT, self.watcher.changed()).await {
            changed.unwrap();
            assert!(!self.watcher.is_steady().unwrap(), "nothing whole is new");
        }
    }
}

fn run(test: impl AsyncFnOnce()) {
    tokio_uring::start(test());
}

#[test]
fn a_file_is_read_when_it_is_closed_and_not_before() {
    run(async || {
        let mut scene = Scene::new(&["v1/config"]);
        scene.is_quiet().await;
        let mut file = File::create(scene.path("v1/config")).unwrap();
        file.write_all(b"half").unwrap();
        scene.is_quiet().await;
        file.write_all(b" and half").unwrap();
        drop(file);
        scene.reads("v1/config", "half and half").await;
        fs::write(scene.path("v1/other"), "").unwrap();
        scene.is_quiet().await;
    });
}

#[test]
fn what_is_written_while_it_is_read_is_not_steady() {
    run(async || {
        let mut scene = Scene::new(&["v1/config"]);
        fs::write(scene.path("v1/config"), "one").unwrap();
        scene.watcher.changed().await.unwrap();
        let mut file = File::create(scene.path("v1/config")).unwrap();
        file.write_all(b"tw").unwrap();
        assert!(!scene.watcher.is_steady().unwrap());
        scene.is_quiet().await;
        file.write_all(b"o").unwrap();
        drop(file);
        scene.reads("v1/config", "two").await;
    });
}

#[test]
fn renames_into_place_are_noticed() {
    run(async || {
        let mut scene = Scene::new(&["v1/config"]);
        for text in ["one", "two"] {
            fs::write(scene.path("v1/temporary"), text).unwrap();
            fs::rename(scene.path("v1/temporary"), scene.path("v1/config")).unwrap();
            scene.reads("v1/config", text).await;
        }
        // Away and another in its place, as editors do it.
        fs::rename(scene.path("v1/config"), scene.path("v1/backup")).unwrap();
        scene.is_quiet().await;
        fs::write(scene.path("v1/config"), "three").unwrap();
        scene.reads("v1/config", "three").await;
        fs::remove_file(scene.path("v1/config")).unwrap();
        scene.is_quiet().await;
        fs::hard_link(scene.path("v1/backup"), scene.path("v1/config")).unwrap();
        scene.reads("v1/config", "two").await;
    });
}

#[test]
fn swapped_symlinks_are_noticed_and_what_they_lead_to_is_watched() {
    run(async || {
        let mut scene = Scene::new(&["config"]);
        symlink("v2", scene.path("new")).unwrap();
        fs::rename(scene.path("new"), scene.path("data")).unwrap();
        scene.reads("config", "v2").await;
        fs::write(scene.path("v1/config"), "no longer on the way").unwrap();
        scene.is_quiet().await;
        fs::write(scene.path("v2/config"), "edited").unwrap();
        scene.reads("config", "edited").await;
        // Not atomically: away, then made.
        fs::remove_file(scene.path("data")).unwrap();
        scene.is_quiet().await;
        symlink("v1", scene.path("data")).unwrap();
        scene.reads("config", "no longer on the way").await;
        symlink("v2/config", scene.path("new")).unwrap();
        fs::rename(scene.path("new"), scene.path("config")).unwrap();
        scene.reads("config", "edited").await;
    });
}

#[test]
fn folders_that_are_swapped_or_made_again_are_noticed() {
    run(async || {
        let mut scene = Scene::new(&["v1/config"]);
        fs::rename(scene.path("v1"), scene.path("old")).unwrap();
        scene.is_quiet().await;
        fs::rename(scene.path("v2"), scene.path("v1")).unwrap();
        scene.reads("v1/config", "v2").await;
        fs::remove_dir_all(scene.path("v1")).unwrap();
        scene.is_quiet().await;
        fs::create_dir(scene.path("v1")).unwrap();
        let mut file = File::create(scene.path("v1/config")).unwrap();
        file.write_all(b"made ").unwrap();
        tokio::task::yield_now().await;
        file.write_all(b"again").unwrap();
        drop(file);
        scene.reads("v1/config", "made again").await;
    });
}

#[test]
fn files_that_come_into_or_leave_a_watched_folder_are_noticed() {
    run(async || {
        let mut scene = Scene::new(&["config", "v2"]);
        fs::write(scene.path("v2/site"), "one").unwrap();
        scene.reads("v2/site", "one").await;
        let mut editor = File::create(scene.path("v2/.site.swp")).unwrap();
        editor.write_all(b"for as long as it runs").unwrap();
        let file = File::create(scene.path("v2/more")).unwrap();
        scene.is_quiet().await;
        drop(file);
        scene.reads("v2/more", "").await;
        fs::remove_file(scene.path("v2/site")).unwrap();
        scene.reads("v2/site", "").await;
    });
}

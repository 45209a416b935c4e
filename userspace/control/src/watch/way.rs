//! The way the kernel takes to a file: every directory it looks into and every name it looks for there, symlinks followed.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// Symlinks followed on one way, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// One look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The directory, itself free of symlinks.
    pub(super) directory: PathBuf,
    /// The name looked for.
    pub(super) name: OsString,
}

/// All look-ups on the way to `path` (absolute), and what they lead to; `None` when they lead nowhere, the last step being what is missing.
pub(super) fn walk(path: &Path) -> (Vec<Step>, Option<PathBuf>) {
    walk_from("/".into(), path)
}

/// As [`walk`], from a directory that is itself free of symlinks.
pub(super) fn walk_from(mut here: PathBuf, path: &Path) -> (Vec<Step>, Option<PathBuf>) {
    let mut steps = Vec::new();
    let mut links = 0;
    let mut ahead: VecDeque<OsString> = pieces(path).collect();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        steps.push(Step { directory: here.clone(), name });
        let Ok(found) = fs::symlink_metadata(&next) else { return (steps, None) };
        if !found.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        let Some(target) = fs::read_link(&next).ok().filter(|_| links <= LINKS_MAX) else { return (steps, None) };
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        ahead = pieces(&target).chain(ahead).collect();
    }
    (steps, Some(here))
}

fn pieces(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_look_up_is_a_step() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir_all(root.join("v1/deep")).unwrap();
        fs::write(root.join("v1/deep/file"), "").unwrap();
        symlink("v1", root.join("data")).unwrap();
        symlink(root.join("data/deep/../deep/file"), root.join("link")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let check = |path: &str, expect: &[(&str, &str)], target: Option<&str>| {
            let (steps, found) = walk(&root.join(path));
            let inside: Vec<Step> = steps.into_iter().filter(|step| step.directory.starts_with(&root)).collect();
            let step = |(directory, name): &(&str, &str)| Step {
                directory: if directory.is_empty() { root.clone() } else { root.join(directory) },
                name: name.into(),
            };
            assert_eq!(inside, expect.iter().map(step).collect::<Vec<_>>(), "{path}");
            assert_eq!(found, target.map(|target| root.join(target)), "{path}");
        };
        check("v1/deep/file", &[("", "v1"), ("v1", "deep"), ("v1/deep", "file")], Some("v1/deep/file"));
        check("data/deep/file", &[("", "data"), ("", "v1"), ("v1", "deep"), ("v1/deep", "file")], Some("v1/deep/file"));
        check("link", &[("", "link"), ("", "data"), ("", "v1"), ("v1", "deep"), ("v1", "deep"), ("v1/deep", "file")], Some("v1/deep/file"));
        check("v1/none/file", &[("", "v1"), ("v1", "none")], None);
        let (steps, found) = walk(&root.join("loop"));
        assert!(found.is_none() && steps.len() < 60, "a loop ends");
    }
}

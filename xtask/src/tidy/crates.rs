//! What `cargo metadata` says about the workspace, cut down to what the rules ask.
//!
//! Never reads `Cargo.toml` itself: only cargo knows what inheritance and renaming make of it.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// The workspace's own crates.
pub(crate) struct Workspace {
    pub(crate) members: Vec<Member>,
}

/// One crate of ours.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Path of its `Cargo.toml` from the workspace's folder.
    pub(crate) manifest: String,
    /// Somebody can run it: a binary, so it needs no dependants.
    pub(crate) runs: bool,
    pub(crate) imports: Vec<Import>,
}

/// A crate of ours that another crate of ours names in its `Cargo.toml`.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Only its tests and benches use it.
    pub(crate) for_tests: bool,
}

impl Workspace {
    /// Read the JSON of `cargo metadata --format-version 1 --no-deps`.
    pub(crate) fn parse(metadata: &str, root: &Path) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("cargo metadata is not JSON")?;
        let packages = list(&metadata, "packages");
        let ours = |package: &&Value| package["source"].is_null();
        let names: Vec<String> = packages.iter().filter(ours).map(|package| text(package, "name")).collect();
        Ok(Self { members: packages.iter().filter(ours).map(|package| Member::read(package, &names, root)).collect() })
    }
}

impl Member {
    fn read(package: &Value, ours: &[String], root: &Path) -> Self {
        let manifest = text(package, "manifest_path");
        let manifest = Path::new(&manifest);
        let imports = list(package, "dependencies")
            .iter()
            .map(|import| Import { name: text(import, "name"), for_tests: import["kind"] == "dev" })
            .filter(|import| ours.contains(&import.name))
            .collect();
        Self {
            name: text(package, "name"),
            manifest: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
            runs: list(package, "targets").iter().any(|target| target["kind"][0] == "bin"),
            imports,
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::Workspace;
    use std::path::Path;

    #[test]
    fn reads_what_the_rules_ask() {
        let metadata = r#"{ "packages": [
            { "name": "h1", "version": "0.1.0", "source": null, "license": "Apache-2.0",
              "manifest_path": "/src/userspace/h1/Cargo.toml", "targets": [{ "kind": ["lib"] }],
              "dependencies": [{ "name": "model", "kind": null }, { "name": "sim", "kind": "dev" }, { "name": "memchr", "kind": null }] },
            { "name": "model", "version": "0.1.0", "source": null, "license": null,
              "manifest_path": "/src/userspace/model/Cargo.toml", "targets": [{ "kind": ["bin"] }], "dependencies": [] },
            { "name": "sim", "version": "0.1.0", "source": null, "license": null,
              "manifest_path": "/src/tests/sim/Cargo.toml", "targets": [], "dependencies": [] },
            { "name": "memchr", "version": "2.8.3", "source": "registry+x", "license": "MIT", "manifest_path": "/x/Cargo.toml",
              "targets": [], "dependencies": [] }
        ] }"#;
        let workspace = Workspace::parse(metadata, Path::new("/src")).unwrap();
        let h1 = &workspace.members[0];
        assert_eq!((h1.name.as_str(), h1.manifest.as_str(), h1.runs), ("h1", "userspace/h1/Cargo.toml", false));
        let imports: Vec<_> = h1.imports.iter().map(|import| (import.name.as_str(), import.for_tests)).collect();
        assert_eq!(imports, [("model", false), ("sim", true)]);
        assert!(workspace.members[1].runs);
        assert_eq!(workspace.members.len(), 3);
    }
}

//! The demo's configuration, before and after the edit.

use anyhow::{Context, Result};
use core::net::SocketAddr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// The origins' names: each says its own in every answer.
pub(super) const ORIGINS: [&str; 3] = ["amber", "birch", "cedar"];

/// The header that the edit adds.
pub(super) const EDITED: &str = "x-demo-edited";

/// Which configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// All origins weigh the same.
    First,
    /// The first weighs most, and answers carry a new header.
    Second,
}

/// Write it in one step, so that nobody reads half of it.
pub(super) fn write(file: &Path, version: Version, listeners: [SocketAddr; 2], origins: [SocketAddr; 3]) -> Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, text(version, listeners, origins, &admin(file))).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, file).with_context(|| format!("cannot replace {}", file.display()))
}

/// Makes the certificate and key that the configuration in `file` names: for localhost, signed by itself.
pub(super) fn certify(file: &Path) -> Result<()> {
    let certificate = certificate(file);
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out"]).arg(&certificate);
    shell::output(command.arg("-keyout").arg(certificate.with_extension("key"))).map(drop)
}

/// The admin socket that the configuration in `file` names.
pub(super) fn admin(file: &Path) -> PathBuf {
    file.with_file_name("admin.sock")
}

/// The certificate's file beside the configuration in `file`; its key ends in `.key`.
pub(super) fn certificate(file: &Path) -> PathBuf {
    file.with_file_name("demo.pem")
}

fn text(version: Version, [web, secure]: [SocketAddr; 2], origins: [SocketAddr; 3], admin: &Path) -> String {
    let [amber, birch, cedar] = origins;
    let (weight, header) = match version {
        Version::First => (1, String::new()),
        Version::Second => (8, format!("              response: {{ headers: {{ set: {{ {EDITED}: \"1\" }} }} }}\n")),
    };
    format!(
        "version: 1
secrets:
  demo: {{ cert: {{ file: demo.pem }}, key: {{ file: demo.key }} }}
listeners:
  web:
    bind: [\"{web}\"]
    http: &site
      sites:
        - hosts: [\"*\"]
          routes:
            - to: {{ amber: {weight}, birch: 1, cedar: 1 }}
{header}  secure:
    bind: [\"{secure}\"]
    tls: {{ certificates: [demo] }}
    http: *site
clusters:
  amber: {{ endpoints: [\"{amber}\"] }}
  birch: {{ endpoints: [\"{birch}\"] }}
  cedar: {{ endpoints: [\"{cedar}\"] }}
admin: {{ bind: \"unix:{admin}\" }}
",
        admin = admin.display()
    )
}

#[cfg(test)]
mod tests {
    use super::{Version, certify, write};
    use core::net::SocketAddr;

    #[test]
    fn both_versions_are_good_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.yaml");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        certify(&file).unwrap();
        for version in [Version::First, Version::Second] {
            write(&file, version, [address(1), address(5)], [address(2), address(3), address(4)]).unwrap();
            let loaded = config::load(&file).unwrap();
            assert_eq!(config::compile(&loaded, None).unwrap().clusters().count(), 3);
        }
    }
}

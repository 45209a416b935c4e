//! The proxies that are compared: one file each, with the configuration that a competent operator would write for
//! speed. Same work for all: HTTP/1.1, HTTP/2, TLS and TCP on one worker a CPU, HTTP/1.1 connections to the origin kept, no access log.

mod envoy;
mod haproxy;
mod nginx;
mod sluice;

use crate::process::Group;
use anyhow::{Context, Result};
use clap::ValueEnum;
use core::fmt::{self, Display, Formatter};
use core::net::SocketAddr;
use rcgen::{CertificateParams, KeyPair, RsaKeySize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sluice,
    Nginx,
    Haproxy,
    Envoy,
}

/// A proxy that is installed here.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
}

/// What one running proxy is to do.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Its configuration and everything else it writes.
    pub(crate) folder: PathBuf,
    pub(crate) http: SocketAddr,
    /// HTTP/2 by prior knowledge.
    pub(crate) h2c: SocketAddr,
    /// TLS with [`Site::ecdsa`], HTTP/2 and HTTP/1.1.
    pub(crate) tls: SocketAddr,
    /// TLS with [`Site::rsa`], HTTP/1.1.
    pub(crate) tls_rsa: SocketAddr,
    pub(crate) tcp: SocketAddr,
    /// A listener that only odd versions have.
    pub(crate) extra: SocketAddr,
    pub(crate) origins: [SocketAddr; 2],
    pub(crate) workers: usize,
    /// The kernel carries the bytes of TCP connections; Sluice alone does it.
    pub(crate) redirect: bool,
    /// Reloads raise it; from 1 on answers carry it in `x-version`.
    pub(crate) version: u64,
}

/// More than any row opens, less than the machine's limit of open files allows.
const CONNECTIONS_MAX: usize = 9300;

impl Peer {
    /// Write the configuration.
    pub(crate) fn write(&self, site: &Site) -> Result<()> {
        match self.kind {
            Kind::Sluice => sluice::write(site),
            Kind::Nginx => nginx::write(site),
            Kind::Haproxy => haproxy::write(site),
            Kind::Envoy => envoy::write(site),
        }
    }

    /// How it is started on that configuration.
    pub(crate) fn command(&self, site: &Site) -> Vec<String> {
        let arguments = match self.kind {
            Kind::Sluice => sluice::arguments(site),
            Kind::Nginx => nginx::arguments(site),
            Kind::Haproxy => haproxy::arguments(site),
            Kind::Envoy => envoy::arguments(site),
        };
        [self.program.display().to_string()].into_iter().chain(arguments).collect()
    }

    /// Make a running proxy take the configuration of `site`.
    pub(crate) fn reload(&self, site: &Site, group: &Group) -> Result<()> {
        self.write(site)?;
        match self.kind {
            // They watch their files.
            Kind::Sluice | Kind::Envoy => Ok(()),
            Kind::Nginx => nginx::reload(group),
            Kind::Haproxy => haproxy::reload(group),
        }
    }

    /// What it says about its own version, in one line.
    pub(crate) fn version(&self) -> String {
        let flag = if self.kind == Kind::Nginx || self.kind == Kind::Haproxy { "-v" } else { "--version" };
        let Ok(output) = Command::new(&self.program).arg(flag).output() else { return "unknown".to_owned() };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown");
        let line = line.split(" version: ").last().unwrap_or(line);
        line.trim().chars().take(60).collect()
    }
}

impl Site {
    /// Endpoints change with the version: both origins, or the first alone.
    fn endpoints(&self) -> &[SocketAddr] {
        if self.version.is_multiple_of(2) { &self.origins } else { &self.origins[..1] }
    }

    fn has_extra(&self) -> bool {
        self.version % 2 == 1
    }

    /// A parameter of the HTTP listener that changes with the version and harms nobody.
    fn header_kilobytes(&self) -> u64 {
        16 + self.version
    }

    /// A certificate and its key in one file, P-256: what most sites have.
    pub(crate) fn ecdsa(&self) -> PathBuf {
        self.path("ecdsa.pem")
    }

    /// The same with RSA-2048.
    pub(crate) fn rsa(&self) -> PathBuf {
        self.path("rsa.pem")
    }

    /// Make the certificates.
    pub(crate) fn certify(&self) -> Result<()> {
        let make = |file: &Path, key: KeyPair| {
            let certificate = CertificateParams::new(["bench.example.com".to_owned()])?.self_signed(&key)?;
            fs::write(file, [certificate.pem(), key.serialize_pem()].concat()).with_context(|| format!("cannot write {}", file.display()))
        };
        make(&self.ecdsa(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?)?;
        make(&self.rsa(), KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?)
    }

    /// Sluice's admin socket.
    pub(crate) fn admin(&self) -> PathBuf {
        self.path("admin.sock")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn text_path(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }
}

/// Replace a file in one step: who watches it never reads half.
fn replace(file: &Path, text: &str) -> Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, file).with_context(|| format!("cannot replace {}", file.display()))
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sluice => "sluice",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        })
    }
}

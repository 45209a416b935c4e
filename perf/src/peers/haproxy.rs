//! HAProxy, in master-worker mode, which is what makes its reloads seamless.

use super::{CONNECTIONS_MAX, Site, replace};
use crate::process::Group;
use anyhow::Result;
use core::fmt::Write;
use rustix::process::Signal;

pub(super) fn write(site: &Site) -> Result<()> {
    replace(&site.path("haproxy.cfg"), &config(site))
}

pub(super) fn arguments(site: &Site) -> Vec<String> {
    ["-W", "-db", "-f", &site.text_path("haproxy.cfg")].map(str::to_owned).to_vec()
}

pub(super) fn reload(group: &Group) -> Result<()> {
    group.signal(Signal::USR2)
}

fn config(site: &Site) -> String {
    let servers = site.endpoints().iter().enumerate().fold(String::new(), |mut out, (number, endpoint)| {
        writeln!(out, "    server origin{number} {endpoint}").expect("a String takes all");
        out
    });
    let extra = if site.has_extra() { format!("    bind {} backlog 4096\n", site.extra) } else { String::new() };
    let version = if site.version == 0 { String::new() } else { format!("    http-response set-header x-version {}\n", site.version) };
    format!(
        "global
    nbthread {workers}
    maxconn {CONNECTIONS_MAX}
    maxpipes 256
    stats socket {socket} mode 600 level admin expose-fd listeners
defaults
    option splice-auto
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive {keep_alive}s
    maxconn {CONNECTIONS_MAX}
frontend web
    mode http
    bind {http} backlog 4096
    bind {h2c} backlog 4096 proto h2
    bind {tls} backlog 4096 ssl crt {ecdsa} alpn h2,http/1.1 curves X25519
    bind {tls_rsa} backlog 4096 ssl crt {rsa} alpn http/1.1 curves X25519
{extra}{version}    default_backend origin
backend origin
    mode http
    http-reuse always
{servers}listen raw
    mode tcp
    bind {tcp} backlog 4096
{servers}",
        workers = site.workers,
        socket = site.text_path("haproxy.sock"),
        keep_alive = 3600 + site.version,
        http = site.http,
        h2c = site.h2c,
        tls = site.tls,
        tls_rsa = site.tls_rsa,
        ecdsa = site.ecdsa().display(),
        rsa = site.rsa().display(),
        tcp = site.tcp,
    )
}

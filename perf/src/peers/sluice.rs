//! Sluice, with everything on that it does unasked.

use super::{Site, replace};
use anyhow::Result;
use core::fmt::Write;
use core::net::SocketAddr;

pub(super) fn write(site: &Site) -> Result<()> {
    replace(&site.path("sluice.yaml"), &config(site))
}

pub(super) fn arguments(site: &Site) -> Vec<String> {
    ["run", "--config", &site.text_path("sluice.yaml"), "--workers", &site.workers.to_string()].map(str::to_owned).to_vec()
}

fn config(site: &Site) -> String {
    let mut out = String::from("version: 1\ndefaults: { timeouts: { idle: 1h } }\nlisteners:\n");
    listener(&mut out, "web", site.http, site);
    if site.has_extra() {
        listener(&mut out, "extra", site.extra, site);
    }
    listener(&mut out, "h2c", site.h2c, site);
    for (name, bind) in [("ecdsa", site.tls), ("rsa", site.tls_rsa)] {
        listener(&mut out, name, bind, site);
        writeln!(out, "    tls: {{ certificates: [{name}] }}").expect("a String takes all");
    }
    let endpoints: Vec<String> = site.endpoints().iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
    write!(
        out,
        "  raw: {{ bind: [\"{tcp}\"], tcp: {{ to: origin }} }}
clusters:
  origin: {{ endpoints: [{endpoints}]{redirect} }}
secrets:
  ecdsa: {{ cert: {{ file: \"{ecdsa}\" }}, key: {{ file: \"{ecdsa}\" }} }}
  rsa: {{ cert: {{ file: \"{rsa}\" }}, key: {{ file: \"{rsa}\" }} }}
admin: {{ bind: \"unix:{admin}\" }}
",
        tcp = site.tcp,
        endpoints = endpoints.join(", "),
        redirect = if site.redirect { ", redirect: sockmap" } else { "" },
        ecdsa = site.ecdsa().display(),
        rsa = site.rsa().display(),
        admin = site.admin().display(),
    )
    .expect("a String takes all");
    out
}

fn listener(out: &mut String, name: &str, bind: SocketAddr, site: &Site) {
    let header = match site.version {
        0 => String::new(),
        version => format!("              response: {{ headers: {{ set: {{ x-version: \"{version}\" }} }} }}\n"),
    };
    write!(
        out,
        "  {name}:
    bind: [\"{bind}\"]
    limits: {{ header_bytes: {kilobytes}KiB }}
    http:
      sites:
        - hosts: [\"*\"]
          routes:
            - to: origin
{header}",
        kilobytes = site.header_kilobytes(),
    )
    .expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::{Site, write};
    use core::net::SocketAddr;

    #[test]
    fn every_version_is_a_good_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for version in 0..4 {
            let folder = folder.path().to_owned();
            let origins = [address(4), address(5)];
            let [http, h2c, tls, tls_rsa, tcp, extra] = [1, 2, 3, 6, 7, 8].map(address);
            let site = Site { folder, http, h2c, tls, tls_rsa, tcp, extra, origins, workers: 1, redirect: version == 2, version };
            site.certify().unwrap();
            write(&site).unwrap();
            let loaded = config::load(&site.path("sluice.yaml")).unwrap();
            let snapshot = config::compile(&loaded, None).unwrap();
            assert_eq!(snapshot.listeners.len(), 5 + usize::from(version % 2 == 1));
        }
    }
}

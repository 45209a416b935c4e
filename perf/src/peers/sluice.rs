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
    let mut out = String::from("version: 1\nlisteners:\n");
    listener(&mut out, "web", site.http, site);
    if site.has_extra() {
        listener(&mut out, "extra", site.extra, site);
    }
    let endpoints: Vec<String> = site.endpoints().iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
    let admin = site.text_path("admin.sock");
    write!(
        out,
        "  raw: {{ bind: [\"{}\"], tcp: {{ to: origin }} }}\n\
         clusters:\n  origin: {{ endpoints: [{}] }}\n\
         admin: {{ bind: \"unix:{admin}\" }}\n",
        site.tcp,
        endpoints.join(", "),
    )
    .expect("a String takes all");
    out
}

fn listener(out: &mut String, name: &str, bind: SocketAddr, site: &Site) {
    let (limits, header) = if site.version == 0 {
        (String::new(), String::new())
    } else {
        let limits = format!("      limits: {{ header_bytes: {}KiB }}\n", site.header_kilobytes());
        (limits, format!("              response: {{ headers: {{ set: {{ x-version: \"{}\" }} }} }}\n", site.version))
    };
    write!(
        out,
        "  {name}:\n    bind: [\"{bind}\"]\n    http:\n{limits}      sites:\n        - hosts: [\"*\"]\n          routes:\n            - to: origin\n{header}"
    )
    .expect("a String takes all");
}

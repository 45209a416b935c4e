//! Every HTTP version on both sides, in the clear and through TLS, before an origin that is a program of `clients/`: what tables of both sides play on.

use core::net::SocketAddr;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::{Authority, Ending, Setup, Sluice, Way, eventually, free_address, python};

/// The hosts, by how the origin behind each is spoken to.
pub const SIDES: [&str; 4] = ["one.test", "one-tls.test", "two.test", "two-tls.test"];

/// A running program between clients and an origin that says its ports in the order of [`SIDES`], and perhaps more.
pub struct Sides {
    /// The listener in the clear.
    pub plain: SocketAddr,
    /// The listener with TLS.
    pub secure: SocketAddr,
    /// Who signed the certificate of all.
    pub authority: Authority,
    /// The program.
    pub sluice: Sluice,
    text: String,
    _origin: Ending,
}

impl Sides {
    /// With the origin `program`; `route` is more of each route, `timeouts` the defaults of all.
    #[track_caller]
    pub fn start(program: &str, route: &str, timeouts: &str) -> Self {
        let (plain, secure, authority) = (free_address(), free_address(), Authority::new());
        let pair = authority.sign(&[&SIDES[..], &["old.test"]].concat());
        let mut origin = Ending(python(program).args([&pair.cert, &pair.key]).stdout(Stdio::piped()).spawn().expect("Python can be run"));
        let said = BufReader::new(origin.0.stdout.take().expect("piped above")).lines();
        let ports: Vec<String> = said.take(5).map(|line| line.expect("it says its ports")).collect();
        let site = |host: &str| format!("{{ hosts: [{host}], routes: [{{ to: {}{route} }}] }}", host.trim_end_matches(".test"));
        let sites = format!("{{ sites: [{}, {}] }}", SIDES.map(site).join(", "), site("old.test"));
        let tls = format!("tls: {{ server_name: one.test, ca: \"{}\" }}", authority.file().display());
        let text = format!(
            r#"
secrets: {{ shop: {} }}
defaults: {{ timeouts: {{ {timeouts} }} }}
listeners:
  plain: {{ bind: ["{plain}"], http: {sites} }}
  secure: {{ bind: ["{secure}"], tls: {{ certificates: [shop] }}, http: {sites} }}
clusters:
  one: {{ endpoints: ["127.0.0.1:{}"], protocol: http1 }}
  one-tls: {{ endpoints: ["127.0.0.1:{}"], protocol: http1, {tls} }}
  two: {{ endpoints: ["127.0.0.1:{}"], protocol: http2 }}
  two-tls: {{ endpoints: ["127.0.0.1:{}"], protocol: http2, {tls} }}
  old: {{ endpoints: ["127.0.0.1:{}"], protocol: http2 }}
"#,
            pair.secret(),
            ports[0],
            ports[1],
            ports[2],
            ports[3],
            ports[4],
        );
        let sluice = Setup::new(text.clone()).with(&["--workers", "2"]).start();
        Self { plain, secure, authority, sluice, text, _origin: origin }
    }

    /// How a client of `clients/` is told to come: the HTTP version, the port, and whether through TLS.
    pub fn connection(&self, way: Way, host: &str, path: &str) -> String {
        let (address, tls) = if way.secure { (self.secure, ":tls") } else { (self.plain, "") };
        format!("{}:{}:{host}:{path}{tls}", if way.multiplexed { 2 } else { 1 }, address.port())
    }

    /// Brings another configuration into force.
    pub fn push(&self) {
        let generation = || self.sluice.metrics().sum("sluice_config_generation", &[]);
        let old = generation();
        self.sluice.replace(&self.text.replace(" to: ", " retry: 3, to: "));
        eventually("the new configuration is in force", || generation() > old);
    }
}

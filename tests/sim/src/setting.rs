//! How a run is set up: who speaks what with whom, what the proxy is told, what may go wrong.

use io::sim::{Chance, Chaos};

use crate::{plan::Mood, secure};

/// Where the proxy listens.
pub const PROXY: &str = "10.0.0.1:80";
/// Where the origins listen.
pub const ORIGINS: [&str; 3] = ["10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80"];

/// How a run is set up.
#[expect(clippy::struct_excessive_bools, reason = "knobs that have nothing to do with each other")]
pub struct Setting {
    /// Decides everything.
    pub seed: u64,
    /// Prints all that happens.
    pub traced: bool,
    /// The origins'.
    pub mood: Mood,
    /// The network's and the kernels'.
    pub chaos: Chaos,
    /// Requests of all clients together.
    pub requests: u64,
    /// The proxy's configuration at first.
    pub config: String,
    /// What it is replaced by, one after the other, at random times.
    pub changes: Vec<String>,
    /// Whether the proxy begins to drain while clients are still busy.
    pub drains_early: bool,
    /// Whether origins expect what a proxy adds.
    pub speaks_http: bool,
    /// Most connections that the proxy may have to one origin.
    pub upstream_max: Option<usize>,
    /// Descriptors the proxy may have.
    pub descriptors: Option<usize>,
    /// Whether the proxy's timeouts are short enough to end anything.
    pub times_out: bool,
    /// Reasons of local replies that the setting calls for.
    pub expected_reasons: &'static [&'static str],
    /// How often the proxy takes a request up on its way.
    pub hops: u32,
    /// Where the kernel can join sockets: how often it refuses, and how often an end overtakes what it keeps.
    pub joins: Option<[Chance; 2]>,
    /// What clients speak with the proxy.
    pub clients: Speech,
    /// What it speaks with origins.
    pub origins: Speech,
    /// Attackers among the clients.
    pub attackers: usize,
    /// Clients that speak WebSocket.
    pub tunnels: usize,
}

/// What two speak with each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speech {
    /// HTTP/2: with origins it is all that is spoken, with clients most speak it.
    pub http2: bool,
    /// Through TLS.
    pub secure: bool,
}

impl Setting {
    /// A run with nothing special about it.
    pub fn new(seed: u64, traced: bool, mood: Mood, chaos: Chaos) -> Self {
        Self {
            seed,
            traced,
            mood,
            chaos,
            requests: 40,
            config: http_config(""),
            changes: Vec::new(),
            drains_early: false,
            speaks_http: true,
            upstream_max: None,
            descriptors: None,
            times_out: false,
            expected_reasons: &[],
            hops: 1,
            joins: None,
            clients: Speech::default(),
            origins: Speech::default(),
            attackers: 0,
            tunnels: 0,
        }
    }

    /// The same between those who speak so.
    #[must_use]
    pub fn spoken(self, clients: Speech, origins: Speech) -> Self {
        Self { config: spoken(clients, origins), clients, origins, ..self }
    }
}

/// A configuration for those who speak so.
fn spoken(clients: Speech, origins: Speech) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let secured = if clients.secure { "tls: { certificates: [relay] }, " } else { "" };
    let listener = format!("{secured}http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: origins, retry: 6 }}] }}] }}");
    let protocol = if origins.http2 { "http2" } else { "http1" };
    let tls = if origins.secure { format!(", tls: {{ server_name: {}, ca: \"{folder}/ca.pem\" }}", secure::NAME) } else { String::new() };
    config(&listener, &ORIGINS, &format!(", protocol: {protocol}{tls}"))
        + &format!("secrets: {{ relay: {{ cert: \"{folder}/relay.pem\", key: \"{folder}/relay.key\" }} }}\n")
}

/// A configuration with one listener and one cluster of all origins; `cluster` is added to the cluster.
pub fn http_config(cluster: &str) -> String {
    config("http: { sites: [{ hosts: [\"*\"], routes: [{ to: origins }] }] }", &ORIGINS, cluster)
}

/// A configuration with one listener and one cluster.
pub fn config(listener: &str, origins: &[&str], cluster: &str) -> String {
    format!(
        "version: 1
defaults: {{ timeouts: {{ connect: 200s, request: 3000s, request_head: 3000s, idle: 3000s }} }}
listeners:
  web: {{ bind: [\"{PROXY}\"], {listener} }}
clusters:
  origins: {{ endpoints: [{}]{cluster} }}
",
        origins.join(", ")
    )
}

/// What the proxy speaks with itself in a [`relayed`] configuration.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// The cluster's protocol.
    pub protocol: &'static str,
    /// Through TLS.
    pub secure: bool,
    /// The TLS goes through another listener unopened.
    pub passed: bool,
    /// The kernel seals what the second listener sends, where it can.
    pub sealed_by_kernel: bool,
}

/// A configuration whose listener sends everything to the origins by way of another listener of the proxy itself, so that what both speak with each
/// other is simulated too.
pub fn relayed(relay: Relay) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let Relay { protocol, secure, passed, sealed_by_kernel } = relay;
    let tls = if secure { format!(", tls: {{ server_name: relay.test, ca: \"{folder}/ca.pem\" }}") } else { String::new() };
    let who = if sealed_by_kernel { ", encrypt_bodies: kernel" } else { "" };
    let certificates = if secure { format!("tls: {{ certificates: [relay]{who} }},") } else { String::new() };
    let (entry, more) = if passed {
        let listener = "  pass: { bind: [\"10.0.0.1:443\"], passthrough: [{ names: [relay.test], to: back }], tcp: origins }\n";
        ("10.0.0.1:444", listener)
    } else {
        ("10.0.0.1:443", "")
    };
    let back = format!(
        "  back: {{ bind: [\"{entry}\"], {certificates} http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: origins }}] }}] }} }}\n"
    );
    let text = config("http: { sites: [{ hosts: [\"*\"], routes: [{ to: relay }] }] }", &ORIGINS, "");
    text.replace("clusters:\n", &format!("{back}{more}clusters:\n"))
        + &format!(
            "  relay: {{ endpoints: [10.0.0.1:443], protocol: {protocol}{tls} }}
  back: {{ endpoints: [10.0.0.1:444] }}
secrets: {{ relay: {{ cert: \"{folder}/relay.pem\", key: \"{folder}/relay.key\" }} }}
"
        )
}

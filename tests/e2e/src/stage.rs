//! Every HTTP version on both sides, over one origin: what tests of protocols play on.

use core::{fmt, net::SocketAddr};

use crate::{Authority, Pair, Setup, Sluice, free_address};

/// A running program with a listener in the clear and one with TLS, which both send each of [`HOSTS`] to a cluster of its own protocol.
pub struct Stage {
    /// The listener in the clear.
    pub plain: SocketAddr,
    /// The listener with TLS.
    pub secure: SocketAddr,
    /// Who signed the certificate of [`Stage::pair`].
    pub authority: Authority,
    /// The certificate of all [`HOSTS`], a secret named `shop`.
    pub pair: Pair,
    /// The program.
    pub sluice: Sluice,
}

/// The hosts, by how the cluster behind each speaks: HTTP/1, HTTP/2 in the clear, and TLS with what ALPN chooses (which is HTTP/2).
pub const HOSTS: [&str; 3] = ["one.test", "two.test", "auto.test"];

/// A way of a client: its scheme, and the HTTP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Through TLS.
    pub secure: bool,
    /// HTTP/2; in the clear by prior knowledge.
    pub multiplexed: bool,
}

/// All of them.
pub const WAYS: [Way; 4] = [
    Way { secure: false, multiplexed: false },
    Way { secure: false, multiplexed: true },
    Way { secure: true, multiplexed: false },
    Way { secure: true, multiplexed: true },
];

impl Stage {
    /// All clusters lead to `origin`.
    #[track_caller]
    pub fn start(origin: &dyn fmt::Display) -> Self {
        let addresses = [free_address(), free_address(), free_address()];
        let authority = Authority::new();
        let pair = authority.sign(&HOSTS);
        let sluice = Setup::new(text(addresses, &authority, &pair, origin, "1")).with(&["--workers", "2"]).start();
        Self { plain: addresses[0], secure: addresses[1], authority, pair, sluice }
    }

    /// The host's URL of a path, on a way.
    pub fn url(&self, way: Way, host: &str, path: &str) -> String {
        let (scheme, address) = if way.secure { ("https", self.secure) } else { ("http", self.plain) };
        format!("{scheme}://{host}:{}{path}", address.port())
    }

    /// Brings another configuration into force, that says `version` in the field `x-version` of every response.
    pub fn push(&self, version: &str) {
        let text = std::fs::read_to_string(self.sluice.file()).expect("its file is there");
        let (before, rest) = text.split_once("x-version: \"").expect("it says a version");
        let (_, after) = rest.split_once('"').expect("the version is quoted");
        let text = format!("{before}x-version: \"{version}\"{after}");
        let generation = || self.sluice.metrics().sum("sluice_config_generation", &[]);
        let old = generation();
        let draft = self.sluice.file().with_extension("draft");
        std::fs::write(&draft, text).expect("the folder can be written");
        std::fs::rename(&draft, self.sluice.file()).expect("a file can be replaced");
        crate::eventually("the new configuration is in force", || generation() > old);
    }
}

fn text([plain, secure, back]: [SocketAddr; 3], authority: &Authority, pair: &Pair, origin: &dyn fmt::Display, version: &str) -> String {
    let (ca, secret) = (authority.file(), pair.secret());
    let ca = ca.display();
    format!(
        r#"
secrets:
  shop: {secret}
defaults: {{ timeouts: {{ drain: 5s }} }}
listeners:
  plain: {{ bind: ["{plain}"], http: {{ sites: SITES }} }}
  secure: {{ bind: ["{secure}"], tls: {{ certificates: [shop] }}, http: {{ sites: SITES }} }}
  back: {{ bind: ["{back}"], tls: {{ certificates: [shop] }}, http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: one }}] }}] }} }}
clusters:
  one: {{ endpoints: ["{origin}"], protocol: http1 }}
  two: {{ endpoints: ["{origin}"], protocol: http2 }}
  auto: {{ endpoints: ["{back}"], tls: {{ server_name: auto.test, ca: {{ file: "{ca}" }} }} }}
"#
    )
    .replace("SITES", &sites(version))
}

fn sites(version: &str) -> String {
    let site = |host: &str| {
        let cluster = host.strip_suffix(".test").expect("all hosts end so");
        format!(
            r#"{{ hosts: ["{host}"], routes: [{{ to: {cluster}, response: {{ headers: {{ set: {{ x-version: "{version}" }} }} }} }}] }}"#
        )
    };
    format!("[{}]", HOSTS.map(site).join(", "))
}

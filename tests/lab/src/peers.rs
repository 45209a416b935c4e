//! What origins run that others wrote: nginx, and gRPC's own server. Both say whether they are well, in the clear and through TLS.
//!
//! Each way to ask has a port of its own ([`Peers::WAYS`]). At a thousand above it nginx says which origin it is, to whoever asks without TLS: what a
//! VIP's clients want, while its checks ask at the other.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use e2e::{Ending, Pair, python};
use tempfile::TempDir;

use crate::network::Network;

/// The service that gRPC's server is asked about.
const SERVICE: &str = "test.Echo";

/// Those of one origin; they end when this is dropped.
pub struct Peers {
    folder: TempDir,
    _nginx: Ending,
    _calls: Ending,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

/// A way to ask whether an origin is well.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// Where.
    pub port: u16,
    /// What a cluster speaks by it, without TLS.
    pub protocol: &'static str,
    /// Whether through TLS.
    pub is_sealed: bool,
    /// The check, without its port.
    pub check: &'static str,
    /// What is said of an origin that says it is ill.
    pub ill: &'static str,
}

const STATUS: &str = "it answered with status 503";
const HTTP: &str = "http: /healthz";

impl Peers {
    /// Every way but HTTP/1 in the clear.
    pub const WAYS: [Way; 5] = [
        Way { name: "https1", port: 1_001, protocol: "http1", is_sealed: true, check: HTTP, ill: STATUS },
        Way { name: "https2", port: 1_002, protocol: "http2", is_sealed: true, check: HTTP, ill: STATUS },
        Way { name: "http2", port: 1_003, protocol: "http2", is_sealed: false, check: HTTP, ill: STATUS },
        Way {
            name: "grpc",
            port: 1_004,
            protocol: "http2",
            is_sealed: false,
            check: "grpc: test.Echo",
            ill: "it does not say that it serves",
        },
        Way {
            name: "grpcs",
            port: 1_005,
            protocol: "auto",
            is_sealed: true,
            check: "grpc: test.Echo",
            ill: "it does not say that it serves",
        },
    ];

    /// Starts those of an origin, with this certificate. They are ill.
    pub fn start(network: &Network, origin: usize, pair: &Pair) -> Self {
        let folder = TempDir::with_prefix("sluice-lab-").expect("a folder for nginx");
        fs::write(folder.path().join("nginx.conf"), nginx(folder.path(), origin, pair)).expect("the folder can be written");
        fs::write(folder.path().join("ill"), "").expect("the folder can be written");
        let namespace = &network.origins[origin];
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).args(["-c", "nginx.conf"]).stdin(Stdio::null());
        let nginx = namespace.inside(|| command.spawn()).unwrap_or_else(|error| panic!("nginx ({error}): `cargo xtask setup` installs it"));
        let port = |name: &str| Self::WAYS.iter().find(|way| way.name == name).expect("one of them").port.to_string();
        let mut command = python("grpc_echo.py");
        command.arg("serve").args([&pair.cert, &pair.key]).args([&port("grpc"), &port("grpcs"), "[::]"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut calls = Ending(namespace.inside(|| command.spawn()).expect("Python can be run"));
        let orders = calls.0.stdin.take().expect("a pipe");
        let said = BufReader::new(calls.0.stdout.take().expect("a pipe"));
        let mut peers = Self { folder, _nginx: Ending(nginx), _calls: calls, orders, said };
        for way in ["grpc", "grpcs"] {
            assert_eq!(peers.said(), port(way), "it listens there");
        }
        peers.set_well(false);
        peers
    }

    /// What they say of themselves from here on.
    pub fn set_well(&mut self, is_well: bool) {
        let ill = self.folder.path().join("ill");
        if is_well { fs::remove_file(ill) } else { fs::write(ill, "") }.expect("the folder can be written");
        let order = format!("{SERVICE} {}", if is_well { "serving" } else { "stopped" });
        writeln!(self.orders, "{order}").expect("it reads");
        assert_eq!(self.said(), order);
    }

    /// Everything that nginx was asked about its health: address and port that were asked, `Host`, protocol, version of TLS.
    pub fn asked(&self) -> String {
        // One socket is of both families.
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default().replace("::ffff:", "")
    }

    fn said(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("it says something");
        line.trim_end().to_owned()
    }
}

fn nginx(folder: &Path, origin: usize, pair: &Pair) -> String {
    let (folder, cert, key) = (folder.display(), pair.cert.display(), pair.key.display());
    let server = |way: Way| {
        let words = [if way.is_sealed { "ssl" } else { "" }, if way.protocol == "http2" { "http2" } else { "" }].join(" ");
        let health =
            format!("location = /healthz {{ access_log {folder}/asked asked; if (-f {folder}/ill) {{ return 503; }} return 204; }}");
        format!("server {{ listen [::]:{} ipv6only=off {words}; {health} }}\n", way.port)
    };
    let asked = Peers::WAYS.into_iter().filter(|way| way.check == HTTP).map(server);
    let named = |way: Way| format!("server {{ listen [::]:{} ipv6only=off; return 200 o{origin}; }}\n", way.port + 1_000);
    let servers: String = asked.chain(Peers::WAYS.into_iter().map(named)).collect();
    // Everything in one process, which ends when it is told to.
    format!(
        "daemon off; master_process off; pid {folder}/pid;\nevents {{}}\n\
         http {{\naccess_log off; ssl_protocols TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};\n\
         log_format asked '$server_addr $server_port $http_host $server_protocol $ssl_protocol';\n{servers}}}\n"
    )
}

//! gRPC by its own library on both sides: unary and streaming calls, metadata, statuses, cancellation and deadlines, in the clear and through TLS on
//! each side.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Ending, Origin, Pair, Setup, Sluice, Stage, free_address, python, run, run_python};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Stdio,
};

/// The origin, in the clear and through TLS.
struct Echo {
    addresses: [String; 2],
    _process: Ending,
}

impl Echo {
    fn start(pair: &Pair) -> Self {
        let mut process = Ending(python("grpc_echo.py").arg("serve").args([&pair.cert, &pair.key]).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let addresses = [(); 2].map(|()| format!("127.0.0.1:{}", lines.next().unwrap().unwrap()));
        Self { addresses, _process: process }
    }
}

/// The names that clients call by, and what is behind each: the origin in the clear, the same through TLS, nobody.
const NAMES: [&str; 3] = ["clear.test", "secure.test", "dead.test"];

/// A listener in the clear and one with TLS, each to all of [`NAMES`].
fn proxy(echo: &Echo, authority: &Authority, pair: &Pair, [plain, secure]: [SocketAddr; 2]) -> Sluice {
    let site = |listener: &str, name: &str| {
        let cluster = name.trim_end_matches(".test");
        format!("{{ hosts: [{name}], routes: [{{ name: {listener}-{cluster}, to: {cluster} }}] }}")
    };
    let sites = |listener| NAMES.map(|name| site(listener, name)).join(", ");
    Setup::new(format!(
        r#"
secrets: {{ shop: {} }}
listeners:
  plain: {{ bind: ["{plain}"], http: {{ sites: [{}] }} }}
  secure: {{ bind: ["{secure}"], tls: {{ certificates: [shop] }}, http: {{ sites: [{}] }} }}
clusters:
  clear: {{ endpoints: ["{}"], protocol: http2 }}
  secure: {{ endpoints: ["{}"], protocol: http2, tls: {{ server_name: secure.test, ca: "{}" }} }}
  dead: {{ endpoints: ["{}"], protocol: http2 }}
"#,
        pair.secret(),
        sites("plain"),
        sites("secure"),
        echo.addresses[0],
        echo.addresses[1],
        authority.file().display(),
        free_address(),
    ))
    .with(&["--workers", "2"])
    .start()
}

#[test]
fn calls_of_each_kind() {
    let authority = Authority::new();
    let pair = authority.sign(&NAMES);
    let (echo, listeners) = (Echo::start(&pair), [free_address(), free_address()]);
    let sluice = proxy(&echo, &authority, &pair, listeners);
    let ca = authority.file().display().to_string();
    for name in ["clear.test", "secure.test"] {
        for (listener, ca) in listeners.iter().zip([&[][..], &[ca.as_str()]]) {
            let listener = listener.to_string();
            let arguments = [&["call", listener.as_str(), name, "dead.test"], ca].concat();
            assert_eq!(run_python("grpc_echo.py", &arguments), "done\n", "{arguments:?}");
        }
    }
    let metrics = sluice.metrics();
    for (route, method, status, calls) in [
        ("clear", "Unary", "ok", 2 * 3),
        ("secure", "Unary", "failed_precondition", 2),
        ("secure", "Split", "data_loss", 2),
        ("clear", "Nothing", "unimplemented", 2),
        ("dead", "Unary", "unavailable", 4),
        ("clear", "GiveUp", "cancelled", 2),
    ] {
        let labels = [format!("-{route}\""), format!("method=\"/test.Echo/{method}\""), format!("status=\"{status}\"")];
        let counted = metrics.sum("sluice_grpc_calls_total", &labels.each_ref().map(String::as_str));
        assert_eq!(counted, calls, "{route} {method} {status}");
    }
}

/// A deadline is kept where the client keeps none itself, and told as a status of gRPC's.
#[test]
fn a_deadline_that_only_the_proxy_keeps() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    for host in ["one.test", "two.test", "auto.test"] {
        let url = format!("http://{host}:{}/delay/10000", stage.plain.port());
        let fields = ["content-type: application/grpc", "te: trailers", "grpc-timeout: 200m"].map(|field| ["--header", field]).concat();
        let always = ["--silent", "--max-time", "8", "--http2-prior-knowledge", "--connect-to", "::127.0.0.1:", "--data-binary", "x"];
        let told = ["--write-out", "%{http_code} %header{grpc-status}", &url];
        let output = run("curl", &[&always[..], &fields, &told].concat());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200 4", "{host}");
    }
}

//! gRPC by its own library on both sides: unary and streaming calls, metadata, statuses, cancellation and deadlines, in the clear and through TLS.

use e2e::{Ending, Origin, Stage, python, run, run_python};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

#[test]
fn calls_of_each_kind() {
    let mut origin = Ending(python("grpc_echo.py").arg("serve").stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(origin.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let stage = Stage::start(&format!("127.0.0.1:{}", port.trim()));
    let ca = stage.authority.file().display().to_string();
    assert_eq!(run_python("grpc_echo.py", &["call", &stage.plain.to_string(), "two.test"]), "done\n");
    assert_eq!(run_python("grpc_echo.py", &["call", &stage.secure.to_string(), "two.test", &ca]), "done\n");
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

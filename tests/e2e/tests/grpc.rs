//! gRPC by its own library on both sides: unary and streaming calls, metadata, statuses, in the clear and through TLS.

use e2e::{Ending, Stage, python, run_python};
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

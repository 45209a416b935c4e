//! Trailers through every combination of HTTP versions, in the clear and through TLS on either side (RFC 9110 §6.5, RFC 9112 §7.1.2, RFC 9113 §8.1).

use e2e::{SIDES, Sides, WAYS, eventually, run_python};

#[test]
fn on_every_way() {
    let sides = Sides::start("trailers_origin.py", "", "");
    let ca = sides.authority.file().display().to_string();
    let connections: Vec<String> = WAYS.iter().flat_map(|way| SIDES.map(|host| sides.connection(*way, host, "/"))).collect();
    let arguments: Vec<&str> = [&*ca].into_iter().chain(connections.iter().map(String::as_str)).collect();
    assert_eq!(run_python("trailers.py", &arguments), "done\n");
    eventually("all are over", || sides.sluice.metrics().sum("sluice_requests_active", &[]) == 0);
}

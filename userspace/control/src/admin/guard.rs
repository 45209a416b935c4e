//! Who may ask what.
//!
//! The UNIX socket is root's and our own user's. The TCP port is anybody's who reaches it, so it only reads, and it checks Host: a web page may
//! make a browser ask for any address under a name of its own (DNS rebinding), and that name is not one of ours.

use core::net::{IpAddr, SocketAddr};

use config::Metrics;
use hyper::{HeaderMap, Method, header::HOST};

/// By which socket a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The UNIX socket: everything.
    Ruler,
    /// The TCP port: reading.
    Reader,
}

/// Whether the user may use the UNIX socket.
pub(crate) fn may_rule(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Whether a method only reads.
pub(crate) fn is_reading(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether the Host field names us.
pub(crate) fn is_our_host(headers: &HeaderMap, metrics: Option<&Metrics>) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let (Ok(host), Some(metrics)) = (host.to_str(), metrics) else { return false };
    let name = without_port(host).to_ascii_lowercase();
    let bound = metrics.bind.ip();
    match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        // Bound to all addresses, any may be one of ours; an address cannot be rebound as a name can.
        Ok(address) => address.to_canonical().is_loopback() || address == bound || bound.is_unspecified(),
        Err(_not_an_address) => name == "localhost" || metrics.hosts.iter().any(|host| **host == *name),
    }
}

/// `host` of `host`, `host:port`, `[v6]` and `[v6]:port`.
fn without_port(host: &str) -> &str {
    if host.parse::<SocketAddr>().is_ok() || !host.starts_with('[') {
        return host.rsplit_once(':').map_or(host, |(name, _port)| name);
    }
    host
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn only_our_names_are_answered() {
        let check = |bind: &str, hosts: &[&str], expect| {
            let metrics = Metrics { bind: bind.parse().unwrap(), hosts: Box::new(["proxy.example.com".into()]) };
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            assert_eq!(is_our_host(&headers, Some(&metrics)), expect, "{hosts:?} at {bind}");
        };
        for host in
            ["127.0.0.1", "127.0.0.1:9901", "localhost", "LOCALHOST:9901", "[::1]", "[::1]:9901", "127.0.0.2:1", "proxy.example.com:9901"]
        {
            check("127.0.0.1:9901", &[host], true);
        }
        for host in [
            "evil.example.com",
            "evil.example.com:9901",
            "localhost.evil.example.com",
            "10.0.0.1",
            "",
            "[::2]:9901",
            "127.0.0.1.evil.example.com",
        ] {
            check("127.0.0.1:9901", &[host], false);
        }
        check("10.0.0.1:9901", &["10.0.0.1:9901"], true);
        check("10.0.0.1:9901", &["10.0.0.2:9901"], false);
        check("0.0.0.0:9901", &["10.0.0.2:9901"], true);
        check("0.0.0.0:9901", &["evil.example.com"], false);
        check("127.0.0.1:9901", &[], false);
        check("127.0.0.1:9901", &["localhost", "localhost"], false);
    }
}

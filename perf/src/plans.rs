//! What the load is, as rows and reloads ask for it.

use crate::load::{Group, Http, Path, Plan, Shape, Tls};
use crate::rig::Proxy;

/// Ordinary small requests to the HTTP listener.
pub(crate) fn http(proxy: &Proxy, connections: usize, shape: Shape) -> Plan {
    Plan { target: proxy.site.http, path: Path::Small, connections, shape, http: Http::One, tls: None }
}

/// The same by HTTP/2 with prior knowledge.
pub(crate) fn h2c(proxy: &Proxy) -> Plan {
    Plan { target: proxy.site.h2c, http: Http::Two { streams: 16 }, ..http(proxy, 16, Shape::KeepAlive) }
}

/// The same over TLS, connections by a full handshake.
pub(crate) fn tls(proxy: &Proxy) -> Plan {
    let tls = Some(Tls { resume: false, group: Group::X25519 });
    Plan { target: proxy.site.tls, tls, ..http(proxy, 64, Shape::KeepAlive) }
}

/// Both.
pub(crate) fn tls_h2(proxy: &Proxy) -> Plan {
    Plan { target: proxy.site.tls, tls: tls(proxy).tls, ..h2c(proxy) }
}

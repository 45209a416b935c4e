//! Envoy, with its listeners, routes and clusters in watched files, so that a new route closes nothing.

use super::{Site, replace};
use anyhow::Result;
use core::net::SocketAddr;
use serde_json::{Value, json};
use std::path::Path;

const TYPES: &str = "type.googleapis.com/envoy";

pub(super) fn write(site: &Site) -> Result<()> {
    let mut listeners = vec![http_listener(site, "web", site.http), tcp_listener(site)];
    if site.has_extra() {
        listeners.push(http_listener(site, "extra", site.extra));
    }
    listeners.push(http_listener(site, "h2c", site.h2c));
    for (name, bind, file, protocols) in
        [("ecdsa", site.tls, site.ecdsa(), ["h2", "http/1.1"].as_slice()), ("rsa", site.tls_rsa, site.rsa(), &["http/1.1"])]
    {
        let mut listener = http_listener(site, name, bind);
        listener["filter_chains"][0]["transport_socket"] = tls(&file, protocols);
        listeners.push(listener);
    }
    // In the order in which nothing points to what is not there.
    file(site, "cds", &[cluster(site)])?;
    file(site, "rds", &[routes(site)])?;
    file(site, "lds", &listeners)?;
    replace(&site.path("bootstrap.json"), &bootstrap(site).to_string())
}

pub(super) fn arguments(site: &Site) -> Vec<String> {
    let config = site.text_path("bootstrap.json");
    let workers = site.workers.to_string();
    ["--config-path", &config, "--concurrency", &workers, "--disable-hot-restart", "--log-level", "error"].map(str::to_owned).to_vec()
}

/// One discovery response in a file of its own; versions change with ours.
fn file(site: &Site, name: &str, resources: &[Value]) -> Result<()> {
    let response = json!({ "version_info": site.version.to_string(), "resources": resources });
    replace(&site.path(&format!("{name}.json")), &response.to_string())
}

fn source(site: &Site, name: &str) -> Value {
    json!({ "resource_api_version": "V3", "path_config_source": { "path": site.text_path(&format!("{name}.json")) } })
}

fn bootstrap(site: &Site) -> Value {
    json!({
        "node": { "id": "bench", "cluster": "bench" },
        "dynamic_resources": { "lds_config": source(site, "lds"), "cds_config": source(site, "cds") },
        "layered_runtime": { "layers": [{ "name": "static", "static_layer": {
            "overload.global_downstream_max_connections": 50_000
        } }] }
    })
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn cluster(site: &Site) -> Value {
    let endpoint = |origin: &SocketAddr| json!({ "endpoint": { "address": address(*origin) } });
    let endpoints: Vec<Value> = site.endpoints().iter().map(endpoint).collect();
    json!({
        "@type": format!("{TYPES}.config.cluster.v3.Cluster"),
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000, "max_retries": 1000
        }] },
        "load_assignment": { "cluster_name": "origin", "endpoints": [{ "lb_endpoints": endpoints }] }
    })
}

fn routes(site: &Site) -> Value {
    let mut route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "origin" } });
    if site.version > 0 {
        route["response_headers_to_add"] = json!([{ "header": { "key": "x-version", "value": site.version.to_string() } }]);
    }
    json!({
        "@type": format!("{TYPES}.config.route.v3.RouteConfiguration"),
        "name": "web",
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }]
    })
}

fn http_listener(site: &Site, name: &str, bind: SocketAddr) -> Value {
    listener(
        name,
        bind,
        &json!({
            "name": "http",
            "typed_config": {
                "@type": format!("{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "max_request_headers_kb": 44 + site.header_kilobytes(),
                "rds": { "route_config_name": "web", "config_source": source(site, "rds") },
                "http_filters": [{ "name": "router", "typed_config": {
                    "@type": format!("{TYPES}.extensions.filters.http.router.v3.Router")
                } }]
            }
        }),
    )
}

fn tls(file: &Path, protocols: &[&str]) -> Value {
    let file = json!({ "filename": file.display().to_string() });
    json!({
        "name": "tls",
        "typed_config": {
            "@type": format!("{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "alpn_protocols": protocols,
                "tls_params": { "ecdh_curves": ["X25519", "X25519MLKEM768"], "tls_maximum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{ "certificate_chain": file, "private_key": file }]
            }
        }
    })
}

fn tcp_listener(site: &Site) -> Value {
    let filter = json!({
        "name": "tcp",
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": "raw",
            "cluster": "origin"
        }
    });
    listener("raw", site.tcp, &filter)
}

fn listener(name: &str, bind: SocketAddr, filter: &Value) -> Value {
    json!({
        "@type": format!("{TYPES}.config.listener.v3.Listener"),
        "name": name,
        "address": address(bind),
        "tcp_backlog_size": 4096,
        "filter_chains": [{ "filters": [filter] }]
    })
}

//! nginx.

use super::{CONNECTIONS_MAX, Site, replace};
use crate::process::Group;
use anyhow::Result;
use core::fmt::Write;
use core::net::SocketAddr;
use rustix::process::Signal;

/// Debian keeps the stream module beside the binary.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(super) fn write(site: &Site) -> Result<()> {
    replace(&site.path("nginx.conf"), &config(site))
}

pub(super) fn arguments(site: &Site) -> Vec<String> {
    ["-p", &site.text_path(""), "-c", &site.text_path("nginx.conf"), "-e", &site.text_path("error.log")].map(str::to_owned).to_vec()
}

pub(super) fn reload(group: &Group) -> Result<()> {
    group.signal(Signal::HUP)
}

fn config(site: &Site) -> String {
    let mut servers = server(site, site.http, "");
    if site.has_extra() {
        servers.push_str(&server(site, site.extra, ""));
    }
    servers.push_str(&server(site, site.h2c, "http2"));
    for (bind, file, protocols) in [(site.tls, site.ecdsa(), "ssl http2"), (site.tls_rsa, site.rsa(), "ssl")] {
        let file = file.display();
        let options = format!("{protocols}; ssl_certificate {file}; ssl_certificate_key {file}");
        servers.push_str(&server(site, bind, &options));
    }
    let upstream = site.endpoints().iter().fold(String::new(), |mut out, endpoint| {
        write!(out, "server {endpoint}; ").expect("a String takes all");
        out
    });
    format!(
        "load_module {STREAM_MODULE};
daemon off;
pid nginx.pid;
worker_processes {workers};
worker_rlimit_nofile {files};
events {{ worker_connections {files}; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_cache shared:bench:10m;
    proxy_http_version 1.1;
    proxy_set_header Connection \"\";
    proxy_set_header Host $host;
    proxy_buffer_size 16k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    upstream origin {{ {upstream}keepalive 1024; keepalive_timeout 3600s; keepalive_requests 1000000000; }}
{servers}}}
stream {{
    upstream origin {{ {upstream}}}
    server {{ listen {tcp} backlog=4096; proxy_pass origin; proxy_buffer_size 256k; tcp_nodelay on; }}
}}
",
        workers = site.workers,
        files = CONNECTIONS_MAX * 2,
        tcp = site.tcp,
    )
}

/// `options` end the `listen` directive, and may go on with others.
fn server(site: &Site, listen: SocketAddr, options: &str) -> String {
    let version = if site.version == 0 { String::new() } else { format!("add_header x-version {};", site.version) };
    format!(
        "    server {{ listen {listen} backlog=4096 {options}; large_client_header_buffers 4 {}k; location / {{ proxy_pass http://origin; {version} }} }}\n",
        site.header_kilobytes()
    )
}

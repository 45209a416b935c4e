//! Listeners: their sockets, their limits, whom they trust.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use hashbrown::HashMap;
use model::Address;

use super::{Compiler, http, share};
use crate::containers::{Entry, Located};
use crate::document::{self, Root};
use crate::scalars::{TimeLimit, Trusted};
use crate::snapshot::{ForwardedFrom, Kind, Listener, ListenerLimits, ListenerTimeouts, Name, Passthrough, PassthroughRule, TcpListener};

impl Compiler<'_> {
    pub(super) fn compile_listeners(&mut self, root: &mut Root) -> BTreeMap<Name, Arc<Listener>> {
        let mut bound: HashMap<Address, Name> = HashMap::new();
        let mut listeners = BTreeMap::new();
        let refused = &root.clusters.refused;
        for entry in &mut root.listeners.entries {
            let binds = self.binds(&entry.key, &entry.value, &mut bound);
            let old = self.previous.and_then(|previous| previous.listeners.get(&entry.key));
            if let Some(listener) = self.listener(refused, entry, binds, old) {
                listeners.insert(listener.name.clone(), listener);
            }
        }
        listeners
    }

    fn binds(&mut self, name: &Name, listener: &document::Listener, bound: &mut HashMap<Address, Name>) -> Vec<Address> {
        if self.reader.is_empty(listener.bind.at) {
            self.reader.reject(listener.bind.at, "a listener needs at least one address to listen on");
        }
        let mut binds = Vec::new();
        for bind in &*listener.bind {
            for address in &bind.value.0 {
                if let Some(owner) = bound.insert(address.clone(), name.clone()) {
                    self.reader.reject(bind.at, format_args!("{address} is already listened on by {owner:?}"));
                }
                binds.push(address.clone());
            }
        }
        binds
    }

    fn listener(
        &mut self,
        refused: &[Name],
        entry: &mut Entry<Name, document::Listener>,
        binds: Vec<Address>,
        old: Option<&Arc<Listener>>,
    ) -> Option<Arc<Listener>> {
        let (name, listener) = (&entry.key, &mut entry.value);
        let request = listener.timeouts.request.unwrap_or(TimeLimit(None));
        let old_tls = old.and_then(|old| old.tls.as_ref());
        let tls = listener.tls.as_ref().map(|tls| self.listener_tls(tls, listener.http.is_some(), old_tls));
        let kind = match (&mut listener.http, &listener.tcp) {
            (Some(http), None) => {
                let old = old.and_then(|old| if let Kind::Http(http) = &old.kind { Some(http) } else { None });
                Kind::Http(self.compile_http(http::Listening { name, request, refused }, http, old)?)
            }
            (None, Some(tcp)) => {
                let old = old.and_then(|old| if let Kind::Tcp(tcp) = &old.kind { Some(tcp) } else { None });
                Kind::Tcp(share(TcpListener { to: self.targets(refused, &tcp.to)? }, old))
            }
            (None, None) if !listener.passthrough.is_empty() && listener.tls.is_none() => Kind::Passthrough,
            (None, None) => {
                if !self.reader.has_any_key(entry.at, &["http", "tcp"]) {
                    self.reader.reject_key(entry.at, "a listener needs one of http and tcp, or passthrough and no tls");
                }
                return None;
            }
            (Some(_), Some(tcp)) => {
                self.reader.reject_key(tcp.at, "a listener has either http or tcp, not both");
                return None;
            }
        };
        let passthrough = self.passthrough(refused, &listener.passthrough);
        if let (Some(accept), true) = (&listener.proxy_protocol, listener.trusted.is_empty()) {
            self.reader.reject(accept.at, "PROXY headers are taken from trusted sources only: say which under trusted");
        }
        let new = Listener {
            name: old.map_or(name, |old| &old.name).clone(),
            binds,
            passthrough: share(passthrough, old.map(|old| &old.passthrough)),
            tls: tls.flatten(),
            kind,
            timeouts: timeouts(&listener.timeouts),
            limits: limits(&listener.limits),
            http2: share(listener.http2.compiled(), old.map(|old| &old.http2)),
            trusted: trusted(&listener.trusted),
            accept_proxy_protocol: listener.proxy_protocol.is_some(),
            on_change: listener.on_change,
        };
        Some(share(new, old))
    }

    fn passthrough(&mut self, refused: &[Name], rules: &[Located<document::Passthrough>]) -> Passthrough {
        let mut passthrough = Passthrough::default();
        for rule in rules {
            if self.reader.is_empty(rule.names.at) {
                self.reader.reject(rule.names.at, "at least one name is expected here; \"*\" is all");
            }
            let alpn = rule.alpn.iter().map(|alpn| alpn.0.as_bytes().into()).collect();
            if let Some(to) = self.targets(refused, &rule.to) {
                let names: Vec<_> = rule.names.iter().map(|name| name.value.clone()).collect();
                passthrough.push(&names, PassthroughRule { alpn, to });
            }
        }
        passthrough
    }
}

fn timeouts(timeouts: &document::ListenerTimeouts) -> ListenerTimeouts {
    ListenerTimeouts {
        request_head: timeouts.request_head.and_then(|limit| limit.0),
        idle: timeouts.idle.and_then(|limit| limit.0),
        drain: timeouts.drain.and_then(|limit| limit.0),
    }
}

fn limits(limits: &document::ListenerLimits) -> ListenerLimits {
    let bytes = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    ListenerLimits {
        connections: limits.connections.0,
        head: model::HeadLimits {
            head_bytes_max: bytes(limits.header_bytes.0),
            target_bytes_max: bytes(limits.target_bytes.0),
            fields_max: u16::try_from(limits.headers.0).unwrap_or(u16::MAX),
        },
        body_bytes: limits.body_bytes.0,
    }
}

fn trusted(trusted: &[Trusted]) -> ForwardedFrom {
    let networks = trusted.iter().filter_map(|source| if let Trusted::Network(network) = source { Some(*network) } else { None });
    ForwardedFrom { networks: networks.collect(), unix: trusted.contains(&Trusted::Unix) }
}

//! Sites and routes to a route table.

use alloc::sync::Arc;

use hashbrown::HashMap;
use route::{HostPattern, MethodSet, PathPattern, RouteTable, Rule};

use super::{Compiler, share};
use crate::containers::{Lazy, Map};
use crate::document::{self, Edits, Http, Site};
use crate::origin::{RouteOrigin, SiteOrigin};
use crate::read::{At, Scalar as _};
use crate::resolve::inherit_route;
use crate::scalars::{HeaderName, HeaderValue, TimeLimit};
use crate::snapshot::{Action, HeaderEdits, HeaderField, HttpListener, Name, Reply, Retry, Route, Target, Targets, TunnelLimits};
use crate::targets::To;

/// What routes know of the listener they belong to.
#[derive(Clone, Copy)]
pub(super) struct Listening<'a> {
    pub(super) name: &'a Name,
    /// The timeout they inherit.
    pub(super) request: TimeLimit,
    /// Clusters that exist but were refused.
    pub(super) refused: &'a [Name],
}

impl Compiler<'_> {
    /// The HTTP side of a listener; `None` when something in it was refused.
    pub(super) fn compile_http(
        &mut self,
        listening: Listening<'_>,
        http: &mut Http,
        old: Option<&Arc<HttpListener>>,
    ) -> Option<Arc<HttpListener>> {
        self.claim_hosts(&http.sites);
        let old_sites = self.previous.and_then(|previous| previous.origin.listeners.get(listening.name));
        let mut sites = Vec::with_capacity(http.sites.len());
        for (place, site) in http.sites.iter_mut().enumerate() {
            let old_site = old_sites.and_then(|sites| sites.get(place));
            sites.push(self.compile_site(listening, site, old_site));
        }
        let is_same =
            old_sites.is_some_and(|old| old.len() == sites.len() && old.iter().zip(&sites).all(|(old, new)| is_same_site(old, new)));
        let new = match old.filter(|_| is_same) {
            Some(old) => old.clone(),
            None => Arc::new(listener_of(&sites)?),
        };
        self.origin.listeners.insert(listening.name.clone(), sites);
        Some(new)
    }

    fn claim_hosts(&mut self, sites: &[Site]) {
        let mut owners: HashMap<&HostPattern, usize> = HashMap::new();
        for (place, site) in sites.iter().enumerate() {
            if self.reader.is_empty(site.hosts.at) {
                self.reader.reject(site.hosts.at, "a site needs at least one host; \"*\" is every host that no other site has");
            }
            for host in &*site.hosts {
                if let Some(owner) = owners.insert(&host.value, place) {
                    let name = host.value.shown().into_text();
                    self.reader.reject(host.at, format_args!("the host {name:?} already belongs to sites[{owner}]"));
                }
            }
        }
    }

    fn compile_site(&mut self, listening: Listening<'_>, site: &mut Site, old: Option<&SiteOrigin>) -> SiteOrigin {
        let hosts: Vec<HostPattern> = site.hosts.iter().map(|host| host.value.clone()).collect();
        let first_host = hosts.first().map_or(String::new(), |host| host.shown().into_text());
        // Routes are named after the first host.
        let old = old.filter(|old| old.hosts.first() == hosts.first());
        let mut routes = Vec::with_capacity(site.routes.len());
        for (place, route) in site.routes.iter_mut().enumerate() {
            let old_route = old.and_then(|old| old.routes.get(place));
            let unchanged = old.zip(old_route).filter(|(site, old)| site.request == listening.request && self.is_unchanged(old, route.at));
            let rule = if let Some((_, old)) = unchanged {
                self.claim_name(&old.rule.value.name, route.at);
                Some(old.rule.clone())
            } else {
                let shared = old_route.map(|old| &old.rule.value);
                self.compile_route(listening, &format_args!("{}/{first_host}/{place}", listening.name), route, shared)
            };
            routes.extend(rule.map(|rule| RouteOrigin { at: route.at, rule }));
        }
        SiteOrigin { hosts, request: listening.request, routes }
    }

    /// Whether a route stands there as it did, and its clusters are still those.
    fn is_unchanged(&self, old: &RouteOrigin, at: At) -> bool {
        let is_same = self.comparable.is_some_and(|previous| previous.origin.is_same(old.at, &self.loaded.documents, at));
        is_same && old.targets().iter().all(|target| self.has_cluster(target.slot))
    }

    fn compile_route(
        &mut self,
        listening: Listening<'_>,
        default_name: &dyn core::fmt::Display,
        lazy: &mut Lazy<document::Route>,
        old: Option<&Arc<Route>>,
    ) -> Option<Rule<Arc<Route>>> {
        let at = lazy.at;
        let mut route = lazy.take(&mut self.reader)?;
        inherit_route(&mut route, listening.request);
        let name = route.name.as_ref().map_or_else(|| default_name.to_string().into(), |name| name.value.clone());
        self.claim_name(&name, route.name.as_ref().map_or(at, |name| name.at));
        let methods = route.matching.methods.as_ref().map_or_else(MethodSet::any, |methods| {
            if self.reader.is_empty(methods.at) {
                self.reader.reject(methods.at, "at least one method is expected; leave the key out to mean all");
            }
            MethodSet::of(methods.iter().map(|method| method.0.as_bytes()))
        });
        let action = self.compile_action(listening.refused, &route, at)?;
        let compiled = Route {
            name,
            action,
            timeout: route.timeouts.request.and_then(|limit| limit.0),
            tunnel: TunnelLimits { idle: route.timeouts.tunnel_idle.map(|limit| limit.0), total: route.timeouts.tunnel.0 },
            connect: route.connect.as_ref().map(|connect| connect.ports.iter().filter_map(|port| u16::try_from(port.0).ok()).collect()),
            retry: Retry { attempts: route.retry.attempts.0 },
            request_edits: compile_edits(&route.request),
            response_edits: compile_edits(&route.response),
        };
        Some(Rule { path: route.matching.path.unwrap_or(PathPattern::Any), methods, value: share(compiled, old) })
    }

    /// Notes a name that two routes have. Names that were made up hold a slash, which given ones cannot: those never meet.
    fn claim_name(&mut self, name: &Name, at: At) {
        if name.contains('/') {
            return;
        }
        if let Some(first) = self.route_names.insert(name.clone(), at) {
            let first = self.reader.locate(first);
            self.reader.reject(at, format_args!("the route name {name:?} is already used at {first}"));
        }
    }

    fn compile_action(&mut self, refused: &[Name], route: &document::Route, at: At) -> Option<Action> {
        if let (Some(connect), None) = (&route.connect, &route.to) {
            self.reader.reject_key(connect.at, "a tunnel has to lead somewhere: connect needs to");
        }
        match (&route.to, &route.reply) {
            (Some(to), None) => Some(Action::Forward(self.targets(refused, to)?)),
            (None, Some(reply)) => Some(Action::Reply(self.compile_reply(reply))),
            (None, None) => {
                if !self.reader.has_any_key(at, &["to", "reply"]) {
                    self.reader.reject_key(at, "a route needs one of to and reply");
                }
                None
            }
            (Some(_), Some(reply)) => {
                self.reader.reject_key(reply.at, "a route has either to or reply, not both");
                None
            }
        }
    }

    /// The clusters of a `to`; `None` when one of them does not exist.
    pub(super) fn targets(&mut self, refused: &[Name], to: &To) -> Option<Targets> {
        let slots = to.clusters.iter().map(|(at, name, weight)| (self.slot_of(refused, name, *at), *weight));
        // Every cluster is looked at before the first that is missing counts.
        let slots: Vec<_> = slots.collect();
        let targets: Option<Vec<Target>> = slots.into_iter().map(|(slot, weight)| Some(Target { slot: slot?, weight })).collect();
        targets.map(Targets::new)
    }

    fn compile_reply(&mut self, reply: &document::Reply) -> Reply {
        let status = u16::try_from(reply.status.0).unwrap_or(u16::MAX);
        // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no body, whatever anyone wants.
        if matches!(status, 204 | 205 | 304) && !reply.body.is_empty() {
            self.reader.reject(reply.body.at, format_args!("a response with status {status} has no body"));
        }
        Reply { status, body: reply.body.as_bytes().into() }
    }

    fn has_cluster(&self, slot: crate::snapshot::ClusterSlot) -> bool {
        let entry = self.table.slots.get(slot.index as usize);
        entry.and_then(|entry| entry.cluster.as_ref()).is_some_and(|cluster| cluster.slot == slot)
    }
}

fn is_same_site(old: &SiteOrigin, new: &SiteOrigin) -> bool {
    old.hosts == new.hosts
        && old.routes.len() == new.routes.len()
        && old.routes.iter().zip(&new.routes).all(|(old, new)| {
            Arc::ptr_eq(&old.rule.value, &new.rule.value) && old.rule.path == new.rule.path && old.rule.methods == new.rule.methods
        })
}

fn listener_of(sites: &[SiteOrigin]) -> Option<HttpListener> {
    let routes = sites.iter().flat_map(|site| &site.routes).map(|route| route.rule.value.clone()).collect();
    let sites = sites
        .iter()
        .map(|site| route::Site { hosts: site.hosts.clone(), rules: site.routes.iter().map(|route| route.rule.clone()).collect() });
    // A host that two sites have was refused before.
    Some(HttpListener { table: RouteTable::build(sites.collect()).ok()?, routes })
}

fn compile_edits(edits: &Edits) -> HeaderEdits {
    let changes = &edits.headers;
    let fields = |map: &Map<HeaderName, HeaderValue>| -> Box<[HeaderField]> {
        map.entries.iter().map(|entry| (entry.key.0.as_bytes().into(), entry.value.0.as_bytes().into())).collect()
    };
    HeaderEdits {
        remove: changes.remove.iter().map(|name| name.0.as_bytes().into()).collect(),
        set: fields(&changes.set),
        add: fields(&changes.add),
    }
}

//! Sites and routes to a route table.

use alloc::sync::Arc;
use std::collections::HashMap;

use route::{HostPattern, MethodSet, PathPattern, RouteTable, Rule};

use crate::compile::{Compiler, share};
use crate::containers::Located;
use crate::document::{self, Edits, Http, Site};
use crate::read::Scalar as _;
use crate::snapshot::{Action, HeaderEdits, HeaderField, HttpListener, Name, Reply, Retry, Route, Target, Targets};
use crate::targets::To;

/// The HTTP side of the listener `name`; `None` when something in it was refused.
pub(crate) fn http(compiler: &mut Compiler<'_>, name: &Name, http: &Http, old: Option<&Arc<HttpListener>>) -> Option<Arc<HttpListener>> {
    let old_routes: HashMap<&str, &Arc<Route>> = old.into_iter().flat_map(|old| &old.routes).map(|route| (&*route.name, route)).collect();
    let mut owners: HashMap<&HostPattern, usize> = HashMap::new();
    let mut routes = Vec::new();
    let mut sites = Vec::new();
    for (place, site) in http.sites.iter().enumerate() {
        claim_hosts(compiler, site, place, &mut owners);
        let rules = rules(compiler, name, site, &old_routes);
        routes.extend(rules.iter().map(|rule| rule.value.clone()));
        sites.push(route::Site { hosts: site.hosts.iter().map(|host| host.value.clone()).collect(), rules });
    }
    let new = HttpListener { table: RouteTable::build(sites).ok()?, routes };
    Some(share(new, old))
}

fn claim_hosts<'a>(compiler: &mut Compiler<'_>, site: &'a Site, place: usize, owners: &mut HashMap<&'a HostPattern, usize>) {
    if site.hosts.is_empty() {
        compiler.reader.reject(site.hosts.at, "a site needs at least one host; \"*\" is every host that no other site has");
    }
    for host in &*site.hosts {
        if let Some(owner) = owners.insert(&host.value, place) {
            let name = host.value.shown().into_text();
            compiler.reader.reject(host.at, format_args!("the host {name:?} already belongs to sites[{owner}]"));
        }
    }
}

fn rules(compiler: &mut Compiler<'_>, listener: &Name, site: &Site, old: &HashMap<&str, &Arc<Route>>) -> Vec<Rule<Arc<Route>>> {
    let host = site.hosts.first().map_or(String::new(), |host| host.value.shown().into_text());
    let mut rules = Vec::with_capacity(site.routes.len());
    for (place, route) in site.routes.iter().enumerate() {
        let name = match &route.name {
            Some(given) => given.value.clone(),
            None => format!("{listener}/{host}/{place}").into(),
        };
        claim_name(compiler, route, &name);
        let Some(compiled) = compile_route(compiler, name, route) else {
            continue;
        };
        let shared = old.get(&*compiled.name).copied();
        let matching = &route.matching;
        let methods = matching.methods.as_ref().map_or_else(MethodSet::any, |methods| {
            if methods.is_empty() {
                compiler.reader.reject(methods.at, "at least one method is expected; leave the key out to mean all");
            }
            MethodSet::of(methods.iter().map(|method| method.0.as_bytes()))
        });
        let path = matching.path.clone().unwrap_or(PathPattern::Any);
        rules.push(Rule { path, methods, value: share(compiled, shared) });
    }
    rules
}

fn claim_name(compiler: &mut Compiler<'_>, route: &Located<document::Route>, name: &Name) {
    let at = route.name.as_ref().map_or(route.at, |name| name.at);
    if let Some(first) = compiler.route_names.insert(name.clone(), at) {
        let first = compiler.reader.locate(first);
        compiler.reader.reject(at, format_args!("the route name {name:?} is already used at {first}"));
    }
}

fn compile_route(compiler: &mut Compiler<'_>, name: Name, route: &Located<document::Route>) -> Option<Route> {
    let action = match (&route.to, &route.reply) {
        (Some(to), None) => Action::Forward(targets(compiler, to)?),
        (None, Some(reply)) => Action::Reply(compile_reply(compiler, reply)),
        (None, None) => {
            compiler.reader.reject_key(route.at, "a route needs one of to and reply");
            return None;
        }
        (Some(_), Some(reply)) => {
            compiler.reader.reject_key(reply.at, "a route has either to or reply, not both");
            return None;
        }
    };
    Some(Route {
        name,
        action,
        timeout: route.timeouts.request.and_then(|limit| limit.0),
        retry: Retry { attempts: route.retry.attempts.0 },
        request_edits: compile_edits(&route.request),
        response_edits: compile_edits(&route.response),
    })
}

/// The clusters of a `to`; `None` when one of them does not exist.
pub(crate) fn targets(compiler: &mut Compiler<'_>, to: &To) -> Option<Targets> {
    let targets: Vec<Option<Target>> =
        to.clusters.iter().map(|(at, name, weight)| compiler.slot_of(name, *at).map(|slot| Target { slot, weight: *weight })).collect();
    Some(Targets::new(targets.into_iter().collect::<Option<Vec<_>>>()?))
}

fn compile_reply(compiler: &mut Compiler<'_>, reply: &document::Reply) -> Reply {
    let status = u16::try_from(reply.status.0).unwrap_or(u16::MAX);
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no body, whatever anyone wants.
    if matches!(status, 204 | 205 | 304) && !reply.body.is_empty() {
        compiler.reader.reject(reply.body.at, format_args!("a response with status {status} has no body"));
    }
    Reply { status, body: reply.body.as_bytes().into() }
}

fn compile_edits(edits: &Edits) -> HeaderEdits {
    let changes = &edits.headers;
    let fields = |map: &crate::containers::Map<crate::scalars::HeaderName, crate::scalars::HeaderValue>| -> Box<[HeaderField]> {
        map.entries.iter().map(|entry| (entry.key.0.as_bytes().into(), entry.value.0.as_bytes().into())).collect()
    };
    HeaderEdits {
        remove: changes.remove.iter().map(|name| name.0.as_bytes().into()).collect(),
        set: fields(&changes.set),
        add: fields(&changes.add),
    }
}

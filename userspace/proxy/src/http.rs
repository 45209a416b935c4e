//! The story of a request: head, normalise, route, edits, pick, pool, pump, end. Everything else in this crate is a word of it.

use exchange::Exchange;
use model::{Cause, Fault, Head, Record};
use std::rc::Rc;

use config::{Action, Kind, Targets};

use crate::{
    edits,
    end::{self, Told},
    forwards, grpc, path,
    pump::{self, Replay},
    reply, request, rest,
    route::Route,
    scope::Scope,
    tries::Tries,
    tunnel,
    upgrade::{self, Upgrade},
    upstream,
};

/// Serves one exchange, and always ends it.
pub(crate) async fn proxy(down: Exchange, scope: &Scope<'_>) {
    let mut record = begin(&down, scope);
    let mut told = None;
    let active = scope.listener.requests_active.hold();
    if let Err(fault) = story(&down, scope, &mut record, &mut told).await {
        if told.is_some() {
            rest::take(&down);
        }
        reply::fault(&down, fault, &mut record);
    }
    end::exchange(scope, &record, told.as_ref());
    drop((active, told, record));
    rest::listen(down, scope).await;
}

async fn story(down: &Exchange, scope: &Scope<'_>, record: &mut Record, told: &mut Option<Told>) -> Result<(), Fault> {
    let head = request::receive(down, scope).await?;
    record.is_call = grpc::is_call(&head);
    let told = told.insert(Told { head, route: None });
    request::name_host(&mut told.head, down);
    let route = find(scope, &mut told.head)?;
    record.route = Some(Rc::clone(&route.name));
    told.route = Some(Rc::clone(&route));
    if let Some(line) = told.head.request().filter(|line| tunnel::is_asked(line)) {
        tunnel::check(line, &route.config)?;
    }
    request::stamp(&mut told.head, scope.listener.settings().scheme, scope.client, record);
    request::identify(&mut told.head, &scope.listener.config(), down);
    edits::apply(&route.config.request_edits, &mut told.head.fields);
    let is_spent = forwards::spend(&mut told.head)?;
    let upgrade = upgrade::asked(&mut told.head, || [scope.house.random(), scope.house.random()]);
    match &route.config.action {
        Action::Forward(targets) if told.head.request().is_some_and(tunnel::is_asked) => {
            tunnel::run(down, scope, record, (&route.config, targets)).await
        }
        Action::Forward(_) if is_spent => forwards::answer(down, &told.head, &route.config, record),
        Action::Reply(answer) if upgrade.is_some() && upgrade::is_mistaken(answer.status, down) => {
            Err(Fault { scope: model::Scope::Stream, ..Fault::client(Cause::NotImplemented) })
        }
        Action::Reply(answer) => reply::fixed(down, answer, &route.config, record),
        Action::Forward(targets) => forward(down, scope, record, (&told.head, upgrade.as_ref()), (&route.config, targets)).await,
    }
}

/// The route of a request, whose target gets its one form on the way. Only the route outlives this: an exchange never pins a whole listener.
fn find(scope: &Scope<'_>, head: &mut Head) -> Result<Rc<Route>, Fault> {
    let listener = scope.listener.config();
    let Kind::Http(http) = &listener.kind else { return Err(Fault::us(Cause::NoRoute)) };
    request::normalise(head, &listener)?;
    let line = head.request().ok_or_else(|| Fault::client(Cause::MalformedHead))?;
    let found = http.table.find(&line.authority, path::before_query(&line.path), line.method.as_bytes()).route();
    let missing = if tunnel::is_asked(line) { Cause::NotImplemented } else { Cause::NoRoute };
    let config = found.ok_or_else(|| Fault { scope: model::Scope::Stream, ..Fault::client(missing) })?;
    Ok(scope.house.routes.of(config, &listener.name, scope.house.page()))
}

/// Tries endpoints until one has answered or no further try is allowed.
async fn forward(
    down: &Exchange,
    scope: &Scope<'_>,
    record: &mut Record,
    (head, upgrade): (&Head, Option<&Upgrade>),
    (route, targets): (&config::Route, &Targets),
) -> Result<(), Fault> {
    let slot = targets.pick(scope.house.random());
    let cluster = scope.house.cluster(slot).ok_or_else(|| Fault::us(Cause::NoCluster))?;
    record.cluster = Some(Rc::clone(cluster.name()));
    let mut replay = Replay::default();
    let mut tries = Tries::new(route.retry.attempts);
    loop {
        record.attempts += 1;
        let attempt = upstream::open(scope, down.conn().transport(), &cluster, (&mut tries, record)).await;
        let outcome = match attempt {
            Ok(up) if upgrade.is_some() && upstream::greeted(scope, &cluster, &up).await.is_none() => {
                Err(Fault::origin(Cause::ConnectTimeout).safe())
            }
            Ok(up) => pump::run(down, up, scope, (head, route, upgrade), (&mut replay, record)).await,
            Err(fault) => Err(fault),
        };
        let Err(fault) = outcome else { return Ok(()) };
        if let Some(attempt) = &mut record.attempt {
            attempt.fault = Some(fault);
        }
        if !tries.allows(fault, head, record, replay.is_whole()) {
            return Err(fault);
        }
        cluster.retries.increment();
    }
}

fn begin(down: &Exchange, scope: &Scope<'_>) -> Record {
    let id = [scope.house.random(), scope.house.random()];
    Record::begin(Rc::clone(scope.client), down.id().0, id, scope.house.ring().now(), scope.house.generation())
}

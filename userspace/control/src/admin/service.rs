//! What the admin API answers.

use alloc::sync::Arc;
use core::convert::Infallible;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use stats::{Counter, Page, Reader, View, metrics};
use tokio::sync::{mpsc, oneshot};

use super::{
    guard::{self, Caller},
    views::{self, ConfigView},
};
use crate::{
    configuration::Outcome,
    desk::{Desk, Unanswered},
    log,
    run::Order,
    status::{Phase, Status},
};

/// Bytes of a configuration that is put.
const BODY_BYTES_MAX: usize = 64 << 20;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Everything answers are made of.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) status: Arc<Status>,
    pub(crate) stats: Desk<Reader>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) log: mpsc::Sender<log::Order>,
    /// Whether the configuration may be put.
    pub(crate) is_config_api: bool,
    pub(crate) refused_peer: Counter,
    pub(crate) refused_connections: Counter,
    refused_host: Counter,
    /// By class of status, from 1xx.
    answered: [Counter; 5],
}

/// Where an office's work goes.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) stats: Desk<Reader>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) log: mpsc::Sender<log::Order>,
}

impl Office {
    pub(crate) fn new(status: Arc<Status>, lines: Lines, is_config_api: bool, page: &Page) -> Self {
        let refused = |reason| page.counter(&metrics::ADMIN_REFUSED, &[("reason", reason)]);
        let answered = |class| page.counter(&metrics::ADMIN_REQUESTS, &[("class", class)]);
        Self {
            status,
            stats: lines.stats,
            orders: lines.orders,
            log: lines.log,
            is_config_api,
            refused_peer: refused("peer"),
            refused_connections: refused("connections"),
            refused_host: refused("host"),
            answered: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(answered),
        }
    }
}

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(crate) async fn answer(office: &Office, caller: Caller, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let mut answer = respond(office, caller, request).await;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let class = usize::from(answer.status().as_u16() / 100);
    office.answered[class.clamp(1, 5) - 1].increment();
    Ok(answer)
}

async fn respond(office: &Office, caller: Caller, request: Request<Incoming>) -> Answer {
    if caller == Caller::Reader {
        if !guard::is_our_host(request.headers(), office.status.live().snapshot.admin.metrics.as_ref()) {
            office.refused_host.increment();
            return text(StatusCode::FORBIDDEN, "the Host field names none of our addresses\n");
        }
        if !guard::is_reading(request.method()) {
            return text(StatusCode::FORBIDDEN, "this port only reads; what changes state goes to the admin UNIX socket\n");
        }
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => text(StatusCode::OK, INDEX),
        (&Method::GET | &Method::HEAD, "/ready") => ready(office.status.phase()),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let asked = office.stats.ask(|reader| reader.collect().prometheus()).await;
            asked.map_or_else(|error| unanswered(&error), |body| respond_with(StatusCode::OK, stats::CONTENT_TYPE, body))
        }
        (&Method::GET | &Method::HEAD, "/stats") => made(office, |reader| View::from(&reader.collect())).await,
        (&Method::GET | &Method::HEAD, "/config") => {
            let live = office.status.live();
            made(office, move |_| ConfigView::from(&*live)).await
        }
        (&Method::GET | &Method::HEAD, "/clusters") => {
            let snapshot = Arc::clone(&office.status.live().snapshot);
            made(office, move |reader| views::clusters(&snapshot, &View::from(&reader.collect()))).await
        }
        (&Method::GET | &Method::HEAD, "/listeners") => {
            let snapshot = Arc::clone(&office.status.live().snapshot);
            made(office, move |reader| views::listeners(&snapshot, &View::from(&reader.collect()))).await
        }
        (&Method::PUT, "/config") => put_config(office, request).await,
        (&Method::POST, "/drain") => order(office, Order::Drain, "draining\n").await,
        (&Method::POST, "/reload") => reload(office).await,
        (&Method::POST, "/logs/reopen") => match office.log.send(log::Order::Reopen).await {
            Ok(()) => text(StatusCode::ACCEPTED, "reopening\n"),
            Err(_closed) => unanswered(&Unanswered),
        },
        (_, "/" | "/ready" | "/metrics" | "/stats" | "/clusters" | "/listeners") => not_allowed("GET, HEAD"),
        (_, "/config") => not_allowed("GET, HEAD, PUT"),
        (_, "/drain" | "/reload" | "/logs/reopen") => not_allowed("POST"),
        _ => text(StatusCode::NOT_FOUND, INDEX),
    }
}

const INDEX: &str = "\
GET  /ready        200 while traffic is welcome, 503 otherwise
GET  /metrics      all metrics for Prometheus
GET  /stats        all metrics as JSON
GET  /config       the configuration in force, its hash, and why the last one offered was refused
GET  /clusters     clusters and their endpoints as JSON
GET  /listeners    listeners as JSON
On the UNIX socket alone:
PUT  /config       write and apply a configuration (with --config-api)
POST /reload       read the configuration file again
POST /drain        finish what is under way, then exit
POST /logs/reopen  open the access log again
";

fn ready(phase: Phase) -> Answer {
    match phase {
        Phase::Ready => text(StatusCode::OK, "ready\n"),
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn put_config(office: &Office, request: Request<Incoming>) -> Answer {
    if !office.is_config_api {
        return text(StatusCode::CONFLICT, "the configuration is the file's; start with --config-api to put it here\n");
    }
    let body = match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body was not read: {error} (at most {BODY_BYTES_MAX} bytes)\n"));
        }
    };
    let Ok(config) = String::from_utf8(body.into()) else { return text(StatusCode::BAD_REQUEST, "the body is not UTF-8\n") };
    let (reply, replied) = oneshot::channel();
    offer(office, Order::Put(config, reply), replied).await
}

async fn reload(office: &Office) -> Answer {
    let (reply, replied) = oneshot::channel();
    offer(office, Order::Reload(Some(reply)), replied).await
}

/// Has a configuration applied and says what came of it.
async fn offer(office: &Office, order: Order, replied: oneshot::Receiver<Result<Outcome, Vec<String>>>) -> Answer {
    if office.orders.send(order).await.is_err() {
        return unanswered(&Unanswered);
    }
    match replied.await {
        Ok(Ok(Outcome::Applied { generation })) => text(StatusCode::OK, format!("applied as generation {generation}\n")),
        Ok(Ok(Outcome::Unchanged)) => text(StatusCode::OK, "this configuration is in force already\n"),
        Ok(Err(reasons)) => text(StatusCode::UNPROCESSABLE_ENTITY, reasons.join("\n") + "\n"),
        Err(_dropped) => unanswered(&Unanswered),
    }
}

async fn order(office: &Office, order: Order, done: &'static str) -> Answer {
    match office.orders.send(order).await {
        Ok(()) => text(StatusCode::ACCEPTED, done),
        Err(_closed) => unanswered(&Unanswered),
    }
}

/// JSON made at the desk.
async fn made<V: Serialize>(office: &Office, make: impl FnOnce(&mut Reader) -> V + Send + 'static) -> Answer {
    match office.stats.ask(move |reader| serde_json::to_string(&make(reader))).await {
        Ok(Ok(body)) => respond_with(StatusCode::OK, JSON, body + "\n"),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => unanswered(&error),
    }
}

fn unanswered(error: &Unanswered) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("allowed: {allowed}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    respond_with(status, TEXT, body)
}

fn respond_with(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

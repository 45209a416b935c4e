//! One look at an endpoint: a request, a connection or a call, over what its cluster speaks, by the same codecs as everything else.
//!
//! Each look is a connection of its own: that the endpoint accepts is a part of what is asked. What it costs stands outside the cluster's limits, or a
//! full endpoint would be taken for a dead one.

use core::{fmt, future::poll_fn, ops::RangeInclusive, pin::pin, task::Poll};
use exchange::{Arrival, Conn, Exchange, Settings, Transport};
use io::Descriptor;
use model::{Address, Body, Cause, Fault, Head, Method, Part, RequestLine, Scheme, Start, Text};
use std::rc::Rc;

use config::{HealthCheck, HealthKind, Look, Protocol};

use crate::{Cluster, Endpoint, House, grpc, proxy_protocol};

/// Who asks.
const USER_AGENT: &[u8] = b"sluice-health";
/// What is called (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
const GRPC_PATH: &[u8] = b"/grpc.health.v1.Health/Check";
/// Bytes of a call's answer that are read.
const ANSWER_BYTES_MAX: usize = 1024;
/// The answer that it serves: no compression, two bytes, field 1 of them SERVING.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// Why an endpoint is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Illness {
    /// It took too long.
    Late,
    /// It could not be connected to, or broke off, or broke the rules.
    Broken(Cause),
    /// A status that is not a good one.
    Status(u16),
    /// It answered a call, but not that it serves.
    NotServing,
}

impl Illness {
    /// The word that it is counted by.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Late => "timeout",
            Self::Broken(cause) => cause.reason(),
            Self::Status(_) => "status",
            Self::NotServing => "not_serving",
        }
    }
}

impl fmt::Display for Illness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => out.write_str("it did not answer in time"),
            Self::Broken(cause) => out.write_str(cause.text()),
            Self::Status(status) => write!(out, "it answered with status {status}"),
            Self::NotServing => out.write_str("it does not say that it serves"),
        }
    }
}

impl From<Fault> for Illness {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.cause)
    }
}

/// Looks once, for as long as the check allows.
pub(crate) async fn look(house: &House, cluster: &Cluster, endpoint: &Endpoint, check: &HealthCheck) -> Result<(), Illness> {
    let patient = Patient { cluster, endpoint, address: address(endpoint, check), over: None };
    look_at(house, patient, check).await
}

/// Looks for somebody else.
pub async fn look_for(house: &House, look: Look) {
    let Some(cluster) = house.cluster(look.cluster) else { return };
    let Some(endpoint) = cluster.endpoints().iter().find(|endpoint| endpoint.config.name == look.endpoint) else { return };
    let patient = Patient { cluster: &cluster, endpoint, address: Address::Tcp(look.to), over: look.over.map(Descriptor::Kernel) };
    let found = look_at(house, patient, &look.check).await;
    // Who asked may have given up.
    let _told = look.answer.send(found.map_err(|illness| illness.to_string()));
}

/// Who is asked, and where.
struct Patient<'a> {
    cluster: &'a Cluster,
    endpoint: &'a Endpoint,
    address: Address,
    /// The connection to it; `None`: it is to be made.
    over: Option<Descriptor>,
}

async fn look_at(house: &House, patient: Patient<'_>, check: &HealthCheck) -> Result<(), Illness> {
    let timer = house.ring().timer();
    let until = house.ring().now() + check.timeout;
    timer.within(until, ask(house, patient, check)).await.unwrap_or(Err(Illness::Late))
}

async fn ask(house: &House, patient: Patient<'_>, check: &HealthCheck) -> Result<(), Illness> {
    let Patient { cluster, endpoint, address, over } = patient;
    let transport = connect(house, (cluster, endpoint), &address, over).await?;
    let (head, body) = match &check.kind {
        HealthKind::Tcp => return Ok(()),
        HealthKind::Http { path, host, .. } => {
            let host = host.as_deref().map_or_else(|| address.to_string(), str::to_owned);
            (request(Method::Get, &host, path.as_bytes(), cluster), None)
        }
        HealthKind::Grpc { service } => {
            let mut head = request(Method::Post, &address.to_string(), GRPC_PATH, cluster);
            head.fields.append(b"content-type", b"application/grpc");
            head.fields.append(b"te", b"trailers");
            head.body = Body::Unknown;
            head.end = false;
            (head, Some(question(service)))
        }
    };
    let conn = conn(transport, cluster.config().protocol);
    let answered = driven(&conn, async {
        let exchange = conn.exchange();
        exchange.send_head(&head)?;
        if let Some(body) = body {
            exchange.room().await?;
            exchange.send(Part::Data(body.into()))?;
            exchange.send(Part::End)?;
        }
        match &check.kind {
            HealthKind::Http { status, .. } => is_good(&exchange, status).await,
            HealthKind::Tcp | HealthKind::Grpc { .. } => is_serving(&exchange).await,
        }
    });
    answered.await
}

fn address(endpoint: &Endpoint, check: &HealthCheck) -> Address {
    match (&endpoint.config.address, check.port) {
        (Address::Tcp(address), Some(port)) => Address::Tcp((address.ip(), port).into()),
        (address, _) => address.clone(),
    }
}

async fn connect(
    house: &House,
    (cluster, endpoint): (&Cluster, &Endpoint),
    address: &Address,
    over: Option<Descriptor>,
) -> Result<Transport, Illness> {
    let stream = match over {
        Some(descriptor) => house.ring().take(descriptor),
        None => house.ring().connect(address).await.map_err(|_errno| Illness::Broken(Cause::ConnectFailed))?,
    };
    if let Some(version) = cluster.config().proxy_protocol {
        stream.write(|output| proxy_protocol::write_own(version, output.tail()));
    }
    let Some(tls) = &cluster.config().tls else { return Ok(stream.into()) };
    let transport = Transport::tls_client(stream, &endpoint.sessions(tls), &endpoint.tls_name())?;
    transport.handshake().await?;
    Ok(transport)
}

fn conn(transport: Transport, protocol: Protocol) -> Rc<Conn> {
    let settings = Settings::default();
    if protocol == Protocol::Http2 { Conn::multiplexed_client(transport, &settings) } else { Conn::client(transport, &settings) }
}

/// Awaits `future` while the connection is driven, where it carries many exchanges and nobody else does.
async fn driven(conn: &Rc<Conn>, future: impl Future<Output = Result<(), Illness>>) -> Result<(), Illness> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let mut over = None;
        while conn.is_multiplexed()
            && over.is_none()
            && let Poll::Ready(arrival) = conn.poll_arrival()
        {
            if let Arrival::Over(fault) = arrival {
                over = Some(fault.map_or(Illness::Broken(Cause::UpstreamReset), Illness::from));
            }
        }
        match (future.as_mut().poll(context), over) {
            (Poll::Pending, Some(illness)) => Poll::Ready(Err(illness)),
            (polled, _) => polled,
        }
    })
    .await
}

fn request(method: Method, host: &str, path: &[u8], cluster: &Cluster) -> Head {
    let line = RequestLine {
        method,
        scheme: if cluster.config().tls.is_some() { Scheme::Https } else { Scheme::Http },
        authority: Text::from(host),
        path: Text::from(path.to_vec()),
        protocol: Text::default(),
    };
    let mut fields = model::Fields::default();
    fields.append_name(model::Name::UserAgent, USER_AGENT);
    Head { start: Start::Request(line), fields, body: Body::None, end: true }
}

async fn is_good(exchange: &Exchange, good: &[RangeInclusive<u16>]) -> Result<(), Illness> {
    let status = answer(exchange).await?.status();
    if good.iter().any(|range| range.contains(&status)) { Ok(()) } else { Err(Illness::Status(status)) }
}

/// The head of the answer proper.
async fn answer(exchange: &Exchange) -> Result<Head, Illness> {
    loop {
        match exchange.next().await? {
            Part::Head(head) => return Ok(head),
            Part::Info(_) => {}
            Part::Data(_) | Part::Trailers(_) | Part::End => return Err(Illness::Broken(Cause::MalformedResponse)),
        }
    }
}

async fn is_serving(exchange: &Exchange) -> Result<(), Illness> {
    let head = answer(exchange).await?;
    if head.status() != 200 {
        return Err(Illness::Status(head.status()));
    }
    let mut status = grpc::status_in(&head.fields);
    let (mut message, mut ended) = (Vec::new(), head.end);
    while !ended && message.len() <= ANSWER_BYTES_MAX {
        match exchange.next().await? {
            Part::Data(data) => message.extend_from_slice(&data),
            Part::Trailers(fields) => status = grpc::status_in(&fields),
            Part::End => ended = true,
            Part::Info(_) | Part::Head(_) => return Err(Illness::Broken(Cause::MalformedResponse)),
        }
    }
    if status == Some(0) && message.starts_with(SERVING) { Ok(()) } else { Err(Illness::NotServing) }
}

/// A `HealthCheckRequest` in its envelope: five bytes, then field 1, the service's name, unless it is empty.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or(0));
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_what_protobuf_makes_of_it() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "x".repeat(300);
        assert_eq!(question(&long)[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }
}

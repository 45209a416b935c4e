//! The document: every record of the configuration, each field with its meaning and default.
//!
//! Fields that inherit are `Option`s here; [`crate::resolve`] fills them in before anything else looks.

mod health;
mod http2;
mod tls;
mod vips;

use core::net::SocketAddr;
use core::time::Duration;

use model::Address;
use route::{HostPattern, PathPattern};

use crate::containers::{Lazy, Located, Map};
use crate::record::record;
use crate::scalars::{
    Accept, AdminSocket, Alpn, Bind, CountLimit, HeaderName, HeaderValue, IncludePattern, Method, Number, RedirectVia, Size, SizeLimit,
    TimeLimit, Trusted, Workers,
};
use crate::snapshot::{LogField, LogFormat, LogTarget, Name, OnChange, Policy, Protocol, ProxyProtocol, State};
use crate::targets::To;

pub(crate) use health::HealthCheck;
pub(crate) use http2::Http2;
pub(crate) use tls::{Clients, ClusterTls, ListenerTls, Secret, Source, Tickets, TicketsChoice};
pub(crate) use vips::{Cookies, Dsr, GuardList, L4, L4Limits, SESSION_MAX, Vip};

/// Bytes of a head that may be asked for at most.
const HEAD_BYTES_MAX: u64 = 1 << 20;
const BACKLOG_MAX: u64 = 1 << 30;

const fn seconds(seconds: u64) -> TimeLimit {
    TimeLimit(Some(Duration::from_secs(seconds)))
}

record! {
    /// The whole configuration.
    extensible(true)
    struct Root {
        /// The version of this format: 1.
        version: Number<1, 1>,
        /// Further files, relative to this one; `*` is allowed in the file's name. Each name stands in one file only.
        include: Vec<Located<IncludePattern>> = Vec::new(),
        /// What holds where nothing else is said.
        defaults: Defaults = Defaults::default(),
        /// Certificates and their keys, by name.
        secrets: Map<Name, Secret> = Map::default(),
        /// Where connections come in, by name.
        listeners: Map<Name, Listener> = Map::default(),
        /// Where they go, by name.
        clusters: Map<Name, Lazy<Cluster>> = Map::default(),
        /// Addresses whose packets the kernel layer forwards, by name.
        vips: Map<Name, Vip> = Map::default(),
        /// The kernel layer of this machine.
        l4: Located<L4> = Located { at: crate::read::At::default(), value: L4::default() },
        /// The admin API.
        admin: Admin = Admin::default(),
        /// One line per request. Absent: none is written.
        access_log: Option<AccessLog> = None,
        /// The user to become once everything is bound.
        user: Option<String> = None,
        /// The group to become; the user's own when absent.
        group: Option<String> = None,
        /// Threads that carry traffic; `auto` is as many as affinity mask and CPU quota allow.
        workers: Workers = Workers(None),
    }
}

record! {
    /// An included file: secrets, listeners, clusters and VIPs only, the rest belongs in the main file.
    extensible(true)
    struct Included {
        /// The version of this format: 1.
        version: Option<Number<1, 1>> = None,
        /// Certificates and their keys, by name.
        secrets: Map<Name, Secret> = Map::default(),
        /// Where connections come in, by name.
        listeners: Map<Name, Listener> = Map::default(),
        /// Where they go, by name.
        clusters: Map<Name, Lazy<Cluster>> = Map::default(),
        /// Addresses whose packets the kernel layer forwards, by name.
        vips: Map<Name, Vip> = Map::default(),
    }
}

record! {
    /// What holds where nothing else is said.
    struct Defaults [default] {
        /// Time limits of every listener, route and cluster.
        timeouts: Timeouts = Timeouts::default(),
    }
}

record! {
    /// Time limits: the one table of their defaults.
    struct Timeouts [default] {
        /// To open a connection to an endpoint.
        connect: TimeLimit = seconds(5),
        /// From a request's first byte, or a connection's first moment, to the end of its head.
        request_head: TimeLimit = seconds(10),
        /// From the end of a request's head to the head of its response.
        request: TimeLimit = seconds(60),
        /// How long nothing may move on a connection, whether a request is under way or not.
        idle: TimeLimit = seconds(60),
        /// How long what is under way may go on after its listener was removed, or the process told to end.
        drain: TimeLimit = seconds(30),
    }
}

record! {
    /// Where connections come in.
    struct Listener {
        /// Addresses to listen on: "*:PORT" (IPv4 and IPv6, two sockets), IPV4:PORT, "[IPV6]:PORT", unix:PATH.
        bind: Located<Vec<Located<Bind>>>,
        /// TLS connections that go on unopened, by what their hello says; the first that matches wins. All others are this listener's own;
        /// where it has neither `http` nor `tcp` they are refused.
        passthrough: Vec<Located<Passthrough>> = Vec::new(),
        /// Speak TLS with clients.
        tls: Option<Located<ListenerTls>> = None,
        /// Speak HTTP: sites and their routes. Either this or `tcp`.
        http: Option<Http> = None,
        /// Carry bytes. Either this or `http`.
        tcp: Option<Located<Tcp>> = None,
        /// Whose X-Forwarded-* and x-request-id fields and PROXY headers are believed: blocks of addresses, and unix.
        trusted: Vec<Trusted> = Vec::new(),
        /// Connections from trusted sources begin with a PROXY protocol header, v1 or v2.
        proxy_protocol: Option<Located<Accept>> = None,
        /// Time limits; what is absent comes from `defaults`.
        timeouts: ListenerTimeouts = ListenerTimeouts::default(),
        /// Other limits.
        limits: ListenerLimits = ListenerLimits::default(),
        /// HTTP/2 with clients.
        http2: Http2 = Http2::default(),
        /// What a change of this listener does to its connections: keep, or drain(DURATION).
        on_change: OnChange = OnChange::Keep,
    }
}

record! {
    /// Time limits of a listener.
    struct ListenerTimeouts [default] {
        /// From a request's first byte, or a connection's first moment, to the end of its head.
        request_head: Option<TimeLimit> = None,
        /// From the end of a request's head to the head of its response, for routes that do not say.
        request: Option<TimeLimit> = None,
        /// How long nothing may move on a connection, whether a request is under way or not.
        idle: Option<TimeLimit> = None,
        /// How long what is under way may go on after the listener was removed, or the process told to end.
        drain: Option<TimeLimit> = None,
    }
}

record! {
    /// Limits of a listener.
    struct ListenerLimits [default] {
        /// Open connections, over all workers.
        connections: CountLimit = CountLimit(Some(65_536)),
        /// Bytes of a request or response head, first line included.
        header_bytes: Size<HEAD_BYTES_MAX> = Size(64 * 1024),
        /// Fields of a request or response head.
        headers: Number<1, 1_000> = Number(100),
        /// Bytes of a request's target.
        target_bytes: Size<HEAD_BYTES_MAX> = Size(8 * 1024),
        /// Bytes of a request body.
        body_bytes: SizeLimit = SizeLimit(None),
    }
}

record! {
    /// The HTTP side of a listener.
    struct Http {
        /// The sites; a host belongs to one of them.
        sites: Vec<Site>,
    }
}

record! {
    /// The TCP side of a listener.
    sugar(to)
    struct Tcp {
        /// The cluster that connections go to, or several with their weights.
        to: To,
    }
}

record! {
    /// TLS connections that go on unopened.
    struct Passthrough {
        /// Names that clients ask for, "*.shop.example.com" for all below a name, "*" for all, and for clients that ask for none.
        names: Located<Vec<Located<HostPattern>>>,
        /// Application protocols of which clients have to offer one; absent: whatever they offer.
        alpn: Vec<Alpn> = Vec::new(),
        /// The cluster that connections go to, or several with their weights.
        to: To,
    }
}

record! {
    /// Some hosts and what they serve.
    struct Site {
        /// Hosts, "*.shop.example.com" for all below a name, "*" for all that no other site has.
        hosts: Located<Vec<Located<HostPattern>>>,
        /// The routes; the first that matches wins, and no match is a 404.
        routes: Vec<Lazy<Route>>,
    }
}

record! {
    /// What happens to some of a site's requests: exactly one of `to` and `reply`.
    struct Route {
        /// Its name in logs and counters; listener, first host and index with slashes between when absent.
        name: Option<Located<Name>> = None,
        /// Which requests are meant; all of them when absent.
        matching["match"]: Match = Match::default(),
        /// The cluster they go to, or several with their weights.
        to: Option<To> = None,
        /// The answer they get.
        reply: Option<Located<Reply>> = None,
        /// CONNECT opens a tunnel to the cluster; absent: it is refused.
        connect: Option<Located<Connect>> = None,
        /// Time limits; what is absent comes from the listener.
        timeouts: RouteTimeouts = RouteTimeouts::default(),
        /// How often a request is tried.
        retry: Retry = Retry::default(),
        /// Edits of requests on their way up.
        request: Edits = Edits::default(),
        /// Edits of responses on their way down.
        response: Edits = Edits::default(),
    }
}

record! {
    /// Which requests are meant; all conditions have to hold.
    struct Match [default] {
        /// The path without its query: exact as in /a/b, or whole segments as in /api/* (/api and everything below).
        path: Option<PathPattern> = None,
        /// The methods; all when absent.
        methods: Option<Located<Vec<Method>>> = None,
    }
}

record! {
    /// Time limits of a route.
    struct RouteTimeouts [default] {
        /// From the end of a request's head to the head of its response.
        request: Option<TimeLimit> = None,
        /// How long nothing may move in a tunnel (CONNECT, WebSocket); absent: the listener's `idle`.
        tunnel_idle: Option<TimeLimit> = None,
        /// How long a tunnel may be open.
        tunnel: TimeLimit = TimeLimit(None),
    }
}

record! {
    /// Tunnels by CONNECT.
    struct Connect [default] {
        /// Ports that may be asked for; absent: any. (Wherever clients ask to go, the tunnel leads to the route's cluster.)
        ports: Vec<Number<1, 65_535>> = Vec::new(),
    }
}

record! {
    /// How often a request is tried.
    sugar(attempts) later("when")
    struct Retry [default] {
        /// Tries in all, the first included. Only what provably did no harm is tried again.
        attempts: Number<1, 10> = Number(2),
    }
}

record! {
    /// A fixed answer.
    sugar(status)
    struct Reply {
        /// Its status.
        status: Located<Number<200, 599>> = Located { at: crate::read::At::default(), value: Number(200) },
        /// Its body.
        body: Located<String> = Located { at: crate::read::At::default(), value: String::new() },
    }
}

record! {
    /// Edits of a message.
    struct Edits [default] {
        /// Edits of its header fields.
        headers: HeaderChanges = HeaderChanges::default(),
    }
}

record! {
    /// Edits of header fields, done in this order: remove, set, add.
    struct HeaderChanges [default] {
        /// Fields that replace all of the same name.
        set: Map<HeaderName, HeaderValue> = Map::default(),
        /// Fields that are added to what is there.
        add: Map<HeaderName, HeaderValue> = Map::default(),
        /// Fields that are taken away.
        remove: Vec<HeaderName> = Vec::new(),
    }
}

record! {
    /// Origins that answer the same requests.
    struct Cluster {
        /// The origins.
        endpoints: Located<Vec<Located<Endpoint>>>,
        /// How one of them is chosen.
        balance: Policy = Policy::RoundRobin,
        /// Time limits; what is absent comes from `defaults`.
        timeouts: ClusterTimeouts = ClusterTimeouts::default(),
        /// Other limits.
        limits: ClusterLimits = ClusterLimits::default(),
        /// The PROXY protocol header to begin connections with.
        proxy_protocol: Option<ProxyProtocol> = None,
        /// Speak TLS with its endpoints.
        tls: Option<Located<ClusterTls>> = None,
        /// What its endpoints speak: http1, http2 (without TLS: by prior knowledge), or auto: what they choose by ALPN. Absent: auto with TLS,
        /// http1 without.
        protocol: Option<Located<Protocol>> = None,
        /// HTTP/2 with its endpoints.
        http2: Http2 = Http2::default(),
        /// Let the kernel carry the bytes of TCP connections on both of whose sides there is no TLS; absent: userspace does.
        redirect: Option<Located<Redirect>> = None,
        /// How its endpoints are asked whether they are well; absent: they are believed to be.
        health: Located<Vec<Located<HealthCheck>>> = Located { at: crate::read::At::default(), value: Vec::new() },
    }
}

record! {
    /// Carrying bytes in the kernel.
    sugar(via)
    struct Redirect {
        /// sockmap: by the kernel's maps of sockets.
        via: RedirectVia,
        /// Bytes that may wait for one side's acknowledgement before userspace carries that direction: more than a network path holds. 64KiB at
        /// least.
        backlog: Located<Size<BACKLOG_MAX>> = Located { at: crate::read::At::default(), value: Size(4 << 20) },
    }
}

record! {
    /// One origin.
    sugar(address)
    struct Endpoint {
        /// IPV4:PORT, "[IPV6]:PORT" or unix:PATH; for VIPs the port may be left out.
        address: Address,
        /// Its share relative to the others'.
        weight: Number<1, 1_000> = Number(1),
        /// active, or drained: nothing new goes there, what began goes on.
        state: State = State::Active,
        /// Free words about it.
        labels: Map<Name, String> = Map::default(),
    }
}

record! {
    /// Time limits of a cluster.
    struct ClusterTimeouts [default] {
        /// To open a connection to an endpoint.
        connect: Option<TimeLimit> = None,
        /// How long an unused connection to an endpoint is kept.
        idle: Option<TimeLimit> = None,
    }
}

record! {
    /// Limits of a cluster, over all workers.
    struct ClusterLimits [default] {
        /// Open connections to one endpoint.
        connections: CountLimit = CountLimit(Some(16_384)),
        /// Requests that wait for a connection.
        pending: CountLimit = CountLimit(Some(1_024)),
    }
}

record! {
    /// The admin API.
    struct Admin [default] {
        /// The socket that everything may be asked on: unix:PATH.
        bind: Option<AdminSocket> = None,
        /// The read-only port.
        metrics: Option<Metrics> = None,
    }
}

record! {
    /// The read-only port of the admin API.
    sugar(bind)
    struct Metrics {
        /// Where it listens.
        bind: SocketAddr,
        /// Names accepted in the Host field besides the address itself and localhost.
        hosts: Vec<Located<HostPattern>> = Vec::new(),
    }
}

record! {
    /// One line per request.
    sugar(to)
    struct AccessLog {
        /// A file, or stdout.
        to: LogTarget,
        /// text or json.
        format: LogFormat = LogFormat::Text,
        /// What each line tells, in this order.
        fields: Located<Vec<LogField>> = Located { at: crate::read::At::default(), value: default_log_fields() },
    }
}

fn default_log_fields() -> Vec<LogField> {
    use LogField::{
        Client, Cluster, Duration, Endpoint, Host, Listener, Method, Path, Reason, RequestBytes, RequestId, ResponseBytes, Route, Status,
        Time,
    };
    [Time, Client, Listener, Method, Host, Path, Status, Reason, RequestBytes, ResponseBytes, Duration, Route, Cluster, Endpoint, RequestId]
        .into()
}

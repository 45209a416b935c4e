//! What concerns the process rather than the traffic: admin API, access log, user, workers.

use core::net::SocketAddr;
use std::path::PathBuf;

/// The admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The UNIX socket that everything is allowed on; `None` opens none.
    pub socket: Option<PathBuf>,
    /// The read-only TCP port; `None` opens none.
    pub metrics: Option<Metrics>,
}

/// The read-only TCP port of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Names accepted in the Host field besides the address itself and `localhost`; in lower case, without port.
    pub hosts: Box<[Box<str>]>,
}

/// Where and how requests are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where to.
    pub target: LogTarget,
    /// In which form.
    pub format: LogFormat,
    /// What of each request, in this order; each once.
    pub fields: Box<[LogField]>,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// A file, appended to.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Values apart by spaces, quoted where needed.
    Text,
    /// One JSON object a line.
    Json,
}

/// One thing a log line can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogField {
    /// Wall clock at the request's start, RFC 3339 with milliseconds.
    Time,
    /// From the first byte of the request to the last of the response, in microseconds.
    Duration,
    /// Address and port of the client, as far as it is believed.
    Client,
    /// Name of the listener.
    Listener,
    /// Name of the route.
    Route,
    /// Name of the cluster.
    Cluster,
    /// Address of the endpoint that answered.
    Endpoint,
    /// HTTP version, or `tcp`.
    Protocol,
    /// Request method.
    Method,
    /// Host of the request.
    Host,
    /// Path of the request, with its query.
    Path,
    /// Status of the response.
    Status,
    /// Why it ended, when it did not end well.
    Reason,
    /// How many attempts it took.
    Attempts,
    /// Body bytes from the client.
    RequestBytes,
    /// Body bytes to the client.
    ResponseBytes,
    /// The request's id.
    RequestId,
    /// The User-Agent field.
    UserAgent,
    /// The Referer field.
    Referer,
}

/// What is decided once, when the process starts; a change takes a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Threads that carry traffic; `None` is as many as affinity mask and CPU quota allow.
    pub workers: Option<u32>,
    /// The user to become once everything is bound.
    pub user: Option<Box<str>>,
    /// The group to become; the user's own when not given.
    pub group: Option<Box<str>>,
}

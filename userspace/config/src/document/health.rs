//! Health checks in the document: how a cluster's endpoints are asked whether they are well.

use core::time::Duration;

use crate::containers::Located;
use crate::record::record;
use crate::scalars::{HealthHost, HealthPath, Number, Period, StatusRange};

/// Time between two looks, and what one may take: HAProxy's.
const INTERVAL: Period = Period(Duration::from_secs(2));

record! {
    /// How endpoints are asked whether they are well: exactly one of `http`, `tcp` and `grpc`. One is up while all checks of its cluster say so.
    struct HealthCheck {
        /// By a request.
        http: Option<Located<HttpCheck>> = None,
        /// By a connection.
        tcp: Option<Located<TcpCheck>> = None,
        /// By a call of grpc.health.v1.Health/Check.
        grpc: Option<Located<GrpcCheck>> = None,
        /// From the end of one look to the beginning of the next.
        interval: Period = INTERVAL,
        /// What a look may take, connecting included.
        timeout: Period = INTERVAL,
        /// Good looks in a row after which one that was down is up.
        rise: Number<1, 100> = Number(2),
        /// Bad looks in a row after which one that was up is down. The first look of all decides by itself.
        fall: Number<1, 100> = Number(3),
        /// Percent of the interval by which it varies, at random, so that looks do not come all at once.
        jitter: Number<0, 50> = Number(10),
        /// The port that is asked; the endpoint's own when absent (for VIPs whose endpoints have none, the VIP's first).
        port: Option<Number<1, 65_535>> = None,
    }
}

record! {
    /// A request to each endpoint, as its cluster's are: the same protocol, the same TLS.
    sugar(path)
    struct HttpCheck [default] {
        /// What is asked for.
        path: HealthPath = HealthPath("/".into()),
        /// Of which host; the endpoint's address when absent.
        host: Option<HealthHost> = None,
        /// Statuses that are good, as in 200 or 200-399.
        status: Located<Vec<StatusRange>> =
            Located { at: crate::read::At::default(), value: vec![StatusRange { first: 200, last: 399 }] },
    }
}

record! {
    /// A connection to each endpoint, closed as soon as it is open (with TLS: agreed on).
    struct TcpCheck [default] {
    }
}

record! {
    /// A call of each endpoint, over HTTP/2: it is well when it says SERVING.
    sugar(service)
    struct GrpcCheck [default] {
        /// The service that is asked about; absent: the server as a whole.
        service: String = String::new(),
    }
}

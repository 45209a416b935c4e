//! Health checks of clusters.

use super::Compiler;
use crate::containers::Located;
use crate::document;
use crate::snapshot::{HealthCheck, HealthKind, Protocol};

/// Checks that a cluster may have.
const CHECKS_MAX: usize = 8;

impl Compiler<'_> {
    pub(super) fn health(&mut self, cluster: &document::Cluster, protocol: Protocol) -> Vec<HealthCheck> {
        let checks = &cluster.health;
        if checks.len() > CHECKS_MAX {
            self.reader.reject(checks.at, format_args!("a cluster may have {CHECKS_MAX} checks at most"));
        }
        let mut compiled = Vec::new();
        for check in &**checks {
            let Some(kind) = self.health_kind(check, protocol) else { continue };
            compiled.push(HealthCheck {
                kind,
                interval: check.interval.0,
                timeout: check.timeout.0,
                rise: check.rise.0,
                fall: check.fall.0,
                jitter_percent: check.jitter.0,
                port: check.port.and_then(|port| u16::try_from(port.0).ok()),
            });
        }
        compiled
    }

    fn health_kind(&mut self, check: &Located<document::HealthCheck>, protocol: Protocol) -> Option<HealthKind> {
        match (&check.http, &check.tcp, &check.grpc) {
            (Some(http), None, None) => {
                if self.reader.is_empty(http.status.at) && http.status.is_empty() {
                    self.reader.reject(http.status.at, "at least one status has to be good");
                }
                Some(HealthKind::Http {
                    path: http.path.0.clone(),
                    host: http.host.as_ref().map(|host| host.0.clone()),
                    status: http.status.iter().map(|range| range.first..=range.last).collect(),
                })
            }
            (None, Some(_), None) => Some(HealthKind::Tcp),
            (None, None, Some(grpc)) => {
                if protocol == Protocol::Http1 {
                    self.reader.reject(grpc.at, "gRPC is spoken over HTTP/2: the cluster needs protocol: http2, or tls");
                }
                Some(HealthKind::Grpc { service: grpc.service.as_str().into() })
            }
            _ => {
                self.reader.reject(check.at, "exactly one of http, tcp and grpc is expected here");
                None
            }
        }
    }
}

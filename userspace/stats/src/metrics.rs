//! All metrics, in one table. To add one, add its line; everything else (help text, type, labels, caps) follows.

use crate::{About, Counter, Gauge, Histogram, Kind, Label, Metric};

/// Declares the labels: name and cap.
macro_rules! labels {
    ($($ident:ident = $name:literal $cap:literal),* $(,)?) => {
        $(static $ident: Label = Label { name: $name, values_max: $cap };)*
    };
}

/// Declares the metrics and [`ALL`].
macro_rules! metrics {
    ($($ident:ident $kind:ident $name:literal [$($label:ident),*] $help:literal),* $(,)?) => {
        $(
            #[doc = $help]
            pub static $ident: Metric<$kind> = Metric::new(About {
                name: concat!("sluice_", $name),
                help: $help,
                kind: Kind::$kind,
                labels: &[$(&$label),*],
            });
        )*

        /// Every metric there is.
        pub static ALL: &[&About] = &[$(&$ident.about),*];
    };
}

labels! {
    LISTENER = "listener" 10_000,
    ROUTE = "route" 10_000,
    CLUSTER = "cluster" 10_000,
    ENDPOINT = "endpoint" 50_000,
    CLASS = "class" 8,
    REASON = "reason" 64,
    LIMIT = "limit" 32,
    KIND = "kind" 4,
    VIP = "vip" 10_000,
    FAMILY = "family" 4,
    METHOD = "method" 1_000,
    STATUS = "status" 20,
    RESULT = "result" 32,
    WORKER = "worker" 1_024,
    VERSION = "version" 8,
    SECRET = "secret" 20_000,
}

metrics! {
    BUILD_INFO Gauge "build_info" [VERSION] "Always 1; its label tells the version.",
    START_TIME Gauge "start_time_seconds" [] "When the process started, in seconds since 1970.",
    READY Gauge "ready" [] "1 while the listeners accept, 0 before and while draining.",

    DOWNSTREAM_CONNECTIONS Counter "downstream_connections_total" [LISTENER] "Connections accepted.",
    DOWNSTREAM_ACTIVE Gauge "downstream_connections_active" [LISTENER] "Connections open now.",
    DOWNSTREAM_REFUSED Counter "downstream_connections_refused_total" [LISTENER, REASON] "Connections closed before they were served.",
    DOWNSTREAM_PASSED Counter "downstream_passed_through_total" [LISTENER] "TLS connections sent on unopened, by what their hello said.",
    CERTIFICATE_EXPIRY Gauge "certificate_expiry_time_seconds" [SECRET] "When a certificate is good no longer, in seconds since 1970; 0 once it is not configured.",
    TLS_HANDSHAKES Counter "tls_handshakes_total" [LISTENER, KIND] "TLS handshakes completed with clients: full, or resumed from an earlier session.",
    DOWNSTREAM_LIMITS Counter "downstream_limits_total" [LISTENER, LIMIT] "Times that a connection reached a limit of its protocol, by the limit's name.",

    REQUESTS Counter "requests_total" [LISTENER, ROUTE] "Requests whose head was read.",
    REQUESTS_ACTIVE Gauge "requests_active" [LISTENER] "Requests being served now.",
    RESPONSES Counter "responses_total" [ROUTE, CLASS] "Responses by class of status: 1xx to 5xx, or none when the client got nothing.",
    GRPC_CALLS Counter "grpc_calls_total" [ROUTE, METHOD, STATUS] "gRPC calls by method (the path) and the status the client was told.",
    REQUEST_DURATION Histogram "request_duration_seconds" [ROUTE] "From a request's first byte to the end of its response.",

    UPSTREAM_REQUESTS Counter "upstream_requests_total" [CLUSTER, ENDPOINT] "Attempts sent to an endpoint.",
    UPSTREAM_RESPONSES Counter "upstream_responses_total" [CLUSTER, ENDPOINT, CLASS] "Responses of an endpoint by class of status, or none when the attempt failed.",
    UPSTREAM_DURATION Histogram "upstream_duration_seconds" [CLUSTER, ENDPOINT] "From an attempt's start to the head of its response.",
    UPSTREAM_CONNECTS Counter "upstream_connects_total" [CLUSTER] "Connections opened to endpoints.",
    UPSTREAM_CONNECT_FAILURES Counter "upstream_connect_failures_total" [CLUSTER] "Connections that could not be opened.",
    UPSTREAM_CONNECT_DURATION Histogram "upstream_connect_duration_seconds" [CLUSTER] "How long opening a connection took.",
    UPSTREAM_REUSED Counter "upstream_reused_total" [CLUSTER] "Attempts on a connection that had served before.",
    UPSTREAM_ACTIVE Gauge "upstream_connections_active" [CLUSTER] "Connections to endpoints open now.",
    UPSTREAM_LENT Counter "upstream_lent_total" [CLUSTER] "Idle connections put where other workers can take them.",
    UPSTREAM_TAKEN Counter "upstream_taken_total" [CLUSTER] "Idle connections taken over from another worker.",
    UPSTREAM_LENDING_FULL Counter "upstream_lending_full_total" [CLUSTER] "Idle connections closed because the place where other workers can take them was full.",
    UPSTREAM_IDLE_FULL Counter "upstream_idle_full_total" [CLUSTER] "Connections closed after use because the worker kept as many idle ones as it may.",
    UPSTREAM_OVERFLOW Counter "upstream_overflow_total" [CLUSTER] "Attempts refused because a limit of the cluster was reached.",
    UPSTREAM_REDIRECTS Counter "upstream_redirects_total" [CLUSTER, RESULT] "Connections that the kernel was to carry: joined, refused by it, busy, over, encrypted, without the means; besides, again: further tries to join; full: directions that came back because their backlog was full.",
    UPSTREAM_REDIRECTED_BYTES Counter "upstream_redirected_bytes_total" [CLUSTER] "Bytes carried in the kernel, counted when a direction ends.",
    UPSTREAM_UP Gauge "upstream_up" [CLUSTER, ENDPOINT] "1 while the endpoint's health checks say that it is up, 0 while they do not.",
    HEALTH_CHECKS Counter "health_checks_total" [CLUSTER, ENDPOINT, RESULT] "Looks at an endpoint's health by result: good, or why not.",
    HEALTH_CHANGES Counter "health_changes_total" [CLUSTER, ENDPOINT] "Times that an endpoint came up or went down.",
    RETRIES Counter "retries_total" [CLUSTER] "Attempts after the first.",

    FAULTS Counter "faults_total" [REASON] "Exchanges and connections that ended other than well.",

    WORKER_TURNS Counter "worker_turns_total" [WORKER] "Turns of the worker's loop.",
    WORKER_COMPLETIONS Counter "worker_completions_total" [WORKER] "Completions taken from the ring.",
    WORKER_TASKS Gauge "worker_tasks" [WORKER] "Tasks alive now.",
    WORKER_PANICS Counter "worker_panics_total" [WORKER] "Tasks that ended by a panic, each with its connection.",
    WORKER_RECV_PARKED Counter "worker_recv_parked_total" [WORKER] "Receives that had to wait because no buffer was free.",
    WORKER_ACCEPT_PAUSED Counter "worker_accept_paused_total" [WORKER] "Times accepting stopped because no file descriptor was free.",
    WORKER_ACCEPT_HELD Counter "worker_accept_held_total" [WORKER] "Times that accepting stopped because too many were accepted and not yet taken.",
    WORKER_LANES_FULL Counter "worker_lanes_full_total" [WORKER] "Times a body was not moved inside the kernel because too many already waited there.",
    WORKER_KERNEL_TLS Counter "worker_kernel_tls_connections_total" [WORKER] "TLS connections whose records the kernel began to encrypt.",
    WORKER_KERNEL_TLS_BYTES Counter "worker_kernel_tls_bytes_total" [WORKER] "Bytes that the kernel encrypted and that never came to the process.",
    WORKER_KERNEL_TLS_REFUSED Counter "worker_kernel_tls_refused_total" [WORKER] "TLS connections whose records the kernel was to encrypt and would not; the process did.",
    WORKER_KERNEL_TLS_ENDED Counter "worker_kernel_tls_ended_total" [WORKER] "TLS connections that ended because they needed another key than the one the kernel had.",
    WORKER_SEND_SHORT Counter "worker_send_short_total" [WORKER] "Sends the kernel took only in part.",
    WORKER_HEAP_MOVED Counter "worker_heap_moved_bytes_total" [WORKER] "Bytes copied from ring buffers to the heap because they had to be kept.",
    WORKER_MAIL Counter "worker_mail_total" [WORKER] "Messages received from other threads.",
    WORKER_MAIL_REFUSED Counter "worker_mail_refused_total" [WORKER] "Messages refused because too many were unread.",

    L4_SERVICE_PACKETS Counter "l4_service_packets_total" [VIP, FAMILY] "Packets to a VIP that the kernel layer sent on, or let up to our own listener, since its maps were made.",
    L4_SERVICE_BYTES Counter "l4_service_bytes_total" [VIP, FAMILY] "The same in bytes of IP, without envelopes.",
    L4_BACKEND_PACKETS Counter "l4_backend_packets_total" [CLUSTER, ENDPOINT] "Packets that the kernel layer sent to an endpoint.",
    L4_BACKEND_BYTES Counter "l4_backend_bytes_total" [CLUSTER, ENDPOINT] "The same in bytes of IP, without envelopes.",
    L4_BACKEND_UP Gauge "l4_backend_up" [CLUSTER, ENDPOINT] "1 while all that the kernel layer's probes ask of an endpoint is answered, or nothing is asked, else 0.",
    L4_DROPPED Counter "l4_dropped_total" [REASON] "Packets that the kernel layer dropped, by why.",
    L4_NOTED Counter "l4_noted_total" [REASON] "Packets with which something else happened in the kernel layer than that they were sent on, by what.",
    L4_STEERED Counter "l4_steered_total" [REASON] "Packets that open connections, on their way to a listener and a worker of ours, by what decided; with SYN cookies their acknowledgements too.",
    L4_STATES_AGE Gauge "l4_states_age_seconds" [] "How long ago the states of endpoints in the kernel layer were last found out; they stay in force while no process probes.",
    L4_PROBES_LATE Counter "l4_probes_late_total" [] "Times that probes had to wait because too many were under way.",
    L4_PINS Gauge "l4_pins" [] "Flows that are kept because they began in a slot that had changed.",
    L4_NAT_FLOWS Gauge "l4_nat_flows" [] "Flows that are translated through a pool.",
    L4_SLOTS_AWAY Gauge "l4_slots_away" [] "Slots that a change took from their owner and that have not settled yet.",

    CONFIG_APPLIED Counter "config_applied_total" [] "Configurations put in force.",
    CONFIG_REJECTED Counter "config_rejected_total" [] "Configurations refused; the one in force stayed.",
    CONFIG_GENERATION Gauge "config_generation" [] "Number of the configuration in force.",
    CONFIG_APPLY_DURATION Histogram "config_apply_duration_seconds" [] "From noticing a changed configuration to its being in force on all workers.",

    LOG_WRITTEN Counter "log_written_total" [] "Access log lines written.",
    LOG_DROPPED Counter "log_dropped_total" [WORKER] "Access log lines dropped because the worker's queue was full.",
    LOG_FAILURES Counter "log_write_failures_total" [REASON] "Writes or opens of the access log that failed; full writes are tried again.",

    DRAIN_STARTED Counter "drain_started_total" [] "Times draining was asked for.",
    DRAIN_CLOSED Counter "drain_closed_total" [LISTENER] "Connections that outlived the drain and were closed.",

    ADMIN_REQUESTS Counter "admin_requests_total" [CLASS] "Requests of the admin API by class of status.",
    ADMIN_REFUSED Counter "admin_refused_total" [REASON] "Connections and requests the admin API refused.",
    WATCHDOG_MISSED Counter "watchdog_missed_total" [WORKER] "Watchdog periods in which the worker's loop did not turn.",
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_follow_their_kind() {
        let mut seen = BTreeSet::new();
        for about in ALL {
            assert!(seen.insert(about.name), "{} stands twice", about.name);
            assert!(about.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{}", about.name);
            assert!(about.help.ends_with('.'), "{}", about.name);
            match about.kind {
                Kind::Counter => assert!(about.name.ends_with("_total"), "{}", about.name),
                Kind::Gauge => assert!(!about.name.ends_with("_total"), "{}", about.name),
                Kind::Histogram => assert!(about.name.ends_with("_seconds"), "{}", about.name),
            }
        }
    }
}

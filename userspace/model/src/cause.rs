//! Every way an exchange or connection can end other than well, in one table: status, reason code (which is the counter's label too) and
//! the access log's flag. Adding a cause without filling the table does not compile.

/// Declares [`Cause`] and its table.
macro_rules! causes {
    ($($variant:ident $status:literal $reason:literal $flag:literal $text:literal),* $(,)?) => {
        /// Why something ended other than well.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause { $(#[doc = $text] $variant),* }

        impl Cause {
            /// All of them, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The status of the local reply; 0 when there is nobody to reply to.
            pub fn status(self) -> u16 { match self { $(Self::$variant => $status),* } }

            /// The stable code: log field, counter label (`sluice_faults_total{reason=...}`), `x-sluice-reason` of local replies.
            pub fn reason(self) -> &'static str { match self { $(Self::$variant => $reason),* } }

            /// The access log's flag, Envoy's where it has one.
            pub fn flag(self) -> &'static str { match self { $(Self::$variant => $flag),* } }

            /// What a person is told.
            pub fn text(self) -> &'static str { match self { $(Self::$variant => $text),* } }
        }
    };
}

causes! {
    MalformedHead 400 "malformed_head" "DPE" "The request's head is malformed.",
    BadFraming 400 "bad_framing" "DPE" "The request's body length is ambiguous or malformed.",
    BadChunk 400 "bad_chunk" "DPE" "The request's chunked body is malformed.",
    BadHost 400 "bad_host" "DPE" "The request's Host is missing, repeated or malformed.",
    BadTarget 400 "bad_target" "DPE" "The request's target is malformed.",
    NoRoute 404 "no_route" "NR" "No route matches the request.",
    RequestHeadTimeout 408 "request_head_timeout" "DT" "The request's head did not arrive in time.",
    RequestBodyTimeout 408 "request_body_timeout" "DT" "The request's body stopped arriving.",
    BodyTooLarge 413 "body_too_large" "DPE" "The request's body is larger than allowed.",
    TargetTooLong 414 "target_too_long" "DPE" "The request's target is longer than allowed.",
    ExpectationFailed 417 "expectation_failed" "DPE" "The request expects what is not supported.",
    HeadTooLarge 431 "head_too_large" "DPE" "The request's header fields are larger than allowed.",
    Internal 500 "internal" "IE" "The request could not be handled.",
    NotImplemented 501 "not_implemented" "DPE" "The request asks for what is not supported.",
    VersionNotSupported 505 "version_not_supported" "DPE" "The request's HTTP version is not supported.",
    MalformedResponse 502 "malformed_response" "UPE" "The origin's response is malformed.",
    UpstreamReset 502 "upstream_reset" "UC" "The origin closed the connection before its response was complete.",
    NoCluster 503 "no_cluster" "NC" "The route's cluster does not exist.",
    NoEndpoint 503 "no_endpoint" "UH" "The cluster has no endpoint that can be used.",
    ConnectFailed 503 "connect_failed" "UF" "The origin could not be connected to.",
    ConnectTimeout 503 "connect_timeout" "UF" "The origin did not accept the connection in time.",
    StreamRefused 503 "stream_refused" "UR" "The origin took no more streams on its connection.",
    Overflow 503 "overflow" "UO" "A limit of the cluster is reached.",
    Draining 503 "draining" "DR" "The proxy is shutting down.",
    ResponseTimeout 504 "response_timeout" "UT" "The origin did not answer in time.",
    IdleTimeout 504 "idle_timeout" "SI" "Nothing moved for too long.",
    PlainHttp 400 "plain_http" "DPE" "The request came in the clear to a port that speaks TLS.",
    UpstreamTlsVerification 503 "upstream_tls_verification" "UF" "The origin could not prove who it is.",
    UpstreamTlsHandshake 503 "upstream_tls_handshake" "UF" "No TLS could be agreed on with the origin.",
    UpstreamTlsProtocol 502 "upstream_tls_protocol" "UPE" "The origin broke the rules of TLS.",
    DownstreamReset 0 "downstream_reset" "DC" "The client closed the connection before the response was complete.",
    ConnectionLimit 0 "connection_limit" "CL" "The listener's connection limit is reached.",
    KeepAliveTimeout 0 "keep_alive_timeout" "DT" "The idle connection was closed.",
    ProxyProtocol 0 "proxy_protocol" "DPE" "The PROXY protocol header is missing or malformed.",
    Http2Protocol 0 "http2_protocol" "DPE" "The peer broke the rules of HTTP/2.",
    Http2Flood 0 "http2_flood" "DPE" "The peer sent too many frames of no use.",
    NotTls 0 "not_tls" "DPE" "The peer does not speak TLS.",
    TlsHelloTooLarge 0 "tls_hello_too_large" "DPE" "The client's TLS hello is larger than allowed.",
    TlsHandshake 0 "tls_handshake" "DPE" "The TLS handshake failed.",
    TlsUnknownName 0 "tls_unknown_name" "NR" "Nobody here has the name or the protocol that the TLS hello asks for.",
    TlsNothingShared 0 "tls_nothing_shared" "DPE" "Client and server share no TLS version, cipher suite, group or application protocol.",
    TlsCertificateRejected 0 "tls_certificate_rejected" "DPE" "The client did not trust the certificate.",
    TlsClientCertificateMissing 0 "tls_client_certificate_missing" "DPE" "The client showed no certificate.",
    TlsClientCertificateRefused 0 "tls_client_certificate_refused" "DPE" "The client's certificate is not accepted.",
    TlsProtocol 0 "tls_protocol" "DPE" "The client broke the rules of TLS.",
    TlsKeyUpdate 0 "tls_key_update" "IE" "The client asked for a change of keys that the kernel cannot make.",
    TlsTruncated 0 "tls_truncated" "DC" "The connection ended without TLS having ended.",
    TunnelTimeout 0 "tunnel_timeout" "DT" "The tunnel was open for as long as it may be.",
    DrainTimeout 0 "drain_timeout" "DR" "The connection outlived the drain.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_unique_and_statuses_are_statuses() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            assert!(matches!(cause.status(), 0 | 400..=599), "{cause:?}");
            assert!(Cause::ALL[..at].iter().all(|earlier| earlier.reason() != cause.reason()), "{cause:?}");
        }
    }
}

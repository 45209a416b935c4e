//! The room of TLS: who comes in the clear to a listener that speaks it goes no further than here.

use core::time::Duration;
use exchange::Transport;
use io::{Stream, Timer};
use model::{Cause, Fault};
use tls::hello::{Peek, peek};

use crate::{House, Listener, scope::LINGER_BYTES_MAX};

/// How long a handshake may take when the listener sets no limit.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that failed is listened to, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);

/// Told to those who speak HTTP where TLS is spoken.
const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nx-sluice-reason: plain_http\r\n\
    content-length: 67\r\nconnection: close\r\n\r\nThe request came in the clear to a port that speaks TLS. Use https.\n";

/// Completes the handshake of an accepted connection; `None` when there is nobody to serve.
pub(crate) async fn accept(
    house: &House,
    (listener, timer): (&Listener, &Timer),
    stream: Stream,
    tls: &config::ListenerTls,
) -> Option<Transport> {
    let until = house.ring().now() + listener.config().timeouts.request_head.unwrap_or(HANDSHAKE_TIMEOUT);
    // A connection on which nothing has come costs no session.
    match house.within((listener, timer), until, stream.receive()).await {
        Some(Ok(chunk)) if !chunk.is_empty() => stream.put_back(chunk),
        // It came and left, as health checks do.
        Some(Ok(_) | Err(_)) => return None,
        None => {
            house.count_fault(Cause::TlsHandshake);
            return None;
        }
    }
    house.handshake_turn().await;
    let transport = Transport::tls_server(stream, &tls.server);
    let fault = match house.within((listener, timer), until, transport.handshake()).await {
        Some(Ok(())) => {
            let resumed = transport.with_outcome(|outcome| outcome.resumed).unwrap_or_default();
            listener.count_handshake(resumed);
            return Some(transport);
        }
        Some(Err(fault)) => fault,
        None => Fault::client(Cause::TlsHandshake),
    };
    house.count_fault(fault.cause);
    if fault.cause == Cause::PlainHttp {
        transport.write_plain(IN_THE_CLEAR);
    }
    finish(house, (listener, timer), transport).await;
    None
}

/// Ends a connection that belongs to nobody, whose first bytes are there, and says why.
pub(crate) async fn refuse(house: &House, (listener, timer): (&Listener, &Timer), stream: Stream) {
    let first = stream.receive().await.unwrap_or_default();
    if first.is_empty() {
        // It came and left, as health checks do.
        return;
    }
    let alert = |description| [21, 3, 3, 0, 2, 2, description];
    // RFC 8446 section 6.2: unrecognized_name, unexpected_message, decode_error.
    let (cause, told) = match peek(&first) {
        Peek::Hello(_) => (Cause::TlsUnknownName, alert(112)),
        Peek::NotTls { http: true } => (Cause::PlainHttp, [0; 7]),
        Peek::NotTls { http: false } => (Cause::NotTls, alert(10)),
        Peek::TooLarge => (Cause::TlsHelloTooLarge, alert(50)),
        Peek::More | Peek::Malformed => (Cause::TlsProtocol, alert(50)),
    };
    house.count_fault(cause);
    let transport = Transport::from(stream);
    transport.write_plain(if cause == Cause::PlainHttp { IN_THE_CLEAR } else { &told });
    finish(house, (listener, timer), transport).await;
}

/// Ends a connection so that the client can read why.
async fn finish(house: &House, (listener, timer): (&Listener, &Timer), transport: Transport) {
    transport.finish();
    let until = house.ring().now() + LINGER;
    let _closed = house.within((listener, timer), until, transport.discard(LINGER_BYTES_MAX)).await;
}

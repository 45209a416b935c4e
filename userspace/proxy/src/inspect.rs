//! What a connection says before it is served: who it comes from (the socket's peer, or whom a trusted peer speaks for in a PROXY protocol header),
//! and which server its TLS hello asks for. The bytes that were looked at stay in the stream.

use buf::Chunk;
use core::time::Duration;
use io::{Stream, Timer};
use model::{Address, Cause, ConnectionRecord};
use std::rc::Rc;
use tls::hello::{Hello, Peek};

use crate::{House, Listener, proxy_protocol};

/// How long a PROXY protocol header may take when the listener sets no limit.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The record of a connection that needs no byte to be known: nearly all.
pub(crate) fn quick(house: &House, listener: &Listener, stream: &Stream) -> Option<Rc<ConnectionRecord>> {
    let config = listener.config();
    let peer = stream.peer().unwrap_or_else(|_gone| Address::Unix("".into()));
    if config.accept_proxy_protocol && is_trusted(&config, &peer) {
        return None;
    }
    Some(record(house, listener, peer.clone(), peer))
}

/// The record of a connection whose trusted peer must first say whom it speaks for.
pub(crate) async fn slow(house: &House, listener: &Listener, stream: &Stream, timer: &Timer) -> Result<Rc<ConnectionRecord>, Cause> {
    let config = listener.config();
    let peer = stream.peer().map_err(|_gone| Cause::DownstreamReset)?;
    let until = house.ring().now() + config.timeouts.request_head.unwrap_or(HEADER_TIMEOUT);
    let header = timer.within(until, read_header(stream)).await.ok_or(Cause::ProxyProtocol)?;
    let client = header?.unwrap_or_else(|| peer.clone());
    Ok(record(house, listener, client, peer))
}

/// Gathers the header; the bytes after it stay in the stream. `None`: the peer speaks for itself (LOCAL, UNKNOWN).
async fn read_header(stream: &Stream) -> Result<Option<Address>, Cause> {
    let mut gathered = Vec::new();
    loop {
        let chunk = stream.receive().await.map_err(|_broken| Cause::DownstreamReset)?;
        if chunk.is_empty() {
            return Err(Cause::ProxyProtocol);
        }
        let before = gathered.len();
        gathered.extend_from_slice(&chunk);
        match proxy_protocol::parse(&gathered) {
            proxy_protocol::Parsed::Partial => {}
            proxy_protocol::Parsed::Malformed => return Err(Cause::ProxyProtocol),
            proxy_protocol::Parsed::Whole { length, source } => {
                let mut rest = chunk;
                rest.advance(length - before);
                stream.put_back(rest);
                return Ok(source.map(Address::Tcp));
            }
        }
    }
}

/// Where a connection goes unopened, by its TLS hello. `None`: it is the listener's own, and whatever is wrong with its bytes is told there.
pub(crate) async fn passthrough(
    house: &House,
    (listener, timer): (&Listener, &Timer),
    stream: &Stream,
    passthrough: &config::Passthrough,
) -> Result<Option<config::Targets>, Cause> {
    let until = house.ring().now() + listener.config().timeouts.request_head.unwrap_or(HEADER_TIMEOUT);
    let hello = house.within((listener, timer), until, hello(stream)).await.ok_or(Cause::TlsHandshake)?;
    Ok(hello.and_then(|hello| passthrough.find(hello.server_name.as_deref(), &hello.alpn).cloned()))
}

/// The hello that a connection begins with, if it begins with one.
async fn hello(stream: &Stream) -> Option<Hello> {
    let mut gathered = Chunk::default();
    loop {
        let chunk = stream.receive().await.ok()?;
        let ended = chunk.is_empty();
        gathered = if gathered.is_empty() { chunk } else { Chunk::from([&gathered[..], &chunk[..]].concat()) };
        // (The limit on a hello's bytes and records is the reader's.)
        let peek = tls::hello::peek(&gathered);
        if !matches!(peek, Peek::More) || ended {
            stream.put_back(gathered);
            return if let Peek::Hello(hello) = peek { Some(hello) } else { None };
        }
        // A receive buffer is never kept.
        gathered.move_to_heap();
    }
}

fn is_trusted(config: &config::Listener, peer: &Address) -> bool {
    match peer {
        Address::Tcp(address) => config.trusted.holds(address.ip()),
        Address::Unix(_) => config.trusted.unix,
    }
}

fn record(house: &House, listener: &Listener, client: Address, peer: Address) -> Rc<ConnectionRecord> {
    let trusted = is_trusted(&listener.config(), &peer);
    let (id, accepted) = (house.connection_id(), house.ring().now());
    Rc::new(ConnectionRecord { id, listener: Rc::clone(listener.name()), client, peer, trusted, accepted })
}

//! Who a connection comes from: the socket's peer, or whom a trusted peer speaks for in a PROXY protocol header.

use core::time::Duration;
use io::{Stream, Timer};
use model::{Address, Cause, ConnectionRecord};
use std::rc::Rc;

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

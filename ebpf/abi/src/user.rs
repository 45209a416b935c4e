//! What lets userspace put these types into maps and take them out.
#![expect(unsafe_code, reason = "aya's mark for types that are plain bytes")]

use crate::{
    Address, Away, AwayKey, Backend, Bind, Connection, Counters, DecapSettings, Draw, FlowKey, Fragment, FragmentKey, HostsOf24, NatFlow,
    Origin, OriginKey, Pin, PoolAddress, PoolKey, PortKey, Ports, QuicKey, Redirection, Service, Session, Settings, SourceRate,
};

macro_rules! plain_bytes {
    ($($name:ident)*) => {
        // SAFETY: repr(C) integers and arrays of them without hidden padding (sizes are asserted), so any bytes are a value.
        $(unsafe impl aya::Pod for $name {})*
    };
}

plain_bytes! {
    Address Away AwayKey Backend Bind Connection Counters DecapSettings Draw FlowKey Fragment FragmentKey HostsOf24 NatFlow Origin OriginKey Pin PoolAddress
    PoolKey PortKey Ports QuicKey Redirection Service Session Settings SourceRate
}

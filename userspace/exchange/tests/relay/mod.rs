//! What both tests of bodies that the kernel seals are about: a server that keeps its keys, who believes it, and a body.

use std::sync::Arc;
use tls::{Authorities, Certificate, Client, ClientSettings, Server, ServerSettings, Verification, Version};

/// For one version, and for these suites only, if there are any.
pub(crate) fn settings(version: Version, suites: &[&str]) -> (Arc<Server>, Arc<Client>) {
    let (ca, chain, key) = (
        include_bytes!("../../../../tests/sim/data/ca.pem"),
        include_bytes!("../../../../tests/sim/data/relay.pem"),
        include_bytes!("../../../../tests/sim/data/relay.key"),
    );
    let mut server = ServerSettings::new(vec![Arc::new(Certificate::from_pem(chain, key, None).unwrap())]);
    server.keeps_keys = true;
    (server.protocol.version_min, server.protocol.version_max) = (version, version);
    server.protocol.suites = suites.iter().map(|suite| (*suite).to_owned()).collect();
    let client = ClientSettings::new(Verification::Name(Arc::new(Authorities::from_pem(ca).unwrap())));
    (Arc::new(Server::compile(&server).unwrap()), Arc::new(Client::compile(&client).unwrap()))
}

/// Bytes that say where they stand.
pub(crate) fn body(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

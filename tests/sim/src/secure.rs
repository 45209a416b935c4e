//! TLS as the test's own hosts speak it: the product's, whose own tests hold it against others'. One certificate serves everybody.

use core::time::Duration;
use std::sync::Arc;

use exchange::Transport;
use tls::{Authorities, Certificate, Client, ClientSettings, Server, ServerSettings, Verification};

/// After how long a handshake has failed.
const PATIENCE: Duration = Duration::from_secs(20_000);

/// The name that the certificate is for.
pub const NAME: &str = "relay.test";

/// What an HTTP connection may agree on, best first.
pub fn protocols(http2: bool) -> Vec<Vec<u8>> {
    if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] }
}

/// Completes a handshake; whether it could within a time that is far beyond every timeout of the proxy's.
pub async fn agrees(transport: &Transport) -> bool {
    let ring = transport.ring();
    let timer = ring.timer();
    timer.within(ring.now() + PATIENCE, transport.handshake()).await.is_some_and(|agreed| agreed.is_ok())
}

/// The settings of clients.
pub fn client(http2: bool) -> Arc<Client> {
    let authorities = Authorities::from_pem(include_bytes!("../data/ca.pem")).expect("the authority is one");
    let settings = ClientSettings { alpn: protocols(http2), ..ClientSettings::new(Verification::Name(Arc::new(authorities))) };
    Arc::new(Client::compile(&settings).expect("the settings are good"))
}

/// The settings of origins.
pub fn server(http2: bool) -> Arc<Server> {
    let certificate = Certificate::from_pem(include_bytes!("../data/relay.pem"), include_bytes!("../data/relay.key"), None);
    let settings = ServerSettings {
        alpn: protocols(http2),
        ..ServerSettings::new(vec![Arc::new(certificate.expect("certificate and key are a pair"))])
    };
    Arc::new(Server::compile(&settings).expect("the settings are good"))
}

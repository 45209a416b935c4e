//! A handshake under way: rustls, fed one record at a time and asked for what is to be sent.
//!
//! One record at a time, because what follows the last one belongs to the record layer, which is ours: when the handshake is done, rustls gives
//! the keys and nothing of it stays but what a later change of keys needs. What rustls holds and what is gathered for it is gone then.

use std::sync::Arc;

use model::Cause;
use rustls::{
    CipherSuite, CommonState, ConnectionTrafficSecrets, Error, ExtractedSecrets, HandshakeKind, ProtocolVersion,
    client::{ClientConnectionData, UnbufferedClientConnection},
    kernel::KernelConnection,
    pki_types::ServerName,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};

use crate::{
    Outcome, Server, Version,
    hello::{self, Peek},
    identity::Identity,
    record::Alert,
    server::Gate,
};

/// What of a handshake outlives it in TLS 1.3: the secrets that new keys are made from, and where a client keeps sessions.
pub(crate) enum Keeper {
    Server(Box<KernelConnection<ServerConnectionData>>),
    Client(Box<KernelConnection<ClientConnectionData>>),
}

/// Keys by direction: sequence number and secrets.
pub(crate) struct Secrets {
    pub(crate) transmit: (u64, ConnectionTrafficSecrets),
    pub(crate) receive: (u64, ConnectionTrafficSecrets),
    pub(crate) keeper: Keeper,
}

/// What has come of a handshake by now.
pub(crate) enum Progress {
    /// The peer's next record is awaited.
    Waiting,
    Done,
}

/// What came of taking a record in.
pub(crate) enum Gathered {
    /// There is something to go on with.
    Ready,
    /// More of the client's hello is to come.
    NotWhole,
    /// That hello is refused by an alert.
    Refused(Alert, Cause),
}

pub(crate) struct Handshake {
    side: Side,
    /// Records that rustls has not done with: more than one only when a message spans several.
    input: Vec<u8>,
    /// What a client asked for; of a client, whom it asks.
    server_name: Option<Box<str>>,
    /// Whom a server refuses.
    gate: Option<Arc<Gate>>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl Handshake {
    pub(crate) fn server(server: &Server) -> Result<Self, Error> {
        let side = Side::Server(UnbufferedServerConnection::new(Arc::clone(server.config()))?);
        Ok(Self { gate: Some(Arc::clone(server.gate())), ..Self::new(side, None) })
    }

    pub(crate) fn client(config: &Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let text = name.to_str().as_ref().into();
        Ok(Self::new(Side::Client(UnbufferedClientConnection::new(Arc::clone(config), name)?), Some(text)))
    }

    fn new(side: Side, server_name: Option<Box<str>>) -> Self {
        Self { side, input: Vec::new(), server_name, gate: None }
    }

    /// Whether nothing of the peer has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.awaits_hello() && self.input.is_empty()
    }

    /// Whether nothing of the client has been understood yet (server side only).
    fn awaits_hello(&self) -> bool {
        match &self.side {
            Side::Server(connection) => connection.protocol_version().is_none(),
            Side::Client(_) => false,
        }
    }

    fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Takes one record in. rustls sees nothing of a client before its hello is whole, which is what bounds it.
    pub(crate) fn gather(&mut self, record: &[u8]) -> Gathered {
        self.input.extend_from_slice(record);
        if !self.awaits_hello() {
            return Gathered::Ready;
        }
        match hello::peek(&self.input) {
            Peek::Hello(hello) => {
                if let Some((alert, cause)) = self.gate.as_ref().and_then(|gate| gate.refusal(&hello)) {
                    return Gathered::Refused(alert, cause);
                }
                // (rustls keeps the name from those who use it without buffers.)
                self.server_name = hello.server_name;
            }
            Peek::TooLarge => return Gathered::Refused(Alert::ILLEGAL_PARAMETER, Cause::TlsHelloTooLarge),
            Peek::More => return Gathered::NotWhole,
            Peek::NotTls { .. } | Peek::Malformed => {}
        }
        Gathered::Ready
    }

    /// Goes on with what was gathered; what is to be sent goes to `flight`. After an error that is the alert.
    pub(crate) fn process(&mut self, flight: &mut Vec<u8>) -> Result<Progress, Error> {
        let idle = loop {
            match self.step(flight) {
                Ok(false) => {}
                idle => break idle,
            }
        };
        if idle.is_err() {
            // The alert that rustls has for it, and not one step further: it would go on where it has just stumbled.
            while self.common().wants_write() && self.step(flight).is_ok() {}
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        idle.map(|_| if self.common().is_handshaking() { Progress::Waiting } else { Progress::Done })
    }

    /// One step of rustls; whether there is nothing more to do for now.
    fn step(&mut self, flight: &mut Vec<u8>) -> Result<bool, Error> {
        let (discard, idle) = match &mut self.side {
            Side::Server(connection) => {
                let UnbufferedStatus { discard, state } = connection.process_tls_records(&mut self.input);
                (discard, state.and_then(|state| settle(state, flight)))
            }
            Side::Client(connection) => {
                let UnbufferedStatus { discard, state } = connection.process_tls_records(&mut self.input);
                (discard, state.and_then(|state| settle(state, flight)))
            }
        };
        self.input.drain(..discard);
        idle
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// Of a handshake that is done: what was agreed on, and the keys.
    pub(crate) fn finish(self) -> Result<(Outcome, Secrets), Error> {
        let is_client = self.is_client();
        let common = self.common();
        let outcome = Outcome {
            alpn: common.alpn_protocol().map(Into::into),
            version: version(common.protocol_version())?,
            suite: common.negotiated_cipher_suite().map_or("", |suite| suite_name(suite.suite())),
            group: common.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).unwrap_or_default(),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            client: common.peer_certificates().filter(|_| !is_client).and_then(|chain| Some(Identity::new(chain.first()?).into())),
            server_name: self.server_name,
        };
        let (ExtractedSecrets { tx, rx }, keeper) = match self.side {
            Side::Server(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Keeper::Server(Box::new(kernel)))
            }
            Side::Client(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Keeper::Client(Box::new(kernel)))
            }
        };
        Ok((outcome, Secrets { transmit: tx, receive: rx, keeper }))
    }
}

/// Does what rustls wants next; true when it wants nothing before more has come.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything else has no place in a handshake")]
fn settle<Data>(state: ConnectionState<'_, '_, Data>, flight: &mut Vec<u8>) -> Result<bool, Error> {
    match state {
        ConnectionState::EncodeTlsData(mut message) => {
            let start = flight.len();
            if let Err(EncodeError::InsufficientSize(size)) = message.encode(&mut []) {
                flight.resize(start + size.required_size, 0);
                if message.encode(&mut flight[start..]).is_err() {
                    flight.truncate(start);
                }
            }
            Ok(false)
        }
        ConnectionState::TransmitTlsData(written) => {
            written.done();
            Ok(false)
        }
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Ok(true),
        // The peer gave up before the handshake was done; or there is data, which no peer may send yet and we never allow early.
        _ => Err(Error::HandshakeNotComplete),
    }
}

fn version(version: Option<ProtocolVersion>) -> Result<Version, Error> {
    match version {
        Some(ProtocolVersion::TLSv1_3) => Ok(Version::Tls13),
        Some(ProtocolVersion::TLSv1_2) => Ok(Version::Tls12),
        _ => Err(Error::HandshakeNotComplete),
    }
}

/// A suite's registered name, which is not quite what rustls calls those of TLS 1.3.
pub(crate) fn suite_name(suite: CipherSuite) -> &'static str {
    match suite.as_str().unwrap_or_default() {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}

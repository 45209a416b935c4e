//! One TLS connection, either side: bytes in, bytes out, no IO. First the handshake, then the record layer; between records it holds no buffer.

use std::{mem::take, sync::Arc};

use buf::{Chunk, Output};
use model::{Cause, Fault};
use rustls::pki_types::ServerName;

use crate::{
    Client, KernelKey, Outcome, Server,
    fault::{self, Side},
    handshake::{Gathered, Handshake, Progress},
    hello,
    record::{self, Alert, EXPANSION_MAX, HEADER_BYTES, kind},
    traffic::{Break, Event, Traffic},
};

/// A connection's TLS, between the socket's bytes and those of the protocol above.
pub struct Session {
    stage: Stage,
    /// A record that has not come whole.
    partial: Vec<u8>,
    /// Of the handshake, and the alert of a fault: still to be transmitted.
    flight: Vec<u8>,
    outcome: Option<Box<Outcome>>,
    record_bytes_max: u16,
    side: Side,
    /// A kernel may be given our key.
    keeps_key: bool,
}

enum Stage {
    Handshake(Box<Handshake>),
    Traffic(Box<Traffic>),
    Broken(Fault),
}

impl Session {
    /// Who answers a client.
    pub fn server(server: &Arc<Server>) -> Self {
        let stage = match Handshake::server(server) {
            Ok(handshake) => Stage::Handshake(Box::new(handshake)),
            Err(_) => Stage::Broken(Fault::us(Cause::Internal)),
        };
        Self { keeps_key: server.keeps_keys(), ..Self::new(stage, server.record_bytes_max(), Side::Server) }
    }

    /// Who asks an origin. `name`: the host it must prove to be, or the IP address; the settings' own name goes before it.
    /// The first flight waits to be transmitted.
    pub fn client(client: &Arc<Client>, name: &str) -> Result<Self, Fault> {
        let refused = Fault::origin(Cause::UpstreamTlsHandshake).safe();
        let name = ServerName::try_from(client.server_name().unwrap_or(name)).map_err(|_error| refused)?;
        let handshake = Handshake::client(client.config(), name.to_owned()).map_err(|_error| refused)?;
        let mut session = Self::new(Stage::Handshake(Box::new(handshake)), client.record_bytes_max(), Side::Client);
        session.advance_handshake(&[]).map(|()| session)
    }

    fn new(stage: Stage, record_bytes_max: u16, side: Side) -> Self {
        Self { stage, partial: Vec::new(), flight: Vec::new(), outcome: None, record_bytes_max, side, keeps_key: false }
    }

    /// The next plain bytes from `input`, taken from its front: call it until it gives `None`, when all of `input` has been taken.
    /// They are decrypted in place when `input` alone holds them, so that what is given is a part of it. Look at
    /// [`wants_output`](Self::wants_output) afterwards, also after a fault: the peer is told why.
    pub fn receive(&mut self, input: &mut Chunk) -> Result<Option<Chunk>, Fault> {
        loop {
            let record = match &self.stage {
                Stage::Broken(fault) => {
                    *input = Chunk::default();
                    return Err(*fault);
                }
                Stage::Traffic(traffic) if traffic.ended => {
                    // What follows the end means nothing (RFC 8446 §6.1).
                    *input = Chunk::default();
                    return Ok(None);
                }
                Stage::Traffic(_) | Stage::Handshake(_) => self.next_record(input)?,
            };
            let Some(record) = record else { return Ok(None) };
            match &mut self.stage {
                Stage::Traffic(traffic) => match traffic.open(record) {
                    Ok(Event::Data(plain)) => return Ok(Some(plain)),
                    Ok(Event::Ended | Event::Nothing) => {}
                    Err(reason) => return Err(self.break_traffic(&reason)),
                },
                Stage::Handshake(_) => self.advance_handshake(&record)?,
                Stage::Broken(_) => {}
            }
        }
    }

    /// Whether the peer has said that it sends nothing more. An end of the socket without it is a truncation.
    pub fn has_ended(&self) -> bool {
        matches!(&self.stage, Stage::Traffic(traffic) if traffic.ended)
    }

    /// Whether the peer could be told, and has not been, that nothing more comes from us.
    pub fn can_finish(&self) -> bool {
        matches!(&self.stage, Stage::Traffic(traffic) if !traffic.finished)
    }

    /// Whether plain bytes cannot be sent yet.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake(_))
    }

    /// Whether bytes of our own wait: of the handshake, an alert, a change of keys.
    pub fn wants_output(&self) -> bool {
        !self.flight.is_empty() || matches!(&self.stage, Stage::Traffic(traffic) if traffic.wants_output())
    }

    /// Appends those bytes.
    pub fn transmit(&mut self, output: &mut Output) {
        if !self.flight.is_empty() {
            output.push(Chunk::from(take(&mut self.flight)));
        }
        if let Stage::Traffic(traffic) = &mut self.stage
            && traffic.wants_output()
        {
            traffic.transmit(output.tail());
        }
    }

    /// Takes all of `plain` and appends it to `cipher` as records, behind what waits to be transmitted. Takes nothing before the handshake is
    /// complete; after [`finish`](Self::finish) or a fault what it takes is lost.
    pub fn seal(&mut self, plain: &mut Output, cipher: &mut Output) {
        self.transmit(cipher);
        match &mut self.stage {
            Stage::Traffic(traffic) => traffic.seal(plain, usize::from(self.record_bytes_max), cipher),
            Stage::Broken(_) => plain.clear(),
            Stage::Handshake(_) => {}
        }
    }

    /// Tells the peer that nothing more comes (RFC 8446 §6.1), behind what waits to be transmitted. What it sends can still be received.
    pub fn finish(&mut self, output: &mut Output) {
        self.transmit(output);
        if let Stage::Traffic(traffic) = &mut self.stage {
            traffic.finish(output.tail());
        }
    }

    /// Whether the kernel could be given the key of what we send now; only where the settings keep keys.
    pub fn can_give_key(&self) -> bool {
        self.flight.is_empty() && matches!(&self.stage, Stage::Traffic(traffic) if traffic.can_give_key())
    }

    /// The key of what we send, for a kernel that takes over where all that was sealed here has been sent. Tell of it when it
    /// [was taken](Self::key_given); until then nothing has changed.
    pub fn kernel_key(&self) -> Option<KernelKey> {
        match &self.stage {
            Stage::Traffic(traffic) if self.flight.is_empty() => traffic.kernel_key(),
            Stage::Traffic(_) | Stage::Handshake(_) | Stage::Broken(_) => None,
        }
    }

    /// The kernel seals what we send from now on: [`seal`](Self::seal) gives plain bytes on as they are, [`finish`](Self::finish) and faults tell
    /// the peer nothing, and a peer that asks for another key of ours is a fault.
    pub fn key_given(&mut self) {
        if let Stage::Traffic(traffic) = &mut self.stage {
            traffic.key_given();
        }
    }

    /// What the handshake agreed on; `None` until it is complete.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_deref()
    }

    /// The next whole record: cut off `input`, or gathered when it comes in pieces.
    fn next_record(&mut self, input: &mut Chunk) -> Result<Option<Chunk>, Fault> {
        let expansion_max = match &self.stage {
            Stage::Traffic(traffic) => traffic.expansion_max(),
            Stage::Handshake(_) | Stage::Broken(_) => EXPANSION_MAX,
        };
        if self.partial.is_empty() {
            match record::length(input, expansion_max) {
                Ok(Some(length)) if length <= input.len() => return Ok(Some(input.split_to(length))),
                Ok(_) => {}
                Err(alert) => return Err(self.break_framing(alert, input)),
            }
        }
        loop {
            let wanted = match record::length(&self.partial, expansion_max) {
                Ok(Some(length)) if self.partial.len() == length => return Ok(Some(Chunk::from(take(&mut self.partial)))),
                Ok(length) => length.unwrap_or(HEADER_BYTES),
                Err(alert) => {
                    let bytes = Chunk::from(take(&mut self.partial));
                    return Err(self.break_framing(alert, &bytes));
                }
            };
            if input.is_empty() {
                return Ok(None);
            }
            let taken = (wanted - self.partial.len()).min(input.len());
            self.partial.extend_from_slice(&input[..taken]);
            input.advance(taken);
        }
    }

    /// Gives rustls one record (or none: a client begins by itself), and takes the connection over when the handshake is complete.
    fn advance_handshake(&mut self, record: &[u8]) -> Result<(), Fault> {
        let Stage::Handshake(handshake) = &mut self.stage else { return Ok(()) };
        match handshake.gather(record) {
            Gathered::Ready => {}
            Gathered::NotWhole => return Ok(()),
            Gathered::Refused(alert, cause) => {
                self.say_plainly(alert);
                return Err(self.broken(Fault::client(cause)));
            }
        }
        match handshake.process(&mut self.flight) {
            Ok(Progress::Waiting) => Ok(()),
            Ok(Progress::Done) => self.establish(),
            Err(error) => Err(self.broken(fault::of_handshake(self.side, &error))),
        }
    }

    fn establish(&mut self) -> Result<(), Fault> {
        let internal = Fault::us(Cause::Internal);
        let Stage::Handshake(handshake) = core::mem::replace(&mut self.stage, Stage::Broken(internal)) else { return Err(internal) };
        let (outcome, secrets) = handshake.finish().map_err(|_error| internal)?;
        let traffic = Traffic::new(outcome.version, secrets, self.keeps_key).ok_or(internal)?;
        self.stage = Stage::Traffic(Box::new(traffic));
        self.outcome = Some(Box::new(outcome));
        Ok(())
    }

    /// What came is no record at all.
    fn break_framing(&mut self, alert: Alert, bytes: &[u8]) -> Fault {
        match &mut self.stage {
            Stage::Traffic(_) => self.break_traffic(&Break::Breach(alert)),
            Stage::Handshake(handshake) if handshake.is_untouched() => {
                if hello::is_http(bytes) {
                    // Whoever holds the socket may answer in the clear.
                    return self.broken(Fault::client(Cause::PlainHttp));
                }
                self.say_plainly(alert);
                self.broken(Fault::client(Cause::NotTls))
            }
            Stage::Handshake(handshake) => {
                // rustls refuses it too, and knows whether its alert is encrypted by now.
                handshake.gather(&bytes[..HEADER_BYTES.min(bytes.len())]);
                let refused = handshake.process(&mut self.flight).err();
                let fault = refused.map_or_else(|| fault::of_breach(self.side, true), |error| fault::of_handshake(self.side, &error));
                self.broken(fault)
            }
            Stage::Broken(fault) => *fault,
        }
    }

    fn break_traffic(&mut self, reason: &Break) -> Fault {
        if let (Stage::Traffic(traffic), Break::Breach(alert)) = (&mut self.stage, reason) {
            traffic.say(*alert, &mut self.flight);
        }
        match reason {
            Break::KeyGiven => self.broken(Fault::us(Cause::TlsKeyUpdate)),
            Break::Breach(_) | Break::PeerAlert => self.broken(fault::of_breach(self.side, false)),
        }
    }

    /// A fatal alert before there are keys.
    fn say_plainly(&mut self, alert: Alert) {
        let content = alert.bytes();
        self.flight.extend_from_slice(&record::header(kind::ALERT, content.len()));
        self.flight.extend_from_slice(&content);
    }

    fn broken(&mut self, fault: Fault) -> Fault {
        self.stage = Stage::Broken(fault);
        self.partial = Vec::new();
        fault
    }
}

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

#[cfg(test)]
mod tests {
    use super::{common::World, *};
    use crate::cipher::AES_RECORDS_MAX;

    #[test]
    fn a_worn_key_is_changed_and_nobody_notices() {
        let mut pair = World::new().pair();
        pair.connect();
        for round in 0..3 {
            let Stage::Traffic(traffic) = &mut pair.server.session.stage else { panic!("it is established") };
            traffic.wear(AES_RECORDS_MAX / 2);
            // (The peer counts too: what it would have received.)
            let Stage::Traffic(traffic) = &mut pair.client.session.stage else { panic!("it is established") };
            traffic.wear_received(AES_RECORDS_MAX / 2);
            let sealed = pair.server.seal(&vec![round; 20_000]);
            assert!(sealed.len() > 20_000 + 2 * 22 + 5, "a change of keys and two records");
            pair.client.take(&sealed);
            assert_eq!((take(&mut pair.client.received), pair.client.fault), (vec![round; 20_000], None));
            assert!(!pair.client.session.wants_output(), "it is not asked to change its own");
            pair.exchange(b"hello");
        }
    }

    #[test]
    fn an_idle_session_is_small() {
        let sizes = [size_of::<Session>(), size_of::<Traffic>(), size_of::<Outcome>()];
        assert!(sizes.iter().zip([80, 160, 88]).all(|(size, limit)| *size <= limit), "{sizes:?}");
        let mut pair = World::new().pair();
        pair.connect().exchange(b"hello");
        for end in [&pair.server.session, &pair.client.session] {
            assert_eq!(end.partial.capacity() + end.flight.capacity(), 0, "no buffers");
        }
        let sealed = pair.client.seal(b"hello");
        pair.server.take(&sealed[..10]);
        assert_eq!(pair.server.session.partial.len(), 10);
        pair.server.take(&sealed[10..]);
        assert_eq!(pair.server.session.partial.capacity(), 0, "what was gathered is gone with the record");
    }
}

//! An established connection: records sealed and opened, and the messages that may still come beside data: alerts, session tickets, changes
//! of keys. No buffer is held between records but a handshake message that came in pieces.

use buf::{COPY_MAX, Chunk, Output};
use rustls::ConnectionTrafficSecrets;

use crate::{
    KernelKey, Version,
    cipher::{Cipher, Opened},
    handshake::{Keeper, Secrets},
    record::{Alert, EXPANSION_MAX, EXPANSION_TLS13_MAX, LEVEL_WARNING, kind},
};

/// Records in a row that carry no data (empty ones, tickets, changes of keys, warnings) before the peer is at fault: each costs us work, and
/// nothing of the limits above TLS sees them. What honest peers send stays far below.
pub const IDLE_RECORDS_MAX: u8 = 32;

/// Bytes of one handshake message after the handshake: a session's ticket is below 64 KiB of each of its parts, and much smaller in practice.
pub const LATE_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Types of handshake messages (RFC 8446 §4, RFC 5246 §7.4).
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Type and length of a handshake message.
const MESSAGE_HEADER_BYTES: usize = 4;

/// What a record was.
pub(crate) enum Event {
    /// The record, cut down to its content: never empty.
    Data(Chunk),
    /// The peer sends nothing more.
    Ended,
    /// Nothing for those above.
    Nothing,
}

/// Why a connection cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The peer broke the rules and is told so.
    Breach(Alert),
    /// The peer gave up and told us so.
    PeerAlert,
    /// The peer asks for another key of ours, and the kernel has the only one.
    KeyGiven,
}

impl From<Alert> for Break {
    fn from(alert: Alert) -> Self {
        Self::Breach(alert)
    }
}

pub(crate) struct Traffic {
    receive: Cipher,
    /// Gone when the kernel seals what we send: a nonce must never be used twice.
    transmit: Option<Cipher>,
    /// What `transmit` was made of, kept where a kernel may be given it.
    kept: Option<Box<ConnectionTrafficSecrets>>,
    version: Version,
    /// Gone in TLS 1.2, where keys never change.
    keeper: Option<Keeper>,
    /// A handshake message whose rest is in the next record.
    message: Vec<u8>,
    /// Records without data since the last with some.
    idle_records: u8,
    /// A message of our own is to be sent before anything else: that our key changes; in TLS 1.2, that there is no renegotiation (RFC 5246
    /// §7.2.2), which is the only thing a peer can ask for there.
    owes_message: bool,
    /// We send nothing more.
    pub(crate) finished: bool,
    /// The peer sends nothing more.
    pub(crate) ended: bool,
}

impl Traffic {
    /// Of a handshake's end. `None` for a cipher we never offer. `keeps_key`: a kernel may be given our key.
    pub(crate) fn new(version: Version, secrets: Secrets, keeps_key: bool) -> Option<Self> {
        let ((received, receive), (sent, transmit)) = (secrets.receive, secrets.transmit);
        Some(Self {
            receive: Cipher::new(version, received, &receive)?,
            transmit: Some(Cipher::new(version, sent, &transmit)?),
            kept: keeps_key.then(|| Box::new(transmit)),
            version,
            keeper: Some(secrets.keeper).filter(|_| version == Version::Tls13),
            message: Vec::new(),
            idle_records: 0,
            owes_message: false,
            finished: false,
            ended: false,
        })
    }

    /// What encryption may add to a record's content.
    pub(crate) fn expansion_max(&self) -> usize {
        if self.version == Version::Tls13 { EXPANSION_TLS13_MAX } else { EXPANSION_MAX }
    }

    /// Decrypts a whole record, where it stands when it stands alone.
    pub(crate) fn open(&mut self, mut record: Chunk) -> Result<Event, Break> {
        let Opened { kind, start, length } = if let Some(bytes) = record.bytes_mut() {
            self.receive.open(bytes)?
        } else {
            record = Chunk::copy_of(&record);
            self.receive.open(record.bytes_mut().unwrap_or_default())?
        };
        record.advance(start);
        record.truncate(length);
        if kind == kind::DATA && length > 0 && self.message.is_empty() {
            self.idle_records = 0;
            return Ok(Event::Data(record));
        }
        self.idle_records += 1;
        if self.idle_records > IDLE_RECORDS_MAX {
            return Err(Alert::UNEXPECTED_MESSAGE.into());
        }
        match kind {
            kind::DATA if self.message.is_empty() => Ok(Event::Nothing),
            kind::ALERT => self.alert(&record),
            kind::HANDSHAKE => self.messages(&record).map(|()| Event::Nothing),
            // What comes between the pieces of a message (RFC 8446 §5.1), and what has no place after the handshake.
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    fn alert(&mut self, content: &[u8]) -> Result<Event, Break> {
        let [level, description] = *content else { return Err(Alert::DECODE_ERROR.into()) };
        let is_warning = match self.version {
            Version::Tls12 => level == LEVEL_WARNING,
            // RFC 8446 §6.2: everything else ends the connection, whatever its level says.
            Version::Tls13 => Alert(description) == Alert::USER_CANCELED,
        };
        if Alert(description) == Alert::CLOSE_NOTIFY {
            self.ended = true;
            return Ok(Event::Ended);
        }
        if is_warning { Ok(Event::Nothing) } else { Err(Break::PeerAlert) }
    }

    /// Handshake messages after the handshake, gathered when they come in pieces.
    fn messages(&mut self, content: &[u8]) -> Result<(), Break> {
        if content.is_empty() {
            return Err(Alert::UNEXPECTED_MESSAGE.into());
        }
        self.message.extend_from_slice(content);
        let gathered = core::mem::take(&mut self.message);
        let mut rest = &gathered[..];
        while let Some([kind, high, middle, low]) = rest.first_chunk() {
            let end = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if end > LATE_MESSAGE_BYTES_MAX {
                return Err(Alert::ILLEGAL_PARAMETER.into());
            }
            let Some((message, after)) = rest.split_at_checked(end) else { break };
            self.late_message(*kind, &message[MESSAGE_HEADER_BYTES..], after.is_empty())?;
            rest = after;
        }
        self.message = rest.to_vec();
        Ok(())
    }

    fn late_message(&mut self, kind: u8, body: &[u8], is_last: bool) -> Result<(), Break> {
        match (&mut self.keeper, kind) {
            // New keys begin with a new record (RFC 8446 §5.1).
            (Some(_), KEY_UPDATE) if !is_last => Err(Alert::UNEXPECTED_MESSAGE.into()),
            (Some(keeper), KEY_UPDATE) => {
                let is_requested = match body {
                    [0] => false,
                    [1] => true,
                    _ => return Err(Alert::ILLEGAL_PARAMETER.into()),
                };
                let next = keeper.next_receive().and_then(|(sequence, secrets)| Cipher::new(self.version, sequence, &secrets));
                self.receive = next.ok_or(Alert::INTERNAL_ERROR)?;
                if is_requested && self.transmit.is_none() {
                    return Err(Break::KeyGiven);
                }
                // However often it is asked for, it is done once before anything else is sent (RFC 8446 §4.6.3).
                self.owes_message |= is_requested && !self.finished;
                Ok(())
            }
            (Some(Keeper::Client(kernel)), NEW_SESSION_TICKET) => {
                kernel.handle_new_session_ticket(body).map_err(|_error| Alert::DECODE_ERROR.into())
            }
            (None, HELLO_REQUEST | CLIENT_HELLO) => {
                // (Nobody has to answer that: RFC 5246 §7.4.1.1.)
                self.owes_message = !self.finished && self.transmit.is_some();
                Ok(())
            }
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    /// Whether messages of our own wait.
    pub(crate) fn wants_output(&self) -> bool {
        self.owes_message
    }

    /// Those messages.
    pub(crate) fn transmit(&mut self, output: &mut Vec<u8>) {
        if !core::mem::take(&mut self.owes_message) {
            return;
        }
        let Some(transmit) = &mut self.transmit else { return };
        let Some(keeper) = &mut self.keeper else {
            return transmit.seal(kind::ALERT, &Alert::NO_RENEGOTIATION.bytes(), output);
        };
        // `update_not_requested`: the peer changes its keys when it wants to.
        transmit.seal(kind::HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], output);
        let next = keeper.next_transmit().and_then(|(sequence, secrets)| Some((Cipher::new(self.version, sequence, &secrets)?, secrets)));
        let Some((cipher, secrets)) = next else {
            self.finished = true;
            return;
        };
        *transmit = cipher;
        if let Some(kept) = &mut self.kept {
            **kept = secrets;
        }
    }

    /// Takes all of `plain` and appends its records of at most `record_bytes_max` of content each. What is large and nobody else's is encrypted
    /// where it stands, in the buffer the kernel received it into.
    pub(crate) fn seal(&mut self, plain: &mut Output, record_bytes_max: usize, cipher: &mut Output) {
        if self.transmit.is_none() {
            return self.pass(plain, cipher);
        }
        self.transmit(cipher.tail());
        for mut piece in plain.take(Vec::new()) {
            while !piece.is_empty() {
                self.seal_record(piece.split_to(record_bytes_max), cipher);
            }
        }
    }

    /// The kernel seals what comes to it.
    fn pass(&self, plain: &mut Output, output: &mut Output) {
        let pieces = plain.take(Vec::new());
        if !self.finished {
            for piece in pieces {
                output.push(piece);
            }
        }
    }

    fn seal_record(&mut self, mut content: Chunk, output: &mut Output) {
        if self.transmit.as_ref().is_some_and(Cipher::is_worn) {
            self.renew(output.tail());
        }
        let Some(transmit) = self.transmit.as_mut().filter(|_| !self.finished) else { return };
        if content.len() > COPY_MAX {
            match transmit.seal_in_place(content, output) {
                Ok(()) => return,
                Err(shared) => content = shared,
            }
        }
        transmit.seal(kind::DATA, &content, output.tail());
    }

    /// The key has been used enough: the next one, or the end of what may be sent, for TLS 1.2 has none.
    fn renew(&mut self, output: &mut Vec<u8>) {
        if self.keeper.is_some() {
            self.owes_message = true;
            self.transmit(output);
        } else if self.transmit.as_ref().is_some_and(Cipher::is_spent) {
            self.finish(output);
        }
    }

    /// Whether the kernel could be given our key now: nothing of our own waits that only we can seal.
    pub(crate) fn can_give_key(&self) -> bool {
        self.kept.is_some() && self.transmit.as_ref().is_some_and(|transmit| !transmit.is_worn()) && !self.owes_message && !self.finished
    }

    /// Our key as the kernel takes it. It stays ours until it [is given](Self::key_given).
    pub(crate) fn kernel_key(&self) -> Option<KernelKey> {
        let (kept, transmit) = (self.kept.as_ref()?, self.transmit.as_ref()?);
        KernelKey::new(self.version, transmit.sequence(), kept).filter(|_| self.can_give_key())
    }

    /// The kernel has it: never to be used here again.
    pub(crate) fn key_given(&mut self) {
        (self.transmit, self.kept) = (None, None);
    }

    /// Tells the peer that nothing more comes from us; once the kernel has our key, who gave it has to.
    pub(crate) fn finish(&mut self, output: &mut Vec<u8>) {
        self.say(Alert::CLOSE_NOTIFY, output);
    }

    #[cfg(test)]
    pub(crate) fn wear(&mut self, records: u64) {
        self.transmit.as_mut().unwrap().wear(records);
    }

    #[cfg(test)]
    pub(crate) fn wear_received(&mut self, records: u64) {
        self.receive.wear(records);
    }

    /// Sends an alert, the last thing we send.
    pub(crate) fn say(&mut self, alert: Alert, output: &mut Vec<u8>) {
        if !self.finished {
            self.transmit(output);
            if let Some(transmit) = &mut self.transmit {
                transmit.seal(kind::ALERT, &alert.bytes(), output);
            }
            self.finished = true;
        }
    }
}

impl Keeper {
    fn next_transmit(&mut self) -> Option<(u64, ConnectionTrafficSecrets)> {
        match self {
            Self::Server(kernel) => kernel.update_tx_secret().ok(),
            Self::Client(kernel) => kernel.update_tx_secret().ok(),
        }
    }

    fn next_receive(&mut self) -> Option<(u64, ConnectionTrafficSecrets)> {
        match self {
            Self::Server(kernel) => kernel.update_rx_secret().ok(),
            Self::Client(kernel) => kernel.update_rx_secret().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::cipher::{AeadKey, Iv};

    /// Two ends that share keys, without a handshake.
    fn ends(version: Version) -> (Cipher, Traffic) {
        let cipher = || {
            let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([7; 32]), iv: Iv::from([8; 12]) };
            Cipher::new(version, 0, &secrets).unwrap()
        };
        let traffic = Traffic {
            receive: cipher(),
            transmit: Some(cipher()),
            kept: None,
            version,
            keeper: None,
            message: Vec::new(),
            idle_records: 0,
            owes_message: false,
            finished: false,
            ended: false,
        };
        (cipher(), traffic)
    }

    fn record(peer: &mut Cipher, kind: u8, content: &[u8]) -> Chunk {
        let mut bytes = Vec::new();
        peer.seal(kind, content, &mut bytes);
        Chunk::from(bytes)
    }

    /// What becomes of these records, as text.
    fn told(version: Version, records: &[(u8, &[u8])]) -> String {
        let (mut peer, mut traffic) = ends(version);
        let told = records.iter().map(|(kind, content)| match traffic.open(record(&mut peer, *kind, content)) {
            Ok(Event::Data(data)) => data.escape_ascii().to_string(),
            Ok(Event::Ended) => "end".to_owned(),
            Ok(Event::Nothing) => "-".to_owned(),
            Err(Break::Breach(alert)) => format!("breach {}", alert.0),
            Err(Break::PeerAlert) => "gave-up".to_owned(),
            Err(Break::KeyGiven) => "key-given".to_owned(),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_comes_beside_data() {
        use Version::{Tls12, Tls13};
        use kind::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE};
        let check =
            |version, records: &[(u8, &[u8])], expected: &str| assert_eq!(told(version, records), expected, "{version:?} {records:?}");
        for version in [Tls12, Tls13] {
            check(version, &[(DATA, b"a"), (DATA, b""), (DATA, b"b")], "a - b");
            check(version, &[(DATA, b"a"), (ALERT, &[1, 0])], "a end");
            check(version, &[(ALERT, &[2, 40])], "gave-up");
            check(version, &[(ALERT, &[1])], "breach 50");
            check(version, &[(ALERT, b"")], "breach 50");
            check(version, &[(CHANGE_CIPHER_SPEC, &[1])], "breach 10");
            check(version, &[(HANDSHAKE, b"")], "breach 10");
            check(version, &[(HANDSHAKE, &[20, 0, 0, 0])], "breach 10");
            check(version, &[(HANDSHAKE, &[NEW_SESSION_TICKET, 0, 0, 0])], "breach 10");
            check(version, &[(HANDSHAKE, &[4, 1, 0, 1])], "breach 47");
            check(version, &[(HANDSHAKE, &[1]), (DATA, b"between the pieces")], "- breach 10");
            check(version, &[(24, b"heartbeat")], "breach 10");
        }
        check(Tls12, &[(ALERT, &[1, 90]), (ALERT, &[1, 41]), (DATA, b"a")], "- - a");
        check(Tls13, &[(ALERT, &[1, 90]), (DATA, b"a"), (ALERT, &[1, 41])], "- a gave-up");
        check(
            Tls12,
            &[(HANDSHAKE, &[HELLO_REQUEST, 0, 0, 0]), (HANDSHAKE, &[CLIENT_HELLO, 0]), (HANDSHAKE, &[0, 1, 9]), (DATA, b"a")],
            "- - - a",
        );
        check(Tls12, &[(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0])], "breach 10");
    }

    #[test]
    fn records_without_data_have_an_end() {
        for version in [Version::Tls12, Version::Tls13] {
            let (mut peer, mut traffic) = ends(version);
            for count in 0..4 * u32::from(IDLE_RECORDS_MAX) {
                assert!(matches!(traffic.open(record(&mut peer, kind::DATA, b"")), Ok(Event::Nothing)), "{count}");
                if count % u32::from(IDLE_RECORDS_MAX) == 0 {
                    assert!(matches!(traffic.open(record(&mut peer, kind::DATA, b"x")), Ok(Event::Data(_))));
                }
            }
            let (mut peer, mut traffic) = ends(version);
            for _ in 0..IDLE_RECORDS_MAX {
                assert!(traffic.open(record(&mut peer, kind::DATA, b"")).is_ok());
            }
            assert_eq!(traffic.open(record(&mut peer, kind::DATA, b"")).err(), Some(Break::Breach(Alert::UNEXPECTED_MESSAGE)));
        }
    }

    #[test]
    fn renegotiation_is_refused_and_the_connection_goes_on() {
        let (mut peer, mut traffic) = ends(Version::Tls12);
        assert!(traffic.open(record(&mut peer, kind::HANDSHAKE, &[HELLO_REQUEST, 0, 0, 0])).is_ok());
        assert!(traffic.wants_output());
        let mut output = Vec::new();
        traffic.transmit(&mut output);
        let Opened { kind, start, length } = peer_opens(&mut output);
        assert_eq!((kind, &output[start..start + length]), (kind::ALERT, &[1, 100][..]));
        assert!(!traffic.wants_output());
    }

    fn peer_opens(record: &mut [u8]) -> Opened {
        ends(Version::Tls12).0.open(record).unwrap()
    }

    #[test]
    fn a_spent_key_without_another_ends_what_is_sent() {
        let (_, mut traffic) = ends(Version::Tls12);
        traffic.wear(crate::cipher::AES_RECORDS_MAX - 1);
        let mut output = Output::default();
        for expected in [1, 1, 0] {
            let mut plain = Output::default();
            plain.write(b"hello");
            let before = output.len();
            traffic.seal(&mut plain, 16384, &mut output);
            assert_eq!(output.len() > before, expected == 1, "the last record, the end, nothing");
        }
        assert!(traffic.finished);
    }

    /// What is large and alone keeps its memory; what is small, or seen by somebody else, is copied and stays readable there.
    #[test]
    fn large_content_is_encrypted_where_it_stands() {
        let large = || Chunk::from(b"0123456789".repeat(2000));
        for version in [Version::Tls12, Version::Tls13] {
            for (mut content, keep, record_bytes_max, is_in_place) in [
                (Chunk::from(vec![7; 16_000]), false, 16_384, true),
                (large(), false, 16_384, false), // several records of one block: each sees the others' memory
                (Chunk::from(vec![7; 16_000]), true, 16_384, false),
                (Chunk::from("small"), false, 16_384, false),
            ] {
                let (mut peer, mut traffic) = ends(version);
                let (address, wanted) = (content.as_ptr(), content.to_vec());
                let kept = keep.then(|| content.clone());
                let (mut plain, mut output) = (Output::default(), Output::default());
                plain.write(b"head");
                plain.push(content.split_to(usize::MAX));
                traffic.seal(&mut plain, record_bytes_max, &mut output);
                let sealed = output.take(Vec::new());
                assert_eq!(sealed.iter().any(|piece| piece.as_ptr() == address), is_in_place, "{version:?} {record_bytes_max} {keep}");
                assert!(kept.is_none_or(|kept| kept[..] == wanted));
                let mut bytes: Vec<u8> = sealed.iter().flat_map(|piece| piece.to_vec()).collect();
                let (mut rest, mut opened) = (&mut bytes[..], Vec::new());
                while !rest.is_empty() {
                    let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
                    let (record, after) = rest.split_at_mut(5 + length);
                    let Opened { start, length, .. } = peer.open(record).unwrap_or_else(|alert| panic!("alert {}", alert.0));
                    opened.extend_from_slice(&record[start..start + length]);
                    rest = after;
                }
                assert_eq!(opened, [b"head", &wanted[..]].concat());
            }
        }
    }

    #[test]
    fn too_much_content_is_refused() {
        let (mut peer, mut traffic) = ends(Version::Tls13);
        let fits = record(&mut peer, kind::DATA, &vec![7; 16384]);
        assert!(matches!(traffic.open(fits), Ok(Event::Data(_))));
        let over = record(&mut peer, kind::DATA, &vec![7; 16385]);
        assert_eq!(traffic.open(over).err(), Some(Break::Breach(Alert::RECORD_OVERFLOW)));
    }

    #[test]
    fn padding_is_taken_off() {
        let (mut peer, mut traffic) = ends(Version::Tls13);
        // A type of zero makes what stands before it the type: `hello`, 23, 0 is `hello` padded by one.
        let padded = record(&mut peer, 0, &[b"hello".as_slice(), &[kind::DATA, 0, 0]].concat());
        assert!(matches!(traffic.open(padded), Ok(Event::Data(data)) if &data[..] == b"hello"));
        let nothing = record(&mut peer, 0, &[0; 10]);
        assert_eq!(traffic.open(nothing).err(), Some(Break::Breach(Alert::UNEXPECTED_MESSAGE)));
    }
}

//! What a codec, or a relay of bytes, stands on: a socket, and the record layer on it when there is one. Above it all bytes are plain.

use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::Poll,
};
use std::{rc::Rc, sync::Arc};

use buf::{Chunk, Output};
use io::{AtRest, Errno, KernelCipher, Layer, ROOM_BYTES, Ring, Stream};
use model::{Address, Cause, Fault};

/// An alert, which tells the peer that nothing more comes (RFC 8446 §6).
const GOODBYE_BYTES: usize = 2;

/// A connection, plain or encrypted.
pub struct Transport {
    stream: Stream,
    tls: Option<Rc<Tls>>,
}

/// The record layer of a connection, and what is to go through it.
pub(crate) struct Tls {
    session: RefCell<tls::Session>,
    /// What is to be sent, not encrypted yet.
    plain: RefCell<Output>,
    /// Bytes at the front of what the socket has received that are decrypted already.
    decrypted: Cell<usize>,
    /// The peer is to be told that nothing more comes.
    finishing: Cell<bool>,
    sealer: Cell<Sealer>,
    fault: Cell<Option<Fault>>,
    /// What it is when the peer leaves during the handshake.
    left: Fault,
}

/// Who seals what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sealer {
    /// The session; where its settings let the kernel do it, until a large body comes.
    Ours,
    /// The kernel.
    Kernel,
    /// The session, for the kernel would not.
    Refused,
}

/// The session's key, as the reactor takes it.
struct Given(tls::KernelKey);

impl KernelCipher for Given {
    fn info(&self) -> &[u8] {
        self.0.info()
    }

    fn expansion(&self) -> usize {
        self.0.expansion()
    }

    fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    fn sequence_max(&self) -> u64 {
        self.0.sequence_max()
    }

    fn seal(&mut self, kind: u8, plain: &[u8], output: &mut Vec<u8>) {
        self.0.seal(kind, plain, output);
    }
}

impl From<Stream> for Transport {
    fn from(stream: Stream) -> Self {
        Self { stream, tls: None }
    }
}

impl Transport {
    /// A downstream connection whose client speaks TLS; the [handshake](Self::handshake) comes next.
    pub fn tls_server(stream: Stream, server: &Arc<tls::Server>) -> Self {
        Self::encrypted(stream, tls::Session::server(server), Fault::client(Cause::TlsHandshake))
    }

    /// An upstream connection that is to speak TLS with `name`; the [handshake](Self::handshake) comes next.
    pub fn tls_client(stream: Stream, client: &Arc<tls::Client>, name: &str) -> Result<Self, Fault> {
        let session = tls::Session::client(client, name)?;
        Ok(Self::encrypted(stream, session, Fault::origin(Cause::UpstreamTlsHandshake).safe()))
    }

    fn encrypted(stream: Stream, session: tls::Session, left: Fault) -> Self {
        let tls = Rc::new(Tls {
            session: RefCell::new(session),
            plain: RefCell::default(),
            decrypted: Cell::new(0),
            finishing: Cell::new(false),
            sealer: Cell::new(Sealer::Ours),
            fault: Cell::new(None),
            left,
        });
        stream.set_layer(Rc::clone(&tls) as Rc<dyn Layer>);
        stream.wants_to_send();
        Self { stream, tls: Some(tls) }
    }

    /// Completes the handshake.
    pub async fn handshake(&self) -> Result<(), Fault> {
        let Some(tls) = &self.tls else { return Ok(()) };
        poll_fn(|_| tls.poll_handshake(&self.stream)).await
    }

    /// What the handshake agreed on.
    pub fn with_outcome<R>(&self, look: impl FnOnce(&tls::Outcome) -> R) -> Option<R> {
        self.tls.as_ref()?.session.borrow().outcome().map(look)
    }

    /// Whether the handshake agreed on that application protocol.
    pub(crate) fn has_agreed_on(&self, protocol: &[u8]) -> bool {
        self.with_outcome(|outcome| outcome.alpn.as_deref() == Some(protocol)).unwrap_or_default()
    }

    /// The ring it belongs to.
    pub fn ring(&self) -> &Ring {
        self.stream.ring()
    }

    /// The peer's address.
    pub fn peer(&self) -> Result<Address, Errno> {
        self.stream.peer()
    }

    /// Our own address.
    pub fn local(&self) -> Result<Address, Errno> {
        self.stream.local()
    }

    /// The next bytes; an empty chunk when the peer has ended its direction. Loses nothing when given up.
    #[inline]
    pub fn poll_receive(&self) -> Poll<Result<Chunk, Errno>> {
        match &self.tls {
            None => self.stream.poll_receive(),
            Some(tls) => tls.poll_receive(&self.stream),
        }
    }

    /// [`Transport::poll_receive`] as a future.
    pub async fn receive(&self) -> Result<Chunk, Errno> {
        poll_fn(|_| self.poll_receive()).await
    }

    /// Gives bytes back to the front of what is received.
    pub fn put_back(&self, chunk: Chunk) {
        if let Some(tls) = &self.tls {
            tls.decrypted.set(tls.decrypted.get() + chunk.len());
        }
        self.stream.put_back(chunk);
    }

    /// Whether bytes or the peer's end wait to be taken.
    pub fn has_received(&self) -> bool {
        let Some(tls) = &self.tls else { return self.stream.has_received() };
        if !self.stream.has_received() {
            return false;
        }
        // What came may be a ticket or a change of keys, which says nothing to anyone above.
        match tls.poll_receive(&self.stream) {
            Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                self.put_back(chunk);
                true
            }
            Poll::Ready(_) => true,
            Poll::Pending => false,
        }
    }

    /// Ready when the connection has broken, although nobody waits for its bytes.
    pub fn poll_broken(&self) -> Poll<()> {
        self.stream.poll_broken()
    }

    /// Adds to what is sent when the turn ends. Never waits: ask for room first.
    #[inline]
    pub fn write<R>(&self, write: impl FnOnce(&mut Output) -> R) -> R {
        let Some(tls) = &self.tls else { return self.stream.write(write) };
        let result = write(&mut tls.plain.borrow_mut());
        self.stream.wants_to_send();
        result
    }

    /// Adds bytes that are sent as they are, whatever was to be spoken: for peers that do not speak it.
    pub fn write_plain(&self, bytes: &[u8]) {
        self.stream.write(|output| output.write(bytes));
    }

    /// Throws away what the peer still sends until it closes, up to `bytes_max`: closing a socket with unread bytes would reset the connection and
    /// could destroy what is on its way to the peer (RFC 9112 §9.6).
    pub async fn discard(&self, bytes_max: usize) {
        let mut discarded = 0;
        while discarded < bytes_max {
            match self.stream.receive().await {
                Ok(chunk) if !chunk.is_empty() => discarded += chunk.len(),
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Has `layer` asked for what is to be sent, from now on; encrypted or not, it stands directly on the socket.
    pub(crate) fn set_layer(&self, layer: Rc<dyn Layer>) {
        self.stream.set_layer(layer);
        self.stream.wants_to_send();
    }

    /// The record layer, for a layer above it.
    pub(crate) fn tls(&self) -> Option<Rc<Tls>> {
        self.tls.clone()
    }

    /// The layer has something to send.
    pub(crate) fn wants_to_send(&self) {
        self.stream.wants_to_send();
    }

    /// Ready while little is unsent.
    #[inline]
    pub fn poll_room(&self) -> Poll<Result<(), Errno>> {
        self.poll_unsent_below(ROOM_BYTES)
    }

    /// [`Transport::poll_room`] as a future.
    pub async fn room(&self) -> Result<(), Errno> {
        poll_fn(|_| self.poll_room()).await
    }

    /// Waits until everything written is in the kernel's hands.
    pub async fn flushed(&self) -> Result<(), Errno> {
        poll_fn(|_| self.poll_unsent_below(1)).await
    }

    fn poll_unsent_below(&self, below: usize) -> Poll<Result<(), Errno>> {
        self.stream.poll_unsent_below(below.saturating_sub(self.unsealed_bytes()))
    }

    /// Bytes written but not yet in the kernel's hands.
    pub fn unsent(&self) -> usize {
        self.stream.unsent() + self.unsealed_bytes()
    }

    fn unsealed_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsealed_bytes())
    }

    /// Ends our direction once everything written is sent.
    pub fn finish(&self) {
        self.say_goodbye();
        self.stream.finish();
    }

    /// Nothing will be written any more and nothing is awaited; see [`Stream::end`].
    pub fn end(&self) {
        self.say_goodbye();
        self.stream.end();
    }

    fn say_goodbye(&self) {
        if let Some(tls) = &self.tls {
            tls.finishing.set(true);
            self.stream.wants_to_send();
        }
    }

    /// Closes it at once by a reset.
    pub fn reset(self) {
        self.stream.reset();
    }

    /// Arms the reception although nobody waits yet: so an idle connection learns of its peer's close.
    pub fn arm(&self) {
        self.stream.arm();
    }

    /// Waits until no reception is armed, so that bytes stay in the kernel.
    pub async fn disarm(&self) {
        self.stream.disarm().await;
    }

    /// Whether any worker could take it over, once it is idle: what is encrypted stays where its keys are.
    pub fn can_rest(&self) -> bool {
        self.tls.is_none()
    }

    /// Takes the connection to where any worker can take it from; see [`Stream::rest`].
    pub async fn rest(self) -> Option<AtRest> {
        if self.can_rest() { self.stream.rest().await } else { None }
    }

    /// Whether bytes can go from here to `to` inside the kernel, or may once it [was asked](Self::clear_lane) to seal there.
    pub fn can_splice(&self, to: &Self) -> bool {
        self.tls.is_none() && to.tls.as_ref().is_none_or(|tls| tls.may_leave_to_kernel()) && self.stream.can_splice()
    }

    /// Its socket, where nothing stands on it: for joining it with another's.
    pub fn plain(&self) -> Option<&Stream> {
        if self.tls.is_none() { Some(&self.stream) } else { None }
    }

    /// Waits until everything written is in the kernel's hands, and has it seal from now on what is sent here, where that is sealed. `false` when
    /// it will not: then all goes on as before, and nothing can be spliced here.
    pub async fn clear_lane(&self) -> Result<bool, Errno> {
        self.flushed().await?;
        Ok(self.tls.as_ref().is_none_or(|tls| tls.leave_to_kernel(&self.stream)))
    }

    /// Moves bytes to `to`, whose lane is [clear](Self::clear_lane), inside the kernel; see [`Stream::splice_to`].
    pub async fn splice_to(&self, to: &Self, length: u64) -> Result<u64, Errno> {
        self.stream.splice_to(&to.stream, length).await
    }
}

impl Tls {
    fn poll_handshake(&self, stream: &Stream) -> Poll<Result<(), Fault>> {
        loop {
            if let Some(fault) = self.fault.get() {
                return Poll::Ready(Err(fault));
            }
            if !self.session.borrow().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            match stream.poll_receive() {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                    if let Some(plain) = self.open(stream, chunk) {
                        self.decrypted.set(plain.len());
                        stream.put_back(plain);
                    }
                }
                Poll::Ready(_) => self.fault.set(Some(self.left)),
            }
        }
    }

    fn poll_receive(&self, stream: &Stream) -> Poll<Result<Chunk, Errno>> {
        loop {
            if self.decrypted.get() > 0 {
                let received = stream.poll_receive();
                if let Poll::Ready(Ok(chunk)) = &received {
                    self.decrypted.set(self.decrypted.get().saturating_sub(chunk.len()));
                }
                return received;
            }
            if self.fault.get().is_some() {
                return Poll::Ready(Err(Errno::CONNRESET));
            }
            if self.session.borrow().has_ended() {
                return Poll::Ready(Ok(Chunk::default()));
            }
            match stream.poll_receive() {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                    if let Some(plain) = self.open(stream, chunk) {
                        return Poll::Ready(Ok(plain));
                    }
                }
                // An end that was not announced may be anybody's doing (RFC 8446 §6.1).
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(Errno::CONNRESET)),
                broken @ Poll::Ready(Err(_)) => return broken,
            }
        }
    }

    /// The first plain bytes of what came; the rest goes back to the socket.
    fn open(&self, stream: &Stream, mut chunk: Chunk) -> Option<Chunk> {
        let mut session = self.session.borrow_mut();
        let opened = session.receive(&mut chunk);
        if session.wants_output() {
            stream.wants_to_send();
        }
        if !chunk.is_empty() {
            stream.put_back(chunk);
        }
        match opened {
            Ok(plain) => plain,
            Err(fault) => {
                if fault.cause == Cause::TlsKeyUpdate {
                    stream.count_key_ended();
                }
                self.fault.set(Some(fault));
                None
            }
        }
    }

    /// Bytes that are still to be encrypted: what was written, and the goodbye, before which nothing may be closed.
    fn unsealed_bytes(&self) -> usize {
        let owes_goodbye = self.finishing.get() && self.session.borrow().can_finish();
        self.plain.borrow().len() + if owes_goodbye { GOODBYE_BYTES } else { 0 }
    }

    fn may_leave_to_kernel(&self) -> bool {
        match self.sealer.get() {
            Sealer::Ours => !self.finishing.get() && self.session.borrow().can_give_key(),
            Sealer::Kernel => true,
            Sealer::Refused => false,
        }
    }

    /// Has the kernel seal what is sent from now on; everything before is sent. Whether it does.
    fn leave_to_kernel(&self, stream: &Stream) -> bool {
        if self.sealer.get() != Sealer::Ours {
            return self.sealer.get() == Sealer::Kernel;
        }
        let mut session = self.session.borrow_mut();
        let Some(key) = session.kernel_key().filter(|_| !self.finishing.get()) else { return false };
        let taken = stream.encrypt(Box::new(Given(key))).is_ok();
        if taken {
            session.key_given();
        }
        self.sealer.set(if taken { Sealer::Kernel } else { Sealer::Refused });
        taken
    }

    /// Encrypts what `write` gives, as soon as there are keys for it.
    pub(crate) fn fill_with(&self, output: &mut Output, write: impl FnOnce(&mut Output)) {
        let mut session = self.session.borrow_mut();
        session.transmit(output);
        if session.is_handshaking() {
            return;
        }
        let plain = &mut *self.plain.borrow_mut();
        write(plain);
        session.seal(plain, output);
        if self.finishing.get() {
            session.finish(output);
        }
    }
}

impl Layer for Tls {
    fn fill(&self, output: &mut Output) {
        self.fill_with(output, |_| {});
    }

    fn move_to_heap(&self) -> usize {
        self.plain.borrow_mut().move_to_heap()
    }
}

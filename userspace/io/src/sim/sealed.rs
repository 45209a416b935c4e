//! A simulated kernel that seals TLS records: what it is given becomes records of at most 16 KiB, and what TCP has no room for waits in front of
//! it, where a close loses it; Linux does both.

use core::mem::take;

use super::world::Inner;
use crate::{
    Errno, Fd, Kind, Outcome, Token,
    cipher::{CLOSE_NOTIFY, KernelCipher, RECORD_BYTES_MAX},
};

/// Type of a record of data (RFC 8446 §5.1).
const DATA: u8 = 23;

/// The sending half of a socket whose records the kernel seals.
pub(super) struct Sealed {
    pub(super) cipher: Box<dyn KernelCipher>,
    /// Bytes of content so far.
    given: u64,
    /// Sealed, and not taken by TCP yet.
    waiting: Vec<u8>,
    told: bool,
}

impl Inner {
    /// From now on what is sent on `fd` is sealed.
    pub(super) fn encrypt(&mut self, ring: usize, fd: Fd, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        self.check_descriptor(ring, fd, format_args!("to be sealed"));
        if !self.chaos.kernel_tls || self.random.happens(self.chaos.refuse_cipher) {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        if let Some((_, token)) =
            self.sockets.get(&fd).and_then(|socket| socket.users.iter().find(|(_, token)| matches!(token.kind, Kind::Send | Kind::Goodbye)))
        {
            let token = *token;
            self.breach(format!("{fd:?} is to be sealed while {token:?} is outstanding on it"));
        }
        // Linux knows no such thing on what is not connected.
        let (connection, side) = self.place(fd).ok_or(Errno(libc::ENOTCONN))?;
        let ours = &self.connections[connection].sides[side];
        if ours.dead || ours.incoming.end_arrived {
            return Err(Errno(libc::ENOTCONN));
        }
        let Some(socket) = self.sockets.get_mut(&fd) else { return Err(Errno(libc::EBADF)) };
        if socket.sealed.is_some() {
            return Err(Errno(libc::EBUSY));
        }
        socket.sealed = Some(Box::new(Sealed { cipher, given: 0, waiting: Vec::new(), told: false }));
        Ok(())
    }

    /// Sends, sealed where the kernel seals.
    pub(super) fn transmit(&mut self, fd: Fd, bytes: &[u8]) {
        let Some(sealed) = self.sealed(fd) else { return self.transmit_bytes(fd, bytes) };
        sealed.given += bytes.len() as u64;
        for record in bytes.chunks(RECORD_BYTES_MAX) {
            sealed.cipher.seal(DATA, record, &mut sealed.waiting);
        }
        self.pass_on(fd);
    }

    /// Lets TCP take of what is sealed as much as it has room for.
    pub(super) fn pass_on(&mut self, fd: Fd) {
        if !self.holds_back(fd) {
            return;
        }
        let room = self.room(fd).unwrap_or_default();
        let Some(sealed) = self.sealed(fd) else { return };
        let mut bytes = take(&mut sealed.waiting);
        sealed.waiting = bytes.split_off(room.min(bytes.len()));
        self.transmit_bytes(fd, &bytes);
    }

    /// Whether something is sealed that TCP has not taken.
    pub(super) fn holds_back(&self, fd: Fd) -> bool {
        self.sockets.get(&fd).and_then(|socket| socket.sealed.as_ref()).is_some_and(|sealed| !sealed.waiting.is_empty())
    }

    pub(super) fn goodbye(&mut self, ring: usize, token: Token, (fd, given, wait): (Fd, u64, bool)) {
        let room = self.sending_room(fd);
        let Some(sealed) = self.sealed(fd) else {
            return self.breach(format!("ring {ring}: a Goodbye on {fd:?}, which is not sealed"));
        };
        if sealed.given != given {
            let known = sealed.given;
            return self.breach(format!("ring {ring}: {known} bytes were given to {fd:?}, not {given}"));
        }
        match room {
            Err(errno) => {
                self.forget_error(fd);
                return self.end(ring, token, Outcome::Done(Err(errno)));
            }
            Ok(room) if room > 0 && !sealed.told => {
                sealed.told = true;
                let (kind, content) = CLOSE_NOTIFY;
                sealed.cipher.seal(kind, &content, &mut sealed.waiting);
                self.pass_on(fd);
            }
            Ok(_) => {}
        }
        let is_done = self.sealed(fd).is_some_and(|sealed| sealed.told && sealed.waiting.is_empty());
        match (is_done, wait) {
            (true, _) => self.end(ring, token, Outcome::Done(Ok(0))),
            (false, false) => self.end(ring, token, Outcome::Done(Err(Errno::AGAIN))),
            (false, true) => {}
        }
    }

    fn sealed(&mut self, fd: Fd) -> Option<&mut Sealed> {
        self.sockets.get_mut(&fd)?.sealed.as_deref_mut()
    }
}

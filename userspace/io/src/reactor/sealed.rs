//! Sockets whose records the kernel seals: what it was given to seal, and the goodbye it says at their end.

use super::Reactor;
use crate::{
    Errno, KernelCipher, Op, TaskId,
    cipher::{Goodbye, Sealed},
    executor::Executor,
};

impl Reactor {
    /// Has the kernel seal what is sent from now on.
    pub(crate) fn encrypt(&mut self, slot: u32, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        let socket = self.socket(slot);
        if socket.unsent() > 0 || socket.flags.send_out || socket.sealed.is_some() {
            return Err(Errno::BUSY);
        }
        let (fd, sealed) = (socket.fd, Sealed::new(&*cipher));
        let given = self.backend.encrypt(fd, cipher);
        if given.is_ok() {
            self.socket(slot).sealed = Some(Box::new(sealed));
            self.counts.kernel_tls += 1;
        } else {
            self.counts.kernel_tls_refused += 1;
        }
        given
    }

    /// The kernel was given so many bytes to seal. What a spent key would protect is not sent any more.
    pub(super) fn given(&mut self, slot: u32, bytes: u64) {
        let socket = self.socket(slot);
        let fd = socket.fd;
        let Some(sealed) = &mut socket.sealed else { return };
        if !sealed.give(bytes) {
            return;
        }
        let sequence = self.backend.sealed_sequence(fd).unwrap_or(u64::MAX);
        let socket = self.socket(slot);
        if socket.sealed.as_mut().is_some_and(|sealed| sealed.is_spent_at(sequence)) {
            socket.send_error.get_or_insert(Errno::KEYEXPIRED);
            socket.output.clear();
            self.counts.kernel_tls_ended += 1;
        }
    }

    pub(super) fn say_goodbye(&mut self, slot: u32) {
        let socket = self.socket(slot);
        let Some(sealed) = &mut socket.sealed else { return };
        sealed.goodbye = Goodbye::Out;
        let (fd, given, wait) = (socket.fd, sealed.given, !socket.flags.released);
        self.start(slot, Op::Goodbye { fd, given, wait });
    }

    pub(super) fn goodbye_said(&mut self, slot: u32, result: Result<u64, Errno>, executor: &Executor) {
        let socket = self.socket(slot);
        if let Some(sealed) = &mut socket.sealed {
            sealed.goodbye = Goodbye::Said;
        }
        if let Err(errno) = result {
            // Something was left that the peer will not get: it must not take what it has for the whole.
            socket.flags.reset |= socket.flags.released;
            socket.send_error.get_or_insert(errno);
        }
        executor.wake(core::mem::replace(&mut socket.writer, TaskId::NONE));
        if !socket.flags.dirty {
            self.settle(slot);
        }
    }
}

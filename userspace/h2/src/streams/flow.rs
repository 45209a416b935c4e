//! Flow control (RFC 9113 §5.2, §6.9): one window for each stream and one for the connection, each way. What we grant follows what was
//! consumed, so that a slow reader far away slows the sender down and nothing piles up in between.

use crate::frame::WINDOW_MAX;

/// A window would exceed 2^31-1, or was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

/// What we may send, in bytes. Settings can make it negative (RFC 9113 §6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendWindow(i32);

impl SendWindow {
    pub(crate) fn new(bytes: u32) -> Self {
        Self(i32::try_from(bytes).unwrap_or(i32::MAX))
    }

    /// How much may be sent now.
    pub(crate) fn open(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// So much was sent, never more than is [open](Self::open).
    pub(crate) fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(i32::try_from(bytes).unwrap_or(i32::MAX));
    }

    /// The peer grants so much more, or its settings shift all windows.
    pub(crate) fn shift(&mut self, by: i64) -> Result<(), Exceeded> {
        self.0 = shifted(self.0, by)?;
        Ok(())
    }
}

/// What the peer may send, in bytes, and what has become of what it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiveWindow {
    open: i32,
    /// Given out and not consumed yet.
    told: u32,
    /// Consumed and not granted anew yet.
    returned: u32,
}

impl ReceiveWindow {
    pub(crate) fn new(bytes: u32) -> Self {
        Self { open: i32::try_from(bytes).unwrap_or(i32::MAX), told: 0, returned: 0 }
    }

    /// A frame of so many bytes has come.
    pub(crate) fn receive(&mut self, bytes: u32) -> Result<(), Exceeded> {
        let bytes = i32::try_from(bytes).map_err(|_out_of_range| Exceeded)?;
        if bytes > self.open {
            return Err(Exceeded);
        }
        self.open -= bytes;
        Ok(())
    }

    /// So many of them were given out.
    pub(crate) fn tell(&mut self, bytes: u32) {
        self.told += bytes;
    }

    /// So many of those were consumed; gives how many really were out.
    pub(crate) fn consume(&mut self, bytes: u32) -> u32 {
        let bytes = bytes.min(self.told);
        self.told -= bytes;
        self.returned += bytes;
        bytes
    }

    /// So many were never given out: padding, or what nobody wants.
    pub(crate) fn discard(&mut self, bytes: u32) {
        self.returned = self.returned.saturating_add(bytes);
    }

    /// What was given out and is not consumed.
    pub(crate) fn outstanding(&self) -> u32 {
        self.told
    }

    /// What is to be granted now: nothing until half of `size` has come back, so that updates stay few.
    pub(crate) fn grant(&mut self, size: u32) -> Option<u32> {
        if self.returned == 0 || self.returned < size / 2 {
            return None;
        }
        let returned = core::mem::take(&mut self.returned);
        self.open = self.open.saturating_add(i32::try_from(returned).unwrap_or(i32::MAX));
        Some(returned)
    }

    /// The peer knows our settings now, which shift all windows.
    pub(crate) fn shift(&mut self, by: i64) {
        self.open = shifted(self.open, by).unwrap_or(i32::MAX);
    }
}

fn shifted(window: i32, by: i64) -> Result<i32, Exceeded> {
    let window = i64::from(window) + by;
    if window > i64::from(WINDOW_MAX) { Err(Exceeded) } else { i32::try_from(window).map_err(|_out_of_range| Exceeded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_may_be_negative_but_not_too_large() {
        let mut window = SendWindow::new(10);
        window.take(10);
        window.shift(-5).unwrap();
        assert_eq!(window.open(), 0);
        window.shift(7).unwrap();
        assert_eq!(window.open(), 2);
        assert_eq!(window.shift(i64::from(WINDOW_MAX) - 1), Err(Exceeded));
        assert_eq!(window.open(), 2);
        window.shift(i64::from(WINDOW_MAX) - 2).unwrap();
    }

    #[test]
    fn grants_follow_consumption() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.receive(101), Err(Exceeded));
        window.receive(100).unwrap();
        window.tell(90);
        window.discard(10);
        assert_eq!((window.receive(1), window.grant(100), window.outstanding()), (Err(Exceeded), None, 90));
        assert_eq!(window.consume(40), 40);
        assert_eq!((window.grant(100), window.grant(100)), (Some(50), None));
        window.receive(50).unwrap();
        assert_eq!(window.consume(500), 50);
    }
}

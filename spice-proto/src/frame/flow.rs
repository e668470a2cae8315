//! Flow control by acknowledgements (display and cursor channels).
//!
//! The server sends `SET_ACK{generation, window}`. The client answers `ACK_SYNC{generation}` at once and
//! an `ACK` after every `window` messages that follow, of any type; a LIST is one message. The server
//! ignores ACKs until it sees the generation, and stops when twice the window is not acknowledged.

/// What a client owes after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Nothing.
    Nothing,
    /// An `ACK`.
    Ack,
}

/// The client's side: counts received messages and tells when an `ACK` is due.
#[derive(Debug, Clone, Default)]
pub struct AckCounter {
    window: u32,
    left: u32,
    received: u64,
}

impl AckCounter {
    /// Nothing is acknowledged before the first `SET_ACK`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 0,
            left: 0,
            received: 0,
        }
    }

    /// A message was received; call it before the message itself is handled, so that a `SET_ACK` is
    /// counted in the window before its own.
    #[inline]
    pub fn received(&mut self) -> Acknowledge {
        self.received = self.received.saturating_add(1);
        match self.left {
            0 => Acknowledge::Nothing,
            1 => {
                self.left = self.window;
                Acknowledge::Ack
            }
            left => {
                self.left = left.saturating_sub(1);
                Acknowledge::Nothing
            }
        }
    }

    /// That message was `SET_ACK`: its window counts from the next one. Answer `ACK_SYNC` with its
    /// generation.
    pub fn set(&mut self, window: u32) {
        (self.window, self.left) = (window, window);
    }

    /// Messages received: the serial of the last one when headers are mini.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.received
    }
}

/// The server's side: counts sent messages and tells when to stop.
#[derive(Debug, Clone, Default)]
pub struct AckWindow {
    window: u32,
    generation: u32,
    synced: bool,
    unacknowledged: u64,
}

impl AckWindow {
    /// No flow control before [`AckWindow::set`].
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 0,
            generation: 0,
            synced: false,
            unacknowledged: 0,
        }
    }

    /// `SET_ACK` is sent with this window and the returned generation, which is a new one each time.
    pub fn set(&mut self, window: u32) -> u32 {
        let generation = self.generation.wrapping_add(1);
        *self = Self {
            window,
            generation,
            synced: false,
            unacknowledged: 0,
        };
        generation
    }

    /// A message is sent.
    pub fn sent(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_add(1);
    }

    /// `ACK_SYNC` came. One of an older generation has no effect.
    pub fn ack_sync(&mut self, generation: u32) {
        if generation == self.generation && !self.synced {
            (self.synced, self.unacknowledged) = (true, 0);
        }
    }

    /// `ACK` came. It has no effect before the `ACK_SYNC` of this generation.
    pub fn ack(&mut self) {
        if self.synced {
            self.unacknowledged = self.unacknowledged.saturating_sub(self.window.into());
        }
    }

    /// Whether another message may be sent now.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.window == 0 || self.unacknowledged < u64::from(self.window).saturating_mul(2)
    }
}

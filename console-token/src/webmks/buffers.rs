//! The buffers of a log-in, which hold secrets for a while.

use core::{fmt, ops::Deref};

use bytes::BytesMut;
use zeroize::Zeroize as _;

/// The connection's buffers. The driver fills `rx` and empties `tx`.
///
/// `tx` has the ticket in it for a while, and `rx` too, where authd repeats the name that it was sent. `Debug` shows
/// lengths only. What is left in the buffers when they are dropped is overwritten; so is what [`sent`](Self::sent)
/// takes away, and each reply that was read.
#[derive(Default)]
pub struct Buffers {
    /// Bytes that were received and not yet used.
    pub rx: BytesMut,
    /// Bytes to send.
    pub tx: BytesMut,
}

impl Buffers {
    /// The first `len` bytes of `tx` were sent: overwrites and removes them.
    pub fn sent(&mut self, len: usize) {
        drop(Wiped(self.tx.split_to(len.min(self.tx.len()))));
    }

    /// Writes a text behind what is in `tx`. If `tx` has to grow, the former buffer is overwritten.
    pub(super) fn put(&mut self, parts: &[&str]) {
        let len = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
        let room = self.tx.capacity().saturating_sub(self.tx.len());
        if room < len {
            let mut grown = BytesMut::with_capacity(self.tx.len().saturating_add(len));
            grown.extend_from_slice(&self.tx);
            drop(Wiped(core::mem::replace(&mut self.tx, grown)));
        }
        for part in parts {
            self.tx.extend_from_slice(part.as_bytes());
        }
    }

    /// Takes bytes off `rx`, which are overwritten when they were looked at.
    pub(super) fn take(&mut self, len: usize) -> Wiped {
        Wiped(self.rx.split_to(len.min(self.rx.len())))
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.rx.as_mut().zeroize();
        self.tx.as_mut().zeroize();
    }
}

/// Lengths only.
impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers")
            .field("rx", &self.rx.len())
            .field("tx", &self.tx.len())
            .finish()
    }
}

/// Bytes that are overwritten when they are dropped.
pub(super) struct Wiped(BytesMut);

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.as_mut().zeroize();
    }
}

//! Limits on what a peer can make us hold. Each is checked before anything is allocated.

/// Limits of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest text of a [`Reason`](crate::security::Reason), in bytes: 4096. Real texts are under
    /// 100 bytes; other clients stop between 256 bytes and 1 MiB. A server can announce 4 GiB, and
    /// a proxy has no reason to trust the server behind it more than anybody else.
    pub reason: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reason: 4096 }
    }
}

impl Limits {
    /// Sets [`Limits::reason`].
    #[must_use]
    pub fn with_reason(mut self, bytes: u32) -> Self {
        self.reason = bytes;
        self
    }
}

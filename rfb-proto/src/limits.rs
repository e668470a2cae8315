//! Limits on what a peer can make us hold. Each is checked before anything is allocated.

/// Limits of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest text of a [`Reason`](crate::security::Reason), in bytes: 4096. Real texts are under
    /// 100 bytes; other clients stop between 256 bytes and 1 MiB. A server can announce 4 GiB, and
    /// a proxy has no reason to trust the server behind it more than anybody else.
    pub reason: u32,
    /// Longest name of a desktop, in bytes: 4096. QEMU's are at most 1023, libvncclient takes 1 MiB.
    pub name: u32,
    /// Longest clipboard text, in bytes: 1 MiB, as QEMU.
    pub cut_text: u32,
    /// Most bytes that the pixels of one rectangle may have: 256 MiB (a 64-megapixel picture).
    pub rectangle: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reason: 4096,
            name: 4096,
            cut_text: 1 << 20,
            rectangle: 256 << 20,
        }
    }
}

impl Limits {
    /// Sets [`Limits::reason`].
    #[must_use]
    pub fn with_reason(mut self, bytes: u32) -> Self {
        self.reason = bytes;
        self
    }

    /// Sets [`Limits::name`].
    #[must_use]
    pub fn with_name(mut self, bytes: u32) -> Self {
        self.name = bytes;
        self
    }

    /// Sets [`Limits::cut_text`].
    #[must_use]
    pub fn with_cut_text(mut self, bytes: u32) -> Self {
        self.cut_text = bytes;
        self
    }

    /// Sets [`Limits::rectangle`].
    #[must_use]
    pub fn with_rectangle(mut self, bytes: u32) -> Self {
        self.rectangle = bytes;
        self
    }
}

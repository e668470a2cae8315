//! The bytes of a whole file.

use core::fmt;

use crate::wiped::Wiped;

/// The bytes of a file that is ready to be sent or stored.
///
/// They can contain secrets: `Debug` shows the length only, and the bytes are overwritten when the document is
/// dropped.
pub struct Document(Wiped);

impl Document {
    pub(crate) fn new(bytes: Wiped) -> Self {
        Self(bytes)
    }

    /// The file, byte for byte. The caller keeps copies of it secret.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.0.len())
    }
}

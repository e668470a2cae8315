//! Differences between SPICE and VNC files.

use crate::key;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Spice,
    Vnc,
}

impl Protocol {
    /// Bytes of the longest password: the ticket of SPICE holds 60, and the DES key of VNC 8.
    pub(crate) fn password_limit(self) -> usize {
        match self {
            Self::Spice => 60,
            Self::Vnc => 8,
        }
    }

    /// Whether virt-viewer ignores a key in a file for this protocol.
    pub(crate) fn ignores(self, key: &str) -> bool {
        self == Self::Vnc && SPICE_ONLY.contains(&key)
    }
}

/// Keys that virt-viewer ignores in a VNC file.
const SPICE_ONLY: &[&str] = &[
    key::TLS_PORT,
    key::CA,
    key::HOST_SUBJECT,
    key::TLS_CIPHERS,
    key::PROXY,
    key::SECURE_CHANNELS,
    key::ENABLE_SMARTCARD,
    key::ENABLE_USBREDIR,
    key::ENABLE_USB_AUTOSHARE,
    key::USB_FILTER,
    key::COLOR_DEPTH,
    key::DISABLE_EFFECTS,
    key::UNIX_PATH,
];

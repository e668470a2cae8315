//! What the two protocols of a viewer differ in.

use crate::key;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Spice,
    Vnc,
}

impl Protocol {
    /// Bytes of a password that the protocol takes: those that fit the ticket of SPICE, and the DES key of VNC.
    pub(crate) fn password_limit(self) -> usize {
        match self {
            Self::Spice => 60,
            Self::Vnc => 8,
        }
    }

    /// Whether virt-viewer does not look at a key in a file for this protocol.
    pub(crate) fn ignores(self, key: &str) -> bool {
        self == Self::Vnc && SPICE_ONLY.contains(&key)
    }
}

/// What virt-viewer does not look at in a VNC file. A caller who sets one of these counts on it.
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

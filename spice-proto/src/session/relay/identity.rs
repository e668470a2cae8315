//! Which guest a hypervisor says that it has.

use alloc::string::String;
use core::fmt::Write as _;

use bytes::Bytes;

use crate::channel::main::{Name, ServerMessage, Uuid};

/// Which guest a hypervisor says that it has: by `SPICE_MSG_MAIN_NAME` and `SPICE_MSG_MAIN_UUID`.
///
/// spice-server says both behind `INIT` to a client that begins a session with
/// [`NAME_AND_UUID`](crate::caps::main::NAME_AND_UUID), where QEMU was started with `-name` and `-uuid`. To a client that
/// follows a move without a break, seamlessly or not, it says neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestIdentity {
    /// Its name, without the NUL.
    pub name: Option<Bytes>,
    /// Its UUID, in the order of its text form.
    pub uuid: Option<[u8; 16]>,
}

impl GuestIdentity {
    /// Whether a message of a server's main channel holds one of the two.
    pub(super) const fn is_said_by(number: u16) -> bool {
        matches!(number, ServerMessage::NAME | ServerMessage::UUID)
    }

    /// What a message of a server's main channel says. One that cannot be read says nothing.
    pub(crate) fn read(number: u16, body: &[u8]) -> Self {
        let mut said = Self::default();
        match number {
            ServerMessage::NAME => said.name = Name::decode_slice(body).ok().map(|name| bare(&name.name)),
            ServerMessage::UUID => said.uuid = Uuid::decode_slice(body).ok().map(|uuid| uuid.uuid),
            _ => {}
        }
        said
    }

    /// Adds what another message says.
    #[cfg(all(feature = "tokio", feature = "rsa"))]
    pub(crate) fn add(&mut self, said: Self) {
        self.name = said.name.or_else(|| self.name.take());
        self.uuid = said.uuid.or(self.uuid);
    }

    /// Whether it says nothing at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.uuid.is_none()
    }

    /// Its UUID as text: 32 lower-case hexadecimal digits with four hyphens.
    ///
    /// ```
    /// use spice_proto::session::relay::GuestIdentity;
    ///
    /// let said = GuestIdentity { uuid: Some([0x52; 16]), ..GuestIdentity::default() };
    /// assert_eq!(said.uuid_text().as_deref(), Some("52525252-5252-5252-5252-525252525252"));
    /// ```
    #[must_use]
    pub fn uuid_text(&self) -> Option<String> {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.uuid?.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            // INVARIANT: a String takes everything.
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }
}

/// Up to the first NUL.
fn bare(name: &Bytes) -> Bytes {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.slice(..end)
}

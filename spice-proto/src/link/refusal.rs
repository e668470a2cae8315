//! The answer to a refused client.

use crate::ids::LinkErrorCode;

/// The answer to a client that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A code: in a `LinkReply` before the ticket was asked for and in the middle of a SASL exchange, in a
    /// `LinkResult` after them.
    ///
    /// spice-gtk reconnects with TLS on `NEED_SECURED`, and shows every code in a `LinkResult` as a wrong
    /// password. The code should be the same whatever was wrong with a ticket.
    Code(LinkErrorCode),
    /// Nothing: the connection is closed. spice-server does so for a channel that it does not have, and when a SASL
    /// mechanism fails.
    Close,
}

impl Refusal {
    /// The answer to a client whose ticket opens nothing, whatever the reason is: unknown, spent, expired, revoked, not
    /// decryptable, for another session, or with no room left. Different answers would show a stranger which tokens
    /// there are. After a wrong password spice-server says the same.
    pub const DENIED: Self = Self::Code(LinkErrorCode::PERMISSION_DENIED);
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "told {code}"),
            Self::Close => f.write_str("told nothing"),
        }
    }
}

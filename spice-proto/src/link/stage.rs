//! How far a link has got.

#[cfg(doc)]
use super::{LinkHeader, LinkMess, LinkReply};

/// Where in the link stage a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes of a [`LinkHeader`] or [`LinkMess`] are due from the client.
    LinkMess,
    /// Bytes of a [`LinkHeader`] or [`LinkReply`] are due from the server.
    LinkReply,
    /// The selector is due from the client.
    AuthMechanism,
    /// The sealed ticket is due from the client.
    Ticket,
    /// Bytes of the SASL exchange are due.
    Sasl,
    /// The result is due from the server.
    LinkResult,
    /// An answer is due from the caller.
    Answer,
    /// The link stands, or has failed.
    Ended,
}

impl core::fmt::Display for Stage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::LinkMess => "the link message",
            Self::LinkReply => "the link reply",
            Self::AuthMechanism => "the authentication mechanism",
            Self::Ticket => "the ticket",
            Self::Sasl => "the SASL exchange",
            Self::LinkResult => "the link result",
            Self::Answer => "the caller's answer",
            Self::Ended => "nothing",
        })
    }
}

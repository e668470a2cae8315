//! What became of a hypervisor's ticket.

use crate::ids::LinkErrorCode;

/// What became of the ticket that a hypervisor was to be given.
///
/// A use of a token is spent as soon as the ticket may have reached a hypervisor: one that answers too late, or never,
/// may have let the viewer in. It is not spent where no ticket was sent, nor where the hypervisor said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketOutcome {
    /// None was sent: the hypervisor was not reached, refused the channel in its link reply, lacks a capability, or
    /// does not speak SPICE; or the tenant was gone first.
    NotSent,
    /// The hypervisor said no to it, with this code.
    Refused(LinkErrorCode),
    /// The hypervisor said yes to it.
    Accepted,
    /// It may have been sent, and there is no answer: time ran out, the connection failed or made no sense, or the link
    /// was given up meanwhile.
    Unknown,
}

impl TicketOutcome {
    /// Whether the use that was taken for the link is spent: the hypervisor accepted the ticket, or may have.
    #[must_use]
    pub const fn spends(self) -> bool {
        matches!(self, Self::Accepted | Self::Unknown)
    }
}

impl core::fmt::Display for TicketOutcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotSent => f.write_str("no ticket was sent"),
            Self::Refused(code) => write!(f, "the hypervisor refused the ticket: {code}"),
            Self::Accepted => f.write_str("the hypervisor accepted the ticket"),
            Self::Unknown => f.write_str("the ticket may have been sent, and there is no answer"),
        }
    }
}

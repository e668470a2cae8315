//! Why a connection is refused.

#[cfg(doc)]
use crate::link::Refusal;

/// Bytes of a ticket's text at most, as spice-server and spice-gtk have it.
pub const MAX_TICKET: usize = crate::link::ticket::MAX_PASSWORD_LEN;

/// Why a connection may not join. The table in [`super`] has them in this order.
///
/// It is for logs. The viewer gets [`Refusal::DENIED`] whatever it is, as for a token that opens nothing: a different
/// answer would show an attacker which guesses of tokens and ids are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// (a) A main channel wants a new session with a token that has one: a replay, which would throw the user out.
    #[error("the token has its session already")]
    Replayed,
    /// (b) Another channel than main, with a token whose session has not been told its id yet.
    #[error("the token has no session yet")]
    NotBound,
    /// (c) Another channel than main with `connection_id` 0.
    #[error("no connection id")]
    NoConnectionId,
    /// (d) Not this session's `connection_id`, be it another session's or none.
    #[error("not the session's connection id")]
    WrongConnectionId,
    /// (e) A channel that `CHANNELS_LIST` did not name.
    #[error("a channel that was not announced")]
    NotAnnounced,
    /// (f) A channel that is connected already.
    #[error("a channel that is connected already")]
    Duplicate,
    /// (g) A main channel with a `connection_id`, and no migration is waiting for it.
    #[error("no migration is waiting for this")]
    NoMigration,
    /// (h) The session's main channel has ended, and the session with it.
    #[error("the session has ended")]
    Ended,
    /// (i) Another address than the session's main channel came from, and the configuration forbids that.
    #[error("another address than the session's")]
    OtherAddress,
    /// (j) No TLS, where the session's main channel has it.
    #[error("no TLS in a session with TLS")]
    Downgrade,
    /// (k) SASL, where nothing ends it.
    #[error("SASL is not ended here")]
    Sasl,
    /// (l) A ticket that no viewer sends.
    #[error("the ticket is {0}")]
    Ticket(#[from] TicketFault),
    /// (m) The time for the link stage had run out, or the connection is gone.
    #[error("too late")]
    Late,
    /// The tracker holds as many sessions as it may.
    #[error("too many sessions")]
    TooManySessions,
    /// The session has as many connections as it may.
    #[error("too many connections in this session")]
    TooManyLinks,
}

/// What is wrong with a ticket (l).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TicketFault {
    /// More than [`MAX_TICKET`] bytes.
    #[error("too long")]
    TooLong,
    /// A NUL in it; the one at its end is not a part of it.
    #[error("cut by a NUL")]
    Nul,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// Reads the content of an opened ticket as a token, without the NUL at its end.
///
/// spice-server compares up to the first NUL, so that many tickets are one password to it. Here a ticket is one token
/// or none.
///
/// # Errors
/// [`TicketFault`].
pub fn ticket_text(ticket: &[u8]) -> Result<&str, TicketFault> {
    let text = ticket.strip_suffix(&[0]).unwrap_or(ticket);
    if MAX_TICKET < text.len() {
        return Err(TicketFault::TooLong);
    }
    if text.contains(&0) {
        return Err(TicketFault::Nul);
    }
    core::str::from_utf8(text).map_err(|_| TicketFault::NotUtf8)
}

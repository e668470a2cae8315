//! What becomes of messages and connections.

#[cfg(doc)]
use super::Migration;
use super::Target;
#[cfg(doc)]
use crate::link::Side;

/// A connection in a [`Migration`]. Free again after [`Migration::lost`] or a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionHandle(pub(super) usize);

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// It goes on as it came.
    Forward,
    /// This id has to be recorded wherever other processes look for it; then it goes on as it came.
    Bind(u32),
    /// Accept this only if it is a place of the guest that the session is of. Hold the message until
    /// [`Migration::accept`] or [`Migration::refuse`] has said what goes on in its place.
    Ask(Target),
    /// A message with this number and without a body goes on in its place.
    Instead(u16),
    /// Nothing goes on; it was the client's.
    Drop,
    /// It must not go on, and the connection ends.
    Refuse(Fault),
}

/// Why a message must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It does not decode.
    #[error("does not decode")]
    Malformed,
    /// The other side did not ask for it.
    #[error("was not asked for")]
    Unasked,
    /// Its sender says it out of order, or on the wrong connection.
    #[error("out of order")]
    OutOfOrder,
    /// MIGRATE_DATA that the source did not send for this channel.
    #[error("not the state that the source sent")]
    Forged,
    /// Something else than MIGRATE_DATA behind a MIGRATE that needs it.
    #[error("between MIGRATE and MIGRATE_DATA")]
    NotAdjacent,
    /// The session has ended, and its connections are to be closed.
    #[error("the session has ended")]
    Ended,
    /// A message about migration inside of another.
    #[error("hidden in a list")]
    Hidden,
}

/// The viewer's answer when the hypervisor was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The result OK.
    Accept,
    /// The result OK, and nothing behind it: to refuse this one would crash a viewer that opens others.
    Pretend,
    /// It was told OK already, when the time ran out: close the hypervisor's side.
    Pretended,
    /// A result that is not OK.
    Refuse,
    /// Nothing: to any result but OK viewers show a question for the password.
    Close,
}

/// What the end of one side of a connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Close the other side, too.
    Close,
    /// The viewer's side stays open, and silent.
    Pretend,
    /// A display channel whose client said nothing yet: send `DISPLAY_INIT` to the hypervisor, wait for its first
    /// message, and close then. Closed before, it ends the QEMU process.
    InitThenClose,
    /// Close the other side. The session goes on without a main channel for a while, since it moves.
    Wait,
    /// Close the other side. The session has ended: see [`Effect::End`].
    End,
}

/// What has to be done beside what messages bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Close this connection, as after [`Migration::lost`] for [`Side::Tenant`], which is to be called.
    Close(ConnectionHandle),
    /// Write the result OK to the viewer, and nothing behind it: the time for the hypervisor's answer is over.
    Pretend(ConnectionHandle),
    /// Send `MIGRATE_CANCEL` to the viewer on this main channel.
    Cancel(ConnectionHandle),
    /// Close every connection, as for [`Effect::Close`].
    End,
}

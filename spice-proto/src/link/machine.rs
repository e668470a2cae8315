//! What all machines of the link stage have in common.

use core::time::Duration;

use bytes::BytesMut;
use zeroize::Zeroize as _;

use super::HandshakeError;
use crate::fields::Unseen;

/// One connection's buffers. The driver fills `rx` and empties `tx`.
///
/// Passwords pass through both: a machine overwrites those that it takes off `rx`, and `Debug` shows how many bytes
/// there are and none of them.
#[derive(Default)]
pub struct Buffers {
    /// Bytes that were received and not yet used.
    pub rx: BytesMut,
    /// Bytes to send.
    pub tx: BytesMut,
}

impl Buffers {
    /// Overwrites what was received and will not be used: a part of a password may be in it.
    pub(crate) fn wipe(&mut self) {
        self.rx.as_mut().zeroize();
        self.rx.clear();
    }
}

impl core::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Buffers")
            .field("rx", &Unseen(&self.rx))
            .field("tx", &Unseen(&self.tx))
            .finish()
    }
}

/// The buffers of a machine between two connections.
#[derive(Debug, Default)]
pub struct SideBuffers {
    /// Towards the user's viewer.
    pub tenant: Buffers,
    /// Towards the machine that runs the guest.
    pub hypervisor: Buffers,
}

impl SideBuffers {
    /// The buffers of one side.
    pub fn side(&mut self, side: Side) -> &mut Buffers {
        match side {
            Side::Tenant => &mut self.tenant,
            Side::Hypervisor => &mut self.hypervisor,
        }
    }
}

/// One of the two connections of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the user's viewer.
    Tenant,
    /// Towards the machine that runs the guest.
    Hypervisor,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Hypervisor => "hypervisor",
        })
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<Question, Outcome> {
    /// Read at least so many bytes more into `rx`.
    Receive {
        /// Further bytes; never 0.
        at_least: usize,
    },
    /// Find an answer, which may take time, and give it.
    Ask(Question),
    /// The question is still open.
    Waiting,
    /// The link stands.
    Done(Outcome),
}

/// A machine on one connection, for drivers that take any.
///
/// ```
/// use std::time::Duration;
/// use spice_proto::link::{Action, Buffers, HandshakeError, Machine};
///
/// /// What a driver does next.
/// enum Next<Q, O> {
///     /// Send `tx`, then read at least so many bytes, until the deadline at the latest.
///     Read(usize, Duration),
///     /// Send `tx`, find an answer, and step again.
///     Answer(Q),
///     /// Send `tx`; the link stands.
///     Linked(O),
/// }
///
/// fn next<M: Machine>(machine: &mut M, now: Duration, buffers: &mut Buffers)
///     -> Result<Option<Next<M::Question, M::Outcome>>, HandshakeError>
/// {
///     Ok(match machine.step(now, buffers)? {
///         Action::Receive { at_least } => Some(Next::Read(at_least, machine.deadline())),
///         Action::Ask(question) => Some(Next::Answer(question)),
///         Action::Waiting => None,
///         Action::Done(outcome) => Some(Next::Linked(outcome)),
///     })
/// }
/// ```
pub trait Machine {
    /// What it asks.
    type Question;
    /// What it ends with.
    type Outcome;

    /// Uses what is in `rx`, writes to `tx`, says what it needs. `now` is the time since any fixed moment.
    ///
    /// # Errors
    /// The link failed; the answer to the peer is in `tx`. Later calls give the same error.
    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<Self::Question, Self::Outcome>, HandshakeError>;

    /// Step again at this time at the latest; the step then returns [`HandshakeError::TimedOut`].
    fn deadline(&self) -> Duration;

    /// The peer hung up. In the link stage that is always an error.
    ///
    /// # Errors
    /// [`HandshakeError::Closed`], or what had gone wrong before.
    fn eof(&mut self) -> Result<Self::Outcome, HandshakeError>;

    /// The most that `rx` needs to hold: a driver need not read on beyond it.
    fn max_input(&self) -> usize;
}

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The viewer.
    Client,
    /// The hypervisor.
    Server,
}

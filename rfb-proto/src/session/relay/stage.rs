//! What the stages of a relay have in common.

use bytes::Buf as _;

use super::question::{Action, End};
use crate::error::DecodeError;
use crate::handshake::SideBuffers;
use crate::init::{ClientInit, ServerInit};
use crate::limits::Limits;

/// A side whose bytes cannot go on is read up to here all the same, to see when it goes.
pub(super) const AHEAD: usize = 16 << 10;

/// Which sides have hung up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gone {
    pub(super) tenant: bool,
    pub(super) hypervisor: bool,
}

/// What the driver does next, or how a stage ended.
pub(super) type Next<T> = Result<Action, Over<T>>;

/// How a stage ended.
#[derive(Debug)]
pub(super) enum Over<T> {
    /// The next one begins, with this.
    Next(T),
    End(End),
}

impl<T> From<End> for Over<T> {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

/// Takes a ServerInit off the front of a hypervisor's bytes, which go to `tenant` if there is one to be shown it.
/// `None`: it is not whole.
pub(super) fn take_init(
    sides: &mut SideBuffers,
    limits: &Limits,
    is_shown: bool,
) -> Result<Option<ServerInit>, DecodeError> {
    let rx = &mut sides.hypervisor.rx;
    if ServerInit::missing(rx, limits)? != 0 {
        return Ok(None);
    }
    let init = ServerInit::decode_slice(rx, limits)?;
    let len = init.encoded_len();
    if is_shown {
        sides.tenant.tx.extend_from_slice(rx.get(..len).unwrap_or_default());
    }
    rx.advance(len);
    Ok(Some(init))
}

/// Takes a ClientInit off the front of a tenant's bytes.
pub(super) fn take_client_init(sides: &mut SideBuffers) -> Option<ClientInit> {
    let shared = *sides.tenant.rx.first()?;
    sides.tenant.rx.advance(1);
    Some(ClientInit { shared })
}

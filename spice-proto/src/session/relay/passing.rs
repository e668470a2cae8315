//! A connection whose session another proxy has: it is handed on to that one.

use bytes::BytesMut;

use super::forwarding::HIGH_WATER;
use super::{Action, End};
use crate::ids::LinkErrorCode;
use crate::link::relay::RelayError;
use crate::link::{HandshakeError, Refusal, Side, SideBuffers};

/// A side to which nothing more can be moved is read up to here all the same, to see when it goes.
const AHEAD: usize = 16 << 10;

/// The two directions of a connection that is handed on, as bytes.
#[derive(Debug, Default)]
pub(super) struct Passing {
    over: Option<End>,
}

impl Passing {
    pub(super) fn step(&mut self, sides: &mut SideBuffers) -> Action {
        let SideBuffers { tenant, hypervisor } = sides;
        let last = self.over.is_some();
        pass(&mut tenant.rx, &mut hypervisor.tx, last);
        pass(&mut hypervisor.rx, &mut tenant.tx, last);
        match self.over {
            Some(end) => Action::Done(end),
            None => Action::Receive {
                tenant: tenant.rx.len() < AHEAD,
                hypervisor: hypervisor.rx.len() < AHEAD,
            },
        }
    }

    pub(super) fn eof(&mut self, side: Side) {
        self.over.get_or_insert(match side {
            Side::Tenant => End::Viewer,
            Side::Hypervisor => End::Hypervisor,
        });
    }
}

/// Moves what was received to what is sent, unless too much waits there. `last`: all the same.
fn pass(from: &mut BytesMut, to: &mut BytesMut, last: bool) {
    if to.is_empty() {
        core::mem::swap(from, to);
    } else if last || to.len() < HIGH_WATER {
        to.extend_from_slice(from);
        from.clear();
    }
}

/// The viewer's refusal when the other proxy has not accepted: the code of that proxy.
pub(super) const fn told(end: End) -> Refusal {
    Refusal::Code(match end {
        End::Link(RelayError {
            side: Side::Hypervisor,
            error: HandshakeError::Rejected(code),
        }) => code,
        _ => LinkErrorCode::ERROR,
    })
}

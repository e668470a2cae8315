//! A connection whose session another proxy has: it is handed on to that one.

use super::forwarding::HIGH_WATER;
use super::linking::{Ask, Linking, Wanted};
use super::{Action, End, NotEntered, Relay, Sessions, Stage};
use crate::ids::LinkErrorCode;
use crate::link::relay::RelayError;
use crate::link::{HandshakeError, LinkMess, Refusal, Side, SideBuffers};
use crate::session::tracker::Reason;
use bytes::BytesMut;
use core::time::Duration;

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

impl Relay {
    /// The tenant's session is another proxy's: it does not come into these sessions.
    pub(super) fn hand_on(
        &mut self,
        now: Duration,
        sessions: &mut Sessions,
        request: LinkMess,
    ) -> Result<(), NotEntered> {
        // It has shown its token, and is half open no more.
        let in_time = sessions.tracker_mut().close(now, self.link).is_ok();
        if !in_time {
            return Err(Reason::Late.into());
        }
        let linking = self.linking()?;
        linking.dial = Ask::New(Wanted::Elsewhere(request));
        linking.elsewhere = true;
        self.elsewhere = true;
        Ok(())
    }

    /// The other proxy has accepted, or has not: the viewer gets its answer.
    pub(super) fn handed_on(&mut self, sides: &mut SideBuffers, accepted: Result<(), End>) {
        let failed = accepted.err();
        self.stage = match &mut self.stage {
            // Both proxies have MINI_HEADER. If not, the bytes are not the same on both sides.
            Stage::Linked { outcome, .. } if outcome.tenant_form == outcome.hypervisor_form => {
                self.outcome = Some((**outcome).clone());
                Stage::Passing(Passing::default())
            }
            Stage::Linking(linking) => {
                let end = failed.unwrap_or(End::Session);
                refuse(linking, sides, end);
                Stage::Done(end)
            }
            _ => Stage::Done(failed.unwrap_or(End::Session)),
        };
    }
}

/// The viewer is told what the other proxy said.
fn refuse(linking: &mut Linking, sides: &mut SideBuffers, end: End) {
    let code = match end {
        End::Link(RelayError {
            side: Side::Hypervisor,
            error: HandshakeError::Rejected(code),
        }) => code,
        _ => LinkErrorCode::ERROR,
    };
    let _ = linking.link.give_up(sides, Refusal::Code(code));
}

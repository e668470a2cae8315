//! A connection in its link stage.

use alloc::boxed::Box;
use core::time::Duration;

use super::{Action, Dial, End, SessionQuestion};
use crate::link::relay::{self, RelayAction, RelayOutcome};
use crate::link::{LinkMess, Misuse, RelayLink, Side, SideBuffers, server};

#[derive(Debug)]
pub(super) struct Linking {
    pub(super) link: RelayLink,
    pub(super) request: Option<LinkMess>,
    pub(super) dial: Ask<Wanted>,
    /// The session is another proxy's.
    pub(super) elsewhere: bool,
    /// What was asked for.
    pub(super) dialled: Option<Dial>,
    /// What became of the hypervisor's part.
    pub(super) failed: Option<End>,
    /// The tenant is gone or must go.
    pub(super) lost: Option<End>,
    /// It is gone.
    pub(super) gone: bool,
}

/// A connection that is needed.
#[derive(Debug)]
pub(super) enum Wanted {
    /// To a hypervisor.
    Dial(Dial),
    /// To the proxy that has the session.
    Elsewhere(LinkMess),
}

/// A question on its way.
#[derive(Debug, Default)]
pub(super) enum Ask<T> {
    #[default]
    None,
    New(T),
    Open,
}

impl<T> Ask<T> {
    /// The question, once.
    pub(super) fn take(&mut self) -> Option<T> {
        match core::mem::replace(self, Self::Open) {
            Self::New(question) => Some(question),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The question was asked, and is answered.
    pub(super) fn answer(&mut self) -> Result<(), Misuse> {
        match self {
            Self::Open => {
                *self = Self::None;
                Ok(())
            }
            _ => Err(Misuse::NotAsked),
        }
    }

    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl Linking {
    /// Whether the tenant is read, as far as there is room: to see when it goes, whatever the link waits for.
    fn listens(&self, sides: &SideBuffers) -> bool {
        !self.gone && sides.tenant.rx.len() < self.link.max_input(Side::Tenant)
    }

    /// The next action, or the link that stands on both sides.
    pub(super) fn step(
        &mut self,
        now: Duration,
        sides: &mut SideBuffers,
        entered: bool,
    ) -> Result<Action, Box<RelayOutcome>> {
        if self.failed.is_some() || self.lost.is_some() && !self.link.has_begun() {
            return Ok(Action::Synchronize);
        }
        match self.dial.take() {
            Some(Wanted::Dial(dial)) => {
                self.dialled = Some(dial.clone());
                return Ok(Action::Ask(SessionQuestion::Dial(dial)));
            }
            Some(Wanted::Elsewhere(request)) => return Ok(Action::Ask(SessionQuestion::Elsewhere(request))),
            None => {}
        }
        let action = match self.link.step(now, sides) {
            Ok(action) => action,
            Err(error) if error.side == Side::Hypervisor && (entered || self.elsewhere) => {
                self.failed = Some(error.into());
                return Ok(Action::Synchronize);
            }
            Err(error) => {
                self.lost = Some(error.into());
                return Ok(Action::Synchronize);
            }
        };
        let listen = Action::Receive {
            tenant: self.listens(sides),
            hypervisor: false,
        };
        Ok(match action {
            RelayAction::Receive { side, .. } => Action::Receive {
                tenant: side == Side::Tenant || self.listens(sides),
                hypervisor: side == Side::Hypervisor,
            },
            RelayAction::Waiting => listen,
            RelayAction::Ask(relay::RelayQuestion::Tenant(question)) => {
                if let server::ServerQuestion::Ticket { request, .. } | server::ServerQuestion::Admit { request } =
                    &question
                {
                    self.request = Some(request.clone());
                }
                Action::Ask(SessionQuestion::Tenant(question))
            }
            RelayAction::Ask(relay::RelayQuestion::Redial(transport)) => {
                match self.dialled.take() {
                    Some(dial) => {
                        self.dial = Ask::New(Wanted::Dial(Dial {
                            transport: Some(transport),
                            ..dial
                        }));
                    }
                    // Another proxy has one port for us.
                    None => self.failed = Some(End::Unreachable),
                }
                Action::Hangup
            }
            // INVARIANT: SASL is not allowed towards hypervisors, so nothing is asked.
            RelayAction::Ask(relay::RelayQuestion::Hypervisor(_)) => listen,
            RelayAction::Done(outcome) => return Err(Box::new(outcome)),
        })
    }

    pub(super) fn eof(&mut self, sides: &mut SideBuffers, side: Side) {
        self.gone |= side == Side::Tenant;
        if side == Side::Tenant && self.link.must_finish() {
            self.lost = self.lost.or(Some(End::Viewer));
        } else if let Err(error) = self.link.eof(sides, side) {
            match side {
                Side::Hypervisor => self.failed = Some(error.into()),
                Side::Tenant => self.lost = self.lost.or(Some(error.into())),
            }
        }
    }
}

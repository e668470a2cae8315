//! The relay as one piece: a console between a tenant and a hypervisor, from its first byte to its last.
//!
//! A [`Relay`] couples what a proxy is made of: [`Bridge`] for the handshake, ClientInit and ServerInit, and for all that
//! follows the [framing relay](crate::framing::Relay) with the [`Guard`](crate::filter::Guard) of a
//! [`Filter`](crate::filter::Filter). Its author answers questions and nothing else:
//!
//! | SessionQuestion | Answer |
//! |---|---|
//! | [`SessionQuestion::Tenant`]: a challenge; is the tenant let in? | [`Bridge::challenge`], [`Bridge::admit`] of [`Relay::bridge`]; [`Relay::refuse`] |
//! | [`SessionQuestion::Dial`]: connect to the hypervisor | [`Relay::dialled`], [`Relay::unreachable`] |
//! | [`SessionQuestion::Name`]: is that the console's guest, behind a move? | [`Relay::accept_name`], [`Relay::refuse_name`] |
//!
//! ```text
//! loop: step ----> Ask ---------> answer, now or later
//!            ----> StartTls ----> a TLS handshake on this side
//!            ----> Receive -----> flush both tx; read from these sides, or wait for the deadline, a move or an answer
//!            ----> Hangup ------> close the hypervisor's connection
//!            ----> Done --------> flush both tx, close both connections
//! ```
//!
//! What may not pass is withheld, replaced or taken out of what the client asks for, and the session goes on. Updates
//! pass in the pieces that they come in, without a copy. A tenant that is refused gets the reason until its
//! SecurityResult is sent; behind that RFB has no message for an end, and the connection is closed.
//!
//! The loop is shipped for tokio streams, as `drive_session` (feature `tokio`).
//!
//! # When the guest moves
//!
//! A VNC console does not follow its guest: after a live migration the picture stands still, and the connection ends
//! with the old hypervisor. The program that has ordered the move calls [`Relay::moved`]. With [`Move::End`] the
//! tenant is disconnected. With [`Move::Follow`] it stays:
//!
//! 1. what the old hypervisor has begun to say is finished, and its connection is closed;
//! 2. [`SessionQuestion::Dial`] asks for the new one, with [`Cause::Moved`];
//! 3. the relay logs in there, as the bridge's configuration has it, and reads its ServerInit;
//! 4. the relay sends there what the client has set, and asks for the whole picture. What of the client's state
//!    cannot be carried over is not asked for again; [`framing::Relay::moved`](crate::framing::Relay::moved) has the list.
//!
//! What the tenant says meanwhile waits. With [`Config::reconnect`] the same is done when the hypervisor hangs up.
//! [`AuthOrder::Passthrough`](crate::handshake::bridge::AuthOrder::Passthrough) needs credentials of the relay's own for
//! it, since the tenant is not asked again.

mod answers;
mod data;
mod opening;
mod question;
mod reconnect;
mod stage;

pub use question::{Action, Cause, Config, Counts, Dial, End, Move, NotFollowed, SessionQuestion, Sharing};

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use self::data::Data;
use self::opening::{Initialisation, Opening};
use self::reconnect::Reconnect;
use self::stage::{Gone, Over};
use super::Viewer;
use crate::handshake::bridge::BridgeOutcome;
use crate::handshake::{Bridge, Event, Side, SideBuffers};
use crate::init::{ClientInit, ServerInit};

#[derive(Debug)]
enum Stage {
    Opening(Box<Opening>),
    Initialisation(Initialisation),
    Data(Box<Data>),
    Reconnect(Box<Reconnect>),
    Done(End),
}

/// One console, between a tenant and a hypervisor.
#[derive(Debug)]
pub struct Relay {
    config: Arc<Config>,
    stage: Stage,
    gone: Gone,
    counts: Arc<Counts>,
    viewer: Option<Viewer>,
    outcome: Option<BridgeOutcome>,
    init: Option<ServerInit>,
    /// What the guest's move means for the tenant, until it is carried out.
    moved: Option<Move>,
    /// Hypervisors before this one.
    before: u32,
}

impl Relay {
    /// For a tenant's connection that came at `now`.
    #[must_use]
    pub fn new(now: Duration, config: Arc<Config>) -> Self {
        let opening = Opening::new(Bridge::new(now, config.bridge.clone()));
        Self {
            config,
            stage: Stage::Opening(Box::new(opening)),
            gone: Gone::default(),
            counts: Arc::default(),
            viewer: None,
            outcome: None,
            init: None,
            moved: None,
            before: 0,
        }
    }

    /// What was agreed on with both sides, once it is.
    #[must_use]
    pub const fn outcome(&self) -> Option<&BridgeOutcome> {
        self.outcome.as_ref()
    }

    /// What the hypervisor shows, once it does: the last one, after a move.
    #[must_use]
    pub const fn server_init(&self) -> Option<&ServerInit> {
        self.init.as_ref()
    }

    /// What has passed so far.
    #[must_use]
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Messages that were withheld, or replaced, so far.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        match &self.stage {
            Stage::Data(data) => data.withheld(),
            Stage::Reconnect(reconnect) => reconnect.data.withheld(),
            _ => 0,
        }
    }

    /// The next event of the handshake that was not fetched yet, and the side that it concerns.
    pub fn poll_event(&mut self) -> Option<(Side, Event)> {
        match &mut self.stage {
            Stage::Opening(opening) => opening.bridge.poll_event(),
            _ => None,
        }
    }

    /// Step again at this time at the latest.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match &self.stage {
            Stage::Opening(opening) => opening.bridge.deadline(),
            Stage::Initialisation(initialisation) => initialisation.until,
            Stage::Data(data) => data.deadline(),
            Stage::Reconnect(reconnect) => reconnect.deadline(),
            Stage::Done(_) => Duration::MAX,
        }
    }

    /// Uses what is in both `rx`, writes to both `tx`, says what it needs.
    pub fn step(&mut self, now: Duration, sides: &mut SideBuffers) -> Action {
        loop {
            self.carry_out_move(now);
            let (config, gone) = (&self.config, self.gone);
            let next = match &mut self.stage {
                Stage::Opening(opening) => match opening.step(now, config, sides, gone, &mut self.viewer) {
                    Ok(action) => return action,
                    Err(Over::Next(outcome)) => self.opened(now, *outcome),
                    Err(Over::End(end)) => Stage::Done(end),
                },
                Stage::Initialisation(initialisation) => match initialisation.step(now, config, sides, gone) {
                    Ok(action) => return action,
                    Err(Over::Next((init, shared))) => self.initialised(init, shared),
                    Err(Over::End(end)) => Stage::Done(end),
                },
                Stage::Data(data) => match data.step(now, sides, gone, &self.counts) {
                    Ok(action) => return action,
                    Err(Over::Next(())) => self.hung_up(now),
                    Err(Over::End(end)) => Stage::Done(end),
                },
                Stage::Reconnect(reconnect) => match reconnect.step(now, config, sides, gone, &self.counts) {
                    Ok(Action::Hangup) => {
                        self.gone.hypervisor = false;
                        self.before = self.before.saturating_add(1);
                        return Action::Hangup;
                    }
                    Ok(action) => return action,
                    Err(Over::Next(())) => self.resumed(),
                    Err(Over::End(end)) => Stage::Done(end),
                },
                Stage::Done(end) => return Action::Done(end.clone()),
            };
            self.enter(next);
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Stage::Done(_) = stage {
            self.viewer = None;
        }
        self.stage = stage;
    }

    fn opened(&mut self, now: Duration, outcome: BridgeOutcome) -> Stage {
        self.outcome = Some(outcome);
        let until = now.saturating_add(self.config.bridge.limits.handshake_timeout);
        Stage::Initialisation(Initialisation::new(until))
    }

    fn initialised(&mut self, init: ServerInit, shared: ClientInit) -> Stage {
        self.init = Some(init.clone());
        Stage::Data(Box::new(Data::new(init, shared, &self.config)))
    }

    /// The hypervisor hung up, and all that it said is passed on.
    fn hung_up(&mut self, now: Duration) -> Stage {
        match core::mem::replace(&mut self.stage, Stage::Done(End::Hypervisor)) {
            Stage::Data(data) if self.config.reconnect && !self.gone.tenant => {
                let reconnect = Reconnect::new(now, &self.config, data, Cause::Lost, self.before);
                Stage::Reconnect(Box::new(reconnect))
            }
            _ => Stage::Done(End::Hypervisor),
        }
    }

    /// Another hypervisor has taken its place.
    fn resumed(&mut self) -> Stage {
        match core::mem::replace(&mut self.stage, Stage::Done(End::Hypervisor)) {
            Stage::Reconnect(reconnect) => {
                self.init = Some(reconnect.data.init.clone());
                Stage::Data(reconnect.data)
            }
            // INVARIANT: the caller has looked.
            other => other,
        }
    }

    /// The guest has moved: see [the module](self). In the handshake it is carried out when that is over, and so it is a
    /// while after a move before; before a hypervisor was asked for it means nothing.
    pub fn moved(&mut self, what: Move) {
        match &self.stage {
            Stage::Opening(opening) if opening.has_no_hypervisor() => {}
            Stage::Done(_) => {}
            _ => self.moved = Some(what),
        }
    }

    /// Ends it: [`End::Stopped`], unless it has ended before.
    pub fn stop(&mut self) {
        if !matches!(self.stage, Stage::Done(_)) {
            self.stage = Stage::Done(End::Stopped);
            self.viewer = None;
        }
    }

    /// Whether messages pass, and no secrets.
    #[cfg(feature = "tokio")]
    pub(crate) const fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Data(_))
    }

    /// Whether this side has hung up.
    #[cfg(feature = "tokio")]
    pub(crate) const fn has_left(&self, side: Side) -> bool {
        match side {
            Side::Tenant => self.gone.tenant,
            Side::Hypervisor => self.gone.hypervisor,
        }
    }

    fn carry_out_move(&mut self, now: Duration) {
        let Stage::Data(_) = &self.stage else { return };
        let Some(what) = self.moved.take() else { return };
        self.stage = match (what, core::mem::replace(&mut self.stage, Stage::Done(End::Moved))) {
            (Move::Follow, Stage::Data(data)) => {
                let reconnect = Reconnect::new(now, &self.config, data, Cause::Moved, self.before);
                Stage::Reconnect(Box::new(reconnect))
            }
            _ => {
                self.viewer = None;
                Stage::Done(End::Moved)
            }
        };
    }

    /// One side hung up, or its connection failed, or TLS with it did. What it said before is in `rx`.
    pub fn eof(&mut self, sides: &mut SideBuffers, side: Side) {
        match side {
            Side::Tenant => self.gone.tenant = true,
            Side::Hypervisor => self.gone.hypervisor = true,
        }
        if let (Stage::Opening(opening), Side::Tenant) = (&mut self.stage, side) {
            let end = opening.tenant_gone(sides);
            self.stage = Stage::Done(end);
            self.viewer = None;
        }
    }
}

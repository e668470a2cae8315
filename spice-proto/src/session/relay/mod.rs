//! The relay as one piece: a connection between a tenant and a hypervisor, from its first byte to its last.
//!
//! A [`Relay`] couples what a proxy is made of: [`RelayLink`] for the link stage, and for all that follows the
//! [`Tracker`](crate::session::Tracker), the [`Policy`](crate::session::Policy) and the
//! [`Migration`](crate::session::Migration), which the connections of a session share in [`Sessions`]. Its author
//! answers questions and nothing else:
//!
//! | SessionQuestion | Answer |
//! |---|---|
//! | [`SessionQuestion::Tenant`]: which key, which capabilities? what does this ticket open? | [`ServerLink::announce`](crate::link::ServerLink::announce) of [`Relay::tenant`]; [`Relay::enter`]; [`Relay::refuse`] |
//! | [`SessionQuestion::Dial`]: connect to the hypervisor | [`Relay::dialled`], [`Relay::unreachable`] |
//! | [`SessionQuestion::Elsewhere`]: connect to the proxy that has the session | the same |
//! | [`SessionQuestion::BindSession`]: record the session's id | [`Relay::bound`], [`Relay::not_bound`] |
//! | [`SessionQuestion::Target`]: is that a place of the session's guest? | [`Relay::accept_target`], [`Relay::refuse_target`] |
//! | [`SessionQuestion::Identity`]: may the session be with a hypervisor that says so? | [`Relay::accept_identity`], [`Relay::refuse_identity`] |
//!
//! `INIT` is held until the id is recorded, a message about a migration until its target is accepted, and the guest's
//! name and UUID until they are; the other direction, and other connections, go on meanwhile. Everything else is done here: connections are placed and
//! refused, channels that are withheld are struck from `CHANNELS_LIST`, targets are rewritten, a source that must not
//! be read is not read, what failed is covered up while a viewer could not bear it, a display link is not closed
//! before it has begun, and one message stays one message.
//!
//! ```text
//! loop: step ----> Synchronize -> synchronize, with the sessions locked
//!            ----> Ask ---------> answer, now or later
//!            ----> Receive -----> flush both tx; read from these sides, or wait for the deadline, a wake or an answer
//!            ----> Hangup ------> close the hypervisor's connection
//!            ----> Done --------> flush both tx, close both connections, `close`
//! ```
//!
//! [`Relay::step`] does not need the sessions: messages that only the policy looks at pass without a lock, in whole
//! runs, and of one above 64 KiB that has not to be inspected no more than the header is looked at: its body passes in
//! the pieces that it comes in. So a channel of pictures costs what a copy costs. No channel passes without its
//! headers being looked at: every one can say MIGRATE, and on every one there are messages of a client's that end the
//! QEMU process.
//!
//! The loop is shipped for tokio streams, as `drive_session` (feature `tokio`).

mod answers;
mod data;
mod entry;
mod forwarding;
mod identity;
mod linking;
mod passing;
mod question;
mod sessions;

pub use entry::{Claim, Entry, Report};
pub use identity::GuestIdentity;
pub use question::{Action, Config, Counts, Dial, End, Move, NotEntered, SessionQuestion};
pub use sessions::Sessions;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use self::data::Data;
use self::linking::{Ask, Linking};
use self::passing::Passing;
use super::migration::{Answer, ConnectionHandle, Lost};
use super::tracker::{Link, Peer};
use super::{Host, SessionKey};
use crate::caps::Capabilities;
use crate::channel::main::ChannelId;
use crate::ids::{ChannelType, LinkErrorCode};
use crate::link::relay::RelayOutcome;
use crate::link::{Refusal, RelayConfig, RelayLink, Side, SideBuffers, TicketOutcome};

/// The place of a connection in its session.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: SessionKey,
    channel: ChannelId,
    seat: ConnectionHandle,
    host: Host,
    /// What became of its ticket was reported.
    reported: bool,
}

#[derive(Debug)]
enum Stage {
    /// The link stage, up to the hypervisor's answer.
    Linking(Box<Linking>),
    /// The hypervisor has accepted, and the session is to be told. `lost`: and the tenant is gone or must go.
    Linked {
        outcome: Box<RelayOutcome>,
        lost: Option<End>,
    },
    Data(Box<Data>),
    /// Bytes pass to and from the proxy that has the session.
    Passing(Passing),
    /// The viewer was told that it is connected, and it is not. `told`: the driver knows.
    Pretended {
        told: bool,
        gone: bool,
    },
    /// A display link that is not closed before the hypervisor has handled its first message.
    Draining {
        until: Duration,
        end: End,
    },
    Done(End),
}

const PRETENDED: Stage = Stage::Pretended {
    told: false,
    gone: false,
};

/// One connection of a session, between a tenant and a hypervisor.
#[derive(Debug)]
pub struct Relay {
    config: Arc<Config>,
    link: Link,
    place: Option<Place>,
    stage: Stage,
    /// Something has happened that concerns the session.
    woken: bool,
    session_deadline: Option<Duration>,
    counts: Arc<Counts>,
    channel: Option<ChannelType>,
    outcome: Option<RelayOutcome>,
    /// What the hypervisor announced, until the driver knows.
    learnt: Option<Capabilities>,
    /// Its session is another proxy's.
    elsewhere: bool,
}

impl Relay {
    /// For a tenant's connection that came at `now`. It has [`Limits::link_timeout`](crate::Limits::link_timeout) for
    /// the link stage, and the tracker's [`link_timeout`](super::tracker::Config::link_timeout) to show its token.
    pub fn new(now: Duration, sessions: &mut Sessions, peer: Peer, config: Arc<Config>) -> Self {
        sessions.expire(now);
        let link = sessions.tracker_mut().accept(now, peer);
        let link_config = RelayConfig::default()
            .with_limits(config.limits.clone())
            .with_waived(config.waived.clone());
        let linking = Linking {
            link: RelayLink::new(now, link_config).asking(),
            request: None,
            dial: Ask::None,
            elsewhere: false,
            dialled: None,
            failed: None,
            lost: None,
            gone: false,
        };
        Self {
            config,
            link,
            place: None,
            stage: Stage::Linking(Box::new(linking)),
            woken: false,
            session_deadline: None,
            counts: Arc::default(),
            channel: None,
            outcome: None,
            learnt: None,
            elsewhere: false,
        }
    }

    /// By which [`Sessions::poll_wake`] names it.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Its session, once it has one.
    #[must_use]
    pub fn session(&self) -> Option<SessionKey> {
        self.place.map(|place| place.key)
    }

    /// What the tenant asked for, once it has shown a ticket.
    #[must_use]
    pub const fn channel(&self) -> Option<ChannelType> {
        self.channel
    }

    /// The hypervisor that it is for, once that is known.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        self.place.map(|place| place.host)
    }

    /// The link, once it stands.
    #[must_use]
    pub const fn outcome(&self) -> Option<&RelayOutcome> {
        self.outcome.as_ref()
    }

    /// What the hypervisor that was dialled announces for this channel, once, as soon as it is known: also if the link
    /// has failed. To be remembered for the next one's promise.
    pub fn take_learnt(&mut self) -> Option<Capabilities> {
        self.learnt.take()
    }

    /// What has passed so far.
    #[must_use]
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// [`Sessions::poll_wake`] has named it.
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// Step again at this time at the latest.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let own = match &self.stage {
            Stage::Linking(linking) => Some(linking.link.deadline()),
            Stage::Draining { until, .. } => Some(*until),
            Stage::Data(data) => data.deadline(),
            _ => None,
        };
        own.into_iter()
            .chain(self.session_deadline)
            .min()
            .unwrap_or(Duration::MAX)
    }

    /// Uses what is in both `rx`, writes to both `tx`, says what it needs.
    pub fn step(&mut self, now: Duration, sides: &mut SideBuffers) -> Action {
        if let Stage::Done(end) = self.stage {
            return Action::Done(end);
        }
        if self.woken || self.session_deadline.is_some_and(|deadline| deadline <= now) {
            return Action::Synchronize;
        }
        match &mut self.stage {
            Stage::Linking(linking) => match linking.step(now, sides, self.place.is_some()) {
                Ok(action) => action,
                Err(outcome) => {
                    let lost = linking.lost;
                    self.stage = Stage::Linked { outcome, lost };
                    Action::Synchronize
                }
            },
            Stage::Linked { .. } | Stage::Pretended { gone: true, .. } => Action::Synchronize,
            Stage::Data(data) => {
                let action = data.step(now, &self.config.policy, sides);
                self.counts.note(data.passed());
                action
            }
            Stage::Passing(passing) => {
                let action = passing.step(sides);
                if let Action::Done(end) = action {
                    self.stage = Stage::Done(end);
                }
                action
            }
            Stage::Pretended { told, .. } => {
                // There is no receiver for it.
                sides.tenant.rx.clear();
                if core::mem::replace(told, true) {
                    Action::Receive {
                        tenant: true,
                        hypervisor: false,
                    }
                } else {
                    Action::Hangup
                }
            }
            Stage::Draining { until, end } => {
                if *until <= now || !sides.hypervisor.rx.is_empty() {
                    let end = *end;
                    self.stage = Stage::Done(end);
                    return Action::Done(end);
                }
                Action::Receive {
                    tenant: false,
                    hypervisor: true,
                }
            }
            Stage::Done(end) => Action::Done(*end),
        }
    }

    /// One side hung up, or its connection failed. What it said before is in `rx`.
    pub fn eof(&mut self, sides: &mut SideBuffers, side: Side) {
        match &mut self.stage {
            Stage::Linking(linking) => linking.eof(sides, side),
            Stage::Data(data) => data.eof(side),
            Stage::Passing(passing) => passing.eof(side),
            Stage::Pretended { gone, .. } => *gone |= side == Side::Tenant,
            Stage::Draining { end, .. } if side == Side::Hypervisor => self.stage = Stage::Done(*end),
            Stage::Linked { .. } | Stage::Draining { .. } | Stage::Done(_) => {}
        }
    }

    /// Does what concerns the session: see [`Action::Synchronize`]. Then [`Sessions::poll_wake`].
    pub fn synchronize(&mut self, now: Duration, sessions: &mut Sessions, sides: &mut SideBuffers) {
        self.woken = false;
        sessions.expire(now);
        let mut lost = None;
        match &mut self.stage {
            Stage::Linked { lost: gone, .. } => {
                lost = gone.take();
                self.answered(now, sessions, sides, Ok(()));
            }
            Stage::Linking(linking) => {
                lost = linking.lost.take();
                if let (None, Some(end)) = (lost, linking.failed.take()) {
                    self.answered(now, sessions, sides, Err(end));
                }
            }
            Stage::Pretended { gone: true, .. } => lost = Some(End::Viewer),
            _ => {}
        }
        if let Some(place) = self.place {
            let pending = sessions.pending(now, place.key, self.link);
            if pending.pretend {
                self.report(sessions);
                self.pretend(sides);
            }
            if let (true, Stage::Data(data)) = (pending.cancel, &mut self.stage) {
                data.cancel(sides);
            }
            if pending.close {
                lost = lost.or(Some(End::Session));
            }
        }
        if let Some(end) = lost {
            self.lose(now, sessions, sides, Side::Tenant, end);
        }
        if let (Stage::Data(data), Some(place)) = (&mut self.stage, self.place) {
            let over = sessions.with(place.key, |migration, tracker| {
                data.synchronize(now, migration, tracker, place.seat, sides)
            });
            if let Some(id) = data.names() {
                sessions.name(place.key, Some(id));
            }
            if let Some(Some((side, end))) = over {
                self.lose(now, sessions, sides, side, end);
            }
        }
        self.refresh(sessions);
    }

    fn refresh(&mut self, sessions: &Sessions) {
        self.session_deadline = self.place.and_then(|place| sessions.deadline_of(place.key));
    }

    /// Reports what became of the hypervisor's ticket, unless that was done.
    fn report(&mut self, sessions: &mut Sessions) {
        let Some(place) = self.place.as_mut().filter(|place| !place.reported) else {
            return;
        };
        place.reported = true;
        let outcome = match &self.stage {
            Stage::Linking(linking) => linking.link.ticket(),
            // INVARIANT: each way out of the link stage has reported, but for a link that stands.
            _ => TicketOutcome::Accepted,
        };
        sessions.report(place.key, place.channel, place.host, outcome);
    }

    /// The viewer gets the result OK. What there is of the hypervisor's part is given up.
    fn pretend(&mut self, sides: &mut SideBuffers) {
        if let Stage::Linking(linking) = &mut self.stage {
            let _ = linking.link.pretend(sides);
        }
        self.stage = PRETENDED;
    }

    /// The hypervisor has accepted, or has not: the viewer gets its answer.
    fn answered(&mut self, now: Duration, sessions: &mut Sessions, sides: &mut SideBuffers, accepted: Result<(), End>) {
        self.report(sessions);
        if let Stage::Linking(linking) = &self.stage {
            self.learnt = linking.link.learnt().cloned();
        }
        if self.elsewhere {
            return self.handed_on(sides, accepted);
        }
        let Some(place) = self.place else { return };
        let answer = sessions.with(place.key, |migration, tracker| {
            migration.dialled(now, tracker, place.seat, accepted.is_ok())
        });
        match answer.unwrap_or(Answer::Close) {
            Answer::Accept => {
                let target = sessions.with(place.key, |migration, _| migration.is_target(place.seat));
                if let Stage::Linked { outcome, .. } = &self.stage {
                    let data = Data::new((place.key, place.host), outcome, &self.config, target == Some(true));
                    self.outcome = Some(RelayOutcome::clone(outcome));
                    self.learnt = Some(outcome.hypervisor.clone());
                    self.stage = Stage::Data(Box::new(data));
                }
            }
            Answer::Pretend => self.pretend(sides),
            Answer::Pretended => self.stage = PRETENDED,
            answer => {
                if let (Stage::Linking(linking), Answer::Refuse) = (&mut self.stage, answer) {
                    let _ = linking.link.give_up(sides, Refusal::Code(LinkErrorCode::ERROR));
                }
                sessions.left(place.key, self.link);
                self.place = None;
                self.stage = Stage::Done(accepted.err().unwrap_or(End::Session));
            }
        }
    }

    /// The proxy that has the session has accepted, or has not: the viewer gets its answer.
    fn handed_on(&mut self, sides: &mut SideBuffers, accepted: Result<(), End>) {
        let end = accepted.err().unwrap_or(End::Session);
        self.stage = match &mut self.stage {
            // Both proxies have MINI_HEADER. If not, the bytes would not be the same on both sides.
            Stage::Linked { outcome, .. } if outcome.tenant_form == outcome.hypervisor_form => {
                self.outcome = Some((**outcome).clone());
                Stage::Passing(Passing::default())
            }
            Stage::Linking(linking) => {
                let _ = linking.link.give_up(sides, passing::told(end));
                Stage::Done(end)
            }
            _ => Stage::Done(end),
        };
    }

    /// One side is gone, or the connection must end.
    fn lose(&mut self, now: Duration, sessions: &mut Sessions, sides: &mut SideBuffers, side: Side, end: End) {
        if let Stage::Linking(linking) = &mut self.stage
            && linking.link.has_begun()
        {
            // The hypervisor makes a channel of the connection, and is not left alone with it half way. A viewer that
            // is gone has ended this part already, unless it must be finished.
            linking.lost = Some(end);
            return;
        }
        let Some(place) = self.place else {
            let _ = sessions.tracker_mut().close(now, self.link);
            self.stage = Stage::Done(end);
            return;
        };
        self.report(sessions);
        let lost = sessions.with(place.key, |migration, tracker| {
            migration.lost(now, tracker, place.seat, side)
        });
        let lost = lost.unwrap_or(Lost::Close);
        if lost == Lost::Pretend {
            self.stage = PRETENDED;
            return;
        }
        sessions.left(place.key, self.link);
        self.place = None;
        if let Stage::Data(data) = &self.stage {
            self.counts.note(data.passed());
        }
        let draining = match &self.stage {
            Stage::Data(data) if side == Side::Tenant => data.drain(now, lost == Lost::InitThenClose, sides),
            _ => None,
        };
        self.stage = match draining {
            Some(until) => Stage::Draining { until, end },
            None => Stage::Done(end),
        };
    }

    /// Ends the connection as soon as that does no harm.
    pub fn stop(&mut self, now: Duration, sessions: &mut Sessions, sides: &mut SideBuffers) {
        if let Stage::Linked { .. } = self.stage {
            self.synchronize(now, sessions, sides);
        }
        if !matches!(self.stage, Stage::Draining { .. } | Stage::Done(_)) {
            self.lose(now, sessions, sides, Side::Tenant, End::Session);
        }
    }

    /// The connection is over, whatever it was about: to be called in the end, also by a driver that stops early.
    pub fn close(&mut self, now: Duration, sessions: &mut Sessions) {
        self.report(sessions);
        match self.place.take() {
            Some(place) => {
                sessions.with(place.key, |migration, tracker| {
                    migration.lost(now, tracker, place.seat, Side::Tenant)
                });
                sessions.left(place.key, self.link);
            }
            None => {
                let _ = sessions.tracker_mut().close(now, self.link);
            }
        }
    }
}

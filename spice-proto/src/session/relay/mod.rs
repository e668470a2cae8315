//! The relay as one piece: a connection between a tenant and a hypervisor, from its first byte to its last.
//!
//! A [`Relay`] couples what a proxy is made of: [`RelayLink`] for the link stage, and for all that follows the
//! [`Tracker`](crate::session::Tracker), the [`Policy`] and the [`Migration`](crate::session::Migration), which the connections
//! of a session share in [`Sessions`]. Its author answers questions and nothing else:
//!
//! | Question | Answer |
//! |---|---|
//! | [`Question::Tenant`]: which key, which capabilities? whose ticket is this? | [`Relay::announce`], [`Relay::reject`]; [`Relay::enter`], [`Relay::refuse`] |
//! | [`Question::Dial`]: connect to the hypervisor | [`Relay::dialled`], [`Relay::unreachable`] |
//! | [`Question::BindSession`]: record the session's id | [`Relay::bound`], [`Relay::not_bound`] |
//! | [`Question::Target`]: may the session move there? | [`Relay::accept_target`], [`Relay::refuse_target`] |
//!
//! `INIT` is held until the id is recorded, and a message about a migration until its target is accepted; the other direction,
//! and other connections, go on meanwhile. Everything else is done here: connections are placed and refused, channels that are
//! withheld are struck from `CHANNELS_LIST`, targets are rewritten, a source that must not be read is not read, what failed
//! is covered up while a viewer could not bear it, a display link is not closed before it has begun, and one message stays
//! one message.
//!
//! ```text
//! loop: step ----> Consult ----> consult, with the sessions locked
//!            ----> Ask ---------> answer, now or later
//!            ----> Receive -----> flush both tx; read from these sides, or wait for the deadline, a wake or an answer
//!            ----> Hangup ------> close the hypervisor's connection
//!            ----> Done --------> flush both tx, close both connections, `close`
//! ```
//!
//! [`Relay::step`] does not need the sessions: messages that only the policy looks at pass without a lock, in whole runs,
//! and of one above 64 KiB that nobody has to see no more than the header is looked at: its body passes in the pieces that it
//! comes in. So a channel of pictures costs what a copy costs. No channel passes without its headers being looked at:
//! every one can say MIGRATE, and on every one there are messages of a client's that end the QEMU process.
//!
//! The loop is shipped for tokio streams, as `drive_session` (feature `tokio`).

mod data;
mod lane;
mod sessions;

pub use sessions::Sessions;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use self::data::Data;
use super::migration::{Answer, Endpoint, Fault, Lost, Seat, Target};
use super::policy::{Policy, Rule};
use super::tracker::{Link, Peer, Reason, Request};
use super::{Host, Token};
use crate::error::DecodeError;
use crate::ids::{ChannelType, LinkErrorCode};
use crate::link::relay::{RelayAction, RelayConfig, RelayError, RelayOutcome, Upstream};
use crate::link::server::{self, Announcement, SaslAnnouncement};
use crate::link::watch::Sender;
use crate::link::{LinkMess, Misuse, Refusal, RelayLink, Side, Wires};

/// What the relays of one kind of tenant have in common.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// How both peers are treated in the link stage. What a tenant is told when its hypervisor fails is decided by its
    /// session, not by [`RelayConfig::upstream_failure`].
    pub link: RelayConfig,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Where these viewers find the proxy when their session moves.
    pub endpoint: Endpoint,
}

impl Config {
    /// With the usual limits.
    #[must_use]
    pub fn new(policy: Arc<Policy>, endpoint: Endpoint) -> Self {
        Self {
            link: RelayConfig::default(),
            policy,
            endpoint,
        }
    }

    /// Sets [`Config::link`].
    #[must_use]
    pub fn with_link(mut self, link: RelayConfig) -> Self {
        self.link = link;
        self
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Flush both `tx`, and read from these sides. Step again when something was read or written, at the deadline, when
    /// a question was answered, and after [`Relay::wake`].
    Receive {
        /// From the tenant.
        tenant: bool,
        /// From the hypervisor.
        hypervisor: bool,
    },
    /// Call [`Relay::consult`] and step again, before anything is flushed.
    Consult,
    /// Find an answer, and step on meanwhile.
    Ask(Question),
    /// The hypervisor's connection is not needed any more: close it, and step again.
    Hangup,
    /// The connection has ended: flush both `tx`, close both, and call [`Relay::close`].
    Done(End),
}

/// What only the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// About the tenant's link, see [`RelayLink`]. A ticket, or an identity that SASL has shown, that is good is answered
    /// with [`Relay::enter`].
    Tenant(server::Question),
    /// Connect to the hypervisor: [`Relay::dialled`] or [`Relay::unreachable`].
    Dial(Dial),
    /// The hypervisor has named the session. Record the id wherever other processes look for it: [`Relay::bound`]; or
    /// [`Relay::not_bound`].
    BindSession(u32),
    /// The session is told to move there: [`Relay::accept_target`] or [`Relay::refuse_target`].
    Target(Target),
}

/// A connection to a hypervisor that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The session that it is for.
    pub token: Token,
    /// What the tenant asks for.
    pub request: LinkMess,
    /// The session's first hypervisor is 0.
    pub host: Host,
    /// Where that is, if the session has moved or moves: as it was accepted. Its ticket, and whom it has to be, are the
    /// caller's to know.
    pub target: Option<Target>,
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The viewer hung up.
    #[error("the viewer hung up")]
    Viewer,
    /// The hypervisor hung up.
    #[error("the hypervisor hung up")]
    Hypervisor,
    /// Its session has ended, or has no use for it any more.
    #[error("its session has ended or moved")]
    Session,
    /// The link stage failed, or was refused.
    #[error("{0}")]
    Link(#[from] RelayError),
    /// The hypervisor could not be reached.
    #[error("the hypervisor was not reached")]
    Unreachable,
    /// The policy does not allow what the viewer or the hypervisor said.
    #[error("{} broke the rule {rule:?}", whom(.by))]
    Rule {
        /// Who said it.
        by: Sender,
        /// The rule.
        rule: Rule,
    },
    /// The session's moves do not allow it.
    #[error("what {} said {fault}", whom(.by))]
    Fault {
        /// Who said it.
        by: Sender,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It cannot be read.
    #[error("{}: {error}", whom(.by))]
    Malformed {
        /// Who said it.
        by: Sender,
        /// Where it ends to make sense.
        error: DecodeError,
    },
    /// The session's id could not be recorded.
    #[error("the session's id was not recorded")]
    NotBound,
}

const fn whom(by: &Sender) -> &'static str {
    match by {
        Sender::Client => "the viewer",
        Sender::Server => "the hypervisor",
    }
}

/// Why a connection was not entered into its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// It may not join. The question is still open: [`Relay::refuse`].
    #[error(transparent)]
    Reason(#[from] Reason),
    /// It was not asked.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Messages that went through one connection; can be read while it lives.
#[derive(Debug, Default)]
pub struct Counts {
    to_viewer: AtomicU64,
    to_hypervisor: AtomicU64,
}

impl Counts {
    /// Messages to the viewer.
    #[must_use]
    pub fn to_viewer(&self) -> u64 {
        self.to_viewer.load(Ordering::Relaxed)
    }

    /// Messages to the hypervisor.
    #[must_use]
    pub fn to_hypervisor(&self) -> u64 {
        self.to_hypervisor.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn note(&self, data: &Data) {
        let (to_viewer, to_hypervisor) = data.passed();
        self.to_viewer.store(to_viewer, Ordering::Relaxed);
        self.to_hypervisor.store(to_hypervisor, Ordering::Relaxed);
    }
}

/// The place of a connection in its session.
#[derive(Debug, Clone, Copy)]
struct Place {
    token: Token,
    seat: Seat,
    host: Host,
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
    /// The viewer was told that it is connected, and it is not. `told`: the driver knows.
    Pretended {
        told: bool,
        gone: bool,
    },
    /// A display link that is not closed before the hypervisor has handled its first message.
    Parting {
        until: Duration,
        end: End,
    },
    Done(End),
}

const PRETENDED: Stage = Stage::Pretended {
    told: false,
    gone: false,
};

#[derive(Debug)]
struct Linking {
    link: RelayLink,
    request: Option<LinkMess>,
    dial: Ask<Dial>,
    /// What became of the hypervisor's part.
    failed: Option<End>,
    /// The tenant is gone or must go.
    lost: Option<End>,
}

/// A question on its way.
#[derive(Debug, Default)]
enum Ask<T> {
    #[default]
    None,
    New(T),
    Open,
}

impl<T> Ask<T> {
    /// The question, once.
    fn take(&mut self) -> Option<T> {
        match core::mem::replace(self, Self::Open) {
            Self::New(question) => Some(question),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The question was asked, and is answered.
    fn answer(&mut self) -> Result<(), Misuse> {
        match self {
            Self::Open => {
                *self = Self::None;
                Ok(())
            }
            _ => Err(Misuse::NotAsked),
        }
    }

    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

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
}

impl Relay {
    /// For a tenant's connection that came at `now`. It has [`Limits::link_timeout`](crate::Limits::link_timeout) for the
    /// link stage, and the tracker's [`link_timeout`](super::tracker::Config::link_timeout) to show its token.
    ///
    /// # Errors
    /// Too many connections are half open: close it.
    pub fn new(now: Duration, sessions: &mut Sessions, peer: Peer, config: Arc<Config>) -> Result<Self, Reason> {
        sessions.expire(now);
        let link = sessions.tracker_mut().accept(now, peer)?;
        let linking = Linking {
            link: RelayLink::new(now, config.link.clone()).asking(),
            request: None,
            dial: Ask::None,
            failed: None,
            lost: None,
        };
        Ok(Self {
            config,
            link,
            place: None,
            stage: Stage::Linking(Box::new(linking)),
            woken: false,
            session_deadline: None,
            counts: Arc::default(),
            channel: None,
            outcome: None,
        })
    }

    /// By which [`Sessions::poll_wake`] names it.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Its session, once it has one.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.place.map(|place| place.token)
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
            Stage::Parting { until, .. } => Some(*until),
            _ => None,
        };
        own.into_iter()
            .chain(self.session_deadline)
            .min()
            .unwrap_or(Duration::MAX)
    }

    /// Uses what is in both `rx`, writes to both `tx`, says what it needs.
    pub fn step(&mut self, now: Duration, wires: &mut Wires) -> Action {
        if let Stage::Done(end) = self.stage {
            return Action::Done(end);
        }
        if self.woken || self.session_deadline.is_some_and(|deadline| deadline <= now) {
            return Action::Consult;
        }
        match &mut self.stage {
            Stage::Linking(linking) => match linking.step(now, wires, self.place.is_some()) {
                Ok(action) => action,
                Err(outcome) => {
                    let lost = linking.lost;
                    self.stage = Stage::Linked { outcome, lost };
                    Action::Consult
                }
            },
            Stage::Linked { .. } | Stage::Pretended { gone: true, .. } => Action::Consult,
            Stage::Data(data) => {
                let action = data.step(now, &self.config.policy, wires);
                self.counts.note(data);
                action
            }
            Stage::Pretended { told, .. } => {
                // What is said to nobody.
                wires.tenant.rx.clear();
                if core::mem::replace(told, true) {
                    Action::Receive {
                        tenant: true,
                        hypervisor: false,
                    }
                } else {
                    Action::Hangup
                }
            }
            Stage::Parting { until, end } => {
                if *until <= now || !wires.hypervisor.rx.is_empty() {
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
    pub fn eof(&mut self, wires: &mut Wires, side: Side) {
        match &mut self.stage {
            Stage::Linking(linking) => linking.eof(wires, side),
            Stage::Data(data) => data.eof(side),
            Stage::Pretended { gone, .. } => *gone |= side == Side::Tenant,
            Stage::Parting { end, .. } if side == Side::Hypervisor => self.stage = Stage::Done(*end),
            Stage::Linked { .. } | Stage::Parting { .. } | Stage::Done(_) => {}
        }
    }

    /// Does what concerns the session: see [`Action::Consult`]. Then [`Sessions::poll_wake`].
    pub fn consult(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires) {
        self.woken = false;
        sessions.expire(now);
        let mut lost = None;
        match &mut self.stage {
            Stage::Linked { lost: gone, .. } => {
                lost = gone.take();
                self.answered(now, sessions, wires, Ok(()));
            }
            Stage::Linking(linking) => {
                lost = linking.lost.take();
                if let (None, Some(end)) = (lost, linking.failed.take()) {
                    self.answered(now, sessions, wires, Err(end));
                }
            }
            Stage::Pretended { gone: true, .. } => lost = Some(End::Viewer),
            _ => {}
        }
        if let Some(place) = self.place {
            let orders = sessions.orders(now, place.token, self.link);
            if orders.pretend {
                self.pretend(wires);
            }
            if let (true, Stage::Data(data)) = (orders.cancel, &mut self.stage) {
                data.cancel(wires);
            }
            if orders.close {
                lost = lost.or(Some(End::Session));
            }
        }
        if let Some(end) = lost {
            self.lose(now, sessions, wires, Side::Tenant, end);
        }
        if let (Stage::Data(data), Some(place)) = (&mut self.stage, self.place) {
            let over = sessions.with(place.token, |migration, tracker| {
                data.consult(now, migration, tracker, place.seat, wires)
            });
            if let Some(Some((side, end))) = over {
                self.lose(now, sessions, wires, side, end);
            }
        }
        self.refresh(sessions);
    }

    fn refresh(&mut self, sessions: &Sessions) {
        self.session_deadline = self.place.and_then(|place| sessions.deadline_of(place.token));
    }

    /// The viewer is told that it is connected. What there is of the hypervisor's part is given up.
    fn pretend(&mut self, wires: &mut Wires) {
        if let Stage::Linking(linking) = &mut self.stage {
            let _ = linking.link.pretend(wires);
        }
        self.stage = PRETENDED;
    }

    /// The hypervisor has accepted, or has not: what the viewer is told.
    fn answered(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires, accepted: Result<(), End>) {
        let Some(place) = self.place else { return };
        let answer = sessions.with(place.token, |migration, tracker| {
            migration.dialled(now, tracker, place.seat, accepted.is_ok())
        });
        match answer.unwrap_or(Answer::Close) {
            Answer::Accept => {
                let target = sessions.with(place.token, |migration, _| migration.is_target(place.seat));
                if let Stage::Linked { outcome, .. } = &self.stage {
                    let data = Data::new(outcome, &self.config, target == Some(true));
                    self.outcome = Some(RelayOutcome::clone(outcome));
                    self.stage = Stage::Data(Box::new(data));
                }
            }
            Answer::Pretend => self.pretend(wires),
            Answer::Pretended => self.stage = PRETENDED,
            answer => {
                if let (Stage::Linking(linking), Answer::Refuse) = (&mut self.stage, answer) {
                    let _ = linking.link.give_up(wires, Refusal::Code(LinkErrorCode::ERROR));
                }
                sessions.left(place.token, self.link);
                self.place = None;
                self.stage = Stage::Done(accepted.err().unwrap_or(End::Session));
            }
        }
    }

    /// One side is gone, or the connection must end.
    fn lose(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires, side: Side, end: End) {
        if let Stage::Linking(linking) = &mut self.stage
            && linking.link.has_begun()
        {
            // The hypervisor makes a channel of the connection, and is not left alone with it half way.
            linking.lost = Some(end);
            return;
        }
        let Some(place) = self.place else {
            let _ = sessions.tracker_mut().close(now, self.link);
            self.stage = Stage::Done(end);
            return;
        };
        let lost = sessions.with(place.token, |migration, tracker| {
            migration.lost(now, tracker, place.seat, side)
        });
        let lost = lost.unwrap_or(Lost::Close);
        if lost == Lost::Pretend {
            self.stage = PRETENDED;
            return;
        }
        sessions.left(place.token, self.link);
        self.place = None;
        if let Stage::Data(data) = &self.stage {
            self.counts.note(data);
        }
        let parting = match &self.stage {
            Stage::Data(data) if side == Side::Tenant => data.part(now, lost == Lost::InitThenClose, wires),
            _ => None,
        };
        self.stage = match parting {
            Some(until) => Stage::Parting { until, end },
            None => Stage::Done(end),
        };
    }

    /// Ends the connection as soon as that does no harm.
    pub fn stop(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires) {
        if let Stage::Linked { .. } = self.stage {
            self.consult(now, sessions, wires);
        }
        if !matches!(self.stage, Stage::Parting { .. } | Stage::Done(_)) {
            self.lose(now, sessions, wires, Side::Tenant, End::Session);
        }
    }

    /// The connection is over, whatever it was about: to be called in the end, also by a driver that stops early.
    pub fn close(&mut self, now: Duration, sessions: &mut Sessions) {
        match self.place.take() {
            Some(place) => {
                sessions.with(place.token, |migration, tracker| {
                    migration.lost(now, tracker, place.seat, Side::Tenant)
                });
                sessions.left(place.token, self.link);
            }
            None => {
                let _ = sessions.tracker_mut().close(now, self.link);
            }
        }
    }
}

impl Linking {
    /// The next action, or the link that stands on both sides.
    fn step(&mut self, now: Duration, wires: &mut Wires, entered: bool) -> Result<Action, Box<RelayOutcome>> {
        const WAIT: Action = Action::Receive {
            tenant: false,
            hypervisor: false,
        };
        if self.failed.is_some() || self.lost.is_some() && !self.link.has_begun() {
            return Ok(Action::Consult);
        }
        if let Some(dial) = self.dial.take() {
            return Ok(Action::Ask(Question::Dial(dial)));
        }
        let action = match self.link.step(now, wires) {
            Ok(action) => action,
            Err(error) if error.side == Side::Hypervisor && entered => {
                self.failed = Some(error.into());
                return Ok(Action::Consult);
            }
            Err(error) => {
                self.lost = Some(error.into());
                return Ok(Action::Consult);
            }
        };
        Ok(match action {
            RelayAction::Receive { side, .. } => Action::Receive {
                tenant: side == Side::Tenant,
                hypervisor: side == Side::Hypervisor,
            },
            RelayAction::Waiting => WAIT,
            RelayAction::Ask(question) => {
                if let server::Question::Ticket { request, .. } | server::Question::Admit { request } = &question {
                    self.request = Some(request.clone());
                }
                Action::Ask(Question::Tenant(question))
            }
            RelayAction::Done(outcome) => return Err(Box::new(outcome)),
        })
    }

    fn eof(&mut self, wires: &mut Wires, side: Side) {
        if side == Side::Tenant && self.link.has_begun() {
            // The data stage finds out again.
            return;
        }
        if let Err(error) = self.link.eof(wires, side) {
            match side {
                Side::Hypervisor => self.failed = Some(error.into()),
                Side::Tenant => self.lost = Some(error.into()),
            }
        }
    }
}

/// The answers.
impl Relay {
    fn linking(&mut self) -> Result<&mut Linking, Misuse> {
        match &mut self.stage {
            Stage::Linking(linking) => Ok(linking),
            _ => Err(Misuse::NotAsked),
        }
    }

    fn data(&mut self) -> Result<&mut Data, Misuse> {
        match &mut self.stage {
            Stage::Data(data) => Ok(data),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// As [`RelayLink::announce`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn announce(&mut self, wires: &mut Wires, shown: Announcement) -> Result<(), Misuse> {
        self.linking()?.link.announce(wires, shown)
    }

    /// As [`RelayLink::announce_sasl`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn announce_sasl(&mut self, wires: &mut Wires, shown: SaslAnnouncement) -> Result<(), Misuse> {
        self.linking()?.link.announce_sasl(wires, shown)
    }

    /// As [`RelayLink::sasl_reply`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reply(&mut self, wires: &mut Wires, data: Option<&[u8]>) -> Result<(), Misuse> {
        self.linking()?.link.sasl_reply(wires, data)
    }

    /// As [`RelayLink::sasl_complete`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_complete(&mut self, wires: &mut Wires, data: Option<&[u8]>, layer: bool) -> Result<(), Misuse> {
        self.linking()?.link.sasl_complete(wires, data, layer)
    }

    /// As [`RelayLink::sasl_reject`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reject(&mut self, wires: &mut Wires, data: Option<&[u8]>, reason: &str) -> Result<(), Misuse> {
        self.linking()?.link.sasl_reject(wires, data, reason)
    }

    /// As [`RelayLink::layered`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        self.linking()?.link.layered()
    }

    /// As [`RelayLink::reject`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn reject(&mut self, wires: &mut Wires, why: Refusal) -> Result<(), Misuse> {
        self.linking()?.link.reject(wires, why)
    }

    /// The tenant showed what opens no session, or may not join its session: as [`RelayLink::refuse`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn refuse(&mut self, wires: &mut Wires, why: Refusal) -> Result<(), Misuse> {
        let linking = self.linking()?;
        if !linking.dial.is_none() {
            return Err(Misuse::NotAsked);
        }
        linking.link.refuse(wires, why)?;
        linking.request = None;
        Ok(())
    }

    /// The tenant showed a good token: it joins the session with this name, or opens it. [`Question::Dial`] follows.
    ///
    /// # Errors
    /// [`NotEntered::Reason`]: it may not; say [`Reason::told`] with [`Relay::refuse`].
    pub fn enter(&mut self, now: Duration, sessions: &mut Sessions, token: Token) -> Result<(), NotEntered> {
        let (link, config) = (self.link, self.config.clone());
        let linking = self.linking()?;
        let request = linking.request.take().ok_or(Misuse::NotAsked)?;
        let asked = Request::of(&request);
        self.channel = Some(request.channel_type);
        if config.policy.withholds(asked.channel) {
            return Err(Reason::NotAnnounced.into());
        }
        let (seat, admission) = sessions.admit(now, link, token, asked, &config.endpoint)?;
        let target = sessions.with(token, |migration, _| migration.target(admission.host).cloned());
        self.linking()?.dial = Ask::New(Dial {
            token,
            request,
            host: admission.host,
            target: target.flatten(),
        });
        self.place = Some(Place {
            token,
            seat,
            host: admission.host,
        });
        self.refresh(sessions);
        Ok(())
    }

    /// Answers [`Question::Dial`]: the connection to the hypervisor stands. From here on [`Side::Hypervisor`] is there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]: it is not wanted any more, close it.
    pub fn dialled(&mut self, wires: &mut Wires, upstream: Upstream) -> Result<(), Misuse> {
        let linking = self.linking()?;
        linking.dial.answer()?;
        linking.link.admit(wires, upstream)
    }

    /// Answers [`Question::Dial`]: there is no connection to the hypervisor.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn unreachable(&mut self) -> Result<(), Misuse> {
        let linking = self.linking()?;
        linking.dial.answer()?;
        linking.failed = Some(End::Unreachable);
        Ok(())
    }

    /// Answers [`Question::BindSession`]: the id is recorded, and the viewer may learn it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn bound(&mut self, wires: &mut Wires) -> Result<(), Misuse> {
        self.data()?.bound(wires)
    }

    /// Answers [`Question::BindSession`]: the id cannot be recorded. The session ends.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn not_bound(&mut self) -> Result<(), Misuse> {
        self.data()?.not_bound()
    }

    /// Answers [`Question::Target`]: the session may move there. The viewer is told of the proxy.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept_target(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires) -> Result<(), Misuse> {
        self.target(now, sessions, wires, true)
    }

    /// Answers [`Question::Target`]: the session must not move there. The viewer stays where it is; if the guest is gone
    /// already, the session ends.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse_target(&mut self, now: Duration, sessions: &mut Sessions, wires: &mut Wires) -> Result<(), Misuse> {
        self.target(now, sessions, wires, false)
    }

    fn target(
        &mut self,
        now: Duration,
        sessions: &mut Sessions,
        wires: &mut Wires,
        accept: bool,
    ) -> Result<(), Misuse> {
        let place = self.place.ok_or(Misuse::NotAsked)?;
        let data = self.data()?;
        data.answer_target()?;
        let told = sessions.with(place.token, |migration, tracker| {
            let told = if accept {
                migration.accept(now, tracker).map(Some)
            } else {
                migration.refuse(now, tracker)
            };
            let told = told.ok().flatten();
            data.told(told.as_ref(), migration.reads(tracker, place.seat), wires);
        });
        self.woken |= told.is_none();
        self.refresh(sessions);
        Ok(())
    }
}

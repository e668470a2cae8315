//! Both roles coupled: a server towards a tenant, a client towards a hypervisor.
//!
//! ```text
//! tenant                     relay                         hypervisor
//!   | LinkMess --------------> |                                |
//!   |               Ask(Link): which key, which capabilities?   |
//!   | <------------- LinkReply |                                |
//!   | ticket (the token) ----> |                                |
//!   |               Ask(Ticket): which token, which hypervisor? |
//!   |                          | LinkMess --------------------> |   the tenant's capabilities
//!   |                          | <-------------------- LinkReply |   checked against what was promised
//!   |                          | ticket (the hypervisor's) ----> |
//!   |                          | <------------------- LinkResult |
//!   | <------------ LinkResult |                                |
//! ```
//!
//! SASL ends at the relay, on each side for its own. A tenant that is to use it ([`ServerLink::announce_sasl`]) does
//! so with the relay: the questions are those of [`ServerLink`], and [`server::ServerQuestion::Admit`] takes the place
//! of [`server::ServerQuestion::Ticket`]. Otherwise a tenant that chooses SASL is refused, since it was not offered. A
//! hypervisor that wants SASL is shown what the caller's mechanism says ([`RelayQuestion::Hypervisor`]) if that was
//! allowed ([`RelayConfig::upstream_sasl`]); if not, it is given up as
//! [`Incompatibility::NoTickets`](super::Incompatibility::NoTickets).
//!
//! A hypervisor may have the channel on its other port only: it is asked for that one ([`RelayQuestion::Redial`]),
//! once.
//!
//! The tenant is shown capabilities before its token, and so the hypervisor, is known. What was shown is a
//! promise. A hypervisor that lacks a promised bit ends the link before the tenant is accepted, unless the
//! bit was waived, and [`RelayLink::learnt`] tells all that it announced; one that lacks `MINI_HEADER` is bridged:
//! [`RelayOutcome::forwarders`] rewrites headers. The bits that concern authentication are kept by the relay itself,
//! on each connection for its own. A session's first main channel can be promised everything: of its bits a viewer
//! only makes use of what the hypervisor says first, so none of them is missed there. For every other channel the
//! hypervisor is known by the `connection_id`, and can be asked before anything is promised: [`ClientLink::inquiry`].
//!
//! The tenant is accepted after the hypervisor has accepted. When the hypervisor fails, the tenant gets
//! [`RelayConfig::upstream_failure`], by default nothing: spice-gtk would show any code as a wrong
//! password. [`RelayLink::ticket`] says what became of the hypervisor's ticket.

mod config;
mod outcome;

pub use config::RelayConfig;
pub use outcome::TicketOutcome;

use core::time::Duration;

use super::error::check_refusal;
use super::server;
use super::ticket::OAEP_SEED_LEN;
use super::{
    Action, Buffers, ClientConfig, ClientLink, Event, HandshakeError, LinkMess, Machine, Misuse, Refusal, Secret,
    ServerLink, Side, SideBuffers, Stage, Transport, client,
};
use crate::caps::{Capabilities, CapabilitySet, CapabilityWords, common};
use crate::frame::{FrameForwarder, HeaderForm};
use crate::ids::ChannelType;
use crate::limits::Limits;

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum RelayQuestion {
    /// About the tenant. [`server::ServerQuestion::Ticket`] and [`server::ServerQuestion::Admit`]: connect to the
    /// hypervisor and [`RelayLink::admit`], or [`RelayLink::refuse`]; the others as with a [`ServerLink`], which
    /// [`RelayLink::tenant`] gives.
    Tenant(server::ServerQuestion),
    /// The hypervisor wants SASL: as with a [`ClientLink`], which [`RelayLink::hypervisor`] gives, of the hypervisor's
    /// connection. A caller that cannot go on calls [`RelayLink::refuse`].
    Hypervisor(client::ClientQuestion),
    /// The hypervisor has the channel on its other port only. Close this connection to it, connect to that port and
    /// [`RelayLink::admit`] again; or [`RelayLink::refuse`].
    Redial(Transport),
}

/// How the hypervisor is entered.
pub struct Upstream {
    /// Its ticket. Never the tenant's. Not sent to one that is shown SASL instead.
    pub ticket: Secret,
    /// Fresh random bytes. They are as secret as the ticket.
    pub oaep_seed: [u8; OAEP_SEED_LEN],
}

impl Upstream {
    /// With a seed from the caller's random bytes.
    pub fn new(ticket: Secret, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut oaep_seed = [0; OAEP_SEED_LEN];
        random(&mut oaep_seed);
        Self { ticket, oaep_seed }
    }
}

impl core::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Upstream(..)")
    }
}

/// What the driver does next; as [`Action`], with the side that it concerns.
#[derive(Debug, PartialEq, Eq)]
pub enum RelayAction {
    /// Read at least so many bytes more from this side.
    Receive {
        /// The side.
        side: Side,
        /// Further bytes; never 0.
        at_least: usize,
    },
    /// Find an answer, and give it with the method that the question names.
    Ask(RelayQuestion),
    /// The question is still open.
    Waiting,
    /// The link stands on both sides.
    Done(RelayOutcome),
}

/// A link that stands on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOutcome {
    /// What the tenant asked for and announced.
    pub request: LinkMess,
    /// What the tenant was shown.
    pub announced: Capabilities,
    /// What the hypervisor announced.
    pub hypervisor: Capabilities,
    /// Headers on the tenant's connection.
    pub tenant_form: HeaderForm,
    /// Headers on the hypervisor's connection.
    pub hypervisor_form: HeaderForm,
}

impl RelayOutcome {
    /// What moves the frames from here on: towards the tenant, and towards the hypervisor.
    #[must_use]
    pub fn forwarders(&self, limits: &Limits) -> (FrameForwarder, FrameForwarder) {
        let (tenant, hypervisor) = (self.tenant_form, self.hypervisor_form);
        let channel = self.request.channel_type;
        (
            FrameForwarder::new(channel, hypervisor, tenant, limits),
            FrameForwarder::new(channel, tenant, hypervisor, limits),
        )
    }
}

/// Why a relayed link failed, and on which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{side}: {error}")]
pub struct RelayError {
    /// The connection on which it went wrong.
    pub side: Side,
    /// What went wrong.
    pub error: HandshakeError,
}

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a handshake allocates nothing, and there is one of these a connection"
)]
enum State {
    Tenant,
    Hypervisor(ClientLink),
    Done,
    Failed(RelayError),
}

/// What the tenant asked for and was shown.
#[derive(Debug)]
struct Promise {
    request: LinkMess,
    announced: Capabilities,
}

/// A link as seen from the middle.
#[derive(Debug)]
pub struct RelayLink {
    config: RelayConfig,
    server: ServerLink,
    /// Set once it was asked whether the tenant is let in.
    promised: Option<Promise>,
    /// Set by [`RelayLink::admit`], until the step that starts the hypervisor's part.
    admitted: Option<Upstream>,
    /// The hypervisor was asked for on its other port.
    redialled: bool,
    /// The caller decides on the tenant's answer when the hypervisor fails.
    asks: bool,
    /// What became of the hypervisor's ticket, once its part has ended.
    ticket: TicketOutcome,
    /// What the hypervisor announced, once its part has ended.
    learnt: Option<Capabilities>,
    state: State,
}

impl RelayLink {
    /// For a tenant's connection that was accepted at `now`.
    #[must_use]
    pub fn new(now: Duration, config: RelayConfig) -> Self {
        let server = ServerLink::new(now, config.limits.clone()).relayed();
        Self {
            config,
            server,
            promised: None,
            admitted: None,
            redialled: false,
            asks: false,
            ticket: TicketOutcome::NotSent,
            learnt: None,
            state: State::Tenant,
        }
    }

    /// The tenant is not told that the hypervisor failed: [`RelayLink::pretend`] or [`RelayLink::give_up`] does.
    pub(crate) fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    /// Whether the connection to the hypervisor is in use.
    pub(crate) fn has_begun(&self) -> bool {
        self.admitted.is_some() || matches!(self.state, State::Hypervisor(_))
    }

    /// Whether a tenant that is gone must not end the hypervisor's part: the hypervisor has the ticket of a display
    /// channel. QEMU ends when such a connection is closed between the ticket and the channel's first message, so the
    /// link is finished, and closed as [`session`](crate::session) does. All other links can be given up at any time.
    #[must_use]
    pub fn must_finish(&self) -> bool {
        let display = self
            .promised
            .as_ref()
            .is_some_and(|promise| promise.request.channel_type == ChannelType::DISPLAY);
        display && matches!(&self.state, State::Hypervisor(client) if client.may_be_accepted())
    }

    /// Accepts a tenant that was to be let in, with no hypervisor behind it.
    pub(crate) fn pretend(&mut self, sides: &mut SideBuffers) -> Result<(), Misuse> {
        self.server.let_in(&mut sides.tenant)?;
        self.ticket = self.ticket();
        self.state = State::Done;
        Ok(())
    }

    /// Refuses a tenant whose hypervisor failed.
    pub(crate) fn give_up(&mut self, sides: &mut SideBuffers, why: Refusal) -> Result<(), Misuse> {
        self.server.turn_away(&mut sides.tenant, why)
    }

    /// What became of the hypervisor's ticket so far. It is final when the link stands or has failed; as long as the
    /// hypervisor is asked, it is what a link that is given up now comes to.
    #[must_use]
    pub fn ticket(&self) -> TicketOutcome {
        match &self.state {
            State::Hypervisor(client) if client.ticket_sent() && self.ticket == TicketOutcome::NotSent => {
                TicketOutcome::Unknown
            }
            _ => self.ticket,
        }
    }

    /// Everything that the hypervisor of a link that failed announced for the channel, if it came so far: what may be
    /// promised for it the next time.
    #[must_use]
    pub const fn learnt(&self) -> Option<&Capabilities> {
        self.learnt.as_ref()
    }

    /// The next event that was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.server.poll_event()
    }

    /// The tenant's part of the link, to answer [`RelayQuestion::Tenant`] with its methods, on
    /// [`SideBuffers::tenant`]. Stepping is the relay's, and so is what lets the tenant in or refuses it:
    /// [`RelayLink::admit`] and [`RelayLink::refuse`].
    ///
    /// [`Capabilities::spice_server`] is what to show ([`ServerLink::announce`]) when nothing is known of the
    /// hypervisor; once a session's hypervisor is known, its own set can be shown to the links with that
    /// `connection_id`.
    pub const fn tenant(&mut self) -> &mut ServerLink {
        &mut self.server
    }

    /// Answers [`server::ServerQuestion::Ticket`], [`server::ServerQuestion::Admit`] and [`RelayQuestion::Redial`]:
    /// the tenant is let in, and the connection to the hypervisor stands.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn admit(&mut self, _sides: &mut SideBuffers, upstream: Upstream) -> Result<(), Misuse> {
        let asked = matches!(self.state, State::Tenant) && self.server.stage() == Stage::Answer;
        if !asked || self.promised.is_none() || self.admitted.is_some() {
            return Err(Misuse::NotAsked);
        }
        self.admitted = Some(upstream);
        Ok(())
    }

    /// The hypervisor's part of the link, to answer [`RelayQuestion::Hypervisor`] with its methods, on
    /// [`SideBuffers::hypervisor`]. Stepping is the relay's.
    pub fn hypervisor(&mut self) -> Option<&mut ClientLink> {
        match &mut self.state {
            State::Hypervisor(client) => Some(client),
            _ => None,
        }
    }

    /// Answers every question but those about a SASL layer: the tenant does not get the channel, or is not let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn refuse(&mut self, sides: &mut SideBuffers, why: Refusal) -> Result<(), Misuse> {
        let asked = match &self.state {
            State::Tenant => self.admitted.is_none(),
            State::Hypervisor(client) => client.stage() == Stage::Answer,
            State::Done | State::Failed(_) => false,
        };
        if !asked {
            return Err(Misuse::NotAsked);
        }
        self.server.turn_away(&mut sides.tenant, why)?;
        self.ticket = self.ticket();
        // Also while the hypervisor waits for an answer.
        self.state = State::Tenant;
        Ok(())
    }

    /// Uses what is in both `rx`, writes to both `tx`, says what it needs.
    ///
    /// # Errors
    /// The link failed; the answer to the tenant is in its `tx`. Later calls give the same error.
    pub fn step(&mut self, now: Duration, sides: &mut SideBuffers) -> Result<RelayAction, RelayError> {
        loop {
            match &mut self.state {
                State::Failed(error) => return Err(*error),
                State::Done => {
                    return Err(RelayError {
                        side: Side::Tenant,
                        error: Misuse::Ended.into(),
                    });
                }
                State::Tenant => {
                    if let (Some(promise), Some(upstream)) = (&self.promised, self.admitted.take()) {
                        self.state = State::Hypervisor(dial(now, &self.config, promise, upstream));
                        continue;
                    }
                    match self.server.step(now, &mut sides.tenant) {
                        Ok(Action::Receive { at_least }) => {
                            return Ok(RelayAction::Receive {
                                side: Side::Tenant,
                                at_least,
                            });
                        }
                        Ok(Action::Waiting) => return Ok(RelayAction::Waiting),
                        Ok(Action::Ask(question)) => {
                            if let server::ServerQuestion::Ticket { request, .. }
                            | server::ServerQuestion::Admit { request } = &question
                            {
                                let announced = self.server.announced().cloned().unwrap_or_default();
                                self.promised = Some(Promise {
                                    request: request.clone(),
                                    announced,
                                });
                            }
                            return Ok(RelayAction::Ask(RelayQuestion::Tenant(question)));
                        }
                        // INVARIANT: the server's part is accepted below only.
                        Ok(Action::Done(_)) => return Err(self.fail(Side::Tenant, Misuse::Ended.into())),
                        Err(error) => return Err(self.fail(Side::Tenant, error)),
                    }
                }
                State::Hypervisor(client) => match client.step(now, &mut sides.hypervisor) {
                    Ok(Action::Receive { at_least }) => {
                        return Ok(RelayAction::Receive {
                            side: Side::Hypervisor,
                            at_least,
                        });
                    }
                    Ok(Action::Done(outcome)) => {
                        return self.accept(now, sides, outcome.capabilities, outcome.header_form);
                    }
                    Ok(Action::Waiting) => return Ok(RelayAction::Waiting),
                    Ok(Action::Ask(question)) => return Ok(RelayAction::Ask(RelayQuestion::Hypervisor(question))),
                    Err(error) => match error.wanted_transport() {
                        Some(transport) if !client.was_offered() && !self.redialled => {
                            self.redialled = true;
                            self.state = State::Tenant;
                            sides.hypervisor = Buffers::default();
                            return Ok(RelayAction::Ask(RelayQuestion::Redial(transport)));
                        }
                        _ => return Err(self.upstream_failed(sides, error)),
                    },
                },
            }
        }
    }

    /// Step again at this time at the latest; the step then fails with [`HandshakeError::TimedOut`].
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match &self.state {
            State::Hypervisor(client) => client.deadline(),
            _ => self.server.deadline(),
        }
    }

    /// One side hung up. In the link stage that is always an error; the answer to the tenant is in its `tx`.
    ///
    /// # Errors
    /// [`HandshakeError::Closed`] on that side, or what had gone wrong before.
    pub fn eof(&mut self, sides: &mut SideBuffers, side: Side) -> Result<RelayOutcome, RelayError> {
        match (&mut self.state, side) {
            (State::Failed(error), _) => Err(*error),
            (State::Hypervisor(client), Side::Hypervisor) => match client.eof() {
                Err(error) => Err(self.upstream_failed(sides, error)),
                Ok(_) => Err(self.fail(side, Misuse::Ended.into())),
            },
            (State::Done, _) => Err(RelayError {
                side,
                error: Misuse::Ended.into(),
            }),
            _ => {
                let stage = match &self.state {
                    State::Hypervisor(_) => Stage::LinkResult,
                    _ => self.server.stage(),
                };
                sides.tenant.wipe();
                Err(self.fail(side, HandshakeError::Closed(stage)))
            }
        }
    }

    /// The most that the `rx` of a side needs to hold.
    #[must_use]
    pub fn max_input(&self, side: Side) -> usize {
        match (side, &self.state) {
            (Side::Hypervisor, State::Hypervisor(client)) => client.max_input(),
            (Side::Hypervisor, _) => 0,
            (Side::Tenant, _) => self.server.max_input(),
        }
    }

    /// The hypervisor has accepted, so the tenant is.
    fn accept(
        &mut self,
        now: Duration,
        sides: &mut SideBuffers,
        hypervisor: Capabilities,
        hypervisor_form: HeaderForm,
    ) -> Result<RelayAction, RelayError> {
        self.ticket = TicketOutcome::Accepted;
        let accepted = self.server.let_in(&mut sides.tenant).map_err(HandshakeError::Misuse);
        let outcome = accepted.and_then(|()| self.server.step(now, &mut sides.tenant));
        let outcome = match outcome {
            Ok(Action::Done(outcome)) => outcome,
            Ok(_) => return Err(self.fail(Side::Tenant, Misuse::Ended.into())),
            Err(error) => return Err(self.fail(Side::Tenant, error)),
        };
        if outcome.header_form != hypervisor_form {
            self.server.push_event(Event::HeadersBridged);
        }
        let sets = [
            (
                CapabilitySet::Common,
                minus(&outcome.announced.common, &hypervisor.common),
                &self.config.waived.common,
            ),
            (
                CapabilitySet::Channel,
                minus(&outcome.announced.channel, &hypervisor.channel),
                &waived_of(&self.config, &outcome.request),
            ),
        ];
        for (set, missing, waived) in sets {
            for bit in missing.bits().filter(|bit| waived.has(*bit)) {
                self.server.push_event(Event::Waived { set, bit });
            }
        }
        self.state = State::Done;
        Ok(RelayAction::Done(RelayOutcome {
            request: outcome.request,
            announced: outcome.announced,
            hypervisor,
            tenant_form: outcome.header_form,
            hypervisor_form,
        }))
    }

    fn upstream_failed(&mut self, sides: &mut SideBuffers, error: HandshakeError) -> RelayError {
        if self.asks {
            return self.fail(Side::Hypervisor, error);
        }
        let told = self.config.upstream_failure;
        // A configured OK would accept the tenant.
        let told = if check_refusal(told).is_ok() {
            told
        } else {
            Refusal::Close
        };
        let _ = self.server.turn_away(&mut sides.tenant, told);
        self.fail(Side::Hypervisor, error)
    }

    fn fail(&mut self, side: Side, error: HandshakeError) -> RelayError {
        self.ticket = match (self.ticket(), error) {
            (TicketOutcome::Unknown, HandshakeError::Rejected(code)) if side == Side::Hypervisor => {
                TicketOutcome::Refused(code)
            }
            (ticket, _) => ticket,
        };
        if let State::Hypervisor(client) = &self.state {
            self.learnt = client.announced().cloned();
        }
        let error = RelayError { side, error };
        self.state = State::Failed(error);
        error
    }
}

/// The hypervisor's part: the tenant's request in the relay's name.
fn dial(now: Duration, config: &RelayConfig, promise: &Promise, upstream: Upstream) -> ClientLink {
    let mut request = promise.request.clone();
    // The tenant's SASL would be with the relay, and spice-gtk does not say that it has tickets.
    let words = core::mem::take(&mut request.capabilities.common).with(common::AUTH_SPICE);
    request.capabilities.common = match config.upstream_sasl {
        true => words.with(common::PROTOCOL_AUTH_SELECTION).with(common::AUTH_SASL),
        false => words.without(common::AUTH_SASL),
    };
    let own = [
        common::PROTOCOL_AUTH_SELECTION,
        common::AUTH_SPICE,
        common::AUTH_SASL,
        common::MINI_HEADER,
    ];
    let required = Capabilities {
        common: own
            .iter()
            .fold(minus(&promise.announced.common, &config.waived.common), |set, bit| {
                set.without(*bit)
            }),
        channel: minus(&promise.announced.channel, &waived_of(config, &promise.request)),
    };
    let client = ClientConfig::new(request)
        .with_required(required)
        .with_limits(config.limits.clone());
    ClientLink::new(now, client, upstream.ticket, upstream.oaep_seed)
}

/// The bits of the channel that may be promised and missing: all of a main channel that begins a session, with which
/// nothing is done until the hypervisor makes use of them. At a migration target the viewer speaks first.
fn waived_of(config: &RelayConfig, request: &LinkMess) -> CapabilityWords {
    if (request.channel_type, request.connection_id) != (ChannelType::MAIN, 0) {
        return config.waived.channel.clone();
    }
    Capabilities::spice_server(ChannelType::MAIN).channel
}

/// The bits of `set` that `other` does not have.
fn minus(set: &CapabilityWords, other: &CapabilityWords) -> CapabilityWords {
    set.words()
        .iter()
        .enumerate()
        .map(|(n, word)| word & !other.words().get(n).copied().unwrap_or(0))
        .collect()
}

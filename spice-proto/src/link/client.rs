//! The client's role.
//!
//! ```text
//! Start -> Reply -> ticket ----------------------------------------------------> Result -> Done
//!            |  '-> MechList -> (Ask SaslStart) -> StepServer -> (Ask SaslStep)     |
//!            |         |                               ^            |     |         |
//!         refused   refused                            '--- step ---'    end        |
//!                                                                         v         |
//!                                          (Ask SaslLayer, if there is one) <- SaslResult
//! ```
//!
//! SASL is used when both sides announced it (`AUTH_SASL`, `PROTOCOL_AUTH_SELECTION`), as spice-gtk does: a
//! client that cannot answer the questions leaves the bit out of its request. A server may refuse at any time
//! with a link reply where something else was due; after a wrong password spice-server hangs up, which is
//! [`HandshakeError::Closed`] at [`Stage::Sasl`].

use core::time::Duration;

use bytes::{Buf, BytesMut};

use super::receive::Part;
use super::sasl::{self, MechList};
#[cfg(feature = "rsa")]
use super::ticket::OAEP_SEED_LEN;
use super::ticket::Unsealed;
use super::{
    Action, Buffers, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply, Machine, Misbehaviour, Misuse,
    PublicKey, Secret, Stage, receive,
};
use crate::caps::{Capabilities, CapabilitySet, CapabilityWords, common};
use crate::error::DecodeError;
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, LinkErrorCode};
use crate::limits::Limits;
use crate::link::messages::MAGIC;

/// What a client asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Channel, session and own capabilities.
    pub request: LinkMess,
    /// Capabilities without which the link is given up, before the ticket is sent: none.
    pub required: Capabilities,
    /// Limits.
    pub limits: Limits,
}

impl ClientConfig {
    /// For this channel.
    #[must_use]
    pub fn new(request: LinkMess) -> Self {
        Self {
            request,
            required: Capabilities::default(),
            limits: Limits::default(),
        }
    }

    /// Sets [`ClientConfig::required`].
    #[must_use]
    pub fn with_required(mut self, required: Capabilities) -> Self {
        self.required = required;
        self
    }

    /// Sets [`ClientConfig::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// What the caller is asked, where SASL is used.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientQuestion {
    /// Which of these mechanisms? Answered with [`ClientLink::sasl_start`].
    SaslStart {
        /// Those that the server offers.
        mechanisms: MechList,
    },
    /// What the server's mechanism says is for the caller's, also when it is the last. Answered with
    /// [`ClientLink::sasl_step`] if the exchange goes on; with [`ClientLink::sasl_end`] if it is complete and the
    /// caller's mechanism is content with the server. A caller whose mechanism is not closes the connection.
    SaslStep {
        /// The data, if any.
        data: Option<Secret>,
        /// Whether the server's mechanism has come to its end.
        complete: bool,
    },
    /// From here on both directions are inside the layer that the mechanism agreed on
    /// ([`SealedPacket`](super::sasl::SealedPacket)s). What is in `rx` is to be replaced by what is inside of it, then
    /// [`ClientLink::layered`] goes on.
    SaslLayer,
}

/// A link that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOutcome {
    /// What the server announced.
    pub capabilities: Capabilities,
    /// The protocol version that it speaks, major and minor.
    pub version: (u32, u32),
    /// Headers in both directions from here on.
    pub header_form: HeaderForm,
    /// What the client proved itself with.
    pub mechanism: AuthMechanism,
    /// Whether a layer of the SASL mechanism is around everything that follows.
    pub sasl_layer: bool,
}

/// The question that is open.
#[derive(Debug)]
enum Open {
    Start(MechList),
    Step { complete: bool },
    Layer,
}

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a handshake allocates nothing, and there is one of these a connection"
)]
enum State {
    Start,
    Reply,
    MechList(ClientOutcome),
    StepServer(ClientOutcome),
    Open(Open, ClientOutcome),
    SaslResult(ClientOutcome),
    Result(ClientOutcome),
    /// What was asked is known.
    Known(ClientOutcome),
    /// A link reply has begun where something else was due.
    LateReply,
    Done,
    Failed(HandshakeError),
}

/// A link as seen by the client.
#[derive(Debug)]
pub struct ClientLink {
    config: ClientConfig,
    /// `None`: SASL, or no link.
    ticket: Option<Unsealed>,
    deadline: Duration,
    /// The server's reply said OK.
    offered: bool,
    /// The ticket was written, or SASL has begun.
    ticket_sent: bool,
    /// What the server announces is all that is wanted.
    inquires: bool,
    /// What the server announced.
    announced: Option<Capabilities>,
    state: State,
}

/// What comes after a state: the next one, and what the driver does.
type Next = (State, Option<Action<ClientQuestion, ClientOutcome>>);

impl ClientLink {
    /// For a connection that stands at `now`. `oaep_seed` must be fresh and random for each link.
    ///
    /// A request that announces `AUTH_SASL` lets the server choose, and may lead to questions.
    #[cfg(feature = "rsa")]
    #[must_use]
    pub fn new(now: Duration, config: ClientConfig, ticket: Secret, oaep_seed: [u8; OAEP_SEED_LEN]) -> Self {
        Self::with(now, config, Some(Unsealed::new(ticket, oaep_seed)))
    }

    /// As [`ClientLink::new`], with SASL and nothing else: the capabilities for that are set in the request, and a
    /// server that takes tickets only is given up.
    #[must_use]
    pub fn sasl(now: Duration, mut config: ClientConfig) -> Self {
        let own = core::mem::take(&mut config.request.capabilities.common);
        config.request.capabilities.common = own.with(common::PROTOCOL_AUTH_SELECTION).with(common::AUTH_SASL);
        Self::with(now, config, None)
    }

    /// As [`ClientLink::new`], up to the server's reply: what it announces for the channel is the outcome, nothing is
    /// proved or sent behind it, and the connection is to be closed. No server makes a channel of such a link.
    #[must_use]
    pub fn inquiry(now: Duration, config: ClientConfig) -> Self {
        Self {
            inquires: true,
            ..Self::with(now, config, None)
        }
    }

    fn with(now: Duration, config: ClientConfig, ticket: Option<Unsealed>) -> Self {
        let deadline = now.saturating_add(config.limits.link_timeout);
        Self {
            config,
            ticket,
            deadline,
            offered: false,
            ticket_sent: false,
            inquires: false,
            announced: None,
            state: State::Start,
        }
    }

    /// Whether the server has said that it has the channel.
    pub(crate) const fn was_offered(&self) -> bool {
        self.offered
    }

    /// Whether the server has been sent all that it needs to accept.
    pub(crate) const fn may_be_accepted(&self) -> bool {
        matches!(
            self.state,
            State::StepServer(_)
                | State::Open(Open::Step { complete: true } | Open::Layer, _)
                | State::SaslResult(_)
                | State::Result(_)
                | State::LateReply
                | State::Done
        )
    }

    /// What the server announced, as soon as it has said that it has the channel; also when the link failed then.
    #[must_use]
    pub const fn announced(&self) -> Option<&Capabilities> {
        self.announced.as_ref()
    }

    /// Whether the ticket, or the first words of SASL, was put into `tx`: from then on the server may have it, and a
    /// link that fails without the server's answer may have been accepted all the same.
    #[must_use]
    pub const fn ticket_sent(&self) -> bool {
        self.ticket_sent
    }

    /// Where the link is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Start | State::Reply => Stage::LinkReply,
            State::MechList(_) | State::StepServer(_) | State::SaslResult(_) => Stage::Sasl,
            State::Open(..) => Stage::Answer,
            State::Result(_) | State::LateReply => Stage::LinkResult,
            State::Known(_) | State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    /// Answers [`ClientQuestion::SaslStart`], with what the mechanism begins with, if anything.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], [`Misuse::NotOffered`], or [`Misuse::TooLong`].
    pub fn sasl_start(&mut self, buffers: &mut Buffers, mechanism: &[u8], data: Option<&[u8]>) -> Result<(), Misuse> {
        let State::Open(Open::Start(offered), outcome) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        if !offered.offers(mechanism) {
            return Err(Misuse::NotOffered);
        }
        let before = buffers.tx.len();
        let limits = &self.config.limits;
        // INVARIANT: the name is a part of a list that was received, so its length fits.
        let len = u32::try_from(mechanism.len()).map_err(|_| Misuse::TooLong)?;
        buffers.tx.extend_from_slice(&len.to_le_bytes());
        buffers.tx.extend_from_slice(mechanism);
        sasl::put_said(&mut buffers.tx, data, limits).inspect_err(|_| buffers.tx.truncate(before))?;
        self.ticket_sent = true;
        self.state = State::StepServer(outcome.clone());
        Ok(())
    }

    /// Answers [`ClientQuestion::SaslStep`]: this is said to it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], [`Misuse::NotComplete`] when the server's mechanism has come to its end, or
    /// [`Misuse::TooLong`].
    pub fn sasl_step(&mut self, buffers: &mut Buffers, data: Option<&[u8]>) -> Result<(), Misuse> {
        match &self.state {
            State::Open(Open::Step { complete: false }, outcome) => {
                sasl::put_said(&mut buffers.tx, data, &self.config.limits)?;
                self.state = State::StepServer(outcome.clone());
                Ok(())
            }
            State::Open(Open::Step { complete: true }, _) => Err(Misuse::NotComplete),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers [`ClientQuestion::SaslStep`]: the mechanism is content with the server. `layer`: it agreed on a layer,
    /// see [`ClientQuestion::SaslLayer`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::NotComplete`].
    pub fn sasl_end(&mut self, layer: bool) -> Result<(), Misuse> {
        match &self.state {
            State::Open(Open::Step { complete: true }, outcome) => {
                self.state = State::SaslResult(ClientOutcome {
                    sasl_layer: layer,
                    ..outcome.clone()
                });
                Ok(())
            }
            State::Open(Open::Step { complete: false }, _) => Err(Misuse::NotComplete),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers [`ClientQuestion::SaslLayer`]: `rx` holds what is inside of the layer, and what is put into `tx` from
    /// here on is to be wrapped.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        let State::Open(Open::Layer, outcome) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        self.state = State::Result(outcome.clone());
        Ok(())
    }

    fn advance(&mut self, state: State, buffers: &mut Buffers) -> Result<Next, HandshakeError> {
        let limits = &self.config.limits;
        let late = buffers.rx.starts_with(&MAGIC);
        match state {
            State::Start => {
                self.config
                    .request
                    .encode(&mut buffers.tx)
                    .map_err(|_| HandshakeError::Misuse(Misuse::Ended))?;
                Ok((State::Reply, None))
            }
            State::Reply => Ok(match self.take_reply(buffers)? {
                Part::Taken((header, reply)) => (self.answer(&header, &reply, buffers)?, None),
                Part::Missing(at_least) => (State::Reply, Some(Action::Receive { at_least })),
            }),
            // spice-server answers what it does not take with a whole link reply.
            State::MechList(_) | State::StepServer(_) | State::SaslResult(_) | State::Result(_) if late => {
                Ok((State::LateReply, None))
            }
            State::LateReply => match self.take_reply(buffers)? {
                Part::Taken(_) => Err(HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply)),
                Part::Missing(at_least) => Ok((State::LateReply, Some(Action::Receive { at_least }))),
            },
            State::MechList(outcome) => taken(
                buffers,
                outcome,
                State::MechList,
                |rx| sasl::take_list(rx, limits),
                |mechanisms, outcome| {
                    if mechanisms.names().next().is_none() {
                        return Err(HandshakeError::PeerIncompatible(Incompatibility::NoMechanism));
                    }
                    Ok(ask(
                        Open::Start(mechanisms.clone()),
                        outcome,
                        ClientQuestion::SaslStart { mechanisms },
                    ))
                },
            ),
            State::StepServer(outcome) => taken(
                buffers,
                outcome,
                State::StepServer,
                |rx| sasl::take_server(rx, limits),
                |(data, complete), outcome| {
                    Ok(ask(
                        Open::Step { complete },
                        outcome,
                        ClientQuestion::SaslStep { data, complete },
                    ))
                },
            ),
            State::SaslResult(outcome) => taken(
                buffers,
                outcome,
                State::SaslResult,
                |rx| sasl::take_verdict(rx, limits),
                |accepted, outcome| match (accepted, outcome.sasl_layer) {
                    (false, _) => Err(HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED)),
                    (true, true) => Ok(ask(Open::Layer, outcome, ClientQuestion::SaslLayer)),
                    (true, false) => Ok((State::Result(outcome), None)),
                },
            ),
            State::Result(outcome) => {
                let Some(bytes) = buffers.rx.first_chunk::<4>() else {
                    let at_least = 4_usize.saturating_sub(buffers.rx.len());
                    return Ok((State::Result(outcome), Some(Action::Receive { at_least })));
                };
                let code = LinkErrorCode(u32::from_le_bytes(*bytes));
                buffers.rx.advance(4);
                match code {
                    LinkErrorCode::OK => Ok((State::Done, Some(Action::Done(outcome)))),
                    code => Err(HandshakeError::Rejected(code)),
                }
            }
            State::Known(outcome) => Ok((State::Done, Some(Action::Done(outcome)))),
            open @ State::Open(..) => Ok((open, Some(Action::Waiting))),
            State::Done => Err(HandshakeError::Misuse(Misuse::Ended)),
            State::Failed(error) => Err(error),
        }
    }

    /// Takes a link reply that says OK, or says what is missing to one.
    fn take_reply(&self, buffers: &mut Buffers) -> Result<Part<(LinkHeader, LinkReply)>, HandshakeError> {
        let rx = &mut buffers.rx;
        receive::check_magic(rx)?;
        receive::check_version(rx)?;
        if let Some(more) = receive::missing(4, rx).or_else(|| receive::missing(LinkHeader::LEN, rx)) {
            return Ok(Part::Missing(more));
        }
        let header = LinkHeader::decode_slice(rx)?;
        let size = receive::check_size(&header, LinkReply::MIN_LEN, self.config.limits.link_reply)?;
        let end = size.saturating_add(LinkHeader::LEN);
        if let Some(more) = receive::missing(end, rx) {
            return Ok(Part::Missing(more));
        }
        let body = rx.get(LinkHeader::LEN..end).unwrap_or_default();
        let code = body.first_chunk::<4>().map_or(0, |code| u32::from_le_bytes(*code));
        if code != LinkErrorCode::OK.0 {
            return Err(HandshakeError::Rejected(LinkErrorCode(code)));
        }
        let reply = LinkReply::decode_slice(body, &self.config.limits)?;
        rx.advance(end);
        Ok(Part::Taken((header, reply)))
    }

    /// Checks what the server announces, and sends the ticket or says that SASL will be used.
    fn answer(
        &mut self,
        header: &LinkHeader,
        reply: &LinkReply,
        buffers: &mut Buffers,
    ) -> Result<State, HandshakeError> {
        self.offered = true;
        let own = &self.config.request.capabilities;
        let server = &reply.capabilities;
        self.announced = Some(server.clone());
        require(&self.config.required.common, &server.common, CapabilitySet::Common)?;
        require(&self.config.required.channel, &server.channel, CapabilitySet::Channel)?;
        let both = |bit| own.has_common(bit) && server.has_common(bit);
        let mini = |caps: &Capabilities| caps.has_common(common::MINI_HEADER);
        let outcome = |mechanism| ClientOutcome {
            header_form: HeaderForm::agreed(mini(own), mini(server)),
            capabilities: server.clone(),
            version: (header.major_version, header.minor_version),
            mechanism,
            sasl_layer: false,
        };
        if self.inquires {
            return Ok(State::Known(outcome(AuthMechanism::SPICE)));
        }
        if both(common::PROTOCOL_AUTH_SELECTION) && both(common::AUTH_SASL) {
            buffers.tx.extend_from_slice(&AuthMechanism::SASL.0.to_le_bytes());
            return Ok(State::MechList(outcome(AuthMechanism::SASL)));
        }
        let Some(ticket) = &mut self.ticket else {
            let needed = [common::PROTOCOL_AUTH_SELECTION, common::AUTH_SASL];
            require(&CapabilityWords::of(&needed), &server.common, CapabilitySet::Common)?;
            // INVARIANT: the client's own bits are set, so one of the server's is missing.
            return Err(HandshakeError::Misuse(Misuse::Ended));
        };
        let selects = server.has_common(common::PROTOCOL_AUTH_SELECTION);
        if selects && !server.has_common(common::AUTH_SPICE) {
            return Err(HandshakeError::PeerIncompatible(Incompatibility::NoTickets));
        }
        let sealed = ticket.seal(&PublicKey::from_der(reply.pub_key))?;
        if selects && own.has_common(common::PROTOCOL_AUTH_SELECTION) {
            buffers.tx.extend_from_slice(&AuthMechanism::SPICE.0.to_le_bytes());
        }
        buffers.tx.extend_from_slice(&sealed.0);
        self.ticket_sent = true;
        Ok(State::Result(outcome(AuthMechanism::SPICE)))
    }
}

/// Takes a part of the SASL exchange and goes on with it, or stays and says what is missing.
fn taken<T>(
    buffers: &mut Buffers,
    outcome: ClientOutcome,
    stay: impl FnOnce(ClientOutcome) -> State,
    take: impl FnOnce(&mut BytesMut) -> Result<Part<T>, DecodeError>,
    next: impl FnOnce(T, ClientOutcome) -> Result<Next, HandshakeError>,
) -> Result<Next, HandshakeError> {
    match take(&mut buffers.rx)? {
        Part::Taken(part) => next(part, outcome),
        Part::Missing(at_least) => Ok((stay(outcome), Some(Action::Receive { at_least }))),
    }
}

fn ask(open: Open, outcome: ClientOutcome, question: ClientQuestion) -> Next {
    (State::Open(open, outcome), Some(Action::Ask(question)))
}

fn require(wanted: &CapabilityWords, has: &CapabilityWords, set: CapabilitySet) -> Result<(), HandshakeError> {
    match wanted.bits().find(|bit| !has.has(*bit)) {
        Some(bit) => Err(HandshakeError::PeerIncompatible(Incompatibility::MissingCapability {
            set,
            bit,
        })),
        None => Ok(()),
    }
}

impl Machine for ClientLink {
    type Question = ClientQuestion;
    type Outcome = ClientOutcome;

    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<ClientQuestion, ClientOutcome>, HandshakeError> {
        let timed_out = HandshakeError::TimedOut(self.stage());
        loop {
            let state = core::mem::replace(&mut self.state, State::Done);
            let ended = matches!(state, State::Done | State::Failed(_));
            let next = if !ended && self.deadline <= now {
                Err(timed_out)
            } else {
                self.advance(state, buffers)
            };
            match next {
                Ok((state, action)) => {
                    self.state = state;
                    if let Some(action) = action {
                        return Ok(action);
                    }
                }
                Err(HandshakeError::Misuse(misuse)) => return Err(misuse.into()),
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn eof(&mut self) -> Result<ClientOutcome, HandshakeError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Done => Err(HandshakeError::Misuse(Misuse::Ended)),
            _ => {
                let error = HandshakeError::Closed(self.stage());
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    fn max_input(&self) -> usize {
        let limits = &self.config.limits;
        let reply = (limits.link_reply as usize).saturating_add(LinkHeader::LEN);
        let sasl = match self.state {
            State::MechList(_) | State::StepServer(_) | State::SaslResult(_) => limits.sasl_input(),
            _ => 0,
        };
        reply.max(sasl)
    }
}

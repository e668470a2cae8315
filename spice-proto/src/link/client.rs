//! The client's role.
//!
//! ```text
//! Start -> Reply -> Result -> Done
//!            |         |
//!         refused   refused, or a link reply where a result was due
//! ```

use core::time::Duration;

use bytes::Buf;

use super::receive::Part;
use super::ticket::{OAEP_SEED_LEN, Seed};
use super::{
    Action, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply, Machine, Misbehaviour, Misuse, PublicKey,
    Secret, Stage, Wire, receive,
};
use crate::caps::{Capabilities, CapabilitySet, CapabilityWords, common};
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, LinkErrorCode};
use crate::limits::Limits;
use crate::link::messages::{MAGIC, VERSION};

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

/// The client asks its caller nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {}

/// A link that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOutcome {
    /// What the server announced.
    pub capabilities: Capabilities,
    /// Headers in both directions from here on.
    pub header_form: HeaderForm,
}

#[derive(Debug)]
enum State {
    Start,
    Reply,
    Result(ClientOutcome),
    /// A link reply has begun where a result was due.
    LateReply,
    Done,
    Failed(HandshakeError),
}

/// A link as seen by the client.
#[derive(Debug)]
pub struct ClientLink {
    config: ClientConfig,
    ticket: Secret,
    oaep_seed: Seed,
    deadline: Duration,
    state: State,
}

impl ClientLink {
    /// For a connection that stands at `now`. `oaep_seed` must be fresh and random for each link.
    #[must_use]
    pub fn new(now: Duration, config: ClientConfig, ticket: Secret, oaep_seed: [u8; OAEP_SEED_LEN]) -> Self {
        let deadline = now.saturating_add(config.limits.link_timeout);
        Self {
            config,
            ticket,
            oaep_seed: Seed::new(oaep_seed),
            deadline,
            state: State::Start,
        }
    }

    /// Where the link is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Start | State::Reply => Stage::LinkReply,
            State::Result(_) | State::LateReply => Stage::LinkResult,
            State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    fn advance(
        &mut self,
        state: State,
        wire: &mut Wire,
    ) -> Result<(State, Option<Action<Question, ClientOutcome>>), HandshakeError> {
        match state {
            State::Start => {
                self.config
                    .request
                    .encode(&mut wire.tx)
                    .map_err(|_| HandshakeError::Misuse(Misuse::Ended))?;
                Ok((State::Reply, None))
            }
            State::Reply => Ok(match self.take_reply(wire)? {
                Part::Taken(reply) => (State::Result(self.answer(&reply, wire)?), None),
                Part::Missing(at_least) => (State::Reply, Some(Action::Receive { at_least })),
            }),
            State::Result(outcome) => {
                let Some(bytes) = wire.rx.first_chunk::<4>() else {
                    let at_least = 4_usize.saturating_sub(wire.rx.len());
                    return Ok((State::Result(outcome), Some(Action::Receive { at_least })));
                };
                let code = LinkErrorCode(u32::from_le_bytes(*bytes));
                if *bytes == MAGIC {
                    return Ok((State::LateReply, None));
                }
                wire.rx.advance(4);
                match code {
                    LinkErrorCode::OK => Ok((State::Done, Some(Action::Done(outcome)))),
                    code => Err(HandshakeError::Rejected(code)),
                }
            }
            // spice-server answers a mechanism that it does not take with a whole link reply.
            State::LateReply => match self.take_reply(wire)? {
                Part::Taken(_) => Err(HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply)),
                Part::Missing(at_least) => Ok((State::LateReply, Some(Action::Receive { at_least }))),
            },
            State::Done => Err(HandshakeError::Misuse(Misuse::Ended)),
            State::Failed(error) => Err(error),
        }
    }

    /// Takes a link reply that says OK, or says what is missing to one.
    fn take_reply(&self, wire: &mut Wire) -> Result<Part<LinkReply>, HandshakeError> {
        let rx = &mut wire.rx;
        if let Some(more) = receive::missing(4, rx) {
            return Ok(Part::Missing(more));
        }
        receive::check_magic(rx)?;
        if let Some(more) = receive::missing(LinkHeader::LEN, rx) {
            return Ok(Part::Missing(more));
        }
        let header = LinkHeader::decode_slice(rx)?;
        let LinkHeader {
            major_version: major,
            minor_version: minor,
            ..
        } = header;
        if major != VERSION.0 {
            return Err(HandshakeError::PeerIncompatible(Incompatibility::Version {
                major,
                minor,
            }));
        }
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
        let reply = LinkReply::decode(body, &self.config.limits)?;
        rx.advance(end);
        Ok(Part::Taken(reply))
    }

    /// Checks what the server announces, and sends the ticket.
    fn answer(&mut self, reply: &LinkReply, wire: &mut Wire) -> Result<ClientOutcome, HandshakeError> {
        let own = &self.config.request.capabilities;
        let server = &reply.capabilities;
        require(&self.config.required.common, &server.common, CapabilitySet::Common)?;
        require(&self.config.required.channel, &server.channel, CapabilitySet::Channel)?;
        let selects = server.has_common(common::PROTOCOL_AUTH_SELECTION);
        if selects && !server.has_common(common::AUTH_SPICE) {
            return Err(HandshakeError::PeerIncompatible(Incompatibility::NoTickets));
        }
        let sealed = PublicKey::from_der(reply.pub_key).seal(self.ticket.expose(), self.oaep_seed.take())?;
        if selects && own.has_common(common::PROTOCOL_AUTH_SELECTION) {
            wire.tx.extend_from_slice(&AuthMechanism::SPICE.0.to_le_bytes());
        }
        wire.tx.extend_from_slice(&sealed.0);
        let mini = |caps: &Capabilities| caps.has_common(common::MINI_HEADER);
        Ok(ClientOutcome {
            header_form: HeaderForm::agreed(mini(own), mini(server)),
            capabilities: server.clone(),
        })
    }
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
    type Question = Question;
    type Outcome = ClientOutcome;

    fn step(&mut self, now: Duration, wire: &mut Wire) -> Result<Action<Question, ClientOutcome>, HandshakeError> {
        let timed_out = HandshakeError::TimedOut(self.stage());
        loop {
            let state = core::mem::replace(&mut self.state, State::Done);
            let ended = matches!(state, State::Done | State::Failed(_));
            let next = if !ended && self.deadline <= now {
                Err(timed_out)
            } else {
                self.advance(state, wire)
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
        (self.config.limits.link_reply as usize).saturating_add(LinkHeader::LEN)
    }
}

//! The server's role.
//!
//! ```text
//! Mess -> (Ask Link) -> Mechanism -> Ticket -> (Ask Ticket) --------------------------> Done
//!              |            |                       |                                    ^
//!           reject      not offered              refuse                                  |
//!                           v                                                            |
//!                        SaslStart -> (Ask SaslStart) -> complete -> [Ask SaslLayer] -> (Ask Admit)
//!                           |           |      ^   |                                     |
//!                       not offered   reply   (Ask SaslStep)                           refuse
//!                                       v      |
//!                                       SaslStep
//! ```
//!
//! [`ServerLink::announce`] asks for a ticket, [`ServerLink::announce_sasl`] for SASL. spice-server never offers both.
//!
//! What a bad client is answered is what spice-server answers:
//!
//! | Condition | Answer |
//! |---|---|
//! | wrong magic, from its first wrong byte on | `LinkReply` `INVALID_MAGIC` |
//! | `GET `, the beginning of a WebSocket | nothing, see [`Incompatibility::WebSocket`] |
//! | major version 0 | nothing |
//! | other major version than 2 | `LinkReply` `VERSION_MISMATCH` |
//! | size or capability words out of bounds | `LinkReply` `INVALID_DATA` |
//! | a mechanism that was not offered, of either kind | a second `LinkReply`, `INVALID_DATA` |
//! | no `PROTOCOL_AUTH_SELECTION`, and SASL is all there is | a second `LinkReply`, `VERSION_MISMATCH` |
//! | a length of SASL out of bounds | a second `LinkReply`, `INVALID_DATA` |
//! | refused by the caller | the caller's [`Refusal`] |
//! | out of time | nothing |

mod answers;

use core::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::receive::Part;
use super::sasl::{self, MechList};
use super::{
    Action, Buffers, Event, Events, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply, Machine,
    Misbehaviour, Misuse, PublicKey, Refusal, SealedTicket, Secret, Stage, receive,
};
use crate::caps::Capabilities;
use crate::error::DecodeError;
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use crate::limits::Limits;
use crate::link::messages::SEALED_TICKET_LEN;

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerQuestion {
    /// Show the client what it is to prove itself with, and capabilities, with [`ServerLink::announce`] or
    /// [`ServerLink::announce_sasl`]; or [`ServerLink::refuse`] it.
    Link(LinkMess),
    /// [`ServerLink::accept`] the ticket, or [`ServerLink::refuse`] it. A ticket that does not open and one
    /// that holds the wrong password are to be refused alike.
    Ticket {
        /// The link that the ticket is for.
        request: LinkMess,
        /// For the private half of the announced key.
        sealed: SealedTicket,
    },
    /// The client's choice of a SASL mechanism, and its first words. Answered with [`ServerLink::sasl_reply`],
    /// [`ServerLink::sasl_complete`], [`ServerLink::sasl_reject`] or [`ServerLink::refuse`].
    SaslStart {
        /// One of those that were announced.
        mechanism: Bytes,
        /// What the mechanism begins with, if anything.
        data: Option<Secret>,
    },
    /// Further words. Answered as [`SaslStart`](Self::SaslStart).
    SaslStep {
        /// What the mechanism says, if anything.
        data: Option<Secret>,
    },
    /// From here on both directions are inside the layer that the mechanism agreed on
    /// ([`SealedPacket`](super::sasl::SealedPacket)s). What is in `rx` is to be replaced by what is inside of it, then
    /// [`ServerLink::layered`] goes on.
    SaslLayer,
    /// The SASL exchange was complete: [`ServerLink::accept`] the identity that it proved, or [`ServerLink::refuse`].
    Admit {
        /// What it is for.
        request: LinkMess,
    },
}

/// What a client is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The key that it seals its ticket with: one of its own, or one from a [`KeyPool`](crate::link::KeyPool).
    pub public_key: PublicKey,
    /// Capabilities. `AUTH_SPICE` is set and `AUTH_SASL` cleared before they are sent, since a ticket is
    /// what is asked for.
    pub capabilities: Capabilities,
}

impl Announcement {
    /// With what spice-server announces for such a channel: [`Capabilities::spice_server`].
    #[must_use]
    pub fn spice_server(public_key: PublicKey, channel: ChannelType) -> Self {
        Self {
            public_key,
            capabilities: Capabilities::spice_server(channel),
        }
    }
}

/// What a client is shown that is to use SASL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslAnnouncement {
    /// What it may choose from.
    pub mechanisms: MechList,
    /// Capabilities. `AUTH_SASL` and `PROTOCOL_AUTH_SELECTION` are set and `AUTH_SPICE` cleared before they are
    /// sent. The key in the reply is all zero, as spice-server's is.
    pub capabilities: Capabilities,
}

/// A link that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOutcome {
    /// What the client asked for and announced.
    pub request: LinkMess,
    /// What it was shown.
    pub announced: Capabilities,
    /// Headers in both directions from here on.
    pub header_form: HeaderForm,
    /// What the client proved itself with.
    pub mechanism: AuthMechanism,
    /// Whether a layer of the SASL mechanism is around everything that follows.
    pub sasl_layer: bool,
}

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a handshake allocates nothing, and there is one of these a connection"
)]
enum State {
    Mess,
    AskLink(LinkMess),
    Mechanism(ServerOutcome),
    Ticket(ServerOutcome),
    SaslStart(ServerOutcome),
    SaslStep(ServerOutcome),
    /// What the client said to SASL is with the caller.
    AskSasl(ServerOutcome),
    /// The exchange is complete; the layer, if there is one, is to be asked for.
    Complete(ServerOutcome),
    AskLayer(ServerOutcome),
    /// Whether the client is let in is to be asked.
    Admit(ServerOutcome),
    /// The ticket, or the identity that SASL proved, is with the caller.
    AskAdmission(ServerOutcome),
    Accepted(ServerOutcome),
    Done,
    Failed(HandshakeError),
}

/// A link as seen by the server.
#[derive(Debug)]
pub struct ServerLink {
    limits: Limits,
    deadline: Duration,
    state: State,
    /// What the client may choose from, where SASL was announced.
    mechanisms: Option<MechList>,
    events: Events,
    /// Whether the client is let in is decided by a relay.
    relayed: bool,
}

impl ServerLink {
    /// For a connection that was accepted at `now`.
    #[must_use]
    pub fn new(now: Duration, limits: Limits) -> Self {
        let deadline = now.saturating_add(limits.link_timeout);
        Self {
            limits,
            deadline,
            state: State::Mess,
            mechanisms: None,
            events: Events::default(),
            relayed: false,
        }
    }

    /// The tenant's part of a relay, which lets the client in or refuses it.
    pub(crate) const fn relayed(mut self) -> Self {
        self.relayed = true;
        self
    }

    /// Where the link is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Mess => Stage::LinkMess,
            State::AskLink(_)
            | State::AskSasl(_)
            | State::Complete(_)
            | State::AskLayer(_)
            | State::Admit(_)
            | State::AskAdmission(_) => Stage::Answer,
            State::Mechanism(_) => Stage::AuthMechanism,
            State::Ticket(_) => Stage::Ticket,
            State::SaslStart(_) | State::SaslStep(_) => Stage::Sasl,
            State::Accepted(_) | State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    /// The next event that was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What the client was shown, while the caller decides on it.
    pub(crate) fn announced(&self) -> Option<&Capabilities> {
        match &self.state {
            State::AskAdmission(outcome) => Some(&outcome.announced),
            _ => None,
        }
    }

    fn refused(&mut self, why: Refusal) {
        self.events.push(Event::Refused(why));
        self.state = State::Failed(HandshakeError::Refused(why));
    }

    /// The error ends the link; `code` is sent in a link reply, if there is one.
    fn fail(&mut self, buffers: &mut Buffers, error: HandshakeError, code: Option<LinkErrorCode>) -> HandshakeError {
        if let Some(code) = code {
            put_refusal(code, &mut buffers.tx);
            self.events.push(Event::Refused(Refusal::Code(code)));
        }
        // A WebSocket server that takes over from here needs all of it.
        if error != HandshakeError::PeerIncompatible(Incompatibility::WebSocket) {
            buffers.wipe();
        }
        self.state = State::Failed(error);
        error
    }

    /// Hands a part of the SASL exchange to the caller, stays for the rest of it, or ends the link.
    fn sasl_taken<T>(
        &mut self,
        buffers: &mut Buffers,
        outcome: ServerOutcome,
        stay: impl FnOnce(ServerOutcome) -> State,
        taken: Result<Part<T>, HandshakeError>,
        question: impl FnOnce(T) -> ServerQuestion,
    ) -> Result<Action<ServerQuestion, ServerOutcome>, HandshakeError> {
        match taken {
            Ok(Part::Taken(part)) => {
                self.state = State::AskSasl(outcome);
                Ok(Action::Ask(question(part)))
            }
            Ok(Part::Missing(at_least)) => {
                self.state = stay(outcome);
                Ok(Action::Receive { at_least })
            }
            Err(error) => Err(self.fail(buffers, error, Some(LinkErrorCode::INVALID_DATA))),
        }
    }

    /// Takes the sealed ticket.
    fn take_ticket(&mut self, buffers: &mut Buffers, outcome: ServerOutcome) -> Action<ServerQuestion, ServerOutcome> {
        let Some(bytes) = buffers.rx.first_chunk_mut::<SEALED_TICKET_LEN>() else {
            let at_least = SEALED_TICKET_LEN.saturating_sub(buffers.rx.len());
            self.state = State::Ticket(outcome);
            return Action::Receive { at_least };
        };
        let sealed = SealedTicket(core::mem::replace(bytes, [0; SEALED_TICKET_LEN]));
        buffers.rx.advance(SEALED_TICKET_LEN);
        let request = outcome.request.clone();
        self.state = State::AskAdmission(outcome);
        Action::Ask(ServerQuestion::Ticket { request, sealed })
    }

    /// Takes the link message, or gives the code for the client.
    fn take_mess(&mut self, buffers: &mut Buffers) -> Result<Part<LinkMess>, (HandshakeError, Option<LinkErrorCode>)> {
        let rx = &mut buffers.rx;
        receive::check_magic(rx).map_err(|error| {
            // A server of the other protocol takes over a connection on which nothing was sent.
            let code = matches!(error, HandshakeError::Decode(_)).then_some(LinkErrorCode::INVALID_MAGIC);
            (error, code)
        })?;
        receive::check_version(rx).map_err(|error| {
            let silent = matches!(
                error,
                HandshakeError::PeerIncompatible(Incompatibility::Version { major: 0, .. })
            );
            (error, (!silent).then_some(LinkErrorCode::VERSION_MISMATCH))
        })?;
        // The magic first: what does not begin with it is no header.
        if let Some(more) = receive::missing(4, rx).or_else(|| receive::missing(LinkHeader::LEN, rx)) {
            return Ok(Part::Missing(more));
        }
        let invalid = |error: DecodeError| (error.into(), Some(LinkErrorCode::INVALID_DATA));
        let header = LinkHeader::decode_slice(rx).map_err(invalid)?;
        let size = receive::check_size(&header, LinkMess::MIN_LEN, self.limits.link_message)
            .map_err(|error| (error, Some(LinkErrorCode::INVALID_DATA)))?;
        let end = size.saturating_add(LinkHeader::LEN);
        if let Some(more) = receive::missing(end, rx) {
            return Ok(Part::Missing(more));
        }
        let body = rx.get(LinkHeader::LEN..end).unwrap_or_default();
        let request = LinkMess::decode_slice(body, &self.limits).map_err(invalid)?;
        rx.advance(end);
        Ok(Part::Taken(request))
    }
}

impl Machine for ServerLink {
    type Question = ServerQuestion;
    type Outcome = ServerOutcome;

    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<ServerQuestion, ServerOutcome>, HandshakeError> {
        match self.state {
            State::Failed(error) => return Err(error),
            State::Done => return Err(HandshakeError::Misuse(Misuse::Ended)),
            State::Accepted(_) => {}
            _ if self.deadline <= now => {
                let error = HandshakeError::TimedOut(self.stage());
                return Err(self.fail(buffers, error, None));
            }
            _ => {}
        }
        // INVARIANT: a state that is taken out is put back, or replaced by the one that follows.
        match core::mem::replace(&mut self.state, State::Done) {
            State::Mess => {
                self.state = State::Mess;
                match self.take_mess(buffers) {
                    Ok(Part::Taken(request)) => {
                        let LinkMess {
                            connection_id,
                            channel_type,
                            channel_id,
                            ..
                        } = request;
                        self.events.push(Event::Requested {
                            connection_id,
                            channel_type,
                            channel_id,
                        });
                        self.state = State::AskLink(request.clone());
                        Ok(Action::Ask(ServerQuestion::Link(request)))
                    }
                    Ok(Part::Missing(at_least)) => Ok(Action::Receive { at_least }),
                    Err((error, code)) => Err(self.fail(buffers, error, code)),
                }
            }
            State::Mechanism(outcome) => {
                let Some(bytes) = buffers.rx.first_chunk::<4>() else {
                    let at_least = 4_usize.saturating_sub(buffers.rx.len());
                    self.state = State::Mechanism(outcome);
                    return Ok(Action::Receive { at_least });
                };
                let mechanism = u32::from_le_bytes(*bytes);
                if AuthMechanism(mechanism) != outcome.mechanism {
                    let error = HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(mechanism));
                    return Err(self.fail(buffers, error, Some(LinkErrorCode::INVALID_DATA)));
                }
                buffers.rx.advance(4);
                let Some(mechanisms) = &self.mechanisms else {
                    return Ok(self.take_ticket(buffers, outcome));
                };
                // INVARIANT: the list was held against its limit, so its length fits.
                let _ = mechanisms.encode(&mut buffers.tx);
                self.state = State::SaslStart(outcome);
                self.step(now, buffers)
            }
            State::Ticket(outcome) => Ok(self.take_ticket(buffers, outcome)),
            State::SaslStart(outcome) => {
                let taken = sasl::take_start(&mut buffers.rx, &self.limits);
                let offers = |name: &[u8]| self.mechanisms.as_ref().is_some_and(|list| list.offers(name));
                let taken = taken.map_err(HandshakeError::Decode).and_then(|part| match part {
                    Part::Taken((name, _)) if !offers(&name) => {
                        Err(HandshakeError::PeerMisbehaved(Misbehaviour::SaslMechanismNotOffered))
                    }
                    part => Ok(part),
                });
                self.sasl_taken(buffers, outcome, State::SaslStart, taken, |(mechanism, data)| {
                    ServerQuestion::SaslStart { mechanism, data }
                })
            }
            State::SaslStep(outcome) => {
                let taken = sasl::take_client(&mut buffers.rx, &self.limits).map_err(HandshakeError::Decode);
                self.sasl_taken(buffers, outcome, State::SaslStep, taken, |data| {
                    ServerQuestion::SaslStep { data }
                })
            }
            State::Complete(outcome) if outcome.sasl_layer => {
                self.state = State::AskLayer(outcome);
                Ok(Action::Ask(ServerQuestion::SaslLayer))
            }
            State::Complete(outcome) | State::Admit(outcome) => {
                let request = outcome.request.clone();
                self.state = State::AskAdmission(outcome);
                Ok(Action::Ask(ServerQuestion::Admit { request }))
            }
            State::Accepted(outcome) => Ok(Action::Done(outcome)),
            asked => {
                self.state = asked;
                Ok(Action::Waiting)
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn eof(&mut self) -> Result<ServerOutcome, HandshakeError> {
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
        let message = (self.limits.link_message as usize).saturating_add(LinkHeader::LEN);
        let sasl = match self.state {
            State::SaslStart(_) | State::SaslStep(_) => self.limits.sasl_input(),
            _ => SEALED_TICKET_LEN,
        };
        message.max(sasl)
    }
}

/// Writes a link reply that says no.
fn put_refusal(code: LinkErrorCode, tx: &mut BytesMut) {
    // INVARIANT: a reply without capability words always fits.
    let _ = LinkReply::refusal(code).encode(tx);
}

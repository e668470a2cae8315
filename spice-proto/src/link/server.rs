//! The server's role.
//!
//! ```text
//! Mess -> (Ask Link) -> Mechanism -> Ticket -> (Ask Ticket) -> Done
//!              |            |                       |
//!           reject      not offered              refuse
//! ```
//!
//! What a bad client is answered is what spice-server answers:
//!
//! | Condition | Answer |
//! |---|---|
//! | wrong magic | `LinkReply` `INVALID_MAGIC` |
//! | major version 0 | nothing |
//! | other major version than 2 | `LinkReply` `VERSION_MISMATCH` |
//! | size or capability words out of bounds | `LinkReply` `INVALID_DATA` |
//! | a mechanism that was not offered | a second `LinkReply`, `INVALID_DATA` |
//! | refused by the caller | the caller's [`Refusal`] |
//! | out of time | nothing |

use core::time::Duration;

use bytes::{Buf, BytesMut};

use super::receive::Part;
use super::{
    Action, Event, Events, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply, Machine, Misbehaviour,
    Misuse, PublicKey, SealedTicket, Stage, Wire, receive,
};
use crate::caps::{Capabilities, common};
use crate::error::DecodeError;
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, LinkErrorCode};
use crate::limits::Limits;
use crate::link::messages::{SEALED_TICKET_LEN, VERSION};

/// What a refused client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A code: in a `LinkReply` before the ticket was asked for, in a `LinkResult` after it.
    ///
    /// spice-gtk reconnects with TLS on `NEED_SECURED`, and shows every code in a `LinkResult` as a wrong
    /// password. The code should be the same whatever was wrong with a ticket.
    Code(LinkErrorCode),
    /// Nothing: the connection is closed. spice-server does so for a channel that it does not have.
    Close,
}

/// What the caller is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Show the client a key and capabilities with [`ServerLink::announce`], or [`ServerLink::reject`] it.
    Link(LinkMess),
    /// [`ServerLink::accept`] the ticket, or [`ServerLink::refuse`] it. A ticket that does not open and one
    /// that holds the wrong password are to be refused alike.
    Ticket {
        /// Whose ticket it is.
        request: LinkMess,
        /// For the private half of the announced key.
        sealed: SealedTicket,
    },
}

/// What a client is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The key that it seals its ticket with. Use a key for one link only.
    pub public_key: PublicKey,
    /// Capabilities. `AUTH_SPICE` is set and `AUTH_SASL` cleared before they are sent, since tickets are
    /// what this machine takes.
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
}

#[derive(Debug)]
enum State {
    Mess,
    AskLink(LinkMess),
    Mechanism(ServerOutcome),
    Ticket(ServerOutcome),
    AskTicket(ServerOutcome),
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
    events: Events,
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
            events: Events::default(),
        }
    }

    /// Where the link is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Mess => Stage::LinkMess,
            State::AskLink(_) | State::AskTicket(_) => Stage::Answer,
            State::Mechanism(_) => Stage::AuthMechanism,
            State::Ticket(_) => Stage::Ticket,
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

    /// What the client was shown, until the link is accepted.
    pub(crate) fn announced(&self) -> Option<&Capabilities> {
        match &self.state {
            State::Mechanism(outcome) | State::Ticket(outcome) | State::AskTicket(outcome) => Some(&outcome.announced),
            _ => None,
        }
    }

    /// Answers [`Question::Link`]: the client is shown these and asked for its ticket.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`HandshakeError`] has nothing else here.
    pub fn announce(&mut self, wire: &mut Wire, shown: Announcement) -> Result<(), Misuse> {
        let State::AskLink(request) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        let Announcement {
            public_key,
            capabilities: Capabilities {
                common: shown_common,
                channel,
            },
        } = shown;
        let announced = Capabilities {
            common: shown_common.with(common::AUTH_SPICE).without(common::AUTH_SASL),
            channel,
        };
        let reply = LinkReply {
            error: LinkErrorCode::OK,
            pub_key: *public_key.as_der(),
            capabilities: announced.clone(),
        };
        // INVARIANT: the words were built in memory, so their count fits; otherwise nothing is sent and the
        // client runs into its own time limit.
        let _ = reply.encode(&mut wire.tx);
        let client = &request.capabilities;
        let outcome = ServerOutcome {
            header_form: HeaderForm::agreed(
                client.has_common(common::MINI_HEADER),
                announced.has_common(common::MINI_HEADER),
            ),
            request: request.clone(),
            announced,
        };
        let selects = |caps: &Capabilities| caps.has_common(common::PROTOCOL_AUTH_SELECTION);
        let selected = selects(&outcome.request.capabilities) && selects(&outcome.announced);
        self.state = if selected {
            State::Mechanism(outcome)
        } else {
            State::Ticket(outcome)
        };
        Ok(())
    }

    /// Answers [`Question::Link`]: no.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn reject(&mut self, wire: &mut Wire, why: Refusal) -> Result<(), Misuse> {
        let State::AskLink(_) = self.state else {
            return Err(Misuse::NotAsked);
        };
        check_refusal(why)?;
        if let Refusal::Code(code) = why {
            put_refusal(code, &mut wire.tx);
        }
        self.refused(why);
        Ok(())
    }

    /// Answers [`Question::Ticket`]: it is good.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept(&mut self, wire: &mut Wire) -> Result<(), Misuse> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::AskTicket(outcome) => {
                wire.tx.extend_from_slice(&LinkErrorCode::OK.0.to_le_bytes());
                self.state = State::Accepted(outcome);
                self.events.push(Event::Linked);
                Ok(())
            }
            other => {
                self.state = other;
                Err(Misuse::NotAsked)
            }
        }
    }

    /// Answers [`Question::Ticket`]: it is not good, or whatever it would open is not there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn refuse(&mut self, wire: &mut Wire, why: Refusal) -> Result<(), Misuse> {
        let State::AskTicket(_) = self.state else {
            return Err(Misuse::NotAsked);
        };
        check_refusal(why)?;
        if let Refusal::Code(code) = why {
            wire.tx.extend_from_slice(&code.0.to_le_bytes());
        }
        self.refused(why);
        Ok(())
    }

    fn refused(&mut self, why: Refusal) {
        self.events.push(Event::Refused(why));
        self.state = State::Failed(HandshakeError::Refused(why));
    }

    /// The error ends the link; the client is told `code` in a link reply, if anything.
    fn fail(&mut self, wire: &mut Wire, error: HandshakeError, code: Option<LinkErrorCode>) -> HandshakeError {
        if let Some(code) = code {
            put_refusal(code, &mut wire.tx);
            self.events.push(Event::Refused(Refusal::Code(code)));
        }
        self.state = State::Failed(error);
        error
    }

    /// Takes the link message, or says what the client is told about it.
    fn take_mess(&mut self, wire: &mut Wire) -> Result<Part<LinkMess>, (HandshakeError, Option<LinkErrorCode>)> {
        let rx = &mut wire.rx;
        if let Some(more) = receive::missing(4, rx) {
            return Ok(Part::Missing(more));
        }
        receive::check_magic(rx).map_err(|error| (error, Some(LinkErrorCode::INVALID_MAGIC)))?;
        if let Some(more) = receive::missing(LinkHeader::LEN, rx) {
            return Ok(Part::Missing(more));
        }
        let invalid = |error: DecodeError| (error.into(), Some(LinkErrorCode::INVALID_DATA));
        let header = LinkHeader::decode_slice(rx).map_err(invalid)?;
        let LinkHeader {
            major_version: major,
            minor_version: minor,
            ..
        } = header;
        if major != VERSION.0 {
            let error = HandshakeError::PeerIncompatible(Incompatibility::Version { major, minor });
            return Err((error, (major != 0).then_some(LinkErrorCode::VERSION_MISMATCH)));
        }
        let size = receive::check_size(&header, LinkMess::MIN_LEN, self.limits.link_message)
            .map_err(|error| (error, Some(LinkErrorCode::INVALID_DATA)))?;
        let end = size.saturating_add(LinkHeader::LEN);
        if let Some(more) = receive::missing(end, rx) {
            return Ok(Part::Missing(more));
        }
        let body = rx.get(LinkHeader::LEN..end).unwrap_or_default();
        let request = LinkMess::decode(body, &self.limits).map_err(invalid)?;
        rx.advance(end);
        Ok(Part::Taken(request))
    }
}

impl Machine for ServerLink {
    type Question = Question;
    type Outcome = ServerOutcome;

    fn step(&mut self, now: Duration, wire: &mut Wire) -> Result<Action<Question, ServerOutcome>, HandshakeError> {
        match self.state {
            State::Failed(error) => return Err(error),
            State::Done => return Err(HandshakeError::Misuse(Misuse::Ended)),
            State::Accepted(_) => {}
            _ if self.deadline <= now => {
                let error = HandshakeError::TimedOut(self.stage());
                return Err(self.fail(wire, error, None));
            }
            _ => {}
        }
        // INVARIANT: a state that is taken out is put back, or replaced by the one that follows.
        match core::mem::replace(&mut self.state, State::Done) {
            State::Mess => {
                self.state = State::Mess;
                match self.take_mess(wire) {
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
                        Ok(Action::Ask(Question::Link(request)))
                    }
                    Ok(Part::Missing(at_least)) => Ok(Action::Receive { at_least }),
                    Err((error, code)) => Err(self.fail(wire, error, code)),
                }
            }
            State::Mechanism(outcome) => {
                let Some(bytes) = wire.rx.first_chunk::<4>() else {
                    let at_least = 4_usize.saturating_sub(wire.rx.len());
                    self.state = State::Mechanism(outcome);
                    return Ok(Action::Receive { at_least });
                };
                let mechanism = u32::from_le_bytes(*bytes);
                if mechanism != AuthMechanism::SPICE.0 {
                    let error = HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(mechanism));
                    return Err(self.fail(wire, error, Some(LinkErrorCode::INVALID_DATA)));
                }
                wire.rx.advance(4);
                self.state = State::Ticket(outcome);
                self.step(now, wire)
            }
            State::Ticket(outcome) => {
                let Some(bytes) = wire.rx.first_chunk_mut::<SEALED_TICKET_LEN>() else {
                    let at_least = SEALED_TICKET_LEN.saturating_sub(wire.rx.len());
                    self.state = State::Ticket(outcome);
                    return Ok(Action::Receive { at_least });
                };
                let sealed = SealedTicket(core::mem::replace(bytes, [0; SEALED_TICKET_LEN]));
                wire.rx.advance(SEALED_TICKET_LEN);
                let request = outcome.request.clone();
                self.state = State::AskTicket(outcome);
                Ok(Action::Ask(Question::Ticket { request, sealed }))
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
        (self.limits.link_message as usize)
            .saturating_add(LinkHeader::LEN)
            .max(SEALED_TICKET_LEN)
    }
}

pub(crate) fn check_refusal(why: Refusal) -> Result<(), Misuse> {
    if why == Refusal::Code(LinkErrorCode::OK) {
        Err(Misuse::RefusalSaysOk)
    } else {
        Ok(())
    }
}

/// Writes a link reply that says no.
fn put_refusal(code: LinkErrorCode, tx: &mut BytesMut) {
    // INVARIANT: a reply without capability words always fits.
    let _ = LinkReply::refusal(code).encode(tx);
}

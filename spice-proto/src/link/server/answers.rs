//! The caller's answers.

use bytes::BytesMut;

use super::{Announcement, SaslAnnouncement, ServerLink, ServerOutcome, State, put_refusal};
use crate::caps::{Capabilities, CapabilitySet, common};
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, LinkErrorCode};
use crate::link::error::check_refusal;
use crate::link::messages::PUBLIC_KEY_LEN;
use crate::link::refusal::Refusal;
use crate::link::sasl::{self, SaslResult};
use crate::link::{Buffers, Event, HandshakeError, Incompatibility, LinkMess, LinkReply, Misuse};

impl ServerLink {
    /// Answers [`ServerQuestion::Link`](super::ServerQuestion::Link): the client is shown these and asked for its
    /// ticket.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`HandshakeError`] has nothing else here.
    pub fn announce(&mut self, buffers: &mut Buffers, shown: Announcement) -> Result<(), Misuse> {
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
        let outcome = show(
            request,
            announced,
            *public_key.as_der(),
            AuthMechanism::SPICE,
            &mut buffers.tx,
        );
        self.state = if selects(&outcome.request) && outcome.announced.has_common(common::PROTOCOL_AUTH_SELECTION) {
            State::Mechanism(outcome)
        } else {
            State::Ticket(outcome)
        };
        Ok(())
    }

    /// Answers [`ServerQuestion::Link`](super::ServerQuestion::Link): the client is shown these and is to use SASL.
    /// One that cannot select SASL is refused in a second reply, and the next step fails.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a list above
    /// [`Limits::sasl_mechanisms`](crate::Limits::sasl_mechanisms).
    pub fn announce_sasl(&mut self, buffers: &mut Buffers, shown: SaslAnnouncement) -> Result<(), Misuse> {
        let State::AskLink(request) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        let SaslAnnouncement {
            mechanisms,
            capabilities: Capabilities {
                common: shown_common,
                channel,
            },
        } = shown;
        if (self.limits.sasl_mechanisms as usize) < mechanisms.mechlist.len() {
            return Err(Misuse::TooLong);
        }
        let announced = Capabilities {
            common: shown_common
                .with(common::PROTOCOL_AUTH_SELECTION)
                .with(common::AUTH_SASL)
                .without(common::AUTH_SPICE),
            channel,
        };
        let outcome = show(
            request,
            announced,
            [0; PUBLIC_KEY_LEN],
            AuthMechanism::SASL,
            &mut buffers.tx,
        );
        if selects(&outcome.request) {
            self.mechanisms = Some(mechanisms);
            self.state = State::Mechanism(outcome);
        } else {
            let error = HandshakeError::PeerIncompatible(Incompatibility::MissingCapability {
                set: CapabilitySet::Common,
                bit: common::PROTOCOL_AUTH_SELECTION,
            });
            self.fail(buffers, error, Some(LinkErrorCode::VERSION_MISMATCH));
        }
        Ok(())
    }

    /// Answers [`ServerQuestion::SaslStart`](super::ServerQuestion::SaslStart) and
    /// [`ServerQuestion::SaslStep`](super::ServerQuestion::SaslStep): the exchange goes on.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reply(&mut self, buffers: &mut Buffers, data: Option<&[u8]>) -> Result<(), Misuse> {
        let outcome = self.put_sasl(buffers, data, 0)?;
        self.state = State::SaslStep(outcome);
        Ok(())
    }

    /// Answers [`ServerQuestion::SaslStart`](super::ServerQuestion::SaslStart) and
    /// [`ServerQuestion::SaslStep`](super::ServerQuestion::SaslStep): the mechanism has come to its end. Whether
    /// the identity that it proved is let in is asked next. `layer`: the mechanism agreed on a layer, see
    /// [`ServerQuestion::SaslLayer`](super::ServerQuestion::SaslLayer).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_complete(&mut self, buffers: &mut Buffers, data: Option<&[u8]>, layer: bool) -> Result<(), Misuse> {
        let mut outcome = self.put_sasl(buffers, data, 1)?;
        // INVARIANT: an acceptance always fits.
        let _ = SaslResult::Accept.encode(&mut buffers.tx);
        outcome.sasl_layer = layer;
        self.state = State::Complete(outcome);
        Ok(())
    }

    /// Answers [`ServerQuestion::SaslStart`](super::ServerQuestion::SaslStart) and
    /// [`ServerQuestion::SaslStep`](super::ServerQuestion::SaslStep): the mechanism has come to its end, and what it
    /// came to is not enough. spice-server says so without TLS when the layer is too weak. The reason is sent to the
    /// client.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reject(&mut self, buffers: &mut Buffers, data: Option<&[u8]>, reason: &str) -> Result<(), Misuse> {
        let before = buffers.tx.len();
        self.put_sasl(buffers, data, 1)?;
        buffers.tx.extend_from_slice(&1_u32.to_le_bytes());
        sasl::put_said(&mut buffers.tx, Some(reason.as_bytes()), &self.limits)
            .inspect_err(|_| buffers.tx.truncate(before))?;
        self.refused(Refusal::Code(LinkErrorCode::PERMISSION_DENIED));
        Ok(())
    }

    /// What the server's mechanism says. The state is as it was.
    fn put_sasl(&self, buffers: &mut Buffers, data: Option<&[u8]>, complete: u8) -> Result<ServerOutcome, Misuse> {
        let State::AskSasl(outcome) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        sasl::put_said(&mut buffers.tx, data, &self.limits)?;
        buffers.tx.extend_from_slice(&[complete]);
        Ok(outcome.clone())
    }

    /// Answers [`ServerQuestion::SaslLayer`](super::ServerQuestion::SaslLayer): `rx` holds what is inside of the
    /// layer, and what is put into `tx` from here on is to be wrapped.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        let State::AskLayer(outcome) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        self.state = State::Admit(outcome.clone());
        Ok(())
    }

    /// Answers [`ServerQuestion::Ticket`](super::ServerQuestion::Ticket) and
    /// [`ServerQuestion::Admit`](super::ServerQuestion::Admit): the client is let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; also for the tenant's part of a [`RelayLink`](crate::link::RelayLink), which is let in
    /// when the hypervisor has accepted.
    pub fn accept(&mut self, buffers: &mut Buffers) -> Result<(), Misuse> {
        self.own()?;
        self.let_in(buffers)
    }

    /// The answer is the caller's, not a relay's.
    const fn own(&self) -> Result<(), Misuse> {
        if self.relayed { Err(Misuse::NotAsked) } else { Ok(()) }
    }

    pub(crate) fn let_in(&mut self, buffers: &mut Buffers) -> Result<(), Misuse> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::AskAdmission(outcome) => {
                buffers.tx.extend_from_slice(&LinkErrorCode::OK.0.to_le_bytes());
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

    /// Answers every question but [`ServerQuestion::SaslLayer`](super::ServerQuestion::SaslLayer): the client does not
    /// get the channel, or is not let in, or its SASL mechanism failed. The code goes into what is due: a `LinkReply`
    /// before the ticket and inside of a SASL exchange, else a `LinkResult`.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`]. For the tenant's part of a relay:
    /// [`RelayLink::refuse`](crate::link::RelayLink::refuse).
    pub fn refuse(&mut self, buffers: &mut Buffers, why: Refusal) -> Result<(), Misuse> {
        self.own()?;
        self.turn_away(buffers, why)
    }

    pub(crate) fn turn_away(&mut self, buffers: &mut Buffers, why: Refusal) -> Result<(), Misuse> {
        let in_result = match self.state {
            State::AskAdmission(_) => true,
            State::AskLink(_) | State::AskSasl(_) => false,
            _ => return Err(Misuse::NotAsked),
        };
        check_refusal(why)?;
        match why {
            Refusal::Code(code) if in_result => buffers.tx.extend_from_slice(&code.0.to_le_bytes()),
            Refusal::Code(code) => put_refusal(code, &mut buffers.tx),
            Refusal::Close => {}
        }
        buffers.wipe();
        self.refused(why);
        Ok(())
    }
}

/// Whether a client says how it proves itself.
fn selects(request: &LinkMess) -> bool {
    request.capabilities.has_common(common::PROTOCOL_AUTH_SELECTION)
}

/// Writes the link reply that goes on, and gives what a link by it comes to.
fn show(
    request: &LinkMess,
    announced: Capabilities,
    pub_key: [u8; PUBLIC_KEY_LEN],
    mechanism: AuthMechanism,
    tx: &mut BytesMut,
) -> ServerOutcome {
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key,
        capabilities: announced.clone(),
    };
    // INVARIANT: the words were built in memory, so their count fits; otherwise nothing is sent and the
    // client runs into its own time limit.
    let _ = reply.encode(tx);
    let mini = |caps: &Capabilities| caps.has_common(common::MINI_HEADER);
    ServerOutcome {
        header_form: HeaderForm::agreed(mini(&request.capabilities), mini(&announced)),
        request: request.clone(),
        announced,
        mechanism,
        sasl_layer: false,
    }
}

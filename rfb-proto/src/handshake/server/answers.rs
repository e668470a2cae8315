//! The caller's answers.

use alloc::boxed::Box;

use bytes::BufMut as _;

use super::{Claim, Open, Question, Refusal, ServerHandshake, State, put_refused_list, put_refused_result};
use crate::handshake::state::{Stop, put};
use crate::handshake::{Event, HandshakeError, Misuse, Security, Wire};
use crate::init::{ClientInit, ServerInit};
use crate::security::sasl::SaslData;
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Secret, SecurityResult, SecurityType};
use crate::version::{ProtocolVersion, Version};

impl ServerHandshake {
    /// Answers [`Question::Offer`], instead of [`ServerConfig::types`]. What cannot be followed with the rest of the
    /// configuration is left out, as it is there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn offer(&mut self, wire: &mut Wire, types: &[SecurityType]) -> Result<(), Misuse> {
        self.open(Open::Offer)?;
        self.offer = Some(types.into());
        if let Err(Stop::Failed(failure)) = self.put_offer(&mut wire.tx) {
            self.fail(wire, failure);
        }
        Ok(())
    }

    /// Answers [`Question::Challenge`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn challenge(&mut self, wire: &mut Wire, challenge: [u8; CHALLENGE_LEN]) -> Result<(), Misuse> {
        self.open(Open::Challenge)?;
        wire.tx.extend_from_slice(&challenge);
        self.state = State::Response(challenge);
        Ok(())
    }

    /// Answers [`Question::SaslStart`] and [`Question::SaslStep`]: the exchange goes on.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reply(&mut self, wire: &mut Wire, data: Option<&[u8]>) -> Result<(), Misuse> {
        self.put_sasl(wire, data, 0)?;
        self.state = State::SaslStep;
        Ok(())
    }

    /// Answers [`Question::SaslStart`] and [`Question::SaslStep`]: the mechanism has come to its end. Whether the
    /// client is let in is asked next. `layer`: the mechanism agreed on a layer, see [`Question::SaslLayer`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_complete(&mut self, wire: &mut Wire, data: Option<&[u8]>, layer: bool) -> Result<(), Misuse> {
        self.put_sasl(wire, data, 1)?;
        self.sasl_layer = layer;
        self.state = State::Ask(Question::Admit(Claim::Sasl));
        Ok(())
    }

    fn put_sasl(&self, wire: &mut Wire, data: Option<&[u8]>, complete: u8) -> Result<(), Misuse> {
        self.open(Open::Sasl)?;
        let data = data.map(Secret::new);
        if !put(&SaslData { data }, &mut wire.tx) {
            return Err(Misuse::TooLong);
        }
        wire.tx.put_u8(complete);
        Ok(())
    }

    /// Answers [`Question::Admit`]: the client is let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept(&mut self, wire: &mut Wire) -> Result<(), Misuse> {
        self.open(Open::Admit)?;
        let apple = self.is_apple();
        if self.is_word() {
            wire.tx.put_u32(self.security.security_type.0.into());
        } else if self.security.has_result(self.rules) && !apple {
            put(&SecurityResult::OK, &mut wire.tx);
        }
        self.events.push(Event::Authenticated);
        self.state = match (self.config.init, self.sasl_layer, apple) {
            (false, ..) => State::Over(None),
            (true, true, _) => State::Ask(Question::SaslLayer),
            (true, false, true) => State::Ask(Question::Init(ClientInit::SHARED)),
            (true, false, false) => State::ClientInit,
        };
        Ok(())
    }

    /// Whether the client is one of macOS that has chosen type None, and is treated as such.
    fn is_apple(&self) -> bool {
        let Security { security_type, .. } = self.security;
        self.config.apple && self.client_version == ProtocolVersion::APPLE && security_type == SecurityType::NONE
    }

    /// Whether the type itself is still to be sent: None in 3.3, where the word lets the client in.
    pub(super) fn is_word(&self) -> bool {
        self.rules == Version::V3_3 && self.security.security_type == SecurityType::NONE
    }

    /// Answers [`Question::SaslLayer`]: `rx` holds what is inside the layer.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        self.open(Open::Layer)?;
        self.state = State::ClientInit;
        Ok(())
    }

    /// Answers [`Question::Init`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a name that its field cannot hold.
    pub fn init(&mut self, wire: &mut Wire, shown: &ServerInit) -> Result<(), Misuse> {
        let State::Open(Open::Init(client)) = self.state else {
            return Err(Misuse::NotAsked);
        };
        let before = wire.tx.len();
        let is_tight = self.security.security_type == SecurityType::TIGHT;
        let fits = put(shown, &mut wire.tx) && (!is_tight || put(&self.config.tight_interaction, &mut wire.tx));
        if !fits {
            wire.tx.truncate(before);
            return Err(Misuse::TooLong);
        }
        self.state = State::Over(Some(client));
        Ok(())
    }

    /// Answers any question: the client is not let in.
    ///
    /// It is told where it expects to be told: with an empty list, or in a SecurityResult. It is told nothing in the
    /// middle of a SASL exchange, after type None in 3.7, and once it was let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse(&mut self, wire: &mut Wire, why: Refusal) -> Result<(), Misuse> {
        let State::Open(open) = self.state else {
            return Err(Misuse::NotAsked);
        };
        match open {
            Open::Offer => put_refused_list(self.rules, &why, &mut wire.tx),
            Open::Admit if self.is_word() => put_refused_list(self.rules, &why, &mut wire.tx),
            Open::Admit | Open::Challenge if self.security.has_result(self.rules) => {
                put_refused_result(self.rules, &why, &mut wire.tx);
            }
            Open::Admit | Open::Challenge | Open::Sasl | Open::Layer | Open::Init(_) => {}
        }
        self.events.push(Event::Refused(why.clone()));
        self.state = State::Failed(Box::new(HandshakeError::Refused(why)));
        Ok(())
    }

    fn open(&self, expected: Open) -> Result<(), Misuse> {
        match self.state {
            State::Open(open) if open == expected => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }
}

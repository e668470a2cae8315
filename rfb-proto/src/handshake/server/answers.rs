//! The caller's answers.

use bytes::BufMut as _;

use super::{Note, Open, Refusal, ServerHandshake, State, put_refused_list, put_refused_result};
use crate::handshake::state::{Stop, put};
use crate::handshake::{Buffers, HandshakeError, Misuse};
use crate::init::{ClientInit, ServerInit};
use crate::security::sasl::SaslData;
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Secret, SecurityResult, SecurityType};
use crate::version::{ProtocolVersion, Version};

impl ServerHandshake {
    /// Answers [`ServerQuestion::Offer`](super::ServerQuestion::Offer), instead of
    /// [`ServerConfig::types`](super::ServerConfig::types). What cannot be followed with the rest of the configuration
    /// is left out, as it is there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn offer(&mut self, buffers: &mut Buffers, types: &[SecurityType]) -> Result<(), Misuse> {
        self.open(Open::Offer)?;
        self.offer = Some(types.into());
        if let Err(Stop::Failed(failure)) = self.put_offer(&mut buffers.tx) {
            self.fail(buffers, *failure);
        }
        Ok(())
    }

    /// Answers [`ServerQuestion::Challenge`](super::ServerQuestion::Challenge).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    #[inline]
    pub fn challenge(&mut self, buffers: &mut Buffers, challenge: [u8; CHALLENGE_LEN]) -> Result<(), Misuse> {
        self.open(Open::Challenge)?;
        buffers.tx.extend_from_slice(&challenge);
        self.state = State::Response(challenge);
        Ok(())
    }

    /// Answers [`ServerQuestion::SaslStart`](super::ServerQuestion::SaslStart) and
    /// [`ServerQuestion::SaslStep`](super::ServerQuestion::SaslStep): the exchange goes on.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_reply(&mut self, buffers: &mut Buffers, data: Option<&[u8]>) -> Result<(), Misuse> {
        self.put_sasl(buffers, data, 0)?;
        self.state = State::SaslStep;
        Ok(())
    }

    /// Answers [`ServerQuestion::SaslStart`](super::ServerQuestion::SaslStart) and
    /// [`ServerQuestion::SaslStep`](super::ServerQuestion::SaslStep): the mechanism has come to its end. Whether the
    /// client is let in is asked next. `layer`: the mechanism agreed on a layer, see
    /// [`ServerQuestion::SaslLayer`](super::ServerQuestion::SaslLayer).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn sasl_complete(&mut self, buffers: &mut Buffers, data: Option<&[u8]>, layer: bool) -> Result<(), Misuse> {
        self.put_sasl(buffers, data, 1)?;
        self.sasl_layer = layer;
        self.state = State::Ask(Open::Admit);
        Ok(())
    }

    fn put_sasl(&self, buffers: &mut Buffers, data: Option<&[u8]>, complete: u8) -> Result<(), Misuse> {
        self.open(Open::Sasl)?;
        let data = data.map(Secret::new);
        if !put(&SaslData { data }, &mut buffers.tx) {
            return Err(Misuse::TooLong);
        }
        buffers.tx.put_u8(complete);
        Ok(())
    }

    /// Answers [`ServerQuestion::Admit`](super::ServerQuestion::Admit): the client is let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    #[inline]
    pub fn accept(&mut self, buffers: &mut Buffers) -> Result<(), Misuse> {
        self.open(Open::Admit)?;
        let is_none = self.security.security_type == SecurityType::NONE;
        let is_apple = is_none && self.is_apple();
        if is_none && self.rules == Version::V3_3 {
            // The word of 3.3 lets the client in.
            buffers.tx.put_u32(SecurityType::NONE.0.into());
        } else if !is_apple && self.security.has_result(self.rules) {
            buffers.tx.extend_from_slice(&SecurityResult::OK.status.to_be_bytes());
        }
        self.notes.push(Note::Authenticated);
        if !self.config.init {
            self.state = State::Over(None);
        } else if self.sasl_layer {
            self.state = State::Ask(Open::Layer);
        } else if is_apple {
            self.state = State::Ask(Open::Init(ClientInit::SHARED));
        } else {
            self.state = State::ClientInit;
        }
        Ok(())
    }

    /// Whether a client with type None is one of macOS, and is treated as such.
    fn is_apple(&self) -> bool {
        self.config.apple && self.client_version == ProtocolVersion::APPLE
    }

    /// Whether the type itself is still to be sent: None in 3.3, where the word lets the client in.
    pub(super) fn is_word(&self) -> bool {
        self.rules == Version::V3_3 && self.security.security_type == SecurityType::NONE
    }

    /// Answers [`ServerQuestion::SaslLayer`](super::ServerQuestion::SaslLayer) and
    /// [`ServerQuestion::RsaAesLayer`](super::ServerQuestion::RsaAesLayer): `rx` holds what is inside the layer.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        self.state = match self.state {
            State::Open(Open::Layer) => State::ClientInit,
            State::Open(Open::RsaAesLayer) => State::RsaAesLayered,
            _ => return Err(Misuse::NotAsked),
        };
        Ok(())
    }

    /// Answers [`ServerQuestion::Init`](super::ServerQuestion::Init).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a name that its field cannot hold.
    pub fn init(&mut self, buffers: &mut Buffers, shown: &ServerInit) -> Result<(), Misuse> {
        let State::Open(Open::Init(client)) = self.state else {
            return Err(Misuse::NotAsked);
        };
        let before = buffers.tx.len();
        let is_tight = self.security.security_type == SecurityType::TIGHT;
        let fits = put(shown, &mut buffers.tx) && (!is_tight || put(&self.config.tight_interaction, &mut buffers.tx));
        if !fits {
            buffers.tx.truncate(before);
            return Err(Misuse::TooLong);
        }
        self.state = State::Over(Some(client));
        Ok(())
    }

    /// Answers any question: the client is not let in.
    ///
    /// The refusal is sent where the client expects one: as an empty list, or in a SecurityResult. Nothing is sent in the
    /// middle of a SASL exchange, of RSA-AES, of Diffie-Hellman and of a logon, after type None in 3.7, and once the
    /// client was let in.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse(&mut self, buffers: &mut Buffers, why: Refusal) -> Result<(), Misuse> {
        let State::Open(open) = self.state else {
            return Err(Misuse::NotAsked);
        };
        match open {
            Open::Offer => put_refused_list(self.rules, &why, &mut buffers.tx),
            Open::Admit if self.is_word() => put_refused_list(self.rules, &why, &mut buffers.tx),
            Open::Admit | Open::Challenge if self.security.has_result(self.rules) => {
                put_refused_result(self.rules, &why, &mut buffers.tx);
            }
            _ => {}
        }
        self.end(HandshakeError::Refused(why.clone()), Some(why));
        Ok(())
    }

    #[inline]
    pub(super) fn open(&self, expected: Open) -> Result<(), Misuse> {
        match self.state {
            State::Open(open) if open == expected => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }
}

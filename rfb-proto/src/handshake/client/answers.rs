//! The caller's answers.

use bytes::Bytes;

use super::{ClientConfig, ClientHandshake, Open, State};
use crate::handshake::state::put;
use crate::handshake::{Buffers, Misuse};
use crate::security::plain::{Credentials, Ident};
use crate::security::sasl::{Mechanism, SaslData};
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Secret, SecurityType};

impl ClientHandshake {
    /// Answers [`ClientQuestion::Choose`](super::ClientQuestion::Choose).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`Misuse::NotOffered`] also for a type that cannot be followed here.
    pub fn choose(&mut self, buffers: &mut Buffers, chosen: SecurityType) -> Result<(), Misuse> {
        let State::Open(Open::Choice(offered)) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        if !offered.contains(&chosen) || !ClientConfig::can_follow(chosen) {
            return Err(Misuse::NotOffered);
        }
        self.put_choice(chosen, &mut buffers.tx);
        Ok(())
    }

    /// Answers [`ClientQuestion::Vnc`](super::ClientQuestion::Vnc).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn respond(&mut self, buffers: &mut Buffers, response: [u8; CHALLENGE_LEN]) -> Result<(), Misuse> {
        self.open(&Open::Vnc)?;
        buffers.tx.extend_from_slice(&response);
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`ClientQuestion::Plain`](super::ClientQuestion::Plain), with UTF-8.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn plain(&mut self, buffers: &mut Buffers, user: &[u8], password: &[u8]) -> Result<(), Misuse> {
        self.open(&Open::Plain)?;
        let credentials = Credentials {
            user: Bytes::copy_from_slice(user),
            password: Secret::new(password),
        };
        if !put(&credentials, &mut buffers.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`ClientQuestion::Ident`](super::ClientQuestion::Ident).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn ident(&mut self, buffers: &mut Buffers, user: &[u8]) -> Result<(), Misuse> {
        self.open(&Open::Ident)?;
        let user = Bytes::copy_from_slice(user);
        if !put(&Ident { user }, &mut buffers.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`ClientQuestion::SaslStart`](super::ClientQuestion::SaslStart), with what the mechanism begins with, if
    /// anything.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], [`Misuse::NotOffered`], or [`Misuse::TooLong`].
    pub fn sasl_start(&mut self, buffers: &mut Buffers, mechanism: &[u8], data: Option<&[u8]>) -> Result<(), Misuse> {
        let State::Open(Open::SaslStart(offered)) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        if !offered.offers(mechanism) {
            return Err(Misuse::NotOffered);
        }
        let before = buffers.tx.len();
        let name = Bytes::copy_from_slice(mechanism);
        let data = data.map(Secret::new);
        if !put(&Mechanism { name }, &mut buffers.tx) || !put(&SaslData { data }, &mut buffers.tx) {
            buffers.tx.truncate(before);
            return Err(Misuse::TooLong);
        }
        self.state = State::Sasl;
        Ok(())
    }

    /// Answers [`ClientQuestion::SaslStep`](super::ClientQuestion::SaslStep): this is said to it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], also when the server's mechanism has come to its end, or [`Misuse::TooLong`].
    pub fn sasl_step(&mut self, buffers: &mut Buffers, data: Option<&[u8]>) -> Result<(), Misuse> {
        self.open(&Open::SaslStep { complete: false })?;
        let data = data.map(Secret::new);
        if !put(&SaslData { data }, &mut buffers.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Sasl;
        Ok(())
    }

    /// Answers [`ClientQuestion::SaslStep`](super::ClientQuestion::SaslStep): the mechanism is satisfied with the
    /// server. `layer`: it agreed on a layer, see [`ClientQuestion::SaslLayer`](super::ClientQuestion::SaslLayer).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::NotComplete`].
    pub fn sasl_end(&mut self, layer: bool) -> Result<(), Misuse> {
        match self.state {
            State::Open(Open::SaslStep { complete: true }) => {
                self.sasl_layer = layer;
                self.state = State::Result;
                Ok(())
            }
            State::Open(Open::SaslStep { complete: false }) => Err(Misuse::NotComplete),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers [`ClientQuestion::SaslLayer`](super::ClientQuestion::SaslLayer) and
    /// [`ClientQuestion::RsaAesLayer`](super::ClientQuestion::RsaAesLayer): `rx` holds what is inside the layer, and what
    /// is put into `tx` is to be wrapped.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        self.state = match self.state {
            State::Open(Open::Layer) => State::Init,
            State::Open(Open::RsaAesLayer) => State::Result,
            _ => return Err(Misuse::NotAsked),
        };
        Ok(())
    }

    pub(super) fn open(&self, expected: &Open) -> Result<(), Misuse> {
        match &self.state {
            State::Open(open) if open == expected => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }
}

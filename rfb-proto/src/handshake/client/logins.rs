//! RSA-AES, Diffie-Hellman authentication and UltraVNC's logons: what the server sends, and the caller's answers.

use super::{ClientHandshake, ClientQuestion, HandshakeError, Next, Open, State};
use crate::handshake::state::{Stop, take, take_block};
use crate::handshake::{Buffers, Misuse};
use crate::security::ard::ArdResponse;
use crate::security::ms_logon::{MsLogonIIIResponse, MsLogonResponse};
#[cfg(feature = "rsa-aes")]
use crate::security::{
    Seed,
    rsa_aes::{Exchange, PublicKey},
};
#[cfg(feature = "rsa-aes")]
use alloc::boxed::Box;

impl ClientHandshake {
    /// Answers [`ClientQuestion::DiffieHellman`]: what
    /// [`ArdParameters::respond`](crate::security::ard::ArdParameters::respond) gives.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn diffie_hellman(&mut self, buffers: &mut Buffers, response: &ArdResponse) -> Result<(), Misuse> {
        self.open(&Open::DiffieHellman)?;
        response.put(&mut buffers.tx);
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`ClientQuestion::MsLogonII`]: what
    /// [`MsLogonParameters::respond`](crate::security::ms_logon::MsLogonParameters::respond) gives.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_ii(&mut self, buffers: &mut Buffers, response: &MsLogonResponse) -> Result<(), Misuse> {
        self.open(&Open::MsLogonII)?;
        buffers.tx.extend_from_slice(&response.public.to_be_bytes());
        response.sealed.put(&mut buffers.tx);
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`ClientQuestion::MsLogonIII`]: what [`respond_iii`](crate::security::ms_logon::respond_iii) gives.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_iii(&mut self, buffers: &mut Buffers, response: &MsLogonIIIResponse) -> Result<(), Misuse> {
        self.open(&Open::MsLogonIII)?;
        buffers.tx.extend_from_slice(&response.public);
        response.sealed.put(&mut buffers.tx);
        self.state = State::Result;
        Ok(())
    }

    /// What the states of these log-ins do.
    pub(super) fn step_login(&mut self, buffers: &mut Buffers) -> Next {
        let (rx, limits) = (&mut buffers.rx, &self.config.limits);
        let question = match self.state {
            State::ArdParameters => ClientQuestion::DiffieHellman(take(rx, limits)?),
            State::MsLogonParameters => ClientQuestion::MsLogonII(take(rx, limits)?),
            State::MsLogonIIIPublic => ClientQuestion::MsLogonIII {
                public: take_block(rx)?,
            },
            _ => self.step_rsa_aes(buffers)?,
        };
        self.state = State::Ask(question);
        Ok(None)
    }
}

type Question = Result<ClientQuestion, Stop<HandshakeError>>;

/// A state without what belongs to it.
fn lost() -> Stop<HandshakeError> {
    super::stop(Misuse::Ended.into())
}

#[cfg(not(feature = "rsa-aes"))]
impl ClientHandshake {
    /// INVARIANT: without the feature nothing of it is chosen.
    fn step_rsa_aes(&mut self, _: &mut Buffers) -> Question {
        Err(lost())
    }
}

#[cfg(feature = "rsa-aes")]
impl ClientHandshake {
    /// Answers [`ClientQuestion::RsaAes`]: the server's key is the right one. `key` is one of one's own, that of
    /// [`Key::public`](crate::security::rsa_aes::Key::public). It need not be known to the server, and can be made for this
    /// connection.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`Misuse::NotOffered`] if nothing can be sealed for the server's key.
    pub fn rsa_aes(&mut self, buffers: &mut Buffers, key: &PublicKey, seed: &Seed) -> Result<(), Misuse> {
        let State::Open(Open::RsaAes(server_key)) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        // INVARIANT: only types that have a strength ask this.
        let strength = self.security.strength().ok_or(Misuse::NotAsked)?;
        let mut exchange = Exchange::new(strength, key.clone(), seed);
        let before = buffers.tx.len();
        crate::handshake::state::put(key, &mut buffers.tx);
        if exchange.send_random(server_key.clone(), &mut buffers.tx).is_err() {
            buffers.tx.truncate(before);
            return Err(Misuse::NotOffered);
        }
        self.exchange = Some(Box::new(exchange));
        self.state = State::RsaAesRandom;
        Ok(())
    }

    /// Answers [`ClientQuestion::RsaAesOpen`]: what [`Key::open`](crate::security::rsa_aes::Key::open) gives.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a number that has not the length of the strength.
    pub fn rsa_aes_open(&mut self, buffers: &mut Buffers, random: &[u8]) -> Result<(), Misuse> {
        self.open(&Open::RsaAesRandom)?;
        let exchange = self.exchange.as_deref_mut().ok_or(Misuse::NotAsked)?;
        if random.len() != exchange.strength().random_len() {
            return Err(Misuse::TooLong);
        }
        exchange.agree(random, &mut buffers.tx);
        self.state = State::RsaAesHash;
        Ok(())
    }

    /// Answers [`ClientQuestion::RsaAesCredentials`], with UTF-8. Without a user the server is sent an empty one.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`Misuse::TooLong`] for more than 255 bytes.
    pub fn rsa_aes_credentials(&mut self, buffers: &mut Buffers, user: &[u8], password: &[u8]) -> Result<(), Misuse> {
        let State::Open(Open::RsaAesCredentials { with_user }) = self.state else {
            return Err(Misuse::NotAsked);
        };
        let exchange = self.exchange.as_deref_mut().ok_or(Misuse::NotAsked)?;
        let user = if with_user { user } else { &[] };
        if !exchange.send_credentials(user, password, &mut buffers.tx) {
            return Err(Misuse::TooLong);
        }
        let exchange = self.exchange.take().ok_or(Misuse::NotAsked)?;
        self.state = match self.security.is_rsa_aes_layered() {
            true => State::Ask(ClientQuestion::RsaAesLayer(
                exchange.into_keys().ok_or(Misuse::NotAsked)?,
            )),
            false => State::Result,
        };
        Ok(())
    }

    fn step_rsa_aes(&mut self, buffers: &mut Buffers) -> Question {
        let (rx, limits) = (&mut buffers.rx, &self.config.limits);
        if matches!(self.state, State::RsaAesKey) {
            let strength = self.security.strength().ok_or_else(lost)?;
            let server_key = take(rx, limits)?;
            return Ok(ClientQuestion::RsaAes { server_key, strength });
        }
        let exchange = self.exchange.as_deref_mut().ok_or_else(lost)?;
        if matches!(self.state, State::RsaAesRandom) {
            let sealed = exchange.sealed_random(rx)?.map_err(Stop::Receive)?;
            crate::handshake::state::eat(rx, sealed.len().saturating_add(2));
            let strength = exchange.strength();
            return Ok(ClientQuestion::RsaAesOpen { sealed, strength });
        }
        if matches!(self.state, State::RsaAesHash) {
            match exchange.take_hash(rx)? {
                0 => self.state = State::RsaAesSubtype,
                missing => return Err(Stop::Receive(missing)),
            }
        }
        let with_user = exchange.take_subtype(rx)?.map_err(Stop::Receive)?;
        // The server waits for the credentials now, so there is nothing that it could have said.
        exchange.ends()?;
        Ok(ClientQuestion::RsaAesCredentials { with_user })
    }
}

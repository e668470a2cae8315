//! RSA-AES, Diffie-Hellman authentication and UltraVNC's logons: what the client sends, and the caller's answers.

use alloc::boxed::Box;

use bytes::BytesMut;

use super::{ClientCredentials, Failure, Login, Open, ServerHandshake, ServerOutcome, ServerQuestion, State};
use crate::handshake::state::{Stop, eat, need, put, take_block};
use crate::handshake::{Action, Buffers, Misuse};
use crate::security::ard::{self, ArdParameters, ArdResponse};
use crate::security::ms_logon::{self, MsLogonIIIResponse, MsLogonParameters, MsLogonResponse, Sealed};
#[cfg(feature = "rsa-aes")]
use crate::security::{
    Seed,
    plain::Credentials,
    rsa_aes::{self, LayerKeys, PublicKey},
};

type Step = Result<Option<Action<ServerQuestion, ServerOutcome>>, Stop<Failure>>;

impl ServerHandshake {
    /// Answers [`ServerQuestion::DiffieHellman`]: those of
    /// [`ArdSecret::parameters`](crate::security::ard::ArdSecret::parameters).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn diffie_hellman(&mut self, buffers: &mut Buffers, parameters: &ArdParameters) -> Result<(), Misuse> {
        self.open(Open::DiffieHellman)?;
        put(parameters, &mut buffers.tx);
        self.login = Some(Box::new(Login::DiffieHellman(parameters.clone())));
        self.state = State::ArdResponse;
        Ok(())
    }

    /// Answers [`ServerQuestion::MsLogonII`]: those of
    /// [`MsLogonSecret::parameters`](crate::security::ms_logon::MsLogonSecret::parameters).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_ii(&mut self, buffers: &mut Buffers, parameters: &MsLogonParameters) -> Result<(), Misuse> {
        self.open(Open::MsLogonII)?;
        put(parameters, &mut buffers.tx);
        self.state = State::MsLogonResponse;
        Ok(())
    }

    /// Answers [`ServerQuestion::MsLogonIII`]: that of
    /// [`MsLogonIIISecret::public`](crate::security::ms_logon::MsLogonIIISecret::public).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_iii(&mut self, buffers: &mut Buffers, public: &[u8; ms_logon::PUBLIC_LEN]) -> Result<(), Misuse> {
        self.open(Open::MsLogonIII)?;
        buffers.tx.extend_from_slice(public);
        self.state = State::MsLogonIIIResponse;
        Ok(())
    }

    /// What the states of these log-ins do.
    pub(super) fn step_login(&mut self, buffers: &mut Buffers) -> Step {
        let rx = &mut buffers.rx;
        let claim = match self.state {
            State::ArdResponse => self.take_ard(rx)?,
            State::MsLogonResponse => {
                need(rx, 8_usize.saturating_add(ms_logon::SEALED_LEN))?;
                ClientCredentials::MsLogonII(MsLogonResponse {
                    public: u64::from_be_bytes(take_block(rx)?),
                    sealed: Sealed::get(&take_block(rx)?),
                })
            }
            State::MsLogonIIIResponse => {
                need(rx, ms_logon::PUBLIC_LEN.saturating_add(ms_logon::SEALED_LEN))?;
                ClientCredentials::MsLogonIII(MsLogonIIIResponse {
                    public: take_block(rx)?,
                    sealed: Sealed::get(&take_block(rx)?),
                })
            }
            _ => return self.step_rsa_aes(buffers),
        };
        self.state = State::Open(Open::Admit);
        Ok(Some(Action::Ask(ServerQuestion::Admit(claim))))
    }

    fn take_ard(&mut self, rx: &mut BytesMut) -> Result<ClientCredentials, Stop<Failure>> {
        let Some(Login::DiffieHellman(parameters)) = self.login.as_deref() else {
            // INVARIANT: they were sent.
            return Err(lost());
        };
        let size = parameters.prime().len();
        need(rx, ard::SEALED_LEN.saturating_add(size))?;
        let public = rx.get(ard::SEALED_LEN..).and_then(|rest| rest.get(..size));
        let public = public.map(bytes::Bytes::copy_from_slice).unwrap_or_default();
        parameters.check_public(&public)?;
        let response = ArdResponse::new(take_block(rx)?, public);
        eat(rx, size);
        self.login = None;
        Ok(ClientCredentials::DiffieHellman(response))
    }
}

/// A state without what belongs to it.
fn lost() -> Stop<Failure> {
    Failure::stop(Misuse::Ended.into(), super::Tell::Nothing)
}

#[cfg(not(feature = "rsa-aes"))]
impl ServerHandshake {
    /// INVARIANT: without the feature nothing of it is offered.
    fn step_rsa_aes(&mut self, _: &mut Buffers) -> Step {
        Err(lost())
    }
}

#[cfg(feature = "rsa-aes")]
impl ServerHandshake {
    /// Answers [`ServerQuestion::RsaAes`]. `key` is that of [`Key::public`](crate::security::rsa_aes::Key::public).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn rsa_aes(&mut self, buffers: &mut Buffers, key: &PublicKey, seed: &Seed) -> Result<(), Misuse> {
        self.open(Open::RsaAes)?;
        // INVARIANT: only types that have a strength ask this.
        let strength = self.security.strength().ok_or(Misuse::NotAsked)?;
        put(key, &mut buffers.tx);
        let exchange = rsa_aes::Exchange::new(strength, key.clone(), seed);
        self.login = Some(Box::new(Login::RsaAes(exchange)));
        self.state = State::RsaAesKey;
        Ok(())
    }

    /// Answers [`ServerQuestion::RsaAesOpen`]: what [`Key::open`](crate::security::rsa_aes::Key::open) gives.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a number that has not the length of the strength.
    pub fn rsa_aes_open(&mut self, buffers: &mut Buffers, random: &[u8]) -> Result<(), Misuse> {
        self.open(Open::RsaAesRandom)?;
        let Some(Login::RsaAes(exchange)) = self.login.as_deref_mut() else {
            return Err(Misuse::NotAsked);
        };
        if random.len() != exchange.strength().random_len() {
            return Err(Misuse::TooLong);
        }
        exchange.agree(random, &mut buffers.tx);
        self.state = State::RsaAesHash;
        Ok(())
    }

    fn step_rsa_aes(&mut self, buffers: &mut Buffers) -> Step {
        let Buffers { rx, tx } = buffers;
        if self.state == State::RsaAesLayered {
            return self.admit_layered();
        }
        let Some(Login::RsaAes(exchange)) = self.login.as_deref_mut() else {
            return Err(lost());
        };
        match self.state {
            State::RsaAesKey => {
                let key = crate::handshake::state::take(rx, &self.config.limits)?;
                exchange.send_random(key, tx)?;
                self.state = State::RsaAesRandom;
            }
            State::RsaAesRandom => {
                let sealed = exchange.sealed_random(rx)?.map_err(Stop::Receive)?;
                eat(rx, sealed.len().saturating_add(2));
                let strength = exchange.strength();
                self.state = State::Open(Open::RsaAesRandom);
                return Ok(Some(Action::Ask(ServerQuestion::RsaAesOpen { sealed, strength })));
            }
            State::RsaAesHash => {
                missing(exchange.take_hash(rx)?)?;
                exchange.send_subtype(self.config.rsa_aes_user, tx);
                self.state = State::RsaAesCredentials;
            }
            _ => {
                let (user, password) = exchange.take_credentials(rx)?.map_err(Stop::Receive)?;
                return self.shown(Credentials { user, password });
            }
        }
        Ok(None)
    }

    /// User and password are there. What follows is inside of the layer, or in clear text.
    fn shown(&mut self, shown: Credentials) -> Step {
        let Some(Login::RsaAes(exchange)) = self.login.take().map(|login| *login) else {
            return Err(lost());
        };
        if !self.security.is_rsa_aes_layered() {
            exchange.ends()?;
            self.state = State::Open(Open::Admit);
            let claim = ClientCredentials::Plain(shown);
            return Ok(Some(Action::Ask(ServerQuestion::Admit(claim))));
        }
        let keys: LayerKeys = exchange.into_keys().ok_or_else(lost)?;
        self.login = Some(Box::new(Login::Shown(shown)));
        self.state = State::Open(Open::RsaAesLayer);
        Ok(Some(Action::Ask(ServerQuestion::RsaAesLayer(keys))))
    }

    fn admit_layered(&mut self) -> Step {
        let Some(Login::Shown(shown)) = self.login.take().map(|login| *login) else {
            return Err(lost());
        };
        self.state = State::Open(Open::Admit);
        let claim = ClientCredentials::Plain(shown);
        Ok(Some(Action::Ask(ServerQuestion::Admit(claim))))
    }
}

/// So many bytes are missing, or none.
#[cfg(feature = "rsa-aes")]
fn missing(count: usize) -> Result<(), Stop<Failure>> {
    match count {
        0 => Ok(()),
        count => Err(Stop::Receive(count)),
    }
}

//! RSA-AES, Diffie-Hellman authentication and UltraVNC's logons on both sides: the tenant's questions are the caller's to
//! answer, the hypervisor's are answered from [`Upstream`].

use super::{Bridge, Open, State, Upstream};
use crate::handshake::bridge::BridgeQuestion;
use crate::handshake::client::ClientQuestion;
use crate::handshake::{HandshakeError, Misuse, Side, SideBuffers};
use crate::security::ard::ArdParameters;
use crate::security::ms_logon::{MsLogonParameters, PUBLIC_LEN};
#[cfg(feature = "rsa-aes")]
use crate::security::{Seed, rsa_aes::PublicKey};

impl Bridge {
    /// Answers [`BridgeQuestion::RsaAes`], as
    /// [`ServerHandshake::rsa_aes`](crate::handshake::ServerHandshake::rsa_aes).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    #[cfg(feature = "rsa-aes")]
    pub fn rsa_aes(&mut self, sides: &mut SideBuffers, key: &PublicKey, seed: &Seed) -> Result<(), Misuse> {
        self.open(Open::RsaAes)?;
        self.server.rsa_aes(&mut sides.tenant, key, seed)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Answers [`BridgeQuestion::RsaAesOpen`], as
    /// [`ServerHandshake::rsa_aes_open`](crate::handshake::ServerHandshake::rsa_aes_open).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`] for a number that has not the length of the strength.
    #[cfg(feature = "rsa-aes")]
    pub fn rsa_aes_open(&mut self, sides: &mut SideBuffers, random: &[u8]) -> Result<(), Misuse> {
        self.open(Open::RsaAesRandom)?;
        self.server.rsa_aes_open(&mut sides.tenant, random)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Answers [`BridgeQuestion::RsaAesLayer`]: that side's `rx` holds what is inside the layer, and what is put into its
    /// `tx` is to be wrapped.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        let State::Open(Open::RsaAesLayer(side)) = self.state else {
            return Err(Misuse::NotAsked);
        };
        match (side, &mut self.client) {
            (Side::Tenant, _) => {
                self.server.layered()?;
                self.state = State::Tenant;
            }
            (Side::Hypervisor, Some(client)) => {
                client.layered()?;
                self.state = State::Hypervisor;
            }
            (Side::Hypervisor, None) => return Err(Misuse::NotAsked),
        }
        Ok(())
    }

    /// Whether [`BridgeQuestion::RsaAesLayer`] was asked for the hypervisor's side, and not answered.
    pub(crate) fn is_unlayered(&self) -> bool {
        matches!(self.state, State::Open(Open::RsaAesLayer(Side::Hypervisor)))
    }

    /// Answers [`BridgeQuestion::DiffieHellman`], as
    /// [`ServerHandshake::diffie_hellman`](crate::handshake::ServerHandshake::diffie_hellman).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn diffie_hellman(&mut self, sides: &mut SideBuffers, parameters: &ArdParameters) -> Result<(), Misuse> {
        self.open(Open::DiffieHellman)?;
        self.server.diffie_hellman(&mut sides.tenant, parameters)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Answers [`BridgeQuestion::MsLogonII`], as
    /// [`ServerHandshake::ms_logon_ii`](crate::handshake::ServerHandshake::ms_logon_ii).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_ii(&mut self, sides: &mut SideBuffers, parameters: &MsLogonParameters) -> Result<(), Misuse> {
        self.open(Open::MsLogonII)?;
        self.server.ms_logon_ii(&mut sides.tenant, parameters)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Answers [`BridgeQuestion::MsLogonIII`], as
    /// [`ServerHandshake::ms_logon_iii`](crate::handshake::ServerHandshake::ms_logon_iii).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn ms_logon_iii(&mut self, sides: &mut SideBuffers, public: &[u8; PUBLIC_LEN]) -> Result<(), Misuse> {
        self.open(Open::MsLogonIII)?;
        self.server.ms_logon_iii(&mut sides.tenant, public)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Shows the hypervisor what it asks for in these log-ins, or hands its layer on.
    pub(super) fn answer_login(
        &mut self,
        sides: &mut SideBuffers,
        question: ClientQuestion,
    ) -> Result<(), HandshakeError> {
        if let ClientQuestion::RsaAesLayer(keys) = question {
            let side = Side::Hypervisor;
            self.state = State::Ask(BridgeQuestion::RsaAesLayer { side, keys });
            return Ok(());
        }
        let (Some(client), buffers) = (&mut self.client, &mut sides.hypervisor) else {
            return Err(Misuse::NotAsked.into());
        };
        answer_from(&self.upstream, client, buffers, &question)
    }
}

#[cfg(not(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
use no_answer as answer_from;

/// What knows this is compiled in only with one of the features; without them nothing asks it.
#[cfg(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
fn answer_from(
    upstream: &Upstream,
    client: &mut crate::handshake::ClientHandshake,
    buffers: &mut crate::handshake::Buffers,
    question: &ClientQuestion,
) -> Result<(), HandshakeError> {
    // INVARIANT: nothing that asks this is chosen without them.
    let missing = Misuse::NotOffered;
    let seed = upstream.seed.as_ref().ok_or(missing)?;
    let own = upstream.credentials.as_ref().ok_or(missing)?;
    #[cfg(any(feature = "ard", feature = "ms-logon"))]
    let (user, password) = (&own.user, own.password.expose());
    match question {
        #[cfg(feature = "rsa-aes")]
        ClientQuestion::RsaAes { server_key, .. } => {
            let login = upstream.rsa_aes.as_ref().ok_or(missing)?;
            if !login.pin.is_of(server_key) {
                return Err(HandshakeError::PeerIncompatible(
                    crate::handshake::Incompatibility::HostKey,
                ));
            }
            client.rsa_aes(buffers, login.key.public(), seed)?;
        }
        #[cfg(feature = "rsa-aes")]
        ClientQuestion::RsaAesOpen { sealed, strength } => {
            let login = upstream.rsa_aes.as_ref().ok_or(missing)?;
            client.rsa_aes_open(buffers, login.key.open(sealed, *strength, seed).expose())?;
        }
        #[cfg(feature = "rsa-aes")]
        ClientQuestion::RsaAesCredentials { .. } => {
            client.rsa_aes_credentials(buffers, &own.user, own.password.expose())?;
        }
        #[cfg(feature = "ard")]
        ClientQuestion::DiffieHellman(parameters) => {
            client.diffie_hellman(
                buffers,
                &parameters.respond(user, password, seed).map_err(Misuse::from)?,
            )?;
        }
        #[cfg(feature = "ms-logon")]
        ClientQuestion::MsLogonII(parameters) => {
            client.ms_logon_ii(
                buffers,
                &parameters.respond(user, password, seed).map_err(Misuse::from)?,
            )?;
        }
        #[cfg(feature = "ms-logon")]
        ClientQuestion::MsLogonIII { public } => {
            let response =
                crate::security::ms_logon::respond_iii(public, user, password, seed).map_err(Misuse::from)?;
            client.ms_logon_iii(buffers, &response)?;
        }
        _ => return Err(missing.into()),
    }
    Ok(())
}

/// In its place.
#[cfg(not(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
fn no_answer(
    _: &Upstream,
    _: &mut crate::handshake::ClientHandshake,
    _: &mut crate::handshake::Buffers,
    _: &ClientQuestion,
) -> Result<(), HandshakeError> {
    Err(Misuse::NotOffered.into())
}

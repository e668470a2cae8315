//! What the server sends, one part after the other.

use alloc::vec::Vec;

use bytes::{BufMut as _, BytesMut};

use super::{
    ClientConfig, ClientHandshake, ClientQuestion, HandshakeError, REPEATER_LEN, State, incompatible, misbehaved,
    rejection, stop,
};
use crate::handshake::state::{Stop, eat, need, put, take, take_block, take_secret};
use crate::handshake::{Event, Exchange, Incompatibility, Misbehaviour, Rejected, RejectionReason, Security, TlsKind};
use crate::security::sasl::SaslData;
use crate::security::tight::{Capabilities, Capability, CapabilityChoice};
use crate::security::vencrypt::{SubtypeChoice, Subtypes};
use crate::security::{Reason, SecurityResult, SecurityType, SecurityTypeWord, SecurityTypes};
use crate::version::{Greeting, Policy, ProtocolVersion, Version, VersionError};

impl ClientHandshake {
    pub(super) fn take_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let sent = ProtocolVersion::at_front(rx, self.config.policy)?.map_err(Stop::Receive)?;
        eat(rx, ProtocolVersion::LEN);
        let offered = match sent.as_greeting(self.config.policy) {
            Ok(Greeting::Version(version)) => version,
            Ok(Greeting::Repeater) => return self.pass_repeater(tx),
            Err(error) => return incompatible(Incompatibility::Version(error)),
        };
        self.server_version = sent;
        self.rules = offered.min(self.config.version);
        tx.extend_from_slice(&self.rules.to_bytes());
        let rules = self.rules;
        self.events.push(Event::Version { sent, rules });
        self.state = State::Types;
        Ok(())
    }

    fn pass_repeater(&mut self, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        if self.repeated {
            return misbehaved(Misbehaviour::SecondRepeater);
        }
        let target = self
            .config
            .repeater
            .as_ref()
            .filter(|target| target.len() <= REPEATER_LEN);
        let Some(target) = target else {
            let version = ProtocolVersion::REPEATER;
            return incompatible(Incompatibility::Version(VersionError::Unsupported { version }));
        };
        tx.extend_from_slice(target);
        tx.put_bytes(0, REPEATER_LEN.saturating_sub(target.len()));
        self.repeated = true;
        self.events.push(Event::Repeater);
        Ok(())
    }

    pub(super) fn take_types(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let offered = if self.rules == Version::V3_3 {
            let word: SecurityTypeWord = take(rx, &self.config.limits)?;
            match word.security_type() {
                Some(SecurityType::INVALID) => Vec::new(),
                Some(decided @ (SecurityType::NONE | SecurityType::VNC)) => [decided].into(),
                _ => return misbehaved(Misbehaviour::TypeOf33(word)),
            }
        } else {
            let SecurityTypes { types } = take(rx, &self.config.limits)?;
            types
        };
        if offered.is_empty() {
            self.state = State::Reason(Rejected::Connection);
            return Ok(());
        }
        self.events.push(Event::Types(offered.clone()));
        if self.config.ask_choice {
            self.state = State::Ask(ClientQuestion::Choose(offered));
            return Ok(());
        }
        let mut wanted = self.config.types.iter().copied();
        match wanted.find(|&wanted| offered.contains(&wanted) && ClientConfig::can_follow(wanted)) {
            Some(chosen) => self.put_choice(chosen, tx),
            None => return incompatible(Incompatibility::Types(offered)),
        }
        Ok(())
    }

    pub(super) fn put_choice(&mut self, chosen: SecurityType, tx: &mut BytesMut) {
        self.chose(Security::of(chosen));
        if self.rules != Version::V3_3 {
            tx.put_u8(chosen.0);
        }
        self.follow(chosen);
    }

    fn chose(&mut self, security: Security) {
        self.security = security;
        self.events.push(Event::Chosen(security));
    }

    /// Follows a type that was chosen.
    fn follow(&mut self, chosen: SecurityType) {
        match chosen {
            SecurityType::VENCRYPT => self.state = State::VeNCryptVersion,
            SecurityType::TIGHT => self.state = State::Tunnels,
            SecurityType::TLS => self.state = State::StartTls(TlsKind::Anonymous),
            _ => self.begin(Exchange::of(chosen)),
        }
    }

    /// Begins the exchange.
    pub(super) fn begin(&mut self, exchange: Option<Exchange>) {
        self.state = match exchange {
            Some(Exchange::Vnc) => State::Challenge,
            Some(Exchange::Plain) => State::Ask(ClientQuestion::Plain),
            Some(Exchange::Ident) => State::Ask(ClientQuestion::Ident),
            Some(Exchange::Sasl) => State::Mechanisms,
            Some(Exchange::RsaAes) => State::RsaAesKey,
            Some(Exchange::DiffieHellman) => State::ArdParameters,
            Some(Exchange::MsLogonII) => State::MsLogonParameters,
            Some(Exchange::MsLogonIII) => State::MsLogonIIIPublic,
            // INVARIANT: only what has an exchange is followed, so this is type None.
            Some(Exchange::None) | None if self.security.has_result(self.rules) => State::Result,
            Some(Exchange::None) | None => return self.authenticated(),
        };
    }

    pub(super) fn take_inner_types(
        &mut self,
        rx: &mut BytesMut,
        tx: &mut BytesMut,
    ) -> Result<(), Stop<HandshakeError>> {
        let SecurityTypes { types: offered } = take(rx, &self.config.limits)?;
        if offered.is_empty() {
            self.state = State::Reason(Rejected::Connection);
            return Ok(());
        }
        self.events.push(Event::Types(offered.clone()));
        let mut wanted = self.config.tls_types.iter().copied();
        match wanted.find(|&wanted| offered.contains(&wanted) && ClientConfig::has_exchange(wanted)) {
            Some(chosen) => {
                self.chose(Security {
                    inner: Some(chosen),
                    ..self.security
                });
                tx.put_u8(chosen.0);
                self.begin(Exchange::of(chosen));
                Ok(())
            }
            None => incompatible(Incompatibility::Types(offered)),
        }
    }

    pub(super) fn take_subtypes(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let Subtypes { subtypes: offered } = take(rx, &self.config.limits)?;
        self.events.push(Event::Subtypes(offered.clone()));
        let mut wanted = self.config.subtypes.iter().copied();
        let chosen = wanted.find(|&wanted| offered.contains(&wanted) && self.config.may_follow_subtype(wanted));
        let Some(subtype) = chosen else {
            return incompatible(Incompatibility::Subtypes(offered));
        };
        put(&SubtypeChoice { subtype }, tx);
        self.chose(Security {
            subtype: Some(subtype),
            ..self.security
        });
        match subtype.tls() {
            Some(kind) => self.state = State::SubtypeAcknowledgement(kind),
            None => self.begin(subtype.exchange()),
        }
        Ok(())
    }

    pub(super) fn take_tunnels(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let Capabilities { list } = take(rx, &self.config.limits)?;
        if !list.is_empty() {
            let none = list
                .iter()
                .find(|tunnel| is_same(tunnel, &Capability::NO_TUNNEL, self.config.policy));
            let tunnel = match (none, self.config.policy) {
                (Some(none), _) => *none,
                // Siemens panels list their own tunnels only, and take none as well (noVNC).
                (None, Policy::Lenient) if list.iter().any(is_siemens) => Capability::NO_TUNNEL,
                (None, _) => return incompatible(Incompatibility::Tunnels(list)),
            };
            put(&CapabilityChoice { code: tunnel.code }, tx);
        }
        self.state = State::TightTypes;
        Ok(())
    }

    pub(super) fn take_tight_types(
        &mut self,
        rx: &mut BytesMut,
        tx: &mut BytesMut,
    ) -> Result<(), Stop<HandshakeError>> {
        let Capabilities { list } = take(rx, &self.config.limits)?;
        self.events.push(Event::Authentication(list.clone()));
        let offered = |wanted: SecurityType| {
            let known = Capability::for_type(wanted)?;
            // An empty list means None, without a choice.
            let unlisted = list.is_empty() && wanted == SecurityType::NONE;
            let listed = list.iter().find(|listed| is_same(listed, &known, self.config.policy));
            (unlisted || listed.is_some()).then_some((wanted, listed.copied()))
        };
        let Some((chosen, listed)) = self.config.tight_types.iter().copied().find_map(offered) else {
            return incompatible(Incompatibility::Authentication(list));
        };
        if let Some(Capability { code, .. }) = listed {
            put(&CapabilityChoice { code }, tx);
        }
        self.chose(Security {
            inner: Some(chosen),
            ..self.security
        });
        self.follow(chosen);
        Ok(())
    }

    pub(super) fn take_sasl(&mut self, rx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let limits = &self.config.limits;
        // A length above its limit is found before the data are waited for.
        SaslData::missing(rx, limits)?;
        // The byte behind the data belongs to it, so nothing is taken without it.
        let length = rx.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
        need(rx, usize::try_from(length).unwrap_or(usize::MAX).saturating_add(5))?;
        let SaslData { data } = take_secret(rx, limits)?;
        let [complete] = take_block(rx)?;
        let complete = complete != 0;
        self.state = State::Ask(ClientQuestion::SaslStep { data, complete });
        Ok(())
    }

    pub(super) fn take_result(&mut self, rx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let result: SecurityResult = take(rx, &self.config.limits)?;
        let of = match result {
            SecurityResult::OK => {
                self.authenticated();
                return Ok(());
            }
            SecurityResult::FAILED => Rejected::Authentication,
            SecurityResult::TOO_MANY_ATTEMPTS => Rejected::TooManyAttempts,
            SecurityResult { status } => return misbehaved(Misbehaviour::UnknownResult(status)),
        };
        if self.rules != Version::V3_8 {
            return Err(stop(rejection(of, RejectionReason::Nothing)));
        }
        self.state = State::Reason(of);
        Ok(())
    }

    fn authenticated(&mut self) {
        self.events.push(Event::Authenticated);
        self.state = match (self.config.init, self.sasl_layer) {
            (false, _) => State::Over(None),
            (true, true) => State::Ask(ClientQuestion::SaslLayer),
            (true, false) => State::Init,
        };
    }

    pub(super) fn take_reason(&self, rx: &mut BytesMut) -> Result<RejectionReason, Stop<HandshakeError>> {
        if let Some(length) = rx.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length);
            if self.config.limits.reason < length {
                return Ok(RejectionReason::TooLong(length));
            }
        }
        let reason: Reason = take(rx, &self.config.limits)?;
        Ok(RejectionReason::Reason(reason))
    }
}

/// Whether a listed capability is the known one. Some servers use codes of their own for known names; the code that
/// is listed is then the one to answer.
fn is_same(listed: &Capability, known: &Capability, policy: Policy) -> bool {
    match policy {
        Policy::Lenient => listed.same_name(known),
        Policy::Strict => listed == known,
    }
}

/// A tunnel that Siemens panels list.
fn is_siemens(listed: &Capability) -> bool {
    (&listed.vendor, &listed.signature) == (b"SICR", b"SCHANNEL")
}

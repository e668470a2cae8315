//! What the client sends up to its exchange, one part after the other.

use bytes::{BufMut as _, BytesMut};

use super::{Failure, NOT_OFFERED, Next, Note, Open, ServerHandshake, ServerQuestion, State, Tell};
use crate::handshake::state::{Stop, eat, need, put, take, take_block, take_secret};
use crate::handshake::{Exchange, Incompatibility, Misbehaviour, TlsKind};
use crate::security::SecurityType;
use crate::security::sasl::{Mechanism, Mechanisms, SaslData};
use crate::security::tight::{Capabilities, Capability, CapabilityChoice};
use crate::security::vencrypt::{
    SubtypeAcknowledgement, SubtypeChoice, Subtypes, VeNCryptVersion, VersionAcknowledgement,
};
use crate::version::{ProtocolVersion, Version, VersionError};

impl ServerHandshake {
    /// Offers the types, or decides on one in 3.3.
    pub(super) fn put_offer(&mut self, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        if self.rules != Version::V3_3 {
            self.put_list(tx);
            return Ok(());
        }
        let types = self.offer.as_ref().unwrap_or(&self.config.types);
        let mut followed = types.iter().copied().filter(|&wanted| self.config.can_follow(wanted));
        let Some(security_type) = followed.find(|wanted| wanted.is_simple()) else {
            let tell = Tell::List("No security type for this version");
            return Failure::incompatible(Incompatibility::NothingFor33, tell);
        };
        self.security.security_type = security_type;
        self.notes.push(Note::Type);
        if !self.is_word() {
            tx.put_u32(security_type.0.into());
        }
        self.begin(Exchange::of(security_type), tx);
        Ok(())
    }

    /// The list of 3.7 and 3.8.
    #[inline(always)]
    fn put_list(&mut self, tx: &mut BytesMut) {
        let types = self.offer.as_ref().unwrap_or(&self.config.types);
        match **types {
            // What most servers have is written as it stands.
            [a, b] if a.is_simple() && b.is_simple() => tx.extend_from_slice(&[2, a.0, b.0]),
            [a] if a.is_simple() => tx.extend_from_slice(&[1, a.0]),
            _ => put_types(types, |wanted| self.config.can_follow(wanted), tx),
        }
        self.state = State::Choice;
    }

    fn chose_inside(&mut self, inner: SecurityType) {
        self.security.inner = Some(inner);
        self.notes.push(Note::Inner);
    }

    /// Follows a type that was chosen.
    #[inline(never)]
    fn follow(&mut self, security_type: SecurityType, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        match security_type {
            SecurityType::VENCRYPT => {
                put(&VeNCryptVersion::V0_2, tx);
                self.state = State::VeNCryptVersion;
            }
            SecurityType::TLS => self.state = State::StartTls(TlsKind::Anonymous),
            SecurityType::TIGHT if self.config.tight_tunnel => {
                let list = [Capability::NO_TUNNEL].into();
                put(&Capabilities { list }, tx);
                self.state = State::Tunnel;
            }
            SecurityType::TIGHT => {
                tx.put_u32(0);
                self.put_tight_types(tx);
            }
            _ => self.begin(Exchange::of(security_type), tx),
        }
        Ok(())
    }

    /// The second list, inside the TLS of type 18.
    pub(super) fn put_inner_types(&mut self, tx: &mut BytesMut) {
        let config = &self.config;
        put_types(&config.tls_types, |wanted| config.can_follow_inside(wanted), tx);
        self.state = State::InnerChoice;
    }

    pub(super) fn put_tight_types(&mut self, tx: &mut BytesMut) {
        let types = self.config.tight_types.iter().copied();
        let followed = types.filter(|&wanted| self.config.can_follow_tight(wanted));
        let list = followed.filter_map(Capability::for_type).collect();
        put(&Capabilities { list }, tx);
        self.state = State::TightChoice;
    }

    /// Begins the exchange.
    pub(super) fn begin(&mut self, exchange: Option<Exchange>, tx: &mut BytesMut) {
        self.state = match exchange {
            Some(Exchange::Vnc) => State::Ask(Open::Challenge),
            Some(Exchange::Plain) => State::Credentials,
            Some(Exchange::Ident) => State::Ident,
            Some(Exchange::Sasl) => {
                let list = self.config.sasl_mechanisms.clone();
                put(&Mechanisms { list }, tx);
                State::SaslStart
            }
            Some(Exchange::RsaAes) => State::Ask(Open::RsaAes),
            Some(Exchange::DiffieHellman) => State::Ask(Open::DiffieHellman),
            Some(Exchange::MsLogonII) => State::Ask(Open::MsLogonII),
            Some(Exchange::MsLogonIII) => State::Ask(Open::MsLogonIII),
            // INVARIANT: what is offered has an exchange, so this is type None. Whatever it is, the handshake
            // succeeds only after the caller calls `accept`.
            Some(Exchange::None) | None => State::Ask(Open::Admit),
        };
    }

    /// The client's line, and the choice if it has come with it, which are used in one go.
    #[inline]
    pub(super) fn take_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<Next, Stop<Failure>> {
        let Some((line, behind)) = rx.split_first_chunk::<{ ProtocolVersion::LEN }>() else {
            return Err(Stop::Receive(ProtocolVersion::missing(rx)?));
        };
        // A client that sends the greeting back follows the rules that are in force already.
        if *line != self.rules.to_bytes() {
            let sent = ProtocolVersion::read(line, self.config.policy)?;
            eat(rx, ProtocolVersion::LEN);
            self.take_other_version(sent, tx)?;
            return Ok(Next::State);
        }
        let choice = behind.first().copied();
        self.notes.push(Note::Version);
        if self.config.ask_offer || self.rules == Version::V3_3 {
            eat(rx, ProtocolVersion::LEN);
            self.begin_offer(tx)?;
            return Ok(Next::State);
        }
        self.put_list(tx);
        let Some(number) = choice else {
            rx.clear();
            return Err(Stop::Receive(1));
        };
        eat(rx, ProtocolVersion::LEN.wrapping_add(1));
        self.take_choice(SecurityType(number), tx)
    }

    #[inline(never)]
    fn take_other_version(&mut self, sent: ProtocolVersion, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        self.client_version = sent;
        match sent.as_answer(self.config.version, self.config.policy) {
            Ok(rules) => self.rules = rules,
            Err(error) => return unsupported(error),
        }
        self.notes.push(Note::Version);
        self.begin_offer(tx)
    }

    #[inline(never)]
    fn begin_offer(&mut self, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        if self.config.ask_offer {
            self.state = State::Ask(Open::Offer);
            return Ok(());
        }
        self.put_offer(tx)
    }

    #[inline]
    pub(super) fn take_choice(&mut self, chosen: SecurityType, tx: &mut BytesMut) -> Result<Next, Stop<Failure>> {
        let types = self.offer.as_ref().unwrap_or(&self.config.types);
        if !types.contains(&chosen) || !self.config.can_follow(chosen) {
            return Failure::misbehaved(Misbehaviour::TypeNotOffered(chosen), NOT_OFFERED);
        }
        self.security.security_type = chosen;
        self.notes.push(Note::Type);
        if chosen == SecurityType::VNC {
            return Ok(Next::Challenge);
        }
        self.follow(chosen, tx)?;
        Ok(Next::State)
    }

    pub(super) fn take_inner_choice(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let [number] = take_block(rx)?;
        let chosen = SecurityType(number);
        if !self.config.tls_types.contains(&chosen) || !self.config.can_follow_inside(chosen) {
            return Failure::misbehaved(Misbehaviour::TypeNotOffered(chosen), NOT_OFFERED);
        }
        self.chose_inside(chosen);
        self.follow(chosen, tx)
    }

    pub(super) fn take_tight_choice(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let CapabilityChoice { code } = take(rx, &self.config.limits)?;
        let types = self.config.tight_types.iter().copied();
        let mut followed = types.filter(|&wanted| self.config.can_follow_tight(wanted));
        let is_chosen = |wanted: &SecurityType| Capability::for_type(*wanted).is_some_and(|known| known.code == code);
        let Some(chosen) = followed.find(is_chosen) else {
            return Failure::misbehaved(Misbehaviour::CapabilityNotOffered(code), NOT_OFFERED);
        };
        self.chose_inside(chosen);
        self.follow(chosen, tx)
    }

    /// The mechanism and its first data. Nothing is taken before both are there.
    pub(super) fn take_sasl_start(&mut self, rx: &mut BytesMut) -> Result<ServerQuestion, Stop<Failure>> {
        let limits = &self.config.limits;
        need(rx, rx.len().saturating_add(Mechanism::missing(rx, limits)?))?;
        let mechanism = Mechanism::decode_slice(rx, limits)?;
        let list = self.config.sasl_mechanisms.clone();
        if !(Mechanisms { list }).offers(&mechanism.name) {
            return Failure::misbehaved(Misbehaviour::MechanismNotOffered, Tell::Nothing);
        }
        let len = mechanism.encoded_len();
        let missing = SaslData::missing(rx.get(len..).unwrap_or_default(), limits)?;
        need(rx, rx.len().saturating_add(missing))?;
        eat(rx, len);
        let SaslData { data } = take_secret(rx, limits)?;
        self.state = State::Open(Open::Sasl);
        let mechanism = mechanism.name;
        Ok(ServerQuestion::SaslStart { mechanism, data })
    }

    pub(super) fn take_vencrypt_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let version: VeNCryptVersion = take(rx, &self.config.limits)?;
        if version != VeNCryptVersion::V0_2 {
            let tell = Tell::Acknowledgement(VersionAcknowledgement::REFUSED.0);
            return Failure::incompatible(Incompatibility::VeNCryptVersion(version), tell);
        }
        tx.put_u8(VersionAcknowledgement::ACCEPTED.0);
        let subtypes = self.config.subtypes.iter().copied();
        let followed = subtypes.filter(|&wanted| self.config.can_follow_subtype(wanted));
        let subtypes = followed.take(usize::from(u8::MAX)).collect();
        put(&Subtypes { subtypes }, tx);
        self.state = State::Subtype;
        Ok(())
    }

    pub(super) fn take_subtype(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let SubtypeChoice { subtype } = take(rx, &self.config.limits)?;
        if !self.config.subtypes.contains(&subtype) || !self.config.can_follow_subtype(subtype) {
            let tell = Tell::Acknowledgement(SubtypeAcknowledgement::REFUSED.0);
            return Failure::misbehaved(Misbehaviour::SubtypeNotOffered(subtype), tell);
        }
        self.security.subtype = Some(subtype);
        self.notes.push(Note::Subtype);
        match subtype.tls() {
            Some(kind) => {
                tx.put_u8(SubtypeAcknowledgement::ACCEPTED.0);
                self.state = State::StartTls(kind);
            }
            None => self.begin(subtype.exchange(), tx),
        }
        Ok(())
    }
}

fn unsupported<T>(error: VersionError) -> Result<T, Stop<Failure>> {
    let tell = Tell::List("Unsupported protocol version");
    Failure::incompatible(Incompatibility::Version(error), tell)
}

/// A list of as many types as its count can tell of.
fn put_types(types: &[SecurityType], is_followed: impl Fn(SecurityType) -> bool, tx: &mut BytesMut) {
    let mut list = [0; 1 + u8::MAX as usize];
    let [first, slots @ ..] = &mut list;
    let followed = types.iter().copied().filter(|&wanted| is_followed(wanted));
    for (slot, security_type) in slots.iter_mut().zip(followed) {
        *slot = security_type.0;
        *first = first.wrapping_add(1);
    }
    let count = usize::from(*first);
    tx.extend_from_slice(list.get(..=count).unwrap_or_default());
}

//! The server's role.
//!
//! ```text
//! Version -> (Ask Offer) -> Choice -> the type's own negotiation -> exchange -> (Ask Admit) -> ClientInit -> (Ask Init) -> Done
//!    |            |           |                   |                    |             |
//! refused       refuse   not offered         not offered           too long       refuse
//! ```
//!
//! In 3.3 there is no choice: the first offered type that 3.3 has is taken, and with type None its word is sent when
//! the client is admitted.
//!
//! | type or subtype | questions in front of `Admit` |
//! |---|---|
//! | None, TLSNone, X509None | |
//! | VNC, TLSVnc, X509Vnc | `Challenge` |
//! | Plain, TLSPlain, X509Plain, Ident, TLSIdent, X509Ident | |
//! | SASL, TLSSASL, X509SASL | `SaslStart`, `SaslStep` as often as the mechanism wants |
//! | Tight (16), TLS (18), VeNCrypt (19) | those of what is chosen inside |
//!
//! What a client is told that cannot go on:
//!
//! | condition | answer |
//! |---|---|
//! | a line that is no version line | nothing, as all known servers |
//! | a version that is not taken, or 3.3 without a type for it | an empty list (3.3: a word 0) and a reason |
//! | a security type that was not offered | a failed SecurityResult, in 3.8 with a reason, as QEMU |
//! | a version of VeNCrypt other than 0.2 | 1 |
//! | a subtype that was not offered | 0 |
//! | a SASL exchange that fails before it is complete | nothing, as QEMU |
//! | credentials beyond their limits | a failed SecurityResult, in 3.8 with a reason |
//! | refused by the caller | the caller's [`Refusal`] |
//! | out of time | nothing |

mod config;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub use config::{Refusal, ServerConfig};

use super::state::{Events, Stop, put, take, take_block, take_secret};
use super::{
    Action, Event, Exchange, HandshakeError, Incompatibility, Machine, Misbehaviour, Misuse, Security, Stage, Tls,
    TlsKind, TlsRole, Wire,
};
use crate::error::DecodeError;
use crate::init::{ClientInit, ServerInit};
use crate::security::plain::{Credentials, Ident};
use crate::security::sasl::{Mechanism, Mechanisms, SaslData};
use crate::security::tight::{Capabilities, Capability, CapabilityChoice};
use crate::security::vencrypt::{
    SUBTYPE_ACCEPTED, SUBTYPE_REFUSED, SubtypeChoice, Subtypes, VERSION_ACCEPTED, VERSION_REFUSED, VeNCryptVersion,
};
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Reason, Secret, SecurityResult, SecurityType};
use crate::version::{ProtocolVersion, Version, VersionError};

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// What is this client [offered](ServerHandshake::offer)? Or [refuse](ServerHandshake::refuse) it. Only with
    /// [`ServerConfig::ask_offer`].
    Offer {
        /// The rules that the client wants.
        rules: Version,
    },
    /// 16 bytes from a cryptographically secure source, for [`ServerHandshake::challenge`].
    Challenge,
    /// Is the client let in? Answered with [`ServerHandshake::accept`] or [`ServerHandshake::refuse`].
    Admit(Claim),
    /// The first data of a SASL exchange. Answered with [`ServerHandshake::sasl_reply`],
    /// [`ServerHandshake::sasl_complete`] or [`ServerHandshake::refuse`].
    SaslStart {
        /// The mechanism, one of the offered.
        mechanism: Bytes,
        /// What the mechanism begins with, if anything.
        data: Option<Secret>,
    },
    /// Further data of it. Answered as [`SaslStart`](Self::SaslStart).
    SaslStep {
        /// What the mechanism says, if anything.
        data: Option<Secret>,
    },
    /// From here on both directions are inside the layer that the SASL mechanism agreed on. What is in `rx` is
    /// to be replaced by what is in it, then [`ServerHandshake::layered`] goes on.
    SaslLayer,
    /// What is this client shown? Answered with [`ServerHandshake::init`].
    Init(ClientInit),
}

/// What a client shows to be let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing, or what TLS showed.
    None,
    /// An answer to the challenge: for [`Password::verify`](crate::security::vnc::Password::verify).
    Vnc {
        /// The challenge that the caller gave.
        challenge: [u8; CHALLENGE_LEN],
        /// The client's response.
        response: [u8; CHALLENGE_LEN],
    },
    /// User and password. An empty password is a password: what it opens is for the caller to know.
    Plain(Credentials),
    /// A user name without any proof.
    Ident {
        /// The name.
        user: Bytes,
    },
    /// A SASL exchange that the caller called complete.
    Sasl,
}

/// A handshake that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOutcome {
    /// What the client answered the greeting with.
    pub client_version: ProtocolVersion,
    /// The rules in force.
    pub rules: Version,
    /// What was agreed on to secure the connection.
    pub security: Security,
    /// Whether a layer of the SASL mechanism is around everything that follows.
    pub sasl_layer: bool,
    /// What the client wants; without [`ServerConfig::init`] it has not said it yet.
    pub init: Option<ClientInit>,
}

/// The question that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Offer,
    Challenge,
    Admit,
    Sasl,
    Layer,
    Init(ClientInit),
}

#[derive(Debug)]
enum State {
    Start,
    Version,
    Choice,
    VeNCryptVersion,
    Subtype,
    /// The caller does the TLS handshake.
    Tls,
    Tunnel,
    TightChoice,
    /// The choice inside TLS.
    InnerChoice,
    Response([u8; CHALLENGE_LEN]),
    Credentials,
    Ident,
    Mechanism,
    SaslStart(Bytes),
    SaslStep,
    ClientInit,
    Ask(Question),
    Open(Open),
    Over(Option<ClientInit>),
    Done,
    Failed(Box<HandshakeError>),
}

/// What the client is told of an error.
enum Tell {
    Nothing,
    /// Instead of the list, or of the word of 3.3.
    List(&'static str),
    /// Instead of what the client waits for.
    Result(&'static str),
    /// One byte, in VeNCrypt's own negotiation.
    Acknowledgement(u8),
}

struct Failure {
    error: HandshakeError,
    tell: Tell,
}

impl Failure {
    fn misbehaved<T>(how: Misbehaviour, tell: Tell) -> Result<T, Stop<Self>> {
        let error = HandshakeError::PeerMisbehaved(how);
        Err(Stop::Failed(Self { error, tell }))
    }

    fn incompatible<T>(how: Incompatibility, tell: Tell) -> Result<T, Stop<Self>> {
        let error = HandshakeError::PeerIncompatible(how);
        Err(Stop::Failed(Self { error, tell }))
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self {
            error: error.into(),
            tell: Tell::Nothing,
        }
    }
}

type Next = Result<Option<Action<Question, ServerOutcome>>, Stop<Failure>>;

const NOT_OFFERED: Tell = Tell::Result("That security type was not offered");
const BAD_CREDENTIALS: Tell = Tell::Result("Authentication failed");

/// A handshake as seen by the server.
#[derive(Debug)]
pub struct ServerHandshake {
    config: Arc<ServerConfig>,
    deadline: Duration,
    state: State,
    /// What the client sent.
    client_version: ProtocolVersion,
    /// The rules in force; those of the greeting until the client has answered it.
    rules: Version,
    /// The answer to [`Question::Offer`].
    offer: Option<Vec<SecurityType>>,
    security: Security,
    sasl_layer: bool,
    events: Events,
}

impl ServerHandshake {
    /// For a connection that was accepted at `now`. Give an [`Arc`], or a configuration for this connection alone.
    #[must_use]
    pub fn new(now: Duration, config: impl Into<Arc<ServerConfig>>) -> Self {
        let config = config.into();
        Self {
            deadline: now.saturating_add(config.limits.handshake_timeout),
            state: State::Start,
            client_version: config.version.number(),
            rules: config.version,
            offer: None,
            security: Security::of(SecurityType::INVALID),
            sasl_layer: false,
            events: Events::default(),
            config,
        }
    }

    /// Where the handshake is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Start | State::Version => Stage::Version,
            State::Choice | State::InnerChoice => Stage::SecurityChoice,
            State::VeNCryptVersion | State::Subtype => Stage::VeNCrypt,
            State::Tls => Stage::Tls,
            State::Tunnel | State::TightChoice => Stage::Tight,
            State::Response(_) => Stage::Vnc,
            State::Credentials | State::Ident => Stage::Credentials,
            State::Mechanism | State::SaslStart(_) | State::SaslStep => Stage::Sasl,
            State::ClientInit => Stage::ClientInit,
            State::Ask(_) | State::Open(_) => Stage::Answer,
            State::Over(_) | State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    /// The next event that was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

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
    fn is_word(&self) -> bool {
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

    /// The error ends the handshake.
    fn fail(&mut self, wire: &mut Wire, failure: Failure) -> HandshakeError {
        let Failure { error, tell } = failure;
        let told = |text| Refusal::Failed(Reason::from_static(text));
        let refusal = match tell {
            Tell::Nothing => None,
            Tell::List(text) => {
                let refusal = told(text);
                put_refused_list(self.rules, &refusal, &mut wire.tx);
                Some(refusal)
            }
            Tell::Result(text) => {
                let refusal = told(text);
                put_refused_result(self.rules, &refusal, &mut wire.tx);
                Some(refusal)
            }
            Tell::Acknowledgement(byte) => {
                wire.tx.put_u8(byte);
                Some(Refusal::Close)
            }
        };
        if let Some(refusal) = refusal {
            self.events.push(Event::Refused(refusal));
        }
        self.state = State::Failed(Box::new(error.clone()));
        error
    }

    /// Offers the types, or decides on one in 3.3.
    fn put_offer(&mut self, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let types = self.offer.as_ref().unwrap_or(&self.config.types);
        let mut followed = types.iter().copied().filter(|&wanted| self.config.can_follow(wanted));
        if self.rules != Version::V3_3 {
            put_types(followed, tx);
            self.state = State::Choice;
            return Ok(());
        }
        let Some(security_type) = followed.find(|wanted| matches!(*wanted, SecurityType::NONE | SecurityType::VNC))
        else {
            let tell = Tell::List("No security type for this version");
            return Failure::incompatible(Incompatibility::NothingFor33, tell);
        };
        self.chose(Security::of(security_type));
        if !self.is_word() {
            tx.put_u32(security_type.0.into());
        }
        self.begin(Exchange::of(security_type), tx);
        Ok(())
    }

    fn chose(&mut self, security: Security) {
        self.security = security;
        self.events.push(Event::Chosen(security));
    }

    /// Follows a type that was chosen.
    fn follow(&mut self, security_type: SecurityType, tx: &mut BytesMut) -> Next {
        match security_type {
            SecurityType::VENCRYPT => {
                put(&VeNCryptVersion::V0_2, tx);
                self.state = State::VeNCryptVersion;
            }
            SecurityType::TLS => return Ok(Some(self.start_tls(TlsKind::Anonymous))),
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
        Ok(None)
    }

    fn start_tls(&mut self, kind: TlsKind) -> Action<Question, ServerOutcome> {
        self.security.tls = Some(kind);
        self.state = State::Tls;
        Action::StartTls(Tls {
            role: TlsRole::Server,
            kind,
            server_name: None,
        })
    }

    fn put_tight_types(&mut self, tx: &mut BytesMut) {
        let types = self.config.tight_types.iter().copied();
        let followed = types.filter(|&wanted| self.config.can_follow_tight(wanted));
        let list = followed.filter_map(Capability::for_type).collect();
        put(&Capabilities { list }, tx);
        self.state = State::TightChoice;
    }

    /// Begins the exchange.
    fn begin(&mut self, exchange: Option<Exchange>, tx: &mut BytesMut) {
        self.state = match exchange {
            Some(Exchange::Vnc) => State::Ask(Question::Challenge),
            Some(Exchange::Plain) => State::Credentials,
            Some(Exchange::Ident) => State::Ident,
            Some(Exchange::Sasl) => {
                let list = self.config.sasl_mechanisms.clone();
                put(&Mechanisms { list }, tx);
                State::Mechanism
            }
            // INVARIANT: what is offered has an exchange, so this is type None. Whatever it is, nobody is let in
            // whom the caller does not accept.
            Some(Exchange::None) | None => State::Ask(Question::Admit(Claim::None)),
        };
    }

    fn advance(&mut self, wire: &mut Wire) -> Next {
        let Wire { rx, tx } = wire;
        let limits = &self.config.limits;
        match &mut self.state {
            State::Start => {
                tx.extend_from_slice(&self.config.version.to_bytes());
                self.state = State::Version;
            }
            State::Version => self.take_version(rx, tx)?,
            State::Choice => return self.take_choice(rx, tx),
            State::InnerChoice => return self.take_inner_choice(rx, tx),
            State::VeNCryptVersion => self.take_vencrypt_version(rx, tx)?,
            State::Subtype => return self.take_subtype(rx, tx),
            State::Tls => match self.security.subtype {
                Some(subtype) => self.begin(subtype.exchange(), tx),
                None => {
                    let types = self.config.tls_types.iter().copied();
                    put_types(types.filter(|&wanted| self.config.can_follow_inside(wanted)), tx);
                    self.state = State::InnerChoice;
                }
            },
            State::Tunnel => {
                let CapabilityChoice { code } = take(rx, limits)?;
                if code != Capability::NO_TUNNEL.code {
                    return Failure::misbehaved(Misbehaviour::CapabilityNotOffered(code), NOT_OFFERED);
                }
                self.put_tight_types(tx);
            }
            State::TightChoice => return self.take_tight_choice(rx, tx),
            State::Response(challenge) => {
                let challenge = *challenge;
                let response = take_block(rx)?;
                self.state = State::Ask(Question::Admit(Claim::Vnc { challenge, response }));
            }
            State::Credentials => {
                let claim = Claim::Plain(take_secret(rx, limits).map_err(refused_credentials)?);
                self.state = State::Ask(Question::Admit(claim));
            }
            State::Ident => {
                let Ident { user } = take(rx, limits).map_err(refused_credentials)?;
                self.state = State::Ask(Question::Admit(Claim::Ident { user }));
            }
            State::Mechanism => {
                let Mechanism { name } = take(rx, limits)?;
                let list = self.config.sasl_mechanisms.clone();
                if !(Mechanisms { list }).offers(&name) {
                    return Failure::misbehaved(Misbehaviour::MechanismNotOffered, Tell::Nothing);
                }
                self.state = State::SaslStart(name);
            }
            State::SaslStart(mechanism) => {
                let SaslData { data } = take_secret(rx, limits)?;
                let mechanism = core::mem::take(mechanism);
                self.state = State::Ask(Question::SaslStart { mechanism, data });
            }
            State::SaslStep => {
                let SaslData { data } = take_secret(rx, limits)?;
                self.state = State::Ask(Question::SaslStep { data });
            }
            State::ClientInit => {
                let [shared] = take_block(rx)?;
                self.state = State::Ask(Question::Init(ClientInit { shared }));
            }
            State::Ask(_) => return Ok(self.asked().map(Action::Ask)),
            State::Open(_) => return Ok(Some(Action::Waiting)),
            State::Over(init) => {
                let outcome = ServerOutcome {
                    client_version: self.client_version,
                    rules: self.rules,
                    security: self.security,
                    sasl_layer: self.sasl_layer,
                    init: *init,
                };
                self.state = State::Done;
                return Ok(Some(Action::Done(outcome)));
            }
            State::Done => {
                let error = HandshakeError::Misuse(Misuse::Ended);
                return Err(Stop::Failed(Failure {
                    error,
                    tell: Tell::Nothing,
                }));
            }
            State::Failed(error) => {
                let error = HandshakeError::clone(error);
                return Err(Stop::Failed(Failure {
                    error,
                    tell: Tell::Nothing,
                }));
            }
        }
        Ok(None)
    }

    /// Opens the question.
    fn asked(&mut self) -> Option<Question> {
        let State::Ask(question) = core::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        let open = match &question {
            Question::Offer { .. } => Open::Offer,
            Question::Challenge => Open::Challenge,
            Question::Admit(_) => Open::Admit,
            Question::SaslStart { .. } | Question::SaslStep { .. } => Open::Sasl,
            Question::SaslLayer => Open::Layer,
            Question::Init(client) => Open::Init(*client),
        };
        self.state = State::Open(open);
        Some(question)
    }

    fn take_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let Some(line) = rx.first_chunk::<{ ProtocolVersion::LEN }>() else {
            return Err(Stop::Receive(ProtocolVersion::missing(rx)?));
        };
        let sent = ProtocolVersion::from_bytes(line)?;
        rx.advance(ProtocolVersion::LEN);
        self.client_version = sent;
        match sent.as_answer(self.config.version, self.config.policy) {
            Ok(rules) => self.rules = rules,
            Err(error) => return unsupported(error),
        }
        let rules = self.rules;
        self.events.push(Event::Version { sent, rules });
        if self.config.ask_offer {
            self.state = State::Ask(Question::Offer { rules });
            return Ok(());
        }
        self.put_offer(tx)
    }

    fn take_choice(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Next {
        let [number] = take_block(rx)?;
        let chosen = SecurityType(number);
        let types = self.offer.as_ref().unwrap_or(&self.config.types);
        if !types.contains(&chosen) || !self.config.can_follow(chosen) {
            return Failure::misbehaved(Misbehaviour::TypeNotOffered(chosen), NOT_OFFERED);
        }
        self.chose(Security::of(chosen));
        self.follow(chosen, tx)
    }

    fn take_inner_choice(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Next {
        let [number] = take_block(rx)?;
        let chosen = SecurityType(number);
        if !self.config.tls_types.contains(&chosen) || !self.config.can_follow_inside(chosen) {
            return Failure::misbehaved(Misbehaviour::TypeNotOffered(chosen), NOT_OFFERED);
        }
        self.chose(Security {
            inner: Some(chosen),
            ..self.security
        });
        self.follow(chosen, tx)
    }

    fn take_tight_choice(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Next {
        let CapabilityChoice { code } = take(rx, &self.config.limits)?;
        let types = self.config.tight_types.iter().copied();
        let mut followed = types.filter(|&wanted| self.config.can_follow_tight(wanted));
        let is_chosen = |wanted: &SecurityType| Capability::for_type(*wanted).is_some_and(|known| known.code == code);
        let Some(chosen) = followed.find(is_chosen) else {
            return Failure::misbehaved(Misbehaviour::CapabilityNotOffered(code), NOT_OFFERED);
        };
        self.chose(Security {
            inner: Some(chosen),
            ..self.security
        });
        self.follow(chosen, tx)
    }

    fn take_vencrypt_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<Failure>> {
        let version: VeNCryptVersion = take(rx, &self.config.limits)?;
        if version != VeNCryptVersion::V0_2 {
            let tell = Tell::Acknowledgement(VERSION_REFUSED);
            return Failure::incompatible(Incompatibility::VeNCryptVersion(version), tell);
        }
        tx.put_u8(VERSION_ACCEPTED);
        let subtypes = self.config.subtypes.iter().copied();
        let followed = subtypes.filter(|&wanted| self.config.can_follow_subtype(wanted));
        let subtypes = followed.take(usize::from(u8::MAX)).collect();
        put(&Subtypes { subtypes }, tx);
        self.state = State::Subtype;
        Ok(())
    }

    fn take_subtype(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Next {
        let SubtypeChoice { subtype } = take(rx, &self.config.limits)?;
        if !self.config.subtypes.contains(&subtype) || !self.config.can_follow_subtype(subtype) {
            let tell = Tell::Acknowledgement(SUBTYPE_REFUSED);
            return Failure::misbehaved(Misbehaviour::SubtypeNotOffered(subtype), tell);
        }
        self.chose(Security {
            subtype: Some(subtype),
            ..self.security
        });
        match subtype.tls() {
            Some(kind) => {
                tx.put_u8(SUBTYPE_ACCEPTED);
                Ok(Some(self.start_tls(kind)))
            }
            None => {
                self.begin(subtype.exchange(), tx);
                Ok(None)
            }
        }
    }
}

fn unsupported<T>(error: VersionError) -> Result<T, Stop<Failure>> {
    let tell = Tell::List("Unsupported protocol version");
    Failure::incompatible(Incompatibility::Version(error), tell)
}

/// Credentials that are too long are answered as wrong ones.
fn refused_credentials(stop: Stop<Failure>) -> Stop<Failure> {
    match stop {
        Stop::Failed(Failure { error, .. }) => Stop::Failed(Failure {
            error,
            tell: BAD_CREDENTIALS,
        }),
        missing @ Stop::Receive(_) => missing,
    }
}

/// A list of as many types as its count can tell of.
fn put_types(types: impl Iterator<Item = SecurityType>, tx: &mut BytesMut) {
    let at = tx.len();
    tx.put_u8(0);
    let mut count = 0_u8;
    for SecurityType(number) in types.take(usize::from(u8::MAX)) {
        tx.put_u8(number);
        count = count.saturating_add(1);
    }
    if let Some(first) = tx.get_mut(at) {
        *first = count;
    }
}

/// Refuses in place of the list of types, or of the word of 3.3.
fn put_refused_list(rules: Version, refusal: &Refusal, tx: &mut BytesMut) {
    let (Refusal::Failed(reason) | Refusal::TooManyAttempts(reason)) = refusal else {
        return;
    };
    match rules {
        Version::V3_3 => tx.put_u32(0),
        Version::V3_7 | Version::V3_8 => tx.put_u8(0),
    }
    put(reason, tx);
}

/// Refuses in a SecurityResult.
fn put_refused_result(rules: Version, refusal: &Refusal, tx: &mut BytesMut) {
    let (result, reason) = match refusal {
        Refusal::Close => return,
        Refusal::Failed(reason) => (SecurityResult::FAILED, reason),
        Refusal::TooManyAttempts(reason) => (SecurityResult::TOO_MANY_ATTEMPTS, reason),
    };
    put(&result, tx);
    if rules == Version::V3_8 {
        put(reason, tx);
    }
}

impl Machine for ServerHandshake {
    type Question = Question;
    type Outcome = ServerOutcome;

    fn step(&mut self, now: Duration, wire: &mut Wire) -> Result<Action<Question, ServerOutcome>, HandshakeError> {
        if self.deadline <= now && !matches!(self.state, State::Over(_) | State::Done | State::Failed(_)) {
            let error = HandshakeError::TimedOut(self.stage());
            return Err(self.fail(
                wire,
                Failure {
                    error,
                    tell: Tell::Nothing,
                },
            ));
        }
        loop {
            match self.advance(wire) {
                Ok(None) => {}
                Ok(Some(action)) => return Ok(action),
                Err(Stop::Receive(at_least)) => return Ok(Action::Receive { at_least }),
                Err(Stop::Failed(Failure {
                    error: misuse @ HandshakeError::Misuse(_),
                    ..
                })) => return Err(misuse),
                Err(Stop::Failed(failure)) => return Err(self.fail(wire, failure)),
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn eof(&mut self) -> Result<ServerOutcome, HandshakeError> {
        let error = match &self.state {
            State::Failed(error) => return Err(HandshakeError::clone(error)),
            State::Done => return Err(HandshakeError::Misuse(Misuse::Ended)),
            _ => HandshakeError::Closed(self.stage()),
        };
        self.state = State::Failed(Box::new(error.clone()));
        Err(error)
    }

    fn max_input(&self) -> usize {
        let limits = &self.config.limits;
        let credentials = limits.user.saturating_add(limits.password).saturating_add(8);
        let largest = credentials
            .max(limits.sasl_data.saturating_add(4))
            .max(limits.sasl_mechanism.saturating_add(4));
        usize::try_from(largest).unwrap_or(usize::MAX)
    }
}

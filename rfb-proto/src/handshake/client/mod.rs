//! The client's role.
//!
//! ```text
//! Version -> Types -> the type's own negotiation -> exchange -> Result -> ServerInit -> Done
//!    |         |                |                              |
//!    |      refused, or nothing in common                   refused
//! unsupported, or a repeater: told where to go, and again
//! ```
//!
//! In 3.3 the server decides: what it says is taken if it is in [`ClientConfig::types`].
//!
//! | type or subtype | questions |
//! |---|---|
//! | None, TLSNone, X509None | |
//! | VNC, TLSVnc, X509Vnc | `Vnc` |
//! | Plain, TLSPlain, X509Plain | `Plain` |
//! | Ident, TLSIdent, X509Ident | `Ident` |
//! | SASL, TLSSASL, X509SASL | `SaslStart`, `SaslStep` as often as the mechanism wants, `SaslLayer` |
//! | Tight (16), TLS (18), VeNCrypt (19) | those of what is chosen inside |
//!
//! A server that hangs up has refused, where some servers refuse so:
//!
//! | it hangs up while this is due | error |
//! |---|---|
//! | a reason | the refusal, with [`Told::Nothing`] |
//! | the SecurityResult after anything but None, or an answer of SASL | [`Rejected::Authentication`] |
//! | anything else | [`HandshakeError::Closed`] |

mod config;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub use config::ClientConfig;

use super::state::{Events, Stop, need, put, take, take_block, take_secret};
use super::{
    Action, Event, Exchange, HandshakeError, Incompatibility, Machine, Misbehaviour, Misuse, Rejected, Rejection,
    Security, Stage, Tls, TlsKind, TlsRole, Told, Wire,
};
use crate::init::ServerInit;
use crate::security::plain::{Credentials, Ident};
use crate::security::sasl::{Mechanism, Mechanisms, SaslData};
use crate::security::tight::{Capabilities, Capability, CapabilityChoice, InteractionCapabilities};
use crate::security::vencrypt::{SUBTYPE_ACCEPTED, SubtypeChoice, Subtypes, VERSION_ACCEPTED, VeNCryptVersion};
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Reason, Secret, SecurityResult, SecurityType, SecurityTypeWord, SecurityTypes};
use crate::version::{Greeting, Policy, ProtocolVersion, Version, VersionError};

/// Bytes that a repeater is sent.
const REPEATER_LEN: usize = 250;

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// Which of these? Answered with [`ClientHandshake::choose`]. Only with [`ClientConfig::ask_choice`]. In 3.3 it
    /// is one, and the answer can only be yes.
    Choose(Vec<SecurityType>),
    /// The response to a challenge: that of [`Password::respond`](crate::security::vnc::Password::respond), for
    /// [`ClientHandshake::respond`].
    Vnc {
        /// The challenge.
        challenge: [u8; CHALLENGE_LEN],
    },
    /// User and password, for [`ClientHandshake::plain`].
    Plain,
    /// A user, for [`ClientHandshake::ident`].
    Ident,
    /// Which of these SASL mechanisms? Answered with [`ClientHandshake::sasl_start`].
    SaslStart {
        /// Those that the server offers.
        mechanisms: Mechanisms,
    },
    /// What the server's mechanism says is for the caller's, and that is so also when it is the last. Answered with
    /// [`ClientHandshake::sasl_step`] if there is something to say; with [`ClientHandshake::sasl_end`] if it is
    /// complete.
    SaslStep {
        /// The data, if any.
        data: Option<Secret>,
        /// Whether the server's mechanism has come to its end.
        complete: bool,
    },
    /// From here on both directions are inside the layer that the SASL mechanism agreed on. What is in `rx` is
    /// to be replaced by what is in it, then [`ClientHandshake::layered`] goes on.
    SaslLayer,
}

/// A handshake that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOutcome {
    /// What the server greeted with.
    pub server_version: ProtocolVersion,
    /// The rules in force.
    pub rules: Version,
    /// What was agreed on to secure the connection.
    pub security: Security,
    /// Whether a layer of the SASL mechanism is around everything that follows.
    pub sasl_layer: bool,
    /// What the server shows; without [`ClientConfig::init`] it has not shown it yet.
    pub init: Option<ServerInit>,
    /// What stands behind the ServerInit in Tight.
    pub interaction: Option<InteractionCapabilities>,
}

/// The question that is open.
#[derive(Debug, PartialEq, Eq)]
enum Open {
    Choice(Vec<SecurityType>),
    Vnc,
    Plain,
    Ident,
    SaslStart(Mechanisms),
    SaslStep { complete: bool },
    Layer,
}

#[derive(Debug)]
enum State {
    Version,
    Types,
    VeNCryptVersion,
    /// The server's look at our version of VeNCrypt.
    VersionAcknowledgement,
    Subtypes,
    /// The server's look at our subtype, which has this TLS.
    SubtypeAcknowledgement(TlsKind),
    StartTls(TlsKind),
    /// The caller does the TLS handshake.
    Tls,
    Tunnels,
    TightTypes,
    /// The list inside TLS.
    InnerTypes,
    Challenge,
    Mechanisms,
    Sasl,
    Result,
    Reason(Rejected),
    Init,
    ServerInit,
    Interaction(ServerInit),
    Ask(Question),
    Open(Open),
    Over(Option<(ServerInit, Option<InteractionCapabilities>)>),
    Done,
    Failed(Box<HandshakeError>),
}

type Next = Result<Option<Action<Question, ClientOutcome>>, Stop<HandshakeError>>;

/// A handshake as seen by the client.
#[derive(Debug)]
pub struct ClientHandshake {
    config: ClientConfig,
    deadline: Duration,
    state: State,
    /// What the server sent.
    server_version: ProtocolVersion,
    rules: Version,
    /// A repeater was told where to go.
    repeated: bool,
    security: Security,
    sasl_layer: bool,
    events: Events,
}

fn misbehaved<T>(how: Misbehaviour) -> Result<T, Stop<HandshakeError>> {
    Err(Stop::Failed(HandshakeError::PeerMisbehaved(how)))
}

fn incompatible<T>(how: Incompatibility) -> Result<T, Stop<HandshakeError>> {
    Err(Stop::Failed(HandshakeError::PeerIncompatible(how)))
}

fn rejection(of: Rejected, reason: Told) -> HandshakeError {
    HandshakeError::Rejected(Rejection { of, reason })
}

impl ClientHandshake {
    /// For a connection that stands at `now`.
    #[must_use]
    pub fn new(now: Duration, config: ClientConfig) -> Self {
        Self {
            deadline: now.saturating_add(config.limits.handshake_timeout),
            state: State::Version,
            server_version: config.version.number(),
            rules: config.version,
            repeated: false,
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
            State::Version => Stage::Version,
            State::Types | State::InnerTypes => Stage::SecurityTypes,
            State::VeNCryptVersion
            | State::VersionAcknowledgement
            | State::Subtypes
            | State::SubtypeAcknowledgement(_) => Stage::VeNCrypt,
            State::StartTls(_) | State::Tls => Stage::Tls,
            State::Tunnels | State::TightTypes => Stage::Tight,
            State::Challenge => Stage::Vnc,
            State::Mechanisms | State::Sasl => Stage::Sasl,
            State::Result => Stage::SecurityResult,
            State::Reason(_) => Stage::Reason,
            State::Init | State::ServerInit | State::Interaction(_) => Stage::ServerInit,
            State::Ask(_) | State::Open(_) => Stage::Answer,
            State::Over(_) | State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    /// The next event that was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Answers [`Question::Choose`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]; [`Misuse::NotOffered`] also for a type that cannot be followed here.
    pub fn choose(&mut self, wire: &mut Wire, chosen: SecurityType) -> Result<(), Misuse> {
        let State::Open(Open::Choice(offered)) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        if !offered.contains(&chosen) || !ClientConfig::can_follow(chosen) {
            return Err(Misuse::NotOffered);
        }
        self.put_choice(chosen, &mut wire.tx);
        Ok(())
    }

    /// Answers [`Question::Vnc`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn respond(&mut self, wire: &mut Wire, response: [u8; CHALLENGE_LEN]) -> Result<(), Misuse> {
        self.open(&Open::Vnc)?;
        wire.tx.extend_from_slice(&response);
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`Question::Plain`], with UTF-8.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn plain(&mut self, wire: &mut Wire, user: &[u8], password: &[u8]) -> Result<(), Misuse> {
        self.open(&Open::Plain)?;
        let credentials = Credentials {
            user: Bytes::copy_from_slice(user),
            password: Secret::new(password),
        };
        if !put(&credentials, &mut wire.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`Question::Ident`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::TooLong`].
    pub fn ident(&mut self, wire: &mut Wire, user: &[u8]) -> Result<(), Misuse> {
        self.open(&Open::Ident)?;
        let user = Bytes::copy_from_slice(user);
        if !put(&Ident { user }, &mut wire.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Result;
        Ok(())
    }

    /// Answers [`Question::SaslStart`], with what the mechanism begins with, if anything.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], [`Misuse::NotOffered`], or [`Misuse::TooLong`].
    pub fn sasl_start(&mut self, wire: &mut Wire, mechanism: &[u8], data: Option<&[u8]>) -> Result<(), Misuse> {
        let State::Open(Open::SaslStart(offered)) = &self.state else {
            return Err(Misuse::NotAsked);
        };
        if !offered.offers(mechanism) {
            return Err(Misuse::NotOffered);
        }
        let before = wire.tx.len();
        let name = Bytes::copy_from_slice(mechanism);
        let data = data.map(Secret::new);
        if !put(&Mechanism { name }, &mut wire.tx) || !put(&SaslData { data }, &mut wire.tx) {
            wire.tx.truncate(before);
            return Err(Misuse::TooLong);
        }
        self.state = State::Sasl;
        Ok(())
    }

    /// Answers [`Question::SaslStep`]: this is said to it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], also when the server's mechanism has come to its end, or [`Misuse::TooLong`].
    pub fn sasl_step(&mut self, wire: &mut Wire, data: Option<&[u8]>) -> Result<(), Misuse> {
        self.open(&Open::SaslStep { complete: false })?;
        let data = data.map(Secret::new);
        if !put(&SaslData { data }, &mut wire.tx) {
            return Err(Misuse::TooLong);
        }
        self.state = State::Sasl;
        Ok(())
    }

    /// Answers [`Question::SaslStep`]: the mechanism is satisfied with the server. `layer`: it agreed on a layer, see
    /// [`Question::SaslLayer`].
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

    /// Answers [`Question::SaslLayer`]: `rx` holds what is inside the layer, and what is put into `tx` is to be
    /// wrapped.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn layered(&mut self) -> Result<(), Misuse> {
        self.open(&Open::Layer)?;
        self.state = State::Init;
        Ok(())
    }

    fn open(&self, expected: &Open) -> Result<(), Misuse> {
        match &self.state {
            State::Open(open) if open == expected => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }

    fn advance(&mut self, wire: &mut Wire) -> Next {
        let Wire { rx, tx } = wire;
        let limits = &self.config.limits;
        match &mut self.state {
            State::Version => self.take_version(rx, tx)?,
            State::Types => self.take_types(rx, tx)?,
            State::InnerTypes => self.take_inner_types(rx, tx)?,
            State::VeNCryptVersion => {
                let version: VeNCryptVersion = take(rx, limits)?;
                // A higher one speaks 0.2 as well. 0.1 is not spoken here, and is told so.
                if (version.major, version.minor) < (0, 2) {
                    put(&VeNCryptVersion::NONE, tx);
                    return incompatible(Incompatibility::VeNCryptVersion(version));
                }
                put(&VeNCryptVersion::V0_2, tx);
                self.state = State::VersionAcknowledgement;
            }
            State::VersionAcknowledgement => {
                if take_block(rx)? != [VERSION_ACCEPTED] {
                    return Err(Stop::Failed(rejection(Rejected::VeNCryptVersion, Told::Nothing)));
                }
                self.state = State::Subtypes;
            }
            State::Subtypes => self.take_subtypes(rx, tx)?,
            State::SubtypeAcknowledgement(kind) => {
                let kind = *kind;
                if take_block(rx)? != [SUBTYPE_ACCEPTED] {
                    return Err(Stop::Failed(rejection(Rejected::Subtype, Told::Nothing)));
                }
                self.state = State::StartTls(kind);
            }
            State::StartTls(kind) => {
                let kind = *kind;
                if !rx.is_empty() {
                    return misbehaved(Misbehaviour::BytesBeforeTls);
                }
                self.security.tls = Some(kind);
                self.state = State::Tls;
                return Ok(Some(Action::StartTls(Tls {
                    role: TlsRole::Client,
                    kind,
                    server_name: self.config.server_name.clone(),
                })));
            }
            State::Tls => match self.security.subtype {
                Some(subtype) => self.begin(subtype.exchange()),
                None => self.state = State::InnerTypes,
            },
            State::Tunnels => self.take_tunnels(rx, tx)?,
            State::TightTypes => self.take_tight_types(rx, tx)?,
            State::Challenge => {
                let challenge = take_block(rx)?;
                self.state = State::Ask(Question::Vnc { challenge });
            }
            State::Mechanisms => {
                let mechanisms = take(rx, limits)?;
                self.state = State::Ask(Question::SaslStart { mechanisms });
            }
            State::Sasl => self.take_sasl(rx)?,
            State::Result => self.take_result(rx)?,
            State::Reason(of) => {
                let of = *of;
                return Err(Stop::Failed(rejection(of, self.take_reason(rx)?)));
            }
            State::Init => {
                put(&self.config.client_init, tx);
                self.state = State::ServerInit;
            }
            State::ServerInit => {
                let init = take(rx, limits)?;
                self.state = if self.security.security_type == SecurityType::TIGHT {
                    State::Interaction(init)
                } else {
                    State::Over(Some((init, None)))
                };
            }
            State::Interaction(init) => {
                let interaction = take(rx, limits)?;
                let init = init.clone();
                self.state = State::Over(Some((init, Some(interaction))));
            }
            State::Ask(_) => return Ok(self.asked().map(Action::Ask)),
            State::Open(_) => return Ok(Some(Action::Waiting)),
            State::Over(shown) => {
                let (init, interaction) = shown.take().unzip();
                let outcome = ClientOutcome {
                    server_version: self.server_version,
                    rules: self.rules,
                    security: self.security,
                    sasl_layer: self.sasl_layer,
                    init,
                    interaction: interaction.flatten(),
                };
                self.state = State::Done;
                return Ok(Some(Action::Done(outcome)));
            }
            State::Done => return Err(Stop::Failed(HandshakeError::Misuse(Misuse::Ended))),
            State::Failed(error) => return Err(Stop::Failed(HandshakeError::clone(error))),
        }
        Ok(None)
    }

    /// Opens the question.
    fn asked(&mut self) -> Option<Question> {
        let State::Ask(question) = core::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        let open = match &question {
            Question::Choose(offered) => Open::Choice(offered.clone()),
            Question::Vnc { .. } => Open::Vnc,
            Question::Plain => Open::Plain,
            Question::Ident => Open::Ident,
            Question::SaslStart { mechanisms } => Open::SaslStart(mechanisms.clone()),
            Question::SaslStep { complete, .. } => Open::SaslStep { complete: *complete },
            Question::SaslLayer => Open::Layer,
        };
        self.state = State::Open(open);
        Some(question)
    }

    fn take_version(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let Some(line) = rx.first_chunk::<{ ProtocolVersion::LEN }>() else {
            return Err(Stop::Receive(ProtocolVersion::missing(rx)?));
        };
        let sent = ProtocolVersion::from_bytes(line)?;
        rx.advance(ProtocolVersion::LEN);
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

    fn take_types(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
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
            self.state = State::Ask(Question::Choose(offered));
            return Ok(());
        }
        let mut wanted = self.config.types.iter().copied();
        match wanted.find(|&wanted| offered.contains(&wanted) && ClientConfig::can_follow(wanted)) {
            Some(chosen) => self.put_choice(chosen, tx),
            None => return incompatible(Incompatibility::Types(offered)),
        }
        Ok(())
    }

    fn put_choice(&mut self, chosen: SecurityType, tx: &mut BytesMut) {
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
    fn begin(&mut self, exchange: Option<Exchange>) {
        self.state = match exchange {
            Some(Exchange::Vnc) => State::Challenge,
            Some(Exchange::Plain) => State::Ask(Question::Plain),
            Some(Exchange::Ident) => State::Ask(Question::Ident),
            Some(Exchange::Sasl) => State::Mechanisms,
            // INVARIANT: only what has an exchange is followed, so this is type None.
            Some(Exchange::None) | None if self.security.has_result(self.rules) => State::Result,
            Some(Exchange::None) | None => return self.authenticated(),
        };
    }

    fn take_inner_types(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let SecurityTypes { types: offered } = take(rx, &self.config.limits)?;
        if offered.is_empty() {
            self.state = State::Reason(Rejected::Connection);
            return Ok(());
        }
        self.events.push(Event::Types(offered.clone()));
        let mut wanted = self.config.tls_types.iter().copied();
        match wanted.find(|&wanted| offered.contains(&wanted) && Exchange::of(wanted).is_some()) {
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

    fn take_subtypes(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
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

    fn take_tunnels(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
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

    fn take_tight_types(&mut self, rx: &mut BytesMut, tx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
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

    fn take_sasl(&mut self, rx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
        let limits = &self.config.limits;
        let missing = SaslData::missing(rx, limits)?;
        // The byte behind the data belongs to it, so nothing is taken without it.
        let length = rx.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
        let whole = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(5);
        need(
            rx,
            if 0 < missing {
                rx.len().saturating_add(missing)
            } else {
                whole
            },
        )?;
        let SaslData { data } = take_secret(rx, limits)?;
        let [complete] = take_block(rx)?;
        let complete = complete != 0;
        self.state = State::Ask(Question::SaslStep { data, complete });
        Ok(())
    }

    fn take_result(&mut self, rx: &mut BytesMut) -> Result<(), Stop<HandshakeError>> {
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
            return Err(Stop::Failed(rejection(of, Told::Nothing)));
        }
        self.state = State::Reason(of);
        Ok(())
    }

    fn authenticated(&mut self) {
        self.events.push(Event::Authenticated);
        self.state = match (self.config.init, self.sasl_layer) {
            (false, _) => State::Over(None),
            (true, true) => State::Ask(Question::SaslLayer),
            (true, false) => State::Init,
        };
    }

    fn take_reason(&self, rx: &mut BytesMut) -> Result<Told, Stop<HandshakeError>> {
        if let Some(length) = rx.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length);
            if self.config.limits.reason < length {
                return Ok(Told::TooLong(length));
            }
        }
        let reason: Reason = take(rx, &self.config.limits)?;
        Ok(Told::Reason(reason))
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

impl Machine for ClientHandshake {
    type Question = Question;
    type Outcome = ClientOutcome;

    fn step(&mut self, now: Duration, wire: &mut Wire) -> Result<Action<Question, ClientOutcome>, HandshakeError> {
        let over = matches!(self.state, State::Over(_) | State::Done | State::Failed(_));
        let mut next = if !over && self.deadline <= now {
            Err(Stop::Failed(HandshakeError::TimedOut(self.stage())))
        } else {
            self.advance(wire)
        };
        loop {
            match next {
                Ok(None) => next = self.advance(wire),
                Ok(Some(action)) => return Ok(action),
                Err(Stop::Receive(at_least)) => return Ok(Action::Receive { at_least }),
                Err(Stop::Failed(misuse @ HandshakeError::Misuse(_))) => return Err(misuse),
                Err(Stop::Failed(error)) => {
                    self.state = State::Failed(Box::new(error.clone()));
                    return Err(error);
                }
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn eof(&mut self) -> Result<ClientOutcome, HandshakeError> {
        let is_none = self.security.exchange() == Some(Exchange::None);
        let error = match &self.state {
            State::Failed(error) => return Err(HandshakeError::clone(error)),
            State::Done => return Err(HandshakeError::Misuse(Misuse::Ended)),
            State::Reason(of) => rejection(*of, Told::Nothing),
            State::Result if !is_none => rejection(Rejected::Authentication, Told::Nothing),
            State::Sasl => rejection(Rejected::Authentication, Told::Nothing),
            _ => HandshakeError::Closed(self.stage()),
        };
        self.state = State::Failed(Box::new(error.clone()));
        Err(error)
    }

    fn max_input(&self) -> usize {
        let limits = &self.config.limits;
        let capabilities = limits.tight_capabilities.saturating_mul(3 * 16).saturating_add(8);
        let largest = [
            1 + 255 * 4,
            limits.reason.saturating_add(4),
            limits.name.saturating_add(24),
            limits.sasl_mechanisms.saturating_add(4),
            limits.sasl_data.saturating_add(5),
            capabilities,
        ];
        usize::try_from(largest.into_iter().fold(0, u32::max)).unwrap_or(usize::MAX)
    }
}

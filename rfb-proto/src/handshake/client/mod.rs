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
//! | RSA-AES (5, 6, 129, 130) | `RsaAes`, `RsaAesOpen`, `RsaAesCredentials`; with 5 and 129 `RsaAesLayer` |
//! | Diffie-Hellman (30), MSLogonII (113), MSLogonIII (118) | `DiffieHellman`, `MsLogonII`, `MsLogonIII` |
//! | Tight (16), TLS (18), VeNCrypt (19) | those of what is chosen inside |
//!
//! A server that hangs up has refused, where some servers refuse so:
//!
//! | it hangs up while this is due | error |
//! |---|---|
//! | a reason | the refusal, with [`RejectionReason::Nothing`] |
//! | the SecurityResult after anything but None, or an answer of SASL | [`Rejected::Authentication`] |
//! | anything else | [`HandshakeError::Closed`] |

mod answers;
mod config;
mod follow;
mod logins;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

pub use config::ClientConfig;

use super::state::{Events, Stop, put, take, take_block};
use super::{
    Action, Buffers, Event, Exchange, HandshakeError, Incompatibility, Machine, Misbehaviour, Misuse, Rejected,
    Rejection, RejectionReason, Security, Stage, Tls, TlsKind, TlsRole,
};
use crate::init::ServerInit;
use crate::security::ard::ArdParameters;
use crate::security::ms_logon::{self, MsLogonParameters};
use crate::security::rsa_aes::{LayerKeys, MAX_LOGIN_MESSAGE, MESSAGE_OVERHEAD, PublicKey, Strength};
use crate::security::sasl::Mechanisms;
use crate::security::tight::InteractionCapabilities;
use crate::security::vencrypt::{SubtypeAcknowledgement, VeNCryptVersion, VersionAcknowledgement};
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Secret, SecurityType};
use crate::version::{ProtocolVersion, Version};

/// Bytes that a repeater is sent.
const REPEATER_LEN: usize = 250;

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientQuestion {
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
    /// Is this the server's key? If so, a key of one's own and random bytes are for [`ClientHandshake::rsa_aes`]. If not,
    /// hang up: the owner of a key that is taken gets user and password.
    RsaAes {
        /// What the server shows, to be compared with what is known of it.
        server_key: PublicKey,
        /// How strong the session will be.
        strength: Strength,
    },
    /// What does the server's random number say? It was sealed for one's own key; what
    /// [`Key::open`](crate::security::rsa_aes::Key::open) gives is for [`ClientHandshake::rsa_aes_open`].
    RsaAesOpen {
        /// The number, sealed.
        sealed: Bytes,
        /// How long it is.
        strength: Strength,
    },
    /// User and password, or a password only, for [`ClientHandshake::rsa_aes_credentials`].
    RsaAesCredentials {
        /// Whether the server wants a user.
        with_user: bool,
    },
    /// From here on both directions are inside the messages of RSA-AES, for
    /// [`Layer::new`](crate::security::rsa_aes::Layer::new). `tx` is sent first. What is in `rx` is to be replaced by what
    /// is in it, then [`ClientHandshake::layered`] goes on.
    RsaAesLayer(LayerKeys),
    /// User and password, sealed in this group, for [`ClientHandshake::diffie_hellman`].
    DiffieHellman(ArdParameters),
    /// The same for [`ClientHandshake::ms_logon_ii`].
    MsLogonII(MsLogonParameters),
    /// The same for [`ClientHandshake::ms_logon_iii`].
    MsLogonIII {
        /// The server's public value.
        public: [u8; ms_logon::PUBLIC_LEN],
    },
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
#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "a part of it is for RSA-AES"))]
#[derive(Debug, PartialEq, Eq)]
enum Open {
    Choice(Vec<SecurityType>),
    Vnc,
    Plain,
    Ident,
    SaslStart(Mechanisms),
    SaslStep { complete: bool },
    Layer,
    RsaAes(PublicKey),
    RsaAesRandom,
    RsaAesCredentials { with_user: bool },
    RsaAesLayer,
    DiffieHellman,
    MsLogonII,
    MsLogonIII,
}

#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "a part of it is for RSA-AES"))]
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
    RsaAesKey,
    RsaAesRandom,
    RsaAesHash,
    RsaAesSubtype,
    ArdParameters,
    MsLogonParameters,
    MsLogonIIIPublic,
    Result,
    Reason(Rejected),
    Init,
    ServerInit,
    Interaction(ServerInit),
    Ask(ClientQuestion),
    Open(Open),
    Over(Option<(ServerInit, Option<InteractionCapabilities>)>),
    Done,
    Failed(Box<HandshakeError>),
}

type Next = Result<Option<Action<ClientQuestion, ClientOutcome>>, Stop<HandshakeError>>;

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
    /// Of RSA-AES, while it lasts.
    #[cfg(feature = "rsa-aes")]
    exchange: Option<Box<crate::security::rsa_aes::Exchange>>,
    events: Events<Event, 9>,
}

fn stop(error: HandshakeError) -> Stop<HandshakeError> {
    Stop::Failed(Box::new(error))
}

fn misbehaved<T>(how: Misbehaviour) -> Result<T, Stop<HandshakeError>> {
    Err(stop(HandshakeError::PeerMisbehaved(how)))
}

fn incompatible<T>(how: Incompatibility) -> Result<T, Stop<HandshakeError>> {
    Err(stop(HandshakeError::PeerIncompatible(how)))
}

fn rejection(of: Rejected, reason: RejectionReason) -> HandshakeError {
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
            #[cfg(feature = "rsa-aes")]
            exchange: None,
            events: Events::EMPTY,
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
            State::RsaAesKey | State::RsaAesRandom | State::RsaAesHash | State::RsaAesSubtype => Stage::RsaAes,
            State::ArdParameters => Stage::DiffieHellman,
            State::MsLogonParameters | State::MsLogonIIIPublic => Stage::MsLogon,
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

    fn advance(&mut self, buffers: &mut Buffers) -> Next {
        let Buffers { rx, tx } = buffers;
        let limits = &self.config.limits;
        match &mut self.state {
            State::Version => self.take_version(rx, tx)?,
            State::Types => self.take_types(rx, tx)?,
            State::InnerTypes => self.take_inner_types(rx, tx)?,
            State::VeNCryptVersion => {
                let version: VeNCryptVersion = take(rx, limits)?;
                // A higher one speaks 0.2 as well. 0.1 is not spoken here, which version 0.0 says.
                if (version.major, version.minor) < (0, 2) {
                    put(&VeNCryptVersion::NONE, tx);
                    return incompatible(Incompatibility::VeNCryptVersion(version));
                }
                put(&VeNCryptVersion::V0_2, tx);
                self.state = State::VersionAcknowledgement;
            }
            State::VersionAcknowledgement => {
                if take_block(rx)? != [VersionAcknowledgement::ACCEPTED.0] {
                    return Err(stop(rejection(Rejected::VeNCryptVersion, RejectionReason::Nothing)));
                }
                self.state = State::Subtypes;
            }
            State::Subtypes => self.take_subtypes(rx, tx)?,
            State::SubtypeAcknowledgement(kind) => {
                let kind = *kind;
                if take_block(rx)? != [SubtypeAcknowledgement::ACCEPTED.0] {
                    return Err(stop(rejection(Rejected::Subtype, RejectionReason::Nothing)));
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
                self.state = State::Ask(ClientQuestion::Vnc { challenge });
            }
            State::Mechanisms => {
                let mechanisms = take(rx, limits)?;
                self.state = State::Ask(ClientQuestion::SaslStart { mechanisms });
            }
            State::Sasl => self.take_sasl(rx)?,
            State::RsaAesKey
            | State::RsaAesRandom
            | State::RsaAesHash
            | State::RsaAesSubtype
            | State::ArdParameters
            | State::MsLogonParameters
            | State::MsLogonIIIPublic => return self.step_login(buffers),
            State::Result => self.take_result(rx)?,
            State::Reason(of) => {
                let of = *of;
                return Err(stop(rejection(of, self.take_reason(rx)?)));
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
            State::Done => return Err(stop(HandshakeError::Misuse(Misuse::Ended))),
            State::Failed(error) => return Err(stop(HandshakeError::clone(error))),
        }
        Ok(None)
    }

    /// Opens the question.
    fn asked(&mut self) -> Option<ClientQuestion> {
        let State::Ask(question) = core::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        let open = match &question {
            ClientQuestion::Choose(offered) => Open::Choice(offered.clone()),
            ClientQuestion::Vnc { .. } => Open::Vnc,
            ClientQuestion::Plain => Open::Plain,
            ClientQuestion::Ident => Open::Ident,
            ClientQuestion::SaslStart { mechanisms } => Open::SaslStart(mechanisms.clone()),
            ClientQuestion::SaslStep { complete, .. } => Open::SaslStep { complete: *complete },
            ClientQuestion::SaslLayer => Open::Layer,
            ClientQuestion::RsaAes { server_key, .. } => Open::RsaAes(server_key.clone()),
            ClientQuestion::RsaAesOpen { .. } => Open::RsaAesRandom,
            ClientQuestion::RsaAesCredentials { with_user } => Open::RsaAesCredentials { with_user: *with_user },
            ClientQuestion::RsaAesLayer(_) => Open::RsaAesLayer,
            ClientQuestion::DiffieHellman(_) => Open::DiffieHellman,
            ClientQuestion::MsLogonII(_) => Open::MsLogonII,
            ClientQuestion::MsLogonIII { .. } => Open::MsLogonIII,
        };
        self.state = State::Open(open);
        Some(question)
    }
}

impl Machine for ClientHandshake {
    type Question = ClientQuestion;
    type Outcome = ClientOutcome;

    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<ClientQuestion, ClientOutcome>, HandshakeError> {
        let over = matches!(self.state, State::Over(_) | State::Done | State::Failed(_));
        let mut next = if !over && self.deadline <= now {
            Err(stop(HandshakeError::TimedOut(self.stage())))
        } else {
            self.advance(buffers)
        };
        loop {
            match next {
                Ok(None) => next = self.advance(buffers),
                Ok(Some(action)) => return Ok(action),
                Err(Stop::Receive(at_least)) => return Ok(Action::Receive { at_least }),
                Err(Stop::Failed(error)) => {
                    if !matches!(*error, HandshakeError::Misuse(_)) {
                        self.state = State::Failed(error.clone());
                    }
                    return Err(*error);
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
            State::Reason(of) => rejection(*of, RejectionReason::Nothing),
            State::Result if !is_none => rejection(Rejected::Authentication, RejectionReason::Nothing),
            State::Sasl => rejection(Rejected::Authentication, RejectionReason::Nothing),
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
            limits.rsa_key.div_ceil(8).saturating_mul(2).saturating_add(4),
            limits.diffie_hellman.div_ceil(8).saturating_mul(2).saturating_add(4),
        ];
        let largest = usize::try_from(largest.into_iter().fold(0, u32::max)).unwrap_or(usize::MAX);
        match cfg!(feature = "rsa-aes") {
            true => largest.max(MAX_LOGIN_MESSAGE.saturating_add(MESSAGE_OVERHEAD)),
            false => largest,
        }
    }
}

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
//! | RSA-AES (5, 6, 129, 130) | `RsaAes`, `RsaAesOpen`; with 5 and 129 `RsaAesLayer` |
//! | Diffie-Hellman (30), MSLogonII (113), MSLogonIII (118) | `DiffieHellman`, `MsLogonII`, `MsLogonIII` |
//! | Tight (16), TLS (18), VeNCrypt (19) | those of what is chosen inside |
//!
//! What is sent to a client that cannot go on:
//!
//! | condition | answer |
//! |---|---|
//! | a line that is no version line | nothing, as all known servers |
//! | a version that is not taken, or 3.3 without a type for it | an empty list (3.3: a word 0) and a reason |
//! | a security type that was not offered | a failed SecurityResult, in 3.8 with a reason, as QEMU |
//! | a version of VeNCrypt other than 0.2 | 1 |
//! | a subtype that was not offered | 0 |
//! | a SASL exchange that fails before it is complete | nothing, as QEMU |
//! | RSA-AES, Diffie-Hellman or a logon that fails before user and password are there | nothing, as TigerVNC |
//! | credentials beyond their limits | a failed SecurityResult, in 3.8 with a reason |
//! | refused by the caller | the caller's [`Refusal`] |
//! | out of time | nothing |

mod answers;
mod config;
mod failure;
mod follow;
mod logins;
mod question;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BufMut as _;

pub use config::{Refusal, ServerConfig};
pub use question::{ClientCredentials, ServerOutcome, ServerQuestion};

use failure::{Failed, Failure, NOT_OFFERED, Tell, put_refused_list, put_refused_result, refused_credentials};

use super::state::{Stop, first_block, take, take_secret};
use super::{
    Action, Buffers, Event, Exchange, HandshakeError, Machine, Misbehaviour, Misuse, Security, Stage, Tls, TlsKind,
    TlsRole,
};
use crate::init::ClientInit;
use crate::security::ard::ArdParameters;
use crate::security::plain::{Credentials, Ident};
#[cfg(feature = "rsa-aes")]
use crate::security::rsa_aes::Exchange as RsaAesExchange;
use crate::security::rsa_aes::{MAX_LOGIN_MESSAGE, MESSAGE_OVERHEAD};
use crate::security::sasl::SaslData;
use crate::security::tight::{Capability, CapabilityChoice};
use crate::security::vnc::CHALLENGE_LEN;
use crate::security::{Reason, SecurityType};
use crate::version::{ProtocolVersion, Version};

/// A question that is open.
#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "a part of it is for RSA-AES"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Offer,
    Challenge,
    Admit,
    Sasl,
    Layer,
    RsaAes,
    RsaAesRandom,
    RsaAesLayer,
    DiffieHellman,
    MsLogonII,
    MsLogonIII,
    Init(ClientInit),
}

/// Small, so that going from one to the next costs little. What else has to be remembered stands beside it.
#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "a part of it is for RSA-AES"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Version,
    Choice,
    VeNCryptVersion,
    Subtype,
    StartTls(TlsKind),
    /// The caller does the TLS handshake.
    Tls,
    /// The choice inside TLS.
    InnerChoice,
    Tunnel,
    TightChoice,
    Response([u8; CHALLENGE_LEN]),
    Credentials,
    Ident,
    SaslStart,
    SaslStep,
    RsaAesKey,
    RsaAesRandom,
    RsaAesHash,
    RsaAesCredentials,
    /// The layer stands.
    RsaAesLayered,
    ArdResponse,
    MsLogonResponse,
    MsLogonIIIResponse,
    ClientInit,
    /// To be asked with the next step. What a question brings along that is not in here is asked at once.
    Ask(Open),
    Open(Open),
    Over(Option<ClientInit>),
    Done,
    Failed,
}

/// What has to be remembered of a log-in beside its state.
#[derive(Debug)]
#[cfg_attr(feature = "rsa-aes", allow(clippy::large_enum_variant, reason = "it is in a box"))]
enum Login {
    #[cfg(feature = "rsa-aes")]
    RsaAes(RsaAesExchange),
    /// Shown, and to be judged inside of the layer.
    #[cfg_attr(
        not(feature = "rsa-aes"),
        allow(dead_code, reason = "only RSA-AES has a layer in front")
    )]
    Shown(Credentials),
    DiffieHellman(ArdParameters),
}

/// What comes next, in VNC authentication without a detour over a state.
enum Next {
    State,
    Challenge,
}

/// An event that was not fetched yet, in the order in which they happen. What it says stands in the machine.
#[derive(Debug, Clone, Copy)]
enum Note {
    Version = 1,
    /// A security type was chosen.
    Type = 2,
    /// One inside it.
    Inner = 4,
    Subtype = 8,
    Authenticated = 16,
    Refused = 32,
}

/// Notes, each of which is taken once in a handshake.
#[derive(Debug)]
struct Notes(u8);

impl Notes {
    #[inline]
    fn push(&mut self, note: Note) {
        self.0 |= note as u8;
    }

    fn pop(&mut self) -> Option<Note> {
        use Note::{Authenticated, Inner, Refused, Subtype, Type, Version};
        let all = [Version, Type, Inner, Subtype, Authenticated, Refused];
        let first = all.into_iter().find(|&note| self.0 & note as u8 != 0)?;
        self.0 &= !(first as u8);
        Some(first)
    }
}

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
    /// The answer to [`ServerQuestion::Offer`].
    offer: Option<Vec<SecurityType>>,
    security: Security,
    sasl_layer: bool,
    login: Option<Box<Login>>,
    notes: Notes,
    /// With [`State::Failed`].
    failed: Option<Box<Failed>>,
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
            login: None,
            notes: Notes(0),
            failed: None,
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
            State::StartTls(_) | State::Tls => Stage::Tls,
            State::Tunnel | State::TightChoice => Stage::Tight,
            State::Response(_) => Stage::Vnc,
            State::Credentials | State::Ident => Stage::Credentials,
            State::SaslStart | State::SaslStep => Stage::Sasl,
            State::RsaAesKey
            | State::RsaAesRandom
            | State::RsaAesHash
            | State::RsaAesCredentials
            | State::RsaAesLayered => Stage::RsaAes,
            State::ArdResponse => Stage::DiffieHellman,
            State::MsLogonResponse | State::MsLogonIIIResponse => Stage::MsLogon,
            State::ClientInit => Stage::ClientInit,
            State::Ask(_) | State::Open(_) => Stage::Answer,
            State::Over(_) | State::Done | State::Failed => Stage::Ended,
        }
    }

    /// The next event that was not fetched yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        let Security {
            security_type,
            subtype,
            tls,
            ..
        } = self.security;
        Some(match self.notes.pop()? {
            Note::Version => Event::Version {
                sent: self.client_version,
                rules: self.rules,
            },
            Note::Type => Event::Chosen(Security::of(security_type)),
            // A subtype comes later, and then so does TLS. Else TLS is that of type 18, which was there.
            Note::Inner => Event::Chosen(Security {
                subtype: None,
                tls: tls.filter(|_| subtype.is_none()),
                ..self.security
            }),
            Note::Subtype => Event::Chosen(Security {
                tls: None,
                ..self.security
            }),
            Note::Authenticated => Event::Authenticated,
            Note::Refused => Event::Refused(self.failed.as_ref()?.told.clone()?),
        })
    }

    /// The error ends the handshake.
    #[cold]
    fn fail(&mut self, buffers: &mut Buffers, failure: Failure) -> HandshakeError {
        let Failure { error, tell } = failure;
        if self.is_secret_due() {
            buffers.wipe_rx();
        }
        let refusal = |text| Refusal::Failed(Reason::from_static(text));
        let told = match tell {
            Tell::Nothing => None,
            Tell::List(text) => {
                let refusal = refusal(text);
                put_refused_list(self.rules, &refusal, &mut buffers.tx);
                Some(refusal)
            }
            Tell::Result(text) => {
                let refusal = refusal(text);
                put_refused_result(self.rules, &refusal, &mut buffers.tx);
                Some(refusal)
            }
            Tell::Acknowledgement(byte) => {
                buffers.tx.put_u8(byte);
                Some(Refusal::Close)
            }
        };
        self.end(error.clone(), told);
        error
    }

    /// The error of a step at the deadline, if the handshake was not over before.
    #[cold]
    fn late(&mut self, buffers: &mut Buffers) -> Option<HandshakeError> {
        if matches!(self.state, State::Over(_) | State::Done | State::Failed) {
            return None;
        }
        let (error, tell) = (HandshakeError::TimedOut(self.stage()), Tell::Nothing);
        Some(self.fail(buffers, Failure { error, tell }))
    }

    /// The error of a step, which is the caller's if the handshake had come to its end before.
    #[cold]
    fn failed(&mut self, buffers: &mut Buffers, failure: Failure) -> HandshakeError {
        if matches!(self.state, State::Done | State::Failed) {
            return failure.error;
        }
        self.fail(buffers, failure)
    }

    /// Whether what is in `rx` may be a part of a secret.
    fn is_secret_due(&self) -> bool {
        match self.stage() {
            Stage::Vnc | Stage::Credentials | Stage::Sasl | Stage::RsaAes | Stage::DiffieHellman | Stage::MsLogon => {
                true
            }
            Stage::Version
            | Stage::SecurityTypes
            | Stage::SecurityChoice
            | Stage::VeNCrypt
            | Stage::Tight
            | Stage::Tls
            | Stage::SecurityResult
            | Stage::Reason
            | Stage::ClientInit
            | Stage::ServerInit
            | Stage::Answer
            | Stage::Ended => false,
        }
    }

    fn end(&mut self, error: HandshakeError, told: Option<Refusal>) {
        if told.is_some() {
            self.notes.push(Note::Refused);
        }
        self.failed = Some(Box::new(Failed { error, told }));
        self.login = None;
        self.state = State::Failed;
    }

    /// What the states outside of VNC authentication do.
    #[inline(never)]
    fn advance(
        &mut self,
        buffers: &mut Buffers,
    ) -> Result<Option<Action<ServerQuestion, ServerOutcome>>, Stop<Failure>> {
        let Buffers { rx, tx } = buffers;
        let limits = &self.config.limits;
        match self.state {
            State::InnerChoice => self.take_inner_choice(rx, tx)?,
            State::VeNCryptVersion => self.take_vencrypt_version(rx, tx)?,
            State::Subtype => self.take_subtype(rx, tx)?,
            State::StartTls(kind) => {
                self.security.tls = Some(kind);
                self.state = State::Tls;
                return Ok(Some(Action::StartTls(Tls {
                    role: TlsRole::Server,
                    kind,
                    server_name: None,
                })));
            }
            State::Tls => match self.security.subtype {
                Some(subtype) => self.begin(subtype.exchange(), tx),
                None => self.put_inner_types(tx),
            },
            State::Tunnel => {
                let CapabilityChoice { code } = take(rx, limits)?;
                if code != Capability::NO_TUNNEL.code {
                    return Failure::misbehaved(Misbehaviour::CapabilityNotOffered(code), NOT_OFFERED);
                }
                self.put_tight_types(tx);
            }
            State::TightChoice => self.take_tight_choice(rx, tx)?,
            State::Credentials => {
                let claim = ClientCredentials::Plain(take_secret(rx, limits).map_err(refused_credentials)?);
                self.state = State::Open(Open::Admit);
                return Ok(Some(Action::Ask(ServerQuestion::Admit(claim))));
            }
            State::Ident => {
                let Ident { user } = take(rx, limits).map_err(refused_credentials)?;
                self.state = State::Open(Open::Admit);
                return Ok(Some(Action::Ask(ServerQuestion::Admit(ClientCredentials::Ident {
                    user,
                }))));
            }
            State::SaslStart => return self.take_sasl_start(rx).map(|question| Some(Action::Ask(question))),
            State::SaslStep => {
                let SaslData { data } = take_secret(rx, limits)?;
                self.state = State::Open(Open::Sasl);
                return Ok(Some(Action::Ask(ServerQuestion::SaslStep { data })));
            }
            State::RsaAesKey
            | State::RsaAesRandom
            | State::RsaAesHash
            | State::RsaAesCredentials
            | State::RsaAesLayered
            | State::ArdResponse
            | State::MsLogonResponse
            | State::MsLogonIIIResponse => return self.step_login(buffers),
            State::Open(_) => return Ok(Some(Action::Waiting)),
            State::Failed => {
                let error = self.failed.as_ref().map(|failed| failed.error.clone());
                let error = error.unwrap_or(HandshakeError::Misuse(Misuse::Ended));
                return Err(Failure::stop(error, Tell::Nothing));
            }
            // INVARIANT: the others are gone through by `step`.
            _ => return Err(Failure::stop(HandshakeError::Misuse(Misuse::Ended), Tell::Nothing)),
        }
        Ok(None)
    }

    #[inline]
    fn question(&self, open: Open) -> ServerQuestion {
        match open {
            Open::Offer => ServerQuestion::Offer { rules: self.rules },
            Open::Challenge => ServerQuestion::Challenge,
            Open::Admit if self.security.exchange() == Some(Exchange::Sasl) => {
                ServerQuestion::Admit(ClientCredentials::Sasl)
            }
            // INVARIANT: all other claims come with bytes and are asked about at once.
            Open::Admit => ServerQuestion::Admit(ClientCredentials::None),
            Open::Sasl => ServerQuestion::SaslStep { data: None },
            Open::Layer => ServerQuestion::SaslLayer,
            Open::RsaAes => ServerQuestion::RsaAes,
            Open::DiffieHellman => ServerQuestion::DiffieHellman,
            Open::MsLogonII => ServerQuestion::MsLogonII,
            Open::MsLogonIII => ServerQuestion::MsLogonIII,
            // INVARIANT: these come with bytes and are asked at once.
            Open::RsaAesRandom | Open::RsaAesLayer => ServerQuestion::RsaAes,
            Open::Init(client) => ServerQuestion::Init(client),
        }
    }
}

/// So much of a block is missing.
#[inline]
fn missing(len: usize, rx: &[u8]) -> Action<ServerQuestion, ServerOutcome> {
    let at_least = len.saturating_sub(rx.len());
    Action::Receive { at_least }
}

impl Machine for ServerHandshake {
    type Question = ServerQuestion;
    type Outcome = ServerOutcome;

    #[inline]
    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<ServerQuestion, ServerOutcome>, HandshakeError> {
        if self.deadline <= now {
            if let Some(error) = self.late(buffers) {
                return Err(error);
            }
        }
        loop {
            let Buffers { rx, tx } = &mut *buffers;
            let advanced = match self.state {
                State::Start | State::Version => {
                    if self.state == State::Start {
                        tx.extend_from_slice(&self.config.version.to_bytes());
                        self.state = State::Version;
                        if rx.is_empty() {
                            return Ok(missing(ProtocolVersion::LEN, rx));
                        }
                    }
                    self.take_version(rx, tx)
                }
                State::Choice => {
                    let Some([number]) = first_block(rx) else {
                        return Ok(missing(1, rx));
                    };
                    self.take_choice(SecurityType(number), tx)
                }
                State::Response(challenge) => {
                    let Some(response) = first_block(rx) else {
                        return Ok(missing(CHALLENGE_LEN, rx));
                    };
                    self.state = State::Open(Open::Admit);
                    return Ok(Action::Ask(ServerQuestion::Admit(ClientCredentials::Vnc {
                        challenge,
                        response,
                    })));
                }
                State::ClientInit => {
                    let Some([shared]) = first_block(rx) else {
                        return Ok(missing(1, rx));
                    };
                    let client = ClientInit { shared };
                    self.state = State::Open(Open::Init(client));
                    return Ok(Action::Ask(ServerQuestion::Init(client)));
                }
                State::Ask(open) => {
                    self.state = State::Open(open);
                    return Ok(Action::Ask(self.question(open)));
                }
                State::Over(init) => {
                    self.state = State::Done;
                    return Ok(Action::Done(ServerOutcome {
                        client_version: self.client_version,
                        rules: self.rules,
                        security: self.security,
                        sasl_layer: self.sasl_layer,
                        init,
                    }));
                }
                _ => match self.advance(buffers) {
                    Ok(None) => Ok(Next::State),
                    Ok(Some(action)) => return Ok(action),
                    Err(stop) => Err(stop),
                },
            };
            match advanced {
                Ok(Next::State) => {}
                Ok(Next::Challenge) => {
                    self.state = State::Open(Open::Challenge);
                    return Ok(Action::Ask(ServerQuestion::Challenge));
                }
                Err(Stop::Receive(at_least)) => return Ok(Action::Receive { at_least }),
                Err(Stop::Failed(failure)) => return Err(self.failed(buffers, *failure)),
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn eof(&mut self) -> Result<ServerOutcome, HandshakeError> {
        if let Some(failed) = &self.failed {
            return Err(failed.error.clone());
        }
        if self.state == State::Done {
            return Err(HandshakeError::Misuse(Misuse::Ended));
        }
        let error = HandshakeError::Closed(self.stage());
        self.end(error.clone(), None);
        Err(error)
    }

    fn max_input(&self) -> usize {
        let limits = &self.config.limits;
        let credentials = limits.user.saturating_add(limits.password);
        let sasl = limits.sasl_data.saturating_add(limits.sasl_mechanism);
        let rsa_key = limits.rsa_key.div_ceil(8).saturating_mul(2);
        let diffie_hellman = limits.diffie_hellman.div_ceil(8).saturating_add(128);
        let largest = [credentials, sasl, rsa_key, diffie_hellman]
            .into_iter()
            .fold(0, u32::max);
        let largest = usize::try_from(largest.saturating_add(8)).unwrap_or(usize::MAX);
        match cfg!(feature = "rsa-aes") {
            true => largest.max(MAX_LOGIN_MESSAGE.saturating_add(MESSAGE_OVERHEAD)),
            false => largest,
        }
    }
}

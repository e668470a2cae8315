//! Both roles coupled: a server towards a tenant, a client towards a hypervisor.
//!
//! ```text
//! tenant                        bridge                         hypervisor
//!   | <----- version, types, choice |                                |
//!   | <------------------ StartTls? |                                |
//!   |                     Ask(Challenge)                             |
//!   | password or response -------> |                                |
//!   |                     Ask(Admit): is the tenant let in?          |
//!   |                     Ask(Connect): to which hypervisor, how?    |
//!   |                               | version, types, choice ------> |
//!   |                               | StartTls? -------------------> |
//!   |                               | password or response --------> |
//!   |                               | <-------------- SecurityResult |
//!   | <-------------- SecurityResult |                               |
//!   | ClientInit and all that follows is the caller's to copy        |
//! ```
//!
//! This is [`AuthOrder::TenantFirst`]. The others begin with `Ask(Connect)` and the hypervisor's version and list,
//! and [`AuthOrder::Passthrough`] has no further questions: the hypervisor's challenge goes to the tenant, its
//! response to the hypervisor, and the result, which is seen, to the tenant.
//!
//! # What holds for all of them
//!
//! - The tenant is accepted after the hypervisor has accepted, and never otherwise. With type None in 3.7 there is
//!   nothing that says so: such a tenant goes on by itself, and is cut off if the hypervisor does not accept.
//! - Each side has its own version, its own security type and its own TLS. A result that one side has and the
//!   other has not is made up or left out, and so is a reason.
//! - No secret of one side reaches the other, but for the response that is passed through.
//! - What the tenant gets to know about the hypervisor is [`BridgeConfig::upstream_failure`], in the place where its
//!   version has room for it. Where it waits for a challenge there is none: the connection is closed.
//! - A hypervisor that waits for a choice gets type 0, which means none, as nova does.
//! - At most one side's bytes are waited for at any time. What is behind the handshake stays in both `rx`.

mod config;
mod logins;
mod steps;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

#[cfg(feature = "rsa-aes")]
pub use config::RsaAesLogin;
pub use config::{AuthOrder, BridgeConfig, Upstream};

use super::server::ClientCredentials;
use super::{
    ClientHandshake, Event, HandshakeError, Machine as _, Misuse, Refusal, ServerHandshake, Side, SideBuffers, Tls,
    client, server,
};
use crate::security::SecurityType;
use crate::security::rsa_aes::{LayerKeys, Strength};
use crate::security::vnc::CHALLENGE_LEN;
use crate::version::Version;

/// What the caller is asked. [`Bridge::refuse`] is an answer to each.
#[derive(Debug, PartialEq, Eq)]
pub enum BridgeQuestion {
    /// 16 bytes from a cryptographically secure source, for [`Bridge::challenge`].
    Challenge,
    /// Is the tenant let in, if the hypervisor takes it? Answered with [`Bridge::admit`].
    Admit(ClientCredentials),
    /// Connect to the hypervisor, then [`Bridge::connect`]. With [`AuthOrder::TenantFirst`] this comes after
    /// [`BridgeQuestion::Admit`], else it is the first thing.
    Connect,
    /// A key of RSA to show to the tenant, and random bytes, for [`Bridge::rsa_aes`].
    RsaAes,
    /// What does the tenant's random number say? It was sealed for the key that was shown; what
    /// [`Key::open`](crate::security::rsa_aes::Key::open) gives is for [`Bridge::rsa_aes_open`].
    RsaAesOpen {
        /// The number, sealed.
        sealed: Bytes,
        /// How long it is.
        strength: Strength,
    },
    /// From here on both directions of this side are inside the messages of RSA-AES, for
    /// [`Layer::new`](crate::security::rsa_aes::Layer::new). Its `tx` is sent first. What is in its `rx` is to be replaced
    /// by what is in it, then [`Bridge::layered`] goes on.
    RsaAesLayer {
        /// The side.
        side: Side,
        /// What the layer begins with.
        keys: LayerKeys,
    },
    /// A group and a public value in it for the tenant, for [`Bridge::diffie_hellman`].
    DiffieHellman,
    /// The same for [`Bridge::ms_logon_ii`].
    MsLogonII,
    /// A public value for the tenant, for [`Bridge::ms_logon_iii`].
    MsLogonIII,
}

/// What the driver does next; as [`Action`](super::Action), with the side that it concerns.
#[derive(Debug, PartialEq, Eq)]
pub enum BridgeAction {
    /// Read at least so many bytes more from this side.
    Receive {
        /// The side to read from.
        side: Side,
        /// Further bytes; never 0.
        at_least: usize,
    },
    /// Do a TLS handshake with this side, then step on with the plaintext. If it fails, call [`Bridge::eof`].
    StartTls {
        /// The side to do it with.
        side: Side,
        /// Which part of it, and with what.
        tls: Tls,
    },
    /// Find an answer, which may take time, and give it.
    Ask(BridgeQuestion),
    /// The question is still open.
    Waiting,
    /// Both sides are in. ClientInit is due from the tenant.
    Done(BridgeOutcome),
}

/// A handshake that is over on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeOutcome {
    /// What was agreed with the tenant.
    pub tenant: server::ServerOutcome,
    /// What was agreed with the hypervisor.
    pub hypervisor: client::ClientOutcome,
}

/// Why a bridge failed, and on which side.
///
/// With [`AuthOrder::Passthrough`] a wrong password of the tenant is a
/// [`Rejection`](HandshakeError::Rejected) by the hypervisor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{side}: {error}")]
pub struct BridgeError {
    /// The connection on which it went wrong. The caller's own refusals are on the tenant's.
    pub side: Side,
    /// What went wrong.
    #[source]
    pub error: HandshakeError,
}

/// The question that is open.
#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "a part of it is for RSA-AES"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Challenge,
    Admit,
    Connect,
    RsaAes,
    RsaAesRandom,
    RsaAesLayer(Side),
    DiffieHellman,
    MsLogonII,
    MsLogonIII,
}

#[derive(Debug)]
enum State {
    Ask(BridgeQuestion),
    Open(Open),
    /// The hypervisor's connection stands.
    Dial(Upstream),
    Tenant,
    Hypervisor,
    /// The tenant is greeted only to be refused with this.
    Tell {
        why: Refusal,
        error: Box<BridgeError>,
    },
    Done,
    Failed(Box<BridgeError>),
}

/// A handshake as seen from the middle.
#[derive(Debug)]
pub struct Bridge {
    config: BridgeConfig,
    state: State,
    server: ServerHandshake,
    /// Whether the tenant was sent anything.
    greeted: bool,
    /// What the tenant waits for while the hypervisor is looked at.
    held: Option<server::ServerQuestion>,
    client: Option<ClientHandshake>,
    upstream: Upstream,
    /// Nothing more comes from the hypervisor.
    hypervisor_ended: bool,
    /// The rules that the hypervisor greets with.
    hypervisor_rules: Option<Version>,
    /// The hypervisor's list, while it waits for a choice from it.
    offered: Option<Vec<SecurityType>>,
    /// The hypervisor has accepted.
    accepted: Option<client::ClientOutcome>,
}

impl Bridge {
    /// For a tenant's connection that was accepted at `now`.
    #[must_use]
    pub fn new(now: Duration, config: BridgeConfig) -> Self {
        Self {
            state: match config.auth_order {
                AuthOrder::TenantFirst => State::Tenant,
                AuthOrder::HypervisorFirst | AuthOrder::Passthrough => State::Ask(BridgeQuestion::Connect),
            },
            server: ServerHandshake::new(now, config.server()),
            greeted: false,
            held: None,
            client: None,
            upstream: Upstream::default(),
            hypervisor_ended: false,
            hypervisor_rules: None,
            offered: None,
            accepted: None,
            config,
        }
    }

    /// The next event that was not fetched yet, and the side that it concerns; the hypervisor's first. Fetch them after
    /// each step.
    pub fn poll_event(&mut self) -> Option<(Side, Event)> {
        let hypervisor = self.client.as_mut().and_then(ClientHandshake::poll_event);
        match hypervisor {
            Some(event) => Some((Side::Hypervisor, event)),
            None => self.server.poll_event().map(|event| (Side::Tenant, event)),
        }
    }

    /// Answers [`BridgeQuestion::Challenge`]. A challenge must be used once only.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn challenge(&mut self, sides: &mut SideBuffers, challenge: [u8; CHALLENGE_LEN]) -> Result<(), Misuse> {
        self.open(Open::Challenge)?;
        self.server.challenge(&mut sides.tenant, challenge)?;
        self.state = State::Tenant;
        Ok(())
    }

    /// Answers [`BridgeQuestion::Admit`]: what the tenant shows is good. The tenant's SecurityResult is sent
    /// when the hypervisor has accepted as well.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn admit(&mut self, sides: &mut SideBuffers) -> Result<(), Misuse> {
        self.open(Open::Admit)?;
        match self.accepted {
            Some(_) => {
                self.server.accept(&mut sides.tenant)?;
                self.state = State::Tenant;
            }
            None => self.state = State::Ask(BridgeQuestion::Connect),
        }
        Ok(())
    }

    /// Answers [`BridgeQuestion::Connect`]: the connection to the hypervisor stands.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn connect(&mut self, upstream: Upstream) -> Result<(), Misuse> {
        self.open(Open::Connect)?;
        self.state = State::Dial(upstream);
        Ok(())
    }

    /// Answers any question: the tenant is not let in, or there is no hypervisor for it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse(&mut self, sides: &mut SideBuffers, why: Refusal) -> Result<(), Misuse> {
        let State::Open(_) = self.state else {
            return Err(Misuse::NotAsked);
        };
        let error = BridgeError {
            side: Side::Tenant,
            error: HandshakeError::Refused(why.clone()),
        };
        if self.greeted {
            self.refuse_held(sides, why);
            self.state = State::Failed(Box::new(error));
        } else {
            self.tell_later(why, error);
        }
        Ok(())
    }

    fn open(&self, expected: Open) -> Result<(), Misuse> {
        match self.state {
            State::Open(open) if open == expected => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Uses what is in both `rx`, writes to both `tx`, says what it needs.
    ///
    /// # Errors
    /// The handshake failed; what is to be sent to the two sides is in their `tx`. Later calls give the same error.
    pub fn step(&mut self, now: Duration, sides: &mut SideBuffers) -> Result<BridgeAction, BridgeError> {
        loop {
            if let Some(action) = self.advance(now, sides)? {
                return Ok(action);
            }
        }
    }

    /// Step again at this time at the latest; the step then fails with [`HandshakeError::TimedOut`].
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match (&self.state, &self.client) {
            (State::Hypervisor, Some(client)) => client.deadline(),
            _ => self.server.deadline(),
        }
    }

    /// One side hung up, or TLS with it failed. `Ok`: step on. What it sent before is still used, or there is something
    /// left to tell the other side.
    ///
    /// # Errors
    /// What the end of the stream means here, or what had gone wrong before. What is to be sent to the other side is in
    /// its `tx`.
    pub fn eof(&mut self, sides: &mut SideBuffers, side: Side) -> Result<(), BridgeError> {
        let error = match &self.state {
            State::Failed(error) => return Err(BridgeError::clone(error)),
            State::Done => return Err(ended(side)),
            State::Tell { error, .. } => Some(BridgeError::clone(error)),
            _ => None,
        };
        match (side, error) {
            (Side::Tenant, Some(error)) => Err(self.fail(error)),
            (Side::Hypervisor, Some(_)) => Ok(()),
            (Side::Tenant, None) => {
                // A part of a secret may be in it.
                sides.tenant.wipe_rx();
                match self.server.eof() {
                    Err(error) => Err(self.tenant_failed(sides, error)),
                    Ok(_) => Err(ended(side)),
                }
            }
            // It was not connected to.
            (Side::Hypervisor, None) if self.client.is_none() && !matches!(self.state, State::Dial(_)) => Ok(()),
            (Side::Hypervisor, None) => {
                self.hypervisor_ended = true;
                let waits = matches!(self.state, State::Hypervisor);
                if waits || sides.hypervisor.rx.is_empty() {
                    return self.end_of_hypervisor(sides);
                }
                Ok(())
            }
        }
    }

    /// The most that the `rx` of a side needs to hold.
    #[must_use]
    pub fn max_input(&self, side: Side) -> usize {
        match (side, &self.client) {
            (Side::Hypervisor, Some(client)) => client.max_input(),
            (Side::Hypervisor, None) => 0,
            (Side::Tenant, _) => self.server.max_input(),
        }
    }
}

fn ended(side: Side) -> BridgeError {
    BridgeError {
        side,
        error: Misuse::Ended.into(),
    }
}

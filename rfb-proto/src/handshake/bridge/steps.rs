//! What the bridge does on one side because of the other.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::BufMut as _;

use super::{
    AuthOrder, Bridge, BridgeAction, BridgeError, BridgeOutcome, BridgeQuestion, Open, State, Upstream, ended,
};
use crate::handshake::server::ClientCredentials;
use crate::handshake::{
    Action, ClientHandshake, Exchange, HandshakeError, Incompatibility, Machine as _, Misuse, Refusal, Rejected,
    Rejection, RejectionReason, Side, SideBuffers, Stage, client, server,
};
use crate::security::SecurityType;
use crate::version::{Greeting, Policy, ProtocolVersion, Version, VersionError};

type ServerAction = Action<server::ServerQuestion, server::ServerOutcome>;
type ClientAction = Action<client::ClientQuestion, client::ClientOutcome>;
type Next = Result<Option<BridgeAction>, BridgeError>;

impl Bridge {
    pub(super) fn advance(&mut self, now: Duration, sides: &mut SideBuffers) -> Next {
        let waits = matches!(self.state, State::Ask(_) | State::Open(_));
        if waits && self.server.deadline() <= now {
            return Err(self.tenant_failed(sides, HandshakeError::TimedOut(Stage::Answer)));
        }
        match &mut self.state {
            State::Ask(_) => Ok(self.asked().map(BridgeAction::Ask)),
            State::Open(_) => Ok(Some(BridgeAction::Waiting)),
            State::Dial(upstream) => {
                self.upstream = core::mem::take(upstream);
                let config = self.config.client(&mut self.upstream);
                self.client = Some(ClientHandshake::new(now, config));
                self.state = State::Hypervisor;
                Ok(None)
            }
            State::Tenant => self.step_tenant(now, sides),
            State::Hypervisor => self.step_hypervisor(now, sides),
            State::Tell { .. } => self.step_tell(now, sides),
            State::Done => Err(ended(Side::Tenant)),
            State::Failed(error) => Err(BridgeError::clone(error)),
        }
    }

    /// Opens the question.
    fn asked(&mut self) -> Option<BridgeQuestion> {
        let State::Ask(question) = core::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        self.state = State::Open(match &question {
            BridgeQuestion::Challenge => Open::Challenge,
            BridgeQuestion::Admit(_) => Open::Admit,
            BridgeQuestion::Connect => Open::Connect,
            BridgeQuestion::RsaAes => Open::RsaAes,
            BridgeQuestion::RsaAesOpen { .. } => Open::RsaAesRandom,
            BridgeQuestion::RsaAesLayer { side, .. } => Open::RsaAesLayer(*side),
            BridgeQuestion::DiffieHellman => Open::DiffieHellman,
            BridgeQuestion::MsLogonII => Open::MsLogonII,
            BridgeQuestion::MsLogonIII => Open::MsLogonIII,
        });
        Some(question)
    }

    fn step_tenant(&mut self, now: Duration, sides: &mut SideBuffers) -> Next {
        let side = Side::Tenant;
        match self.step_server(now, sides) {
            Ok(Action::Receive { at_least }) => Ok(Some(BridgeAction::Receive { side, at_least })),
            Ok(Action::StartTls(tls)) => Ok(Some(BridgeAction::StartTls { side, tls })),
            Ok(Action::Ask(question)) => self.tenant_asks(sides, question).map(|()| None),
            Ok(Action::Waiting) => Ok(Some(BridgeAction::Waiting)),
            Ok(Action::Done(tenant)) => match self.accepted.take() {
                Some(hypervisor) => {
                    self.state = State::Done;
                    Ok(Some(BridgeAction::Done(BridgeOutcome { tenant, hypervisor })))
                }
                // INVARIANT: the tenant is accepted in two places, and in both the hypervisor has been.
                None => Err(self.tenant_failed(sides, Misuse::Ended.into())),
            },
            Err(error) => Err(self.tenant_failed(sides, error)),
        }
    }

    fn step_server(&mut self, now: Duration, sides: &mut SideBuffers) -> Result<ServerAction, HandshakeError> {
        if self.server.stage() == Stage::Version {
            self.check_version(&sides.tenant.rx)?;
        }
        self.greeted = true;
        self.server.step(now, &mut sides.tenant)
    }

    fn step_client(&mut self, now: Duration, sides: &mut SideBuffers) -> Result<ClientAction, HandshakeError> {
        match &mut self.client {
            Some(client) => client.step(now, &mut sides.hypervisor),
            // INVARIANT: there is one in every state that comes here.
            None => Err(Misuse::NotAsked.into()),
        }
    }

    /// Looks at the hypervisor's greeting. One that is not taken by [`only_version`](super::BridgeConfig::only_version)
    /// ends the bridge, and nothing is sent.
    fn look_at_greeting(&mut self, sides: &SideBuffers) -> Result<(), BridgeError> {
        let rx = &sides.hypervisor.rx;
        if self
            .client
            .as_ref()
            .is_some_and(|client| client.stage() == Stage::Version)
        {
            self.hypervisor_rules = rules_of(rx, self.config.policy);
            self.check_version(rx).map_err(|error| {
                let side = Side::Hypervisor;
                self.fail(BridgeError { side, error })
            })?;
        }
        Ok(())
    }

    fn tenant_asks(&mut self, sides: &mut SideBuffers, question: server::ServerQuestion) -> Result<(), BridgeError> {
        match (self.config.auth_order, question) {
            (_, server::ServerQuestion::Offer { .. }) if self.offered.is_some() => self.offer(sides),
            (_, question @ server::ServerQuestion::Offer { .. }) => {
                self.held = Some(question);
                self.state = State::Hypervisor;
                Ok(())
            }
            (AuthOrder::Passthrough, server::ServerQuestion::Admit(ClientCredentials::Vnc { response, .. })) => {
                let passed = match &mut self.client {
                    Some(client) => client.respond(&mut sides.hypervisor, response),
                    None => Err(Misuse::NotAsked),
                };
                self.state = State::Hypervisor;
                passed.map_err(|misuse| self.tenant_failed(sides, misuse.into()))
            }
            (AuthOrder::Passthrough, question) => {
                let exchange = match question {
                    server::ServerQuestion::Challenge => Some(Exchange::Vnc),
                    server::ServerQuestion::Admit(ClientCredentials::None) => Some(Exchange::None),
                    // INVARIANT: nothing else is offered. It would fit nothing.
                    _ => None,
                };
                let wanted: Vec<_> = self.config.passed_to(exchange).collect();
                self.held = Some(question);
                self.choose(sides, &wanted)
            }
            (AuthOrder::HypervisorFirst, question) if self.accepted.is_none() => {
                let wanted: Vec<_> = self.config.known_types(&self.upstream).collect();
                self.held = Some(question);
                self.choose(sides, &wanted)
            }
            (_, question) => self.ask(sides, question),
        }
    }

    /// Hands a question of the tenant's on to the caller.
    fn ask(&mut self, sides: &mut SideBuffers, question: server::ServerQuestion) -> Result<(), BridgeError> {
        self.state = State::Ask(match question {
            server::ServerQuestion::Challenge => BridgeQuestion::Challenge,
            server::ServerQuestion::Admit(claim) => BridgeQuestion::Admit(claim),
            server::ServerQuestion::RsaAes => BridgeQuestion::RsaAes,
            server::ServerQuestion::RsaAesOpen { sealed, strength } => BridgeQuestion::RsaAesOpen { sealed, strength },
            server::ServerQuestion::RsaAesLayer(keys) => BridgeQuestion::RsaAesLayer {
                side: Side::Tenant,
                keys,
            },
            server::ServerQuestion::DiffieHellman => BridgeQuestion::DiffieHellman,
            server::ServerQuestion::MsLogonII => BridgeQuestion::MsLogonII,
            server::ServerQuestion::MsLogonIII => BridgeQuestion::MsLogonIII,
            // INVARIANT: no SASL is offered, and the handshake ends in front of ClientInit.
            _ => return Err(self.tenant_failed(sides, Misuse::NotOffered.into())),
        });
        Ok(())
    }

    /// Shows the tenant what it may choose. The hypervisor's list is known.
    fn offer(&mut self, sides: &mut SideBuffers) -> Result<(), BridgeError> {
        let types = self.config.offer(self.offered.as_deref().unwrap_or_default());
        if types.is_empty() {
            return Err(self.nothing_in_common(sides));
        }
        let offered = self.server.offer(&mut sides.tenant, &types);
        offered.map_err(|misuse| self.tenant_failed(sides, misuse.into()))
    }

    /// Chooses from the hypervisor's list.
    fn choose(&mut self, sides: &mut SideBuffers, wanted: &[SecurityType]) -> Result<(), BridgeError> {
        let offered = self.offered.as_deref().unwrap_or_default();
        let chosen = wanted.iter().copied().find(|wanted| offered.contains(wanted));
        let (Some(chosen), Some(client)) = (chosen, &mut self.client) else {
            return Err(self.nothing_in_common(sides));
        };
        let made = client.choose(&mut sides.hypervisor, chosen);
        self.offered = None;
        self.state = State::Hypervisor;
        made.or_else(|misuse| self.hypervisor_failed(sides, misuse.into()))
    }

    fn nothing_in_common(&mut self, sides: &mut SideBuffers) -> BridgeError {
        let error = BridgeError {
            side: Side::Hypervisor,
            error: HandshakeError::PeerIncompatible(Incompatibility::Types(self.offered.clone().unwrap_or_default())),
        };
        let why = self.config.upstream_failure.clone();
        self.refuse_held(sides, why);
        self.fail(error)
    }

    fn step_hypervisor(&mut self, now: Duration, sides: &mut SideBuffers) -> Next {
        let side = Side::Hypervisor;
        self.look_at_greeting(sides)?;
        let answered = match self.step_client(now, sides) {
            // Its greeting is a good one, so the tenant is greeted.
            Ok(Action::Receive { .. }) if !self.greeted && self.hypervisor_rules.is_some() => {
                self.state = State::Tenant;
                return Ok(None);
            }
            Ok(Action::Receive { .. }) if self.hypervisor_ended => return self.end_of_hypervisor(sides).map(|()| None),
            Ok(Action::Receive { at_least }) => return Ok(Some(BridgeAction::Receive { side, at_least })),
            Ok(Action::StartTls(tls)) => return Ok(Some(BridgeAction::StartTls { side, tls })),
            Ok(Action::Waiting) => return Ok(Some(BridgeAction::Waiting)),
            Ok(Action::Ask(client::ClientQuestion::Choose(offered))) => {
                self.offered = Some(offered);
                self.state = State::Tenant;
                return match self.held.take() {
                    Some(_) => self.offer(sides).map(|()| None),
                    None => Ok(None),
                };
            }
            Ok(Action::Ask(client::ClientQuestion::Vnc { challenge }))
                if self.config.auth_order == AuthOrder::Passthrough =>
            {
                self.held = None;
                self.state = State::Tenant;
                self.server.challenge(&mut sides.tenant, challenge).map_err(Into::into)
            }
            Ok(Action::Ask(question)) => self.answer(sides, question),
            Ok(Action::Done(outcome)) => return self.hypervisor_accepted(sides, outcome).map(|()| None),
            Err(error) => return self.hypervisor_failed(sides, error).map(|()| None),
        };
        match answered {
            Ok(()) => Ok(None),
            Err(error) => self.hypervisor_failed(sides, error).map(|()| None),
        }
    }

    /// Shows the hypervisor what it asks for.
    fn answer(&mut self, sides: &mut SideBuffers, question: client::ClientQuestion) -> Result<(), HandshakeError> {
        let (Some(client), buffers) = (&mut self.client, &mut sides.hypervisor) else {
            return Err(Misuse::NotAsked.into());
        };
        match (&question, &self.upstream) {
            (
                client::ClientQuestion::Vnc { challenge },
                Upstream {
                    password: Some(own), ..
                },
            ) => client.respond(buffers, own.respond(challenge))?,
            (
                client::ClientQuestion::Plain,
                Upstream {
                    credentials: Some(own), ..
                },
            ) => client.plain(buffers, &own.user, own.password.expose())?,
            _ => return self.answer_login(sides, question),
        }
        Ok(())
    }

    fn hypervisor_accepted(
        &mut self,
        sides: &mut SideBuffers,
        outcome: client::ClientOutcome,
    ) -> Result<(), BridgeError> {
        self.accepted = Some(outcome);
        // What was as secret as a password is not needed any more.
        self.upstream = Upstream::default();
        match (self.config.auth_order, self.held.take()) {
            (AuthOrder::HypervisorFirst, Some(question)) => self.ask(sides, question),
            _ => {
                self.state = State::Tenant;
                let accepted = self.server.accept(&mut sides.tenant);
                accepted.map_err(|misuse| self.tenant_failed(sides, misuse.into()))
            }
        }
    }

    /// The hypervisor is of no use. `Ok`: the tenant is to be greeted first, so that it can be told.
    pub(super) fn hypervisor_failed(
        &mut self,
        sides: &mut SideBuffers,
        error: HandshakeError,
    ) -> Result<(), BridgeError> {
        let why = self.told(&error);
        let error = BridgeError {
            side: Side::Hypervisor,
            error,
        };
        if !self.greeted {
            self.tell_later(why, error);
            return Ok(());
        }
        self.refuse_held(sides, why);
        Err(self.fail(error))
    }

    /// The hypervisor has hung up, and all that it sent is used.
    pub(super) fn end_of_hypervisor(&mut self, sides: &mut SideBuffers) -> Result<(), BridgeError> {
        let error = match &mut self.client {
            // It had accepted, and leaves while the tenant is still looked at.
            Some(_) if self.accepted.is_some() => HandshakeError::Closed(Stage::Ended),
            Some(client) => match client.eof() {
                Err(error) => error,
                Ok(_) => Misuse::Ended.into(),
            },
            // It is found out by the first step that wants something from it.
            None => return Ok(()),
        };
        self.hypervisor_failed(sides, error)
    }

    /// What is sent to the tenant about the hypervisor's failure.
    fn told(&self, error: &HandshakeError) -> Refusal {
        let HandshakeError::Rejected(Rejection { of, reason }) = error else {
            return self.config.upstream_failure.clone();
        };
        let told = match reason {
            RejectionReason::Reason(reason) if self.config.forward_reason => Refusal::Failed(reason.clone()),
            _ => self.config.upstream_failure.clone(),
        };
        // The attempts are the tenant's own where they are passed through.
        match (self.config.auth_order, of, told) {
            (AuthOrder::Passthrough, Rejected::TooManyAttempts, Refusal::Failed(reason)) => {
                Refusal::TooManyAttempts(reason)
            }
            (.., told) => told,
        }
    }

    /// Refuses the tenant, if it waits for something that is no challenge.
    pub(super) fn refuse_held(&mut self, sides: &mut SideBuffers, why: Refusal) {
        let why = match (&self.held, &self.state) {
            (Some(server::ServerQuestion::Challenge), _)
            | (_, State::Ask(BridgeQuestion::Challenge) | State::Open(Open::Challenge)) => Refusal::Close,
            _ => why,
        };
        self.refuse_tenant(sides, why);
    }

    fn refuse_tenant(&mut self, sides: &mut SideBuffers, why: Refusal) {
        // Nothing is sent to a tenant that waits for nothing in particular.
        let _ = self.server.refuse(&mut sides.tenant, why);
        self.decline(sides);
    }

    /// Tells the hypervisor that no type is chosen. In 3.3 there was no choice.
    fn decline(&mut self, sides: &mut SideBuffers) {
        if self.offered.take().is_some() && self.hypervisor_rules != Some(Version::V3_3) {
            sides.hypervisor.tx.put_u8(SecurityType::INVALID.0);
        }
    }

    pub(super) fn tell_later(&mut self, why: Refusal, error: BridgeError) {
        self.state = match why {
            Refusal::Close => State::Failed(Box::new(error)),
            why => State::Tell {
                why,
                error: Box::new(error),
            },
        };
    }

    /// Takes the tenant to where it can be told why it is refused.
    fn step_tell(&mut self, now: Duration, sides: &mut SideBuffers) -> Next {
        let State::Tell { why, error } = &self.state else {
            return Ok(None);
        };
        let side = Side::Tenant;
        let (why, error) = (why.clone(), BridgeError::clone(error));
        match self.step_server(now, sides) {
            Ok(Action::Receive { at_least }) => return Ok(Some(BridgeAction::Receive { side, at_least })),
            Ok(Action::Ask(server::ServerQuestion::Offer { .. })) => {
                self.refuse_tenant(sides, why);
            }
            // It is not told, for reasons of its own.
            Ok(_) | Err(_) => {}
        }
        Err(self.fail(error))
    }

    pub(super) fn tenant_failed(&mut self, sides: &mut SideBuffers, error: HandshakeError) -> BridgeError {
        self.decline(sides);
        self.fail(BridgeError {
            side: Side::Tenant,
            error,
        })
    }

    pub(super) fn fail(&mut self, error: BridgeError) -> BridgeError {
        self.upstream = Upstream::default();
        self.state = State::Failed(Box::new(error.clone()));
        error
    }

    /// Whether the version line at the front of `rx` is one that is taken. One that is not whole or is none is for the
    /// machine of that side to judge, which does not wait for all of it.
    fn check_version(&self, rx: &[u8]) -> Result<(), HandshakeError> {
        let Some(only) = self.config.only_version else {
            return Ok(());
        };
        match rx
            .first_chunk()
            .map(|line| ProtocolVersion::read(line, self.config.policy))
        {
            Some(Ok(version)) if version != only.number() => {
                let error = VersionError::Unsupported { version };
                Err(HandshakeError::PeerIncompatible(Incompatibility::Version(error)))
            }
            _ => Ok(()),
        }
    }
}

/// The rules of the greeting at the front of `rx`, if it is whole.
fn rules_of(rx: &[u8], policy: Policy) -> Option<Version> {
    let version = ProtocolVersion::read(rx.first_chunk()?, policy).ok()?;
    match version.as_greeting(policy).ok()? {
        Greeting::Version(version) => Some(version),
        Greeting::Repeater => None,
    }
}
